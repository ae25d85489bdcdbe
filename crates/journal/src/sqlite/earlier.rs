//! Forms 1 and 2: a row per step with a column for each field, a row per event, and a chain over the events.
//! It is only read, once, to be brought over.

use super::entry::{self, Entry, found_by};
use super::log::{self, Tip};
use super::piece::{self, effect, effect_source, key_source};
use super::writer::anchor;
use crate::StoredEvent;
use crate::chain::{self, Walk};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use std::sync::Arc;
use vocab::{
    Bytes, Cause, Code, Delivered, Epoch, Event, EventKind, EvidenceClass, Hash, Instant, Lsn, Name, Outcome, Record,
    RunId, State, StepId, StepIntent, StepRow, StepStatus, Verification,
};

/// Gives the names of the old tables to the new ones.
pub(super) fn set_aside(db: &Connection) -> Result<()> {
    db.execute_batch(
        "DROP INDEX step_run; DROP INDEX step_open; DROP INDEX step_due; DROP INDEX step_twin; DROP INDEX step_key;
         ALTER TABLE meta RENAME TO old_meta; ALTER TABLE step RENAME TO old_step; ALTER TABLE anchor RENAME TO old_anchor",
    )
}

/// Writes what the old tables hold into the new ones, and drops them.
pub(super) fn bring_over(db: &Connection) -> Result<()> {
    let (end, last_at) = old_end(db)?;
    db.execute(
        "INSERT INTO meta(one, database, epoch, gap_since, backup_of, backup_at, orphans_checked, origin, origin_hash)
         SELECT 1, database, epoch, gap_since, backup_of, backup_at, ?1, ?1, ?2 FROM old_meta",
        params![end.lsn.0.cast_signed(), end.hash.0],
    )?;
    // The new log begins where the old chain ended, so that a mark of that time still tells an older copy.
    let mut tip = Tip { pos: end.lsn.0.cast_signed(), lsn: Lsn(0), hash: end.hash };
    let last: i64 = db.query_row("SELECT coalesce(max(seq), 0) FROM old_step", [], |row| row.get(0))?;
    let mut statement = db.prepare(&whole("ORDER BY seq"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, row) = (row.get::<_, i64>(0)?, step(row)?);
        if row.expired {
            // Tombstones have no rows in the log, and so no position in it: they stand before its beginning.
            put_stone(db, seq - last - 1, &row)?;
        } else {
            tip = put_step(db, tip, &row)?;
        }
    }
    tip = put_orphans(db, tip)?;
    db.execute("UPDATE meta SET settled = ?1", [tip.pos])?;
    if tip.pos > 0 {
        anchor(db, tip, last_at)?;
    }
    db.execute_batch(
        "DROP TABLE old_meta; DROP TABLE old_step; DROP TABLE old_anchor; DROP TABLE body; DROP TABLE event;
         DROP TABLE event_gap",
    )
}

