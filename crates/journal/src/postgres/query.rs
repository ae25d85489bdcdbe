//! Everything that only reads. Point reads where a call waits for the answer; bounded scans for people.

use super::Shared;
use super::connect::asked;
use super::rows::{self, EVENT, bare, twin, whole};
use crate::memory::store::{matches, summary};
use crate::twins;
use crate::{Error, Filter, Recall, Recalled, RunSummary, Seen, SeenBoth, StoredEvent, reads};
use deadpool_postgres::Object;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;
use tokio_postgres::types::ToSql;
use vocab::{Bytes, Epoch, GuardKind, GuardRow, Instant, ReadNote, RunId, StepId, StepRow};

/// Rows that one list for people may look at, however its filter reads.
const SCAN_MAX: i64 = 100_000;
/// Rows fetched at once for a list.
const PAGE: i64 = 1_000;
/// Batches of reads that one list may unpack.
const BATCHES_MAX: i64 = 10_000;
/// Rows in one list.
const LIST_MAX: usize = 10_000;
/// Rows of guards in one list.
const GUARDS_MAX: usize = 100_000;
/// Changes of owner that one look follows.
const TRIES: usize = 5;

type Values<'a> = [&'a (dyn ToSql + Sync)];

async fn rows_of(link: &Object, sql: &str, values: &Values<'_>) -> Result<Vec<tokio_postgres::Row>, Error> {
    let statement = asked(link.prepare_cached(sql).await).map_err(read)?;
    asked(link.query(&statement, values).await).map_err(read)
}

fn read(error: Error) -> Error {
    match error {
        Error::Write(why) => Error::Read(why),
        other => other,
    }
}

async fn steps_of(link: &Object, sql: &str, values: &Values<'_>) -> Result<Vec<StepRow>, Error> {
    rows_of(link, sql, values).await?.iter().map(rows::step).collect()
}

async fn one(link: &Object, rest: &str, values: &Values<'_>) -> Result<Option<StepRow>, Error> {
    Ok(steps_of(link, &whole(rest), values).await?.pop())
}

const BY_KEY: &str = "WHERE key = $1 ORDER BY generation DESC LIMIT 1";
static BY_CONTENT: LazyLock<String> = LazyLock::new(|| {
    let void = twins::VOID.map(|outcome| outcome.number().to_string()).join(", ");
    format!(
        "WHERE twin = $1 AND scope = $2 AND content = $3 AND created_at >= $4 \
         AND (outcome IS NULL OR outcome NOT IN ({void}) OR run_again) ORDER BY created_at DESC LIMIT 1"
    )
});
const BY_ID: &str = "WHERE step_id = $1";

async fn by_key(link: &Object, query: &Recall) -> Result<Option<StepRow>, Error> {
    one(link, BY_KEY, &[&query.key.0.to_vec()]).await
}

async fn by_content(link: &Object, query: &Recall) -> Result<Option<StepRow>, Error> {
    let Some((scope, content, since)) = query.content else { return Ok(None) };
    let (scope_bytes, content_bytes) = (scope.0.to_vec(), content.0.to_vec());
    one(link, &BY_CONTENT, &[&twin(scope, content), &scope_bytes, &content_bytes, &rows::micros(since)]).await
}

//= S-09
//= G5
pub(super) async fn recall(shared: &Shared, query: &Recall) -> Result<Recalled, Error> {
    let link = shared.reader().await.map_err(read)?;
    let mut found = Recalled { by_key: by_key(&link, query).await?, by_content: None };
    if !found.by_key.as_ref().is_some_and(twins::decides) {
        found.by_content = by_content(&link, query).await?;
    }
    Ok(found)
}

pub(super) async fn recall_seen(shared: &Shared, query: &Recall) -> Result<SeenBoth, Error> {
    let link = shared.reader().await.map_err(read)?;
    let row = by_key(&link, query).await?;
    let by_key = seen(shared, &link, row).await?;
    if by_key.as_ref().is_some_and(|seen| twins::decides(&seen.row)) {
        return Ok(SeenBoth { by_key, by_content: None });
    }
    let row = by_content(&link, query).await?;
    Ok(SeenBoth { by_key, by_content: seen(shared, &link, row).await? })
}

pub(super) async fn look(shared: &Shared, id: StepId) -> Result<Option<Seen>, Error> {
    let link = shared.reader().await.map_err(read)?;
    let row = one(&link, BY_ID, &[&id.0.to_vec()]).await?;
    seen(shared, &link, row).await
}

