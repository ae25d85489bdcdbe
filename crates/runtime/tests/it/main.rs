//! The runtime with a real engine, a journal in memory, and an upstream whose effects are counted.

mod bench;

mod boundary;
mod calls;
mod crowd;
mod durability;
mod ending;
mod keys;
mod plans;
mod prompt;
mod restart;
mod rollback;
mod unknown;
mod upstream;
