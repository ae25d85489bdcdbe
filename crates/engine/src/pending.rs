//! Steps that wait for somebody else: the upstream asked for input, or made a task of its own.

use crate::attempt::evidence::is_ambiguous;
use crate::close::SAVE_AGAIN_MAX;
use crate::input::{Call, NotDurable, TaskEnd};
use crate::output::{Output, Reply, Report};
use crate::step::{self, Live, Phase};
use crate::{Engine, Ticketed};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use vocab::{
    Bytes, CallId, Cause, Code, EventKind, EvidenceClass, Instant, Name, Outcome, Record, State, StepId, StepStatus,
    Verification,
};

/// Input that nobody brought.
const INPUT_MAX: Duration = Duration::from_secs(3600);
/// A task that nobody saw end.
const TASK_MAX: Duration = Duration::from_secs(24 * 3600);

impl Engine {
    /// Nothing ran yet: the upstream wants to know more first.
    pub(crate) fn input_required(&mut self, now: Instant, id: StepId, result: Bytes) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.status.state = State::AwaitingInput;
        live.why = "the upstream asked for input".into();
        let intent = live.intent.clone();
        self.pending(now, id, Phase::AwaitingInput, result);
        // What continues it, or stands behind it, must not wait for it.
        for next in self.lanes.leave(&intent) {
            self.try_admit(now, next);
        }
    }

    /// What the commit of a leg's intent says of the step that asked: it is over, and nothing ran under its own name.
    /// One commit for both, so that no crash leaves it open beside its leg.
    //= S-23
    pub(crate) fn continuing(&mut self, now: Instant, asked: StepId, by: StepId) -> Vec<Record> {
        let epoch = self.epoch_of(asked);
        let Some(live) = self.table.get(asked).filter(|live| awaits_input(live)) else { return Vec::new() };
        let status = continued_status(live, now);
        let detail = alloc::format!("{}, none: {}", Outcome::NotExecuted, continued_by(by));
        let class = Some(EvidenceClass::Attested);
        let event = Self::evidence(asked, now, EventKind::Closed, status.attempt, class, &detail);
        // It is not given up while that is on its way to the disk.
        self.set_step_timer(asked, None);
        vec![Record::Update { step: asked, epoch, status, result: None }, Record::Event(event)]
    }

    /// The leg's intent is durable, and with it the end of the step that asked.
    pub(crate) fn continued(&mut self, now: Instant, asked: StepId, by: StepId) {
        let Some(live) = self.table.get_mut(asked).filter(|live| awaits_input(live)) else { return };
        live.status = continued_status(live, now);
        live.why = continued_by(by);
        live.ticket = None;
        let (outcome, verification) = (Outcome::NotExecuted, Verification::None);
        self.set_step_timer(asked, None);
        self.out.push_back(Output::Report(Report::Closed { step: asked, outcome, verification }));
        self.settle(now, asked);
    }

    /// The leg's intent could not be written: it waits on.
    pub(crate) fn not_continued(&mut self, now: Instant, asked: StepId) {
        if self.table.get(asked).is_some_and(awaits_input) {
            self.set_step_timer(asked, Some(now + INPUT_MAX));
        }
    }

    /// By now the tool counts as a read, which has no intent: its end is written by itself.
    pub(crate) fn continued_by_read(&mut self, now: Instant, asked: StepId, by: StepId) {
        let Some(live) = self.table.get_mut(asked).filter(|live| awaits_input(live)) else { return };
        live.why = continued_by(by);
        self.conclude(now, asked, Outcome::NotExecuted, Cause::Held, EvidenceClass::Attested);
    }

    /// The upstream's name of its task is the best probe there is: it is written before anything else is done.
    pub(crate) fn task_began(&mut self, now: Instant, id: StepId, task: Name, result: Bytes) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.status.state = State::RemoteTask;
        live.status.remote_task = Some(task);
        live.why = "the upstream works on it as a task".into();
        self.pending(now, id, Phase::RemoteTask, result);
    }

    fn pending(&mut self, now: Instant, id: StepId, phase: Phase, result: Bytes) {
        let epoch = self.epoch_of(id);
        let Some(live) = self.table.get_mut(id) else { return };
        live.result = Some(result.clone());
        live.status.outcome = None;
        live.status.cause = Some(Cause::Held);
        live.status.next_action_at = None;
        live.reading = None;
        if !live.is_mutation() {
            self.note_read(now, id, Outcome::NotExecuted, Cause::Held);
            self.release_pending(now, id);
            return self.drop_step(id);
        }
        let status = live.status.clone();
        let event = Self::event(id, now, EventKind::Task, status.attempt, &live.why);
        let records = vec![Record::Update { step: id, epoch, status, result: Some(result) }, Record::Event(event)];
        let ticket = self.commit(records, Ticketed::Pending(id));
        if let Some(live) = self.table.get_mut(id) {
            live.ticket = Some(ticket);
        }
        let over = if matches!(phase, Phase::RemoteTask) { TASK_MAX } else { INPUT_MAX };
        self.table.enter(id, phase);
        self.set_step_timer(id, Some(now + over));
    }

    pub(crate) fn pending_durable(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.ticket = None;
        live.unsaved = 0;
        let end = live.task_end.take();
        self.release_pending(now, id);
        if let Some(end) = end {
            self.end_task(now, id, end);
        }
    }

    /// It cannot be told, because a crash would forget it; what is on the disk says `dispatched`.
    pub(crate) fn pending_failed(&mut self, now: Instant, id: StepId, why: NotDurable) {
        if why == NotDurable::Fenced {
            return self.fenced(now, id);
        }
        let epoch = self.epoch_of(id);
        let Some(live) = self.table.get_mut(id) else { return };
        live.ticket = None;
        live.why = "the upstream's answer could not be written to the journal".into();
        let (status, result) = (live.status.clone(), live.result.clone());
        let (waiters, end) = (live.waiters.clone(), live.task_end.take());
        live.unsaved += 1;
        self.note(vec![Record::Update { step: id, epoch, status, result }]);
        self.set_save_timer(id, Some(now + SAVE_AGAIN_MAX));
        for call in waiters {
            self.tell_unknown(now, call);
        }
        if let Some(end) = end {
            self.end_task(now, id, end);
        }
    }

    /// It is told again only once the journal has it.
    pub(crate) fn save_pending_again(&mut self, id: StepId) {
        let epoch = self.config.epoch;
        let Some(live) = self.table.get(id).filter(|live| live.ticket.is_none() && live.unsaved > 0) else { return };
        let (status, result) = (live.status.clone(), live.result.clone());
        let ticket = self.commit(vec![Record::Update { step: id, epoch, status, result }], Ticketed::Pending(id));
        if let Some(live) = self.table.get_mut(id) {
            live.ticket = Some(ticket);
        }
    }

    fn release_pending(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        let Some(result) = live.result.clone() else { return };
        let is_mutation = live.is_mutation();
        for call in core::mem::take(&mut live.waiters) {
            if self.calls.get(&call).is_some_and(|caller| caller.deferred.is_some()) {
                self.decide_deferred(now, call);
                continue;
            }
            let Some(caller) = self.drop_caller(call) else { continue };
            let reply = Reply::Result {
                step: id,
                result: result.clone(),
                verification: Verification::None,
                replayed: caller.attached,
                notice: caller.notice,
            };
            self.out.push_back(Output::Reply { call, reply });
            if is_mutation {
                self.await_arrival(now, call, id, true);
            }
        }
    }

    /// The same wish for input, the same task.
    //= G5
    pub(crate) fn replay_pending(&mut self, call: &Call, id: StepId) {
        let Some(result) = self.table.get(id).and_then(|live| live.result.clone()) else {
            // Its body is in the journal only; where it stands is all that can be told.
            return self.still_pending(call.call, id);
        };
        let (verification, notice) = (Verification::None, None);
        let reply = Reply::Result { step: id, result, verification, replayed: true, notice };
        self.out.push_back(Output::Reply { call: call.call, reply });
    }

    fn still_pending(&mut self, call: CallId, id: StepId) {
        let mut stop = crate::output::Stop::new(Code::InProgress, id, "the upstream works on it");
        stop.earlier = Some(id);
        self.stop_caller(call, stop);
    }

    pub(crate) fn task_ended(&mut self, now: Instant, id: StepId, end: TaskEnd) {
        let Some(live) = self.table.get_mut(id).filter(|live| live.status.remote_task.is_some()) else { return };
        if live.ticket.is_some() && matches!(live.phase, Phase::RemoteTask) {
            live.task_end = Some(end);
            return;
        }
        self.end_task(now, id, end);
    }

    fn end_task(&mut self, now: Instant, id: StepId, end: TaskEnd) {
        let Some(live) = self.table.get_mut(id) else { return };
        // Unknown by now (it was given up): its end is a late receipt.
        if !matches!(live.phase, Phase::RemoteTask | Phase::Resolving(_) | Phase::NeedsHuman) {
            return;
        }
        let is_open = matches!(live.phase, Phase::RemoteTask);
        live.result = None;
        match end {
            TaskEnd::Completed(result) => self.receipt(now, id, result),
            TaskEnd::Failed(text) if !is_ambiguous(&text, &live.rules.evidence) => {
                live.why = "the upstream's task failed".into();
                self.reported(now, id);
            }
            TaskEnd::Failed(_) | TaskEnd::Vanished if is_open => {
                // Until now the upstream worked on it, and it may go on for as long as on any request.
                live.status.last_sent_at = Some(now);
                live.why = "task_vanished: the upstream's task ended without an outcome".into();
                self.become_unknown(now, id, EvidenceClass::Ambiguous);
            }
            TaskEnd::Failed(_) | TaskEnd::Vanished => {}
        }
    }

    pub(crate) fn pending_over(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        if matches!(live.phase, Phase::AwaitingInput) && live.rules.probe.is_none() {
            live.why = "the upstream asked for input, and none came".into();
            live.result = None;
            live.status.told = Some(Code::Cancelled);
            return self.conclude(now, id, Outcome::NotExecuted, Cause::Cancelled, EvidenceClass::Attested);
        }
        if matches!(live.phase, Phase::RemoteTask) {
            live.status.last_sent_at = Some(now);
        }
        live.why = match live.phase {
            Phase::AwaitingInput => "the upstream asked for input, and none came".into(),
            _ => "task_vanished: nobody saw the upstream's task end".into(),
        };
        self.become_unknown(now, id, EvidenceClass::Ambiguous);
    }
}

fn awaits_input(live: &Live) -> bool {
    live.is_mutation() && matches!(live.phase, Phase::AwaitingInput)
}

fn continued_status(live: &Live, now: Instant) -> StepStatus {
    let mut status = live.status.clone();
    step::conclude(&mut status, now, Outcome::NotExecuted, Cause::Held, Verification::None);
    status
}

fn continued_by(leg: StepId) -> String {
    alloc::format!("it asked for input; continued by step {leg}")
}
