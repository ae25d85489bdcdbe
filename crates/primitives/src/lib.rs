//! Small machines that know nothing of steps: each takes time and entropy as arguments.
#![no_std]
#![forbid(unsafe_code)]

pub mod backoff;
pub mod entropy;
