//! Everything that only reads. Point reads where a call waits for the answer; bounded scans for people.

use super::entry::{self, ENTRY, Entry};
use super::log;
use super::lookup::{self, Known};
use super::recent::{self, Memory};
use crate::memory::store::{bare, matches, summary};
use crate::twins;
use crate::{Filter, Recall, Recalled, RunSummary, reads};
use parking_lot::RwLock;
use rusqlite::{Connection, Params, Result, params};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use vocab::{Instant, Outcome, ReadNote, RunId, State, StepId, StepRow, Verification};

const OPEN: &str = "state < 100 ORDER BY created_at";

/// Rows that one list for people may look at, however its filter reads.
const SCAN_MAX: usize = 500_000;
/// Batches of reads that one list may unpack: a day at one a second.
const BATCHES_MAX: usize = 100_000;
/// Rows in one list.
const LIST_MAX: usize = 10_000;

/// Plans of everything that runs at a start and on the path of a call, where they do not look up.
pub(super) fn scans(db: &Connection) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let open = format!("SELECT {ENTRY} FROM step WHERE {OPEN}");
    let queries = [
        super::guard::ONE,
        super::guard::NEWEST,
        entry::FOUND,
        entry::AT,
        &open,
        log::EVENTS,
        log::WALKED,
        recent::TAIL,
        super::retain::DUE,
        super::LAST_LSN,
    ];
    for sql in queries {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let nothing = vec![rusqlite::types::Null; statement.parameter_count()];
        let rows = statement.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3))?;
        for step in rows {
            let step = step?;
            // An index that holds only what is open, or one end of an index, is a look-up by another name.
            let looks_up = step.starts_with("SEARCH")
                || step.contains("step_open")
                || step == "SCAN CONSTANT ROW"
                || !step.starts_with("SCAN");
            if !looks_up || step.contains("TEMP B-TREE") {
                found.push(format!("{step}: {sql}"));
            }
        }
    }
    Ok(found)
}

//= S-09
//= G5
pub(super) fn recall(db: &Connection, known: &impl Known, query: &Recall) -> Result<Recalled> {
    let by_key = lookup::by_key(db, known, query.key)?;
    let by_content = match query.content.filter(|_| !by_key.as_ref().is_some_and(twins::decides)) {
        Some(content) => lookup::by_content(db, known, content)?,
        None => None,
    };
    Ok(Recalled { by_key, by_content })
}

/// All that is in memory at one moment, and those of it that are wanted. A list takes from the tables, which are read
/// after that, what was not in memory then: settling may go on meanwhile, and each step is told of once.
fn recent(memory: &RwLock<Memory>, wanted: impl Fn(&Entry) -> bool) -> (HashSet<i64>, Vec<Entry>) {
    let memory = memory.read();
    let all = memory.entries().map(|entry| entry.seq).collect();
    (all, memory.entries().filter(|entry| wanted(entry)).cloned().collect())
}

pub(super) fn open_steps(db: &Connection, memory: &RwLock<Memory>) -> Result<Vec<StepRow>> {
    let (recent, mut entries) = recent(memory, |entry| entry.state.is_open());
    let mut statement = db.prepare_cached(&format!("SELECT {ENTRY} FROM step WHERE {OPEN}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let entry = entry::entry(row)?;
        if !recent.contains(&entry.seq) {
            entries.push(entry);
        }
    }
    let mut steps = entries.iter().map(|entry| lookup::whole(db, entry)).collect::<Result<Vec<_>>>()?;
    steps.sort_by_key(|row| row.intent.created_at);
    Ok(steps)
}

pub(super) fn step(db: &Connection, known: &impl Known, id: StepId) -> Result<Option<StepRow>> {
    match lookup::by_id(db, known, id)? {
        Some(entry) => lookup::whole(db, &entry).map(Some),
        None => read_by_id(db, id),
    }
}

/// A read is found by the time in its id: its note was packed soon after.
fn read_by_id(db: &Connection, id: StepId) -> Result<Option<StepRow>> {
    let mut millis = [0_u8; 8];
    millis[2..].copy_from_slice(&id.0[..6]);
    let made = Instant::from_micros(u64::from_be_bytes(millis).saturating_mul(1_000));
    let (from, until) = (made - Duration::from_secs(60), made + Duration::from_secs(900));
    let mut found = None;
    let range = params![log::micros(from), log::micros(until)];
    batches(db, "WHERE max_at >= ?1 AND min_at <= ?2 ORDER BY max_at LIMIT 1000", range, None, |notes| {
        found = notes.iter().find(|note| note.step == id).map(reads::row);
        found.is_none()
    })?;
    Ok(found)
}

/// Unpacks batches until `each` says enough.
fn batches(
    db: &Connection,
    rest: &str,
    params: impl Params,
    run: Option<RunId>,
    mut each: impl FnMut(&[ReadNote]) -> bool,
) -> Result<()> {
    let mut statement = db.prepare_cached(&format!("SELECT notes FROM read_batch {rest}"))?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        let packed = row.get_ref(0)?;
        let notes = reads::unpack(packed.as_blob()?, run).map_err(|error| log::damaged(error.to_string()))?;
        if !each(&notes) {
            break;
        }
    }
    Ok(())
}

