//! Retention in small steps: each is a commit of its own, short enough not to be felt by who waits for another.

use super::entry::{self, Entry, found_by};
use super::log::{self, Tip, micros};
use super::lookup::{self, Known};
use super::piece::{self, Piece, unpack};
use crate::{Maintained, Retention};
use rusqlite::{Connection, OptionalExtension, Result, params};
use vocab::{Instant, StepId};

/// Steps of each kind per chunk.
const STEPS: i64 = 32;
/// Rows of the log per chunk whose step may have gone.
const ORPHANS: i64 = 256;
/// Batches of reads per chunk.
const BATCHES: i64 = 8;
/// Free pages are used again by later rows; only what a burst left behind goes back to the file system.
const FREE_PAGES_KEPT: i64 = 4_096;
const PAGES_RETURNED: i64 = 64;

/// What may go at all: closed, and known. The index `step_due` has the same words, so that it can be used.
pub(super) const DUE: &str = "SELECT seq, step_id, run_id, principal, upstream, effect, created_at, last_at, state, \
    outcome, verification, closed_at, epoch, expired, status_at, result_at FROM step
    WHERE state = 100 AND closed_at IS NOT NULL AND (outcome IS NULL OR outcome NOT IN (5, 8))
      AND expired = ?1 AND closed_at <= ?2 ORDER BY closed_at LIMIT ?3";

/// One chunk of what `keep` no longer covers. Steps that are not in the tables yet wait: `known` tells which.
pub(super) fn chunk(db: &Connection, known: &impl Known, now: Instant, keep: &Retention) -> Result<Maintained> {
    let mut done = Maintained::default();
    let mut gone = Vec::new();
    let bodies = micros(now - keep.bodies);
    let due = due(db, false, bodies)?;
    for entry in &due {
        // What was written about it since is not in its row yet.
        if known.entry(entry.seq).is_none() {
            entomb(db, entry, &mut gone)?;
            done.bodies_expired += 1;
        }
    }
    done.more = done.bodies_expired == STEPS.cast_unsigned();

    let due = self::due(db, true, micros(now - keep.tombstones.max(keep.bodies)))?;
    for entry in &due {
        if known.entry(entry.seq).is_none() {
            let stone = entry::stone(db, entry.seq, |bytes| unpack(entry.step, bytes))?;
            for piece in stone.map(|(_, pieces)| pieces).unwrap_or_default() {
                if let Piece::Insert { intent, .. } = piece {
                    forget(db, found_by(&intent), entry.seq)?;
                }
            }
            remove_rows(db, entry, &mut gone)?;
            db.prepare_cached("DELETE FROM step WHERE seq = ?1")?.execute([entry.seq])?;
            done.tombstones_dropped += 1;
        }
    }
    done.more |= done.tombstones_dropped == STEPS.cast_unsigned();

    done.more |= remove_orphans(db, known, micros(now), bodies, &mut gone)?;
    remember(db, gone)?;
    done.more |= super::guard::forget(db, micros(now - keep.tombstones.max(keep.bodies)))?;
    done.reads_dropped = remove_reads(db, micros(now - keep.reads), &mut done.more)?;
    done.more |= return_pages(db)?;
    Ok(done)
}

fn due(db: &Connection, expired: bool, until: i64) -> Result<Vec<Entry>> {
    let mut statement = db.prepare_cached(DUE)?;
    let rows = statement.query_map(params![expired, until, STEPS], entry::entry)?;
    rows.collect()
}

/// Makes a step a tombstone, or a tombstone of which more was written one again: what stays moves into its row, and
/// all that the log has of it goes.
fn entomb(db: &Connection, entry: &Entry, gone: &mut Vec<Tip>) -> Result<()> {
    let row = lookup::whole(db, entry)?;
    let stone = crate::retain::tombstone(&row);
    let twin = row.intent.effect.is_mutation() && !entry.expired;
    if twin {
        forget(db, [entry::by_content(row.intent.scope, row.intent.content)].into_iter(), entry.seq)?;
    }
    remove_rows(db, entry, gone)?;
    db.prepare_cached("UPDATE step SET expired = 1, stone = ?2, status_at = seq, result_at = NULL WHERE seq = ?1")?
        .execute(params![entry.seq, piece::pack_stone(&stone)])?;
    Ok(())
}

