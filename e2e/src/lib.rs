//! What the black-box tests and the measurements share: the built gateway as a process, and servers as processes.

mod binary;
pub mod effects;
pub mod foreign;
pub mod gateway;
pub mod kills;
pub mod page;
pub mod replicas;
pub mod rogue;
pub mod server;

pub use binary::{binary, failpoints_binary, skip};
pub use gateway::{Gateway, wrap};
pub use server::Server;
