//! Which step handed out a state of `input_required`, so that the call that continues it is known as its leg.
//!
//! Bounded and in memory, and filled again from the open steps of the journal: a state that is not known names no step
//! that waits for input.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use vocab::{Hash, Instant, StepId, StepIntent};

/// States that are remembered at once.
const LEGS_MAX: usize = 8_192;

/// The step that handed a state out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) key: Hash,
    pub(crate) step: StepId,
}

pub(crate) struct Legs {
    ttl: Duration,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// State of a caller's tool and arguments -> the step that handed it out, and when.
    parents: HashMap<Hash, (Parent, Instant)>,
    order: VecDeque<(Hash, Instant)>,
}

impl Legs {
    pub(crate) fn new(ttl: Duration) -> Self {
        Self { ttl, inner: Mutex::default() }
    }

    pub(crate) fn handed_out(&self, state: Hash, by: Parent, now: Instant) {
        let mut inner = self.inner.lock();
        inner.parents.insert(state, (by, now));
        inner.order.push_back((state, now));
        while let Some(&(oldest, at)) = inner.order.front() {
            if inner.order.len() <= LEGS_MAX && now.since(at) < self.ttl {
                break;
            }
            inner.order.pop_front();
            // A state that was handed out again since stays.
            if inner.parents.get(&oldest).is_some_and(|(_, since)| *since == at) {
                inner.parents.remove(&oldest);
            }
        }
    }

    pub(crate) fn parent(&self, state: &Hash, now: Instant) -> Option<Parent> {
        let inner = self.inner.lock();
        inner.parents.get(state).filter(|(_, at)| now.since(*at) < self.ttl).map(|(by, _)| *by)
    }
}

/// Remembers what an answer of a step asks its caller to bring back.
pub(crate) fn hand_out(legs: &Legs, intent: &StepIntent, state: &[u8], now: Instant) {
    let StepIntent { tenant, principal, upstream, tool, .. } = intent;
    let owner = checks::identity::Owner { tenant, principal, upstream, tool };
    // The arguments' own hash: a leg's fingerprint holds its state besides.
    if let Ok(fingerprint) = checks::fingerprint(&intent.args) {
        let parent = Parent { key: intent.key, step: intent.step };
        legs.handed_out(self::state(&owner, &fingerprint, state), parent, now);
    }
}

/// Names a state: what one principal was handed by one tool for one set of arguments.
pub(crate) fn state(owner: &checks::identity::Owner<'_>, fingerprint: &Hash, state: &[u8]) -> Hash {
    checks::identity::hash(&[
        b"state1",
        owner.tenant.as_bytes(),
        owner.principal.as_bytes(),
        owner.upstream.as_bytes(),
        owner.tool.as_bytes(),
        &fingerprint.0,
        state,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u8) -> Hash {
        Hash([number; 32])
    }

    fn parent(number: u8) -> Parent {
        Parent { key: hash(number), step: StepId([number; 16]) }
    }

    #[test]
    fn a_state_leads_to_the_step_that_handed_it_out_last() {
        let legs = Legs::new(Duration::from_secs(10));
        let now = Instant::from_micros(1_000_000);
        legs.handed_out(hash(1), parent(7), now);
        legs.handed_out(hash(1), parent(8), now + Duration::from_secs(1));
        assert_eq!(legs.parent(&hash(1), now + Duration::from_secs(2)), Some(parent(8)));
        assert_eq!(legs.parent(&hash(2), now), None);
        assert_eq!(legs.parent(&hash(1), now + Duration::from_secs(12)), None);
    }

    #[test]
    fn states_beyond_the_bound_push_out_the_oldest() {
        let legs = Legs::new(Duration::from_secs(10));
        let now = Instant::from_micros(1);
        for number in 0..=LEGS_MAX {
            legs.handed_out(checks::identity::hash(&[&number.to_le_bytes()]), parent(1), now);
        }
        assert_eq!(legs.inner.lock().parents.len(), LEGS_MAX);
        assert_eq!(legs.parent(&checks::identity::hash(&[&0_usize.to_le_bytes()]), now), None);
    }
}
