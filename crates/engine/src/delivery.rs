//! Did the answer arrive? Noted lazily, and lost in a crash it reads as `no`: the safe side, because an answer that may
//! not have arrived is given again instead of the effect being made again.

use crate::input::Arrival;
use crate::timer::Timer;
use crate::{Engine, Ticketed};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;
use vocab::{CallId, Delivered, Instant, Record, StepId};

/// No cancel, reset or close for this long after the last byte.
const QUIET: Duration = Duration::from_secs(2);
/// Nobody ever said what became of an answer.
const SILENCE: Duration = Duration::from_secs(120);
/// A note rides along with the next commit, or makes one of its own after this long: the sooner it is on the disk, the
/// fewer repeats are taken for re-issues after a crash.
const NOTED_SOON: Duration = Duration::from_millis(50);
/// Until a note is on the disk, the journal would say `no`.
const NOTED_WITHIN: Duration = Duration::from_secs(3);

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Release {
    step: StepId,
    due: Instant,
    flushed: bool,
    /// The tool's own word, not a stop of ours.
    receipt: bool,
    /// What it tells of its step.
    telling: u32,
    /// It answers a question about the step, not a call.
    question: bool,
}

/// Deliveries whose note may not be in the journal yet, of steps that have left memory.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    steps: BTreeMap<StepId, Delivered>,
    order: VecDeque<(Instant, StepId)>,
    /// When what was noted makes a commit of its own.
    due: Option<Instant>,
}

impl Noted {
    pub(crate) fn of(&self, step: StepId) -> Delivered {
        self.steps.get(&step).copied().unwrap_or(Delivered::No)
    }

    fn add(&mut self, now: Instant, step: StepId, delivered: Delivered) {
        while let Some(&(at, old)) = self.order.front() {
            if at + NOTED_WITHIN > now {
                break;
            }
            self.order.pop_front();
            self.steps.remove(&old);
        }
        if self.steps.insert(step, delivered).is_none() {
            self.order.push_back((now, step));
        }
    }
}

impl Engine {
    /// What was told of a step so far, and may still be on its way, is not what it has to tell from now on.
    pub(crate) fn tells_anew(&mut self, id: StepId) {
        self.noted.steps.remove(&id);
        let Some(live) = self.table.get_mut(id) else { return };
        live.status.delivered = Delivered::No;
        live.delivered_after = 0;
        live.flushed = false;
        live.telling += 1;
    }

    pub(crate) fn await_arrival(&mut self, now: Instant, call: CallId, step: StepId, receipt: bool) {
        let Some(live) = self.table.get_mut(step) else { return };
        live.holds += 1;
        let (due, telling) = (now + SILENCE, live.telling);
        self.swap_timer(None, Some(due), Timer::Release(call));
        self.releases.insert(call, Release { step, due, flushed: false, receipt, telling, question: false });
    }

    /// An answer to "what became of it?" is as good as the step's own, once it has arrived and been quiet: whoever asked
    /// knows. One that sends the same again at once goes on with what it was about, as after a stop.
    //= S-23
    pub(crate) fn asked_after(&mut self, now: Instant, call: CallId, step: StepId) {
        if self.table.get(step).is_some_and(|live| live.is_mutation() && live.is_settled()) {
            self.await_arrival(now, call, step, false);
            if let Some(release) = self.releases.get_mut(&call) {
                release.question = true;
            }
        }
    }

    pub(crate) fn arrived(&mut self, now: Instant, call: CallId, arrival: Arrival) {
        let Some(release) = self.releases.get_mut(&call) else { return };
        let arrival = match arrival {
            // A client that is stopped and asks on at once has not gone on from it: most try the same again.
            Arrival::Seen if !release.receipt => Arrival::Flushed,
            other => other,
        };
        match arrival {
            Arrival::Flushed if !release.flushed => {
                let old = release.due;
                release.flushed = true;
                release.due = now + QUIET;
                let (due, step, telling) = (release.due, release.step, release.telling);
                if let Some(live) = self.table.get_mut(step).filter(|live| live.telling == telling) {
                    live.flushed = true;
                }
                self.swap_timer(Some(old), Some(due), Timer::Release(call));
            }
            Arrival::Flushed => {}
            Arrival::Seen => self.end_release(now, call, Delivered::Seen),
            Arrival::Lost => self.end_release(now, call, Delivered::No),
        }
    }

    pub(crate) fn release_due(&mut self, now: Instant, call: CallId) {
        let delivered = match self.releases.get(&call) {
            Some(release) if release.flushed => Delivered::Flushed,
            _ => Delivered::No,
        };
        self.end_release(now, call, delivered);
    }

    pub(crate) fn end_release(&mut self, now: Instant, call: CallId, delivered: Delivered) {
        let Some(release) = self.releases.remove(&call) else { return };
        self.swap_timer(Some(release.due), None, Timer::Release(call));
        let id = release.step;
        let epoch = self.epoch_of(id);
        let last_recall = self.table.last_recall();
        let Some(live) = self.table.get_mut(id) else { return };
        let is_latest = live.telling == release.telling;
        live.flushed &= !is_latest;
        // Nobody can tell who asks: of several who were told nothing, one at most is counted as the one.
        if is_latest && release.question && delivered > Delivered::No && !live.was_asked_after {
            live.was_asked_after = true;
            live.owed = live.owed.saturating_sub(1);
        }
        // Somebody else was told that nothing is known, and will come back for it.
        if is_latest && delivered > live.status.delivered && live.owed == 0 {
            if live.status.delivered == Delivered::No {
                live.delivered_after = last_recall;
            }
            live.status.delivered = delivered;
            // An outcome that is being written takes the delivery along.
            if live.stored && live.is_settled() {
                let status = live.status.clone();
                self.noted.add(now, id, delivered);
                self.note(alloc::vec![Record::Update { step: id, epoch, status, result: None }]);
                let due = self.noted.due.unwrap_or(now + NOTED_SOON);
                self.set_notes_timer(Some(due));
            }
        }
        self.release_hold(id);
    }

    pub(crate) fn set_notes_timer(&mut self, at: Option<Instant>) {
        let old = core::mem::replace(&mut self.noted.due, at);
        self.swap_timer(old, at, Timer::Notes);
    }

    /// No commit has come by that would have taken the notes along.
    pub(crate) fn notes_due(&mut self) {
        self.noted.due = None;
        self.commit(Vec::new(), Ticketed::Notes);
    }
}
