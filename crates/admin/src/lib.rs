//! The operator's side: what a gateway and its journal tell a person, and what a person may record.
//!
//! It is served over a Unix socket of its owner or at an address with a token of its own, never where agents call.
//! The same views are made of a running gateway and of a journal at rest.
#![forbid(unsafe_code)]

pub mod wire;

mod api;
mod bounded;
mod gateway;
mod redact;
mod socket;
mod view;

pub use api::{Access, router, serve};
pub use gateway::{Act, BoxFuture, Gateway, ResolveError, RollbackError};
pub use socket::{SocketError, bind};
pub use view::{backup, doctor, run, runs, step, steps, time};
