//! Retention in small steps: each rides along with a commit and is short enough not to be felt by who waits for it.

use super::rows::micros;
use crate::chain::Gap;
use crate::{Maintained, Retention};
use rusqlite::{Connection, OptionalExtension, Result, params};
use vocab::{Hash, Instant, Lsn};

/// Steps of each kind per chunk.
const STEPS: i64 = 32;
/// Events per chunk whose step may have gone.
const ORPHANS: i64 = 256;
/// Batches of reads per chunk.
const BATCHES: i64 = 8;
/// Free pages are used again by later rows; only what a burst left behind goes back to the file system.
const FREE_PAGES_KEPT: i64 = 4_096;
const PAGES_RETURNED: i64 = 64;

/// What may go at all: closed, and known. The index `step_due` has the same words, so that it can be used.
pub(super) const DUE: &str = "SELECT seq, step_id FROM step
    WHERE state = 100 AND closed_at IS NOT NULL AND (outcome IS NULL OR outcome NOT IN (5, 8))
      AND expired = ?1 AND closed_at <= ?2 ORDER BY closed_at LIMIT ?3";

/// One chunk of what `keep` no longer covers.
pub(super) fn chunk(db: &Connection, now: Instant, keep: &Retention) -> Result<Maintained> {
    let mut done = Maintained::default();
    let mut gone = Vec::new();
    let bodies = micros(now - keep.bodies);
    let due = due(db, false, bodies)?;
    for (seq, step) in &due {
        db.prepare_cached("DELETE FROM body WHERE id BETWEEN ?1 * 4 AND ?1 * 4 + 3")?.execute([seq])?;
        remove_events(db, step, &mut gone)?;
        db.prepare_cached(
            "UPDATE step SET expired = 1, content = NULL, scope = NULL, twin = NULL, policy = NULL, lane = NULL,
               upstream_key = NULL, remote_task = NULL, next_action_at = NULL WHERE seq = ?1",
        )?
        .execute([seq])?;
    }
    done.bodies_expired = due.len() as u64;
    done.more = due.len() as i64 == STEPS;

    let due = self::due(db, true, micros(now - keep.tombstones.max(keep.bodies)))?;
    for (seq, step) in &due {
        db.prepare_cached("DELETE FROM body WHERE id BETWEEN ?1 * 4 AND ?1 * 4 + 3")?.execute([seq])?;
        remove_events(db, step, &mut gone)?;
        db.prepare_cached("DELETE FROM step WHERE seq = ?1")?.execute([seq])?;
    }
    done.tombstones_dropped = due.len() as u64;
    done.more |= due.len() as i64 == STEPS;

    done.more |= remove_orphans(db, micros(now), bodies, &mut gone)?;
    remember(db, gone)?;
    done.more |= super::guard::forget(db, micros(now - keep.tombstones.max(keep.bodies)))?;
    done.reads_dropped = remove_reads(db, micros(now - keep.reads), &mut done.more)?;
    done.more |= return_pages(db)?;
    Ok(done)
}

