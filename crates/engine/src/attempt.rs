//! One attempt: sent, answered or failed, and whether another follows.

pub(crate) mod evidence;
pub(crate) mod retry;

use crate::Engine;
use crate::input::{Answer, AnswerKind, AttemptEnd};
use crate::output::{self, Output, Report};
use crate::step::Phase;
use alloc::string::String;
use alloc::vec;
use core::time::Duration;
use evidence::{AMBIGUOUS, Evidence, classify};
use vocab::planted::{self, Planted};
use vocab::{
    Bytes, Cause, Code, Effect, EventKind, EvidenceClass, Failure, FailureKind, Instant, Outcome, Record, State, StepId,
};

impl Engine {
    /// Hands an attempt to the caller's link. Of a mutation this follows only a durable claim.
    //= G1
    //= G2
    pub(crate) fn send(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.out = true;
        live.error = None;
        live.result = None;
        live.status.first_sent_at.get_or_insert(now);
        live.status.last_sent_at = Some(now);
        let (attempt, through) = (live.status.attempt, live.link);
        let mut upstream_key = live.intent.upstream_key.clone();
        if planted::is(Planted::AttemptInUpstreamKey) {
            upstream_key = upstream_key.map(|key| alloc::format!("{key}-{attempt}").into());
        }
        let span = match live.intent.effect {
            Effect::Read | Effect::Idempotent => live.rules.attempt_timeout.min(live.deadline.since(now)),
            // A shorter time would only make more unknowns.
            Effect::Keyed | Effect::Write | Effect::Destructive => live.rules.step_timeout,
        };
        let is_first = live.attempts() == 1;
        self.table.enter(id, Phase::Sent);
        self.set_stream_timer(id, Some(now + span.max(Duration::from_millis(1))));
        self.out.push_back(Output::Send { step: id, attempt, through, upstream_key });
        self.out.push_back(Output::Report(Report::Started { step: id, attempt }));
        if is_first {
            self.progress(id, &output::Phase::Sent);
        }
    }

    pub(crate) fn progress(&mut self, id: StepId, phase: &output::Phase) {
        let Some(live) = self.table.get(id) else { return };
        for call in &live.waiters {
            self.out.push_back(Output::Progress { call: *call, phase: phase.clone() });
        }
    }

    pub(crate) fn attempt_ended(&mut self, now: Instant, id: StepId, attempt: u32, end: AttemptEnd) {
        let Some(live) = self.table.get_mut(id) else { return };
        let is_current = attempt == live.status.attempt && live.out;
        if is_current {
            live.out = false;
            self.set_stream_timer(id, None);
        }
        let Some(live) = self.table.get_mut(id) else { return };
        match live.phase {
            Phase::Sent if is_current => self.judge(now, id, end),
            Phase::Resolving(_) | Phase::NeedsHuman => self.late(now, id, is_current, end),
            // Given up, and it answered all the same: the answer of an earlier attempt is the answer of the step.
            Phase::Sent | Phase::Backoff | Phase::Claiming => {
                if live.is_mutation()
                    && live.attempts() > 1
                    && let AttemptEnd::Answered(Answer { result, kind: AnswerKind::Done }) = end
                {
                    self.give_up_stream(now, id);
                    self.receipt(now, id, result);
                }
            }
            Phase::Closing | Phase::Settled => self.after_the_fact(now, id, end),
            Phase::InLane | Phase::Preimage | Phase::ReadingBack(_) | Phase::AwaitingInput | Phase::RemoteTask => {}
        }
    }

    /// The end of the attempt that was waited for.
    fn judge(&mut self, now: Instant, id: StepId, end: AttemptEnd) {
        let Some(live) = self.table.get(id) else { return };
        let evidence = classify(&end, live.intent.effect, &live.rules.evidence);
        match end {
            AttemptEnd::Answered(Answer { result, kind }) => match kind {
                AnswerKind::Done => self.receipt(now, id, result),
                AnswerKind::InputRequired => self.input_required(now, id, result),
                AnswerKind::Task(task) => self.task_began(now, id, task, result),
                AnswerKind::ToolError(_) => self.ended(now, id, evidence, Shown::error(evidence, result)),
                AnswerKind::Bad(finding) => self.ended(now, id, evidence, Shown::bad(finding)),
            },
            AttemptEnd::Failed(failure) => self.ended(now, id, evidence, Shown::failure(failure)),
        }
    }

