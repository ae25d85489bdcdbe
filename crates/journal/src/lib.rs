//! The journal: what was intended, sent, answered and decided, durable in the order in which it happened.

mod api;
mod chain;
pub mod contract;
pub mod crash;
mod gap;
pub mod hostile;
pub mod memory;
mod migrate;
mod packed;
pub mod postgres;
mod reads;
mod replicas;
mod retain;
pub mod sqlite;
mod twins;

pub use api::{
    Backup, Durable, Error, Filter, Journal, Maintained, Notify, Recall, Recalled, Retention, RunSummary, Start,
    StoredEvent, Ticket, Verified,
};
pub use crash::Crash;
pub use gap::doubt;
pub use memory::Memory;
pub use migrate::{Migrated, migrate};
pub use postgres::Postgres;
pub use replicas::{Change, Order, Replicas, Seen, SeenBoth, Tell, sends_for};
pub use sqlite::Sqlite;
