//! What a person records about a step: evidence like any other, and the one override of "at most once".

use crate::input::Act;
use crate::step::Phase;
use crate::{Engine, Ticketed};
use alloc::format;
use alloc::vec;
use vocab::{Cause, EventKind, EvidenceClass, Instant, Outcome, Record, StepId, Verification};

impl Engine {
    //= G6
    pub(crate) fn person(&mut self, now: Instant, id: StepId, act: Act, who: &str, why: &str) {
        let Some(live) = self.table.get(id) else { return };
        if !live.is_mutation() {
            return;
        }
        let is_open =
            matches!(live.phase, Phase::Resolving(_) | Phase::NeedsHuman | Phase::AwaitingInput | Phase::RemoteTask);
        let is_diverged = live.is_settled() && live.status.outcome == Some(Outcome::Diverged);
        let is_over = live.is_settled() || live.is_unknown();
        match act {
            Act::RunAgain if is_over && !live.expired => self.permit(now, id, who, why),
            Act::Applied if is_open || is_diverged => self.person_says(now, id, Outcome::Applied, who, why),
            Act::Absent if is_open || is_diverged => self.person_says(now, id, Outcome::Absent, who, why),
            Act::Diverged if is_open => self.person_says(now, id, Outcome::Diverged, who, why),
            _ => {}
        }
    }

    fn person_says(&mut self, now: Instant, id: StepId, outcome: Outcome, who: &str, why: &str) {
        self.tells_anew(id);
        let Some(live) = self.table.get_mut(id) else { return };
        live.why = format!("recorded by {who}: {why}");
        live.result = None;
        let detail = format!("{outcome} by {who}: {why}");
        let event =
            Self::evidence(id, now, EventKind::Person, live.status.attempt, Some(EvidenceClass::Person), &detail);
        self.note(vec![Record::Event(event)]);
        self.conclude_verified(now, id, outcome, Cause::Unknown, Verification::None, EvidenceClass::Person);
    }

    /// `force_new`: the next call of equal key or content may run once more.
    //= G1
    fn permit(&mut self, now: Instant, id: StepId, who: &str, why: &str) {
        let epoch = self.epoch_of(id);
        let Some(live) = self.table.get_mut(id) else { return };
        live.status.run_again = true;
        live.holds += 1;
        let detail = format!("may run again, by {who}: {why}");
        let class = Some(EvidenceClass::Person);
        let records = vec![
            Record::Update { step: id, epoch, status: live.status.clone(), result: None },
            Record::Event(Self::evidence(id, now, EventKind::Person, live.status.attempt, class, &detail)),
        ];
        self.commit(records, Ticketed::Permit(id));
    }

    pub(crate) fn permit_failed(&mut self, id: StepId) {
        if let Some(live) = self.table.get_mut(id) {
            live.status.run_again = false;
        }
        self.release_hold(id);
    }
}
