//! A step's place: what the tables `step` and `find` say of it, so that the log need not be read through.
//!
//! `find` leads from an id, a key or a content to a step by eight bytes of each. Two can meet by chance, so whoever
//! looks compares the whole; what is gained is an index a fifth as large, and its pages lie at random places.

use super::log::{instant, micros};
use super::piece::{effect, effect_number};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use vocab::{Effect, Epoch, Hash, Instant, Name, Outcome, RunId, State, StepId, StepIntent, StepStatus, Verification};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Position of the row that begins the step.
    pub(super) seq: i64,
    pub(super) step: StepId,
    pub(super) run: RunId,
    pub(super) principal: Name,
    pub(super) upstream: Name,
    pub(super) effect: Effect,
    pub(super) created_at: Instant,
    pub(super) last_at: Instant,
    pub(super) state: State,
    pub(super) outcome: Option<Outcome>,
    pub(super) verification: Verification,
    pub(super) closed_at: Option<Instant>,
    pub(super) epoch: Epoch,
    /// It is a tombstone: the row that began it is gone, and what is left stands in the table.
    pub(super) expired: bool,
    /// Position of the row with its latest status.
    pub(super) status_at: i64,
    /// Position of the row with its latest result.
    pub(super) result_at: Option<i64>,
}

impl Entry {
    pub(super) fn new(seq: i64, intent: &StepIntent, status: &StepStatus, epoch: Epoch) -> Self {
        let mut entry = Self {
            seq,
            step: intent.step,
            run: intent.run,
            principal: intent.principal.clone(),
            upstream: intent.upstream.clone(),
            effect: intent.effect,
            created_at: intent.created_at,
            last_at: intent.created_at,
            state: status.state,
            outcome: None,
            verification: status.verification,
            closed_at: None,
            epoch,
            expired: false,
            status_at: seq,
            result_at: None,
        };
        entry.update(seq, status, epoch, false);
        entry
    }

    pub(super) fn update(&mut self, pos: i64, status: &StepStatus, epoch: Epoch, has_result: bool) {
        let last = [status.last_sent_at, status.closed_at].into_iter().flatten().max();
        self.last_at = last.unwrap_or(self.created_at).max(self.created_at);
        self.state = status.state;
        self.outcome = status.outcome;
        self.verification = status.verification;
        self.closed_at = status.closed_at;
        self.epoch = epoch;
        self.status_at = pos;
        if has_result {
            self.result_at = Some(pos);
        }
    }
}

/// What a step is found by: its id, its key and, where it can have twins, its content.
pub(super) fn found_by(intent: &StepIntent) -> impl Iterator<Item = i64> {
    let twin = intent.effect.is_mutation().then(|| by_content(intent.scope, intent.content));
    [by_id(intent.step), by_key(intent.key)].into_iter().chain(twin)
}

/// Ids begin with their time, so that those of one hour lie together.
pub(super) fn by_id(step: StepId) -> i64 {
    let mut first = [0; 8];
    first.copy_from_slice(&step.0[..8]);
    i64::from_be_bytes(first)
}

pub(super) fn by_key(key: Hash) -> i64 {
    folded(key, 0).cast_signed()
}

pub(super) fn by_content(scope: Hash, content: Hash) -> i64 {
    folded(content, folded(scope, 1)).cast_signed()
}

