//! Three records that were written independently, held against each other.

use super::Transcript;
use super::account::{Account, Broken, Promise};
use super::crew::{Belief, Told};
use super::records::{DONE, Recorded, Settled};
use std::collections::{BTreeMap, BTreeSet};
use testkit::ledger::Entry;
use vocab::{Outcome, State};

/// The effect of these may be had again without harm; a key makes it one for `pay`.
const REPEATABLE: [&str; 1] = ["set"];

pub(super) fn hold(told: &Transcript, entries: &[Entry], steps: &BTreeMap<String, Vec<Recorded>>) -> Account {
    let mut effects: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        *effects.entry(entry.intent.as_deref().unwrap_or_default()).or_default() += 1;
    }
    let mut account = Account { rounds: 1, effects: entries.len(), ..Account::default() };
    for one in told {
        let had = effects.get(one.intent.as_str()).copied().unwrap_or(0);
        let recorded = steps.get(&one.intent).map(Vec::as_slice).unwrap_or_default();
        take_down(&mut account, one, had, recorded);
        for promise in broken(one, had, recorded) {
            let case = format!("{one:?}, {had} effects, in the journal {recorded:?}");
            account.broken.push(Broken { promise, case });
        }
    }
    let meant: BTreeSet<&str> = told.iter().map(|one| one.intent.as_str()).collect();
    for intent in effects.keys().filter(|intent| !meant.contains(*intent)) {
        account.broken.push(Broken { promise: Promise::Meant, case: format!("{intent:?}") });
    }
    account
}

fn take_down(account: &mut Account, one: &Told, had: usize, recorded: &[Recorded]) {
    account.reissued += one.calls.saturating_sub(1);
    let mut is_struck = one.calls > 1;
    let line = account.tools.entry(one.tool).or_default();
    line.intents += 1;
    line.effects[had.min(2)] += 1;
    line.told[one.belief as usize] += 1;
    line.ends[end(recorded)] += 1;
    for struck in recorded.iter().filter_map(|step| step.struck.as_ref()) {
        is_struck = true;
        line.struck[struck.settled as usize] += 1;
        if !matches!(struck.settled, Settled::Unsent | Settled::Waits | Settled::Open) {
            line.took.push(struck.took);
        }
    }
    if is_struck {
        account.waits.push(one.took);
    }
}

/// What the journal says in the end: a step that was done counts before others of the same intent.
fn end(recorded: &[Recorded]) -> usize {
    let is_done = |step: &&Recorded| step.outcome.is_some_and(|outcome| DONE.contains(&outcome));
    let Some(step) = recorded.iter().find(is_done).or(recorded.last()) else { return 5 };
    match (step.state, step.outcome) {
        (State::Closed, Some(outcome)) if DONE.contains(&outcome) => 0,
        (State::Closed, Some(Outcome::Failed | Outcome::Diverged)) => 2,
        (State::Closed, _) => 1,
        (State::NeedsHuman, _) => 3,
        _ => 4,
    }
}

fn broken(one: &Told, had: usize, recorded: &[Recorded]) -> Vec<Promise> {
    let mut broken = Vec::new();
    let mut holds = |holds: bool, promise| {
        if !holds {
            broken.push(promise);
        }
    };
    holds(had <= 1 || REPEATABLE.contains(&one.tool), Promise::Once);
    holds(one.belief != Belief::Yes || had > 0, Promise::Yes);
    holds(one.belief != Belief::No || had == 0, Promise::No);
    holds(is_recorded(one, had, recorded), Promise::Recorded);
    broken
}

/// An effect has a step. Told yes: a closed one says so. Told no: none says yes.
fn is_recorded(one: &Told, had: usize, recorded: &[Recorded]) -> bool {
    let is_done =
        |step: &Recorded| step.state == State::Closed && step.outcome.is_some_and(|outcome| DONE.contains(&outcome));
    let fits = match one.belief {
        Belief::Yes => recorded.iter().any(is_done),
        Belief::No => !recorded.iter().any(is_done),
        Belief::Unknown => !recorded.is_empty(),
        Belief::Nothing => true,
    };
    fits && (had == 0 || !recorded.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;
    use testkit::Ledger;

    /// What is broken for one intent: had so often, told this, recorded so.
    fn broken(tool: &'static str, had: usize, belief: Belief, steps: &[Recorded]) -> Vec<Promise> {
        let args = json!({ "intent": "i" });
        let mut ledger = Ledger::in_memory();
        for _ in 0..had {
            ledger.append(tool, args.as_object().expect("an object"), None).expect("memory");
        }
        let took = Duration::ZERO;
        let told = vec![Told { intent: "i".into(), tool, calls: 1, belief, took, heard: Vec::new() }];
        let steps = [("i".to_owned(), steps.to_vec())].into();
        hold(&told, ledger.entries(), &steps).broken.into_iter().map(|broken| broken.promise).collect()
    }

    const fn step(state: State, outcome: Outcome) -> Recorded {
        Recorded { state, outcome: Some(outcome), struck: None }
    }

    const DONE: Recorded = step(State::Closed, Outcome::Succeeded);
    const UNKNOWN: Recorded = step(State::Resolving, Outcome::Unknown);
    const NOT: Recorded = step(State::Closed, Outcome::NotExecuted);

    #[test]
    fn what_is_well_is_not_found_fault_with() {
        assert_eq!(broken("append", 1, Belief::Yes, &[DONE]), []);
        assert_eq!(broken("append", 0, Belief::No, &[NOT]), []);
        assert_eq!(broken("append", 1, Belief::Unknown, &[UNKNOWN]), []);
        assert_eq!(broken("append", 0, Belief::Nothing, &[]), []);
        assert_eq!(broken("set", 2, Belief::Yes, &[DONE]), [], "an absolute write may be had again");
    }

    #[test]
    fn every_broken_promise_is_found() {
        assert_eq!(broken("append", 2, Belief::Yes, &[DONE]), [Promise::Once]);
        assert_eq!(broken("append", 0, Belief::Yes, &[DONE]), [Promise::Yes]);
        assert_eq!(broken("append", 1, Belief::No, &[NOT]), [Promise::No]);
        assert_eq!(broken("append", 1, Belief::Yes, &[UNKNOWN]), [Promise::Recorded]);
        assert_eq!(broken("append", 0, Belief::No, &[DONE]), [Promise::Recorded]);
        assert_eq!(broken("append", 0, Belief::Unknown, &[]), [Promise::Recorded]);
        assert_eq!(broken("append", 1, Belief::Nothing, &[]), [Promise::Recorded], "an effect without a step");
        assert_eq!(broken("pay", 0, Belief::Yes, &[]), [Promise::Yes, Promise::Recorded]);
    }

    #[test]
    fn an_effect_that_nobody_meant_is_found() {
        let mut ledger = Ledger::in_memory();
        ledger.append("append", json!({ "intent": "j" }).as_object().expect("an object"), None).expect("memory");
        let account = hold(&Vec::new(), ledger.entries(), &BTreeMap::new());
        assert_eq!(account.broken[0].promise, Promise::Meant);
    }

    #[test]
    fn an_intent_that_took_two_steps_ended_as_the_one_that_was_done() {
        assert_eq!(end(&[NOT, DONE]), 0);
        assert_eq!(end(&[DONE, NOT]), 0);
        assert_eq!(end(&[NOT, UNKNOWN]), 4);
        assert_eq!(end(&[]), 5);
    }
}
