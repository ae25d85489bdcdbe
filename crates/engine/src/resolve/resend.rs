//! Sending an unknown step once more, where a copy can do no harm or evidence says that there is none.

use crate::Engine;
use crate::attempt::evidence::AMBIGUOUS;
use crate::attempt::retry::attempts_max;
use crate::input::Undoes;
use crate::step::Live;
use vocab::planted::{self, Planted};
use vocab::{Effect, Instant, StepId};

impl Engine {
    /// After *absent* some steps may be sent once more, while their caller waits. Never a destructive one.
    //= G1
    pub(super) fn redispatch(&mut self, now: Instant, id: StepId) -> bool {
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
        let looked = live.undoes.as_ref().is_some_and(Undoes::looks);
        if !is_allowed
            || looked
            || live.attempts() >= most
            || now >= live.deadline
            || !self.has_owner(live)
            || live.cancelled
        {
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
        let mut most = attempts_max(live.intent.effect, AMBIGUOUS);
        if planted::is(Planted::RestartResendsWrites) {
            most = most.max(2);
        }
        if live.attempts() < most && now < live.deadline && self.may_resend(now, live, AMBIGUOUS) {
            self.claim_again(now, id);
        }
    }
}