fn forget(db: &Connection, words: impl Iterator<Item = i64>, seq: i64) -> Result<()> {
    let mut statement = db.prepare_cached("DELETE FROM find WHERE word = ?1 AND seq = ?2")?;
    for word in words {
        statement.execute([word, seq])?;
    }
    Ok(())
}

fn remove_rows(db: &Connection, entry: &Entry, gone: &mut Vec<Tip>) -> Result<()> {
    let mut statement = db.prepare_cached("DELETE FROM log WHERE step_id = ?1 RETURNING pos, lsn, hash")?;
    let rows = statement.query_map([entry.step.0], log::tip)?;
    for row in rows {
        gone.push(row?);
    }
    Ok(())
}

/// Rows whose step never came to be (a refusal), or that came after its bodies had gone (a replay of a tombstone). Each
/// row is looked at once, when it is old enough: a live step's rows go with the step.
fn remove_orphans(db: &Connection, known: &impl Known, now: i64, cutoff: i64, gone: &mut Vec<Tip>) -> Result<bool> {
    const HOUR: i64 = 3_600_000_000;
    let start: i64 = db.prepare_cached("SELECT orphans_checked FROM meta")?.query_row([], |row| row.get(0))?;
    let mut cursor = start;
    let mut rows = Vec::new();
    {
        let mut statement =
            db.prepare_cached("SELECT pos, lsn, hash, at, step_id FROM log WHERE pos > ?1 ORDER BY pos LIMIT ?2")?;
        let mut found = statement.query(params![start, ORPHANS])?;
        while let Some(row) = found.next()? {
            let at: i64 = row.get(3)?;
            // A row from far ahead was written under a wrong clock; waiting for its time would hold up all others.
            if at > cutoff && at < now + HOUR {
                break;
            }
            rows.push((log::tip(row)?, StepId(row.get(4)?)));
        }
    }
    let looked = rows.len() as i64;
    for (tip, step) in rows {
        cursor = tip.pos;
        match lookup::by_id(db, known, step)? {
            None => {
                db.prepare_cached("DELETE FROM log WHERE pos = ?1")?.execute([tip.pos])?;
                gone.push(tip);
            }
            Some(entry) if entry.expired && known.entry(entry.seq).is_none() => entomb(db, &entry, gone)?,
            Some(_) => {}
        }
    }
    if cursor != start {
        db.prepare_cached("UPDATE meta SET orphans_checked = ?1")?.execute([cursor])?;
    }
    Ok(looked == ORPHANS)
}

/// Keeps the log checkable over what was removed: ranges, merged with their neighbours.
fn remember(db: &Connection, mut gone: Vec<Tip>) -> Result<()> {
    gone.sort_unstable_by_key(|tip| tip.pos);
    gone.dedup_by_key(|tip| tip.pos);
    let mut ranges: Vec<(i64, Tip)> = Vec::new();
    for tip in gone {
        match ranges.last_mut() {
            Some((_, end)) if end.pos + 1 == tip.pos => *end = tip,
            _ => ranges.push((tip.pos, tip)),
        }
    }
    for (mut first, mut end) in ranges {
        let before = db
            .prepare_cached("SELECT first, last FROM log_gap WHERE first < ?1 ORDER BY first DESC LIMIT 1")?
            .query_row([first], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        if let Some((start, _)) = before.filter(|(_, last)| *last == first - 1) {
            first = start;
        }
        let after = db
            .prepare_cached("DELETE FROM log_gap WHERE first = ?1 RETURNING last, lsn, hash")?
            .query_map([end.pos + 1], log::tip)?
            .next()
            .transpose()?;
        end = after.unwrap_or(end);
        db.prepare_cached("INSERT OR REPLACE INTO log_gap(first, last, lsn, hash) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![first, end.pos, end.lsn.0.cast_signed(), end.hash.0])?;
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
