//! Feeds the engine and performs what it decides: the only crate that owns a clock, randomness, tasks and timers.

mod api;

pub use api::{Arrival, Attempt, CallError, Continuation, Delivery, Link, Phase, Reader, Reply, Request, Run, Stop};
