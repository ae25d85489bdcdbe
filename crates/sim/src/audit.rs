//! The auditor: it counts effects per intent from the upstreams' ledger, from what each agent was told and from the
//! journal, and asks the engine nothing. Each check is a constant amount of work for each event.

mod told;

use crate::gateway::Gateway;
use crate::names::{Fault, Invariant, Reached};
use crate::shop::Tool;
use crate::upstream::{Ending, Flight, Upstream};
use engine::Report;
use journal::Journal;
use journal::crash::Crash;
use policy::ToolRules;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vocab::{
    Effect, EventKind, EvidenceClass, Executed, FailureKind, Hash, Instant, KeySource, Outcome, Record, State, StepId,
    StepIntent, StepRow,
};

/// What should never be, and was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: Invariant,
    pub what: String,
}

/// What the auditor keeps of a step.
#[derive(Default)]
struct Seen {
    wish: usize,
    call: usize,
    key: Hash,
    named: bool,
    fingerprint: Hash,
    /// When its call reached the gateway.
    arrived: u64,
    tag: u64,
    is_mutation: bool,
    effect: Option<Effect>,
    upstream: String,
    tenant: String,
    /// Number of its first dispatch among all, and the true time of it.
    first: Option<(u64, u64)>,
    /// The highest attempt of which it was told that it did nothing.
    told_no: Option<u32>,
    told_yes: bool,
    /// Attempts since it was last closed.
    tries: u32,
    attempt: u32,
    /// Attempts that were really sent.
    sent: BTreeSet<u32>,
    state: Option<State>,
    outcome: Option<Outcome>,
    epoch: u64,
    /// Something was done to it that explains why nothing is known.
    troubled: bool,
    cancelled: bool,
    detached: bool,
    bad_answer: bool,
    minus_32602: bool,
    cancelled_task: bool,
    answered_unsaved: bool,
    last_class: Option<EvidenceClass>,
    misjudged: bool,
}

/// Agent, tool and what it acts on.
type Group = (usize, Tool, u64);

#[derive(Default)]
pub struct Audit {
    pub violation: Option<Violation>,
    pub faults: BTreeMap<Fault, u64>,
    pub reached: BTreeMap<Reached, u64>,
    pub checked: BTreeMap<Invariant, u64>,
    /// Steps in memory and callers of one step.
    pub bounds: (usize, usize),
    steps: BTreeMap<StepId, Seen>,
    intents: Vec<Arc<StepIntent>>,
    /// How many effects an intent may have where a person, or a broken promise of the upstream, allows more than one.
    allowed: BTreeMap<u64, usize>,
    /// Intents that nobody can tell apart, because all that identifies their content is equal: they are counted
    /// together.
    alike: BTreeMap<u64, Group>,
    groups: BTreeMap<Group, Vec<u64>>,
    dispatches: u64,
    /// Mutations by the time at which they reached the gateway, for what was overtaken.
    arrivals: BTreeMap<(String, String), Vec<(u64, StepId)>>,
    /// First dispatch and step of the last effect on a lane.
    lanes: BTreeMap<String, (u64, StepId)>,
    keys: BTreeMap<Hash, (Hash, StepId)>,
    disturbed_until: u64,
    /// A declared promise of an upstream was broken on purpose, or a person erred.
    excused: BTreeSet<StepId>,
    /// Steps that nobody can tell from one that is excused.
    excused_groups: BTreeSet<Group>,
    lives: u64,
}

impl Audit {
    pub fn reach(&mut self, state: Reached) {
        *self.reached.entry(state).or_insert(0) += 1;
    }

