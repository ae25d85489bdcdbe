//! One change of a run: can it be taken back, how, and how far has it been?

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use policy::undo::{Facts, Registered, UndoKind, UndoPlan};
use vocab::{Bytes, Code, Instant, Name, Outcome, RollbackStatus, State, StepId, StepRow, Verification};

/// Tries of one compensation, each a step of its own. Then a person is asked.
pub const TRIES_MAX: u32 = 3;

/// A step that changed something, or may have, with the steps that were to take it back.
#[derive(Debug)]
pub struct Change {
    pub row: StepRow,
    /// By number, from 0; without gaps.
    pub tries: Vec<StepRow>,
    pub way: Way,
}

/// The way back of one step, by what was registered with its intent.
#[derive(Debug)]
pub enum Way {
    Call(Arc<Undoing>),
    /// There is none that the gateway could go.
    No {
        status: RollbackStatus,
        why: String,
    },
}

/// A compensation that can be made: the change, and the call that takes it back.
#[derive(Debug)]
pub struct Undoing {
    pub change: StepRow,
    pub plan: UndoPlan,
    pub upstream: Name,
    pub tool: Name,
    /// The arguments of the call, as JSON.
    pub args: Bytes,
}

impl Undoing {
    /// What is stored about the change.
    pub fn facts(&self) -> Facts<'_> {
        facts(&self.change)
    }

    /// Is the world looked at immediately before?
    pub fn looks(&self) -> bool {
        self.plan.look().is_some()
    }
}

/// How far a change has been taken back, and what that rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub status: RollbackStatus,
    pub why: String,
    /// The compensation that it rests on.
    pub by: Option<StepId>,
}

impl Standing {
    pub(crate) fn new(status: RollbackStatus, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), by: None }
    }
}

impl Change {
    pub fn new(row: StepRow, tries: Vec<StepRow>) -> Self {
        let way = Way::of(&row);
        Self { row, tries, way }
    }

    pub fn step(&self) -> StepId {
        self.row.intent.step
    }

    /// When its effect was sent: changes are taken back in the opposite order.
    pub fn at(&self) -> Instant {
        self.row.status.last_sent_at.unwrap_or(self.row.intent.created_at)
    }

    /// Something of it may still be under way.
    pub fn is_open(&self) -> bool {
        self.row.status.state.is_open() || self.tries.iter().any(|row| row.status.state.is_open())
    }

    /// From the journal alone; never better than what is known.
    //= S-04
    //= G3
    pub fn standing(&self) -> Standing {
        match effect(&self.row) {
            Effect::None(why) => Standing::new(RollbackStatus::NotNeeded, why),
            Effect::Unknown(why) => Standing::new(RollbackStatus::Unknown, why),
            Effect::Stands => self.taken_back().unwrap_or_else(|| match &self.way {
                Way::Call(undoing) => {
                    let kind = undoing.plan.kind.as_str();
                    let why = format!("{kind} by {}.{}", undoing.upstream, undoing.tool);
                    Standing::new(RollbackStatus::NotAttempted, why)
                }
                Way::No { status, why } => Standing::new(*status, why.clone()),
            }),
        }
    }

    /// By what became of the compensations. One that nobody knows about makes it unknown; else the best one counts,
    /// because another is only made after one that took nothing back.
    fn taken_back(&self) -> Option<Standing> {
        let tried = || self.tries.iter().map(tried);
        tried().find(|one| one.status == RollbackStatus::Unknown).or_else(|| tried().min_by_key(|one| one.status))
    }

    /// The number of the compensation that may be made now: the next one, or an earlier one of which it is proven that
    /// it did not run. `None`: there is nothing to take back, nothing to do it with, or enough was tried.
    //= S-09
    pub fn next(&self) -> Option<u32> {
        if !matches!(self.way, Way::Call(_)) || !matches!(effect(&self.row), Effect::Stands) {
            return None;
        }
        let Some(last) = self.tries.last() else { return Some(0) };
        let number = u32::try_from(self.tries.len()).ok()?;
        match last.status.outcome {
            _ if last.status.state.is_open() => None,
            Some(Outcome::NotExecuted | Outcome::Refused) if !last.expired => Some(number - 1),
            Some(Outcome::Failed) if last.status.verification == Verification::Mismatch => None,
            Some(Outcome::NotExecuted | Outcome::Refused | Outcome::Failed | Outcome::Absent) => {
                (number < TRIES_MAX).then_some(number)
            }
            _ => None,
        }
    }
}

/// Did the step change something?
enum Effect {
    None(String),
    Stands,
    Unknown(String),
}

