//! How requests reach MCP servers: child processes over stdio and streamable HTTP, of every revision.

mod config;
mod session;

pub use config::{Config, ConnectOptions, Implementation, Limits, Transport};
pub use session::{Incoming, Related, RequestOptions, Session, Sink};
