//! From the decision that a call runs to its first byte: bounds, lane, pre-image, intent.

use crate::Engine;
use crate::Ticketed;
use crate::attempt::evidence::AMBIGUOUS;
use crate::call::Caller;
use crate::input::{Call, Continues, NotDurable, Undoes};
use crate::output::{self, Output, Purpose, Report, Stop};
use crate::step::{Live, Phase, Reading};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use vocab::planted::{self, Planted};
use vocab::{
    Bytes, CallId, Cause, Code, Effect, EventKind, EvidenceClass, Executed, Instant, Outcome, Record, State, StepId,
};

/// A call that may run: as what, and under which conditions.
pub(crate) struct Admitted {
    pub(crate) call: Box<Call>,
    /// Number of the look-up that began when the call was made.
    pub(crate) asked: u64,
    /// The step of its key, which was proven not to have run.
    pub(crate) reopens: Option<StepId>,
    pub(crate) generation: u32,
    /// The step whose `run_again` it uses up.
    pub(crate) permit: Option<StepId>,
    pub(crate) notice: Option<String>,
}

impl Admitted {
    pub(crate) fn new(call: Box<Call>, asked: u64) -> Self {
        Self { call, asked, reopens: None, generation: 0, permit: None, notice: None }
    }
}

impl Engine {
    /// Makes a new step of a call, or runs the old one of its key again.
    pub(crate) fn begin(&mut self, now: Instant, admitted: Admitted) {
        let Admitted { call, reopens, generation, permit, notice, .. } = admitted;
        if let Some((code, why)) = self.bounds(now, &call) {
            return self.refuse(now, &call, code, None, why);
        }
        let id = if let Some(id) = reopens {
            self.reopen(&call, id);
            id
        } else {
            let live = Box::new(Live::of(&call, generation, now));
            let id = live.id();
            self.table.insert(live);
            id
        };
        let Some(live) = self.table.get_mut(id) else { return };
        live.permit = permit;
        live.waiters.push(call.call);
        if let Some(earlier) = permit.and_then(|earlier| self.table.get_mut(earlier)) {
            earlier.status.run_again = false;
            earlier.holds += 1;
        }
        self.admit_caller(now, &call, id, notice);
        self.try_admit(now, id);
    }

    /// Opens a closed step again that was proven not to have run; its attempts count on.
    //= S-09
    fn reopen(&mut self, call: &Call, id: StepId) {
        // What was there before was read for its first execution; a twin that ran since would be taken for this one.
        let may_explain = |other: &Live| {
            other.id() != id && other.status.outcome.is_none_or(|outcome| outcome.executed() != Executed::No)
        };
        let is_explained = self.table.by_content(&call.content).any(may_explain);
        let Some(live) = self.table.get_mut(id) else { return };
        live.shadowed |= is_explained;
        live.rules = call.rules.clone();
        live.link = call.call;
        live.wire = call.wire;
        live.deadline = call.deadline;
        live.continues = call.continues();
        live.undoes.clone_from(&call.undoes);
        live.compensates = call.undoes.as_ref().map(Undoes::change);
        live.attempts_before = live.status.attempt;
        live.status.state = State::Intent;
        live.status.outcome = None;
        live.status.cause = None;
        live.status.closed_at = None;
        (live.result, live.error, live.retry_after, live.last) = (None, None, None, None);
        (live.cancelled, live.maybe) = (false, false);
        live.why.clear();
        self.tells_anew(id);
        self.table.enter(id, Phase::InLane);
        self.set_step_timer(id, None);
    }

    /// Why a call may not begin, whatever it is.
    fn bounds(&self, now: Instant, call: &Call) -> Option<(Code, String)> {
        if let Some(finding) = &call.finding {
            return Some((Code::InputInvalid, finding.clone()));
        }
        if call.continues == Continues::Unknown && call.rules.effect.is_mutation() {
            let why = "its requestState was not handed out to this caller for these arguments, or long ago: call again \
                       without it";
            return Some((Code::InputInvalid, why.into()));
        }
        let held = if call.rules.effect.is_mutation() { self.table.mutations() } else { self.table.reads() };
        if held >= self.config.steps_max {
            return Some((Code::Overloaded, format!("{held} steps are under way or unresolved")));
        }
        (now >= call.deadline).then(|| (Code::Deadline, "its deadline had passed when it arrived".into()))
    }

