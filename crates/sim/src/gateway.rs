//! The gateway's process: the engine and the journal that ship, and a driver on one thread in virtual time.

use crate::names::{Fault, Reached};
use crate::shop::{self, Tool};
use crate::upstream::{Flight, number_after, text_after};
use crate::world::{Event, MILLI, MINUTE, Reading, SECOND, World};
use engine::{Act, Arrival, AttemptEnd, Config, Engine, Input, Output, Phase, Reply};
use journal::crash::{Crash, Tail};
use journal::{Durable, Filter, Journal, Recall, Retention};
use parking_lot::Mutex;
use runtime::plain;
use runtime::{Look, Settings};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use vocab::{
    CallId, Delivered, EventKind, Failure, FailureKind, Instant, Name, Outcome, Record, State, StepId, StepRow,
};

/// A running process.
pub struct Gateway {
    pub engine: Engine,
    pub journal: Arc<Crash>,
    mailbox: Arc<Mutex<Vec<Durable>>>,
    /// Who waits, by call.
    pub slots: BTreeMap<CallId, usize>,
    /// Steps that were asked for in this process, so that there is a session to send them through.
    pub asked: BTreeSet<StepId>,
    /// The clock: its reading at `since`, and how much faster than the true one it runs.
    base: u64,
    since: u64,
    ppm: u64,
    armed: Option<u64>,
    write_due: Option<u64>,
    syncing: bool,
    write_wanted: bool,
    recovering: VecDeque<StepRow>,
    pub ready: bool,
    recalling: usize,
}

impl Gateway {
    pub fn instant(&self, now: u64) -> Instant {
        let span = now - self.since;
        Instant::from_micros(self.base + span + span / 1_000_000 * self.ppm)
    }

    /// The true time at which its clock will have reached an instant.
    fn true_time(&self, at: Instant) -> u64 {
        let span = at.as_micros().saturating_sub(self.base);
        self.since + span - span / 1_000_100 * self.ppm.min(span) + 1
    }
}

