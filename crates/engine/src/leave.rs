//! A caller leaves, cancels, or its time is up. A mutation that was sent goes on without it.

use crate::Engine;
use crate::input::Left;
use crate::output::Output;
use crate::step::Phase;
use policy::OnDisconnect;
use vocab::planted::{self, Planted};
use vocab::{
    CallId, Cause, Code, Delivered, EventKind, EvidenceClass, Executed, Instant, Outcome, Record, StepId, Unverified,
};

impl Engine {
    pub(crate) fn left(&mut self, now: Instant, call: CallId, how: Left) {
        self.left_recall(call);
        // Before two quiet seconds were over: nobody knows whether the answer arrived.
        self.end_release(now, call, Delivered::No);
        let Some(caller) = self.take_waiter(call) else { return };
        let id = caller.step;
        let Some(live) = self.table.get(id) else { return };
        if live.stored {
            let detail = if how == Left::Cancelled { "cancelled" } else { "disconnected" };
            let event = Self::event(id, now, EventKind::CallerLeft, live.status.attempt, detail);
            self.note(alloc::vec![Record::Event(event)]);
        }
        if caller.deferred.is_none() {
            self.abandoned(now, id, how);
        }
    }

    /// If nobody waits for a step any more: what was not sent is not sent, what was sent is detached or cancelled.
    //= S-23
    fn abandoned(&mut self, now: Instant, id: StepId, how: Left) {
        let Some(live) = self.table.get(id) else { return };
        if !live.waiters.is_empty() {
            return;
        }
        let cancels = how == Left::Cancelled || live.rules.on_disconnect == OnDisconnect::Cancel;
        if planted::is(Planted::DetachClosesStream) && live.is_mutation() && matches!(live.phase, Phase::Sent) {
            self.give_up_stream(now, id);
            return self.become_unknown(now, id, EvidenceClass::Ambiguous);
        }
        match live.phase {
            Phase::InLane | Phase::Preimage => self.withdraw(now, id),
            Phase::Sent | Phase::Backoff if !live.is_mutation() => self.end_read(now, id, Cause::Cancelled),
            Phase::Backoff => {
                self.stop_unsent(now, id, Code::Cancelled, Cause::Cancelled, "its caller left before another attempt");
            }
            Phase::Sent if cancels => {
                self.forward_cancel(id);
                self.become_unknown(now, id, EvidenceClass::Ambiguous);
            }
            Phase::Resolving(_) | Phase::NeedsHuman if cancels && live.out => self.forward_cancel(id),
            _ => {}
        }
    }

    /// Once: a cancel is a request, and never an outcome.
    fn forward_cancel(&mut self, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        if !live.cancelled {
            live.cancelled = true;
            live.why = "cancelled after it was sent".into();
            self.out.push_back(Output::Cancel { step: id });
        }
    }

    fn end_read(&mut self, now: Instant, id: StepId, cause: Cause) {
        self.give_up_stream(now, id);
        if let Some(live) = self.table.get_mut(id)
            && live.why.is_empty()
        {
            live.why = "no answer before the caller's deadline".into();
        }
        self.conclude(now, id, Outcome::Failed, cause, EvidenceClass::Ambiguous);
    }

    /// A caller's time is up: it is told what is known.
    pub(crate) fn caller_due(&mut self, now: Instant, call: CallId) {
        let Some(caller) = self.calls.get_mut(&call) else { return };
        caller.overdue = true;
        let (id, is_attached) = (caller.step, caller.attached);
        let is_deferred = caller.deferred.is_some();
        let Some(live) = self.table.get(id) else { return };
        let is_last = live.waiters.len() == 1;
        match live.phase {
            Phase::InLane | Phase::Preimage => self.stop_in_lane(now, call, id),
            // Decided when the commit has ended: only then is it known whether anything will be sent.
            Phase::Claiming if !is_attached => {}
            Phase::Sent | Phase::Backoff if !live.is_mutation() && is_last => self.end_read(now, id, Cause::Transient),
            Phase::Sent if is_last && !is_deferred => {
                let looks = live.is_mutation() && live.rules.probe.is_some();
                if let Some(live) = self.table.get_mut(id) {
                    live.why = "no answer before the caller's deadline".into();
                }
                // What the world shows is worth more than to hear a moment earlier that nothing is known.
                if let Some(caller) = self.calls.get_mut(&call).filter(|_| looks) {
                    caller.overdue = false;
                    caller.deadline = now + caller.grace;
                }
                self.become_unknown(now, id, EvidenceClass::Ambiguous);
            }
            Phase::Backoff if is_last => {
                let why = "no attempt could be made before the caller's deadline";
                self.stop_unsent(now, id, Code::UpstreamUnavailable, Cause::Transient, why);
            }
            Phase::ReadingBack(_) if is_last => self.unverified(now, id, Unverified::Inconclusive),
            // What may be told must be durable first, and that is under way.
            Phase::Resolving(_) | Phase::NeedsHuman if !live.unknown_saved => {}
            Phase::Settled => {}
            _ => self.tell_unknown(now, call),
        }
    }

    /// Nothing was sent, and for the last who waits nothing will be. While others wait it may still run.
    fn stop_in_lane(&mut self, now: Instant, call: CallId, id: StepId) {
        let Some(mut stop) = self.lane_stop(id) else { return };
        let Some(caller) = self.take_waiter(call) else { return };
        let is_last = self.table.get(id).is_some_and(|live| live.waiters.is_empty());
        if caller.attached {
            stop.earlier = Some(id);
        }
        if !is_last {
            stop.code = Code::InProgress;
            stop.executed = Executed::Unknown;
        }
        self.stop_caller(call, stop);
        if is_last {
            self.withdraw(now, id);
        }
    }
}
