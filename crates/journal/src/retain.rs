//! How long a step is kept: the rule that every backend follows.

use crate::Retention;
use std::sync::Arc;
use std::time::Duration;
use vocab::planted::{self, Planted};
use vocab::{Bytes, Hash, Instant, Outcome, State, StepIntent, StepRow};

const HOUR: Duration = Duration::from_secs(3600);

impl Default for Retention {
    /// Bodies 24 h, as the large payment interfaces keep theirs; tombstones 30 days; notes of reads 24 h.
    fn default() -> Self {
        Self { bodies: 24 * HOUR, tombstones: 30 * 24 * HOUR, reads: 24 * HOUR }
    }
}

/// What retention does with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Keep,
    /// Bodies and events go; the row stays and blocks its key.
    Entomb,
    Drop,
}

//= G6
pub(crate) fn fate(row: &StepRow, now: Instant, keep: &Retention) -> Fate {
    let unknown_since = row.status.first_sent_at.filter(|_| row.status.outcome == Some(Outcome::Unknown));
    if planted::is(Planted::UnknownExpires) && unknown_since.is_some_and(|at| now.since(at) >= keep.bodies) {
        return Fate::Drop;
    }
    let known = !matches!(row.status.outcome, Some(Outcome::Unknown | Outcome::Diverged));
    let (State::Closed, true, Some(closed_at)) = (row.status.state, known, row.status.closed_at) else {
        return Fate::Keep;
    };
    let age = now.since(closed_at);
    match row.expired {
        // A tombstone never goes before the bodies would.
        true if age >= keep.tombstones.max(keep.bodies) => Fate::Drop,
        false if age >= keep.bodies => Fate::Entomb,
        _ => Fate::Keep,
    }
}

/// What is left of a row: identity, owner, outcome and times.
pub(crate) fn tombstone(row: &StepRow) -> StepRow {
    let intent = StepIntent {
        content: Hash::default(),
        scope: Hash::default(),
        policy: Hash::default(),
        lane: None,
        args: Bytes::new(),
        upstream_key: None,
        preimage: None,
        undo: None,
        ..StepIntent::clone(&row.intent)
    };
    let mut status = row.status.clone();
    status.remote_task = None;
    status.next_action_at = None;
    StepRow { intent: Arc::new(intent), status, epoch: row.epoch, result: None, expired: true }
}
