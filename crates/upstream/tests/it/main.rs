//! Sessions against servers that behave, and against bytes that do not.

mod child;
mod contract;
mod eras;
mod failures;
mod headers;
mod many;
mod rig;
mod stdio;
mod streams;
mod wire;