impl World<'_> {
    /// A process starts on what the disk holds.
    pub fn start(&mut self) {
        let Some(image) = self.image.take() else { return };
        self.life += 1;
        self.doomed = false;
        let journal = Crash::open(image);
        let mailbox = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&mailbox);
        journal.on_durable(Arc::new(move |done| told.lock().extend(done)));
        let tight = self.plan.intensity(Fault::TightBounds) > 0;
        if tight {
            self.hit(Fault::TightBounds);
        }
        let settings = Settings { steps_max: if tight { 6 } else { 100_000 }, ..Settings::default() };
        let config = Config {
            steps_max: settings.steps_max,
            waiters_max: if tight { 3 } else { 64 },
            ..Config::new(journal.start().epoch)
        };
        self.audit.bounds = (config.steps_max, config.waiters_max);
        let policy = Arc::clone(&self.stage.policies[0]);
        let mut desk = match self.desk.take() {
            Some(desk) => desk.restarted(),
            None => shop::desk(Arc::clone(&policy), settings),
        };
        desk.reload(policy);
        self.desk = Some(desk);
        if self.strikes(Fault::ClockJump, |rngs| &mut rngs.clock) {
            self.offset = self.rngs.clock.below(100 * SECOND);
        }
        let ppm = if self.strikes(Fault::ClockSkew, |rngs| &mut rngs.clock) { self.rngs.clock.below(200) } else { 0 };
        let open = journal.open_steps().unwrap_or_default();
        for flight in &mut self.upstream.flights {
            // What is left of an earlier process's children ends before the next one recovers.
            flight.dead |= flight.tool == Tool::File && flight.closed_at.is_some();
        }
        let life = self.life;
        self.tell(|| format!("process {life} starts with {} open steps", open.len()));
        self.audit.restarted(&journal, &self.upstream);
        for row in &open {
            self.audit.trouble(row.intent.step);
            if matches!(row.status.state, State::Intent | State::Held) {
                self.audit.reach(Reached::KillIntentOnly);
            }
        }
        self.gateway = Some(Gateway {
            engine: Engine::new(config),
            journal,
            mailbox,
            slots: BTreeMap::new(),
            asked: BTreeSet::new(),
            base: self.now + self.offset,
            since: self.now,
            ppm,
            armed: None,
            write_due: None,
            syncing: false,
            write_wanted: false,
            recovering: open.into(),
            ready: false,
            recalling: 0,
        });
        self.after(0, Event::RecoverNext { life: self.life });
    }

    /// One open step after another, as they lie in the journal.
    pub fn recover_next(&mut self, life: u32) {
        if life != self.life {
            return;
        }
        let Some(gateway) = &mut self.gateway else { return };
        let Some(row) = gateway.recovering.pop_front() else {
            gateway.ready = true;
            return;
        };
        let input = {
            let Some(desk) = &self.desk else { return };
            desk.recovered(row, gateway.journal.start(), gateway.instant(self.now))
        };
        self.feed(input);
        if self.strikes(Fault::KillInRecovery, |rngs| &mut rngs.kill) {
            self.reach(Reached::KillInRecovery);
            return self.kill();
        }
        let pause = self.rngs.driver.below(2 * MILLI);
        self.after(pause, Event::RecoverNext { life });
    }

    pub fn feed_if(&mut self, life: u32, input: Input) {
        if life == self.life && self.gateway.is_some() {
            self.feed(input);
        }
    }

    /// Feeds one input, and what follows from it at once: the loop of the runtime.
    pub fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(gateway) = &mut self.gateway else { return };
            let now = gateway.instant(self.now);
            gateway.engine.handle(now, input);
            loop {
                let Some(gateway) = &mut self.gateway else { return };
                match gateway.engine.poll() {
                    Output::Idle { wake_at } => {
                        if let Some(at) = wake_at {
                            self.arm(at);
                        }
                        break;
                    }
                    output => {
                        self.trace.output(&output);
                        self.tell(|| format!("    {output:?}"));
                        inputs.extend(self.perform(output));
                    }
                }
            }
        }
        if let Some(gateway) = &self.gateway {
            self.audit.bounded(gateway.engine.load());
        }
    }

    fn arm(&mut self, at: Instant) {
        let Some(gateway) = &mut self.gateway else { return };
        let due = gateway.true_time(at).max(self.now + 1);

        if gateway.armed.is_none_or(|armed| armed > due || armed <= self.now) {
            gateway.armed = Some(due);
            let life = self.life;
            self.after(due - self.now, Event::Tick { life });
        }
    }

    pub fn tick(&mut self, life: u32) {
        if life == self.life
            && let Some(gateway) = &mut self.gateway
        {
            if gateway.armed.is_some_and(|armed| armed <= self.now) {
                gateway.armed = None;
            }
            self.feed(Input::Tick);
        }
    }

    fn perform(&mut self, output: Output) -> Option<Input> {
        let life = self.life;
        match output {
            Output::Recall { call, key, content } => {
                let pause = self.rngs.driver.below(MILLI);
                if let Some(gateway) = &mut self.gateway {
                    gateway.recalling += 1;
                }
                self.after(pause, Event::Recall { life, call, recall: Recall { key, content } });
            }
            Output::Append { records, ticket } => return self.append(records, ticket),
            Output::Send { step, attempt, through, upstream_key } => {
                return self.send(step, attempt, through, upstream_key.as_ref());
            }
            Output::Cancel { step } => self.cancel(step),
            Output::Abandon { step } => self.abandon(step),
            Output::Read { step, read, purpose } => return self.look(step, read, purpose),
            Output::Reply { call, reply } => return self.reply(call, reply),
            Output::Progress { phase: Phase::Attached, .. } => self.reach(Reached::AttachInFlight),
            Output::Report(report) => self.audit.reported(&report),
            Output::Progress { .. } | Output::Idle { .. } => {}
        }
        None
    }

    fn append(&mut self, records: Vec<Record>, ticket: Option<u64>) -> Option<Input> {
        self.audit.appended(&records);
        self.reached_by(&records);
        let intent = records.iter().any(|record| matches!(record, Record::Insert { .. }));
        let gateway = self.gateway.as_mut()?;
        let refused = gateway.journal.append(records, ticket).err();
        let span = if ticket.is_some() { self.rngs.disk.between(50, 400) } else { SECOND };
        let due = self.now + span;
        if gateway.write_due.is_none_or(|at| at > due || at <= self.now) {
            gateway.write_due = Some(due);
            let life = self.life;
            self.after(span, Event::Write { life });
        }
        if ticket.is_some() {
            self.may_kill(if intent { 1 } else { 2 });
        }
        let ticket = ticket?;
        refused.map(|error| plain::refused(ticket, &error))
    }

    /// Hands what is queued to the kernel.
    pub fn write(&mut self, life: u32) {
        if life != self.life {
            return;
        }
        let Some(gateway) = &mut self.gateway else { return };
        gateway.write_due = None;
        if gateway.syncing {
            // The writer is busy; it takes what has come meanwhile after this commit.
            gateway.write_wanted = true;
            return;
        }
        if gateway.journal.write() == 0 {
            return self.mail(life);
        }
        gateway.syncing = true;
        let mut span = self.rngs.disk.between(300, 4 * MILLI);
        if self.strikes(Fault::SlowFsync, |rngs| &mut rngs.disk) {
            span += self.rngs.disk.below(2 * SECOND);
            self.audit.disturbed(self.now + span);
        }
        let odds = self.plan.intensity(Fault::FsyncError) / 20;
        if odds > 0 && self.rngs.disk.chance(odds) {
            self.hit(Fault::FsyncError);
            self.audit.disturbed(self.now + 10 * SECOND);
            if let Some(gateway) = &self.gateway {
                gateway.journal.fail_next_sync();
            }
        }
        self.may_kill(1);
        self.after(span, Event::Sync { life });
        self.mail(life);
    }

    pub fn sync(&mut self, life: u32) {
        if life != self.life {
            return;
        }
        let Some(gateway) = &mut self.gateway else { return };
        gateway.syncing = false;
        let wanted = std::mem::take(&mut gateway.write_wanted);
        gateway.journal.sync();
        if matches!(gateway.journal.health(), Err(journal::Error::Poisoned(_))) {
            // Such a process has to end.
            self.reach(Reached::FsyncErrorExit);
            let span = self.rngs.kill.between(MILLI, 50 * MILLI);
            self.after(span, Event::Kill { life: Some(life) });
        }
        if wanted {
            self.after(20, Event::Write { life });
        }
        self.mail(life);
        self.may_kill(1);
    }

    /// Notices of commits reach the engine a little later, and not in order where the fault is on.
    fn mail(&mut self, life: u32) {
        let Some(gateway) = &self.gateway else { return };
        let done = std::mem::take(&mut *gateway.mailbox.lock());
        if done.is_empty() {
            return;
        }
        let mut span = self.rngs.driver.below(2 * MILLI);
        if self.strikes(Fault::NoticeReordered, |rngs| &mut rngs.driver) {
            span += self.rngs.driver.below(500 * MILLI);
        }
        self.after(span, Event::Committed { life, done });
    }

    pub fn committed(&mut self, life: u32, done: &[Durable]) {
        for one in done {
            if one.result.is_err() {
                self.audit.disturbed(self.now + 40 * SECOND);
            }
            self.feed_if(life, plain::committed(one));
        }
    }

    pub fn recall(&mut self, life: u32, call: CallId, recall: &Recall) {
        if life != self.life {
            return;
        }
        let Some(gateway) = &mut self.gateway else { return };
        gateway.recalling -= 1;
        let input = plain::recalled(call, gateway.journal.recall(recall), gateway.journal.start());
        let pause = self.rngs.driver.below(MILLI);
        self.after(pause, Event::Feed { life, input: Box::new(input) });
    }

    fn send(&mut self, step: StepId, attempt: u32, through: CallId, key: Option<&Name>) -> Option<Input> {
        let unsent = |why: &str| {
            let failure = Failure::new(FailureKind::NotSent, why);
            Some(Input::AttemptEnded { step, attempt, end: Box::new(AttemptEnd::Failed(failure)) })
        };
        let gateway = self.gateway.as_ref()?;
        let Some(view) = gateway.engine.step(step) else { return unsent("the step is not known any more") };
        let (intent, rules) = (view.intent().clone(), view.rules().clone());
        let is_mutation = intent.effect.is_mutation();
        let slot = gateway.slots.get(&through).copied();
        let now = gateway.instant(self.now);
        self.audit.sent(
            &gateway.journal,
            &intent,
            &rules,
            attempt,
            gateway.asked.contains(&step) || slot.is_some(),
            now,
        );
        if let Some(call) = slot {
            // Whoever waits for the same thing may have more time than the one through whose session it goes.
            let wish = self.calls[call].wish;
            let waiting = gateway.slots.values().map(|call| &self.calls[*call]).filter(|call| call.wish == wish);
            let deadline = waiting.map(|call| call.deadline).max().unwrap_or(now);
            self.audit.in_time(deadline, now, step);
        }
        let has_session = if is_mutation { slot.is_some() || gateway.asked.contains(&step) } else { slot.is_some() };
        if !has_session {
            return unsent("no session with the upstream is left");
        }
        let desk = self.desk.as_ref()?;
        let args = match desk.attempt(attempt, &intent, &rules, key) {
            Ok(attempt) => attempt.args.unwrap_or_else(|| intent.args.clone()),
            Err(failure) => {
                return Some(Input::AttemptEnded { step, attempt, end: Box::new(AttemptEnd::Failed(failure)) });
            }
        };
        let tool = Tool::of(&intent.tool)?;
        let is_leg = self.audit.call_of(step).is_some_and(|call| self.calls[call].leg.is_some());
        self.upstream.flights.push(Flight {
            step,
            attempt,
            life: self.life,
            tool,
            tag: number_after(&args, "\"tag\":").unwrap_or(0),
            key: text_after(&args, "\"idem\":\""),
            args,
            departed: false,
            is_leg,
            closed_at: None,
            applied: false,
            dead: false,
            answered: false,
            cancelled: false,
        });
        let flight = self.upstream.flights.len() - 1;
        self.audit.flies(flight, intent);
        let pause = self.rngs.driver.between(20, 2 * MILLI);
        self.after(pause, Event::Depart { flight });
        self.may_kill(1);
        None
    }

    fn abandon(&mut self, step: StepId) {
        let (now, life) = (self.now, self.life);
        for flight in self.upstream.flights.iter_mut().filter(|one| one.step == step && one.life == life) {
            flight.closed_at.get_or_insert(now);
        }
    }

    fn look(&mut self, step: StepId, read: u32, purpose: engine::Purpose) -> Option<Input> {
        let view = self.gateway.as_ref()?.engine.step(step)?;
        let (intent, rules, result) = (view.intent().clone(), view.rules().clone(), view.result().cloned());
        let look = Look { purpose, intent: &intent, rules: &rules, result: result.as_ref() };
        let (plan, args) = match look.question() {
            Ok(question) => question,
            Err(why) => return Some(Input::ReadEnded { step, read, end: engine::ReadEnd::Failed(why) }),
        };
        let of = (plan.upstream.clone(), plan.read.clone());
        let life = self.life;
        let pause = self.rngs.network.between(MILLI, 40 * MILLI);
        self.after(
            pause,
            Event::Read(Box::new(Reading { life, step, read, purpose, intent, rules, result, of, args })),
        );
        None
    }

    fn reply(&mut self, call: CallId, reply: Reply) -> Option<Input> {
        let gateway = self.gateway.as_mut()?;
        let Some(slot) = gateway.slots.remove(&call) else {
            return Some(Input::Arrived { call, arrival: Arrival::Lost });
        };
        self.audit.told(&gateway.journal, &self.upstream, slot, &self.calls[slot], &self.wishes, &reply, self.now);
        self.calls[slot].reply = Some(reply);
        let pause = self.rngs.driver.between(100, 5 * MILLI);
        self.after(pause, Event::Flush { call: slot });
        self.may_kill(1);
        None
    }

    /// Kills strike anywhere, and more often at the places where they hurt.
    pub fn may_kill(&mut self, weight: u32) {
        let odds = self.plan.intensity(Fault::Kill) * weight / 60;
        if odds > 0 && !self.doomed && self.rngs.kill.chance(odds) {
            self.doomed = true;
            let span = self.rngs.kill.below(3 * MILLI);
            let life = Some(self.life);
            self.after(span, Event::Kill { life });
        }
    }

    /// The process is gone, and with it what it had not handed to the kernel; or the power is.
    pub fn kill(&mut self) {
        if self.calm && self.gateway.as_ref().is_some_and(|gateway| gateway.journal.health().is_ok()) {
            return;
        }
        let Some(gateway) = self.gateway.take() else { return };
        let power = self.strikes(Fault::PowerLoss, |rngs| &mut rngs.kill);
        if !power {
            self.hit(Fault::Kill);
        }
        let tail = match (power, self.strikes(Fault::TornTail, |rngs| &mut rngs.kill)) {
            (false, _) => Tail::Kept,
            (true, true) => {
                self.reach(Reached::TornTail);
                Tail::Torn(self.rngs.kill.draw())
            }
            (true, false) => Tail::Scattered(self.rngs.kill.draw()),
        };
        let life = self.life;
        self.tell(|| format!("process {life} ends: {tail:?}"));
        self.image = Some(gateway.journal.take(tail));
        let outlives = self.strikes(Fault::ChildOutlives, |rngs| &mut rngs.kill);
        for at in 0..self.upstream.flights.len() {
            let flight = &mut self.upstream.flights[at];
            // What has become a task of the upstream does not end with its caller.
            if flight.life != self.life || flight.closed_at.is_some() || flight.answered {
                continue;
            }
            flight.closed_at = Some(self.now);
            flight.dead |= !flight.departed || (flight.tool == Tool::File && !outlives);
            let reached = match (flight.departed, flight.applied) {
                (false, _) => Reached::KillBeforeWrite,
                (true, true) => Reached::KillAfterEffect,
                (true, false) => Reached::KillMidBody,
            };
            self.audit.trouble(flight.step);
            self.audit.reach(reached);
        }
        self.audit.killed(&gateway);
        self.agents_lose(&gateway);
        let span = self.rngs.kill.between(10 * MILLI, 4 * SECOND);
        self.after(span, Event::Start);
    }

    pub fn full(&mut self, full: bool) {
        if self.calm {
            return;
        }
        if full {
            self.hit(Fault::DiskFull);
            let span = self.rngs.disk.between(100 * MILLI, 30 * SECOND);
            self.audit.disturbed(self.now + span + 40 * SECOND);
            self.after(span, Event::Full { full: false });
        }
        if let Some(gateway) = &self.gateway {
            gateway.journal.disk_full(full);
        }
    }

    pub fn maintain(&mut self) {
        if self.is_over() {
            return;
        }
        self.after(MINUTE, Event::Maintain);
        let short =
            self.plan.intensity(Fault::Expiry) > 0 || (self.calm && self.audit.faults.contains_key(&Fault::Expiry));
        let keep = Retention {
            bodies: if short { Duration::from_secs(480) } else { Duration::from_secs(24 * 3600) },
            ..Retention::default()
        };
        let Some(gateway) = &self.gateway else { return };
        let now = gateway.instant(self.now);
        let open = |journal: &Crash| -> Vec<StepId> {
            journal.open_steps().unwrap_or_default().iter().map(|row| row.intent.step).collect()
        };
        let before = open(&gateway.journal);
        let done = gateway.journal.maintain(now, &keep).unwrap_or_default();
        self.audit.kept(&before, &open(&gateway.journal), &gateway.journal);
        let recalling = gateway.recalling;
        if done.bodies_expired > 0 {
            self.hit(Fault::Expiry);
            if recalling > 0 {
                self.reach(Reached::ExpiryRacesClaim);
            }
        }
    }

    pub fn reload(&mut self) {
        if self.calm {
            return;
        }
        let (which, version) = (self.rngs.people.index(2), self.rngs.people.below(4));
        let policy = Arc::clone(&self.stage.policies[which]);
        if let Some(desk) = &mut self.desk {
            if self.plan.intensity(Fault::Reload) > 0 {
                desk.reload(policy);
            }
            if self.plan.intensity(Fault::ToolsChange) > 0 {
                shop::learn(desk, version);
            }
        }
        for fault in [Fault::Reload, Fault::ToolsChange] {
            if self.plan.intensity(fault) > 0 {
                self.hit(fault);
            }
        }
    }

    /// A person looks into what nobody could resolve, and records what she sees. Now and then she errs.
    pub fn person(&mut self) {
        if self.is_over() {
            return;
        }
        let pause = if self.calm { 10 * SECOND } else { self.rngs.people.between(30 * SECOND, 180 * SECOND) };
        self.after(pause, Event::Person);
        let Some(gateway) = self.gateway.as_ref().filter(|gateway| gateway.ready) else { return };
        let filter = |state| Filter { state: Some(state), limit: 50, ..Filter::default() };
        let waiting = gateway.journal.steps(&filter(State::NeedsHuman)).unwrap_or_default();
        let closed = gateway.journal.steps(&filter(State::Closed)).unwrap_or_default();
        let which = self.rngs.people.index(waiting.len());
        let calm = self.calm;
        for (_, row) in waiting.iter().enumerate().filter(|(at, _)| calm || *at == which) {
            self.resolve(row.intent.step);
        }
        if !closed.is_empty() && self.strikes(Fault::RunAgain, |rngs| &mut rngs.people) {
            let step = closed[self.rngs.people.index(closed.len())].intent.step;
            self.run_again(step);
        }
    }

    fn resolve(&mut self, step: StepId) {
        let (happened, open) = (self.upstream.by_step(step) > 0, self.upstream.may_land(step, self.now));
        let mut act = if happened { Act::Applied } else { Act::Absent };
        if self.strikes(Fault::PersonWrong, |rngs| &mut rngs.people) {
            act = if happened { Act::Absent } else { Act::Applied };
            self.audit.misjudged(step);
        } else if !happened && open {
            return;
        }
        self.reach(Reached::PersonResolves);
        self.feed(Input::Person { step, act, who: "ops".into(), why: "looked".into() });
    }

    fn run_again(&mut self, step: StepId) {
        let Some(gateway) = &self.gateway else { return };
        let Ok(Some(row)) = gateway.journal.step(step) else { return };
        if row.expired || !row.intent.effect.is_mutation() || row.status.run_again {
            return;
        }
        let Some(wish) = self.audit.wish_of(step) else { return };
        if gateway.engine.step(step).is_none() {
            let Some(desk) = &self.desk else { return };
            let input = desk.recovered(row, gateway.journal.start(), gateway.instant(self.now));
            self.feed(input);
        }
        self.audit.allow(self.wishes[wish].tag);
        self.feed(Input::Person { step, act: Act::RunAgain, who: "ops".into(), why: "once more".into() });
        self.again(wish);
    }

    /// What an append shows that was reached.
    fn reached_by(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::Insert { intent, .. } if intent.generation > 0 => self.reach(Reached::ForceNew),
                Record::Update { status, .. } if status.delivered == Delivered::Flushed => {
                    self.reach(Reached::FlushedNotSeen);
                }
                Record::Event(event) => {
                    let state = match event.kind {
                        EventKind::Probe if event.detail.starts_with("inconclusive") => Reached::ProbeInconclusive,
                        EventKind::Probe if event.detail.contains("another step") => Reached::InferredRejected,
                        EventKind::NeedsHuman => Reached::NeedsHuman,
                        _ => continue,
                    };
                    self.reach(state);
                }
                _ => {}
            }
        }
        self.audit.outcomes(records, |outcome| match outcome {
            Outcome::Diverged => Some(Reached::Diverged),
            _ => None,
        });
    }
}
