//! What guards remember: rows of opaque bytes by kind and key.

use super::fault::read_error;
use super::log::micros;
use crate::Error;
use rusqlite::{Connection, OptionalExtension, Row, params};
use vocab::{Bytes, GuardKind, GuardRow, Instant};

/// Rows that one chunk of retention removes at most.
const CHUNK: i64 = 64;
/// Rows of one list.
const LIST_MAX: usize = 100_000;

pub(super) const ONE: &str = "SELECT key, body, at FROM guard WHERE kind = ?1 AND key = ?2";
pub(super) const NEWEST: &str = "SELECT key, body, at FROM guard WHERE kind = ?1 ORDER BY at DESC LIMIT ?2";

pub(super) fn put(db: &Connection, row: &GuardRow) -> rusqlite::Result<()> {
    let (kind, key) = (row.kind.number(), &row.key[..]);
    if row.body.is_empty() {
        db.prepare_cached("DELETE FROM guard WHERE kind = ?1 AND key = ?2")?.execute(params![kind, key])?;
    } else {
        db.prepare_cached("INSERT OR REPLACE INTO guard(kind, key, body, at) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![kind, key, &row.body[..], micros(row.at)])?;
    }
    Ok(())
}

pub(super) fn one(db: &Connection, kind: GuardKind, key: &[u8]) -> Result<Option<GuardRow>, Error> {
    let mut statement = db.prepare_cached(ONE).map_err(read_error)?;
    statement.query_row(params![kind.number(), key], |row| guard(kind, row)).optional().map_err(read_error)
}

pub(super) fn newest(db: &Connection, kind: GuardKind, limit: usize) -> Result<Vec<GuardRow>, Error> {
    let limit = i64::try_from(limit.min(LIST_MAX)).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(NEWEST).map_err(read_error)?;
    let rows = statement.query_map(params![kind.number(), limit], |row| guard(kind, row)).map_err(read_error)?;
    rows.collect::<Result<_, _>>().map_err(read_error)
}

/// Drops what is too old, and tells whether there may be more. An operator's order never goes.
pub(super) fn forget(db: &Connection, until: i64) -> rusqlite::Result<bool> {
    let mut gone = 0;
    for kind in [GuardKind::Run, GuardKind::Upstream] {
        gone = gone.max(
            db.prepare_cached(
                "DELETE FROM guard WHERE kind = ?1 AND key IN
                   (SELECT key FROM guard WHERE kind = ?1 AND at <= ?2 ORDER BY at LIMIT ?3)",
            )?
            .execute(params![kind.number(), until, CHUNK])?,
        );
    }
    Ok(gone as i64 == CHUNK)
}

fn guard(kind: GuardKind, row: &Row<'_>) -> rusqlite::Result<GuardRow> {
    let bytes = |at| -> rusqlite::Result<Bytes> { Ok(Bytes::copy_from_slice(row.get_ref(at)?.as_blob()?)) };
    let at = Instant::from_micros(u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0));
    Ok(GuardRow { kind, key: bytes(0)?, body: bytes(1)?, at })
}
