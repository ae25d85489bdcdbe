//! Whose steps are in memory, so that a caller can be told of its own without looking at everybody's.

use std::collections::{BTreeSet, HashMap};
use vocab::{Name, StepId};

#[derive(Default)]
pub(super) struct Owners {
    /// By tenant and principal.
    steps: HashMap<(Name, Name), BTreeSet<StepId>>,
}

impl Owners {
    pub(super) fn add(&mut self, owner: &(Name, Name), step: StepId) {
        self.steps.entry(owner.clone()).or_default().insert(step);
    }

    pub(super) fn remove(&mut self, owner: &(Name, Name), step: StepId) {
        if let Some(steps) = self.steps.get_mut(owner) {
            steps.remove(&step);
            if steps.is_empty() {
                self.steps.remove(owner);
            }
        }
    }

    /// Newest first.
    pub(super) fn of(&self, tenant: &Name, principal: &Name) -> impl Iterator<Item = StepId> {
        let steps = self.steps.get(&(tenant.clone(), principal.clone()));
        steps.into_iter().flat_map(|steps| steps.iter().rev().copied())
    }
}
