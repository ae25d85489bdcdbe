//! Feeds the engine and performs what it decides.
//!
//! Decisions and appends happen under one lock, everything else after it: nothing is awaited, called back or dropped
//! inside.

use crate::admit::{self, With};
use crate::alarm::Alarm;
use crate::api::{Arrival, CallError, Reader, Request};
use crate::books::{Books, unsent};
use crate::clock::Clock;
use crate::ids::Ids;
use crate::jobs::Jobs;
use crate::legs::Legs;
use crate::pending::Pending;
use crate::report::About;
use crate::rollback::Turns;
use crate::settings::Settings;
use crate::slot::{self, Slot};
use crate::tools::{Tool, Tools};
use crate::waiting::Waiting;
use crate::{answer, attempt, gap, told, world};
use arc_swap::ArcSwap;
use engine::{AnswerKind, Input, Left, TaskEnd};
use journal::{Journal, Recall};
use parking_lot::Mutex;
use policy::Policy;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vocab::{CallId, StepId};

pub(crate) struct Shell {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) handle: Handle,
    pub(crate) policy: ArcSwap<Policy>,
    pub(crate) tools: Tools,
    pub(crate) legs: Legs,
    pub(crate) journal: Arc<dyn Journal>,
    /// Who waits for steps of other owners of the journal.
    pub(crate) waiting: Waiting,
    pub(crate) reader: Arc<dyn Reader>,
    /// Attempts of mutations and reads of the world.
    pub(crate) tasks: TaskTracker,
    /// The alarm and the keeper.
    pub(crate) chores: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) alarm: Arc<Alarm>,
    pub(crate) quiet: Notify,
    /// A read of the world has ended, or something became durable.
    pub(crate) moved: Notify,
    pub(crate) poisoned: watch::Sender<Option<journal::Error>>,
    /// When the last trouble with the journal was logged.
    pub(crate) troubled_at: AtomicU64,
    pub(crate) ids: Ids,
    pub(crate) turns: Turns,
    pub(crate) books: Mutex<Books>,
}

/// What a tool that its upstream has not listed is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unlisted {
    Refused,
    /// One without schemas and annotations.
    Assumed,
}

impl Shell {
    /// # Errors
    /// The call is no step.
    pub(crate) fn call(self: &Arc<Self>, request: Request, unlisted: Unlisted) -> Result<Pending, CallError> {
        let tool = match (self.tools.get(&request.upstream, &request.tool), unlisted) {
            (Some(tool), _) => tool,
            (None, Unlisted::Assumed) => Arc::new(Tool::unlisted(&request.upstream, &request.tool)),
            (None, Unlisted::Refused) => return Err(CallError::UnknownTool(request.tool.to_string())),
        };
        let policy = self.policy.load();
        let now = self.clock.now();
        let with = With { settings: &self.settings, policy: &policy, tool: &tool, legs: &self.legs, now };
        let call = admit::admit(&with, &request, self.ids.call(), Ids::step())?;
        let about = About {
            run: call.run,
            principal: request.principal.clone(),
            upstream: tool.upstream.clone(),
            tool: tool.name.clone(),
            effect: call.rules.effect,
        };
        let slot = Slot::new(call.call, call.step, tool, about, request.link);
        let calls_max = usize::try_from(policy.limits.calls_max).unwrap_or(usize::MAX).min(self.settings.calls_max);
        let mut jobs = Jobs::default();
        {
            let mut books = self.books.lock();
            if books.draining {
                return Err(CallError::Draining);
            }
            if books.callers() >= calls_max {
                slot.push(told::overloaded(&slot, calls_max));
            } else {
                books.add(&slot, &request.tenant, &request.principal);
                books.handle(self, self.clock.now(), Input::Call(Box::new(call)), &mut jobs);
            }
        }
        self.perform(jobs);
        Ok(Pending::new(Arc::clone(self), slot))
    }

    pub(crate) fn feed(self: &Arc<Self>, inputs: impl IntoIterator<Item = Input>) {
        let mut jobs = Jobs::default();
        self.feed_with(inputs, &mut jobs);
        self.perform(jobs);
    }

    pub(crate) fn feed_with(self: &Arc<Self>, inputs: impl IntoIterator<Item = Input>, jobs: &mut Jobs) {
        let mut books = self.books.lock();
        // Under the lock, so that the engine's time never goes back.
        let now = self.clock.now();
        for input in inputs {
            books.handle(self, now, input, jobs);
        }
    }

