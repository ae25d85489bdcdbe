//! What the demo, the tests and the measurements run against: MCP servers whose effects are really stored, faults that
//! are drawn from a seed, and a client that can misbehave on purpose.
//!
//! Nothing here knows the gateway: ledgers and clients are the ground truth that it is held against.

pub mod client;
pub mod faults;
pub mod ledger;
pub mod postgres;
pub mod process;
pub mod server;
pub mod shop;
pub mod world;
pub mod worlds;

mod random;

pub use client::{Answer, CallOptions, Client};
pub use faults::{Fault, Faults};
pub use ledger::Ledger;
pub use random::Random;
pub use server::{Options, Running};
pub use world::{Call, Hints, Tool, ToolError, World};
