//! Everything that only reads. Point reads where a call waits for the answer; bounded scans for people.

use super::fault::read_error;
use super::rows::{EVENT, bare, event, step as step_row, twin, whole};
use crate::memory::store::{matches, summary};
use crate::{Error, Filter, Recall, Recalled, RunSummary, StoredEvent, reads};
use rusqlite::{Connection, OptionalExtension, Params, Result, params};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;
use vocab::{Instant, ReadNote, RunId, StepId, StepRow};

/// Rows that one list for people may look at, however its filter reads.
const SCAN_MAX: usize = 500_000;
/// Batches of reads that one list may unpack: a day at one a second.
const BATCHES_MAX: usize = 100_000;
/// Rows in one list.
const LIST_MAX: usize = 10_000;

// Each is run on the path of a call; a test asserts that none of them scans.
pub(super) static BY_KEY: LazyLock<String> = LazyLock::new(|| whole("WHERE key = ?1 ORDER BY generation DESC LIMIT 1"));
pub(super) static BY_CONTENT: LazyLock<String> = LazyLock::new(|| {
    whole("WHERE twin = ?1 AND scope = ?2 AND content = ?3 AND created_at >= ?4 ORDER BY created_at DESC LIMIT 1")
});
pub(super) static BY_ID: LazyLock<String> = LazyLock::new(|| whole("WHERE step_id = ?1"));
pub(super) static OPEN: LazyLock<String> = LazyLock::new(|| whole("WHERE state < 100 ORDER BY created_at"));
pub(super) static EVENTS: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {EVENT} FROM event WHERE step_id = ?1 ORDER BY lsn"));

