//! Is it the same step? The wire request, then the key, then the content decide; what nobody has seen runs.

mod twin;

use crate::Engine;
use crate::admission::Admitted;
use crate::call::Caller;
use crate::input::{Call, Continues, Recalled};
use crate::output::{Output, Phase as Progress, Stop};
use crate::reply::Manner;
use crate::step::{Live, Phase};
use crate::timer::Timer;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use vocab::planted::{self, Planted};
use vocab::{CallId, Code, Event, EventKind, Instant, KeySource, Outcome, Record, State, StepId, StepRow};

/// For a call that is decided without a look-up: all that has arrived had arrived before it.
pub(crate) const NOW: u64 = u64::MAX;

/// A call whose earlier twins are being looked up.
#[derive(Debug)]
pub(crate) struct Recalling {
    /// `None` while it waits for a step of another owner, which no look-up could miss.
    pub(crate) number: Option<u64>,
    /// `None` once its caller has left.
    pub(crate) call: Option<Box<Call>>,
    /// When its caller is told that it is under way elsewhere, and in which state it was seen there.
    pub(crate) due: Option<(Instant, StepId, State)>,
}

impl Engine {
    //= S-09
    pub(crate) fn arrive(&mut self, now: Instant, call: Box<Call>) {
        if !call.rules.effect.is_mutation() {
            return self.arrive_read(now, call);
        }
        if let Some(step) = self.same_request(&call) {
            return self.attach(now, call, step, None);
        }
        // A step that began here is as new as any in the journal; one that was found there need not be. One that ran
        // nothing is opened again, and then equal content under another key counts, of which the journal may know alone.
        let known = self.table.by_key(&call.key).and_then(|id| self.table.get(id));
        if known.is_some_and(|live| !live.is_void() && !live.from_journal) {
            return self.decide(now, call, NOW, Recalled::default());
        }
        if call.key_source == KeySource::Fresh
            && let Some(finding) = &call.finding
        {
            let finding = finding.clone();
            return self.refuse(now, &call, Code::InputInvalid, None, finding);
        }
        if self.recalling.len() >= self.config.steps_max {
            let why = format!("{} calls are being looked up", self.recalling.len());
            return self.refuse(now, &call, Code::Overloaded, None, why);
        }
        let (id, key) = (call.call, call.key);
        // However old: what was unknown for long may have been resolved a moment ago.
        let content = Some((call.scope, call.content, Instant::ZERO));
        let number = self.table.recall_begins();
        self.recalling.insert(id, Recalling { number: Some(number), call: Some(call), due: None });
        self.out.push_back(Output::Recall { call: id, key, content });
    }

    /// Reads are not in the journal under a key: one in flight is joined, any other runs.
    fn arrive_read(&mut self, now: Instant, call: Box<Call>) {
        let known = match call.key_source {
            KeySource::Fresh => None,
            _ => self.table.by_key(&call.key).and_then(|id| self.table.get(id)),
        };
        // A policy called it a mutation a moment ago: it may be settled, and then there is nothing to join.
        if known.is_some_and(Live::is_mutation) {
            return self.decide(now, call, NOW, Recalled::default());
        }
        match known.map(|live| (live.id(), live.intent.fingerprint == call.fingerprint)) {
            Some((step, true)) => self.attach(now, call, step, None),
            Some((step, false)) => self.conflict(now, &call, step),
            None => self.begin(now, Admitted::new(call, NOW)),
        }
    }

    /// The same request delivered twice while it is in flight.
    fn same_request(&self, call: &Call) -> Option<StepId> {
        let live = self.table.get(self.table.by_wire(call.wire.as_ref()?)?)?;
        let is_same = live.intent.fingerprint == call.fingerprint
            && live.intent.content == call.content
            && live.intent.scope == call.scope;
        (is_same && !live.is_settled() && !live.ends_for_its_caller()).then(|| live.id())
    }

    pub(crate) fn recalled(&mut self, now: Instant, id: CallId, recalled: Recalled) {
        let Some(recalling) = self.recalling.remove(&id) else { return };
        self.swap_timer(recalling.due.map(|(at, ..)| at), None, Timer::Elsewhere(id));
        if let Some(call) = recalling.call {
            match self.same_request(&call) {
                Some(step) => self.attach(now, call, step, None),
                None => self.decide(now, call, recalling.number.unwrap_or(NOW), recalled),
            }
        }
        self.end_recall(recalling.number);
    }