fn effect(row: &StepRow) -> Effect {
    if row.status.state == State::Held {
        return Effect::None("it was not sent".to_owned());
    }
    if row.status.state.is_open() {
        return Effect::Unknown(match row.status.state {
            State::Resolving => "nobody knows yet whether it happened".to_owned(),
            State::NeedsHuman => "nobody knows whether it happened; a person must say".to_owned(),
            state => format!("it is under way ({})", state.as_str()),
        });
    }
    match (row.status.outcome, row.status.verification) {
        (Some(Outcome::NotExecuted | Outcome::Refused), _) => Effect::None("it did not run".to_owned()),
        (Some(Outcome::Absent), _) => Effect::None("evidence says that it did not happen".to_owned()),
        (Some(Outcome::Failed), Verification::Verified) => {
            Effect::None("it failed, and a read shows that nothing changed".to_owned())
        }
        (Some(Outcome::Failed), _) => {
            Effect::Unknown("it failed, and may have changed something all the same".to_owned())
        }
        (Some(Outcome::Succeeded | Outcome::Applied), _) => Effect::Stands,
        (Some(Outcome::Diverged), _) => {
            Effect::Unknown("the world showed neither what was meant nor what was there before".to_owned())
        }
        (Some(Outcome::Unknown) | None, _) => Effect::Unknown("nobody knows whether it happened".to_owned()),
    }
}

/// What one compensation has come to.
fn tried(row: &StepRow) -> Standing {
    let (status, why) = match (row.status.state, row.status.outcome, row.status.verification) {
        (state, ..) if state.is_open() => (RollbackStatus::Unknown, "nobody knows yet whether it was taken back"),
        (_, Some(Outcome::Succeeded | Outcome::Applied), Verification::Verified) => {
            (RollbackStatus::RevertedVerified, "taken back, and a read of the world shows it")
        }
        (_, Some(Outcome::Succeeded), Verification::Mismatch) => (
            RollbackStatus::RevertFailed,
            "the upstream said that it was taken back, and the read-back does not show it",
        ),
        (_, Some(Outcome::Succeeded | Outcome::Applied), _) => {
            (RollbackStatus::RevertedUnverified, "the upstream says that it was taken back; nobody has read it back")
        }
        (_, Some(Outcome::Refused), _) if row.status.told == Some(Code::RollbackConflict) => {
            (RollbackStatus::Conflict, "somebody else has changed it since: taking it back would overwrite that")
        }
        (_, Some(Outcome::NotExecuted | Outcome::Refused), _) => {
            (RollbackStatus::NotAttempted, "taking it back was tried, and nothing was sent")
        }
        (_, Some(Outcome::Absent), _) => {
            (RollbackStatus::RevertFailed, "taking it back was sent, and evidence says that it did not happen")
        }
        (_, Some(Outcome::Failed), Verification::Mismatch) | (_, Some(Outcome::Diverged), _) => {
            (RollbackStatus::PartiallyReverted, "the world shows neither the change nor what was there before it")
        }
        (_, Some(Outcome::Failed), _) => {
            (RollbackStatus::RevertFailed, "the upstream reports that it could not be taken back")
        }
        (_, Some(Outcome::Unknown) | None, _) => (RollbackStatus::Unknown, "nobody knows whether it was taken back"),
    };
    Standing { by: Some(row.intent.step), ..Standing::new(status, why) }
}

impl Way {
    //= S-05
    fn of(row: &StepRow) -> Self {
        match Self::find(row) {
            Ok(way) => way,
            Err(why) => Self::No { status: RollbackStatus::NotRevertible, why },
        }
    }

    fn find(row: &StepRow) -> Result<Self, String> {
        if row.expired {
            return Err("what it wrote and was answered is not kept any more".to_owned());
        }
        let stored = row.intent.undo.as_ref().ok_or("its policy did not say how it is taken back")?;
        let plan = match Registered::read(stored)? {
            Registered::Plan(plan) => plan,
            Registered::Compensates { step, .. } => return Err(format!("it takes back step {step} itself")),
        };
        match (plan.kind, &plan.call) {
            (UndoKind::Manual, _) => {
                let why = format!("by hand: {}", plan.note);
                Ok(Self::No { status: RollbackStatus::NotAttempted, why })
            }
            (_, Some((upstream, tool))) => {
                if plan.needs_preimage() && row.intent.preimage.is_none() {
                    return Err("what was there before could not be read".to_owned());
                }
                let args = plan.call_args(&facts(row))?;
                let (upstream, tool) = (upstream.clone(), tool.clone());
                Ok(Self::Call(Arc::new(Undoing { change: row.clone(), plan, upstream, tool, args })))
            }
            (_, None) if plan.note.is_empty() => Err("there is no way back".to_string()),
            (_, None) => Err(plan.note),
        }
    }
}

fn facts(row: &StepRow) -> Facts<'_> {
    Facts {
        args: &row.intent.args,
        result: row.result.as_deref(),
        preimage: row.intent.preimage.as_deref(),
        key: row.intent.upstream_key.as_deref(),
    }
}
