//! Checks the log over what retention left of it, and on demand the whole file.

use super::log::{self, Tip, Walk};
use crate::chain::FINDINGS_MAX;
use crate::{Error, Verified};
use rusqlite::{Connection, OptionalExtension, Result};
use vocab::Instant;

/// Rows per read transaction.
const CHUNK: usize = 20_000;

/// The last anchor and its time.
pub(super) fn last_anchor(db: &Connection) -> Result<Option<(Tip, Instant)>> {
    db.query_row("SELECT pos, lsn, hash, at FROM anchor ORDER BY pos DESC LIMIT 1", [], |row| {
        Ok((log::tip(row)?, log::instant(row.get(3)?)))
    })
    .optional()
}

/// Walks the log from a trusted position to its end.
pub(super) fn walk(db: &Connection, from: Tip) -> Result<Walk> {
    let mut walk = Walk::from(from);
    walk.run(db, CHUNK)?;
    Ok(walk)
}

/// Steps between two positions that do not lead to rows of their own.
const ASTRAY: &str = "
    SELECT step_id FROM step WHERE seq > ?1 AND seq <= ?2 AND (
      CASE WHEN expired THEN stone IS NULL
           ELSE NOT EXISTS (SELECT 1 FROM log WHERE pos = seq AND log.step_id = step.step_id) END
      OR status_at <> seq AND NOT EXISTS (SELECT 1 FROM log WHERE pos = status_at AND log.step_id = step.step_id)
      OR result_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM log WHERE pos = result_at AND log.step_id = step.step_id))";

/// The log from its last anchor, or everything: from the beginning, anchors, the way from steps to their rows, SQLite's
/// own check.
pub(super) fn verify(db: &Connection, genesis: Tip, full: bool) -> Result<Verified, Error> {
    check(db, genesis, full).map_err(super::fault::read_error)
}

fn check(db: &Connection, genesis: Tip, full: bool) -> Result<Verified> {
    let from = match last_anchor(db)? {
        Some((tip, _)) if !full => tip,
        _ => genesis,
    };
    let mut walk = walk(db, from)?;
    if full {
        let anchors = "SELECT anchor.pos FROM anchor JOIN log USING (pos) WHERE log.hash <> anchor.hash
           AND pos > ?1 AND pos <= ?2";
        find(db, &mut walk, anchors, (0, i64::MAX), |pos: i64| format!("the anchor at {pos} does not match the log"))?;
        let (first, last): (i64, i64) =
            db.query_row("SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) FROM step", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        for from in (first - 1..=last).step_by(CHUNK) {
            let tell = |id| format!("rows of step {} are not where they should be", vocab::StepId(id));
            find(db, &mut walk, ASTRAY, (from, from + CHUNK as i64), tell)?;
        }
        quick_check(db, &mut walk)?;
    }
    Ok(Verified { from: from.lsn, to: walk.tip.lsn, events: walk.events, findings: walk.findings })
}

fn find<T: rusqlite::types::FromSql>(
    db: &Connection,
    walk: &mut Walk,
    sql: &str,
    params: (i64, i64),
    tell: impl Fn(T) -> String,
) -> Result<()> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        walk.find(tell(row.get(0)?));
    }
    Ok(())
}

fn quick_check(db: &Connection, walk: &mut Walk) -> Result<()> {
    let mut statement = db.prepare(&format!("PRAGMA quick_check({FINDINGS_MAX})"))?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    for text in rows {
        let text = text?;
        if text != "ok" {
            walk.find(format!("SQLite: {text}"));
        }
    }
    Ok(())
}
