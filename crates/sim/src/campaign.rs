//! Many worlds: seeds in a row on every core, their counts added up, and the first failure kept.

use crate::names::{Fault, Invariant, Reached};
use crate::plan::Plan;
use crate::world::{Outcome, Stage};
use anyhow::{Result, anyhow};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a campaign runs.
#[derive(Clone, Debug)]
pub struct Campaign {
    pub from: u64,
    /// Ends after as many seeds, or earlier by `steps` or `time`.
    pub seeds: u64,
    pub steps: u64,
    pub time: Duration,
    /// One seed in so many runs twice, and both traces must be the same.
    pub twice: u64,
    pub threads: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub seeds: u64,
    /// Events of all runs, second ones counted.
    pub steps: u64,
    pub calls: u64,
    pub virtual_micros: u64,
    pub twice: u64,
    pub took: Duration,
    pub faults: BTreeMap<Fault, u64>,
    pub reached: BTreeMap<Reached, u64>,
    pub checked: BTreeMap<Invariant, u64>,
    /// The plan that failed with the lowest seed, and how.
    pub failure: Option<(Plan, crate::Violation)>,
}

impl Summary {
    fn add(&mut self, outcome: &Outcome) {
        self.steps += outcome.steps;
        self.calls += outcome.calls;
        self.virtual_micros += outcome.micros;
        sum(&mut self.faults, &outcome.faults);
        sum(&mut self.reached, &outcome.reached);
        sum(&mut self.checked, &outcome.checked);
    }

    fn join(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.calls += other.calls;
        self.virtual_micros += other.virtual_micros;
        self.twice += other.twice;
        sum(&mut self.faults, &other.faults);
        sum(&mut self.reached, &other.reached);
        sum(&mut self.checked, &other.checked);
        let earlier = |(ours, _): &(Plan, _)| other.failure.as_ref().is_none_or(|(theirs, _)| ours.seed < theirs.seed);
        if !self.failure.as_ref().is_some_and(earlier) {
            self.failure = other.failure.or(self.failure.take());
        }
    }
}

fn sum<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (name, count) in from {
        *into.entry(*name).or_insert(0) += count;
    }
}

/// Runs one world, twice where that is asked for: I14 is that both traces are the same.
pub fn world(stage: &Stage, plan: &Plan, twice: bool) -> (Outcome, Option<Outcome>) {
    let mut first = stage.run(plan, false);
    if !twice {
        return (first, None);
    }
    let second = stage.run(plan, false);
    *first.checked.entry(Invariant::I14).or_insert(0) += 1;
    if first.hash != second.hash && first.violation.is_none() {
        let part = first.checkpoints.iter().zip(&second.checkpoints).position(|(one, other)| one != other);
        let what = format!("two runs differ ({} and {} events), first in part {part:?}", first.steps, second.steps);
        first.violation = Some(crate::Violation { invariant: Invariant::I14, what });
    }
    (first, Some(second))
}

impl Campaign {
    /// # Errors
    /// The worlds cannot be set up.
    pub fn run(&self) -> Result<Summary> {
        let begun = Instant::now();
        let (next, steps, stop) = (AtomicU64::new(self.from), AtomicU64::new(0), AtomicBool::new(false));
        let work = || -> Result<Summary> {
            let stage = Stage::new()?;
            let mut summary = Summary::default();
            while !stop.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                let enough = seed >= self.from.saturating_add(self.seeds)
                    || steps.load(Ordering::Relaxed) >= self.steps
                    || begun.elapsed() >= self.time;
                if enough {
                    break;
                }
                let plan = Plan::of(seed);
                let twice = self.twice > 0 && seed.is_multiple_of(self.twice);
                let (outcome, second) = world(&stage, &plan, twice);
                summary.seeds += 1;
                summary.add(&outcome);
                if let Some(second) = &second {
                    summary.twice += 1;
                    summary.steps += second.steps;
                }
                let ran = outcome.steps + second.map_or(0, |second| second.steps);
                steps.fetch_add(ran, Ordering::Relaxed);
                if let Some(violation) = outcome.violation {
                    summary.failure = Some((plan, violation));
                    stop.store(true, Ordering::Relaxed);
                }
            }
            Ok(summary)
        };
        let mut all = Summary::default();
        std::thread::scope(|scope| -> Result<()> {
            let workers: Vec<_> = (0..self.threads.max(1)).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                all.join(worker.join().map_err(|_| anyhow!("a worker of the campaign panicked"))??);
            }
            Ok(())
        })?;
        all.took = begun.elapsed();
        Ok(all)
    }
}
