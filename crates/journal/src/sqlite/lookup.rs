//! From an id, a key or a content to a step: in memory first, then in the tables, and then its rows in the log.

use super::entry::{self, Entry};
use super::piece::{Piece, unpack};
use super::recent::{Memory, Recent};
use super::{log, recent};
use crate::twins;
use parking_lot::RwLock;
use rusqlite::{Connection, Result};
use vocab::{Hash, Instant, StepId, StepRow};

/// Who knows of steps that are not in the tables.
pub(super) trait Known {
    fn entry(&self, seq: i64) -> Option<Entry>;
    fn found(&self, by: i64, out: &mut Vec<i64>);
    /// Whether the tables have to be asked for a word.
    fn may_hold(&self, word: i64) -> bool;
}

impl Known for RwLock<Memory> {
    fn entry(&self, seq: i64) -> Option<Entry> {
        self.read().entry(seq).cloned()
    }

    fn found(&self, by: i64, out: &mut Vec<i64>) {
        self.read().found(by, out);
    }

    fn may_hold(&self, word: i64) -> bool {
        self.read().may_hold(word)
    }
}

/// The writer's view: what it is about to commit lies over what is committed.
pub(super) struct Staged<'a>(pub(super) &'a Recent, pub(super) &'a RwLock<recent::Memory>);

impl Known for Staged<'_> {
    fn entry(&self, seq: i64) -> Option<Entry> {
        self.0.entries.get(&seq).cloned().or_else(|| self.1.entry(seq))
    }

    fn found(&self, by: i64, out: &mut Vec<i64>) {
        self.0.found(by, out);
        self.1.found(by, out);
    }

    fn may_hold(&self, word: i64) -> bool {
        self.1.may_hold(word)
    }
}

/// Steps that may be meant, the latest first, read one by one.
fn candidates<'a>(
    db: &'a Connection,
    known: &'a impl Known,
    word: i64,
) -> Result<impl Iterator<Item = Result<Entry>> + 'a> {
    let mut seqs = Vec::new();
    known.found(word, &mut seqs);
    if known.may_hold(word) {
        entry::found(db, word, &mut seqs)?;
    }
    seqs.sort_unstable_by(|a, b| b.cmp(a));
    seqs.dedup();
    Ok(seqs.into_iter().filter_map(move |seq| match known.entry(seq) {
        Some(entry) => Some(Ok(entry)),
        None => entry::at(db, seq).transpose(),
    }))
}

pub(super) fn by_id(db: &Connection, known: &impl Known, step: StepId) -> Result<Option<Entry>> {
    // A step that is under way stands in memory: no table has to be asked.
    let mut seqs = Vec::new();
    known.found(entry::by_id(step), &mut seqs);
    if let Some(entry) = seqs.into_iter().filter_map(|seq| known.entry(seq)).find(|entry| entry.step == step) {
        return Ok(Some(entry));
    }
    for entry in candidates(db, known, entry::by_id(step))? {
        let entry = entry?;
        if entry.step == step {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// The highest generation under a key.
pub(super) fn by_key(db: &Connection, known: &impl Known, key: Hash) -> Result<Option<StepRow>> {
    let mut highest: Option<StepRow> = None;
    for entry in candidates(db, known, entry::by_key(key))? {
        let row = whole(db, &entry?)?;
        let is_higher = highest.as_ref().is_none_or(|so_far| row.intent.generation > so_far.intent.generation);
        if row.intent.key == key && is_higher {
            highest = Some(row);
        }
    }
    Ok(highest)
}

/// The latest live mutation of equal content in a scope, not made before `since`. Which is the latest goes by the order
/// of claims: within a process it is that of their times.
pub(super) fn by_content(
    db: &Connection,
    known: &impl Known,
    (scope, content, since): (Hash, Hash, Instant),
) -> Result<Option<StepRow>> {
    for entry in candidates(db, known, entry::by_content(scope, content))? {
        let entry = entry?;
        if entry.expired || entry.created_at < since || !entry.effect.is_mutation() {
            continue;
        }
        let row = whole(db, &entry)?;
        if row.intent.scope == scope && row.intent.content == content && twins::counts(&row) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// Whether a step holds a key in this generation.
pub(super) fn is_held(db: &Connection, known: &impl Known, key: Hash, generation: u32) -> Result<bool> {
    for entry in candidates(db, known, entry::by_key(key))? {
        let row = whole(db, &entry?)?;
        if row.intent.key == key && row.intent.generation == generation {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A step out of its rows: the one that began it, the one with its status, the one with its result.
///
/// # Errors
/// `QueryReturnedNoRows`: one of them is not there, because the step is just being expired; or the file is damaged.
pub(super) fn whole(db: &Connection, entry: &Entry) -> Result<StepRow> {
    let read = |bytes: &[u8]| unpack(entry.step, bytes).map(|(_, pieces)| pieces);
    let mut whole = None;
    let first = if entry.expired { entry::stone(db, entry.seq, read)? } else { log::records(db, entry.seq, read)? };
    for piece in first.ok_or(GONE)? {
        take(&mut whole, piece, entry.expired);
    }
    // From the oldest on, so that the last word counts.
    let result_at = entry.result_at.filter(|pos| *pos != entry.status_at && *pos != entry.seq);
    let status_at = Some(entry.status_at).filter(|pos| *pos != entry.seq);
    for pos in [result_at, status_at].into_iter().flatten() {
        for piece in log::records(db, pos, read)?.ok_or(GONE)? {
            take(&mut whole, piece, entry.expired);
        }
    }
    whole.ok_or(GONE)
}

/// A row that an entry tells of is not there.
pub(super) const GONE: rusqlite::Error = rusqlite::Error::QueryReturnedNoRows;

fn take(row: &mut Option<StepRow>, piece: Piece, expired: bool) {
    match (row, piece) {
        (row, Piece::Insert { intent, status, epoch }) => {
            *row = Some(StepRow { intent, status, epoch, result: None, expired });
        }
        (Some(row), Piece::Update { status, epoch, result }) => {
            row.status = status;
            row.epoch = epoch;
            row.result = result.or_else(|| row.result.take());
        }
        (_, Piece::Update { .. } | Piece::Event(_)) => {}
    }
}
