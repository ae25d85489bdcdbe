//! The engine, and what belongs to its calls and steps: everything that is under the one lock.
//!
//! Appends are made under the lock, because their order is the order of decisions; an append never touches the disk.
//! Nothing here waits, and nothing of somebody else's is called or dropped.

mod attempts;
mod outputs;
mod owners;

use crate::Map;
use crate::api::Link;
use crate::durable::Commit;
use crate::jobs::Jobs;
use crate::report::About;
use crate::shell::Shell;
use crate::slot::Slot;
use crate::tools::Tool;
use attempts::Outs;
pub(crate) use attempts::unsent;
use engine::{Engine, Input, NotDurable, Output};
use owners::Owners;
use std::collections::VecDeque;
use std::sync::Arc;
use vocab::{CallId, Instant, Name, State, StepId, StepIntent};

pub(crate) struct Books {
    pub(crate) engine: Engine,
    pub(crate) draining: bool,
    calls: Map<CallId, Arc<Slot>>,
    /// Mutations that are in the engine, or whose call is.
    steps: Map<StepId, Kept>,
    owners: Owners,
    out: Outs,
    commits: Map<u64, Commit>,
}

/// What the runtime keeps of a mutation.
struct Kept {
    call: CallId,
    owner: (Name, Name),
    about: Arc<About>,
    /// None after a restart.
    link: Option<Arc<dyn Link>>,
    tool: Option<Arc<Tool>>,
    /// Of the journal, when its last dispatch was appended.
    term: Option<i64>,
}

