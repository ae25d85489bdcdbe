//! What an intent has to have before it may be made durable where somebody may want it taken back: a pre-image of
//! something destructive, and for a compensation a world that still shows what is to be taken back.

use crate::input::{Call, Undoes};
use crate::output::{Purpose, Stop};
use crate::step::Phase;
use crate::{Engine, Ticketed};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use policy::Judgement;
use vocab::{
    Bytes, Cause, Code, Effect, EventKind, EvidenceClass, Executed, Instant, Outcome, Record, StepId, Verification,
};

impl Call {
    /// What is stored about taking it back: how, or of a compensation what it takes back.
    //= S-05
    pub(crate) fn registered(&self) -> Option<Bytes> {
        match &self.undoes {
            Some(undoes) => Some(policy::undo::of(undoes.change(), undoes.number)),
            None => self.rules.undo.as_ref().map(|plan| plan.registered().clone()),
        }
    }

    /// A step of its key that was proven not to have run is not opened again but made anew: its pre-image is as old as
    /// that first try.
    pub(crate) fn needs_preimage(&self) -> bool {
        self.undoes.is_none() && self.rules.undo.as_ref().is_some_and(|plan| plan.needs_preimage())
    }
}

impl Undoes {
    /// From when on no earlier copy of the change can arrive any more; `None` where there is none that counts.
    fn quiet_at(&self, quiescence: Duration) -> Option<Instant> {
        let (intent, status) = (&self.undoing.change.intent, &self.undoing.change.status);
        self.may_have_copies().then(|| {
            // The one that closed it need not be the last that is under way.
            let last = status.last_sent_at.max(status.closed_at);
            last.unwrap_or(intent.created_at) + quiescence
        })
    }

    /// Of other effects each copy is fenced, or there is none.
    fn may_have_copies(&self) -> bool {
        let change = &self.undoing.change;
        change.intent.effect == Effect::Idempotent && change.status.attempt > 1
    }
}

impl Engine {
    /// Something destructive that could only be taken back by what was there before is not sent without it.
    //= S-05
    pub(crate) fn has_way_back(&self, id: StepId, image: &Result<Bytes, String>) -> Result<(), String> {
        let Some(live) = self.table.get(id) else { return Ok(()) };
        let Some(plan) = live.rules.undo.as_ref().filter(|plan| plan.needs_preimage()) else { return Ok(()) };
        // A compensation is not taken back itself, and to hold it up would leave the change standing.
        if live.intent.effect != Effect::Destructive || live.undoes.is_some() {
            return Ok(());
        }
        match image {
            Ok(image) => plan.is_image(&live.intent.args, image),
            Err(why) => Err(why.clone()),
        }
    }

    /// Everybody who waits for it is told; nothing of it was written.
    pub(crate) fn no_way_back(&mut self, now: Instant, id: StepId, why: String) {
        let Some(live) = self.table.get(id) else { return };
        for call in live.waiters.clone() {
            let Some(caller) = self.take_waiter(call) else { continue };
            let mut stop = Stop::new(Code::PreimageUnavailable, id, why.clone());
            stop.earlier = caller.attached.then_some(id);
            self.stop_caller(call, stop);
        }
        self.withdraw(now, id);
    }

    /// The last look before a compensation: only where its plan says so.
    pub(crate) fn claim_or_look(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get(id) else { return };
        let Some(undoes) = &live.undoes else { return self.claim(now, id) };
        let (change, looks) = (undoes.change(), undoes.looks());
        // Taking back what may still happen could run before it.
        let has_copies = undoes.may_have_copies();
        if self.table.get(change).is_some_and(|change| !change.is_settled() || (has_copies && change.out)) {
            let why = String::from("what it takes back is not resolved");
            return self.not_undone(now, id, Outcome::NotExecuted, Code::OutcomeUnknown, why);
        }
        // Neither may a copy of it that is still on its way.
        let quiet_at = undoes.quiet_at(live.rules.quiescence).filter(|at| now < *at);
        if quiet_at.is_some() {
            self.table.enter(id, Phase::Preimage);
            return self.set_step_timer(id, quiet_at);
        }
        if looks {
            self.table.enter(id, Phase::Preimage);
            return self.read_world(now, id, Purpose::Stands);
        }
        self.claim(now, id);
    }

    /// Never write over what somebody else has written since.
    //= S-04
    pub(crate) fn stands(&mut self, now: Instant, id: StepId, seen: Result<Judgement, String>) {
        match seen {
            Ok(Judgement::Applied) => self.claim(now, id),
            Ok(Judgement::Absent | Judgement::Different) => {
                let why = String::from("the world no longer shows what the step wrote: somebody has changed it since");
                self.not_undone(now, id, Outcome::Refused, Code::RollbackConflict, why);
            }
            Ok(Judgement::Inconclusive(why)) | Err(why) => {
                let why = format!("whether what it wrote still stands could not be told: {why}");
                self.not_undone(now, id, Outcome::NotExecuted, Code::PreimageUnavailable, why);
            }
        }
    }

    /// A compensation ends before anything was sent; that is written down like any outcome, because a later rollback
    /// goes by what the journal has.
    fn not_undone(&mut self, now: Instant, id: StepId, outcome: Outcome, code: Code, why: String) {
        let epoch = self.epoch_of(id);
        let Some(live) = self.table.get_mut(id) else { return };
        live.why = why;
        live.status.told = Some(code);
        live.conclude(now, outcome, Cause::GuardRefused, Verification::None);
        let (status, intent) = (live.status.clone(), live.intent.clone());
        let detail = format!("{outcome}: {}", live.why);
        let class = Some(EvidenceClass::Structural);
        let event = Self::evidence(id, now, EventKind::Closed, live.status.attempt, class, &detail);
        let row = if live.stored {
            Record::Update { step: id, epoch, status, result: None }
        } else {
            Record::Insert { intent, status, epoch }
        };
        let mut records = Vec::from([row, Record::Event(event)]);
        records.extend(self.told_to_change(now, id));
        let ticket = self.commit(records, Ticketed::NotUndone(id));
        if let Some(live) = self.table.get_mut(id) {
            live.ticket = Some(ticket);
            live.reading = None;
        }
        self.table.enter(id, Phase::Closing);
        self.set_step_timer(id, None);
    }

    pub(crate) fn not_undone_durable(&mut self, now: Instant, id: StepId) {
        if let Some(live) = self.table.get_mut(id) {
            live.stored = true;
        }
        self.outcome_durable(now, id);
    }

    /// Nothing ran, and nothing is written about it: the next rollback begins where this one did.
    pub(crate) fn not_undone_failed(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.ticket = None;
        live.status.told = Some(Code::JournalUnavailable);
        live.conclude(now, Outcome::NotExecuted, Cause::GuardRefused, Verification::None);
        let stored = live.stored;
        self.settle(now, id);
        if !stored {
            self.drop_step(id);
        }
    }

    /// What a compensation has come to, in the evidence of the change that it takes back.
    pub(crate) fn told_to_change(&self, now: Instant, id: StepId) -> Option<Record> {
        let live = self.table.get(id)?;
        let change = live.compensates?;
        let executed = live.status.outcome.map_or(Executed::Unknown, Outcome::executed);
        let outcome = live.status.outcome.map_or("unknown", Outcome::as_str);
        let verification = live.status.verification.as_str();
        let detail = format!("step {id}: {outcome}, {verification}, executed: {}", executed.as_str());
        Some(Record::Event(Self::event(change, now, EventKind::Compensation, 0, &detail)))
    }
}
