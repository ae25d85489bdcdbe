//! What a caller is told of a step: by its outcome, and nothing that the outcome does not carry.

use crate::Engine;
use crate::call::Caller;
use crate::output::{Output, Reply, Report, Stop};
use crate::step::{Live, Phase};
use crate::timer::Timer;
use alloc::format;
use alloc::string::String;
use vocab::planted::{self, Planted};
use vocab::{CallId, Code, EventKind, Executed, Instant, Outcome, Record, StepId, Verification};

/// How an answer is given.
pub(crate) struct Manner {
    pub(crate) structured: bool,
    pub(crate) replayed: bool,
    pub(crate) notice: Option<String>,
    /// The answer speaks of a step that another call began.
    pub(crate) earlier: Option<StepId>,
}

/// The answer of a closed step.
//= G3
//= G5
pub(crate) fn of(live: &Live, manner: Manner) -> Reply {
    let step = live.id();
    let verification = live.status.verification;
    let outcome = live.status.outcome.unwrap_or(Outcome::Unknown);
    let stop = |code: Code, why: String| {
        let mut stop = Stop::new(code, step, why);
        stop.verification = verification;
        stop.earlier = manner.earlier;
        stop
    };
    if live.expired {
        return Reply::Stop(tombstone(live, outcome, manner.structured, stop));
    }
    let why = if live.why.is_empty() { outcome.as_str().into() } else { live.why.clone() };
    match (outcome, &live.result, &live.error) {
        (Outcome::Succeeded, ..) if verification == Verification::Mismatch => {
            Reply::Stop(stop(Code::ReadbackMismatch, why))
        }
        (Outcome::Succeeded | Outcome::Failed, Some(result), _) => Reply::Result {
            step,
            result: result.clone(),
            verification,
            replayed: manner.replayed,
            notice: manner.notice,
        },
        (Outcome::Succeeded, None, _) => {
            let mut stop = stop(Code::DuplicateSuppressed, "it was done; the answer is not kept".into());
            stop.success = !manner.structured;
            Reply::Stop(stop)
        }
        (Outcome::Failed | Outcome::NotExecuted, None, Some(error)) => Reply::Error { step, error: error.clone() },
        (Outcome::Failed, None, None) => Reply::Stop(failed(live, stop(Code::OutcomeUnknown, why))),
        (Outcome::Applied, ..) => {
            let mut stop = stop(Code::AppliedNoReceipt, manner.notice.unwrap_or(why));
            stop.success = !manner.structured;
            Reply::Stop(stop)
        }
        (Outcome::Absent, ..) => Reply::Stop(stop(Code::NotApplied, why)),
        (Outcome::NotExecuted | Outcome::Refused, ..) => {
            let mut stop = stop(live.status.told.unwrap_or(Code::UpstreamUnavailable), why);
            stop.executed = Executed::No;
            stop.retry_after = live.retry_after;
            Reply::Stop(stop)
        }
        (Outcome::Diverged, ..) => {
            let why = "the world shows neither what was meant nor what was there before";
            Reply::Stop(stop(Code::OutcomeUnknown, why.into()))
        }
        (Outcome::Unknown, ..) => Reply::Stop(stop(Code::OutcomeUnknown, why)),
    }
}

/// A failure without an answer of the tool to show.
fn failed(live: &Live, mut stop: Stop) -> Stop {
    if live.is_mutation() {
        stop.why = format!("the upstream reported a failure, and the effect may be partial: {}", stop.why);
        return stop;
    }
    // A read changes nothing, whatever became of it.
    if live.bad_answer {
        stop.code = Code::OutputRejected;
        stop.executed = Executed::Yes;
    } else {
        stop.code = Code::UpstreamUnavailable;
        stop.executed = Executed::No;
        stop.retry_after = live.retry_after;
    }
    stop
}

/// Nothing runs under the key of a tombstone; what it did is all that is known.
fn tombstone(live: &Live, outcome: Outcome, structured: bool, stop: impl Fn(Code, String) -> Stop) -> Stop {
    let at = live.status.closed_at.unwrap_or(Instant::ZERO).as_micros() / 1_000_000;
    let why = format!("{outcome} at {at} s after 1970; its answer is not kept any more");
    let mut stop = match outcome.executed() {
        Executed::Yes => stop(Code::DuplicateSuppressed, why),
        Executed::No => stop(Code::NotApplied, why),
        Executed::Unknown => stop(Code::OutcomeUnknown, why),
    };
    stop.success = stop.code == Code::DuplicateSuppressed && !structured;
    stop
}