impl Books {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine,
            draining: false,
            calls: Map::default(),
            steps: Map::default(),
            owners: Owners::default(),
            out: Outs::default(),
            commits: Map::default(),
        }
    }

    pub(crate) fn callers(&self) -> usize {
        self.calls.len()
    }

    pub(crate) fn waits(&self, slot: &Slot) -> bool {
        self.calls.contains_key(&slot.call)
    }

    pub(crate) fn waiting(&self) -> Vec<Arc<Slot>> {
        self.calls.values().cloned().collect()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.calls.is_empty() && self.out.is_empty() && self.engine.is_quiet()
    }

    /// The world is being read for it, or something of it is on its way to the disk.
    pub(crate) fn is_moving(&self, step: StepId) -> bool {
        self.engine.step(step).is_some_and(|view| view.reading().is_some())
            || self.commits.values().any(|commit| commit.step == Some(step))
    }

    pub(crate) fn owned(&self, tenant: &Name, principal: &Name) -> impl Iterator<Item = StepId> {
        self.owners.of(tenant, principal)
    }

    pub(crate) fn add(&mut self, slot: &Arc<Slot>, tenant: &Name, principal: &Name) {
        self.calls.insert(slot.call, Arc::clone(slot));
        if slot.is_mutation() {
            let kept = Kept {
                call: slot.call,
                owner: (tenant.clone(), principal.clone()),
                about: Arc::clone(&slot.about),
                link: Some(Arc::clone(&slot.link)),
                tool: Some(Arc::clone(&slot.tool)),
                term: None,
            };
            // Its id was made a moment ago: there is nothing to give back.
            drop(self.keep(slot.step, kept));
        }
    }

    /// A step of the journal is about to be given to the engine.
    pub(crate) fn recovered(&mut self, intent: &StepIntent) {
        if !self.steps.contains_key(&intent.step) {
            let owner = (intent.tenant.clone(), intent.principal.clone());
            let about = Arc::new(About::of(intent));
            let kept = Kept { call: CallId(0), owner, about, link: None, tool: None, term: None };
            drop(self.keep(intent.step, kept));
        }
    }

    /// Gives back the session that was kept before.
    #[must_use]
    fn keep(&mut self, step: StepId, kept: Kept) -> Option<Arc<dyn Link>> {
        self.owners.add(&kept.owner, step);
        self.steps.insert(step, kept)?.link
    }

    /// What is sent of this step from now on is sent on the strength of a dispatch of this term.
    fn dispatches(&mut self, step: StepId, term: i64) {
        if let Some(kept) = self.steps.get_mut(&step) {
            kept.term = Some(term);
        }
    }

    /// The upstream and, of a step of this process, the tool.
    pub(crate) fn tool_of(&self, step: StepId) -> Option<(Name, Option<Arc<Tool>>)> {
        let upstream = self.engine.step(step)?.intent().upstream.clone();
        Some((upstream, self.steps.get(&step)?.tool.clone()))
    }

    /// The step of this caller that the upstream made this task of. `None` too where two of its sessions have tasks of
    /// one id: nobody can say which of them an answer is about.
    pub(crate) fn made_task(&self, owner: (&Name, &Name), upstream: &str, task: &str) -> Option<StepId> {
        let is_it = |step: &StepId| {
            self.engine.step(*step).is_some_and(|view| {
                view.status().state.is_open()
                    && &*view.intent().upstream == upstream
                    && view.status().remote_task.as_deref() == Some(task)
            })
        };
        let mut made = self.owners.of(owner.0, owner.1).filter(is_it);
        made.next().filter(|_| made.next().is_none())
    }

    pub(crate) fn awaits_task(&self, step: StepId) -> bool {
        self.engine.step(step).is_some_and(|view| view.status().state == State::RemoteTask)
    }

    /// Steps in memory.
    pub(crate) fn known(&self) -> impl Iterator<Item = StepId> {
        self.steps.keys().copied()
    }

    pub(crate) fn link_of(&self, step: StepId) -> Option<Arc<dyn Link>> {
        self.steps.get(&step)?.link.clone()
    }

    /// The caller is gone: whatever was meant for it has nowhere to go.
    pub(crate) fn remove(&mut self, slot: &Slot, jobs: &mut Jobs) {
        if let Some(slot) = self.calls.remove(&slot.call) {
            let step = slot.step;
            jobs.gone.push(slot);
            self.settle(step, jobs);
        }
    }

    /// Feeds one input, and what follows from it at once.
    pub(crate) fn handle(&mut self, shell: &Arc<Shell>, now: Instant, input: Input, jobs: &mut Jobs) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let touched = self.before(&input, jobs);
            self.engine.handle(now, input);
            loop {
                match self.engine.poll() {
                    Output::Idle { wake_at } => {
                        jobs.wake_at = wake_at;
                        break;
                    }
                    output => inputs.extend(self.take(shell, output, jobs)),
                }
            }
            if let Some(step) = touched {
                self.settle(step, jobs);
            }
        }
        jobs.quiet = self.draining && self.is_quiet();
    }

    /// What an input ends; the step it concerns may leave the engine with it.
    fn before(&mut self, input: &Input, jobs: &mut Jobs) -> Option<StepId> {
        match input {
            Input::AttemptEnded { step, attempt, .. } => {
                self.ended(*step, *attempt, jobs);
                Some(*step)
            }
            Input::ReadEnded { step, .. } | Input::Person { step, .. } | Input::Hurry { step } => Some(*step),
            Input::Durable { ticket } => self.committed(*ticket, Ok(())),
            Input::NotDurable { ticket, why } => {
                let error = match why {
                    NotDurable::Unavailable => journal::Error::Write("it was not written".to_owned()),
                    NotDurable::Fenced => journal::Error::Fenced,
                };
                self.committed(*ticket, Err(error))
            }
            _ => None,
        }
    }

    fn committed(&mut self, ticket: u64, result: Result<(), journal::Error>) -> Option<StepId> {
        let commit = self.commits.remove(&ticket)?;
        commit.ended(result)
    }

    /// Lets go of a step that neither the engine nor a caller has any more.
    pub(crate) fn settle(&mut self, step: StepId, jobs: &mut Jobs) {
        let Some(kept) = self.steps.get(&step) else { return };
        if self.calls.contains_key(&kept.call) || self.engine.step(step).is_some() {
            return;
        }
        if let Some(kept) = self.steps.remove(&step) {
            self.owners.remove(&kept.owner, step);
            jobs.links.extend(kept.link);
        }
    }

    /// Steps can leave the engine by a timer, which names none.
    pub(crate) fn sweep(&mut self, jobs: &mut Jobs) {
        let steps: Vec<_> = self.steps.keys().copied().collect();
        for step in steps {
            self.settle(step, jobs);
            self.let_session_go(step, jobs);
        }
    }

    /// A person may take for ever: until then the session, and a child with it, are held for nobody.
    fn let_session_go(&mut self, step: StepId, jobs: &mut Jobs) {
        let waits_for_person =
            self.engine.step(step).is_some_and(|view| view.status().state == State::NeedsHuman && view.waiters() == 0);
        if !waits_for_person || self.links_out(step).next().is_some() {
            return;
        }
        if let Some(kept) = self.steps.get_mut(&step)
            && kept.link.as_ref().is_some_and(|link| link.is_left())
        {
            jobs.links.extend(kept.link.take());
        }
    }
}
