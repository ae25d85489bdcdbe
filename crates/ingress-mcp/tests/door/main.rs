//! Conversations through the door, against upstreams in memory and real ones.

mod calls;
mod eras;
mod one;
mod support;
