//! Calls by the step of another owner that they wait for.

use parking_lot::Mutex;
use std::collections::HashMap;
use vocab::{CallId, StepId};

#[derive(Default)]
pub(crate) struct Waiting {
    calls: Mutex<HashMap<StepId, Vec<CallId>>>,
}

impl Waiting {
    pub(crate) fn add(&self, step: StepId, call: CallId) {
        self.calls.lock().entry(step).or_default().push(call);
    }

    pub(crate) fn take(&self, step: StepId) -> Vec<CallId> {
        self.calls.lock().remove(&step).unwrap_or_default()
    }
}
