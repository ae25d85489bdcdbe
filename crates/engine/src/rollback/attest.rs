//! What an agent says about its run, held against the journal. A claim is data that proves nothing; what is answered
//! comes from the rows alone.

use super::change::{Change, Standing, Way};
use alloc::format;
use alloc::string::String;
use vocab::{Outcome, RollbackStatus, StepId, Verification};

/// What is said about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was done.
    Done,
    /// It was not done.
    NotDone,
    /// It was undone.
    Undone,
    /// It cannot be undone.
    CannotUndo,
}

impl Said {
    pub const ALL: [Self; 4] = [Self::Done, Self::NotDone, Self::Undone, Self::CannotUndo];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDone => "not_done",
            Self::Undone => "undone",
            Self::CannotUndo => "cannot_be_undone",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|said| said.as_str() == text)
    }
}

/// What the journal says to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    Confirmed {
        why: String,
        by: StepId,
    },
    Contradicted {
        why: String,
        by: StepId,
    },
    /// The journal has the step, and what became of it is not known.
    Unresolved {
        why: String,
        by: StepId,
    },
    NoRecord,
}

/// Judges a claim about these changes. "Done" needs one that shows it; the others are said of all of them, so that one
/// that contradicts refutes them.
//= S-04
pub fn attest<'a>(said: Said, about: impl IntoIterator<Item = &'a Change>, all: &[Change]) -> Claim {
    let mut best = Claim::NoRecord;
    for change in about {
        let judged = one(said, change, all);
        if rank(said, &judged) > rank(said, &best) {
            best = judged;
        }
    }
    best
}

const fn rank(said: Said, claim: &Claim) -> u8 {
    match (said, claim) {
        (_, Claim::NoRecord) => 0,
        (Said::Done, Claim::Confirmed { .. }) => 3,
        (Said::Done, Claim::Contradicted { .. }) | (_, Claim::Confirmed { .. }) => 1,
        (_, Claim::Unresolved { .. }) => 2,
        (_, Claim::Contradicted { .. }) => 3,
    }
}

fn one(said: Said, change: &Change, all: &[Change]) -> Claim {
    let by = change.step();
    let confirmed = |why: String| Claim::Confirmed { why, by };
    let contradicted = |why: String| Claim::Contradicted { why, by };
    let standing = change.standing();
    match said {
        Said::Done | Said::NotDone => {
            let (happened, why) = happened(change);
            match (happened, said == Said::Done) {
                (None, _) => Claim::Unresolved { why, by },
                (Some(true), true) | (Some(false), false) => confirmed(why),
                (Some(true), false) | (Some(false), true) => contradicted(why),
            }
        }
        Said::Undone => match standing.status {
            RollbackStatus::NotNeeded | RollbackStatus::RevertedVerified | RollbackStatus::RevertedUnverified => {
                confirmed(standing.why)
            }
            RollbackStatus::Unknown => Claim::Unresolved { why: standing.why, by },
            _ => match own_undo(change, all) {
                Some(step) => {
                    Claim::Confirmed { why: format!("step {step} made the call that takes it back"), by: step }
                }
                None => contradicted(still_stands(&standing)),
            },
        },
        Said::CannotUndo => match (standing.status, &change.way) {
            (RollbackStatus::Unknown, _) => Claim::Unresolved { why: standing.why, by },
            (RollbackStatus::RevertedVerified | RollbackStatus::RevertedUnverified | RollbackStatus::NotNeeded, _) => {
                contradicted(standing.why)
            }
            (RollbackStatus::NotAttempted, Way::Call(undoing)) => {
                let kind = undoing.plan.kind.as_str();
                contradicted(format!("it can be taken back: {kind} by {}.{}", undoing.upstream, undoing.tool))
            }
            (RollbackStatus::NotAttempted, Way::No { why, .. }) => contradicted(format!("it can be taken back {why}")),
            _ => confirmed(standing.why),
        },
    }
}

fn still_stands(standing: &Standing) -> String {
    format!("it still stands ({}): {}", standing.status, standing.why)
}

fn happened(change: &Change) -> (Option<bool>, String) {
    let status = &change.row.status;
    let read_back = match status.verification {
        Verification::Verified => ", and a read of the world shows it",
        Verification::Mismatch => ", and the read-back does not show it",
        Verification::None | Verification::Unverified(_) => ", which nobody has read back",
    };
    match status.outcome {
        _ if status.state.is_open() => (None, String::from("nobody knows yet whether it happened")),
        Some(Outcome::Succeeded) if status.verification == Verification::Mismatch => {
            (None, format!("the upstream said that it was done{read_back}"))
        }
        Some(Outcome::Succeeded) => (Some(true), format!("the upstream said that it was done{read_back}")),
        Some(Outcome::Applied) => (Some(true), String::from("evidence says that it happened")),
        Some(Outcome::NotExecuted | Outcome::Refused) => (Some(false), String::from("it did not run")),
        Some(Outcome::Absent) => (Some(false), String::from("evidence says that it did not happen")),
        Some(Outcome::Failed) => (Some(false), String::from("the upstream reported that it failed")),
        Some(Outcome::Unknown | Outcome::Diverged) | None => (None, String::from("nobody knows what became of it")),
    }
}

/// A later step of the agent's own that made the very call which takes the change back.
fn own_undo(change: &Change, all: &[Change]) -> Option<StepId> {
    let Way::Call(undoing) = &change.way else { return None };
    let wanted = checks::fingerprint(&undoing.args).ok()?;
    let made = |other: &&Change| {
        let intent = &other.row.intent;
        intent.upstream == undoing.upstream
            && intent.tool == undoing.tool
            && intent.fingerprint == wanted
            && other.at() >= change.at()
            && happened(other).0 == Some(true)
    };
    all.iter().find(made).map(Change::step)
}
