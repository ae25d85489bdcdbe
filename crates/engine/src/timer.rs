//! Everything that becomes due. A step has at most three timers and a caller one, and each is taken back when it is no
//! longer needed, so that the list is as long as what is under way.

use crate::Engine;
use crate::step::Phase;
use core::mem;
use vocab::{CallId, Instant, StepId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The attempt took too long, or a stream that was left open has been drained long enough.
    Stream(StepId),
    /// What comes next for a step, by its phase: the wait before an attempt, a read of the world, another try to write.
    Step(StepId),
    /// What could not be written about an unknown step is written again.
    Save(StepId),
    /// The caller is told what is known.
    Caller(CallId),
    /// The caller waits for a step of another owner, and is told so.
    Elsewhere(CallId),
    /// An answer has been quiet for two seconds, or nobody ever said what became of it.
    Release(CallId),
    /// What was noted about deliveries is written.
    Notes,
}

impl Engine {
    pub(crate) fn set_step_timer(&mut self, id: StepId, at: Option<Instant>) {
        if let Some(live) = self.table.get_mut(id) {
            let old = mem::replace(&mut live.due, at);
            self.swap_timer(old, at, Timer::Step(id));
        }
    }

    pub(crate) fn set_stream_timer(&mut self, id: StepId, at: Option<Instant>) {
        if let Some(live) = self.table.get_mut(id) {
            let old = mem::replace(&mut live.stream_due, at);
            self.swap_timer(old, at, Timer::Stream(id));
        }
    }

    pub(crate) fn set_caller_timer(&mut self, call: CallId, at: Option<Instant>) {
        if let Some(caller) = self.calls.get_mut(&call) {
            let old = mem::replace(&mut caller.due, at);
            self.swap_timer(old, at, Timer::Caller(call));
        }
    }

    pub(crate) fn swap_timer(&mut self, old: Option<Instant>, new: Option<Instant>, timer: Timer) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.timers.remove(&(old, timer));
        }
        if let Some(new) = new {
            self.timers.insert((new, timer));
        }
    }

    pub(crate) fn run_timers(&mut self, now: Instant) {
        while let Some(&(at, timer)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Stream(step) => self.stream_due(now, step),
                Timer::Step(step) => self.step_due(now, step),
                Timer::Save(step) => self.save_unknown_again(step),
                Timer::Caller(call) => {
                    if let Some(caller) = self.calls.get_mut(&call) {
                        caller.due = None;
                    }
                    self.caller_due(now, call);
                }
                Timer::Elsewhere(call) => self.elsewhere_due(now, call),
                Timer::Release(call) => self.release_due(now, call),
                Timer::Notes => self.notes_due(),
            }
        }
    }

    fn stream_due(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.stream_due = None;
        if matches!(live.phase, Phase::Sent) { self.attempt_timeout(now, id) } else { self.drained(now, id) }
    }

    fn step_due(&mut self, now: Instant, id: StepId) {
        let Some(live) = self.table.get_mut(id) else { return };
        live.due = None;
        if live.reading.is_some() {
            return self.read_timeout(now, id);
        }
        match live.phase {
            Phase::Backoff => self.backoff_over(now, id),
            Phase::ReadingBack(_) => self.look_again(now, id),
            Phase::Closing => self.save_again(now, id),
            Phase::Resolving(_) => self.probe(now, id),
            Phase::AwaitingInput | Phase::RemoteTask => self.pending_over(now, id),
            Phase::Settled => self.settled_due(now, id),
            // A compensation that waited for what it takes back to be quiet.
            Phase::Preimage => self.claim_or_look(now, id),
            Phase::InLane | Phase::Claiming | Phase::Sent | Phase::NeedsHuman => {}
        }
    }
}
