//! `unknown`, and how it is resolved: by a late receipt, by probes, by a person; never by time alone.

mod late;
mod resend;

use crate::call::Caller;
use crate::close::SAVE_AGAIN_MAX;
use crate::input::{NotDurable, ReadEnd};
use crate::output::{self, Output, Purpose, Report};
use crate::step::{Live, Phase, Reading};
use crate::timer::Timer;
use crate::{Engine, Ticketed};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use policy::{Consistency, Judgement, ReadPlan, Strength};
use vocab::planted::{self, Planted};
use vocab::{Cause, EventKind, EvidenceClass, Instant, Outcome, Record, State, StepId, Verification};

/// Two probes asked for by hand lie at least this far apart.
const HURRY_SPACING: Duration = Duration::from_secs(1);
/// How long probes go on once somebody asked again after they had given up.
const HURRY_BUDGET: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Probing {
    /// Until when probes go on.
    until: Instant,
    pause: Duration,
    count: u32,
    /// What an earlier read showed that may be believed if another one agrees, and when that read began.
    agreed: Option<(Outcome, Instant)>,
}

impl Probing {
    pub(crate) fn new(now: Instant, live: &Live, budget: Duration) -> Self {
        Self { until: now + budget, pause: live.rules.probe_interval.0, count: 0, agreed: None }
    }
}

impl Engine {
    /// It may have happened. Durable before anybody is told; the first probe starts at once.
    //= G6
    //= S-25
    pub(crate) fn become_unknown(&mut self, now: Instant, id: StepId, class: EvidenceClass) {
        let epoch = self.epoch_of(id);
        let Some(live) = self.table.get_mut(id) else { return };
        live.status.state = State::Resolving;
        live.status.outcome = Some(Outcome::Unknown);
        live.status.cause = Some(Cause::Unknown);
        live.status.verification = Verification::None;
        live.status.next_action_at = Some(now);
        live.unknown_since = Some(now);
        live.unknown_saved = false;
        (live.result, live.error, live.retry_after, live.reading, live.ticket) = (None, None, None, None, None);
        let probing = Probing::new(now, live, live.rules.probe_budget);
        let drained_at = live.out.then(|| now + live.rules.detached_max);
        let intent = live.intent.clone();
        let event = Self::evidence(id, now, EventKind::Unknown, live.status.attempt, Some(class), &live.why);
        let records =
            vec![Record::Update { step: id, epoch, status: live.status.clone(), result: None }, Record::Event(event)];
        let why = live.why.clone();
        self.table.enter(id, Phase::Resolving(probing));
        self.lanes.became_unknown(&intent);
        self.set_step_timer(id, None);
        self.set_stream_timer(id, drained_at);
        self.save_unknown(id, records);
        self.out.push_back(Output::Report(Report::Unknown { step: id, why }));
        self.set_unknown_dues(now, id);
        self.probe(now, id);
    }

    fn save_unknown(&mut self, id: StepId, records: Vec<Record>) {
        self.set_save_timer(id, None);
        self.commit(records, Ticketed::Unknown(id));
    }

    /// `dispatched` is durable and means the same after a crash, so that it may be told; it is written as soon as the
    /// journal takes it.
    pub(crate) fn unknown_failed(&mut self, now: Instant, id: StepId, why: NotDurable) {
        if why == NotDurable::Fenced {
            return self.fenced(now, id);
        }
        self.set_save_timer(id, Some(now + SAVE_AGAIN_MAX));
        self.unknown_durable(now, id);
    }

    pub(crate) fn save_unknown_again(&mut self, id: StepId) {
        let epoch = self.epoch_of(id);
        let Some(live) = self.table.get_mut(id) else { return };
        live.save_due = None;
        if matches!(live.phase, Phase::AwaitingInput | Phase::RemoteTask) {
            return self.save_pending_again(id);
        }
        if live.is_unknown() {
            let status = live.status.clone();
            self.save_unknown(id, vec![Record::Update { step: id, epoch, status, result: None }]);
        }
    }

    pub(crate) fn set_save_timer(&mut self, id: StepId, at: Option<Instant>) {
        if let Some(live) = self.table.get_mut(id) {
            let old = core::mem::replace(&mut live.save_due, at);
            self.swap_timer(old, at, Timer::Save(id));
        }
    }

    pub(crate) fn set_unknown_dues(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get(id) else { return };
        for call in live.waiters.clone() {
            if let Some(caller) = self.calls.get(&call) {
                let due = if caller.overdue { now } else { self.unknown_due(now, caller) };
                self.set_caller_timer(call, Some(due));
            }
        }
    }

