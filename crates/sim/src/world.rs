//! One world: a queue of events ordered by virtual time and number, and everybody who acts in it.

use crate::agents::{Call, Wish};
use crate::audit::{Audit, Violation};
use crate::gateway::Gateway;
use crate::names::{Fault, Invariant, Reached};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::trace::Trace;
use crate::upstream::{Ending, Upstream};
use anyhow::Result;
use bytes::Bytes;
use engine::{Input, Left, Purpose, TaskEnd};
use journal::crash::Image;
use journal::{Durable, Journal};
use policy::{Policy, ToolRules};
use runtime::plain::Desk;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write;
use std::sync::Arc;
use vocab::{CallId, Name, StepId, StepIntent};

/// Microseconds.
pub const MILLI: u64 = 1_000;
pub const SECOND: u64 = 1_000_000;
pub const MINUTE: u64 = 60 * SECOND;
const BEGIN: u64 = 1_700_000_000 * SECOND;
/// Events after which a world that has not come to rest never will.
const STEPS_MAX: u64 = 400_000;

/// What happens next. `life` is the gateway's process that it belongs to.
pub enum Event {
    Ask { wish: usize },
    Call { call: usize },
    Leave { call: usize, how: Left },
    Recall { life: u32, call: CallId, recall: journal::Recall },
    Feed { life: u32, input: Box<Input> },
    Depart { flight: usize },
    Effect { flight: usize, beyond: bool },
    Answer { flight: usize, ending: Ending, again: bool },
    Read(Box<Reading>),
    TaskEnds { step: StepId, flight: usize, end: Box<TaskEnd> },
    Flush { call: usize },
    Deliver { call: usize },
    Write { life: u32 },
    Sync { life: u32 },
    Committed { life: u32, done: Vec<Durable> },
    Tick { life: u32 },
    Kill { life: Option<u32> },
    Start,
    RecoverNext { life: u32 },
    Full { full: bool },
    Person,
    Maintain,
    Reload,
    Outsider,
    Calm,
}

impl Event {
    const fn label(&self) -> &'static str {
        match self {
            Self::Ask { .. } => "ask",
            Self::Call { .. } => "call",
            Self::Leave { .. } => "leave",
            Self::Recall { .. } => "recall",
            Self::Feed { .. } => "feed",
            Self::Depart { .. } => "depart",
            Self::Effect { .. } => "effect",
            Self::Answer { .. } => "answer",
            Self::Read(_) => "read",
            Self::TaskEnds { .. } => "task",
            Self::Flush { .. } => "flush",
            Self::Deliver { .. } => "deliver",
            Self::Write { .. } => "write",
            Self::Sync { .. } => "sync",
            Self::Committed { .. } => "committed",
            Self::Tick { .. } => "tick",
            Self::Kill { .. } => "kill",
            Self::Start => "start",
            Self::RecoverNext { .. } => "recover",
            Self::Full { .. } => "full",
            Self::Person => "person",
            Self::Maintain => "maintain",
            Self::Reload => "reload",
            Self::Outsider => "outsider",
            Self::Calm => "calm",
        }
    }
}

/// A read of the world on its way to the upstream.
pub struct Reading {
    pub life: u32,
    pub step: StepId,
    pub read: u32,
    pub purpose: Purpose,
    pub intent: Arc<StepIntent>,
    pub rules: Arc<ToolRules>,
    pub result: Option<Bytes>,
    pub of: (Name, Name),
    pub args: Bytes,
}

struct Due(u64, u64, Event);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// How one world went.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub violation: Option<Violation>,
    pub steps: u64,
    /// Virtual time.
    pub micros: u64,
    pub calls: u64,
    pub hash: u64,
    /// Hashes at every so many events: where two runs of one seed part can be found by bisection.
    pub checkpoints: Vec<u64>,
    pub faults: BTreeMap<Fault, u64>,
    pub reached: BTreeMap<Reached, u64>,
    pub checked: BTreeMap<Invariant, u64>,
    pub story: String,
}

/// One generator for each component.
pub struct Rngs {
    pub network: Rng,
    pub upstream: Rng,
    pub disk: Rng,
    pub clock: Rng,
    pub people: Rng,
    pub kill: Rng,
    pub driver: Rng,
}

