//! Sessions against servers that behave, and against bytes that do not.

mod child;
mod contract;
mod eras;
mod rig;
mod stdio;
