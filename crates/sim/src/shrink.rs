//! From a plan that fails to a smaller one that fails by the same invariant: fewer faults, then agents, then wishes.

use crate::campaign::world;
use crate::names::Invariant;
use crate::plan::Plan;
use crate::world::Stage;

/// Runs that shrinking may take.
const RUNS_MAX: usize = 400;

pub fn shrink(stage: &Stage, plan: &Plan, invariant: Invariant) -> Plan {
    let mut runs = 0;
    let mut fails = |plan: &Plan| {
        runs += 1;
        let twice = invariant == Invariant::I14;
        runs <= RUNS_MAX && world(stage, plan, twice).0.violation.is_some_and(|found| found.invariant == invariant)
    };
    let mut best = plan.clone();
    // Halves of the faults first, then each alone.
    let mut size = best.faults.len().div_ceil(2);
    while size > 0 {
        let names: Vec<_> = best.faults.keys().copied().collect();
        for part in names.chunks(size) {
            let mut smaller = best.clone();
            smaller.faults.retain(|fault, _| !part.contains(fault));
            if smaller != best && fails(&smaller) {
                best = smaller;
            }
        }
        size /= 2;
    }
    for number in plan.agents.iter().map(|agent| agent.number) {
        let mut smaller = best.clone();
        smaller.agents.retain(|agent| agent.number != number);
        if smaller != best && !smaller.agents.is_empty() && fails(&smaller) {
            best = smaller;
        }
    }
    for at in 0..best.agents.len() {
        while best.agents[at].wishes > 1 {
            let mut smaller = best.clone();
            smaller.agents[at].wishes -= 1;
            if !fails(&smaller) {
                break;
            }
            best = smaller;
        }
    }
    best
}
