//! The step's state machine against a journal, an upstream and a clock that are all pretended.

mod ask;
mod deliver;
mod durable;
mod evidence;
mod identity;
mod lanes;
mod leave;
mod legs;
mod model;
mod pending;
mod persons;
mod plans;
mod readback;
mod recover;
mod replicas;
mod resolve;
mod retry;
mod rollback;
mod twins;
mod world;
