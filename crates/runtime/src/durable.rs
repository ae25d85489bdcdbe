//! Between the engine's appends and the journal's commits.

use crate::failpoint;
use crate::shell::Shell;
use engine::{Input, NotDurable};
use journal::{Durable, Error};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;
use vocab::{Record, State, StepId};

/// Microseconds between two log lines about a journal that fails: under load there would be thousands.
const TROUBLE_EVERY: u64 = 1_000_000;

/// One append that somebody waits for.
pub(crate) struct Commit {
    pub(crate) step: Option<StepId>,
    /// An attempt follows it.
    pub(crate) dispatches: bool,
    kind: Kind,
    told: Option<oneshot::Sender<Result<(), Error>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Intent,
    Outcome,
    Other,
}

impl Commit {
    pub(crate) fn of(records: &[Record]) -> Self {
        let mut commit = Self { step: None, dispatches: false, kind: Kind::Other, told: None };
        // What stands first is what the append is about; other steps may end or lose a permit with it.
        let about = records.iter().find(|record| matches!(record, Record::Insert { .. } | Record::Update { .. }));
        match about {
            Some(Record::Insert { intent, status, .. }) => {
                commit.step = Some(intent.step);
                commit.dispatches = status.state == State::Dispatched;
                commit.kind = if status.state.is_open() { Kind::Intent } else { Kind::Outcome };
            }
            Some(Record::Update { step, status, .. }) => {
                commit.step = Some(*step);
                commit.dispatches = status.state == State::Dispatched;
                if status.state == State::Closed && status.outcome.is_some() {
                    commit.kind = Kind::Outcome;
                }
            }
            Some(Record::Event(_) | Record::Read(_) | Record::Guard(_)) | None => {}
        }
        commit
    }

    pub(crate) fn tell(&mut self, told: oneshot::Sender<Result<(), Error>>) {
        self.told = Some(told);
    }

    pub(crate) fn begins(&self) {
        match self.kind {
            Kind::Intent => failpoint::hit("before_intent_commit"),
            Kind::Outcome => failpoint::hit("before_outcome_commit"),
            Kind::Other => {}
        }
    }

    pub(crate) fn ended(self, result: Result<(), Error>) -> Option<StepId> {
        match self.kind {
            Kind::Intent if result.is_ok() => failpoint::hit("after_intent_commit"),
            Kind::Outcome if result.is_ok() => failpoint::hit("after_outcome_commit"),
            _ => {}
        }
        if let Some(told) = self.told {
            // Whoever asked may have left.
            drop(told.send(result));
        }
        self.step
    }
}

/// What a refused append means for the step that waits.
pub(crate) const fn refusal(error: &Error) -> NotDurable {
    match error {
        Error::Conflict | Error::Fenced => NotDurable::Fenced,
        _ => NotDurable::Unavailable,
    }
}

/// What the end of an append tells the engine.
pub(crate) fn ended(Durable { ticket, result }: &Durable) -> Input {
    match result {
        Ok(_) => Input::Durable { ticket: *ticket },
        Err(error) => Input::NotDurable { ticket: *ticket, why: refusal(error) },
    }
}

impl Shell {
    /// Queues records. An error is the engine's to act on when somebody waits; else it costs a note.
    pub(crate) fn append(&self, records: Vec<Record>, ticket: Option<u64>) -> Result<(), Error> {
        let result = self.journal.append(records, ticket);
        if let Err(error) = &result {
            self.troubled(error);
        }
        result
    }

    /// The journal's own thread says what became durable. It goes back to its disk at once: the engine goes on in one
    /// task for all of a commit, next to the tasks that it wakes.
    pub(crate) fn durable(self: &Arc<Self>, done: Vec<Durable>) {
        let shell = Arc::clone(self);
        let going_on = async move {
            let inputs: Vec<_> = done.into_iter().map(|done| shell.ended(done)).collect();
            shell.feed(inputs);
            shell.moved.notify_waiters();
        };
        self.tasks.spawn_on(going_on, &self.handle);
    }

    fn ended(&self, done: Durable) -> Input {
        if let Err(error) = &done.result {
            self.troubled(error);
        }
        ended(&done)
    }

    /// Told to operators: once where it ends the process, else now and then.
    pub(crate) fn troubled(&self, error: &Error) {
        match error {
            Error::Poisoned(_) => {
                let is_first = self.poisoned.send_if_modified(|known| {
                    let is_first = known.is_none();
                    if is_first {
                        *known = Some(error.clone());
                    }
                    is_first
                });
                if is_first {
                    tracing::error!(%error, "the journal cannot be trusted any more");
                }
            }
            // Somebody else's claim: the engine's business.
            Error::Conflict | Error::Closed => {}
            _ => {
                let now = self.clock.now().as_micros();
                let last = self.troubled_at.load(Ordering::Relaxed);
                if now >= last + TROUBLE_EVERY && self.troubled_at.swap(now, Ordering::Relaxed) == last {
                    tracing::warn!(%error, "the journal did not do what it was asked to");
                }
            }
        }
    }
}