    /// Until when a caller waits for an unknown step: where nothing can come, there is nothing to wait for.
    pub(crate) fn unknown_due(&self, now: Instant, caller: &Caller) -> Instant {
        let Some(live) = self.table.get(caller.step) else { return now };
        let probes = live.rules.probe.is_some() && matches!(live.phase, Phase::Resolving(_));
        if probes || (caller.attached && live.out) { caller.told_unknown_at(now) } else { now }
    }

    pub(crate) fn unknown_durable(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.unknown_saved = true;
        if !live.is_unknown() {
            return;
        }
        for call in live.waiters.clone() {
            if self.calls.get(&call).is_some_and(|caller| caller.overdue) {
                self.tell_unknown(now, call);
            }
        }
    }

    pub(crate) fn probe(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        let can_probe = live.rules.probe.is_some();
        let Phase::Resolving(probing) = &mut live.phase else { return };
        if !can_probe {
            if !live.out {
                self.needs_human(now, id);
            }
            return;
        }
        if now >= probing.until {
            return self.needs_human(now, id);
        }
        if live.reading.is_some() {
            return;
        }
        probing.count += 1;
        let probes = probing.count;
        self.read_world(now, id, Purpose::Probe);
        self.progress(id, &output::Phase::Probing { probes });
    }

    pub(crate) fn read_ended(&mut self, now: Instant, id: StepId, read: u32, end: ReadEnd) {
        let Some(live) = self.table.get_mut(id) else { return };
        let Some(reading) = live.reading.filter(|reading| reading.number == read) else { return };
        live.reading = None;
        live.last_read_at = Some(now);
        self.set_step_timer(id, None);
        let Some(live) = self.table.get(id) else { return };
        match (&live.phase, end) {
            (Phase::Preimage, end) if reading.purpose == Purpose::Stands => self.stands(now, id, seen(end)),
            (Phase::Preimage, ReadEnd::Image(image)) => self.preimage(now, id, Ok(image)),
            (Phase::Preimage, end) => self.preimage(now, id, Err(seen(end).err().unwrap_or_default())),
            (Phase::ReadingBack(_), end) => self.looked(now, id, reading, seen(end)),
            (Phase::Resolving(_), end) => self.probed(now, id, reading, seen(end)),
            _ => {}
        }
    }

    pub(crate) fn read_timeout(&mut self, now: Instant, id: StepId) {
        let Some(reading) = self.table.get(id).and_then(|live| live.reading) else { return };
        self.read_ended(now, id, reading.number, ReadEnd::Failed("no answer in time".into()));
    }

    //= S-25
    fn probed(&mut self, now: Instant, id: StepId, reading: Reading, seen: Result<Judgement, String>) {
        let Some(live) = self.table.get(id) else { return };
        let Some(plan) = live.rules.probe.clone() else { return };
        let attempt = live.status.attempt;
        let (shown, detail) = match seen {
            Ok(Judgement::Applied) if plan.strength == Strength::Inferred && live.shadowed => {
                (None, String::from("the intent is there, and another step of equal content may explain it"))
            }
            Ok(Judgement::Applied) => (Some(Outcome::Applied), String::from("the world shows the intent")),
            Ok(Judgement::Absent) => (Some(Outcome::Absent), String::from("the world does not show the intent")),
            Ok(Judgement::Different) => {
                (Some(Outcome::Diverged), String::from("the world shows neither the intent nor what was before"))
            }
            Ok(Judgement::Inconclusive(why)) => (None, format!("inconclusive: {why}")),
            Err(why) => (None, format!("could not be read: {why}")),
        };
        let event = Self::evidence(id, now, EventKind::Probe, attempt, Some(EvidenceClass::Probe), &detail);
        self.note(vec![Record::Event(event)]);
        match shown {
            Some(Outcome::Applied) => {
                self.set_why(id, "evidence: the world shows the intent");
                self.conclude(now, id, Outcome::Applied, Cause::Unknown, EvidenceClass::Probe);
            }
            Some(outcome) if self.is_believed(id, &plan, reading, outcome) => self.not_there(now, id, outcome),
            _ => self.probe_later(now, id),
        }
    }