/// Whose it is; a closed one becomes ours, unless it is. The new epoch is compared with the one that was read, so that
/// of two replicas one gets it.
//= G1
async fn seen(shared: &Shared, link: &Object, row: Option<StepRow>) -> Result<Option<Seen>, Error> {
    let Some(mut row) = row else { return Ok(None) };
    let id = row.intent.step.0.to_vec();
    for _ in 0..TRIES {
        let sql = "SELECT owner FROM step WHERE step_id = $1 AND epoch = $2";
        let found = rows_of(link, sql, &[&id, &row.epoch.0.cast_signed()]).await?;
        if let Some(found) = found.first() {
            let owner: i64 = rows::value(found, 0)?;
            if owner == shared.owner() {
                return Ok(Some(Seen { row: doubt(shared, row), elsewhere: false }));
            }
            if row.status.state.is_open() {
                // One that nobody owns is about to be taken over, by us or by another one.
                return Ok(Some(Seen { row, elsewhere: true }));
            }
            let sql = "UPDATE step SET owner = $3, epoch = nextval('epoch_seq') WHERE step_id = $1 AND epoch = $2 \
                       AND state = 100 AND EXISTS (SELECT 1 FROM replica WHERE id = $3 AND NOT fenced) RETURNING epoch";
            let statement = asked(link.prepare_cached(sql).await)?;
            let values: [&(dyn ToSql + Sync); 3] = [&id, &row.epoch.0.cast_signed(), &shared.owner()];
            if let Some(taken) = asked(link.query_opt(&statement, &values).await)? {
                row.epoch = Epoch(rows::value::<i64>(&taken, 0)?.cast_unsigned());
                return Ok(Some(Seen { row: doubt(shared, row), elsewhere: false }));
            }
        }
        // Somebody was quicker.
        match one(link, BY_ID, &[&id]).await? {
            Some(newer) => row = newer,
            None => return Ok(None),
        }
    }
    Err(Error::Read("the step changes its owner again and again".to_owned()))
}

/// Across a gap that was accepted, what says that it did not run proves nothing.
//= G3
pub(super) fn doubt(shared: &Shared, mut row: StepRow) -> StepRow {
    if shared.gap_epoch.is_some_and(|epoch| row.epoch.0.cast_signed() < epoch) {
        crate::doubt(&mut row);
    }
    row
}

pub(super) async fn open_steps(shared: &Shared) -> Result<Vec<StepRow>, Error> {
    let link = shared.reader().await.map_err(read)?;
    steps_of(&link, &whole("WHERE state < 100 ORDER BY created_at"), &[]).await
}

pub(super) async fn step(shared: &Shared, id: StepId) -> Result<Option<StepRow>, Error> {
    let link = shared.reader().await.map_err(read)?;
    match one(&link, BY_ID, &[&id.0.to_vec()]).await? {
        Some(row) => Ok(Some(row)),
        None => read_by_id(&link, id).await,
    }
}

/// A read is found by the time in its id: its note was packed soon after.
async fn read_by_id(link: &Object, id: StepId) -> Result<Option<StepRow>, Error> {
    let mut millis = [0_u8; 8];
    millis[2..].copy_from_slice(&id.0[..6]);
    let made = Instant::from_micros(u64::from_be_bytes(millis).saturating_mul(1_000));
    let (from, until) = (made - Duration::from_secs(60), made + Duration::from_secs(900));
    let sql = "SELECT notes FROM read_batch WHERE max_at >= $1 AND min_at <= $2 ORDER BY max_at LIMIT 1000";
    for notes in batches(link, sql, &[&rows::micros(from), &rows::micros(until)], None).await? {
        if let Some(note) = notes.iter().find(|note| note.step == id) {
            return Ok(Some(reads::row(note)));
        }
    }
    Ok(None)
}

async fn batches(
    link: &Object,
    sql: &str,
    values: &Values<'_>,
    run: Option<RunId>,
) -> Result<Vec<Vec<ReadNote>>, Error> {
    let found = rows_of(link, sql, values).await?;
    found.iter().map(|row| reads::unpack(rows::value(row, 0)?, run)).collect()
}

fn newest_batches() -> String {
    format!("SELECT notes FROM read_batch ORDER BY id DESC LIMIT {BATCHES_MAX}")
}

pub(super) async fn events(shared: &Shared, id: StepId) -> Result<Vec<StoredEvent>, Error> {
    let link = shared.reader().await.map_err(read)?;
    let sql = format!("SELECT {EVENT} FROM event WHERE step_id = $1 ORDER BY lsn");
    let found = rows_of(&link, &sql, &[&id.0.to_vec()]).await?;
    found.iter().map(|row| rows::event(row).map(|(stored, ..)| stored)).collect()
}