pub(super) fn steps(db: &Connection, memory: &RwLock<Memory>, filter: &Filter) -> Result<Vec<StepRow>> {
    let limit = filter.limit.min(LIST_MAX);
    let wanted = |entry: &Entry| {
        filter.run.is_none_or(|run| run == entry.run)
            && filter.upstream.as_deref().is_none_or(|upstream| *upstream == *entry.upstream)
            && filter.state.is_none_or(|state| state == entry.state)
    };
    let (recent, mut entries) = recent(memory, wanted);
    let mut more = limit;
    // The narrowest index there is; what it does not cover is filtered row by row.
    let rest = match (filter.run, filter.state) {
        (Some(_), _) => "run_id = ?1 ORDER BY seq DESC",
        (None, Some(state)) if state.is_open() => "?1 IS NULL AND state < 100 ORDER BY created_at DESC",
        _ => "?1 IS NULL ORDER BY seq DESC",
    };
    let mut statement = db.prepare_cached(&format!("SELECT {ENTRY} FROM step WHERE {rest}"))?;
    let mut rows = statement.query([filter.run.map(|run| run.0)])?;
    for _ in 0..SCAN_MAX {
        let Some(row) = rows.next()?.filter(|_| more > 0) else { break };
        let entry = entry::entry(row)?;
        if wanted(&entry) && !recent.contains(&entry.seq) {
            entries.push(entry);
            more -= 1;
        }
    }
    entries.sort_by_key(|entry| Reverse(entry.seq));
    entries.truncate(limit);
    let mut found = entries.iter().map(|entry| lookup::whole(db, entry).map(bare)).collect::<Result<Vec<_>>>()?;
    if filter.reads {
        let mut notes = Vec::new();
        let newest = format!("ORDER BY id DESC LIMIT {BATCHES_MAX}");
        batches(db, &newest, [], filter.run, |batch| {
            notes.extend(batch.iter().rev().map(reads::row).filter(|row| matches(filter, row)));
            notes.len() < limit
        })?;
        found.append(&mut notes);
        found.sort_by_key(|row| Reverse(row.intent.created_at));
        found.truncate(limit);
    }
    Ok(found)
}

/// Steps from behind a place on, in the order in which they came, with their places.
pub(super) fn page(db: &Connection, memory: &RwLock<Memory>, after: i64, limit: usize) -> Result<Vec<(i64, StepId)>> {
    let (_, entries) = recent(memory, |entry| entry.seq > after);
    let mut found: BTreeMap<_, _> = entries.into_iter().map(|entry| (entry.seq, entry.step)).collect();
    let mut statement = db.prepare_cached("SELECT seq, step_id FROM step WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query([after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        found.insert(row.get(0)?, StepId(row.get(1)?));
    }
    Ok(found.into_iter().take(limit).collect())
}

pub(super) fn runs(db: &Connection, memory: &RwLock<Memory>, limit: usize) -> Result<Vec<RunSummary>> {
    let limit = limit.min(LIST_MAX);
    let mut runs = HashMap::new();
    batches(db, &format!("ORDER BY id DESC LIMIT {BATCHES_MAX}"), [], None, |notes| {
        for note in notes {
            summary(&mut runs, note.run, &note.principal, note.at, note.at).reads += 1;
        }
        true
    })?;
    for run in recent_runs(db, memory, limit)? {
        add_run(db, memory, run, &mut runs)?;
    }
    // Runs that only read lately may have older mutations.
    let mut newest: Vec<_> = runs.values().map(|run| (run.last_at, run.run, run.mutations)).collect();
    newest.sort_unstable_by(|a, b| b.cmp(a));
    for (_, run, mutations) in newest.iter().take(limit) {
        if *mutations == 0 {
            add_run(db, memory, *run, &mut runs)?;
        }
    }
    let mut runs: Vec<_> = runs.into_values().collect();
    runs.sort_by_key(|run| Reverse(run.last_at));
    runs.truncate(limit);
    Ok(runs)
}

/// The runs of the latest steps.
fn recent_runs(db: &Connection, memory: &RwLock<Memory>, limit: usize) -> Result<Vec<RunId>> {
    let mut recent: Vec<_> = memory.read().entries().map(|entry| (entry.seq, entry.run)).collect();
    recent.sort_unstable_by_key(|(seq, _)| Reverse(*seq));
    let mut seen = HashSet::new();
    let mut runs: Vec<_> = recent.into_iter().map(|(_, run)| run).filter(|run| seen.insert(*run)).take(limit).collect();
    let mut statement = db.prepare_cached("SELECT run_id FROM step ORDER BY seq DESC")?;
    let mut rows = statement.query([])?;
    for _ in 0..SCAN_MAX {
        if runs.len() == limit {
            break;
        }
        let Some(row) = rows.next()? else { break };
        let run = RunId(row.get(0)?);
        if seen.insert(run) {
            runs.push(run);
        }
    }
    Ok(runs)
}

fn add_run(db: &Connection, memory: &RwLock<Memory>, run: RunId, runs: &mut HashMap<RunId, RunSummary>) -> Result<()> {
    let (recent, entries) = recent(memory, |entry| entry.run == run);
    for entry in &entries {
        add_step(runs, entry);
    }
    let mut statement = db.prepare_cached(&format!("SELECT {ENTRY} FROM step WHERE run_id = ?1"))?;
    let mut rows = statement.query([run.0])?;
    while let Some(row) = rows.next()? {
        let entry = entry::entry(row)?;
        if !recent.contains(&entry.seq) {
            add_step(runs, &entry);
        }
    }
    Ok(())
}

fn add_step(runs: &mut HashMap<RunId, RunSummary>, entry: &Entry) {
    let summary = summary(runs, entry.run, &entry.principal, entry.created_at, entry.last_at);
    if entry.effect.is_mutation() {
        summary.mutations += 1;
    } else {
        summary.reads += 1;
    }
    summary.open += u64::from(entry.state.is_open());
    let unknown =
        entry.outcome == Some(Outcome::Unknown) || matches!(entry.state, State::Resolving | State::NeedsHuman);
    summary.unknown += u64::from(unknown);
    summary.unverified += u64::from(matches!(entry.verification, Verification::Unverified(_)));
}
