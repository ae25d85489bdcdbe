//! The end of a step: its outcome made durable, then released; and when it may leave memory.

use crate::Engine;
use crate::Ticketed;
use crate::identity::NOW;
use crate::input::{NotDurable, Recalled};
use crate::output::{Output, Report};
use crate::step::Phase;
use crate::timer::Timer;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use primitives::backoff;
use vocab::planted::{self, Planted};
use vocab::{
    CallId, Cause, Effect, EventKind, EvidenceClass, Executed, Instant, Outcome, ReadNote, Record, StepId, Unverified,
    Verification,
};

pub(crate) const SAVE_AGAIN: Duration = Duration::from_secs(1);
pub(crate) const SAVE_AGAIN_MAX: Duration = Duration::from_secs(30);
/// How long a step is kept for several callers who were told nothing of it.
const OWED_MAX: Duration = Duration::from_secs(600);

impl Engine {
    /// What is known is known: a read is answered, a mutation's outcome goes to the disk first.
    pub(crate) fn conclude(&mut self, now: Instant, id: StepId, outcome: Outcome, cause: Cause, class: EvidenceClass) {
        let verification = match outcome {
            Outcome::Applied => Verification::Verified,
            _ => Verification::None,
        };
        self.conclude_verified(now, id, outcome, cause, verification, class);
    }

