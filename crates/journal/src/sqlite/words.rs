//! Which words the table `find` certainly does not hold: the usual call is a new one, and a bit in memory says so.
//!
//! A Bloom filter that only grows. The owner adds what it commits, before anybody is told; what was there before is
//! read in the background, and until that is done every word may be there. Words that were removed stay, and cost a
//! look at the table.

use rusqlite::{Connection, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// 2 MiB of bits: with a million steps nine of ten new words need no look at the table.
const BITS: u64 = 1 << 24;
/// Rows per look at the table, each in a snapshot of its own.
const CHUNK: i64 = 8_192;

pub(super) struct Words {
    bits: Vec<AtomicU64>,
    /// All that the table had at the start is in.
    filled: AtomicBool,
}

impl Words {
    pub(super) fn new() -> Self {
        let bits = std::iter::repeat_with(AtomicU64::default).take(usize::try_from(BITS / 64).unwrap_or(0)).collect();
        Self { bits, filled: AtomicBool::new(false) }
    }

    pub(super) fn add(&self, word: i64) {
        for (at, mask) in places(word) {
            self.bits[at].fetch_or(mask, Ordering::Relaxed);
        }
    }

    /// `false`: neither the table nor anything committed holds it.
    pub(super) fn may_hold(&self, word: i64) -> bool {
        !self.filled.load(Ordering::Acquire)
            || places(word).into_iter().all(|(at, mask)| self.bits[at].load(Ordering::Relaxed) & mask != 0)
    }

    /// Adds what the table holds, until `go_on` says otherwise.
    pub(super) fn fill(&self, db: &Connection, mut go_on: impl FnMut() -> bool) -> Result<()> {
        let (mut word, mut seq) = (i64::MIN, i64::MIN);
        let mut statement =
            db.prepare("SELECT word, seq FROM find WHERE (word, seq) > (?1, ?2) ORDER BY word, seq LIMIT ?3")?;
        while go_on() {
            let mut found = 0;
            let mut rows = statement.query([word, seq, CHUNK])?;
            while let Some(row) = rows.next()? {
                (word, seq) = (row.get(0)?, row.get(1)?);
                self.add(word);
                found += 1;
            }
            if found < CHUNK {
                self.filled.store(true, Ordering::Release);
                break;
            }
        }
        Ok(())
    }
}

/// Two bits for each word. Ids begin with their time, so that words have to be mixed first.
fn places(word: i64) -> [(usize, u64); 2] {
    let mut mixed = word.cast_unsigned() ^ 0x9e37_79b9_7f4a_7c15;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    [mixed % BITS, (mixed >> 32) % BITS].map(|bit| (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_was_added_may_be_there_and_few_others_may() {
        let words = Words::new();
        assert!(words.may_hold(7), "before it is filled everything may be there");
        let db = Connection::open_in_memory().expect("memory");
        db.execute_batch("CREATE TABLE find(word INTEGER, seq INTEGER, PRIMARY KEY(word, seq)) WITHOUT ROWID")
            .expect("a table");
        for word in 0..20_000 {
            db.execute("INSERT INTO find VALUES (?1, 1), (?1, 2)", [word * 1_001 - 9_000_000]).expect("a row");
        }
        words.fill(&db, || true).expect("readable");
        words.add(i64::MAX);
        assert!(words.may_hold(i64::MAX));
        assert!((0..20_000).all(|word| words.may_hold(word * 1_001 - 9_000_000)));
        let wrong = (0..20_000).filter(|word| words.may_hold(word * 1_001 + 30_000_000)).count();
        assert!(wrong < 200, "{wrong} of 20000 for nothing");
    }
}