/// Plans of everything that runs at a start and on the path of a call, where they do not look up.
pub(super) fn scans(db: &Connection) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let events = format!("SELECT {EVENT} FROM event WHERE lsn > 7 ORDER BY lsn LIMIT 9");
    let queries = [
        super::guard::ONE,
        super::guard::NEWEST,
        &*BY_KEY,
        &*BY_CONTENT,
        &*BY_ID,
        &*OPEN,
        &*EVENTS,
        super::retain::DUE,
        super::LAST_LSN,
        &events,
    ];
    for sql in queries {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).map_err(read_error)?;
        let nothing = vec![rusqlite::types::Null; statement.parameter_count()];
        let rows = statement
            .query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3))
            .map_err(read_error)?;
        for step in rows {
            let step = step.map_err(read_error)?;
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
pub(super) fn recall(db: &Connection, query: &Recall) -> Result<Recalled, Error> {
    let by_key = one(db, &BY_KEY, [query.key.0])?;
    // Whoever holds the key decides; what is the same besides is asked only when nobody does.
    let by_content = match query.content.filter(|_| by_key.is_none()) {
        Some((scope, content, since)) => {
            let since = super::rows::micros(since);
            one(db, &BY_CONTENT, params![twin(scope, content), scope.0, content.0, since])?
        }
        None => None,
    };
    Ok(Recalled { by_key, by_content })
}

fn one(db: &Connection, sql: &str, params: impl Params) -> Result<Option<StepRow>, Error> {
    let mut statement = db.prepare_cached(sql).map_err(read_error)?;
    statement.query_row(params, step_row).optional().map_err(read_error)
}

fn list(db: &Connection, sql: &str, params: impl Params) -> Result<Vec<StepRow>, Error> {
    let mut statement = db.prepare_cached(sql).map_err(read_error)?;
    let rows = statement.query_map(params, step_row).map_err(read_error)?;
    rows.collect::<Result<_>>().map_err(read_error)
}

pub(super) fn open_steps(db: &Connection) -> Result<Vec<StepRow>, Error> {
    list(db, &OPEN, [])
}

pub(super) fn step(db: &Connection, id: StepId) -> Result<Option<StepRow>, Error> {
    match one(db, &BY_ID, [id.0])? {
        Some(row) => Ok(Some(row)),
        None => read_by_id(db, id),
    }
}

/// A read is found by the time in its id: its note was packed soon after.
fn read_by_id(db: &Connection, id: StepId) -> Result<Option<StepRow>, Error> {
    let mut millis = [0_u8; 8];
    millis[2..].copy_from_slice(&id.0[..6]);
    let made = Instant::from_micros(u64::from_be_bytes(millis).saturating_mul(1_000));
    let (from, until) = (made - Duration::from_secs(60), made + Duration::from_secs(900));
    let mut found = None;
    let range = params![super::rows::micros(from), super::rows::micros(until)];
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
) -> Result<(), Error> {
    let mut statement = db.prepare_cached(&format!("SELECT notes FROM read_batch {rest}")).map_err(read_error)?;
    let mut rows = statement.query(params).map_err(read_error)?;
    while let Some(row) = rows.next().map_err(read_error)? {
        let packed = row.get_ref(0).map_err(read_error)?;
        let packed = packed.as_blob().map_err(|error| Error::Read(error.to_string()))?;
        if !each(&reads::unpack(packed, run)?) {
            break;
        }
    }
    Ok(())
}

pub(super) fn events(db: &Connection, id: StepId) -> Result<Vec<StoredEvent>, Error> {
    let mut statement = db.prepare_cached(&EVENTS).map_err(read_error)?;
    let rows = statement.query_map([id.0], event).map_err(read_error)?;
    rows.map(|row| row.map(|(stored, _)| stored)).collect::<Result<_>>().map_err(read_error)
}

pub(super) fn steps(db: &Connection, filter: &Filter) -> Result<Vec<StepRow>, Error> {
    let limit = filter.limit.min(LIST_MAX);
    let mut found = Vec::new();
    // The narrowest index there is; what it does not cover is filtered row by row.
    let rest = match (filter.run, filter.state) {
        (Some(_), _) => "WHERE run_id = ?1 ORDER BY seq DESC",
        (None, Some(state)) if state.is_open() => "WHERE ?1 IS NULL AND state < 100 ORDER BY created_at DESC",
        _ => "WHERE ?1 IS NULL ORDER BY seq DESC",
    };
    let mut statement = db.prepare_cached(&bare(rest)).map_err(read_error)?;
    let mut rows = statement.query([filter.run.map(|run| run.0)]).map_err(read_error)?;
    for _ in 0..SCAN_MAX {
        let Some(row) = rows.next().map_err(read_error)? else { break };
        let row = step_row(row).map_err(read_error)?;
        if found.len() == limit {
            break;
        }
        if matches(filter, &row) {
            found.push(row);
        }
    }
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

pub(super) fn runs(db: &Connection, limit: usize) -> Result<Vec<RunSummary>, Error> {
    let limit = limit.min(LIST_MAX);
    let mut runs = HashMap::new();
    batches(db, &format!("ORDER BY id DESC LIMIT {BATCHES_MAX}"), [], None, |notes| {
        for note in notes {
            summary(&mut runs, note.run, &note.principal, note.at, note.at).reads += 1;
        }
        true
    })?;
    for run in recent_runs(db, limit)? {
        add_run(db, run, &mut runs)?;
    }
    // Runs that only read lately may have older mutations.
    let mut newest: Vec<_> = runs.values().map(|run| (run.last_at, run.run, run.mutations)).collect();
    newest.sort_unstable_by(|a, b| b.cmp(a));
    for (_, run, mutations) in newest.iter().take(limit) {
        if *mutations == 0 {
            add_run(db, *run, &mut runs)?;
        }
    }
    let mut runs: Vec<_> = runs.into_values().collect();
    runs.sort_by_key(|run| Reverse(run.last_at));
    runs.truncate(limit);
    Ok(runs)
}

/// The runs of the latest steps.
fn recent_runs(db: &Connection, limit: usize) -> Result<Vec<RunId>, Error> {
    let mut seen = HashSet::new();
    let mut runs = Vec::new();
    let mut statement = db.prepare_cached("SELECT run_id FROM step ORDER BY seq DESC").map_err(read_error)?;
    let mut rows = statement.query([]).map_err(read_error)?;
    for _ in 0..SCAN_MAX {
        if runs.len() == limit {
            break;
        }
        let Some(row) = rows.next().map_err(read_error)? else { break };
        let run = RunId(row.get(0).map_err(read_error)?);
        if seen.insert(run) {
            runs.push(run);
        }
    }
    Ok(runs)
}

fn add_run(db: &Connection, run: RunId, runs: &mut HashMap<RunId, RunSummary>) -> Result<(), Error> {
    let row = db
        .prepare_cached(
            "SELECT min(created_at), max(max(created_at, coalesce(closed_at, 0), coalesce(last_sent_at, 0))),
               max(principal), count(*) FILTER (WHERE effect > 0), count(*) FILTER (WHERE effect = 0),
               count(*) FILTER (WHERE state < 100), count(*) FILTER (WHERE outcome = 5 OR state IN (60, 70)),
               count(*) FILTER (WHERE verification >= 10), count(*)
             FROM step WHERE run_id = ?1",
        )
        .and_then(|mut statement| {
            statement.query_row([run.0], |row| {
                let number = |at| row.get::<_, Option<i64>>(at).map(|value| value.unwrap_or(0).cast_unsigned());
                let principal: Option<String> = row.get(2)?;
                let counts = [number(3)?, number(4)?, number(5)?, number(6)?, number(7)?, number(8)?];
                Ok((Instant::from_micros(number(0)?), Instant::from_micros(number(1)?), principal, counts))
            })
        })
        .map_err(read_error)?;
    let (first_at, last_at, principal, [mutations, plain_reads, open, unknown, unverified, count]) = row;
    if count > 0 {
        let summary = summary(runs, run, &principal.unwrap_or_default(), first_at, last_at);
        summary.mutations = mutations;
        summary.reads += plain_reads;
        summary.open = open;
        summary.unknown = unknown;
        summary.unverified = unverified;
    }
    Ok(())
}
