//! The one thread that writes: drains the queue into one transaction, waits for its fsync, tells all waiters at once.

use super::fault::{Faults, Verdict};
use super::queue::{Append, Batch, Command, Shared};
use super::retain;
use super::rows::{insert, put_event, seq, update};
use crate::chain::Tip;
use crate::{Durable, Error, Maintained};
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use vocab::{Epoch, Instant, Lsn, ReadNote, Record, StepId};

/// Events between two anchors: what a start has to check at most.
const ANCHOR_EVERY: u64 = 4_096;
/// Anchors kept; the oldest are only of interest to a full check, which does not need them.
const ANCHORS_MAX: i64 = 64;
/// Rows whose place is remembered.
const ROWS_MAX: usize = 65_536;
/// SQLite's own bound, to take a simulated full disk away again.
const PAGES_MAX: i64 = 4_294_967_294;

pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) epoch: Epoch,
    pub(super) tip: Tip,
    pub(super) anchor: Lsn,
    pub(super) last_at: Instant,
    pub(super) faults: Option<Arc<Faults>>,
    pub(super) full: bool,
    /// Where the rows of steps under way lie, so that their updates need no look-up by name.
    pub(super) rows: HashMap<StepId, i64>,
}

/// Why an append left no trace.
enum Stop {
    /// This append only.
    Refused(Error),
    /// The whole commit.
    Broken(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(error)
    }
}

type Replies = Vec<(SyncSender<Result<Maintained, Error>>, Result<Maintained, Error>)>;

impl Writer {
    /// Runs until the journal is closed or cannot be trusted. `true`: closed in order.
    pub(super) fn run(&mut self) -> bool {
        while let Some(batch) = self.shared.next() {
            let committed = self.commit(batch);
            let finish = self.shared.finish_checkpoint.load(Ordering::Relaxed);
            let finished = committed.and_then(|()| if finish { self.checkpoint() } else { Ok(()) });
            if finish {
                // Only now may the keeper copy again: two at once, and this one would not have been whole.
                self.shared.finish_checkpoint.store(false, Ordering::Relaxed);
            }
            if let Err(why) = finished {
                self.poison(why);
                return false;
            }
        }
        match self.shared.poisoned() {
            // The keeper found it, beside this thread.
            Some(why) => {
                self.poison(why);
                false
            }
            None => true,
        }
    }

    /// One transaction. `Err` is a reason to trust nothing any more.
    fn commit(&mut self, batch: Batch) -> Result<(), String> {
        let Batch { appends, notes, commands } = batch;
        if appends.is_empty() && notes.is_empty() && commands.is_empty() {
            return Ok(());
        }
        let before = (self.tip, self.anchor, self.last_at);
        let mut results = Vec::with_capacity(appends.len());
        let mut replies = Vec::with_capacity(commands.len());
        let written = self.write(&appends, &notes, &commands, &mut results, &mut replies);
        let verdict = written.as_ref().err().map(Verdict::of);
        let mut rolled_back = Ok(());
        if let Some(verdict) = &verdict {
            (self.tip, self.anchor, self.last_at) = before;
            self.rows.clear();
            // Some errors have rolled back already.
            if !self.db.is_autocommit() {
                rolled_back = self.db.execute_batch("ROLLBACK");
            }
            let error = verdict.error();
            results.clear();
            results.resize_with(appends.len(), || Err(error.clone()));
            replies = commands.into_iter().map(|Command::Retain { reply, .. }| (reply, Err(error.clone()))).collect();
        }
        let fatal = match (&verdict, rolled_back) {
            (Some(Verdict::Fatal(why)), _) => Some(why.clone()),
            // A transaction that cannot be rolled back leaves the connection in no known state.
            (Some(_), Err(error)) => Some(error.to_string()),
            _ => None,
        };
        match &fatal {
            // Before anybody hears of it: what they append next must be refused.
            Some(why) => self.shared.set_health(Some(Error::Poisoned(why.clone()))),
            None => self.shared.set_health(verdict.map(|verdict| verdict.error())),
        }
        *self.shared.tip.lock() = self.tip;
        let told = appends.iter().zip(results);
        self.shared.tell(told.filter_map(|(one, result)| Some(Durable { ticket: one.ticket?, result })).collect());
        for (reply, result) in replies {
            // Whoever asked may have gone.
            drop(reply.send(result));
        }
        fatal.map_or(Ok(()), Err)
    }