    /// Only the first one counts: what follows may be its consequence.
    pub fn violated(&mut self, invariant: Invariant, what: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, what });
        }
    }

    fn check(&mut self, invariant: Invariant, holds: bool, what: impl FnOnce() -> String) {
        *self.checked.entry(invariant).or_insert(0) += 1;
        if !holds {
            self.violated(invariant, what());
        }
    }

    fn seen(&mut self, step: StepId) -> &mut Seen {
        self.steps.entry(step).or_default()
    }

    pub fn call_of(&self, step: StepId) -> Option<usize> {
        self.steps.get(&step).map(|seen| seen.call)
    }

    pub fn wish_of(&self, step: StepId) -> Option<usize> {
        self.steps.get(&step).map(|seen| seen.wish)
    }

    pub fn intent_of(&self, flight: usize) -> Option<Arc<StepIntent>> {
        self.intents.get(flight).cloned()
    }

    /// An attempt got its flight: they are numbered alike.
    pub fn flies(&mut self, flight: usize, intent: Arc<StepIntent>) {
        debug_assert_eq!(flight, self.intents.len());
        self.intents.push(intent);
    }

    /// The disk, or its notices, were in the way until then.
    pub fn disturbed(&mut self, until: u64) {
        self.disturbed_until = self.disturbed_until.max(until);
    }

    pub fn trouble(&mut self, step: StepId) {
        self.seen(step).troubled = true;
    }

    pub fn cancelled(&mut self, step: StepId) {
        let seen = self.seen(step);
        (seen.cancelled, seen.troubled) = (true, true);
    }

    pub fn detached(&mut self, step: StepId) {
        self.seen(step).detached = true;
    }

    pub fn cancelled_task(&mut self, step: StepId) {
        self.seen(step).cancelled_task = true;
    }

    /// A task's end was told to a gateway that waited for it, or not any more.
    pub fn task_over(&mut self, step: StepId, waited: bool) {
        if !waited {
            self.trouble(step);
        }
    }

    /// An intent of which the content is that of others of its group.
    pub fn means(&mut self, tag: u64, group: Group) {
        self.alike.insert(tag, group);
        self.groups.entry(group).or_default().push(tag);
    }

    fn is_excused(&self, step: StepId) -> bool {
        let tag = self.steps.get(&step).map_or(0, |seen| seen.tag);
        self.excused.contains(&step) || self.alike.get(&tag).is_some_and(|group| self.excused_groups.contains(group))
    }

    pub fn misjudged(&mut self, step: StepId) {
        let tag = {
            let seen = self.seen(step);
            seen.misjudged = true;
            seen.tag
        };
        self.excused.insert(step);
        self.allow(tag);
    }

    pub fn allow(&mut self, tag: u64) {
        *self.allowed.entry(tag).or_insert(1) += 1;
    }

    pub fn reported(&mut self, report: &Report) {
        match report {
            Report::Contradicted { step, .. } => {
                self.reach(Reached::LateContradicts);
                let tag = self.seen(*step).tag;
                self.excused.insert(*step);
                self.allow(tag);
            }
            Report::Unknown { why, .. } if why.contains("second hop") => self.reach(Reached::SecondHop),
            _ => {}
        }
    }

    pub fn bounded(&mut self, load: (usize, usize, usize)) {
        let (steps, waiters) = self.bounds;
        // Mutations and reads each have the bound, and what a restart found open counts besides.
        let most = steps * 2 + self.steps.len().min(256);
        self.check(Invariant::I16, load.0 <= most && load.1 <= most * waiters, || format!("{load:?} in memory"));
    }

    #[expect(clippy::too_many_arguments, reason = "one call's facts, written down once")]
    pub fn called(
        &mut self,
        call: usize,
        step: StepId,
        wish: usize,
        key: Hash,
        source: KeySource,
        fingerprint: Hash,
        short: bool,
        now: u64,
    ) {
        let seen = self.seen(step);
        (seen.call, seen.wish, seen.key, seen.fingerprint, seen.arrived) = (call, wish, key, fingerprint, now);
        seen.named = source != KeySource::Fresh;
        seen.troubled |= short;
    }

    /// What the engine asks the journal to write.
    pub fn appended(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::Insert { intent, status, epoch } => {
                    let seen = self.seen(intent.step);
                    (seen.state, seen.epoch) = (Some(status.state), epoch.0);
                }
                Record::Update { step, epoch, status, .. } => {
                    let evidence = records.iter().find_map(|one| match one {
                        Record::Event(event) if event.step == *step => event.class,
                        _ => None,
                    });
                    self.moved(*step, epoch.0, status, evidence);
                }
                Record::Event(event) => {
                    if let Some(class) = event.class {
                        self.seen(event.step).last_class = Some(class);
                    }
                    if event.kind == EventKind::Adopted {
                        self.reach(Reached::AdoptedClosed);
                    }
                }
                Record::Read(_) | Record::Guard(_) => {}
            }
        }
    }

    fn moved(&mut self, step: StepId, epoch: u64, status: &vocab::StepStatus, evidence: Option<EvidenceClass>) {
        let seen = self.seen(step);
        let (before, known) = (seen.state, seen.epoch);
        let was_unknown = matches!(before, Some(State::Resolving | State::NeedsHuman));
        let class = evidence.or(seen.last_class);
        let is_new = seen.outcome != status.outcome;
        (seen.state, seen.outcome, seen.epoch) = (Some(status.state), status.outcome, epoch);
        let shown = (seen.bad_answer, seen.minus_32602, seen.cancelled, seen.cancelled_task);
        if status.state == State::Closed {
            seen.tries = 0;
            if status.outcome == Some(Outcome::NotExecuted) {
                // Opened again, it is admitted anew.
                seen.first = None;
            }
        }
        self.check(Invariant::I10, epoch >= known, || format!("{step} went from epoch {known} to {epoch}"));
        if was_unknown && status.state == State::Closed {
            let holds =
                class.is_some_and(|class| !matches!(class, EvidenceClass::Ambiguous | EvidenceClass::BadAnswer));
            self.check(Invariant::I8, holds, || format!("{step} was unknown and is {:?} by {class:?}", status.outcome));
            if is_new {
                match (status.outcome, class) {
                    (Some(Outcome::Applied), Some(EvidenceClass::Probe)) => self.reach(Reached::ProbeApplied),
                    (Some(Outcome::Absent), Some(EvidenceClass::Probe)) => self.reach(Reached::ProbeAbsent),
                    (Some(Outcome::Succeeded), _) => self.reach(Reached::LateConfirms),
                    _ => {}
                }
            }
        }
        if is_new && matches!(status.outcome, Some(Outcome::Applied | Outcome::Succeeded)) {
            let (bad, params, cancelled, task) = shown;
            for (is, state) in [
                (bad && status.outcome == Some(Outcome::Applied), Reached::BadAnswerApplied),
                (params && status.outcome == Some(Outcome::Applied), Reached::Minus32602Applied),
                (cancelled && status.state == State::Closed, Reached::CancelThenApplied),
                (task, Reached::TaskCancelledCompleted),
            ] {
                if is {
                    self.reach(state);
                }
            }
        }
    }

    pub fn outcomes(&mut self, records: &[Record], reached: impl Fn(Outcome) -> Option<Reached>) {
        for record in records {
            if let Record::Update { status, .. } = record
                && status.state == State::Closed
                && let Some(state) = status.outcome.and_then(&reached)
            {
                self.reach(state);
            }
        }
    }

    /// The gateway decided to send an attempt.
    pub fn sent(
        &mut self,
        journal: &Crash,
        intent: &StepIntent,
        rules: &ToolRules,
        attempt: u32,
        asked: bool,
        now: Instant,
    ) {
        let step = intent.step;
        self.dispatches += 1;
        let number = self.dispatches;
        let earlier = self.seen(step).attempt;
        let seen = self.seen(step);
        seen.is_mutation = intent.effect.is_mutation();
        seen.effect = Some(intent.effect);
        seen.tag = crate::upstream::number_after(&intent.args, "\"tag\":").unwrap_or(0);
        (seen.upstream, seen.tenant) = (intent.upstream.to_string(), intent.tenant.to_string());
        seen.tries += 1;
        seen.attempt = attempt;
        seen.sent.insert(attempt);
        let (tries, arrived) = (seen.tries, seen.arrived);
        let first = *seen.first.get_or_insert((number, now.as_micros()));
        let named = seen.named;
        self.check(Invariant::I1, asked, || format!("{step} is sent for an agent that is gone"));
        self.check(Invariant::I17, !intent.args.windows(6).any(|part| part == b"\"mark\""), || {
            format!("{step} is sent although its arguments fail the schema")
        });
        let most = match intent.effect {
            Effect::Keyed => 5,
            Effect::Read | Effect::Idempotent => 3,
            Effect::Write | Effect::Destructive => 2,
        };
        self.check(Invariant::I12, tries <= most, || format!("{step} is sent for the {tries}th time"));
        if !intent.effect.is_mutation() {
            return;
        }
        let row = journal.step(step).ok().flatten();
        let durable = row.as_ref().is_some_and(|row| {
            row.status.state == State::Dispatched && row.status.attempt == attempt && row.intent.args == intent.args
        });
        self.check(Invariant::I3, durable, || {
            format!("attempt {attempt} of {step} is sent, and the journal has {row:?}")
        });
        if named {
            let other = self.keys.get(&intent.key).filter(|(print, _)| *print != intent.fingerprint).map(|(_, id)| *id);
            let voided = other.is_some_and(|other| self.is_void(journal, other));
            let is_leg = &*intent.tool == Tool::Ask.as_str();
            self.check(Invariant::I7, other.is_none() || voided || is_leg, || {
                format!("{step} is sent under the key of {other:?}, which had other arguments")
            });
            self.keys.insert(intent.key, (intent.fingerprint, step));
        }
        if attempt > 1 && earlier > 0 {
            self.sent_again(journal, intent, rules, attempt, first.1, arrived);
        }
        self.arrivals
            .entry((intent.tenant.to_string(), intent.upstream.to_string()))
            .or_default()
            .push((arrived, step));
    }

    fn is_void(&self, journal: &Crash, step: StepId) -> bool {
        let row = journal.step(step).ok().flatten();
        row.is_none_or(|row| matches!(row.status.outcome, Some(Outcome::NotExecuted | Outcome::Refused)))
    }

    /// A further attempt needs proof, an honoured key, or an absolute write that nothing has overtaken.
    fn sent_again(
        &mut self,
        journal: &Crash,
        intent: &StepIntent,
        rules: &ToolRules,
        attempt: u32,
        first: u64,
        arrived: u64,
    ) {
        let step = intent.step;
        let events = journal.events(step).unwrap_or_default();
        let is_proof = |class| matches!(class, Some(EvidenceClass::Structural | EvidenceClass::Attested));
        let proven = |number: u32| {
            events.iter().any(|stored| {
                let event = &stored.event;
                event.attempt == number
                    && is_proof(event.class)
                    && matches!(event.kind, EventKind::AttemptFailed | EventKind::Closed)
            })
        };
        let last = events
            .iter()
            .rev()
            .find_map(|stored| (stored.event.kind == EventKind::AttemptFailed).then_some(stored.event.class).flatten());
        match last {
            Some(EvidenceClass::Structural) => self.reach(Reached::StructuralResend),
            Some(EvidenceClass::Attested) => self.reach(Reached::AttestedResend),
            _ => {}
        }
        let all = self.seen(step).sent.iter().filter(|number| **number < attempt).all(|number| proven(*number));
        let restarted = events.iter().any(|stored| stored.event.kind == EventKind::Recovered);
        let holds = all
            || match intent.effect {
                Effect::Keyed => intent.upstream_key.is_some(),
                Effect::Idempotent => true,
                Effect::Write => rules.redispatch_on_absent,
                Effect::Read | Effect::Destructive => false,
            };
        if !all && intent.effect == Effect::Keyed && restarted {
            self.reach(Reached::KeyedResend);
        }
        // What proves rides along with a later commit, and a disk that was full may have lost it.
        let holds = holds || self.disturbed_until > 0;
        self.check(Invariant::I2, holds, || format!("attempt {attempt} of {step} follows one that may have run"));
        if intent.effect == Effect::Idempotent && !all && intent.lane.is_none() {
            let lane = (intent.tenant.to_string(), intent.upstream.to_string());
            let later = self.arrivals.get(&lane).and_then(|all| {
                all.iter().find(|(at, other)| *at > arrived && *other != step && self.is_after(*other, step))
            });
            let later = later.copied();
            self.check(Invariant::I2, later.is_none(), || {
                format!("attempt {attempt} of {step} (first at {first}) follows the later write {later:?}")
            });
        }
    }

    /// Was `other` called after `step` had first been sent?
    fn is_after(&self, other: StepId, step: StepId) -> bool {
        let sent = |id| self.steps.get(&id).and_then(|seen| seen.first).map(|first| first.0);
        match (sent(other), sent(step)) {
            (Some(other), Some(step)) => other > step,
            _ => false,
        }
    }

    pub fn in_time(&mut self, deadline: Instant, now: Instant, step: StepId) {
        self.check(Invariant::I12, now <= deadline, || format!("{step} is sent after its caller's deadline"));
    }

    /// An effect took place.
    pub fn happened(&mut self, upstream: &Upstream, at: usize, late: bool, now: u64) {
        let flight = &upstream.flights[at];
        let (step, tag) = (flight.step, flight.tag);
        if late {
            // The upstream broke its declared quiescence on purpose.
            self.excused.insert(step);
            self.allow(tag);
            self.excused_groups.extend(self.alike.get(&tag).copied());
        }
        let excused = self.is_excused(step);
        let alike = self.alike.get(&tag).and_then(|group| self.groups.get(group)).cloned().unwrap_or_else(|| vec![tag]);
        let count: usize = alike.iter().map(|tag| upstream.count(*tag)).sum();
        let allowed: usize = alike.iter().map(|tag| self.allowed.get(tag).copied().unwrap_or(1)).sum();
        self.check(Invariant::I1, flight.tool.may_repeat() || count <= allowed, || {
            format!("intent {tag} ({:?}) took effect {count} times, the last by {step}", flight.tool)
        });
        let told_no = self.seen(step).told_no;
        self.check(Invariant::I5, excused || told_no.is_none_or(|told| flight.attempt > told), || {
            format!("{step} was told not to have happened, and its attempt {} takes effect at {now}", flight.attempt)
        });
        if flight.tool == Tool::Set {
            let lane = crate::upstream::text_after(&flight.args, "\"lane\":\"").unwrap_or_default();
            let first = self.seen(step).first.map_or(0, |first| first.0);
            let last = self.lanes.get(&lane).copied();
            let is_newest = last.is_none_or(|(number, other)| number <= first || other == step);
            let any_excused = excused || last.is_some_and(|(_, other)| self.excused.contains(&other));
            self.check(Invariant::I1, is_newest || any_excused, || {
                format!("{step} overwrites what the later {last:?} wrote on lane {lane}")
            });
            self.lanes.insert(lane, (first, step));
        }
        self.seen(step).answered_unsaved = false;
    }

    pub fn answered(&mut self, flight: &Flight, ending: &Ending) {
        let seen = self.seen(flight.step);
        seen.answered_unsaved = true;
        match ending {
            Ending::Malformed | Ending::BadSchema => seen.bad_answer = true,
            Ending::Failed(FailureKind::Rpc { code: -32602, .. }) => seen.minus_32602 = true,
            _ => {}
        }
    }

    /// A process ended.
    pub fn killed(&mut self, gateway: &Gateway) {
        let mut reached = Vec::new();
        for (step, seen) in &mut self.steps {
            if !seen.answered_unsaved && gateway.slots.is_empty() {
                continue;
            }
            let Ok(Some(row)) = gateway.journal.step(*step) else { continue };
            if std::mem::take(&mut seen.answered_unsaved) && row.status.state == State::Dispatched {
                reached.push(Reached::KillReceiptUnrecorded);
            }
            if row.status.state == State::Closed && gateway.slots.values().any(|call| *call == seen.call) {
                reached.push(Reached::KillBeforeRelease);
            }
            if row.status.state.is_open() {
                seen.troubled = true;
            }
        }
        for state in reached {
            self.reach(state);
        }
    }

    /// A process starts: whatever anybody was told of, and whatever had an effect, is there.
    pub fn restarted(&mut self, journal: &Crash, upstream: &Upstream) {
        self.lives += 1;
        let mut wrong = None;
        for flight in upstream.flights.iter().filter(|one| one.applied && one.tool != Tool::Get) {
            if journal.step(flight.step).ok().flatten().is_none() {
                wrong = Some(format!("{} had an effect, and the journal does not know it", flight.step));
            }
        }
        for (step, seen) in self.steps.iter().filter(|(_, seen)| seen.is_mutation) {
            if !seen.told_yes {
                continue;
            }
            let row: Option<StepRow> = journal.step(*step).ok().flatten();
            let executed = row.as_ref().and_then(|row| row.status.outcome).map(Outcome::executed);
            if executed != Some(Executed::Yes) && !self.is_excused(*step) {
                wrong = Some(format!("{step} was told done, and the journal has {row:?}"));
            }
        }
        self.check(Invariant::I9, wrong.is_none(), || wrong.clone().unwrap_or_default());
        for seen in self.steps.values_mut() {
            seen.tries = 0;
        }
    }

    /// Retention took nothing that is open.
    pub fn kept(&mut self, before: &[StepId], after: &[StepId], journal: &Crash) {
        let expired = before
            .iter()
            .find(|step| !after.contains(step) || journal.step(**step).ok().flatten().is_none_or(|row| row.expired));
        self.check(Invariant::I8, expired.is_none(), || format!("{expired:?} was unknown, and retention took it"));
    }

    /// Everything has come to rest.
    pub fn rested(&mut self, open: &[StepRow], load: (usize, usize, usize), journal: &Crash, upstream: &Upstream) {
        let first = open.first().map(|row| (row.intent.step, row.status.state));
        self.check(Invariant::I13, open.is_empty(), || format!("{first:?} is still open"));
        self.check(Invariant::I16, load.1 == 0, || format!("{load:?} in memory at rest"));
        self.restarted(journal, upstream);
    }
}
