//! The upstreams of a policy as they are reached: their configurations, and the gateway's own sessions with them.

mod config;
mod own;

pub use config::{Kept, config};
pub use own::{Own, facts};
