//! The words of Cofferdam as plain data: ids, time, effects, outcomes, codes and the records of the journal.
//!
//! Nothing here behaves: no I/O, no clock, no randomness, no serde. Stored and wire forms are types of the crates that
//! own them. `VOCABULARY.md` has one paragraph for each word.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod code;
mod effect;
mod failure;
mod id;
mod outcome;
pub mod planted;
mod record;
mod time;

pub use code::{Code, Retryable};
pub use effect::{Effect, EffectSource};
pub use failure::{Failure, FailureKind};
pub use id::{CallId, Epoch, Hash, KeySource, Lsn, Name, RunId, StepId};
pub use outcome::{
    Cause, Delivered, EvidenceClass, Executed, Outcome, RollbackStatus, State, Unverified, Verification,
};
pub use planted::Planted;
pub use record::{Event, EventKind, GuardKind, GuardRow, ReadNote, Record, StepIntent, StepRow, StepStatus};
pub use time::Instant;

pub use bytes::Bytes;
