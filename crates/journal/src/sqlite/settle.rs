//! Brings the tables up to the log, off the path of commits and a little at a time.
//!
//! A slice is a transaction of its own that is not synced: the next commit's sync covers it, and a power loss that
//! takes it takes only what the log says anyway. What leads to steps is written in its own order, so that a slice
//! touches few pages however scattered the words are.

use super::entry;
use super::recent::Memory;
use parking_lot::RwLock;
use rusqlite::{Connection, Result};

/// Rows of the log for each step in memory, above which settling begins too: notes on old steps make none new.
const ROWS_A_STEP: usize = 8;
/// What one slice writes: some hundred microseconds of work.
const WORDS_A_SLICE: usize = 192;
const STEPS_A_SLICE: usize = 48;

/// A settling under way.
pub(super) struct Settling {
    words: Vec<(i64, i64)>,
    seqs: Vec<i64>,
    /// How many of both are done.
    done: (usize, usize),
    /// All of the log up to here.
    up_to: i64,
}

/// Whether there is enough to begin: so many steps, or rows of the log beside them. It is what a start has to read at
/// most, give or take what one settling lasts.
pub(super) fn is_due(memory: &RwLock<Memory>, unsettled_rows: i64, steps: usize) -> bool {
    let rows = i64::try_from(steps.saturating_mul(ROWS_A_STEP)).unwrap_or(i64::MAX);
    unsettled_rows >= rows || memory.read().active.entries.len() >= steps
}

impl Settling {
    /// Sets aside what is in memory. All of it is committed, up to `up_to`.
    pub(super) fn begin(memory: &RwLock<Memory>, up_to: i64) -> Self {
        let mut memory = memory.write();
        memory.settling = std::mem::take(&mut memory.active);
        let words = memory.settling.find.iter().copied().collect();
        let mut seqs: Vec<_> = memory.settling.entries.keys().copied().collect();
        seqs.sort_unstable();
        Self { words, seqs, done: (0, 0), up_to }
    }

    /// Writes one slice, inside a transaction of the caller. What it returns is to be given to `wrote` after the commit.
    pub(super) fn slice(&self, db: &Connection, memory: &RwLock<Memory>) -> Result<(usize, usize)> {
        let (words, steps) = self.done;
        if words < self.words.len() {
            let end = self.words.len().min(words + WORDS_A_SLICE);
            for (word, seq) in &self.words[words..end] {
                entry::put_find(db, *word, *seq)?;
            }
            return Ok((end, steps));
        }
        let end = self.seqs.len().min(steps + STEPS_A_SLICE);
        for seq in &self.seqs[steps..end] {
            let settling = memory.read().settling.entries.get(seq).cloned();
            if let Some(entry) = settling {
                entry::put(db, &entry)?;
            }
        }
        if end == self.seqs.len() {
            db.prepare_cached("UPDATE meta SET settled = ?1")?.execute([self.up_to])?;
        }
        Ok((words, end))
    }

    /// `true`: the tables have all of it.
    pub(super) fn wrote(&mut self, done: (usize, usize), memory: &RwLock<Memory>) -> bool {
        self.done = done;
        let all = self.done == (self.words.len(), self.seqs.len());
        if all {
            // Taken out under the lock, dropped outside.
            let settled = std::mem::take(&mut memory.write().settling);
            drop(settled);
        }
        all
    }

    pub(super) const fn done(&self) -> (usize, usize) {
        self.done
    }

    pub(super) const fn up_to(&self) -> i64 {
        self.up_to
    }
}