    /// The caller is gone, and with it the attempts that it should have made.
    pub(crate) fn leave(self: &Arc<Self>, slot: &Slot, ended: Option<Input>) {
        let mut jobs = Jobs::default();
        let left = {
            let mut books = self.books.lock();
            let now = self.clock.now();
            books.handle(self, now, Input::Left { call: slot.call, how: Left::Disconnected }, &mut jobs);
            books.remove(slot, &mut jobs);
            let left = slot.take_all();
            let unsent = slot::not_begun(&left).map(|(step, number)| unsent(step, number, "its caller left"));
            for ended in ended.into_iter().chain(unsent) {
                books.handle(self, now, ended, &mut jobs);
            }
            left
        };
        drop(left);
        self.perform(jobs);
    }

    /// The caller cancelled. The engine lets go of it, so that its answer is made here.
    pub(crate) fn cancel(self: &Arc<Self>, slot: &Arc<Slot>) {
        let mut jobs = Jobs::default();
        {
            let mut books = self.books.lock();
            if !books.waits(slot) {
                return;
            }
            let was_known = books.engine.step(slot.step).is_some();
            let left = Input::Left { call: slot.call, how: Left::Cancelled };
            books.handle(self, self.clock.now(), left, &mut jobs);
            if books.waits(slot) {
                let is_unsent = was_known && books.engine.step(slot.step).is_none();
                books.remove(slot, &mut jobs);
                slot.push(told::cancelled(slot, is_unsent));
                jobs.wakes.push(Arc::clone(slot));
            }
        }
        self.perform(jobs);
    }

    /// What became of an answer.
    pub(crate) fn arrived(self: &Arc<Self>, call: CallId, step: StepId, arrival: Arrival) {
        let mut jobs = Jobs::default();
        {
            let mut books = self.books.lock();
            let now = self.clock.now();
            books.handle(self, now, Input::Arrived { call, arrival: arrival.into() }, &mut jobs);
            books.settle(step, &mut jobs);
        }
        self.perform(jobs);
    }

    /// The end of a task passes the same boundary as an answer: what fails it leaves the outcome unknown.
    //= S-06
    //= G7
    pub(crate) fn task_ended(self: &Arc<Self>, step: StepId, end: TaskEnd) {
        let end = match end {
            TaskEnd::Completed(result) => {
                let Some((upstream, tool)) = self.books.lock().tool_of(step) else { return };
                let limits = answer::limits(&self.policy.load(), &upstream);
                let judged = answer::judge(result, tool.as_deref(), &limits).answer;
                match judged.kind {
                    AnswerKind::Done => TaskEnd::Completed(judged.result),
                    AnswerKind::ToolError(text) => TaskEnd::Failed(text),
                    AnswerKind::Bad(_) | AnswerKind::InputRequired | AnswerKind::Task(_) => TaskEnd::Vanished,
                }
            }
            other => other,
        };
        self.feed([Input::TaskEnded { step, end }]);
    }

    pub(crate) fn perform(self: &Arc<Self>, jobs: Jobs) {
        if let Some(at) = jobs.wake_at {
            self.alarm.pull(at);
        }
        for told in &jobs.reports {
            told.log();
        }
        for link in &jobs.cancels {
            link.cancel();
        }
        for abandoned in &jobs.abandons {
            abandoned.cancel();
        }
        for (send, abandoned) in jobs.sends {
            self.tasks.spawn_on(attempt::run(Arc::clone(self), send, abandoned), &self.handle);
        }
        for read in jobs.reads {
            let read = world::run(Arc::clone(self), read);
            self.tasks.spawn_on(self.stop.clone().run_until_cancelled_owned(read), &self.handle);
        }
        for slot in &jobs.wakes {
            slot.wake();
        }
        if jobs.quiet {
            self.quiet.notify_waiters();
        }
        for (call, recall) in jobs.recalls {
            self.recall(call, &recall);
        }
    }

    /// In line: one or two point reads of pages that are nearly always in memory take some tens of microseconds, which
    /// another thread would take as well, and a hop to it besides (`examples/path.rs` measures a replay).
    fn recall(self: &Arc<Self>, call: CallId, recall: &Recall) {
        if self.journal.replicas().is_some() {
            return self.recall_shared(call, recall.clone());
        }
        let found = self.journal.recall(recall);
        if let Err(error) = &found {
            self.troubled(error);
        }
        self.feed([gap::recalled(call, found, self.journal.start())]);
    }
}
