//! Calls whose step is under way at another owner of the journal: they wait for what it finds out, as for one of ours.

use crate::Engine;
use crate::admission::Admitted;
use crate::identity::NOW;
use crate::input::Recalled;
use crate::output::{Output, Phase as Progress};
use crate::timer::Timer;
use policy::Repeat;
use vocab::{CallId, Code, Instant, KeySource, State, StepId, StepRow};

/// What a caller of an unknown step waits for at least.
const FIRST_LOOK: core::time::Duration = core::time::Duration::from_secs(2);

impl Engine {
    /// Joins the one execution, wherever it is; or says that it is another call.
    //= S-09
    //= S-23
    pub(crate) fn elsewhere(&mut self, now: Instant, id: CallId, row: &StepRow, by_key: bool) {
        let Some(mut recalling) = self.recalling.remove(&id) else { return };
        self.swap_timer(recalling.due.take().map(|(at, ..)| at), None, Timer::Elsewhere(id));
        self.end_recall(recalling.number.take());
        let Some(call) = recalling.call.take() else { return };
        let (step, state) = (row.intent.step, row.status.state);
        if by_key && row.intent.fingerprint != call.fingerprint {
            let why = "the key was used with other arguments".into();
            return self.refuse(now, &call, Code::IdempotencyConflict, Some(step), why);
        }
        // Two ids in one model turn: both are meant, while the first is under way.
        let both_named = call.key_source != KeySource::Fresh && row.intent.key_source != KeySource::Fresh;
        let may_repeat = matches!(call.rules.repeat, Repeat::Allow | Repeat::Notice);
        if !by_key && both_named && may_repeat && state <= State::Dispatched {
            return match self.table.by_key(&call.key) {
                Some(_) => self.decide(now, call, NOW, Recalled::default()),
                None => self.begin(now, Admitted::new(call, NOW)),
            };
        }
        let told_at = match state {
            // Nothing but a person can move it on.
            State::NeedsHuman => now,
            State::Resolving => call.deadline.min(now + call.rules.probe_wait.max(FIRST_LOOK)),
            _ => call.deadline,
        };
        // Seen again in the same state, it is told when it was to be told.
        recalling.call = Some(call);
        recalling.due = Some((told_at, step, state));
        self.recalling.insert(id, recalling);
        self.swap_timer(None, Some(told_at), Timer::Elsewhere(id));
        self.out.push_back(Output::Progress { call: id, phase: Progress::Attached });
    }

    /// A new look-up, as if the call had just come.
    pub(crate) fn look_again_for(&mut self, id: CallId) {
        let number = self.table.recall_begins();
        let Some(recalling) = self.recalling.get_mut(&id).filter(|one| one.number.is_none()) else {
            return self.end_recall(Some(number));
        };
        recalling.number = Some(number);
        if let Some(call) = &recalling.call {
            let (key, content) = (call.key, Some((call.scope, call.content, Instant::ZERO)));
            self.out.push_back(Output::Recall { call: id, key, content });
        }
    }

    //= G3
    pub(crate) fn elsewhere_due(&mut self, now: Instant, id: CallId) {
        let Some(recalling) = self.recalling.remove(&id) else { return };
        self.end_recall(recalling.number);
        let (Some(call), Some((_, step, state))) = (recalling.call, recalling.due) else { return };
        let (code, why) = told(state);
        self.refuse(now, &call, code, Some(step), why.into());
    }

    /// This replica was taken for dead, and the step has another owner now.
    pub(crate) fn disowned(&mut self, now: Instant, id: StepId, since: Instant) {
        let is_lost = |live: &crate::step::Live| live.stored && !live.is_settled() && live.intent.created_at < since;
        if self.table.get(id).is_some_and(is_lost) {
            self.fenced(now, id);
        }
    }
}

fn told(state: State) -> (Code, &'static str) {
    match state {
        State::Resolving | State::NeedsHuman => {
            (Code::OutcomeUnknown, "it was sent and may have happened; another gateway finds out what became of it")
        }
        _ => (Code::InProgress, "it is under way at another gateway"),
    }
}
