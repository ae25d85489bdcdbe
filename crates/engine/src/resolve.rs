//! `unknown`, and how it is resolved: by a late receipt, by probes, by a person; never by time alone.

use crate::attempt::evidence::{AMBIGUOUS, classify};
use crate::attempt::retry::attempts_max;
use crate::call::Caller;
use crate::input::{AnswerKind, AttemptEnd, ReadEnd};
use crate::output::{self, Output, Purpose, Report};
use crate::step::{Live, Phase, Reading};
use crate::{Engine, Ticketed};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use core::time::Duration;
use policy::{Consistency, Judgement, ReadPlan, Strength};
use vocab::{
    Cause, Effect, EventKind, EvidenceClass, FailureKind, Instant, Outcome, Record, State, StepId, Verification,
};

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
        let epoch = self.config.epoch;
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
        self.commit(records, Ticketed::Unknown(id));
        self.out.push_back(Output::Report(Report::Unknown { step: id, why }));
        self.set_unknown_dues(now, id);
        self.probe(now, id);
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
            (Phase::Preimage, ReadEnd::Image(image)) => self.preimage(now, id, Some(image)),
            (Phase::Preimage, _) => self.preimage(now, id, None),
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

    /// After *absent* some steps may be sent once more, while their caller waits. Never a destructive one.
    //= G1
    fn redispatch(&mut self, now: Instant, id: StepId) -> bool {
        let Some(live) = self.table.get(id) else { return false };
        let is_allowed = match live.intent.effect {
            Effect::Keyed | Effect::Idempotent => self.may_resend(now, live, AMBIGUOUS),
            Effect::Write => live.rules.redispatch_on_absent,
            Effect::Read | Effect::Destructive => false,
        };
        let most = match live.intent.effect {
            Effect::Write => 2,
            effect => attempts_max(effect, AMBIGUOUS),
        };
        if !is_allowed || live.attempts() >= most || now >= live.deadline || !self.has_owner(live) || live.cancelled {
            return false;
        }
        self.claim_again(now, id);
        true
    }

    /// Somebody waits for this very step, and not only to decide about a call of its own.
    fn has_owner(&self, live: &Live) -> bool {
        live.waiters.iter().any(|call| self.calls.get(call).is_some_and(|caller| caller.deferred.is_none()))
    }

    fn claim_again(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.reading = None;
        live.status.outcome = None;
        live.status.cause = None;
        live.status.next_action_at = None;
        let waiters = live.waiters.clone();
        self.set_step_timer(id, None);
        self.claim(now, id);
        for call in waiters {
            if let Some(deadline) = self.calls.get(&call).filter(|caller| !caller.overdue).map(|one| one.deadline) {
                self.set_caller_timer(call, Some(deadline));
            }
        }
    }

    /// A step found `dispatched` at start is sent again when somebody asks for it, if a copy can do no harm.
    //= G2
    pub(crate) fn resend_on_demand(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        let Some(caller) = live.waiters.last().and_then(|call| self.calls.get(call)) else { return };
        if !live.resend_on_demand || !live.is_unknown() || live.out {
            return;
        }
        live.deadline = caller.deadline.min(now + live.rules.step_timeout);
        live.link = live.waiters.last().copied().unwrap_or(live.link);
        let Some(live) = self.table.get(id) else { return };
        let most = attempts_max(live.intent.effect, AMBIGUOUS);
        if live.attempts() < most && now < live.deadline && self.may_resend(now, live, AMBIGUOUS) {
            self.claim_again(now, id);
        }
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
        let epoch = self.config.epoch;
        let Some(live) = self.table.get_mut(id) else { return };
        let is_new = live.status.state != State::NeedsHuman;
        live.status.state = State::NeedsHuman;
        live.status.next_action_at = None;
        let status = live.status.clone();
        let event = Self::event(id, now, EventKind::NeedsHuman, status.attempt, &live.why);
        self.table.enter(id, Phase::NeedsHuman);
        self.set_step_timer(id, None);
        if is_new {
            self.note(vec![Record::Update { step: id, epoch, status, result: None }, Record::Event(event)]);
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

    /// The answer to an attempt of a step that is unknown by now. A late receipt beats a probe.
    //= S-25
    pub(crate) fn late(&mut self, now: Instant, id: StepId, is_current: bool, end: AttemptEnd) {
        let Some(live) = self.table.get_mut(id) else { return };
        let evidence = classify(&end, live.intent.effect, &live.rules.evidence);
        if is_current && !evidence.is_proof() {
            live.status.last_sent_at = Some(now);
        }
        match end {
            AttemptEnd::Answered(answer) => match answer.kind {
                AnswerKind::Done => return self.receipt(now, id, answer.result),
                AnswerKind::InputRequired if !live.maybe => return self.input_required(now, id, answer.result),
                AnswerKind::Task(task) => return self.task_began(now, id, task, answer.result),
                AnswerKind::ToolError(_) if evidence.class == EvidenceClass::Reported && !live.maybe => {
                    live.why = "the tool reported an error".into();
                    live.result = Some(answer.result);
                    return self.reported(now, id);
                }
                AnswerKind::Bad(finding) => {
                    live.bad_answer = true;
                    live.why = finding;
                }
                AnswerKind::ToolError(_) | AnswerKind::InputRequired => {}
            },
            AttemptEnd::Failed(failure) => {
                live.group_dead |= failure.kind == FailureKind::Exit && live.rules.local;
                if is_current && evidence.is_proof() && !live.maybe {
                    live.why = failure.detail;
                    live.error = failure.rpc_error.filter(|_| !evidence.curable);
                    live.status.told = Some(vocab::Code::UpstreamUnavailable);
                    return self.conclude(now, id, Outcome::NotExecuted, Cause::Transient, evidence.class);
                }
            }
        }
        if is_current {
            live.maybe |= !evidence.is_proof();
            self.stream_closed(now, id);
        }
    }

    /// An answer to a step of which the outcome has been settled without it.
    //= G3
    pub(crate) fn after_the_fact(&mut self, now: Instant, id: StepId, end: AttemptEnd) {
        let Some(live) = self.table.get_mut(id) else { return };
        let AttemptEnd::Answered(answer) = end else { return self.try_forget(id) };
        let (AnswerKind::Done, Some(outcome)) = (answer.kind, live.status.outcome) else { return self.try_forget(id) };
        match outcome {
            Outcome::Succeeded => self.try_forget(id),
            Outcome::Applied => {
                live.result = Some(answer.result);
                live.why = "a late receipt".into();
                let verification = live.status.verification;
                self.conclude_verified(now, id, Outcome::Succeeded, Cause::Ok, verification, EvidenceClass::Receipt);
            }
            _ => {
                let why = format!("a late receipt says that it was done, after {outcome}");
                live.result = Some(answer.result);
                live.why.clone_from(&why);
                live.status.delivered = vocab::Delivered::No;
                let attempt = live.status.attempt;
                let class = Some(EvidenceClass::Receipt);
                self.note(vec![Record::Event(Self::evidence(id, now, EventKind::Contradicted, attempt, class, &why))]);
                self.out.push_back(Output::Report(Report::Contradicted { step: id, why }));
                let verification = Verification::Unverified(vocab::Unverified::NoReadback);
                let cause = Cause::Contradiction;
                self.conclude_verified(now, id, Outcome::Succeeded, cause, verification, EvidenceClass::Receipt);
            }
        }
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
    (!live.out).then(|| live.status.last_sent_at.unwrap_or(Instant::ZERO) + quiescence)
}
