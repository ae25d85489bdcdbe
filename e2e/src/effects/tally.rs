//! Counts of one case, and sums of many.

use super::agent::{Belief, key};
use serde_json::Value;
use std::collections::BTreeMap;
use testkit::ledger::Entry;
use testkit::worlds::Scripted;

/// What one case came to.
#[derive(Clone, Debug, Default)]
pub struct Score {
    pub writes: usize,
    /// Told done, and it is.
    pub done: usize,
    pub duplicates: usize,
    pub told_not_though_applied: usize,
    pub told_done_though_not: usize,
    /// Told that it is not known, or nothing.
    pub unknown: usize,
    pub garbage: usize,
    pub kills: usize,
    /// The state is the one that what the agent believes leads to.
    pub state_right: bool,
    /// And no duplicate, and every write truthfully confirmed.
    pub is_clean: bool,
    /// Per write that is not done: what was heard of it.
    pub(super) heard: Vec<String>,
    /// Calls that were denied although applied, counted already.
    pub(super) told_not: Vec<String>,
}

impl Score {
    /// Holds what is believed against the ledger, per call of equal content: `done <= had <= done + open`.
    pub(super) fn settle(&mut self, beliefs: &[(&Scripted, Belief)], truth: &Value) {
        let entries: Vec<Entry> = serde_json::from_value(truth["ledger"].clone()).unwrap_or_default();
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for (call, belief) in beliefs {
            let group = groups.entry(key(call)).or_default();
            match belief {
                Belief::Done => group.done += 1,
                Belief::Not { .. } => group.not += 1,
                Belief::Open => group.open += 1,
            }
        }
        for (key, group) in &groups {
            let had = entries.iter().filter(|entry| entry.hash == *key).count();
            let counted = self.told_not.iter().filter(|told| *told == key).count();
            let denied = had.saturating_sub(group.done + group.open).min(group.not);
            self.told_not_though_applied += denied.saturating_sub(counted);
            self.told_done_though_not += group.done.saturating_sub(had);
            self.done += group.done.min(had);
            self.unknown += group.open;
            self.writes += group.done + group.not + group.open;
        }
    }

    pub const fn is_truthful(&self) -> bool {
        self.told_not_though_applied == 0 && self.told_done_though_not == 0
    }
}

#[derive(Default)]
struct Group {
    done: usize,
    not: usize,
    open: usize,
}

/// Sums of cases.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub tasks: usize,
    pub state_right: usize,
    pub clean: usize,
    pub sum: Score,
}

impl Tally {
    pub fn add(&mut self, score: &Score) {
        self.tasks += 1;
        self.state_right += usize::from(score.state_right);
        self.clean += usize::from(score.is_clean);
        let sum = &mut self.sum;
        for (total, one) in [
            (&mut sum.writes, score.writes),
            (&mut sum.done, score.done),
            (&mut sum.duplicates, score.duplicates),
            (&mut sum.told_not_though_applied, score.told_not_though_applied),
            (&mut sum.told_done_though_not, score.told_done_though_not),
            (&mut sum.unknown, score.unknown),
            (&mut sum.garbage, score.garbage),
            (&mut sum.kills, score.kills),
        ] {
            *total += one;
        }
    }

    /// Duplicates, lies, garbage: what must be zero through the gateway.
    pub const fn harm(&self) -> [usize; 3] {
        let sum = &self.sum;
        [sum.duplicates, sum.told_not_though_applied + sum.told_done_though_not, sum.garbage]
    }

    pub fn clean_share(&self) -> f64 {
        self.clean as f64 / self.tasks.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use testkit::Ledger;

    fn call(intent: usize) -> Scripted {
        Scripted { tool: "toggle_switch", args: json!({ "name": "red" }), is_mutation: true, intent }
    }

    fn settled(beliefs: &[Belief], had: usize) -> Score {
        let mut ledger = Ledger::in_memory();
        let calls: Vec<_> = (0..beliefs.len()).map(call).collect();
        for _ in 0..had {
            let args = calls[0].args.as_object().expect("an object");
            ledger.append("toggle_switch", args, None).expect("memory");
        }
        let mut score = Score::default();
        let beliefs: Vec<_> = calls.iter().zip(beliefs.iter().copied()).collect();
        score.settle(&beliefs, &json!({ "ledger": ledger.entries() }));
        score
    }

    const NOT: Belief = Belief::Not { excused: true };

    #[test]
    fn an_effect_that_was_denied_is_a_lie() {
        assert_eq!(settled(&[NOT], 1).told_not_though_applied, 1);
        assert_eq!(settled(&[NOT, Belief::Done], 1).told_not_though_applied, 0);
        assert_eq!(settled(&[NOT, Belief::Open], 1).told_not_though_applied, 0, "the other may have had it");
    }

    #[test]
    fn an_effect_that_was_affirmed_and_is_not_there_is_a_lie() {
        assert_eq!(settled(&[Belief::Done], 0).told_done_though_not, 1);
        let score = settled(&[Belief::Done, Belief::Done, Belief::Open], 2);
        assert_eq!((score.told_done_though_not, score.done, score.unknown), (0, 2, 1));
    }
}
