//! The engine, and what belongs to its calls and steps: everything that is under the one lock.
//!
//! Appends are made under the lock, because their order is the order of decisions; an append never touches the disk.
//! Nothing here waits, and nothing of somebody else's is called or dropped.

mod owners;

use crate::api::{Delivery, Link, Phase};
use crate::attempt::Send;
use crate::durable::{Commit, refusal};
use crate::jobs::Jobs;
use crate::report::{About, Told};
use crate::shell::Shell;
use crate::slot::{Item, Slot};
use crate::tools::Tool;
use crate::translate;
use crate::world::WorldRead;
use engine::{Arrival, AttemptEnd, Engine, Input, NotDurable, Output};
use journal::Recall;
use owners::Owners;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use vocab::{CallId, Failure, FailureKind, Instant, Name, Record, StepId, StepIntent};

pub(crate) struct Books {
    pub(crate) engine: Engine,
    pub(crate) draining: bool,
    calls: HashMap<CallId, Arc<Slot>>,
    /// Mutations that are in the engine, or whose call is.
    steps: HashMap<StepId, Kept>,
    owners: Owners,
    out: BTreeMap<(StepId, u32), Out>,
    commits: HashMap<u64, Commit>,
}

/// What the runtime keeps of a mutation.
struct Kept {
    call: CallId,
    owner: (Name, Name),
    about: Arc<About>,
    /// None after a restart.
    link: Option<Arc<dyn Link>>,
    tool: Option<Arc<Tool>>,
}

/// An attempt that is out.
enum Out {
    /// In the caller's own task.
    Inline(Arc<Slot>),
    Task(CancellationToken, Arc<dyn Link>),
}