    //= G3
    pub(crate) fn conclude_verified(
        &mut self,
        now: Instant,
        id: StepId,
        outcome: Outcome,
        cause: Cause,
        verification: Verification,
        class: EvidenceClass,
    ) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.conclude(now, outcome, cause, verification);
        if !live.is_mutation() {
            self.note_read(now, id, outcome, cause);
            return self.settle(now, id);
        }
        let why = if live.why.is_empty() { String::new() } else { alloc::format!(": {}", live.why) };
        let detail = alloc::format!("{outcome}, {}{why}", verification.as_str());
        let event = Self::evidence(id, now, EventKind::Closed, live.status.attempt, Some(class), &detail);
        let told = self.told_to_change(now, id);
        self.save_outcome(id, Some(event), told);
        if planted::is(Planted::ReleaseBeforeOutcome) {
            self.settle(now, id);
        }
    }

    /// Of a read only that it was made is kept, and that rides along with a later commit.
    pub(crate) fn note_read(&mut self, now: Instant, id: StepId, outcome: Outcome, cause: Cause) {
        let Some(live) = self.table.get(id) else { return };
        let note = ReadNote {
            step: id,
            run: live.intent.run,
            principal: live.intent.principal.clone(),
            upstream: live.intent.upstream.clone(),
            tool: live.intent.tool.clone(),
            at: live.intent.created_at,
            took_micros: u32::try_from(now.since(live.intent.created_at).as_micros()).unwrap_or(u32::MAX),
            attempts: u16::try_from(live.attempts()).unwrap_or(u16::MAX),
            outcome,
            cause,
        };
        self.note(vec![Record::Read(note)]);
    }

    pub(crate) fn save_outcome(&mut self, id: StepId, event: Option<vocab::Event>, told: Option<Record>) {
        let epoch = self.epoch_of(id);
        let Some(live) = self.table.get(id) else { return };
        let mut records =
            vec![Record::Update { step: id, epoch, status: live.status.clone(), result: live.result.clone() }];
        records.extend(event.map(Record::Event));
        records.extend(told);
        let ticket = self.commit(records, Ticketed::Outcome(id));
        if let Some(live) = self.table.get_mut(id) {
            live.ticket = Some(ticket);
            live.reading = None;
        }
        self.table.enter(id, Phase::Closing);
        self.set_step_timer(id, None);
    }

    pub(crate) fn durable(&mut self, now: Instant, ticket: u64) {
        let Some(waiting) = self.tickets.remove(&ticket) else { return };
        match waiting {
            Ticketed::Dispatch(id) if self.awaits(id, ticket) => self.dispatch_durable(now, id),
            Ticketed::Outcome(id) if self.awaits(id, ticket) => self.outcome_durable(now, id),
            Ticketed::Pending(id) if self.awaits(id, ticket) => self.pending_durable(now, id),
            Ticketed::NotUndone(id) if self.awaits(id, ticket) => self.not_undone_durable(now, id),
            Ticketed::Dispatch(id) | Ticketed::NotUndone(id) => self.mark_stored(id),
            Ticketed::Unknown(id) => self.unknown_durable(now, id),
            Ticketed::Permit(id) => self.release_hold(id),
            Ticketed::Outcome(_) | Ticketed::Pending(_) | Ticketed::Notes => {}
        }
    }

    pub(crate) fn not_durable(&mut self, now: Instant, ticket: u64, why: NotDurable) {
        let Some(waiting) = self.tickets.remove(&ticket) else { return };
        match waiting {
            Ticketed::Dispatch(id) if self.awaits(id, ticket) => self.dispatch_failed(now, id, why),
            Ticketed::Outcome(id) if self.awaits(id, ticket) => self.outcome_failed(now, id, why),
            Ticketed::Pending(id) if self.awaits(id, ticket) => self.pending_failed(now, id, why),
            Ticketed::NotUndone(id) if self.awaits(id, ticket) => self.not_undone_failed(now, id),
            Ticketed::Unknown(id) => self.unknown_failed(now, id, why),
            Ticketed::Permit(id) => self.permit_failed(id),
            Ticketed::NotUndone(_)
            | Ticketed::Dispatch(_)
            | Ticketed::Outcome(_)
            | Ticketed::Pending(_)
            | Ticketed::Notes => {}
        }
    }

    fn awaits(&self, id: StepId, ticket: u64) -> bool {
        self.table.get(id).is_some_and(|live| live.ticket == Some(ticket))
    }

    fn mark_stored(&mut self, id: StepId) {
        if let Some(live) = self.table.get_mut(id) {
            live.stored = true;
        }
    }

    //= G3
    pub(crate) fn outcome_durable(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.ticket = None;
        live.unsaved = 0;
        let outcome = live.status.outcome.unwrap_or(Outcome::Unknown);
        let verification = live.status.verification;
        self.out.push_back(Output::Report(Report::Closed { step: id, outcome, verification }));
        self.settle(now, id);
    }

    /// An outcome that is not on the disk is not told: a crash would forget it. It is unknown until it can be written.
    //= G3
    fn outcome_failed(&mut self, now: Instant, id: StepId, why: NotDurable) {
        if why == NotDurable::Fenced {
            return self.fenced(now, id);
        }
        let Some(live) = self.table.get_mut(id) else { return };
        live.ticket = None;
        let wait = backoff::doubled(SAVE_AGAIN, SAVE_AGAIN_MAX, live.unsaved);
        live.unsaved += 1;
        let waiters = live.waiters.clone();
        self.set_step_timer(id, Some(now + wait));
        for call in waiters {
            self.tell_unknown(now, call);
        }
    }

    pub(crate) fn save_again(&mut self, _now: Instant, id: StepId) {
        self.save_outcome(id, None, None);
    }

    /// A later owner of the journal has taken the step over: hands off.
    pub(crate) fn fenced(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.why = "another owner of the journal has taken this step over".into();
        live.stored = false;
        let waiters = live.waiters.clone();
        self.give_up_stream(now, id);
        for call in waiters {
            self.tell_unknown(now, call);
        }
        self.withdraw(now, id);
    }

    /// The outcome may be told. Everybody who waited for it hears it, and who stood behind it may run.
    pub(crate) fn settle(&mut self, now: Instant, id: StepId) {
        self.table.enter(id, Phase::Settled);
        let Some(live) = self.table.get_mut(id) else { return };
        let mut waiters = core::mem::take(&mut live.waiters);
        if planted::is(Planted::OrderByAddress) && (core::ptr::from_ref(live).addr() >> 6) % 2 == 1 {
            waiters.reverse();
        }
        let (intent, is_mutation) = (live.intent.clone(), live.is_mutation());
        // The journal tells one who comes back from none; that there are several more is known here alone.
        let counts = live.owed > 1 && live.status.outcome.is_some_and(|outcome| outcome.executed() != Executed::No);
        let owed_until = counts.then(|| now + live.rules.reissue_window.min(OWED_MAX));
        self.set_step_timer(id, owed_until);
        let mut deferred = Vec::new();
        for call in waiters {
            match self.calls.get(&call).map(|caller| caller.deferred.is_some()) {
                Some(true) => deferred.push(call),
                Some(false) => self.release(now, call, id),
                None => {}
            }
        }
        if !is_mutation {
            self.drop_step(id);
            return;
        }
        let freed = if self.holds_lane(now, id) { Vec::new() } else { self.lanes.leave(&intent) };
        for call in deferred {
            self.decide_deferred(now, call);
        }
        for next in freed {
            self.try_admit(now, next);
        }
        self.try_forget(id);
    }

    /// Of an absolute write that was sent more than once, a copy that nobody waits for may land late: until none can,
    /// what comes after it on its lane would be undone by it.
    //= G1
    fn holds_lane(&mut self, now: Instant, id: StepId) -> bool {
        let Some(live) = self.table.get(id) else { return false };
        let has_copies = live.intent.effect == Effect::Idempotent && live.attempts() > 1 && live.maybe;
        let quiescence = if live.rules.local && live.group_dead { Duration::ZERO } else { live.rules.quiescence };
        let quiet_at = live.status.last_sent_at.max(live.sent_before).unwrap_or(Instant::ZERO) + quiescence;
        let holds = has_copies && live.intent.lane.is_some() && now < quiet_at;
        // It may settle more than once: a late receipt changes what is known of it, and not what may still land.
        let held = live.lane_held;
        if let Some(live) = self.table.get_mut(id).filter(|_| holds != held) {
            live.lane_held = holds;
            live.holds = if holds { live.holds + 1 } else { live.holds - 1 };
        }
        if holds {
            self.set_step_timer(id, Some(quiet_at));
        }
        holds
    }

    /// What is settled has had its time: nothing of it can land any more, or nobody asked for it.
    pub(crate) fn settled_due(&mut self, now: Instant, id: StepId) {
        if let Some(live) = self.table.get_mut(id).filter(|live| live.lane_held) {
            live.lane_held = false;
            live.holds -= 1;
            let intent = live.intent.clone();
            for next in self.lanes.leave(&intent) {
                self.try_admit(now, next);
            }
        }
        self.try_forget(id);
    }

    /// The step that a call waited for is settled: now its own call is decided.
    pub(crate) fn decide_deferred(&mut self, now: Instant, call: CallId) {
        let Some(caller) = self.calls.get_mut(&call) else { return };
        let reserved = caller.reserves.take();
        let own = caller.deferred.take();
        if let Some(caller) = self.drop_caller(call)
            && let Some(earlier) = self.table.get_mut(caller.step)
        {
            // Whether it is told the outcome is decided now.
            earlier.owed += u32::from(caller.came_back);
        }
        if let Some(own) = own {
            self.decide(now, own, NOW, Recalled::default());
        }
        if let Some(reserved) = reserved {
            self.release_hold(reserved);
        }
    }

    pub(crate) fn release_hold(&mut self, id: StepId) {
        if let Some(live) = self.table.get_mut(id) {
            live.holds = live.holds.saturating_sub(1);
            self.try_forget(id);
        }
    }

    /// Lets a settled step go once nothing needs it and no look-up could miss it.
    pub(crate) fn try_forget(&mut self, id: StepId) {
        let Some(live) = self.table.get(id) else { return };
        if live.is_settled()
            && live.holds == 0
            && live.waiters.is_empty()
            && !live.out
            && live.due.is_none()
            && self.table.may_go(id)
        {
            self.drop_step(id);
        }
    }

    pub(crate) fn drop_step(&mut self, id: StepId) {
        let Some(live) = self.table.remove(id) else { return };
        self.swap_timer(live.due, None, Timer::Step(id));
        self.swap_timer(live.stream_due, None, Timer::Stream(id));
        self.swap_timer(live.save_due, None, Timer::Save(id));
    }

    /// A mutation's receipt without a read of the world, or one that could not be made.
    pub(crate) fn unverified(&mut self, now: Instant, id: StepId, reason: Unverified) {
        let Some(live) = self.table.get(id) else { return };
        let outcome = live.status.outcome.unwrap_or(Outcome::Succeeded);
        let cause = match (outcome, reason) {
            (Outcome::Failed, _) => Cause::ToolError,
            (_, Unverified::NoReadback) => Cause::Ok,
            _ => Cause::Unverified,
        };
        let class = if outcome == Outcome::Failed { EvidenceClass::Reported } else { EvidenceClass::Receipt };
        self.conclude_verified(now, id, outcome, cause, Verification::Unverified(reason), class);
    }
}
