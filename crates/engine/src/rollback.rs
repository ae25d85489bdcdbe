//! Taking changes back: what a run changed, how far each change has been taken back, and in which order the rest is.
//!
//! A compensation is an ordinary guarded step with a key of its own, so that what holds for steps holds for it: it runs
//! at most once, is read back, and may be unknown. Nothing here is remembered besides: what is said comes from the rows
//! of the journal alone, and a rollback that was killed begins again from them.

mod attest;
mod change;
mod order;
mod told;

pub use attest::{Claim, Said, attest};
pub use change::{Change, Standing, TRIES_MAX, Undoing, Way};
pub use order::{Next, Rollback};
pub use told::{Item, can_be_undone, sentence, worst};