/// What does not change from world to world.
pub struct Stage {
    pub policies: [Arc<Policy>; 2],
}

impl Stage {
    /// # Errors
    /// The simulated operator's policy is wrong.
    pub fn new() -> Result<Self> {
        Ok(Self { policies: crate::shop::policies()? })
    }

    /// Runs one world to its end.
    pub fn run(&self, plan: &Plan, tells: bool) -> Outcome {
        World::new(plan, self, tells).run()
    }
}

pub struct World<'a> {
    pub stage: &'a Stage,
    /// Faults that are on; none once it is calm.
    pub plan: Plan,
    pub now: u64,
    pub calm: bool,
    number: u64,
    queue: BinaryHeap<Reverse<Due>>,
    pub rngs: Rngs,
    pub agents: Vec<Rng>,
    pub wishes: Vec<Wish>,
    pub calls: Vec<Call>,
    pub upstream: Upstream,
    pub gateway: Option<Gateway>,
    /// While the gateway is down.
    pub image: Option<Image>,
    pub desk: Option<Desk>,
    pub life: u32,
    pub next_call: u64,
    pub steps_made: u64,
    /// The gateway's wall clock, ahead of the true time.
    pub offset: u64,
    pub audit: Audit,
    pub trace: Trace,
    pub tells: bool,
    pub story: String,
    /// A kill is on its way already.
    pub doomed: bool,
}

impl<'a> World<'a> {
    fn new(plan: &Plan, stage: &'a Stage, tells: bool) -> Self {
        let of = |name: &str| Rng::of(plan.seed, name);
        let rngs = Rngs {
            network: of("network"),
            upstream: of("upstream"),
            disk: of("disk"),
            clock: of("clock"),
            people: of("people"),
            kill: of("kill"),
            driver: of("driver"),
        };
        let mut world = Self {
            stage,
            plan: plan.clone(),
            now: BEGIN,
            calm: false,
            number: 0,
            queue: BinaryHeap::new(),
            rngs,
            agents: plan.agents.iter().map(|agent| of(&format!("agent {}", agent.number))).collect(),
            wishes: Vec::new(),
            calls: Vec::new(),
            upstream: Upstream::default(),
            gateway: None,
            image: Some(Image::default()),
            desk: None,
            life: 0,
            next_call: 0,
            steps_made: 0,
            offset: 0,
            audit: Audit::default(),
            trace: Trace::default(),
            tells,
            story: String::new(),
            doomed: false,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.start();
        self.wish();
        let horizon = 4 * MINUTE + self.wishes.len() as u64 * 8 * SECOND;
        self.after(horizon, Event::Calm);
        self.after(MINUTE, Event::Maintain);
        self.after(90 * SECOND, Event::Person);
        self.schedule(Fault::Kill, horizon, |_| Event::Kill { life: None });
        self.schedule(Fault::PowerLoss, horizon, |_| Event::Kill { life: None });
        self.schedule(Fault::DiskFull, horizon, |_| Event::Full { full: true });
        self.schedule(Fault::Reload, horizon, |_| Event::Reload);
        self.schedule(Fault::ToolsChange, horizon, |_| Event::Reload);
        self.schedule(Fault::OutsideWriter, horizon, |_| Event::Outsider);
    }

    /// A fault that comes by itself strikes a few times.
    fn schedule(&mut self, fault: Fault, horizon: u64, event: impl Fn(&mut Rng) -> Event) {
        let times = u64::from(self.plan.intensity(fault)).div_ceil(150);
        for _ in 0..times {
            let at = self.rngs.kill.below(horizon);
            let event = event(&mut self.rngs.kill);
            self.after(at, event);
        }
    }

    pub fn after(&mut self, span: u64, event: Event) {
        self.number += 1;
        self.queue.push(Reverse(Due(self.now + span, self.number, event)));
    }

    pub fn hit(&mut self, fault: Fault) {
        *self.audit.faults.entry(fault).or_insert(0) += 1;
    }

    /// Does a fault strike now?
    pub fn strikes(&mut self, fault: Fault, which: fn(&mut Rngs) -> &mut Rng) -> bool {
        let intensity = self.plan.intensity(fault);
        let strikes = intensity > 0 && which(&mut self.rngs).chance(intensity);
        if strikes {
            self.hit(fault);
        }
        strikes
    }

    pub fn reach(&mut self, state: Reached) {
        self.audit.reach(state);
    }

    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.tells {
            let at = self.now - BEGIN;
            writeln!(self.story, "{:>6}.{:06} {}", at / SECOND, at % SECOND, line()).unwrap_or_default();
        }
    }