    /// "The probe says absent" does not prove that nothing happened: a late request can land after it.
    //= G3
    //= S-25
    fn is_believed(&mut self, id: StepId, plan: &ReadPlan, reading: Reading, outcome: Outcome) -> bool {
        let Some(live) = self.table.get_mut(id) else { return false };
        let is_quiet = quiet_at(live).is_some_and(|at| reading.since >= at);
        // A domain read can only be compared with what was there before.
        let is_quiet = is_quiet || planted::is(Planted::AbsentWithoutQuiescence);
        if !is_quiet || (plan.strength == Strength::Inferred && live.intent.preimage.is_none()) {
            return false;
        }
        if plan.consistency == Consistency::Strong {
            return true;
        }
        let spacing = live.rules.absent_spacing;
        let Phase::Resolving(probing) = &mut live.phase else { return false };
        match probing.agreed {
            Some((earlier, since)) if earlier == outcome => reading.since >= since + spacing,
            _ => {
                probing.agreed = Some((outcome, reading.since));
                false
            }
        }
    }

    /// Evidence says that it did not happen, or that something else did.
    fn not_there(&mut self, now: Instant, id: StepId, outcome: Outcome) {
        if outcome == Outcome::Absent && self.redispatch(now, id) {
            return;
        }
        let why = match outcome {
            Outcome::Absent => "evidence: the sender is gone, and the world does not show the intent",
            _ => "evidence: the world shows neither the intent nor what was there before",
        };
        self.set_why(id, why);
        self.conclude(now, id, outcome, Cause::Unknown, EvidenceClass::Probe);
    }

    /// When to look again: by the schedule, but not past the moment from which *absent* counts.
    fn probe_later(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        let longest = live.rules.probe_interval.1;
        let spacing = live.rules.absent_spacing;
        let quiet = quiet_at(live).filter(|at| *at > now);
        let Phase::Resolving(probing) = &mut live.phase else { return };
        let mut at = now + probing.pause;
        probing.pause = (probing.pause * 2).min(longest);
        if let Some((_, since)) = probing.agreed {
            at = at.min(since + spacing);
        }
        if let Some(quiet) = quiet {
            at = at.min(quiet);
        }
        at = at.min(probing.until).max(now + MOMENT);
        live.status.next_action_at = Some(at);
        self.set_step_timer(id, Some(at));
    }

    /// Probes could not tell. It waits for a person, for as long as it takes.
    //= G6
    pub(crate) fn needs_human(&mut self, now: Instant, id: StepId) {
        let epoch = self.epoch_of(id);
        let Some(live) = self.table.get_mut(id) else { return };
        let is_new = live.status.state != State::NeedsHuman;
        live.status.state = State::NeedsHuman;
        live.status.next_action_at = None;
        let status = live.status.clone();
        let event = Self::event(id, now, EventKind::NeedsHuman, status.attempt, &live.why);
        self.table.enter(id, Phase::NeedsHuman);
        self.set_step_timer(id, None);
        if is_new {
            let update = Record::Update { step: id, epoch, status, result: None };
            self.save_unknown(id, vec![update, Record::Event(event)]);
            self.out.push_back(Output::Report(Report::NeedsHuman { step: id }));
        }
        self.set_unknown_dues(now, id);
    }

    /// Nothing can arrive on a stream any more.
    pub(crate) fn stream_closed(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get(id) else { return };
        if !matches!(live.phase, Phase::Resolving(_)) {
            return;
        }
        if live.rules.probe.is_none() {
            return self.needs_human(now, id);
        }
        if live.reading.is_none() {
            self.probe(now, id);
        }
    }

    pub(crate) fn hurry(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get(id) else { return };
        let is_early = live.last_read_at.is_some_and(|at| now < at + HURRY_SPACING);
        if is_early || live.reading.is_some() || live.rules.probe.is_none() {
            return;
        }
        if matches!(live.phase, Phase::NeedsHuman) {
            let probing = Probing::new(now, live, HURRY_BUDGET);
            self.table.enter(id, Phase::Resolving(probing));
        }
        self.probe(now, id);
    }

    fn set_why(&mut self, id: StepId, why: &str) {
        if let Some(live) = self.table.get_mut(id) {
            live.why = if live.why.is_empty() { why.into() } else { format!("{why} (after: {})", live.why) };
        }
    }
}

fn seen(end: ReadEnd) -> Result<Judgement, String> {
    match end {
        ReadEnd::Judged(judgement) => Ok(judgement),
        ReadEnd::Failed(why) => Err(why),
        ReadEnd::Image(_) => Err("a read without a judgement".into()),
    }
}

/// From when on nothing that was sent can still be worked on; `None` while something may still be sent.
fn quiet_at(live: &Live) -> Option<Instant> {
    let quiescence = if live.rules.local && live.group_dead { Duration::ZERO } else { live.rules.quiescence };
    let last_sent = live.status.last_sent_at.max(live.sent_before).unwrap_or(Instant::ZERO);
    (!live.out).then(|| last_sent + quiescence)
}
