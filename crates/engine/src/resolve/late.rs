//! Answers that come when nobody counted on them any more: a late receipt beats a probe, and what it contradicts is
//! said aloud.

use crate::Engine;
use crate::attempt::evidence::classify;
use crate::input::{AnswerKind, AttemptEnd};
use crate::output::{Output, Report};
use alloc::format;
use alloc::vec;
use vocab::{
    Cause, Code, EventKind, EvidenceClass, FailureKind, Instant, Outcome, Record, StepId, Unverified, Verification,
};

impl Engine {
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
                    live.status.told = Some(Code::UpstreamUnavailable);
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
                let attempt = live.status.attempt;
                self.tells_anew(id);
                let class = Some(EvidenceClass::Receipt);
                self.note(vec![Record::Event(Self::evidence(id, now, EventKind::Contradicted, attempt, class, &why))]);
                self.out.push_back(Output::Report(Report::Contradicted { step: id, why }));
                let verification = Verification::Unverified(Unverified::NoReadback);
                let cause = Cause::Contradiction;
                self.conclude_verified(now, id, Outcome::Succeeded, cause, verification, EvidenceClass::Receipt);
            }
        }
    }
}