fn due(db: &Connection, expired: bool, until: i64) -> Result<Vec<(i64, [u8; 16])>> {
    let mut statement = db.prepare_cached(DUE)?;
    let rows = statement.query_map(params![expired, until, STEPS], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn remove_events(db: &Connection, step: &[u8; 16], gone: &mut Vec<(i64, Hash)>) -> Result<()> {
    let mut statement = db.prepare_cached("DELETE FROM event WHERE step_id = ?1 RETURNING lsn, hash")?;
    let rows = statement.query_map([step], |row| Ok((row.get(0)?, Hash(row.get(1)?))))?;
    for row in rows {
        gone.push(row?);
    }
    Ok(())
}

/// Events whose step never had a row (a refusal), or came after its bodies had gone (a replay of a tombstone). Each
/// event is looked at once, when it is old enough: a live step's events go with the step.
fn remove_orphans(db: &Connection, now: i64, cutoff: i64, gone: &mut Vec<(i64, Hash)>) -> Result<bool> {
    const HOUR: i64 = 3_600_000_000;
    let mut cursor: i64 = db.prepare_cached("SELECT orphans_checked FROM meta")?.query_row([], |row| row.get(0))?;
    let start = cursor;
    let mut looked = 0;
    {
        let mut statement = db.prepare_cached(
            "SELECT lsn, hash, at, (SELECT expired FROM step WHERE step.step_id = event.step_id) FROM event
             WHERE lsn > ?1 ORDER BY lsn LIMIT ?2",
        )?;
        let mut rows = statement.query(params![cursor, ORPHANS])?;
        while let Some(row) = rows.next()? {
            let at: i64 = row.get(2)?;
            // An event from far ahead was written under a wrong clock; waiting for its time would hold up all others.
            if at > cutoff && at < now + HOUR {
                break;
            }
            looked += 1;
            cursor = row.get(0)?;
            let live = row.get::<_, Option<bool>>(3)? == Some(false);
            if !live {
                gone.push((cursor, Hash(row.get(1)?)));
            }
        }
    }
    if cursor != start {
        db.prepare_cached("UPDATE meta SET orphans_checked = ?1")?.execute([cursor])?;
        let mut delete = db.prepare_cached("DELETE FROM event WHERE lsn = ?1")?;
        for (lsn, _) in gone.iter() {
            delete.execute([lsn])?;
        }
    }
    Ok(looked == ORPHANS)
}

/// Keeps the chain checkable over what was removed: ranges, merged with their neighbours.
fn remember(db: &Connection, mut gone: Vec<(i64, Hash)>) -> Result<()> {
    gone.sort_unstable_by_key(|(lsn, _)| *lsn);
    gone.dedup_by_key(|(lsn, _)| *lsn);
    let mut ranges: Vec<(i64, i64, Hash)> = Vec::new();
    for (lsn, hash) in gone {
        match ranges.last_mut() {
            Some((_, last, end)) if *last + 1 == lsn => (*last, *end) = (lsn, hash),
            _ => ranges.push((lsn, lsn, hash)),
        }
    }
    for (mut first, mut last, mut hash) in ranges {
        let before = db
            .prepare_cached("SELECT first, last FROM event_gap WHERE first < ?1 ORDER BY first DESC LIMIT 1")?
            .query_row([first], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        if let Some((start, _)) = before.filter(|(_, end)| *end == first - 1) {
            first = start;
        }
        let after = db
            .prepare_cached("DELETE FROM event_gap WHERE first = ?1 RETURNING last, hash")?
            .query_map([last + 1], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?
            .next()
            .transpose()?;
        if let Some((end, end_hash)) = after {
            (last, hash) = (end, Hash(end_hash));
        }
        db.prepare_cached("INSERT OR REPLACE INTO event_gap(first, last, hash) VALUES (?1, ?2, ?3)")?
            .execute(params![first, last, hash.0])?;
    }
    Ok(())
}

fn remove_reads(db: &Connection, until: i64, more: &mut bool) -> Result<u64> {
    let mut statement = db.prepare_cached(
        "DELETE FROM read_batch WHERE id IN (SELECT id FROM read_batch WHERE max_at <= ?1 ORDER BY max_at LIMIT ?2)
         RETURNING count",
    )?;
    let counts = statement.query_map(params![until, BATCHES], |row| row.get::<_, i64>(0))?;
    let counts: Vec<_> = counts.collect::<Result<_>>()?;
    *more |= counts.len() as i64 == BATCHES;
    Ok(counts.into_iter().sum::<i64>().cast_unsigned())
}

/// Gives pages back to the file system, a few at a time, while more than a quarter of the file is free.
fn return_pages(db: &Connection) -> Result<bool> {
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (free, pages) = (pragma("freelist_count")?, pragma("page_count")?);
    if free < FREE_PAGES_KEPT || free < pages / 4 {
        return Ok(false);
    }
    db.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES_RETURNED})"))?;
    Ok(free - PAGES_RETURNED >= FREE_PAGES_KEPT.max(pages / 4))
}

pub(super) fn gap_over(db: &Connection, lsn: Lsn) -> Result<Option<Gap>> {
    db.prepare_cached("SELECT first, last, hash FROM event_gap WHERE first <= ?1 ORDER BY first DESC LIMIT 1")?
        .query_row([lsn.0.cast_signed()], |row| {
            Ok(Gap {
                first: Lsn(row.get::<_, i64>(0)?.cast_unsigned()),
                last: Lsn(row.get::<_, i64>(1)?.cast_unsigned()),
                hash: Hash(row.get(2)?),
            })
        })
        .optional()
        .map(|gap| gap.filter(|gap| gap.last >= lsn))
}
