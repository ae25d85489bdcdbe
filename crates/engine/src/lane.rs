//! Lanes: the order of mutations on one target.
//!
//! A declared lane lets one mutation run at a time, in order of arrival. An undeclared one is the whole upstream: it
//! orders nothing, but holds the same run back while something is unknown, and counts as a later admission everywhere.
//! Where neither lane nor effect is declared, all is a guess, and a guess holds nobody back.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use vocab::{Name, RunId, StepId, StepIntent};

/// Tenant, upstream and declared lane; `None` collects the undeclared.
type LaneKey = (Name, Name, Option<Name>);

/// Lanes whose last admission is remembered. Beyond it everything counts as overtaken, which only forbids re-sends.
const REMEMBERED_MAX: usize = 16_384;

#[derive(Default)]
pub(crate) struct Lanes {
    /// The first of each queue is the one that runs.
    queues: BTreeMap<LaneKey, VecDeque<StepId>>,
    /// What one run does on one upstream.
    runs: BTreeMap<(Name, RunId), RunLane>,
    /// Number of the last admission on each lane, and on each upstream as a whole.
    last: BTreeMap<LaneKey, u64>,
    last_of_all: BTreeMap<(Name, Name), u64>,
    admissions: u64,
    /// Steps admitted up to here count as overtaken.
    floor: u64,
}

#[derive(Default)]
struct RunLane {
    /// Unknown steps, and whether their lane is declared.
    unknown: BTreeMap<StepId, bool>,
    waiting: BTreeSet<StepId>,
}

impl Lanes {
    /// Joins a declared lane; true when it is this step's turn.
    pub(crate) fn join(&mut self, intent: &StepIntent) -> bool {
        if intent.lane.is_none() {
            return true;
        }
        let queue = self.queues.entry(key(intent)).or_default();
        if !queue.contains(&intent.step) {
            queue.push_back(intent.step);
        }
        queue.front() == Some(&intent.step)
    }

    /// Who runs on a declared lane now.
    pub(crate) fn first(&self, intent: &StepIntent) -> Option<StepId> {
        self.queues.get(&key(intent))?.front().copied()
    }

    /// Leaves everything; returns who may try to run now.
    pub(crate) fn leave(&mut self, intent: &StepIntent) -> Vec<StepId> {
        let mut freed = Vec::new();
        if intent.lane.is_some() {
            freed.extend(self.leave_queue(intent));
        }
        let key = (intent.upstream.clone(), intent.run);
        if let Some(run) = self.runs.get_mut(&key) {
            run.waiting.remove(&intent.step);
            if run.unknown.remove(&intent.step).is_some() {
                freed.extend(run.waiting.iter().copied());
            }
            if run.unknown.is_empty() && run.waiting.is_empty() {
                self.runs.remove(&key);
            }
        }
        freed
    }

    fn leave_queue(&mut self, intent: &StepIntent) -> Option<StepId> {
        let key = key(intent);
        let queue = self.queues.get_mut(&key)?;
        let was_first = queue.front() == Some(&intent.step);
        queue.retain(|one| *one != intent.step);
        let next = queue.front().copied().filter(|_| was_first);
        if queue.is_empty() {
            self.queues.remove(&key);
        }
        next
    }

    /// The unknown step of the same run that this one may not pass: one of the two acts on the whole upstream.
    pub(crate) fn blocker(&self, intent: &StepIntent) -> Option<StepId> {
        let run = self.runs.get(&(intent.upstream.clone(), intent.run))?;
        let is_in_the_way =
            |(id, declared): &(&StepId, &bool)| **id != intent.step && (!**declared || intent.lane.is_none());
        run.unknown.iter().find(is_in_the_way).map(|(id, _)| *id)
    }

    pub(crate) fn wait(&mut self, intent: &StepIntent) {
        self.runs.entry((intent.upstream.clone(), intent.run)).or_default().waiting.insert(intent.step);
    }

    pub(crate) fn stop_waiting(&mut self, intent: &StepIntent) {
        if let Some(run) = self.runs.get_mut(&(intent.upstream.clone(), intent.run)) {
            run.waiting.remove(&intent.step);
        }
    }

    pub(crate) fn became_unknown(&mut self, intent: &StepIntent) {
        if intent.lane.is_none() && !intent.effect_source.is_declared() {
            return;
        }
        let run = self.runs.entry((intent.upstream.clone(), intent.run)).or_default();
        run.unknown.insert(intent.step, intent.lane.is_some());
    }

    /// Counts an admission and returns its number.
    pub(crate) fn admit(&mut self, intent: &StepIntent) -> u64 {
        if self.last.len() >= REMEMBERED_MAX {
            self.last.clear();
            self.last_of_all.clear();
            self.floor = self.admissions;
        }
        self.admissions += 1;
        self.last.insert(key(intent), self.admissions);
        self.last_of_all.insert((intent.tenant.clone(), intent.upstream.clone()), self.admissions);
        self.admissions
    }

    /// Was anything admitted on its lane after it? Then a copy of it could overwrite what came later.
    pub(crate) fn is_overtaken(&self, intent: &StepIntent, admission: u64) -> bool {
        let later = |last: Option<&u64>| last.is_some_and(|last| *last > admission);
        let upstream = (intent.tenant.clone(), intent.upstream.clone());
        if admission < self.floor {
            return true;
        }
        if intent.lane.is_none() {
            return later(self.last_of_all.get(&upstream));
        }
        later(self.last.get(&key(intent))) || later(self.last.get(&(upstream.0, upstream.1, None)))
    }
}

fn key(intent: &StepIntent) -> LaneKey {
    (intent.tenant.clone(), intent.upstream.clone(), intent.lane.clone())
}
