//! The backends against the contract, and what only the file backend must survive.

mod contract;
mod crashes;
mod disk;
mod files;
mod kill;
mod plans;
mod postgres;
mod power;
mod stored;
mod tail;
