//! Three records that were written independently, held against each other.

use super::Transcript;
use super::crew::{Belief, Told};
use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use testkit::ledger::Entry;

/// What the audit found; without a finding all is well.
#[derive(Debug, Default)]
pub struct Findings {
    pub kills: usize,
    pub intents: usize,
    /// Of them, told yes, told no, left open.
    pub told: [usize; 3],
    /// Effects in the ledger.
    pub effects: usize,
    /// Calls beyond the first of an intent.
    pub reissued: usize,
    /// Each breaks a promise.
    pub broken: Vec<String>,
}

/// State and outcome, as they are stored.
type Step = (i64, Option<i64>);

/// The stored numbers of outcomes that say "it was done".
const DONE: [i64; 2] = [1, 6];
const CLOSED: i64 = 100;
/// A body's id is the step's number times four; its arguments come first.
const STEPS: &str = "SELECT step.state, step.outcome, body.bytes FROM step JOIN body ON body.id = step.seq * 4";
/// The effect of these may be had again without harm; a key makes it one for `pay`.
const REPEATABLE: [&str; 1] = ["set"];

pub(super) fn hold(told: &Transcript, entries: &[Entry], journal: &Path) -> Result<Findings> {
    let steps = steps(journal)?;
    let mut effects: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        *effects.entry(entry.intent.as_deref().unwrap_or_default()).or_default() += 1;
    }
    let mut findings = Findings { intents: told.len(), effects: entries.len(), ..Findings::default() };
    for one in told {
        let had = effects.get(one.intent.as_str()).copied().unwrap_or(0);
        findings.reissued += one.calls.saturating_sub(1);
        findings.told[one.belief as usize] += 1;
        let mut broken = |what: &str| {
            findings
                .broken
                .push(format!("{what}: {one:?}, {had} effects, in the journal {:?}", steps.get(&one.intent)));
        };
        if had > 1 && !REPEATABLE.contains(&one.tool) {
            broken("an effect was had twice");
        }
        if one.belief == Belief::Yes && had == 0 {
            broken("told yes, and it is not there");
        }
        if one.belief == Belief::No && had > 0 {
            broken("told no, and it is there");
        }
        if !is_recorded(one, steps.get(&one.intent)) {
            broken("the journal does not hold what was told");
        }
    }
    for (intent, _) in effects {
        if !told.iter().any(|one| one.intent == intent) {
            findings.broken.push(format!("an effect that nobody meant: {intent:?}"));
        }
    }
    Ok(findings)
}

/// Told yes: a closed step says so. Told no or nothing known: there is a step, unless no call ever got through.
fn is_recorded(one: &Told, steps: Option<&Vec<Step>>) -> bool {
    let steps = steps.map(Vec::as_slice).unwrap_or_default();
    let is_done = |(state, outcome): &Step| *state == CLOSED && outcome.is_some_and(|outcome| DONE.contains(&outcome));
    match one.belief {
        Belief::Yes => steps.iter().any(is_done),
        Belief::No => !steps.iter().any(is_done),
        Belief::Open => true,
    }
}

/// State and outcome of each step of the journal at rest, by the intent in its arguments.
fn steps(journal: &Path) -> Result<BTreeMap<String, Vec<Step>>> {
    let file = journal.join("journal.db");
    let connection = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .with_context(|| format!("open {}", file.display()))?;
    let mut steps: BTreeMap<String, Vec<_>> = BTreeMap::new();
    let mut query = connection.prepare(STEPS)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let args: Vec<u8> = row.get(2)?;
        let args: Value = serde_json::from_slice(&args).context("read the arguments of a step")?;
        let intent = args["intent"].as_str().unwrap_or_default().to_owned();
        steps.entry(intent).or_default().push((row.get(0)?, row.get(1)?));
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use testkit::Ledger;

    /// What is broken for one intent: had so often, told this, recorded so.
    fn broken(tool: &'static str, had: usize, belief: Belief, steps: &[Step]) -> Vec<String> {
        let directory = tempfile::tempdir().expect("a directory");
        let connection = Connection::open(directory.path().join("journal.db")).expect("a database");
        let tables = "CREATE TABLE step(seq INTEGER PRIMARY KEY, state INTEGER, outcome INTEGER);
                      CREATE TABLE body(id INTEGER PRIMARY KEY, bytes BLOB)";
        connection.execute_batch(tables).expect("tables");
        let args = json!({ "intent": "i" });
        for (number, (state, outcome)) in steps.iter().enumerate() {
            connection.execute("INSERT INTO step VALUES(?, ?, ?)", (number as i64, state, outcome)).expect("a step");
            let body = args.to_string().into_bytes();
            connection.execute("INSERT INTO body VALUES(?, ?)", (number as i64 * 4, body)).expect("a body");
        }
        let mut ledger = Ledger::in_memory();
        for _ in 0..had {
            ledger.append(tool, args.as_object().expect("an object"), None).expect("memory");
        }
        let told = vec![Told { intent: "i".into(), tool, calls: 1, belief, heard: Vec::new() }];
        hold(&told, ledger.entries(), directory.path()).expect("findings").broken
    }

    const DONE: Step = (CLOSED, Some(1));
    const UNKNOWN: Step = (60, Some(5));

    #[test]
    fn what_is_well_is_not_found_fault_with() {
        assert!(broken("append", 1, Belief::Yes, &[DONE]).is_empty());
        assert!(broken("append", 0, Belief::No, &[(CLOSED, Some(3))]).is_empty());
        assert!(broken("append", 1, Belief::Open, &[UNKNOWN]).is_empty());
        assert!(broken("set", 2, Belief::Yes, &[DONE]).is_empty(), "an absolute write may be had again");
    }

    #[test]
    fn every_broken_promise_is_found() {
        for (what, broken) in [
            ("twice", broken("append", 2, Belief::Yes, &[DONE])),
            ("told yes", broken("append", 0, Belief::Yes, &[DONE])),
            ("told no", broken("append", 1, Belief::No, &[])),
            ("journal", broken("append", 1, Belief::Yes, &[UNKNOWN])),
            ("journal", broken("append", 0, Belief::No, &[DONE])),
        ] {
            assert!(broken.len() == 1 && broken[0].contains(what), "{what}: {broken:?}");
        }
        assert_eq!(broken("pay", 0, Belief::Yes, &[]).len(), 2);
    }
}
