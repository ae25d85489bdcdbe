//! Feeds the engine and performs what it decides: the only crate that owns a clock, randomness, tasks and timers.

mod admit;
mod alarm;
mod answer;
mod api;
mod attempt;
mod books;
mod clock;
mod drain;
mod durable;
mod failpoint;
mod gap;
mod health;
mod ids;
mod jobs;
mod keep;
mod legs;
mod look;
mod pending;
pub mod plain;
mod recovery;
mod remote;
mod replicas;
mod report;
mod resolve;
pub mod rollback;
mod runtime;
mod settings;
mod shell;
mod slot;
mod status;
mod told;
mod tools;
mod translate;
mod waiting;
mod world;

pub use api::{
    Arrival, Attempt, CallError, Continuation, Delivery, Link, Phase, Reader, Reply, Request, Run, Stop, TaskAsk,
};
pub use engine::{Act, TaskEnd};
pub use health::Health;
pub use look::Look;
pub use pending::{Event, Pending};
pub use resolve::ResolveError;
pub use runtime::{Error, Runtime};
pub use settings::Settings;
pub use status::{LISTED_MAX, StatusView, StepSummary};

/// Looked into by every call: keyed hashing that is much cheaper than the standard one. Every table is bounded.
pub(crate) type Map<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
