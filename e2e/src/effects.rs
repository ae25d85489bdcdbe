//! Effect truth: what agents do to a world, what they are told of it, and whether that is so; without the gateway and
//! through it.
//!
//! A case is one agent with one task in one world of its own. Its world writes a ledger that nobody else touches; what
//! the agent was told is held against it afterwards.

mod agent;
mod case;
mod policies;
mod run;
mod seat;
mod table;
mod tally;

pub use case::{Agent, Case, Route, Scale, Transport, Trouble};
pub use run::{Matrix, run};
pub use table::render;
pub use tally::{Score, Tally};
