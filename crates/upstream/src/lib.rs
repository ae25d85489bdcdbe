//! How requests reach MCP servers: child processes over stdio and streamable HTTP, of every revision.

mod session;

pub use session::{Incoming, Related, RequestOptions, Session, Sink};
