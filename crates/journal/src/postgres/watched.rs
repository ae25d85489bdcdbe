//! Steps of other owners that somebody here waits for, each with the state in which it was seen.

use parking_lot::Mutex;
use std::collections::HashMap;
use vocab::{State, StepId};

#[derive(Default)]
pub(super) struct Watched(Mutex<HashMap<StepId, State>>);

impl Watched {
    /// The first of several who wait for one step saw the earliest state: by that it is looked at, so that each of them
    /// hears of what came after.
    pub(super) fn watch(&self, step: StepId, state: State) {
        self.0.lock().entry(step).or_insert(state);
    }

    pub(super) fn steps(&self) -> Vec<StepId> {
        self.0.lock().keys().copied().collect()
    }

    /// Those that moved on, each told once.
    pub(super) fn moved(&self, is: impl Fn(StepId, State) -> bool) -> Vec<StepId> {
        let mut moved = Vec::new();
        self.0.lock().retain(|step, state| {
            let is_moved = is(*step, *state);
            if is_moved {
                moved.push(*step);
            }
            !is_moved
        });
        moved
    }
}
