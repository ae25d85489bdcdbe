//! Ids: the only place where randomness is drawn.

use std::sync::atomic::{AtomicU64, Ordering};
use vocab::{CallId, StepId};

#[derive(Default)]
pub(crate) struct Ids {
    calls: AtomicU64,
}

impl Ids {
    pub(crate) fn call(&self) -> CallId {
        CallId(self.calls.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Sorts by time of arrival within the process.
    pub(crate) fn step() -> StepId {
        StepId(uuid::Uuid::now_v7().into_bytes())
    }
}
