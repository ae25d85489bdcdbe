//! Steps that an earlier process left: what is on the disk decides, and nothing is sent for an agent that is gone.

use crate::Engine;
use crate::resolve::Probing;
use crate::step::{Live, Phase};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;
use policy::ToolRules;
use vocab::planted::{self, Planted};
use vocab::{Cause, Code, Effect, EventKind, EvidenceClass, Instant, Outcome, Record, State, StepId, StepRow};

/// How long a closed step that was asked for stays in memory.
const LOADED: Duration = Duration::from_secs(60);
const INPUT_MAX: Duration = Duration::from_secs(3600);
const TASK_MAX: Duration = Duration::from_secs(24 * 3600);

impl Engine {
    /// Its owner is taken for dead, and may only be slow: what it sent can still arrive, and a child of its own can still
    /// work on it. Nothing is sent again on the strength of that, but for a copy that its key makes harmless.
    //= G1
    //= G6
    pub(crate) fn taken_over(&mut self, now: Instant, row: StepRow, rules: Arc<ToolRules>) {
        let id = row.intent.step;
        if let Some(live) = self.table.get_mut(id) {
            if row.epoch <= live.epoch {
                return;
            }
            // It was ours before, and we were taken for dead ourselves: what is remembered of it goes on, as its owner.
            if !live.is_settled() {
                live.epoch = row.epoch;
                return;
            }
            // It was over for us, and another owner has run it again since.
            self.drop_step(id);
        }
        let was_sent = row.status.state == State::Dispatched;
        self.recover(now, row, rules);
        let Some(live) = self.table.get_mut(id) else { return };
        live.group_dead = false;
        // A later write of its lane may have been admitted elsewhere.
        live.resend_on_demand &= live.intent.effect == Effect::Keyed;
        if was_sent {
            live.why = "the gateway that sent it is gone; another one finds out what became of it".into();
        }
    }

    //= G1
    //= G6
    pub(crate) fn recover(&mut self, now: Instant, row: StepRow, rules: Arc<ToolRules>) {
        let id = row.intent.step;
        if self.table.get(id).is_some() {
            return;
        }
        let state = row.status.state;
        let mut live = Box::new(Live::from_row(row, rules, Phase::Settled));
        if state == State::Closed {
            live.status.delivered = live.status.delivered.max(self.noted.of(id));
            self.table.insert(live);
            return self.set_step_timer(id, Some(now + LOADED));
        }
        live.attempts_before = 0;
        // Whoever could still have sent a byte of it ended before this process began; a local child with it.
        live.group_dead = true;
        live.maybe = state > State::Intent && state != State::AwaitingInput;
        live.sent_before = live.maybe.then_some(now);
        live.compensates = live.intent.undo.as_ref().and_then(|stored| policy::undo::compensates(stored));
        let has_ended = live.status.outcome.is_some();
        let intent = live.intent.clone();
        self.table.insert(live);
        if state != State::AwaitingInput && state != State::Intent {
            self.lanes.join(&intent);
        }
        let event = Self::event(id, now, EventKind::Recovered, 0, state.as_str());
        self.note(alloc::vec![Record::Event(event)]);
        match state {
            State::Held | State::Intent => self.never_sent(now, id),
            State::Dispatched => self.sent_before(now, id),
            State::AwaitingInput => self.waits_on(id, Phase::AwaitingInput, now + INPUT_MAX),
            // Its end was seen, and the world was still being read.
            State::RemoteTask if has_ended => self.sent_before(now, id),
            State::RemoteTask => self.waits_on(id, Phase::RemoteTask, now + TASK_MAX),
            State::Resolving => self.unknown_before(now, id),
            State::NeedsHuman => self.needed_human(id),
            State::Closed => {}
        }
    }

    /// An intent without a dispatch proves that nothing was sent.
    fn never_sent(&mut self, now: Instant, id: StepId) {
        if planted::is(Planted::IntentResumed) {
            return self.claim(now, id);
        }
        self.stop_unsent(now, id, Code::Cancelled, Cause::Cancelled, "the gateway restarted before it was sent");
    }

    fn sent_before(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        // The receipt came, and the world was still being read.
        match (live.status.outcome, live.result.take()) {
            (Some(Outcome::Succeeded), Some(result)) => return self.receipt(now, id, result),
            (Some(Outcome::Failed), Some(result)) => {
                live.result = Some(result);
                return self.reported(now, id);
            }
            _ => {}
        }
        live.why = "gateway_crash: the gateway ended while it was out".into();
        live.resend_on_demand = match live.intent.effect {
            Effect::Keyed => live.intent.upstream_key.is_some(),
            // On a declared lane nothing can have been admitted after it while it was out.
            Effect::Idempotent => live.intent.lane.is_some(),
            Effect::Write => planted::is(Planted::RestartResendsWrites),
            Effect::Read | Effect::Destructive => false,
        };
        self.become_unknown(now, id, EvidenceClass::Ambiguous);
    }

    fn waits_on(&mut self, id: StepId, phase: Phase, until: Instant) {
        self.table.enter(id, phase);
        self.set_step_timer(id, Some(until));
    }

    fn unknown_before(&mut self, now: Instant, id: StepId) {
        self.is_known_unknown(id);
        let Some(live) = self.table.get(id) else { return };
        let probing = Probing::new(now, live, live.rules.probe_budget);
        self.table.enter(id, Phase::Resolving(probing));
        self.probe(now, id);
    }

    fn needed_human(&mut self, id: StepId) {
        self.is_known_unknown(id);
        self.table.enter(id, Phase::NeedsHuman);
    }

    fn is_known_unknown(&mut self, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.unknown_saved = true;
        live.why = "its reply was lost before the gateway restarted".into();
        let intent = live.intent.clone();
        self.lanes.became_unknown(&intent);
    }
}
