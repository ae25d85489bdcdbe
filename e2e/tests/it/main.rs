//! The built binary through its doors, against servers with a ledger: what it promises is counted, not believed.

mod clients;
mod conformance;
mod disk;
mod effects;
mod gateway;
mod hostile;
mod kills;
mod replicas;
mod rogue;
mod servers;
mod tls;
mod undo;
