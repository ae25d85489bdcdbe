//! The forced read after a receipt: does the world show what was meant?
//!
//! Three-valued: it does, it does not (seen twice, a second apart), or nobody can say. A tool's error is looked at the
//! same way, because "failed" may hide an effect.

use crate::Engine;
use crate::output::{self, Purpose};
use crate::step::{Phase, Reading};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use core::time::Duration;
use policy::{Consistency, Judgement, ReadPlan, Strength};
use vocab::{Bytes, Cause, EventKind, EvidenceClass, Instant, Outcome, Record, StepId, Unverified, Verification};

const PAUSE: Duration = Duration::from_millis(100);
/// Two reads must lie this far apart to contradict a receipt.
const MISMATCH_SPACING: Duration = Duration::from_secs(1);
/// Reads without a clear answer, where the reader is strongly consistent and waiting brings nothing.
const UNCLEAR_MAX: u32 = 3;

#[derive(Debug)]
pub(crate) struct ReadingBack {
    since: Instant,
    pause: Duration,
    /// The receipt is a tool's error.
    failed: bool,
    /// When the first read began that contradicts the receipt.
    contradicted: Option<Instant>,
    unclear: u32,
}

impl Engine {
    /// The upstream says that it was done.
    //= S-15
    pub(crate) fn receipt(&mut self, now: Instant, id: StepId, result: Bytes) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.result = Some(result);
        live.error = None;
        live.bad_answer = false;
        live.reading = None;
        live.why.clear();
        live.status.outcome = Some(Outcome::Succeeded);
        let is_mutation = live.is_mutation();
        let plan = live.rules.readback.is_some();
        if !is_mutation {
            return self.conclude(now, id, Outcome::Succeeded, Cause::Ok, EvidenceClass::Receipt);
        }
        if !plan {
            return self.unverified(now, id, Unverified::NoReadback);
        }
        self.read_back(now, id, false);
    }

    /// The tool says that it failed; nobody has seen yet whether that is so.
    //= S-15
    pub(crate) fn reported(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.status.outcome = Some(Outcome::Failed);
        live.reading = None;
        if live.rules.probe.is_none() {
            return self.unverified(now, id, Unverified::NoReadback);
        }
        self.read_back(now, id, true);
    }

    /// The receipt rides along to the disk, so that a crash while the world is read rarely costs it.
    fn read_back(&mut self, now: Instant, id: StepId, failed: bool) {
        let epoch = self.epoch_of(id);
        let Some(live) = self.table.get(id) else { return };
        let (status, result) = (live.status.clone(), live.result.clone());
        let event = Self::event(id, now, EventKind::Receipt, status.attempt, "");
        self.note(vec![Record::Update { step: id, epoch, status, result }, Record::Event(event)]);
        let state = ReadingBack { since: now, pause: PAUSE, failed, contradicted: None, unclear: 0 };
        self.table.enter(id, Phase::ReadingBack(state));
        self.look_again(now, id);
        self.progress(id, &output::Phase::ReadingBack);
    }

    pub(crate) fn look_again(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get(id) else { return };
        let Phase::ReadingBack(state) = &live.phase else { return };
        let purpose = if state.failed { Purpose::Probe } else { Purpose::Readback };
        self.read_world(now, id, purpose);
    }

    pub(crate) fn looked(&mut self, now: Instant, id: StepId, reading: Reading, seen: Result<Judgement, String>) {
        let Some(live) = self.table.get_mut(id) else { return };
        let Phase::ReadingBack(state) = &live.phase else { return };
        let failed = state.failed;
        let plan = if failed { live.rules.probe.clone() } else { live.rules.readback.clone() };
        let Some(plan) = plan else { return };
        let detail = match &seen {
            Ok(Judgement::Applied) => "the world shows the intent".into(),
            Ok(Judgement::Absent) => "the world does not show the intent".into(),
            Ok(Judgement::Different) => "the world shows something else".into(),
            Ok(Judgement::Inconclusive(why)) => alloc::format!("inconclusive: {why}"),
            Err(why) => alloc::format!("could not be read: {why}"),
        };
        let event = Self::evidence(id, now, EventKind::Readback, live.status.attempt, None, &detail);
        self.note(vec![Record::Event(event)]);
        if failed {
            self.looked_at_failure(now, id, reading, &plan, seen);
        } else {
            self.looked_at_success(now, id, reading, &plan, seen);
        }
    }

    //= S-15
    fn looked_at_success(
        &mut self,
        now: Instant,
        id: StepId,
        reading: Reading,
        plan: &Arc<ReadPlan>,
        seen: Result<Judgement, String>,
    ) {
        match seen {
            Ok(Judgement::Applied) => {
                let class = EvidenceClass::Receipt;
                self.conclude_verified(now, id, Outcome::Succeeded, Cause::Ok, Verification::Verified, class);
            }
            Ok(Judgement::Absent | Judgement::Different) => {
                if self.contradicts(now, id, reading, plan) {
                    if let Some(live) = self.table.get_mut(id) {
                        live.why = "the tool said that it was done, and the read-back does not show it".into();
                    }
                    let (cause, class) = (Cause::Contradiction, EvidenceClass::Probe);
                    self.conclude_verified(now, id, Outcome::Succeeded, cause, Verification::Mismatch, class);
                }
            }
            Ok(Judgement::Inconclusive(_)) => self.unclear(now, id, plan, Unverified::Inconclusive),
            Err(_) => self.unclear(now, id, plan, Unverified::ReadFailed),
        }
    }

    /// "Failed", and the world says: nothing is there, all is there, or something is.
    //= G3
    fn looked_at_failure(
        &mut self,
        now: Instant,
        id: StepId,
        reading: Reading,
        plan: &Arc<ReadPlan>,
        seen: Result<Judgement, String>,
    ) {
        let Some(live) = self.table.get_mut(id) else { return };
        let is_explained = plan.strength == Strength::Inferred && live.shadowed;
        let verification = match seen {
            Ok(Judgement::Applied) if is_explained => Verification::Unverified(Unverified::Inconclusive),
            Ok(Judgement::Applied) => {
                live.why = "the tool reported an error, and the world shows that it was done".into();
                live.result = None;
                return self.conclude(now, id, Outcome::Applied, Cause::Contradiction, EvidenceClass::Probe);
            }
            Ok(Judgement::Absent) if plan.consistency == Consistency::Strong => Verification::Verified,
            Ok(Judgement::Absent) if !self.contradicts(now, id, reading, plan) => return,
            Ok(Judgement::Absent) => Verification::Verified,
            Ok(Judgement::Different) => Verification::Mismatch,
            Ok(Judgement::Inconclusive(_)) => return self.unclear(now, id, plan, Unverified::Inconclusive),
            Err(_) => return self.unclear(now, id, plan, Unverified::ReadFailed),
        };
        self.conclude_verified(now, id, Outcome::Failed, Cause::ToolError, verification, EvidenceClass::Reported);
    }

    /// Seen twice, and as late as an eventually consistent reader needs? Otherwise it is looked at again.
    fn contradicts(&mut self, now: Instant, id: StepId, reading: Reading, plan: &ReadPlan) -> bool {
        let Some(live) = self.table.get_mut(id) else { return false };
        let Phase::ReadingBack(state) = &mut live.phase else { return false };
        let first = *state.contradicted.get_or_insert(reading.since);
        let settles_at = match plan.consistency {
            Consistency::Strong => first + MISMATCH_SPACING,
            Consistency::Eventual => (first + MISMATCH_SPACING).max(state.since + plan.within),
        };
        if reading.since >= settles_at {
            return true;
        }
        let next = match plan.consistency {
            Consistency::Strong => settles_at,
            Consistency::Eventual => settles_at.min(now + state.pause),
        };
        state.pause *= 2;
        self.set_step_timer(id, Some(next.max(now + Duration::from_millis(1))));
        false
    }

    /// No clear answer: again while an eventually consistent reader may still catch up, a few times otherwise.
    fn unclear(&mut self, now: Instant, id: StepId, plan: &ReadPlan, reason: Unverified) {
        let Some(live) = self.table.get_mut(id) else { return };
        let Phase::ReadingBack(state) = &mut live.phase else { return };
        state.unclear += 1;
        state.contradicted = None;
        let goes_on = match plan.consistency {
            Consistency::Strong => state.unclear < UNCLEAR_MAX,
            Consistency::Eventual => now + state.pause <= state.since + plan.within,
        };
        if !goes_on {
            return self.unverified(now, id, reason);
        }
        let next = now + state.pause;
        state.pause *= 2;
        self.set_step_timer(id, Some(next));
    }
}
