//! The step's state machine: which intended call runs, how often, and what may be said about it.
//!
//! Sans-IO: `handle(now, input)`, then `poll` until `Idle`. No clock, randomness, storage or network; the same inputs
//! give the same outputs. It knows steps, callers, reads of the world and durable records; it knows no protocol.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod input;
mod output;

pub use input::{
    Act, Answer, AnswerKind, Arrival, AttemptEnd, Call, Input, Left, NotDurable, ReadEnd, Recalled, TaskEnd,
};
pub use output::{Output, Phase, Purpose, Reply, Report, Stop};
