//! Conversations through the door, against upstreams in memory and real ones.

mod calls;
mod eras;
mod federation;
mod guarded;
mod hostile;
mod one;
mod pipe;
mod support;
