//! A running gateway: journal, runtime, doors and the operator's side, from start to drain.

mod banner;
mod bundled;
mod learner;
mod office;
mod reload;
mod roster;
mod signals;
mod slots;
mod start;
mod up;
mod wrap;

pub use start::options;
pub use up::run as up;
pub use wrap::run as wrap;
