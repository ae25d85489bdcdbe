//! MCP as bytes and messages: envelopes, edits in place, event streams, revisions and the bridges between them.
//!
//! Pure: no sockets, no clock. Messages are forwarded as they came; only the member that has to change is spliced.
#![forbid(unsafe_code)]

pub mod bridge;
pub mod code;
pub mod envelope;
pub mod headers;
pub mod json;
pub mod meta;
pub mod names;
pub mod revision;
pub mod splice;
pub mod sse;
pub mod views;

pub use envelope::{Envelope, Incoming, Kind, Limits};
pub use revision::Revision;