impl Engine {
    /// Tells one waiting caller the outcome of its step.
    pub(crate) fn release(&mut self, now: Instant, call: CallId, id: StepId) {
        let Some(caller) = self.drop_caller(call) else { return };
        let manner = Manner {
            structured: caller.structured,
            replayed: caller.attached,
            notice: caller.notice,
            earlier: caller.attached.then_some(id),
        };
        self.answer_closed(now, call, id, manner);
    }

    /// Tells the outcome of a closed step, and keeps the step until it is known whether that arrived.
    pub(crate) fn answer_closed(&mut self, now: Instant, call: CallId, id: StepId, manner: Manner) {
        if planted::is(Planted::DeliveredBeforeFlush)
            && let Some(live) = self.table.get_mut(id)
        {
            live.status.delivered = vocab::Delivered::Seen;
        }
        let Some(live) = self.table.get(id) else { return };
        let is_mutation = live.is_mutation();
        let reply = of(live, manner);
        let receipt = !matches!(reply, Reply::Stop(_));
        if let Reply::Stop(stop) = &reply {
            self.out.push_back(Output::Report(Report::Stopped { step: id, code: stop.code }));
        }
        self.out.push_back(Output::Reply { call, reply });
        if is_mutation {
            self.await_arrival(now, call, id, receipt);
        }
    }

    /// Tells one waiting caller that nothing is known yet.
    //= G3
    pub(crate) fn tell_unknown(&mut self, now: Instant, call: CallId) {
        let Some(caller) = self.take_waiter(call) else { return };
        let id = caller.step;
        let Some(live) = self.table.get_mut(id) else { return };
        live.owed = live.owed.saturating_add(u32::from(!caller.came_back));
        let code = match live.phase {
            Phase::Resolving(_) | Phase::NeedsHuman if live.bad_answer => Code::OutputRejected,
            Phase::Resolving(_) | Phase::NeedsHuman | Phase::Closing => Code::OutcomeUnknown,
            _ if caller.attached => Code::InProgress,
            _ => Code::OutcomeUnknown,
        };
        let why = match live.phase {
            Phase::Closing if live.unsaved > 0 => "the answer came, and the journal cannot be written".into(),
            Phase::NeedsHuman => format!("{}; probes could not tell, a person is asked", live.why),
            _ if live.why.is_empty() => String::from("no answer yet"),
            _ => live.why.clone(),
        };
        let mut stop = Stop::new(code, id, why);
        stop.executed = Executed::Unknown;
        stop.earlier = caller.attached.then_some(id);
        if matches!(live.phase, Phase::Resolving(_)) {
            stop.next_probe = live.due.map(|due| due.since(now));
        }
        live.status.told = Some(code);
        let (is_stored, status, attempt) = (live.stored, live.status.clone(), live.status.attempt);
        // While an outcome waits to be written, a status in between would tell it without its answer.
        if is_stored && !matches!(live.phase, Phase::Closing | Phase::ReadingBack(_)) {
            let epoch = self.epoch_of(id);
            let event = Self::event(id, now, EventKind::Released, attempt, code.as_str());
            self.note(alloc::vec![Record::Update { step: id, epoch, status, result: None }, Record::Event(event),]);
        }
        self.stop_caller(call, stop);
    }

    pub(crate) fn stop_caller(&mut self, call: CallId, stop: Stop) {
        self.out.push_back(Output::Report(Report::Stopped { step: stop.step, code: stop.code }));
        self.out.push_back(Output::Reply { call, reply: Reply::Stop(stop) });
    }

    /// Takes a caller out of the list and off its step.
    pub(crate) fn take_waiter(&mut self, call: CallId) -> Option<Caller> {
        let caller = self.drop_caller(call)?;
        if let Some(live) = self.table.get_mut(caller.step) {
            live.waiters.retain(|one| *one != call);
            // It goes without the outcome.
            live.owed += u32::from(caller.came_back);
            if live.link == call
                && let Some(next) = live.waiters.first()
            {
                live.link = *next;
            }
        }
        Some(caller)
    }

    pub(crate) fn drop_caller(&mut self, call: CallId) -> Option<Caller> {
        let caller = self.calls.remove(&call)?;
        self.swap_timer(caller.due, None, Timer::Caller(call));
        if let Some(own) = caller.reserves {
            self.release_hold(own);
        }
        Some(caller)
    }
}