    /// An attempt without a usable receipt: another one, or the end of the step.
    //= S-09
    fn ended(&mut self, now: Instant, id: StepId, evidence: Evidence, shown: Shown) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.last = Some(evidence);
        live.why = shown.why;
        live.bad_answer = evidence.class == EvidenceClass::BadAnswer;
        live.group_dead = shown.exited && live.rules.local;
        live.result = shown.result;
        live.retry_after = shown.retry_after;
        // What the upstream would say again is its answer; what may pass is a matter of time.
        live.error = if evidence.is_proof() && evidence.curable { None } else { shown.error };
        if !evidence.is_proof() {
            live.status.last_sent_at = Some(now);
        }
        let (is_mutation, attempt) = (live.is_mutation(), live.status.attempt);
        if is_mutation {
            let event =
                Self::evidence(id, now, EventKind::AttemptFailed, attempt, Some(evidence.class), &live.why.clone());
            self.note(vec![Record::Event(event)]);
        }
        let Some(live) = self.table.get(id) else { return };
        match self.next_attempt(now, live, evidence, shown.retry_after) {
            Some(at) => self.back_off(id, evidence, at),
            None => self.out_of_attempts(now, id, evidence),
        }
    }

    fn back_off(&mut self, id: StepId, evidence: Evidence, at: Instant) {
        let epoch = self.epoch_of(id);
        let Some(live) = self.table.get_mut(id) else { return };
        live.maybe |= !evidence.is_proof();
        live.result = None;
        if live.is_mutation() && !live.maybe {
            // Proven not to have run: a crash from here on leaves an intent, and no unknown.
            live.status.state = State::Intent;
            let status = live.status.clone();
            self.note(vec![Record::Update { step: id, epoch, status, result: None }]);
        }
        self.table.enter(id, Phase::Backoff);
        self.set_step_timer(id, Some(at));
        let attempt = self.table.get(id).map_or(0, |live| live.attempts() + 1);
        self.progress(id, &output::Phase::Retrying { attempt });
    }

    pub(crate) fn backoff_over(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get(id) else { return };
        let evidence = live.last.unwrap_or(AMBIGUOUS);
        if live.waiters.is_empty() || now >= live.deadline || !self.may_resend(now, live, evidence) {
            return self.out_of_attempts(now, id, evidence);
        }
        if live.is_mutation() {
            self.claim(now, id);
        } else {
            if let Some(live) = self.table.get_mut(id) {
                live.status.attempt += 1;
            }
            self.send(now, id);
        }
    }

    /// No other attempt may be made: what is known now?
    //= G3
    pub(crate) fn out_of_attempts(&mut self, now: Instant, id: StepId, evidence: Evidence) {
        let Some(live) = self.table.get_mut(id) else { return };
        let cause = match evidence.class {
            EvidenceClass::Structural | EvidenceClass::Attested if evidence.curable => Cause::Transient,
            EvidenceClass::Attested => Cause::CallerError,
            EvidenceClass::Reported => Cause::ToolError,
            EvidenceClass::BadAnswer => Cause::UpstreamFault,
            _ => Cause::Transient,
        };
        if live.is_mutation() {
            if evidence.class == EvidenceClass::Reported && !live.maybe {
                return self.reported(now, id);
            }
            if !evidence.is_proof() || live.maybe {
                live.maybe = true;
                return self.become_unknown(now, id, evidence.class);
            }
        }
        if evidence.is_proof() {
            live.status.told = Some(Code::UpstreamUnavailable);
            return self.conclude(now, id, Outcome::NotExecuted, cause, evidence.class);
        }
        if live.bad_answer {
            live.status.told = Some(Code::OutputRejected);
        }
        self.conclude(now, id, Outcome::Failed, cause, evidence.class);
    }

    /// A read is tried again. A mutation is not taken for failed: its stream stays open for a late receipt.
    //= G3
    pub(crate) fn attempt_timeout(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.why = String::from("no answer in time");
        live.last = Some(AMBIGUOUS);
        let is_mutation = live.is_mutation();
        if planted::is(Planted::ResendAfterTimeout) && is_mutation {
            self.give_up_stream(now, id);
            return self.back_off(id, AMBIGUOUS, now + Duration::from_millis(1));
        }
        let Some(live) = self.table.get(id) else { return };
        match self.next_attempt(now, live, AMBIGUOUS, None) {
            Some(at) => {
                self.give_up_stream(now, id);
                self.back_off(id, AMBIGUOUS, at);
            }
            None if is_mutation => self.become_unknown(now, id, EvidenceClass::Ambiguous),
            None => {
                self.give_up_stream(now, id);
                self.out_of_attempts(now, id, AMBIGUOUS);
            }
        }
    }

    /// Closes the stream of an attempt; until now a byte of it may have been sent.
    pub(crate) fn give_up_stream(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        if !live.out {
            return;
        }
        live.out = false;
        live.maybe = true;
        live.status.last_sent_at = Some(now);
        self.set_stream_timer(id, None);
        self.out.push_back(Output::Abandon { step: id });
    }

    /// A stream that was left open for a late receipt has been drained long enough.
    pub(crate) fn drained(&mut self, now: Instant, id: StepId) {
        self.give_up_stream(now, id);
        self.stream_closed(now, id);
        self.try_forget(id);
    }
}

/// What an attempt without a receipt brought.
struct Shown {
    why: String,
    result: Option<Bytes>,
    error: Option<Bytes>,
    retry_after: Option<Duration>,
    exited: bool,
}

impl Shown {
    /// The tool's own words stay in its result: they may hold anything.
    fn error(evidence: Evidence, result: Bytes) -> Self {
        let why = match evidence.class {
            EvidenceClass::Ambiguous => "second hop: the tool's error leaves open whether something behind it ran",
            _ => "the tool reported an error",
        };
        Self { why: why.into(), result: Some(result), error: None, retry_after: None, exited: false }
    }

    fn bad(finding: String) -> Self {
        Self { why: finding, result: None, error: None, retry_after: None, exited: false }
    }

    fn failure(failure: Failure) -> Self {
        let exited = failure.kind == FailureKind::Exit;
        Self { why: failure.detail, result: None, error: failure.rpc_error, retry_after: failure.retry_after, exited }
    }
}
