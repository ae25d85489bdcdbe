//! The simulator: one seed is one world, in one thread and in virtual time, around the engine and the journal that ship.
//!
//! Agents with manners, upstreams with a ledger of what really happened, a disk, clocks, people and faults are drawn
//! from the seed; an auditor holds what each agent was told and what the journal says against the ledger.
#![forbid(unsafe_code)]

mod agents;
mod audit;
mod campaign;
pub mod fuzz;
mod gateway;
#[cfg(feature = "planted")]
mod hunt;
pub mod names;
mod network;
mod plan;
pub mod report;
mod rng;
mod shop;
mod shrink;
mod trace;
mod upstream;
mod world;

pub use audit::Violation;
pub use campaign::{Campaign, Summary, world};
#[cfg(feature = "planted")]
pub use hunt::hunt;
pub use plan::{AgentPlan, Manner, Plan};
pub use rng::Rng;
pub use shrink::shrink;
pub use world::{Outcome, Stage};
