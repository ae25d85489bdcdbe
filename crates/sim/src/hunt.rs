//! How long it takes to find each planted bug.

use crate::campaign::world;
use crate::plan::Plan;
use crate::report::Found;
use crate::world::Stage;
use anyhow::{Result, anyhow};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use vocab::planted::{self, Planted};

/// Seeds between two starts, so that no two share any.
const APART: u64 = 1_000_000;

/// Plants one bug and looks for it from `starts` different seeds, `bound` seeds each.
///
/// # Errors
/// The worlds cannot be set up.
pub fn hunt(bug: Planted, starts: u64, bound: u64, threads: usize) -> Result<Found> {
    planted::choose(Some(bug));
    let next = AtomicU64::new(0);
    let work = || -> Result<Vec<Option<(u64, u64, &'static str)>>> {
        let stage = Stage::new()?;
        let mut found = Vec::new();
        loop {
            let start = next.fetch_add(1, Ordering::Relaxed);
            if start >= starts {
                return Ok(found);
            }
            let begun = Instant::now();
            let hit = (0..bound).find_map(|at| {
                // Every seed runs twice: an order that depends on addresses shows in nothing else.
                let (outcome, _) = world(&stage, &Plan::of(start * APART + at), bug == Planted::OrderByAddress);
                let violation = outcome.violation?;
                let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                Some((at + 1, millis, violation.invariant.as_str()))
            });
            found.push(hit);
        }
    };
    let mut all = Vec::new();
    std::thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow!("a worker panicked"))??);
        }
        Ok(())
    })?;
    planted::choose(None);
    let mut by = BTreeMap::new();
    let hits: Vec<_> = all.iter().flatten().collect();
    for (_, _, invariant) in &hits {
        *by.entry((*invariant).to_owned()).or_insert(0) += 1;
    }
    Ok(Found {
        bug: bug.as_str().trim_start_matches("planted_bug:").to_owned(),
        seeds: hits.iter().map(|hit| hit.0).collect(),
        millis: hits.iter().map(|hit| hit.1).collect(),
        by,
        missed: (all.len() - hits.len()) as u64,
    })
}
