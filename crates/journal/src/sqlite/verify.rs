//! Checks the chain of events over what retention left of it, and on demand the whole file.

use super::fault::read_error;
use super::retain::gap_over;
use super::rows::{EVENT, event};
use crate::chain::{FINDINGS_MAX, Tip, Walk};
use crate::{Error, Verified};
use rusqlite::{Connection, OptionalExtension};
use vocab::{Hash, Instant, Lsn};

/// Events per read transaction: a check of millions must not hold one snapshot, which would keep the WAL from
/// starting anew.
const CHUNK: usize = 20_000;

/// The last anchor: position, hash, time.
pub(super) fn last_anchor(db: &Connection) -> Result<Option<(Tip, Instant)>, Error> {
    db.query_row("SELECT lsn, hash, at FROM anchor ORDER BY lsn DESC LIMIT 1", [], |row| {
        let tip = Tip { lsn: Lsn(row.get::<_, i64>(0)?.cast_unsigned()), hash: Hash(row.get(1)?) };
        Ok((tip, Instant::from_micros(row.get::<_, i64>(2)?.cast_unsigned())))
    })
    .optional()
    .map_err(read_error)
}

/// The hash that the chain has at a position, if anything still says so.
pub(super) fn hash_at(db: &Connection, lsn: Lsn) -> Result<Option<Hash>, Error> {
    db.query_row("SELECT hash FROM event WHERE lsn = ?1", [lsn.0.cast_signed()], |row| Ok(Hash(row.get(0)?)))
        .optional()
        .map_err(read_error)
}

/// Walks the chain from a trusted position to its end; the second value is the time of the last event seen.
pub(super) fn walk(db: &Connection, from: Tip) -> Result<(Walk, Option<Instant>), Error> {
    let mut walk = Walk::from(from);
    let mut last_at = None;
    loop {
        let before = walk.tip.lsn;
        let snapshot = db.unchecked_transaction().map_err(read_error)?;
        let mut statement = snapshot
            .prepare_cached(&format!("SELECT {EVENT} FROM event WHERE lsn > ?1 ORDER BY lsn LIMIT {CHUNK}"))
            .map_err(read_error)?;
        let mut rows = statement.query([before.0.cast_signed()]).map_err(read_error)?;
        while let Some(row) = rows.next().map_err(read_error)? {
            let (stored, hash) = event(row).map_err(read_error)?;
            skip_gap(&snapshot, &mut walk, stored.lsn)?;
            last_at = Some(stored.event.at);
            walk.event(&stored, hash);
        }
        drop(rows);
        drop(statement);
        skip_gap(&snapshot, &mut walk, Lsn(u64::MAX >> 1))?;
        if walk.tip.lsn == before {
            return Ok((walk, last_at));
        }
    }
}

fn skip_gap(db: &Connection, walk: &mut Walk, next: Lsn) -> Result<(), Error> {
    let expected = Lsn(walk.tip.lsn.0 + 1);
    if next == expected {
        return Ok(());
    }
    if let Some(gap) = gap_over(db, expected).map_err(read_error)? {
        if gap.last >= next {
            walk.find(format!("event {} is there although it was removed", next.0));
        }
        walk.skip(&gap);
    }
    Ok(())
}

/// The chain from its last anchor, or everything: chain from the beginning, anchors, result bodies, SQLite's own check.
pub(super) fn verify(db: &Connection, genesis: Tip, full: bool) -> Result<Verified, Error> {
    let from = match last_anchor(db)? {
        Some((tip, _)) if !full => tip,
        _ => genesis,
    };
    let (mut walk, _) = walk(db, from)?;
    if full {
        check_anchors(db, &mut walk)?;
        check_results(db, &mut walk)?;
        quick_check(db, &mut walk)?;
    }
    Ok(Verified { from: from.lsn, to: walk.tip.lsn, events: walk.events, findings: walk.findings })
}

fn check_anchors(db: &Connection, walk: &mut Walk) -> Result<(), Error> {
    let sql = "SELECT anchor.lsn FROM anchor JOIN event ON event.lsn = anchor.lsn WHERE event.hash <> anchor.hash";
    let mut statement = db.prepare(sql).map_err(read_error)?;
    let rows = statement.query_map([], |row| row.get::<_, i64>(0)).map_err(read_error)?;
    for lsn in rows {
        walk.find(format!("the anchor at {} does not match the chain", lsn.map_err(read_error)?));
    }
    Ok(())
}

/// SQLite has no checksums of pages: what a replay would hand out is compared with its hash.
fn check_results(db: &Connection, walk: &mut Walk) -> Result<(), Error> {
    let mut last = i64::MIN;
    loop {
        let mut statement = db
            .prepare_cached(
                "SELECT seq, step_id, result_hash, (SELECT bytes FROM body WHERE id = seq * 4 + 1) FROM step
                 WHERE seq > ?1 AND expired = 0 AND result_hash IS NOT NULL ORDER BY seq LIMIT 1000",
            )
            .map_err(read_error)?;
        let mut rows = statement.query([last]).map_err(read_error)?;
        let mut seen = false;
        while let Some(row) = rows.next().map_err(read_error)? {
            seen = true;
            last = row.get(0).map_err(read_error)?;
            let hash: [u8; 32] = row.get(2).map_err(read_error)?;
            let bytes = row.get_ref(3).map_err(read_error)?.as_blob_or_null().unwrap_or_default();
            if bytes.is_none_or(|bytes| *blake3::hash(bytes).as_bytes() != hash) {
                let step = vocab::StepId(row.get(1).map_err(read_error)?);
                walk.find(format!("the stored result of step {step} does not match its hash"));
            }
        }
        if !seen {
            return Ok(());
        }
    }
}

fn quick_check(db: &Connection, walk: &mut Walk) -> Result<(), Error> {
    let mut statement = db.prepare(&format!("PRAGMA quick_check({FINDINGS_MAX})")).map_err(read_error)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(read_error)?;
    for row in rows {
        let text = row.map_err(read_error)?;
        if text != "ok" {
            walk.find(format!("SQLite: {text}"));
        }
    }
    Ok(())
}
