//! Tasks: calls in order, as an agent with a plan would make them, and the audit of what they left behind.

use super::{Applied, Counters, Messages, Model, Records};
use crate::ledger::{Entry, hash};
use crate::random::Random;
use crate::world::Call;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One call that the agent means to have its effect exactly once.
#[derive(Clone, Debug, PartialEq)]
pub struct Scripted {
    pub tool: &'static str,
    pub args: Value,
    pub is_mutation: bool,
    /// Names the meaning inside the harness; it never travels.
    pub intent: usize,
}

#[derive(Clone, Debug)]
pub struct Task {
    pub world: &'static str,
    pub calls: Vec<Scripted>,
}

/// What a ledger shows against a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Audit {
    /// Effects beyond those that were meant.
    pub duplicates: usize,
    /// Effects that were meant and are not there.
    pub missing: usize,
    /// The state is that of a faultless run.
    pub state_right: bool,
    /// How often the effect of each call was had: (tool and arguments, meant, had).
    pub counts: Vec<(String, usize, usize)>,
}

/// `count` calls for a world, the same for the same seed. Every third mutation of the counters repeats the one before
/// on purpose; the records are addressed by ids that do not depend on the answers.
pub fn tasks(world: &str, seed: u64, count: usize) -> Option<Task> {
    let mut random = Random::new(seed);
    let (world, calls): (_, Vec<(&'static str, Value)>) = match world {
        Records::NAME => (Records::NAME, records(&mut random, seed, count)),
        Counters::NAME => (Counters::NAME, counters(&mut random, count)),
        Messages::NAME => (Messages::NAME, messages(&mut random, seed, count)),
        _ => return None,
    };
    let reads = ["get_ticket", "list_tickets", "get_counter", "get_switch", "list_messages", "list_payments"];
    let calls = calls
        .into_iter()
        .enumerate()
        .map(|(intent, (tool, args))| Scripted { tool, args, is_mutation: !reads.contains(&tool), intent })
        .collect();
    Some(Task { world, calls })
}

const OWNERS: [&str; 3] = ["ana", "ben", "cho"];

fn records(random: &mut Random, seed: u64, count: usize) -> Vec<(&'static str, Value)> {
    let mut made = 0;
    (0..count)
        .map(|index| match random.below(5) {
            _ if made == 0 => {
                made += 1;
                ("create_ticket", json!({ "title": format!("case {seed}-{index}"), "owner": OWNERS[random.below(3)] }))
            }
            0 | 1 => {
                made += 1;
                ("create_ticket", json!({ "title": format!("case {seed}-{index}"), "owner": OWNERS[random.below(3)] }))
            }
            2 => {
                let state = ["open", "waiting", "done"][random.below(3)];
                ("update_ticket", json!({ "ticket_id": format!("T-{}", 1 + random.below(made)), "state": state }))
            }
            3 => {
                let owner = OWNERS[random.below(3)];
                ("update_ticket", json!({ "ticket_id": format!("T-{}", 1 + random.below(made)), "owner": owner }))
            }
            _ => ("list_tickets", json!({})),
        })
        .collect()
}

fn counters(random: &mut Random, count: usize) -> Vec<(&'static str, Value)> {
    let mut calls: Vec<(&'static str, Value)> = Vec::with_capacity(count);
    for index in 0..count {
        let name = ["red", "green", "blue"][random.below(3)];
        let last = calls.last().filter(|(tool, _)| !tool.starts_with("get_")).cloned();
        calls.push(match (index % 3, last) {
            (2, Some(last)) => last,
            _ => match random.below(5) {
                0 | 1 => ("increment_counter", json!({ "name": name, "by": 1 + random.below(3) })),
                2 => ("toggle_switch", json!({ "name": name })),
                3 => ("set_switch", json!({ "name": name, "on": random.below(2) == 0 })),
                _ => ("get_counter", json!({ "name": name })),
            },
        });
    }
    calls
}

fn messages(random: &mut Random, seed: u64, count: usize) -> Vec<(&'static str, Value)> {
    (0..count)
        .map(|index| {
            let to = OWNERS[random.below(3)];
            match random.below(4) {
                0 | 1 => ("send_message", json!({ "to": to, "text": format!("note {seed}-{index}") })),
                2 => (
                    "pay",
                    json!({ "to": to, "amount": 1 + random.below(90), "reference": format!("r{seed}-{index}") }),
                ),
                _ => ("list_payments", json!({ "to": to })),
            }
        })
        .collect()
}

/// Compares what a world holds (`World::truth`) with what the first `done` calls of the task should have left. Calls
/// that the agent knows to have failed are named in `without` by their intent.
pub fn audit(task: &Task, done: usize, without: &[usize], truth: &Value) -> Audit {
    let meant: Vec<_> =
        task.calls.iter().take(done).filter(|call| call.is_mutation && !without.contains(&call.intent)).collect();
    let mut counts: BTreeMap<String, (String, usize, usize)> = BTreeMap::new();
    for call in &meant {
        let name = || format!("{} {}", call.tool, call.args);
        counts.entry(hash(call.tool, members(&call.args))).or_insert_with(|| (name(), 0, 0)).1 += 1;
    }
    let entries: Vec<Entry> = serde_json::from_value(truth["ledger"].clone()).unwrap_or_default();
    for entry in &entries {
        let name = || format!("{} {}", entry.tool, Value::Object(entry.args.clone()));
        counts.entry(entry.hash.clone()).or_insert_with(|| (name(), 0, 0)).2 += 1;
    }
    let expected = match task.world {
        Records::NAME => replay::<Records>(&meant),
        Counters::NAME => replay::<Counters>(&meant),
        _ => replay::<Messages>(&meant),
    };
    Audit {
        duplicates: counts.values().map(|(_, meant, had)| had.saturating_sub(*meant)).sum(),
        missing: counts.values().map(|(_, meant, had)| meant.saturating_sub(*had)).sum(),
        state_right: expected == truth["state"],
        counts: counts.into_values().collect(),
    }
}

fn replay<M: Model>(meant: &[&Scripted]) -> Value {
    let mut model = M::default();
    let mut number = 1;
    for call in meant {
        let call = Call { tool: call.tool, args: members(&call.args), key: None, stale: false };
        if let Ok(Applied { is_effect: true, .. }) = model.apply(&call, number) {
            number += 1;
        }
    }
    model.state()
}

fn members(args: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    args.as_object().unwrap_or(&NONE)
}
