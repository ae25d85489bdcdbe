//! MCP for agents: conversations over stdio and streamable HTTP, of every revision, in front of one upstream or all.
//!
//! Messages travel as the bytes they came in. A `tools/call` becomes a guarded step; everything else passes through,
//! is answered from what all upstreams say together, or is translated between the eras.
#![forbid(unsafe_code)]

mod call;
mod code;
mod conversation;
mod edit;
mod exchange;
mod guarded;
pub mod http;
mod hub;
mod keys;
mod known;
mod link;
mod mailbox;
mod message;
mod own_stream;
mod seam;
mod settings;
mod stdio;
mod told;

pub use conversation::Conversation;
pub use exchange::{Exchange, Out};
pub use guarded::Guarded;
pub use hub::{Caller, Hub, Kind, Origin, Refused, Scope};
pub use keys::{KEY_HEADER, RUN_HEADER};
pub use own_stream::OwnStream;
pub use seam::{Event, Guard, Pending, Status, Upstreams};
pub use settings::Settings;
pub use stdio::{Error as StdioError, serve_pipe, serve_stdio};
pub use told::STATUS_TOOL;

/// Looked into by every call: keyed hashing that is much cheaper than the standard one. Every table is bounded.
pub(crate) type Map<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
