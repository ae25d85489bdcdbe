//! Taking a run's changes back: what can be undone now, doing it, and an agent's word held against the journal.
//!
//! What is said comes from the journal's rows and from reads made now. A rollback is a loop around ordinary guarded
//! steps: killed anywhere, it begins again from the rows, and a step's key keeps each compensation from running twice.

mod attest;
mod call;
mod find;
mod link;
mod perform;

pub use attest::{Attested, Statement, attest};
pub use engine::rollback::{Claim, Said, TRIES_MAX};
pub use find::at_rest;
pub(crate) use perform::Turns;

use engine::rollback::{Change, Standing, Way};
use std::sync::Arc;
use vocab::{Effect, Instant, Name, Outcome, RollbackStatus, RunId, State, StepId, Verification};

/// Changes of one run that a rollback looks at.
pub const CHANGES_MAX: usize = 1_000;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RollbackError {
    #[error("find the run {0}: the journal has no change of it")]
    NotFound(RunId),
    #[error("find the checkpoint: step {0} is no change of this run")]
    NoCheckpoint(StepId),
    #[error("roll the run back: it has more than {CHANGES_MAX} changes")]
    TooMany,
    #[error("roll the run back: that is under way already")]
    Busy,
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

/// A run and how far it has been taken back: its worst change stands for it.
#[derive(Clone, Debug)]
pub struct Report {
    pub run: RunId,
    pub status: RollbackStatus,
    /// The same for a person, in one line.
    pub sentence: String,
    /// The latest first: the order in which they are taken back.
    pub changes: Vec<Reported>,
}

/// One change of a run. Each is a checkpoint too: a point to return to.
#[derive(Clone, Debug)]
pub struct Reported {
    pub step: StepId,
    pub upstream: Name,
    pub tool: Name,
    pub effect: Effect,
    /// When it was sent.
    pub at: Instant,
    pub state: State,
    pub outcome: Option<Outcome>,
    pub verification: Verification,
    pub status: RollbackStatus,
    pub why: String,
    /// The compensation that the status rests on.
    pub by: Option<StepId>,
    /// How many compensations were begun.
    pub tries: usize,
    /// Kind, tool and arguments (as an expression) of what takes it back.
    pub way: Option<String>,
    /// Can it be taken back now? `None`: nobody looked.
    pub possible: Option<bool>,
    /// What was found out just now.
    pub evidence: Vec<String>,
    /// What it was before is kept.
    pub preimage: bool,
    /// From here on the run can only go forward: the first change without a way back.
    pub pivot: bool,
}

impl Report {
    /// By the journal alone.
    fn of<'a>(run: RunId, items: impl IntoIterator<Item = (&'a Change, &'a Standing)>) -> Self {
        let items: Vec<_> = items.into_iter().collect();
        let status = engine::rollback::worst(items.iter().copied());
        let sentence = engine::rollback::sentence(items.iter().copied(), &clock);
        let mut changes: Vec<_> = items.into_iter().map(|(change, standing)| Reported::of(change, standing)).collect();
        // The earliest one stands last.
        let pivot = changes.iter_mut().rev().find(|one| one.status == RollbackStatus::NotRevertible);
        if let Some(pivot) = pivot {
            pivot.pivot = true;
        }
        Self { run, status, sentence, changes }
    }
}

impl Reported {
    fn of(change: &Change, standing: &Standing) -> Self {
        let (intent, status) = (&change.row.intent, &change.row.status);
        let way = match &change.way {
            Way::Call(undoing) => {
                let args = undoing.plan.args_source();
                Some(format!("{} by {}.{} {args}", undoing.plan.kind.as_str(), undoing.upstream, undoing.tool))
            }
            Way::No { .. } => None,
        };
        Self {
            step: intent.step,
            upstream: intent.upstream.clone(),
            tool: intent.tool.clone(),
            effect: intent.effect,
            at: change.at(),
            state: status.state,
            outcome: status.outcome,
            verification: status.verification,
            status: standing.status,
            why: standing.why.clone(),
            by: standing.by,
            tries: change.tries.len(),
            way,
            possible: None,
            evidence: Vec::new(),
            preimage: intent.preimage.is_some(),
            pivot: false,
        }
    }
}

/// Hours and minutes, UTC.
fn clock(at: Instant) -> String {
    let minutes = at.as_micros() / 60_000_000 % (24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// A change for which a compensation can be made.
fn undoing(change: &Change) -> Option<&Arc<engine::rollback::Undoing>> {
    match &change.way {
        Way::Call(undoing) => Some(undoing),
        Way::No { .. } => None,
    }
}
