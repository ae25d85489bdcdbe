//! The step's state machine: which intended call runs, how often, and what may be said about it.
//!
//! Sans-IO: `handle(now, input)`, then `poll` until `Idle`. No clock, randomness, storage or network; the same inputs
//! give the same outputs. It knows steps, callers, reads of the world and durable records; it knows no protocol.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod admission;
mod attempt;
mod call;
mod close;
mod delivery;
mod elsewhere;
mod identity;
mod input;
mod lane;
mod leave;
mod output;
mod pending;
mod person;
mod readback;
mod recovery;
mod reply;
mod resolve;
pub mod rollback;
mod step;
mod table;
mod timer;
mod undo;

pub use attempt::evidence::{Evidence, classify};
pub use input::{
    Act, Answer, AnswerKind, Arrival, AttemptEnd, Call, Continues, Input, Left, NotDurable, ReadEnd, Recalled, TaskEnd,
    Undoes,
};
pub use output::{Output, Phase, Purpose, Reply, Report, Stop};
pub use step::StepView;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use vocab::{CallId, Epoch, Event, EventKind, EvidenceClass, Instant, Record, StepId};

/// What waits for a commit.
#[derive(Clone, Copy, Debug)]
enum Ticketed {
    /// The intent, or another attempt: send when durable.
    Dispatch(StepId),
    /// The outcome: release when durable.
    Outcome(StepId),
    /// `unknown`: callers may be told.
    Unknown(StepId),
    /// The upstream's task, or its wish for input: release its answer.
    Pending(StepId),
    /// That a compensation does not run: release when durable.
    NotUndone(StepId),
    /// A person's permit to run again: the step may leave memory.
    Permit(StepId),
    /// Nothing waits: what was noted is to be on the disk.
    Notes,
}

/// Bounds of the engine itself.
#[derive(Clone, Debug)]
pub struct Config {
    pub epoch: Epoch,
    /// Steps held in memory, open ones included. At the bound new mutations are refused as `overloaded`.
    pub steps_max: usize,
    /// Callers that may wait for one step.
    pub waiters_max: usize,
}

impl Config {
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, steps_max: 100_000, waiters_max: 64 }
    }
}

/// All steps that are not settled, and what is to be done about them.
pub struct Engine {
    config: Config,
    table: table::Table,
    calls: BTreeMap<CallId, call::Caller>,
    /// Calls whose earlier twins are being looked up.
    recalling: BTreeMap<CallId, identity::Recalling>,
    lanes: lane::Lanes,
    timers: BTreeSet<(Instant, timer::Timer)>,
    tickets: BTreeMap<u64, Ticketed>,
    next_ticket: u64,
    /// Answers on their way to callers.
    releases: BTreeMap<CallId, delivery::Release>,
    noted: delivery::Noted,
    out: VecDeque<Output>,
}

impl Engine {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            table: table::Table::default(),
            calls: BTreeMap::new(),
            recalling: BTreeMap::new(),
            lanes: lane::Lanes::default(),
            timers: BTreeSet::new(),
            tickets: BTreeMap::new(),
            next_ticket: 1,
            releases: BTreeMap::new(),
            noted: delivery::Noted::default(),
            out: VecDeque::new(),
        }
    }

    /// Takes one input. The top match only routes; each arm's work lives in its own file.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Call(call) => self.arrive(now, call),
            Input::Recalled { call, recalled } => self.recalled(now, call, *recalled),
            Input::RecallFailed { call } => self.recall_failed(now, call),
            Input::Durable { ticket } => self.durable(now, ticket),
            Input::NotDurable { ticket, why } => self.not_durable(now, ticket, why),
            Input::AttemptEnded { step, attempt, end } => self.attempt_ended(now, step, attempt, *end),
            Input::ReadEnded { step, read, end } => self.read_ended(now, step, read, end),
            Input::Left { call, how } => self.left(now, call, how),
            Input::Arrived { call, arrival } => self.arrived(now, call, arrival),
            Input::AskedAfter { call, step } => self.asked_after(now, call, step),
            Input::TaskEnded { step, end } => self.task_ended(now, step, end),
            Input::Person { step, act, who, why } => self.person(now, step, act, &who, &why),
            Input::Recovered { row, rules } => self.recover(now, *row, rules),
            Input::Elsewhere { call, row, by_key } => self.elsewhere(now, call, &row, by_key),
            Input::LookAgain { call } => self.look_again_for(call),
            Input::TakenOver { row, rules } => self.taken_over(now, *row, rules),
            Input::Disowned { step, since } => self.disowned(now, step, since),
            Input::Hurry { step } => self.hurry(now, step),
            Input::Tick => {}
        }
        self.run_timers(now);
    }

    /// Next thing to do; drain until `Idle`.
    pub fn poll(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| Output::Idle { wake_at: self.timers.first().map(|(at, _)| *at) })
    }

    /// A step that is still in memory.
    pub fn step(&self, id: StepId) -> Option<StepView<'_>> {
        self.table.get(id).map(StepView::new)
    }

    /// Steps in memory, callers waiting, unknown steps: for health and limits.
    pub fn load(&self) -> (usize, usize, usize) {
        (self.table.len(), self.calls.len() + self.recalling.len(), self.table.unknown_count())
    }

    /// Nothing is under way that a graceful stop would have to wait for.
    pub fn is_quiet(&self) -> bool {
        self.calls.is_empty() && self.recalling.is_empty() && self.tickets.is_empty()
    }

    /// What an update of a step is written under: a step that came from another owner has the epoch of that change.
    fn epoch_of(&self, id: StepId) -> Epoch {
        self.table.get(id).map_or(self.config.epoch, |live| live.epoch.max(self.config.epoch))
    }

    /// Queues records with a barrier; what follows waits for `Input::Durable`.
    //= G4
    fn commit(&mut self, records: Vec<Record>, then: Ticketed) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.insert(ticket, then);
        // It takes along what was noted before.
        self.set_notes_timer(None);
        self.out.push_back(Output::Append { records, ticket: Some(ticket) });
        ticket
    }

    /// Queues records that ride along with a later commit.
    fn note(&mut self, records: Vec<Record>) {
        self.out.push_back(Output::Append { records, ticket: None });
    }

    fn event(step: StepId, at: Instant, kind: EventKind, attempt: u32, detail: &str) -> Event {
        Self::evidence(step, at, kind, attempt, None, detail)
    }

    fn evidence(
        step: StepId,
        at: Instant,
        kind: EventKind,
        attempt: u32,
        class: Option<EvidenceClass>,
        detail: &str,
    ) -> Event {
        Event { step, at, kind, attempt, class, detail: short(detail, 512) }
    }
}

/// The first `max` bytes of a text, cut at a character.
pub(crate) fn short(text: &str, max: usize) -> alloc::string::String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}