    fn admit_caller(&mut self, now: Instant, call: &Call, id: StepId, notice: Option<String>) {
        let mut caller = Caller::of(call, id, now);
        caller.notice = notice;
        self.calls.insert(call.call, caller);
        self.set_caller_timer(call.call, Some(call.deadline));
    }

    /// Lets a step run if its lane is free and nothing unknown stands in its way.
    pub(crate) fn try_admit(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        if !matches!(live.phase, Phase::InLane) {
            return;
        }
        if !live.is_mutation() {
            live.deadline = live.deadline.min(now + live.rules.step_timeout);
            live.status.attempt += 1;
            if let Some(asked) = live.continues.take() {
                self.continued_by_read(now, asked, id);
            }
            return self.send(now, id);
        }
        let intent = live.intent.clone();
        // A person allowed it to run although the earlier one may stand in its way.
        if live.permit.is_none() {
            if !self.lanes.join(&intent) {
                return;
            }
            if self.lanes.blocker(&intent).is_some() {
                return self.lanes.wait(&intent);
            }
        }
        self.lanes.stop_waiting(&intent);
        let admission = self.lanes.admit(&intent);
        let Some(live) = self.table.get_mut(id) else { return };
        live.admission = admission;
        live.deadline = live.deadline.min(now + live.rules.step_timeout);
        let plans = [&live.rules.readback, &live.rules.probe];
        let wants_image = plans.into_iter().flatten().any(|plan| plan.needs_preimage);
        let wants_image = wants_image && !live.stored;
        self.shadow(id);
        if wants_image {
            self.table.enter(id, Phase::Preimage);
            self.read_world(now, id, Purpose::Preimage);
        } else {
            self.claim_or_look(now, id);
        }
    }