    fn run(mut self) -> Outcome {
        while let Some(Reverse(Due(at, _, event))) = self.queue.pop() {
            self.now = self.now.max(at);
            self.trace.event(self.now, event.label());
            self.happen(event);
            if self.audit.violation.is_some() {
                break;
            }
            if self.trace.events() >= STEPS_MAX {
                let open = self.gateway.as_ref().map(|gateway| gateway.journal.open_steps());
                let open = open.and_then(Result::ok).unwrap_or_default();
                let open: Vec<_> = open.iter().map(|row| (row.intent.step, row.status.state)).collect();
                let waiting = self.wishes.iter().position(|wish| !wish.is_over());
                let what = format!("the world does not come to rest: {open:?}, wish {waiting:?}");
                self.audit.violated(Invariant::I13, what);
                break;
            }
        }
        if self.audit.violation.is_none() {
            self.at_rest();
        }
        Outcome {
            violation: self.audit.violation.take(),
            steps: self.trace.events(),
            micros: self.now - BEGIN,
            calls: self.calls.len() as u64,
            hash: self.trace.hash(),
            checkpoints: self.trace.checkpoints(),
            faults: std::mem::take(&mut self.audit.faults),
            reached: std::mem::take(&mut self.audit.reached),
            checked: std::mem::take(&mut self.audit.checked),
            story: self.story,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { wish } => self.ask(wish),
            Event::Call { call } => self.call(call),
            Event::Leave { call, how } => self.leave(call, how),
            Event::Recall { life, call, recall } => self.recall(life, call, &recall),
            Event::Feed { life, input } => self.feed_if(life, *input),
            Event::Depart { flight } => self.depart(flight),
            Event::Effect { flight, beyond } => self.effect(flight, beyond),
            Event::Answer { flight, ending, again } => self.answer(flight, &ending, again),
            Event::Read(reading) => self.read(&reading),
            Event::TaskEnds { step, flight, end } => self.task_ends(step, flight, *end),
            Event::Flush { call } => self.flush(call),
            Event::Deliver { call } => self.deliver(call),
            Event::Write { life } => self.write(life),
            Event::Sync { life } => self.sync(life),
            Event::Committed { life, done } => self.committed(life, &done),
            Event::Tick { life } => self.tick(life),
            Event::Kill { life } => {
                if life.is_none_or(|life| life == self.life) {
                    self.kill();
                }
            }
            Event::Start => self.start(),
            Event::RecoverNext { life } => self.recover_next(life),
            Event::Full { full } => self.full(full),
            Event::Person => self.person(),
            Event::Maintain => self.maintain(),
            Event::Reload => self.reload(),
            Event::Outsider => self.outsider(),
            Event::Calm => self.calm_down(),
        }
    }

    /// From now on everything works.
    fn calm_down(&mut self) {
        self.tell(|| "calm".to_owned());
        self.calm = true;
        self.plan.faults.clear();
        if let Some(gateway) = &self.gateway {
            gateway.journal.disk_full(false);
        }
        self.after(5 * SECOND, Event::Person);
        for wish in 0..self.wishes.len() {
            self.wishes[wish].asks = 0;
            self.after(SECOND, Event::Ask { wish });
        }
    }

    /// Nothing more will happen by itself: is there anything left for which the chores have to go on?
    pub fn is_over(&self) -> bool {
        self.calm
            && self.wishes.iter().all(Wish::is_over)
            && self.gateway.as_ref().is_some_and(|gateway| {
                gateway.ready && journal::Journal::open_steps(&*gateway.journal).is_ok_and(|open| open.is_empty())
            })
    }
}
