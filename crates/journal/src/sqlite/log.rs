//! The log: every append as it came, a row for each step in it, hung together by hashes. It is the journal's truth;
//! all other tables can be made anew from it, but for what retention left of a step.

use crate::StoredEvent;
use crate::chain::FINDINGS_MAX;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use vocab::{Hash, Instant, Lsn, StepId};

/// The end of the log: what the next row hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tip {
    /// Position of the last row.
    pub(super) pos: i64,
    /// Position of the last event; 0 before the first.
    pub(super) lsn: Lsn,
    pub(super) hash: Hash,
}

impl Tip {
    /// The beginning of the log of one database.
    pub(super) fn genesis(database: &[u8; 16]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"cofferdam journal log 2");
        hasher.update(database);
        Self { pos: 0, lsn: Lsn(0), hash: Hash(*hasher.finalize().as_bytes()) }
    }

    /// The tip after one more row.
    pub(super) fn after(self, step: StepId, at: Instant, events: u64, records: &[u8]) -> Self {
        let (pos, lsn) = (self.pos + 1, Lsn(self.lsn.0 + events));
        self.hashed(pos, lsn, step, at, records)
    }

    fn hashed(self, pos: i64, lsn: Lsn, step: StepId, at: Instant, records: &[u8]) -> Self {
        let mut fixed = [0_u8; 72];
        fixed[..32].copy_from_slice(&self.hash.0);
        fixed[32..40].copy_from_slice(&pos.to_le_bytes());
        fixed[40..48].copy_from_slice(&lsn.0.to_le_bytes());
        fixed[48..56].copy_from_slice(&micros(at).to_le_bytes());
        fixed[56..].copy_from_slice(&step.0);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&fixed);
        hasher.update(records);
        Self { pos, lsn, hash: Hash(*hasher.finalize().as_bytes()) }
    }
}

/// SQLite's integers are signed; later instants than `FAR` do not exist.
pub(super) fn micros(instant: Instant) -> i64 {
    i64::try_from(instant.as_micros()).unwrap_or(i64::MAX)
}

pub(super) fn instant(micros: i64) -> Instant {
    Instant::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// What is stored makes no sense.
pub(super) fn damaged(why: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, why.into())
}

/// Adds a row at `tip`, which already covers it.
pub(super) fn put(db: &Connection, tip: Tip, step: StepId, at: Instant, records: &[u8]) -> Result<()> {
    db.prepare_cached("INSERT INTO log(pos, step_id, at, lsn, hash, records) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![tip.pos, step.0, micros(at), tip.lsn.0.cast_signed(), tip.hash.0, records])?;
    Ok(())
}

/// The records at a position, if they are still there.
pub(super) fn records<T>(db: &Connection, pos: i64, read: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
    let mut statement = db.prepare_cached("SELECT records FROM log WHERE pos = ?1")?;
    let mut rows = statement.query([pos])?;
    rows.next()?.map(|row| read(row.get_ref(0)?.as_blob()?)).transpose()
}

pub(super) const EVENTS: &str = "SELECT lsn, records FROM log WHERE step_id = ?1 ORDER BY pos";

/// The evidence of one step, oldest first.
pub(super) fn events(db: &Connection, step: StepId) -> Result<Vec<StoredEvent>> {
    let mut statement = db.prepare_cached(EVENTS)?;
    let mut rows = statement.query([step.0])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let lsn = Lsn(row.get::<_, i64>(0)?.cast_unsigned());
        events.extend(super::piece::events(step, lsn, row.get_ref(1)?.as_blob()?)?);
    }
    Ok(events)
}

/// The hash that the log has at a position, if anything still says so.
pub(super) fn hash_at(db: &Connection, pos: i64) -> Result<Option<Hash>> {
    db.query_row("SELECT hash FROM log WHERE pos = ?1", [pos], |row| Ok(Hash(row.get(0)?))).optional()
}

/// Rows that are no longer there: the log goes on from `end` after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) end: Tip,
}

pub(super) fn gap_over(db: &Connection, pos: i64) -> Result<Option<Gap>> {
    let mut statement =
        db.prepare_cached("SELECT last, lsn, hash FROM log_gap WHERE first <= ?1 ORDER BY first DESC LIMIT 1")?;
    let gap = statement.query_row([pos], |row| Ok(Gap { end: tip(row)? })).optional()?;
    Ok(gap.filter(|gap| gap.end.pos >= pos))
}

/// Position, event and hash, in the first three columns.
pub(super) fn tip(row: &Row<'_>) -> Result<Tip> {
    Ok(Tip { pos: row.get(0)?, lsn: Lsn(row.get::<_, i64>(1)?.cast_unsigned()), hash: Hash(row.get(2)?) })
}

/// The columns that [`Walk`] reads.
pub(super) const WALKED: &str = "SELECT pos, lsn, hash, step_id, at, records FROM log WHERE pos > ?1 ORDER BY pos";

/// Walks the log over what is left of it.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) tip: Tip,
    pub(super) events: u64,
    pub(super) last_at: Option<Instant>,
    pub(super) findings: Vec<String>,
}

impl Walk {
    pub(super) fn from(tip: Tip) -> Self {
        Self { tip, events: 0, last_at: None, findings: Vec::new() }
    }

    /// To the end, in snapshots of at most `chunk` rows: a check of millions must not hold one, which would keep the
    /// WAL from starting anew.
    pub(super) fn run(&mut self, db: &Connection, chunk: usize) -> Result<()> {
        loop {
            let before = self.tip.pos;
            let snapshot = db.unchecked_transaction()?;
            let mut statement = snapshot.prepare_cached(&format!("{WALKED} LIMIT {chunk}"))?;
            let mut rows = statement.query([before])?;
            while let Some(row) = rows.next()? {
                self.skip_gap(&snapshot, row.get(0)?)?;
                self.row(row)?;
            }
            drop(rows);
            drop(statement);
            self.skip_gap(&snapshot, i64::MAX)?;
            if self.tip.pos == before {
                return Ok(());
            }
        }
    }

    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let stored = tip(row)?;
        let (step, at) = (StepId(row.get(3)?), instant(row.get(4)?));
        let records = row.get_ref(5)?.as_blob()?;
        self.last_at = Some(at);
        match super::piece::events(step, stored.lsn, records) {
            Ok(events) => {
                self.events += events.len() as u64;
                if stored.pos != self.tip.pos + 1 {
                    self.find(format!("rows {} to {} of the log are missing", self.tip.pos + 1, stored.pos - 1));
                } else if self.tip.after(step, at, events.len() as u64, records) != stored {
                    self.find(format!("row {} of the log does not match its hash", stored.pos));
                }
            }
            Err(_) => self.find(format!("row {} of the log cannot be read", stored.pos)),
        }
        self.tip = stored;
        Ok(())
    }

    fn skip_gap(&mut self, db: &Connection, next: i64) -> Result<()> {
        let expected = self.tip.pos + 1;
        if next == expected {
            return Ok(());
        }
        if let Some(gap) = gap_over(db, expected)? {
            if gap.end.pos >= next {
                self.find(format!("row {next} of the log is there although it was removed"));
            }
            self.tip = gap.end;
        }
        Ok(())
    }

    pub(super) fn find(&mut self, finding: String) {
        // A damaged file could yield millions; the first ones tell the story.
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}