    /// Asks for a read of the world; one at a time for each step.
    pub(crate) fn read_world(&mut self, now: Instant, id: StepId, purpose: Purpose) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.reads += 1;
        let read = live.reads;
        live.reading = Some(Reading { number: read, purpose, since: now });
        let until = now + live.rules.attempt_timeout.max(Duration::from_millis(1));
        self.set_step_timer(id, Some(until));
        self.out.push_back(Output::Read { step: id, read, purpose });
    }

    /// What was there before, or that it could not be read: an inferred probe then proves nothing.
    pub(crate) fn preimage(&mut self, now: Instant, id: StepId, image: Result<Bytes, String>) {
        if let Err(why) = self.has_way_back(id, &image) {
            return self.no_way_back(now, id, why);
        }
        let Some(live) = self.table.get_mut(id) else { return };
        if let Ok(image) = image {
            // Nobody else holds the intent before it is written, so that this copies nothing.
            alloc::sync::Arc::make_mut(&mut live.intent).preimage = Some(image);
        }
        self.claim_or_look(now, id);
    }

    /// Makes the intent, or the next attempt, durable. Nothing is sent before it is.
    //= G1
    pub(crate) fn claim(&mut self, now: Instant, id: StepId) {
        self.shadow(id);
        self.table.enter(id, Phase::Claiming);
        let epoch = self.epoch_of(id);
        let Some(live) = self.table.get_mut(id) else { return };
        let is_first = live.attempts() == 0;
        live.status.attempt += 1;
        live.status.state = State::Dispatched;
        live.status.first_sent_at.get_or_insert(now);
        live.status.last_sent_at = Some(now);
        let mut records = Vec::with_capacity(4);
        if live.stored {
            records.push(Record::Update { step: id, epoch, status: live.status.clone(), result: None });
        } else {
            records.push(Record::Insert { intent: live.intent.clone(), status: live.status.clone(), epoch });
        }
        // Intent and dispatch share one commit, so that one event tells both.
        let detail = if is_first { String::new() } else { format!("attempt {}", live.attempts()) };
        records.push(Record::Event(Self::event(id, now, EventKind::Dispatched, live.status.attempt, &detail)));
        let (permit, continues) = (live.permit, live.continues);
        if let Some(asked) = continues {
            records.extend(self.continuing(now, asked, id));
        }
        if let Some(earlier) = permit.and_then(|earlier| self.table.get(earlier)) {
            let (status, epoch) = (earlier.status.clone(), self.epoch_of(earlier.id()));
            records.push(Record::Update { step: earlier.id(), epoch, status, result: None });
            let detail = format!("its permit to run again was used by {id}");
            records.push(Record::Event(Self::event(earlier.id(), now, EventKind::Person, 0, &detail)));
        }
        let ticket = self.commit(records, Ticketed::Dispatch(id));
        if let Some(live) = self.table.get_mut(id) {
            live.ticket = Some(ticket);
        }
        if planted::is(Planted::DispatchBeforeIntent) {
            self.send(now, id);
        }
    }

    /// Steps of equal content whose effects an inferred read could take for one another.
    fn shadow(&mut self, id: StepId) {
        let Some(live) = self.table.get(id) else { return };
        let may_have_run = |other: &&Live| {
            other.id() != id
                && other.status.state >= State::Dispatched
                && other.status.state != State::AwaitingInput
                && (!other.is_settled() || (other.out && !other.had_its_effect()))
                && other.intent.tenant == live.intent.tenant
        };
        let others: Vec<StepId> =
            self.table.by_content(&live.intent.content).filter(may_have_run).map(Live::id).collect();
        for other in &others {
            if let Some(other) = self.table.get_mut(*other) {
                other.shadowed = true;
            }
        }
        if let Some(live) = self.table.get_mut(id) {
            live.shadowed |= !others.is_empty();
        }
    }

    /// The intent is durable: last look before the first byte. A stop here is proof.
    //= G1
    pub(crate) fn dispatch_durable(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.stored = true;
        live.ticket = None;
        let (permit, continues) = (live.permit.take(), live.continues.take());
        if let Some(earlier) = permit {
            self.release_hold(earlier);
        }
        if let Some(asked) = continues {
            self.continued(now, asked, id);
        }
        let Some(live) = self.table.get(id) else { return };
        if !matches!(live.phase, Phase::Claiming) {
            return;
        }
        // Something later was admitted while the right to this copy was on its way to the disk.
        let is_copy = live.intent.effect == Effect::Idempotent && live.attempts() > 1 && live.maybe;
        if is_copy && !self.may_resend(now, live, AMBIGUOUS) {
            let why = "a later call on the same target went first";
            return self.stop_unsent(now, id, Code::OutcomeUnknown, Cause::Unknown, why);
        }
        let waits = |call: &CallId| self.calls.get(call).is_some_and(|caller| caller.deadline > now);
        if live.waiters.iter().any(waits) || planted::is(Planted::IntentResumed) {
            return self.send(now, id);
        }
        let (code, cause, why) = if live.waiters.is_empty() {
            (Code::Cancelled, Cause::Cancelled, "its caller left before anything was sent")
        } else {
            (Code::Deadline, Cause::Cancelled, "its deadline passed before anything was sent")
        };
        self.stop_unsent(now, id, code, cause, why);
    }

    /// Ends a step of which the current attempt was not sent: proof, unless an earlier one may have run.
    pub(crate) fn stop_unsent(&mut self, now: Instant, id: StepId, code: Code, cause: Cause, why: &str) {
        let Some(live) = self.table.get_mut(id) else { return };
        why.clone_into(&mut live.why);
        if live.maybe {
            return self.become_unknown(now, id, EvidenceClass::Ambiguous);
        }
        live.status.told = Some(code);
        self.conclude(now, id, Outcome::NotExecuted, cause, EvidenceClass::Structural);
    }

    /// The intent could not be written, so nothing is sent.
    //= G1
    pub(crate) fn dispatch_failed(&mut self, now: Instant, id: StepId, why: NotDurable) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.ticket = None;
        let (permit, continues) = (live.permit.take(), live.continues.take());
        if let Some(asked) = continues {
            self.not_continued(now, asked);
        }
        if let Some(earlier) = permit.and_then(|earlier| self.table.get_mut(earlier)) {
            earlier.status.run_again = true;
        }
        if let Some(earlier) = permit {
            self.release_hold(earlier);
        }
        let Some(live) = self.table.get_mut(id) else { return };
        if !matches!(live.phase, Phase::Claiming) {
            return;
        }
        let why = match why {
            NotDurable::Unavailable => "the journal cannot be written",
            NotDurable::Fenced => "another owner of the journal holds this step",
        };
        if live.stored && live.maybe {
            why.clone_into(&mut live.why);
            return self.become_unknown(now, id, EvidenceClass::Ambiguous);
        }
        why.clone_into(&mut live.why);
        live.status.told = Some(Code::JournalUnavailable);
        live.conclude(now, Outcome::NotExecuted, Cause::GuardRefused, vocab::Verification::None);
        if !live.stored {
            self.settle(now, id);
            return self.drop_step(id);
        }
        // That nothing ran is known and may be told; it is written as soon as the journal takes it.
        live.holds += 1;
        self.settle(now, id);
        self.save_outcome(id, None, None);
        if let Some(live) = self.table.get_mut(id) {
            live.holds -= 1;
        }
    }

    /// A step that was never written leaves without a trace but in its caller's answer.
    pub(crate) fn withdraw(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get(id) else { return };
        let (intent, is_stored, permit) = (live.intent.clone(), live.stored, live.permit);
        if let Some(earlier) = permit {
            if let Some(earlier) = self.table.get_mut(earlier) {
                earlier.status.run_again = true;
            }
            self.release_hold(earlier);
        }
        let freed = self.lanes.leave(&intent);
        if is_stored {
            // It was reopened, and nothing was written about that: it is again what the journal says.
            if let Some(live) = self.table.get_mut(id) {
                live.conclude(now, Outcome::NotExecuted, Cause::NotAdmitted, vocab::Verification::None);
                live.permit = None;
            }
            self.table.enter(id, Phase::Settled);
            self.set_step_timer(id, None);
            self.try_forget(id);
        } else {
            self.drop_step(id);
        }
        for next in freed {
            self.try_admit(now, next);
        }
    }

    /// Answers a call that becomes no step of its own.
    pub(crate) fn refuse(&mut self, now: Instant, call: &Call, code: Code, earlier: Option<StepId>, why: String) {
        let mut stop = Stop::new(code, call.step, why);
        stop.earlier = earlier;
        if code == Code::Overloaded {
            stop.retry_after = Some(Duration::from_secs(1));
        }
        if matches!(code, Code::DuplicateSuppressed) {
            stop.success = !call.structured;
        }
        let about = earlier.filter(|id| self.table.get(*id).is_some_and(|live| live.stored));
        if let Some(earlier) = about {
            let kind = if code == Code::IdempotencyConflict { EventKind::Conflict } else { EventKind::Refused };
            let detail = format!("{code}: a call of {}", call.step);
            self.note(alloc::vec![Record::Event(Self::event(earlier, now, kind, 0, &detail))]);
        }
        self.out.push_back(Output::Report(Report::Stopped { step: call.step, code }));
        self.out.push_back(Output::Reply { call: call.call, reply: output::Reply::Stop(stop) });
    }

    /// What a step that waits for its lane is told when its time is up: nothing was sent.
    pub(crate) fn lane_stop(&self, id: StepId) -> Option<Stop> {
        let live = self.table.get(id)?;
        let first = self.lanes.first(&live.intent).filter(|first| *first != id);
        let in_the_way = self.lanes.blocker(&live.intent).or(first);
        let is_unknown = in_the_way.and_then(|other| self.table.get(other)).is_some_and(Live::is_unknown);
        let mut stop = if is_unknown {
            Stop::new(
                Code::OutcomeUnknown,
                id,
                "an earlier call on the same target is not resolved; this one was not sent",
            )
        } else {
            Stop::new(Code::Deadline, id, "its deadline passed while it waited for its turn")
        };
        stop.executed = Executed::No;
        stop.earlier = in_the_way;
        Some(stop)
    }
}
