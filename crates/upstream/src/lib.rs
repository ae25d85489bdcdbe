//! How requests reach MCP servers: child processes over stdio and streamable HTTP, of every revision.

mod config;
mod failure;
mod http;
mod pending;
mod session;
mod stdio;

pub use config::{Config, ConnectOptions, Environment, Implementation, Limits, Transport};
pub use session::{Incoming, Related, RequestOptions, Session, Sink};
pub use stdio::end_children_of_earlier_starts;
