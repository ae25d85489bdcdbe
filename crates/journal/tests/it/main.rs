//! The backends against the contract, and what only the file backend must survive.

mod contract;