/// Hashes are spread evenly already: any mixture of their words will do.
fn folded(hash: Hash, start: u64) -> u64 {
    hash.0.chunks_exact(8).fold(start, |mixed, word| {
        let word = word.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        (mixed.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

pub(super) const ENTRY: &str = "seq, step_id, run_id, principal, upstream, effect, created_at, last_at, state, outcome, \
    verification, closed_at, epoch, expired, status_at, result_at";

pub(super) fn entry(row: &Row<'_>) -> Result<Entry> {
    let text = |at: usize| Ok::<_, rusqlite::Error>(Name::from(row.get_ref(at)?.as_str()?));
    let outcome: Option<u8> = row.get(9)?;
    Ok(Entry {
        seq: row.get(0)?,
        step: StepId(row.get(1)?),
        run: RunId(row.get(2)?),
        principal: text(3)?,
        upstream: text(4)?,
        effect: decoded(row, 5, effect)?,
        created_at: instant(row.get(6)?),
        last_at: instant(row.get(7)?),
        state: decoded(row, 8, State::from_number)?,
        outcome: outcome.map(|_| decoded(row, 9, Outcome::from_number)).transpose()?,
        verification: decoded(row, 10, Verification::from_number)?,
        closed_at: row.get::<_, Option<i64>>(11)?.map(instant),
        epoch: Epoch(row.get::<_, i64>(12)?.cast_unsigned()),
        expired: row.get(13)?,
        status_at: row.get(14)?,
        result_at: row.get(15)?,
    })
}

fn decoded<T>(row: &Row<'_>, at: usize, decode: impl Fn(u8) -> Option<T>) -> Result<T> {
    decode(row.get(at)?).ok_or_else(|| {
        let why = "a stored number that this program does not know";
        rusqlite::Error::FromSqlConversionFailure(at, Type::Integer, why.into())
    })
}

/// Adds an entry, or replaces what may have changed about it.
pub(super) fn put(db: &Connection, entry: &Entry) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO step(seq, step_id, run_id, principal, upstream, effect, created_at, last_at, state, outcome,
           verification, closed_at, epoch, expired, status_at, result_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT(seq) DO UPDATE SET last_at = ?8, state = ?9, outcome = ?10, verification = ?11, closed_at = ?12,
           epoch = ?13, status_at = ?15, result_at = ?16",
    )?
    .execute(params![
        entry.seq,
        entry.step.0,
        entry.run.0,
        &*entry.principal,
        &*entry.upstream,
        effect_number(entry.effect),
        micros(entry.created_at),
        micros(entry.last_at),
        entry.state.number(),
        entry.outcome.map(Outcome::number),
        entry.verification.number(),
        entry.closed_at.map(micros),
        entry.epoch.0.cast_signed(),
        entry.expired,
        entry.status_at,
        entry.result_at,
    ])?;
    Ok(())
}

pub(super) fn put_find(db: &Connection, by: i64, seq: i64) -> Result<()> {
    // It may be there: a start repeats what a crash interrupted.
    db.prepare_cached("INSERT OR IGNORE INTO find(word, seq) VALUES (?1, ?2)")?.execute([by, seq]).map(drop)
}

pub(super) const FOUND: &str = "SELECT seq FROM find WHERE word = ?1 ORDER BY seq DESC LIMIT 64";
pub(super) const AT: &str = "SELECT seq, step_id, run_id, principal, upstream, effect, created_at, last_at, state, \
    outcome, verification, closed_at, epoch, expired, status_at, result_at FROM step WHERE seq = ?1";

/// Steps found by one of their words, the latest first.
pub(super) fn found(db: &Connection, by: i64, out: &mut Vec<i64>) -> Result<()> {
    let mut statement = db.prepare_cached(FOUND)?;
    let mut rows = statement.query([by])?;
    while let Some(row) = rows.next()? {
        out.push(row.get(0)?);
    }
    Ok(())
}

pub(super) fn at(db: &Connection, seq: i64) -> Result<Option<Entry>> {
    db.prepare_cached(AT)?.query_row([seq], entry).optional()
}

pub(super) fn stone<T>(db: &Connection, seq: i64, read: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
    let mut statement = db.prepare_cached("SELECT stone FROM step WHERE seq = ?1 AND stone IS NOT NULL")?;
    let mut rows = statement.query([seq])?;
    rows.next()?.map(|row| read(row.get_ref(0)?.as_blob()?)).transpose()
}
