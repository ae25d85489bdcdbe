//! Steps that stand in the log and not yet in the tables: the same two forms, in memory.
//!
//! The writer adds what it committed and takes all of it out again once the tables have it (`settle`); a start reads
//! it from the end of the log. Whoever looks something up asks here first and then the tables.

use super::entry::{self, Entry, found_by};
use super::piece::{Piece, unpack};
use super::words::Words;
use rusqlite::{Connection, Result};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use vocab::{Epoch, StepId, StepIntent, StepStatus};

#[derive(Debug, Default)]
pub(super) struct Recent {
    pub(super) entries: HashMap<i64, Entry>,
    pub(super) find: BTreeSet<(i64, i64)>,
}

impl Recent {
    pub(super) fn insert(&mut self, seq: i64, intent: &StepIntent, status: &StepStatus, epoch: Epoch) {
        self.entries.insert(seq, Entry::new(seq, intent, status, epoch));
        self.find.extend(found_by(intent).map(|by| (by, seq)));
    }

    pub(super) fn remove(&mut self, seq: i64, intent: &StepIntent) {
        self.entries.remove(&seq);
        for by in found_by(intent) {
            self.find.remove(&(by, seq));
        }
    }

    pub(super) fn found(&self, by: i64, out: &mut Vec<i64>) {
        out.extend(self.find.range((by, i64::MIN)..=(by, i64::MAX)).rev().map(|(_, seq)| *seq));
    }

    pub(super) fn merge(&mut self, newer: Self) {
        self.entries.extend(newer.entries);
        self.find.extend(newer.find);
    }
}

/// All that is not in the tables.
#[derive(Default)]
pub(super) struct Memory {
    /// What was committed since the last settling began.
    pub(super) active: Recent,
    /// What is being settled: the tables have some of it.
    pub(super) settling: Recent,
    /// What else the tables may hold. `None`: anything.
    pub(super) words: Option<Arc<Words>>,
}

impl Memory {
    pub(super) fn entry(&self, seq: i64) -> Option<&Entry> {
        self.active.entries.get(&seq).or_else(|| self.settling.entries.get(&seq))
    }

    pub(super) fn found(&self, by: i64, out: &mut Vec<i64>) {
        self.active.found(by, out);
        self.settling.found(by, out);
    }

    /// Adds what was committed.
    pub(super) fn merge(&mut self, newer: Recent) {
        if let Some(words) = &self.words {
            newer.find.iter().for_each(|(word, _)| words.add(*word));
        }
        self.active.merge(newer);
    }

    pub(super) fn may_hold(&self, word: i64) -> bool {
        self.words.as_ref().is_none_or(|words| words.may_hold(word))
    }

    /// Each step once, as it is now.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let settling = self.settling.entries.iter().filter(|(seq, _)| !self.active.entries.contains_key(seq));
        self.active.entries.values().chain(settling.map(|(_, entry)| entry))
    }

    /// What the end of the log says that the tables do not.
    pub(super) fn replay(db: &Connection) -> Result<Self> {
        let mut memory = Self::default();
        let mut statement = db.prepare_cached(TAIL)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (pos, step) = (row.get(0)?, StepId(row.get(1)?));
            let (_, pieces) = unpack(step, row.get_ref(2)?.as_blob()?)?;
            for piece in pieces {
                memory.replay_one(db, pos, step, &piece)?;
            }
        }
        Ok(memory)
    }

    fn replay_one(&mut self, db: &Connection, pos: i64, step: StepId, piece: &Piece) -> Result<()> {
        match piece {
            Piece::Insert { intent, status, epoch } => self.active.insert(pos, intent, status, *epoch),
            Piece::Update { status, epoch, result } => {
                if let Some(mut entry) = self.by_id(db, step)? {
                    entry.update(pos, status, *epoch, result.is_some());
                    self.active.entries.insert(entry.seq, entry);
                }
            }
            Piece::Event(_) => {}
        }
        Ok(())
    }

    fn by_id(&self, db: &Connection, step: StepId) -> Result<Option<Entry>> {
        let mut seqs = Vec::new();
        self.found(entry::by_id(step), &mut seqs);
        entry::found(db, entry::by_id(step), &mut seqs)?;
        for seq in seqs {
            let entry = match self.entry(seq) {
                Some(entry) => Some(entry.clone()),
                None => entry::at(db, seq)?,
            };
            if entry.as_ref().is_some_and(|entry| entry.step == step) {
                return Ok(entry);
            }
        }
        Ok(None)
    }
}

pub(super) const TAIL: &str =
    "SELECT pos, step_id, records FROM log WHERE pos > (SELECT settled FROM meta WHERE one = 1) ORDER BY pos";
