//! The order in which changes are taken back: the latest first, and never an earlier one of the same target while a later
//! one is in the way.

use super::change::{Change, Standing};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use vocab::{Name, RollbackStatus, StepId};

/// A rollback under way: one compensation at a time.
///
/// `advance`, then make what it asks for and give the change back by `ended`, until it is done. It holds no truth of its
/// own: begun again from the journal's rows it goes on where it was.
#[derive(Debug)]
pub struct Rollback {
    /// The latest first.
    changes: Vec<Marked>,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make the compensation of this number for this change.
    Undo {
        step: StepId,
        number: u32,
    },
    /// One is under way.
    Wait,
    Done,
}

#[derive(Debug)]
struct Marked {
    change: Change,
    /// Targets that it, and what takes it back, act on; by upstream.
    targets: Vec<(Name, Name)>,
    /// Its target is declared.
    declared: bool,
    mark: Mark,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Waits,
    Runs,
    Over,
}

impl Rollback {
    /// Each change with the target of its compensation, as far as one is declared.
    pub fn new(changes: impl IntoIterator<Item = (Change, Option<Name>)>) -> Self {
        let marked = changes.into_iter().map(|(change, lane)| Marked::new(change, lane));
        let mut changes = marked.collect::<Vec<_>>();
        changes.sort_by_key(|marked| core::cmp::Reverse((marked.change.at(), marked.change.step())));
        Self { changes }
    }

    /// What to do next. A change that cannot be taken back is passed over; one that an earlier trouble stands in the way
    /// of stays as it is.
    //= S-04
    pub fn advance(&mut self) -> Next {
        for index in 0..self.changes.len() {
            match self.changes[index].mark {
                Mark::Over => {}
                Mark::Runs => return Next::Wait,
                Mark::Waits => {
                    if let Some(next) = self.begin(index) {
                        return next;
                    }
                }
            }
        }
        Next::Done
    }

    fn begin(&mut self, index: usize) -> Option<Next> {
        let in_the_way = self.in_the_way(index);
        let marked = &mut self.changes[index];
        let Some(number) = marked.change.next() else {
            marked.mark = Mark::Over;
            return None;
        };
        if let Some((step, status)) = in_the_way {
            marked.mark = Mark::Over;
            let why = format!("step {step}, which came later on the same target, is in the way: {status}");
            marked.standing = Standing::new(RollbackStatus::NotAttempted, why);
            return None;
        }
        marked.mark = Mark::Runs;
        Some(Next::Undo { step: marked.change.step(), number })
    }

    /// A compensation has ended, or could not be begun: the change as the journal has it now, and what is known besides
    /// about one that was not sent.
    pub fn ended(&mut self, change: Change, why: Option<String>) {
        let step = change.step();
        let Some(marked) = self.changes.iter_mut().find(|marked| marked.change.step() == step) else { return };
        marked.standing = change.standing();
        if let Some(why) = why.filter(|_| marked.standing.status == RollbackStatus::NotAttempted) {
            marked.standing.why = why;
        }
        marked.change = change;
        marked.mark = Mark::Over;
    }

    /// Every change and how far it has been taken back, the latest first.
    pub fn standings(&self) -> impl Iterator<Item = (&Change, &Standing)> {
        self.changes.iter().map(|marked| (&marked.change, &marked.standing))
    }

    /// A later change whose taking back went wrong, and that this one may not pass.
    fn in_the_way(&self, index: usize) -> Option<(StepId, RollbackStatus)> {
        let this = &self.changes[index];
        let later = self.changes[..index].iter().filter(|later| later.stops(this));
        later.map(|later| (later.change.step(), later.standing.status)).next()
    }
}

impl Marked {
    fn new(change: Change, lane: Option<Name>) -> Self {
        let intent = &change.row.intent;
        let own = intent.lane.clone().map(|lane| (intent.upstream.clone(), lane));
        let declared = own.is_some();
        let undo = match (&change.way, lane) {
            (super::Way::Call(undoing), Some(lane)) => Some((undoing.upstream.clone(), lane)),
            _ => None,
        };
        let standing = change.standing();
        Self { targets: own.into_iter().chain(undo).collect(), declared, mark: Mark::Waits, standing, change }
    }

    /// Failure stops what depends on it, and nothing else: what shares a target with it. Something that may still happen
    /// on a target that nobody declared may be about anything of its upstream.
    fn stops(&self, earlier: &Self) -> bool {
        let went_wrong = match self.standing.status {
            RollbackStatus::PartiallyReverted
            | RollbackStatus::Conflict
            | RollbackStatus::RevertFailed
            | RollbackStatus::Unknown => true,
            // It was to be taken back and was not.
            RollbackStatus::NotAttempted => self.change.next().is_some(),
            RollbackStatus::NotNeeded
            | RollbackStatus::RevertedVerified
            | RollbackStatus::RevertedUnverified
            | RollbackStatus::NotRevertible => false,
        };
        if !went_wrong {
            return false;
        }
        let shared = self.targets.iter().any(|target| earlier.targets.contains(target));
        let is_open = self.change.is_open() && self.change.row.intent.upstream == earlier.change.row.intent.upstream;
        shared || (is_open && !(self.declared && earlier.declared))
    }
}