    /// What was done before cannot be told, so that nothing may be done now.
    pub(crate) fn recall_failed(&mut self, now: Instant, id: CallId) {
        let Some(recalling) = self.recalling.remove(&id) else { return };
        self.swap_timer(recalling.due.map(|(at, ..)| at), None, Timer::Elsewhere(id));
        if let Some(call) = recalling.call {
            let why = "the journal cannot be read, so nobody can tell whether this was done before";
            self.refuse(now, &call, Code::JournalUnavailable, None, why.into());
        }
        self.end_recall(recalling.number);
    }

    pub(crate) fn end_recall(&mut self, number: Option<u64>) {
        let Some(number) = number else { return };
        for gone in self.table.recall_ended(number) {
            self.try_forget(gone);
        }
    }

    /// The caller of a call that is being looked up has left.
    pub(crate) fn left_recall(&mut self, id: CallId) {
        let Some(recalling) = self.recalling.get_mut(&id) else { return };
        recalling.call = None;
        if let Some((due, ..)) = recalling.due {
            let number = recalling.number;
            self.recalling.remove(&id);
            self.swap_timer(Some(due), None, Timer::Elsewhere(id));
            self.end_recall(number);
        }
    }

    /// Decides what a mutation's call is: an old step, the old step of another key, or a new one.
    pub(crate) fn decide(&mut self, now: Instant, call: Box<Call>, asked: u64, recalled: Recalled) {
        let unseen = planted::is(Planted::CheckThenInsert) && asked != NOW && recalled.by_key.is_none();
        if let Some(row) = recalled.by_key {
            self.remember(now, row, &call);
        }
        match self.table.by_key(&call.key).filter(|_| !unseen) {
            Some(step) => self.same_key(now, Admitted::new(call, asked), step, recalled.by_content),
            None => self.other_key(now, Admitted::new(call, asked), recalled.by_content),
        }
    }

    /// Takes a row of the journal into memory, unless a newer view of it is there.
    fn remember(&mut self, now: Instant, mut row: StepRow, call: &Call) {
        let id = row.intent.step;
        if let Some(live) = self.table.get_mut(id) {
            // Each change of owner draws a later epoch: this row is newer than what is remembered of it.
            let is_newer = row.epoch > live.epoch.max(self.config.epoch) && live.is_settled() && live.ticket.is_none();
            if !is_newer {
                return;
            }
            if !row.status.state.is_open() {
                (live.status, live.result, live.epoch, live.expired) = (row.status, row.result, row.epoch, row.expired);
                (live.error, live.flushed, live.delivered_after) = (None, false, 0);
                // Answers that are still on their way do not tell of it.
                live.telling += 1;
                return;
            }
            self.drop_step(id);
        }
        if row.status.state.is_open() && row.epoch > self.config.epoch {
            return self.taken_over(now, row, call.rules.clone());
        }
        if row.status.state.is_open() {
            return self.recover(now, row, call.rules.clone());
        }
        row.status.delivered = row.status.delivered.max(self.noted.of(id));
        self.table.insert(Box::new(Live::from_row(row, call.rules.clone(), Phase::Settled)));
    }