    //= G4
    fn write(
        &mut self,
        appends: &[Append],
        notes: &[ReadNote],
        commands: &[Command],
        results: &mut Vec<Result<Lsn, Error>>,
        replies: &mut Replies,
    ) -> rusqlite::Result<()> {
        self.simulate_full_disk()?;
        self.run_sql("BEGIN IMMEDIATE")?;
        let mut more_notes = Vec::new();
        for append in appends {
            match self.apply(&append.records, &mut more_notes) {
                Ok(lsn) => results.push(Ok(lsn)),
                Err(Stop::Refused(error)) => results.push(Err(error)),
                Err(Stop::Broken(error)) => return Err(error),
            }
        }
        more_notes.extend_from_slice(notes);
        self.put_notes(&more_notes)?;
        for Command::Retain { now, keep, reply } in commands {
            self.run_sql("SAVEPOINT retain")?;
            let result = match retain::chunk(&self.db, *now, keep) {
                Ok(done) => Ok(done),
                Err(error) if self.db.is_autocommit() => return Err(error),
                Err(error) => {
                    self.run_sql("ROLLBACK TO retain")?;
                    Err(Verdict::of(&error).error())
                }
            };
            self.run_sql("RELEASE retain")?;
            replies.push((reply.clone(), result));
        }
        self.put_anchor()?;
        if let Some(faults) = &self.faults {
            faults.sync()?;
        }
        self.run_sql("COMMIT")
    }

    /// All records of one append or none.
    fn apply(&mut self, records: &[Record], notes: &mut Vec<ReadNote>) -> Result<Lsn, Stop> {
        let before = (self.tip, self.last_at, notes.len());
        // A refusal of the first record has nothing to take back: the usual append needs no savepoint.
        let guarded =
            records.iter().skip(1).any(|record| matches!(record, Record::Insert { .. } | Record::Update { .. }));
        if guarded {
            self.run_sql("SAVEPOINT one")?;
        }
        for record in records {
            if let Err(error) = self.record(record, notes)? {
                (self.tip, self.last_at) = (before.0, before.1);
                notes.truncate(before.2);
                self.rows.clear();
                if guarded {
                    self.run_sql("ROLLBACK TO one")?;
                    self.run_sql("RELEASE one")?;
                }
                return Err(Stop::Refused(error));
            }
        }
        if guarded {
            self.run_sql("RELEASE one")?;
        }
        Ok(self.tip.lsn)
    }

    fn record(&mut self, record: &Record, notes: &mut Vec<ReadNote>) -> Result<Result<(), Error>, Stop> {
        match record {
            //= G1
            Record::Insert { intent, status, epoch } => {
                if *epoch != self.epoch {
                    return Ok(Err(Error::Fenced));
                }
                let Some(seq) = insert(&self.db, intent, status, *epoch)? else { return Ok(Err(Error::Conflict)) };
                if status.state.is_open() {
                    if self.rows.len() >= ROWS_MAX {
                        self.rows.clear();
                    }
                    self.rows.insert(intent.step, seq);
                }
            }
            Record::Update { step, epoch, status, result } => {
                let known = if status.state.is_open() { self.rows.get(step).copied() } else { self.rows.remove(step) };
                let seq = match known {
                    Some(seq) => Some(seq),
                    None => seq(&self.db, *step)?,
                };
                let Some(seq) = seq else { return Ok(Err(Error::Fenced)) };
                if !update(&self.db, seq, *step, status, *epoch, result.as_ref())? {
                    return Ok(Err(Error::Fenced));
                }
            }
            Record::Event(event) => {
                self.tip = self.tip.after(self.epoch, event);
                self.last_at = event.at;
                put_event(&self.db, event, self.epoch, self.tip)?;
            }
            Record::Read(note) => notes.push(note.clone()),
            Record::Guard(row) => super::guard::put(&self.db, row)?,
        }
        Ok(Ok(()))
    }