/// The end of the old chain, checked from its last anchor on, and the time of the last event.
fn old_end(db: &Connection) -> Result<(chain::Tip, Instant)> {
    let database = db.query_row("SELECT database FROM old_meta", [], |row| row.get(0))?;
    let anchored = db
        .query_row("SELECT lsn, hash, at FROM old_anchor ORDER BY lsn DESC LIMIT 1", [], |row| {
            let tip = chain::Tip { lsn: Lsn(row.get::<_, i64>(0)?.cast_unsigned()), hash: Hash(row.get(1)?) };
            Ok((tip, log::instant(row.get(2)?)))
        })
        .optional()?;
    let (from, mut last_at) = anchored.unwrap_or((chain::Tip::genesis(&database), Instant::ZERO));
    let mut walk = Walk::from(from);
    let mut statement = db.prepare(&format!("SELECT {EVENT} FROM event WHERE lsn > ?1 ORDER BY lsn"))?;
    let mut rows = statement.query([from.lsn.0.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let (stored, hash) = event(row)?;
        skip_gap(db, &mut walk)?;
        walk.event(&stored, hash);
        last_at = stored.event.at;
    }
    skip_gap(db, &mut walk)?;
    match walk.findings.first() {
        Some(finding) => Err(log::damaged(format!(
            "{finding}: the file was changed or damaged; restore a backup, or move it away and start a new journal"
        ))),
        None => Ok((walk.tip, last_at)),
    }
}

fn skip_gap(db: &Connection, walk: &mut Walk) -> Result<()> {
    let next = walk.tip.lsn.0.cast_signed() + 1;
    let gap = db
        .prepare_cached("SELECT first, last, hash FROM event_gap WHERE first <= ?1 AND last >= ?1")?
        .query_row([next], |row| {
            let (first, last): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok(chain::Gap {
                first: Lsn(first.cast_unsigned()),
                last: Lsn(last.cast_unsigned()),
                hash: Hash(row.get(2)?),
            })
        })
        .optional()?;
    if let Some(gap) = gap {
        walk.skip(&gap);
    }
    Ok(())
}

fn put_stone(db: &Connection, seq: i64, row: &StepRow) -> Result<()> {
    let stone = piece::pack_stone(row);
    let entry = Entry { expired: true, ..Entry::new(seq, &row.intent, &row.status, row.epoch) };
    entry::put(db, &entry)?;
    db.prepare_cached("UPDATE step SET stone = ?2 WHERE seq = ?1")?.execute(params![seq, stone])?;
    // Its content was forgotten with its bodies.
    for word in found_by(&row.intent).take(2) {
        entry::put_find(db, word, seq)?;
    }
    Ok(())
}

fn put_step(db: &Connection, mut tip: Tip, row: &StepRow) -> Result<Tip> {
    let seq = tip.pos + 1;
    let (step, epoch) = (row.intent.step, row.epoch);
    let mut entry = Entry::new(seq, &row.intent, &row.status, epoch);
    let mut records = vec![Record::Insert { intent: Arc::clone(&row.intent), status: row.status.clone(), epoch }];
    if let Some(result) = &row.result {
        entry.result_at = Some(seq);
        records.push(Record::Update { step, epoch, status: row.status.clone(), result: Some(result.clone()) });
    }
    let mut at = row.intent.created_at;
    let mut writer = epoch;
    let mut statement = db.prepare_cached(&format!("SELECT {EVENT} FROM event WHERE step_id = ?1 ORDER BY lsn"))?;
    let mut events = statement.query([step.0])?;
    while let Some(event_row) = events.next()? {
        let (stored, _) = event(event_row)?;
        // A row of the log has one writer.
        let begins = records.iter().all(|record| !matches!(record, Record::Event(_)));
        if stored.epoch != writer && !begins {
            tip = put_row(db, tip, step, at, writer, &std::mem::take(&mut records))?;
        }
        writer = stored.epoch;
        at = stored.event.at;
        records.push(Record::Event(stored.event));
    }
    tip = put_row(db, tip, step, at, writer, &records)?;
    entry::put(db, &entry)?;
    for word in found_by(&row.intent) {
        entry::put_find(db, word, seq)?;
    }
    Ok(tip)
}

/// Events of refusals, which have no step, and of tombstones.
fn put_orphans(db: &Connection, mut tip: Tip) -> Result<Tip> {
    let mut statement = db.prepare(&format!(
        "SELECT {EVENT} FROM event WHERE NOT EXISTS (
           SELECT 1 FROM old_step WHERE old_step.step_id = event.step_id AND expired = 0) ORDER BY lsn"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (StoredEvent { epoch, event, .. }, _) = event(row)?;
        tip = put_row(db, tip, event.step, event.at, epoch, &[Record::Event(event.clone())])?;
    }
    Ok(tip)
}

fn put_row(db: &Connection, tip: Tip, step: StepId, at: Instant, writer: Epoch, records: &[Record]) -> Result<Tip> {
    let mut packed = Vec::new();
    piece::begin(&mut packed, writer);
    piece::pack(&mut packed, records);
    let events = records.iter().filter(|record| matches!(record, Record::Event(_))).count();
    let next = tip.after(step, at, events as u64, &packed);
    log::put(db, next, step, at, &packed)?;
    Ok(next)
}

/// The columns that [`step`] reads, in its order.
const STEP: &str = "seq, state, attempt, outcome, cause, verification, told, delivered, run_again, remote_task, \
    first_sent_at, last_sent_at, closed_at, next_action_at, epoch, expired, step_id, key, generation, key_source, \
    fingerprint, content, scope, tenant, principal, run_id, upstream, tool, effect, effect_source, policy, lane, \
    upstream_key, created_at";

/// A query for steps with their bodies.
fn whole(rest: &str) -> String {
    format!(
        "SELECT {STEP}, (SELECT bytes FROM body WHERE id = seq * 4), (SELECT bytes FROM body WHERE id = seq * 4 + 1), \
         (SELECT bytes FROM body WHERE id = seq * 4 + 2), (SELECT bytes FROM body WHERE id = seq * 4 + 3) \
         FROM old_step {rest}"
    )
}

fn step(row: &Row<'_>) -> Result<StepRow> {
    let mut at = Columns { row, next: 1 };
    let status = StepStatus {
        state: at.decoded("state", State::from_number)?,
        attempt: at.plain()?,
        outcome: at.optional("outcome", Outcome::from_number)?,
        cause: at.optional("cause", Cause::from_number)?,
        verification: at.decoded("verification", Verification::from_number)?,
        told: at.told()?,
        delivered: at.decoded("delivered", Delivered::from_number)?,
        run_again: at.plain()?,
        remote_task: at.name_or_none()?,
        first_sent_at: at.instant_or_none()?,
        last_sent_at: at.instant_or_none()?,
        closed_at: at.instant_or_none()?,
        next_action_at: at.instant_or_none()?,
    };
    let epoch = Epoch(at.plain::<i64>()?.cast_unsigned());
    let expired = at.plain()?;
    let mut intent = StepIntent {
        step: StepId(at.plain()?),
        key: Hash(at.plain()?),
        generation: at.plain()?,
        key_source: at.decoded("key source", key_source)?,
        fingerprint: Hash(at.plain()?),
        content: at.hash_or_zero()?,
        scope: at.hash_or_zero()?,
        tenant: at.name()?,
        principal: at.name()?,
        run: RunId(at.plain()?),
        upstream: at.name()?,
        tool: at.name()?,
        effect: at.decoded("effect", effect)?,
        effect_source: at.decoded("effect source", effect_source)?,
        policy: at.hash_or_zero()?,
        lane: at.name_or_none()?,
        upstream_key: at.name_or_none()?,
        created_at: at.instant_or_none()?.unwrap_or_default(),
        args: Bytes::new(),
        preimage: None,
        undo: None,
    };
    intent.args = at.bytes()?.unwrap_or_default();
    let result = at.bytes()?;
    intent.preimage = at.bytes()?;
    intent.undo = at.bytes()?;
    Ok(StepRow { intent: Arc::new(intent), status, epoch, result, expired })
}

/// The columns that [`event`] reads.
const EVENT: &str = "lsn, step_id, at, epoch, kind, attempt, class, detail, hash";

fn event(row: &Row<'_>) -> Result<(StoredEvent, Hash)> {
    let mut at = Columns { row, next: 0 };
    let lsn = Lsn(at.plain::<i64>()?.cast_unsigned());
    let step = StepId(at.plain()?);
    let instant = at.instant_or_none()?.unwrap_or_default();
    let epoch = Epoch(at.plain::<i64>()?.cast_unsigned());
    let event = Event {
        step,
        at: instant,
        kind: at.decoded("event", EventKind::from_number)?,
        attempt: at.plain()?,
        class: at.optional("class", EvidenceClass::from_number)?,
        detail: at.plain()?,
    };
    Ok((StoredEvent { lsn, epoch, event }, Hash(at.plain()?)))
}

/// Reads columns one after the other.
struct Columns<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl Columns<'_> {
    fn index(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    fn plain<T: rusqlite::types::FromSql>(&mut self) -> Result<T> {
        let index = self.index();
        self.row.get(index)
    }

    fn decoded<T>(&mut self, what: &str, decode: impl Fn(u8) -> Option<T>) -> Result<T> {
        let index = self.index();
        let number = self.row.get(index)?;
        decode(number).ok_or_else(|| unknown(index, what))
    }

    fn optional<T>(&mut self, what: &str, decode: impl Fn(u8) -> Option<T>) -> Result<Option<T>> {
        let index = self.index();
        let number: Option<u8> = self.row.get(index)?;
        number.map(|number| decode(number).ok_or_else(|| unknown(index, what))).transpose()
    }

    fn told(&mut self) -> Result<Option<Code>> {
        let index = self.index();
        let text = self.row.get_ref(index)?.as_str_or_null()?;
        text.map(|text| Code::parse(text).ok_or_else(|| unknown(index, "code"))).transpose()
    }

    fn name_or_none(&mut self) -> Result<Option<Name>> {
        let index = self.index();
        Ok(self.row.get_ref(index)?.as_str_or_null()?.map(Name::from))
    }

    fn name(&mut self) -> Result<Name> {
        Ok(self.name_or_none()?.unwrap_or_else(|| Name::from("")))
    }

    fn instant_or_none(&mut self) -> Result<Option<Instant>> {
        let number: Option<i64> = self.plain()?;
        Ok(number.map(|micros| Instant::from_micros(u64::try_from(micros).unwrap_or(0))))
    }

    fn hash_or_zero(&mut self) -> Result<Hash> {
        Ok(self.plain::<Option<[u8; 32]>>()?.map(Hash).unwrap_or_default())
    }

    fn bytes(&mut self) -> Result<Option<Bytes>> {
        let index = self.index();
        Ok(self.row.get_ref(index)?.as_blob_or_null()?.map(Bytes::copy_from_slice))
    }
}

fn unknown(index: usize, what: &str) -> rusqlite::Error {
    let why = format!("a stored {what} that this program does not know");
    rusqlite::Error::FromSqlConversionFailure(index, Type::Integer, why.into())
}