    //= G5
    //= S-09
    fn same_key(&mut self, now: Instant, admitted: Admitted, id: StepId, twin: Option<StepRow>) {
        let call = &admitted.call;
        let Some(live) = self.table.get(id) else { return };
        if live.intent.fingerprint != call.fingerprint && !planted::is(Planted::ReplayIgnoresFingerprint) {
            if call.continues != Continues::Nothing && live.is_void() {
                // Nothing continued that state yet: other input may.
                let generation = live.intent.generation + 1;
                self.other_key(now, Admitted { generation, ..admitted }, twin);
            } else {
                self.conflict(now, call, id);
            }
            return self.try_forget(id);
        }
        if live.status.run_again && (live.is_settled() || live.is_unknown()) && !live.expired {
            let generation = live.intent.generation + 1;
            return self.begin(now, Admitted { generation, permit: Some(id), ..admitted });
        }
        match live.phase {
            // The same question leads to the same answer to it, and so to the step that had the effect.
            Phase::Settled if live.is_continued() && live.result.is_some() => self.replay_pending(call, id),
            Phase::Settled => match live.status.outcome {
                // It has had no effect; whether another step had it meanwhile is asked as for any call.
                Some(Outcome::NotExecuted | Outcome::Refused)
                    if !live.expired && call.needs_preimage() && !planted::is(Planted::NotExecutedIsFinal) =>
                {
                    let generation = live.intent.generation + 1;
                    self.other_key(now, Admitted { generation, ..admitted }, twin);
                }
                Some(Outcome::NotExecuted | Outcome::Refused)
                    if !live.expired && !planted::is(Planted::NotExecutedIsFinal) =>
                {
                    self.other_key(now, Admitted { reopens: Some(id), ..admitted }, twin);
                }
                _ => self.replay(now, call, id, None, EventKind::Replayed),
            },
            Phase::AwaitingInput | Phase::RemoteTask if live.ticket.is_none() && live.unsaved == 0 => {
                self.replay_pending(call, id);
            }
            // It ends without having run because its own caller left, which says nothing about this one.
            Phase::Closing if live.is_abandoned() => self.defer(now, admitted, id),
            _ => self.attach(now, admitted.call, id, None),
        }
        self.try_forget(id);
    }

    fn conflict(&mut self, now: Instant, call: &Call, id: StepId) {
        let Some(live) = self.table.get(id) else { return };
        let paths = if live.expired {
            None
        } else {
            checks::differing_paths(&live.intent.args, &call.args).ok().filter(|paths| !paths.is_empty())
        };
        let why = match paths {
            // The arguments are those of the step that asked; what was brought is not kept.
            _ if call.continues != Continues::Nothing => {
                "what it continues was continued with other input already, which may have had an effect".into()
            }
            Some(paths) => format!("the key was used with other arguments; they differ at {}", paths.join(", ")),
            None => "the key was used with other arguments".into(),
        };
        self.refuse(now, call, Code::IdempotencyConflict, Some(id), why);
    }

    /// Joins the one execution.
    //= S-09
    pub(crate) fn attach(&mut self, now: Instant, call: Box<Call>, id: StepId, notice: Option<String>) {
        let mut caller = Caller::of(&call, id, now);
        caller.notice = notice;
        self.wait_for(now, call.call, caller);
        self.resend_on_demand(now, id);
    }

    /// Lets a caller wait for a step that another one began.
    fn wait_for(&mut self, now: Instant, call: CallId, mut caller: Caller) {
        let waiters_max = self.config.waiters_max;
        let id = caller.step;
        let Some(live) = self.table.get_mut(id) else { return };
        if live.waiters.len() >= waiters_max {
            let mut stop = Stop::new(Code::InProgress, id, "too many callers wait for this step already");
            stop.earlier = Some(id);
            return self.stop_caller(call, stop);
        }
        if live.waiters.is_empty() {
            live.link = call;
        }
        live.waiters.push(call);
        caller.attached = true;
        caller.came_back = live.owed > 0;
        live.owed = live.owed.saturating_sub(1);
        let is_unknown = live.is_unknown();
        let due = if is_unknown { self.unknown_due(now, &caller) } else { caller.deadline };
        self.calls.insert(call, caller);
        self.set_caller_timer(call, Some(due));
        self.out.push_back(Output::Progress { call, phase: Progress::Attached });
    }

    /// The stored outcome, byte for byte.
    //= G5
    pub(crate) fn replay(&mut self, now: Instant, call: &Call, id: StepId, notice: Option<String>, kind: EventKind) {
        if let Some(live) = self.table.get_mut(id) {
            // One of those who were told nothing has come back.
            live.owed = live.owed.saturating_sub(1);
        }
        let event =
            Event { step: id, at: now, kind, attempt: 0, class: None, detail: format!("to a call of {}", call.step) };
        self.note(vec![Record::Event(event)]);
        let manner = Manner { structured: call.structured, replayed: true, notice, earlier: Some(id) };
        self.answer_closed(now, call.call, id, manner);
    }
}