pub(super) async fn steps(shared: &Shared, filter: &Filter) -> Result<Vec<StepRow>, Error> {
    let link = shared.reader().await.map_err(read)?;
    let limit = filter.limit.min(LIST_MAX);
    let mut found: Vec<StepRow> = Vec::new();
    let run = filter.run.map(|run| run.0.to_vec());
    let state = filter.state.map(|state| i16::from(state.number()));
    let sql = bare(&format!(
        "WHERE seq < $1 AND ($2::bytea IS NULL OR run_id = $2) AND ($3::smallint IS NULL OR state = $3) \
         AND ($4::bytea IS NULL OR upstream = $4) ORDER BY seq DESC LIMIT {PAGE}"
    ));
    let upstream = filter.upstream.as_ref().map(|name| name.as_bytes().to_vec());
    let (mut before, mut looked) = (i64::MAX, 0);
    while found.len() < limit && looked < SCAN_MAX {
        let page = rows_of(&link, &sql, &[&before, &run, &state, &upstream]).await?;
        looked += PAGE;
        let Some(last) = page.last() else { break };
        before = rows::value(last, rows::COLUMNS)?;
        for row in &page {
            let row = rows::step(row)?;
            if found.len() < limit && matches(filter, &row) {
                found.push(row);
            }
        }
    }
    if filter.reads {
        let mut notes = Vec::new();
        for batch in batches(&link, &newest_batches(), &[], filter.run).await? {
            notes.extend(batch.iter().rev().map(reads::row).filter(|row| matches(filter, row)));
            if notes.len() >= limit {
                break;
            }
        }
        found.append(&mut notes);
    }
    // The clocks of replicas differ a little: by time, whoever wrote it.
    found.sort_by_key(|row| Reverse(row.intent.created_at));
    found.truncate(limit);
    Ok(found)
}

pub(super) async fn guard(shared: &Shared, kind: GuardKind, key: &[u8]) -> Result<Option<GuardRow>, Error> {
    let link = shared.reader().await.map_err(read)?;
    let sql = "SELECT key, body, at FROM guard WHERE kind = $1 AND key = $2";
    let found = rows_of(&link, sql, &[&i16::from(kind.number()), &key]).await?;
    found.first().map(|row| guard_row(kind, row)).transpose()
}

pub(super) async fn guards(shared: &Shared, kind: GuardKind, limit: usize) -> Result<Vec<GuardRow>, Error> {
    let link = shared.reader().await.map_err(read)?;
    let sql = "SELECT key, body, at FROM guard WHERE kind = $1 ORDER BY at DESC LIMIT $2";
    let limit = i64::try_from(limit.min(GUARDS_MAX)).unwrap_or(i64::MAX);
    let found = rows_of(&link, sql, &[&i16::from(kind.number()), &limit]).await?;
    found.iter().map(|row| guard_row(kind, row)).collect()
}

fn guard_row(kind: GuardKind, row: &tokio_postgres::Row) -> Result<GuardRow, Error> {
    let bytes = |at| rows::value::<&[u8]>(row, at).map(Bytes::copy_from_slice);
    let at = Instant::from_micros(rows::value::<i64>(row, 2)?.max(0).cast_unsigned());
    Ok(GuardRow { kind, key: bytes(0)?, body: bytes(1)?, at })
}

pub(super) async fn runs(shared: &Shared, limit: usize) -> Result<Vec<RunSummary>, Error> {
    let link = shared.reader().await.map_err(read)?;
    let limit = limit.min(LIST_MAX);
    let mut runs = HashMap::new();
    for notes in batches(&link, &newest_batches(), &[], None).await? {
        for note in &notes {
            summary(&mut runs, note.run, &note.principal, note.at, note.at).reads += 1;
        }
    }
    let mut wanted: Vec<Vec<u8>> = runs.keys().map(|run: &RunId| run.0.to_vec()).collect();
    // The runs of the latest steps.
    let sql = format!(
        "SELECT run_id FROM (SELECT run_id, seq FROM step ORDER BY seq DESC LIMIT {SCAN_MAX}) s GROUP BY run_id \
         ORDER BY max(seq) DESC LIMIT $1"
    );
    for row in rows_of(&link, &sql, &[&i64::try_from(limit).unwrap_or(i64::MAX)]).await? {
        wanted.push(rows::value::<&[u8]>(&row, 0)?.to_vec());
    }
    let sql = "SELECT run_id, min(created_at), max(greatest(created_at, closed_at, last_sent_at)), 0::bigint, \
               count(*) FILTER (WHERE effect > 0), count(*) FILTER (WHERE effect = 0), \
               count(*) FILTER (WHERE state < 100), count(*) FILTER (WHERE outcome = 5 OR state IN (60, 70)), \
               count(*) FILTER (WHERE verification >= 10), (array_agg(principal))[1] \
               FROM step WHERE run_id = ANY($1) GROUP BY run_id";
    for row in rows_of(&link, sql, &[&wanted]).await? {
        let number = |at| rows::value::<i64>(&row, at).map(i64::cast_unsigned);
        let principal = String::from_utf8_lossy(rows::value(&row, 9)?).into_owned();
        let (first, last) = (Instant::from_micros(number(1)?), Instant::from_micros(number(2)?));
        let run = summary(&mut runs, RunId(rows::array(&row, 0)?), &principal, first, last);
        run.mutations = number(4)?;
        run.reads += number(5)?;
        (run.open, run.unknown, run.unverified) = (number(6)?, number(7)?, number(8)?);
    }
    let mut runs: Vec<_> = runs.into_values().collect();
    runs.sort_by_key(|run| Reverse(run.last_at));
    runs.truncate(limit);
    Ok(runs)
}