impl Books {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine,
            draining: false,
            calls: HashMap::new(),
            steps: HashMap::new(),
            owners: Owners::default(),
            out: BTreeMap::new(),
            commits: HashMap::new(),
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
            };
            // Its id was made a moment ago: there is nothing to give back.
            drop(self.keep(slot.step, kept));
        }
    }

    /// A step of the journal is about to be given to the engine.
    pub(crate) fn recovered(&mut self, intent: &StepIntent) {
        if !self.steps.contains_key(&intent.step) {
            let owner = (intent.tenant.clone(), intent.principal.clone());
            let kept = Kept { call: CallId(0), owner, about: Arc::new(About::of(intent)), link: None, tool: None };
            drop(self.keep(intent.step, kept));
        }
    }

    /// Gives back the session that was kept before.
    #[must_use]
    fn keep(&mut self, step: StepId, kept: Kept) -> Option<Arc<dyn Link>> {
        self.owners.add(&kept.owner, step);
        self.steps.insert(step, kept)?.link
    }

    /// The tool whose call the upstream made this task of.
    pub(crate) fn tool_of(&self, upstream: &str, task: &str) -> Option<Arc<Tool>> {
        let made = |step: &StepId| {
            let view = self.engine.step(*step)?;
            Some(&*view.intent().upstream == upstream && view.status().remote_task.as_deref() == Some(task))
        };
        self.steps.iter().find(|(step, _)| made(step) == Some(true))?.1.tool.clone()
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
                if let Some(Out::Inline(slot)) = self.out.remove(&(*step, *attempt)) {
                    jobs.gone.push(slot);
                }
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

    /// Does one output, or leaves it to be done outside of the lock.
    fn take(&mut self, shell: &Arc<Shell>, output: Output, jobs: &mut Jobs) -> Option<Input> {
        match output {
            Output::Recall { call, key, content } => jobs.recalls.push((call, Recall { key, content })),
            Output::Append { records, ticket } => return self.append(shell, records, ticket, jobs),
            Output::Send { step, attempt, through, upstream_key } => {
                return self.send(step, attempt, through, upstream_key, jobs);
            }
            Output::Cancel { step } => {
                jobs.cancels.extend(self.outs(step).map(|(_, out)| match out {
                    Out::Inline(slot) => Arc::clone(&slot.link),
                    Out::Task(_, link) => Arc::clone(link),
                }));
            }
            Output::Abandon { step } => self.abandon(step, jobs),
            Output::Read { step, read, purpose } => {
                let view = self.engine.step(step)?;
                let link = self.steps.get(&step).and_then(|kept| kept.link.clone());
                let (intent, rules, result) = (view.intent().clone(), view.rules().clone(), view.result().cloned());
                jobs.reads.push(WorldRead { step, read, purpose, intent, rules, result, link });
            }
            Output::Reply { call, reply } => return self.reply(shell, call, reply, jobs),
            Output::Progress { call, phase } => {
                // That a read was sent tells nobody anything that its answer does not tell at once.
                let tells = |slot: &&Arc<Slot>| slot.is_mutation() || phase != engine::Phase::Sent;
                if let Some(slot) = self.calls.get(&call).filter(tells) {
                    slot.push(Item::Phase(Phase::from(phase)));
                    jobs.wakes.push(Arc::clone(slot));
                }
            }
            Output::Report(report) => jobs.reports.extend(Told::of(
                report,
                |step| self.steps.get(&step).map(|kept| &kept.about),
                &self.engine,
            )),
            Output::Idle { .. } => {}
        }
        None
    }

    //= G4
    fn append(
        &mut self,
        shell: &Arc<Shell>,
        records: Vec<Record>,
        ticket: Option<u64>,
        jobs: &mut Jobs,
    ) -> Option<Input> {
        let mut commit = Commit::of(&records);
        commit.begins();
        let error = shell.append(records, ticket).err();
        let ticket = ticket?;
        if let Some(error) = error {
            return Some(Input::NotDurable { ticket, why: refusal(&error) });
        }
        if jobs.watching {
            let (told, hears) = oneshot::channel();
            commit.tell(told);
            jobs.commits.push(hears);
        }
        self.commits.insert(ticket, commit);
        None
    }

    fn send(
        &mut self,
        step: StepId,
        number: u32,
        through: CallId,
        upstream_key: Option<Name>,
        jobs: &mut Jobs,
    ) -> Option<Input> {
        let Some(view) = self.engine.step(step) else {
            return Some(unsent(step, number, "the step is not known any more"));
        };
        let (intent, rules) = (view.intent().clone(), view.rules().clone());
        let slot = self.calls.get(&through);
        if !intent.effect.is_mutation() {
            let Some(slot) = slot else { return Some(unsent(step, number, "its caller left")) };
            let (tool, link) = (Some(Arc::clone(&slot.tool)), Arc::clone(&slot.link));
            slot.push(Item::Send(Box::new(Send { number, intent, rules, upstream_key, tool, link })));
            self.out.insert((step, number), Out::Inline(Arc::clone(slot)));
            jobs.wakes.push(Arc::clone(slot));
            return None;
        }
        if let Some(slot) = slot {
            // This call's session from now on, also for a step of an earlier process that this call runs again.
            let kept = Kept {
                call: slot.call,
                owner: (intent.tenant.clone(), intent.principal.clone()),
                about: Arc::new(About::of(&intent)),
                link: Some(Arc::clone(&slot.link)),
                tool: Some(Arc::clone(&slot.tool)),
            };
            jobs.links.extend(self.keep(step, kept));
        }
        let kept = self.steps.get(&step).and_then(|kept| Some((kept.link.clone()?, kept.tool.clone())));
        let Some((link, tool)) = kept else {
            return Some(unsent(step, number, "no session with the upstream is left"));
        };
        let abandoned = CancellationToken::new();
        self.out.insert((step, number), Out::Task(abandoned.clone(), Arc::clone(&link)));
        jobs.sends.push((Send { number, intent, rules, upstream_key, tool, link }, abandoned));
        None
    }

    fn outs(&self, step: StepId) -> impl Iterator<Item = (&(StepId, u32), &Out)> {
        self.out.range((step, 0)..=(step, u32::MAX))
    }

    fn abandon(&mut self, step: StepId, jobs: &mut Jobs) {
        let numbers: Vec<_> = self.outs(step).map(|(number, _)| *number).collect();
        for number in numbers {
            match self.out.remove(&number) {
                Some(Out::Inline(slot)) => {
                    slot.push(Item::Abandon);
                    jobs.wakes.push(slot);
                }
                Some(Out::Task(abandoned, link)) => {
                    jobs.abandons.push(abandoned);
                    jobs.links.push(link);
                }
                None => {}
            }
        }
    }

    /// Everything that is out is given up.
    pub(crate) fn abandon_all(&mut self, jobs: &mut Jobs) {
        let steps: Vec<_> = self.out.keys().map(|(step, _)| *step).collect();
        for step in steps {
            self.abandon(step, jobs);
        }
    }

    fn reply(&mut self, shell: &Arc<Shell>, call: CallId, reply: engine::Reply, jobs: &mut Jobs) -> Option<Input> {
        let Some(slot) = self.calls.remove(&call) else {
            return Some(Input::Arrived { call, arrival: Arrival::Lost });
        };
        let step = slot.step;
        if let engine::Reply::Stop(stop) = &reply {
            jobs.reports.push(Told::stopped(stop, &slot.about));
        }
        // Whether a read's answer arrives changes nothing.
        let delivery = if slot.is_mutation() {
            let shell = Arc::clone(shell);
            Delivery::new(move |arrival| shell.arrived(call, step, arrival))
        } else {
            Delivery::new(|_| ())
        };
        slot.push(Item::Reply(translate::reply(reply, &slot), delivery));
        jobs.wakes.push(slot);
        self.settle(step, jobs);
        None
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
        }
    }
}

fn unsent(step: StepId, attempt: u32, why: &str) -> Input {
    let failure = Failure::new(FailureKind::NotSent, why);
    Input::AttemptEnded { step, attempt, end: Box::new(AttemptEnd::Failed(failure)) }
}
