//! How requests reach MCP servers: child processes over stdio and streamable HTTP, of every revision.

mod config;
mod connect;
mod failure;
mod handshake;
mod http;
mod known;
mod pending;
mod session;
mod stdio;

pub use config::{Config, ConnectOptions, Environment, Implementation, Known, Limits, Transport};
pub use connect::connect;
pub use session::{Gate, Incoming, Related, RequestOptions, Session, Sink};
pub use stdio::end_children_of_earlier_starts;