    fn put_notes(&self, notes: &[ReadNote]) -> rusqlite::Result<()> {
        let times = || notes.iter().map(|note| super::rows::micros(note.at));
        let (Some(min), Some(max)) = (times().min(), times().max()) else { return Ok(()) };
        let packed = crate::reads::pack(notes);
        self.db
            .prepare_cached("INSERT INTO read_batch(min_at, max_at, count, notes) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![min, max, i64::try_from(notes.len()).unwrap_or(i64::MAX), packed])?;
        Ok(())
    }

    fn put_anchor(&mut self) -> rusqlite::Result<()> {
        if self.tip.lsn.0 - self.anchor.0 >= ANCHOR_EVERY {
            anchor(&self.db, self.tip, self.last_at)?;
            self.anchor = self.tip.lsn;
        }
        Ok(())
    }

    /// Copies what is left of the WAL. Between two commits nothing can be added meanwhile, so unless somebody reads
    /// from an old snapshot the next commit starts the WAL anew.
    pub(super) fn checkpoint(&self) -> Result<(), String> {
        match checkpoint(&self.db, Copying::Passive) {
            Ok(()) => Ok(()),
            Err(error) => match Verdict::of(&error) {
                Verdict::Fatal(why) => Err(why),
                _ => Ok(()),
            },
        }
    }

    fn poison(&self, why: String) {
        let error = Error::Poisoned(why);
        let left = self.shared.poison(&error);
        let tickets = left.appends.iter().filter_map(|append| append.ticket);
        self.shared.tell(tickets.map(|ticket| Durable { ticket, result: Err(error.clone()) }).collect());
        for Command::Retain { reply, .. } in left.commands {
            drop(reply.send(Err(error.clone())));
        }
    }

    fn simulate_full_disk(&mut self) -> rusqlite::Result<()> {
        let full = self.faults.as_ref().is_some_and(|faults| faults.is_full());
        if full != self.full {
            // A bound below the present size means the present size.
            let pages = if full { 1 } else { PAGES_MAX };
            self.db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            self.full = full;
        }
        Ok(())
    }

    fn run_sql(&self, sql: &str) -> rusqlite::Result<()> {
        self.db.prepare_cached(sql)?.execute([]).map(drop)
    }
}

pub(super) fn anchor(db: &Connection, tip: Tip, at: Instant) -> rusqlite::Result<()> {
    let at = super::rows::micros(at);
    db.prepare_cached("INSERT OR REPLACE INTO anchor(lsn, hash, at) VALUES (?1, ?2, ?3)")?.execute(params![
        tip.lsn.0.cast_signed(),
        tip.hash.0,
        at
    ])?;
    db.prepare_cached("DELETE FROM anchor WHERE lsn <= (SELECT lsn FROM anchor ORDER BY lsn DESC LIMIT 1 OFFSET ?1)")?
        .execute([ANCHORS_MAX])?;
    Ok(())
}

/// How far a checkpoint goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Copying {
    /// What can be copied without making anybody wait.
    Passive,
    /// Everything, and the WAL is emptied.
    Truncate,
}

/// Copies the WAL into the file.
pub(super) fn checkpoint(db: &Connection, how: Copying) -> rusqlite::Result<()> {
    let sql = match how {
        Copying::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Copying::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    db.query_row(sql, [], |_| Ok(()))
}
