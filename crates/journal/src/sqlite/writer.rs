//! The one thread that writes: drains the queue into one transaction, waits for its fsync, tells all waiters at once.

use super::fault::{Faults, Verdict};
use super::log::{Tip, micros};
use super::lookup::{self, Staged};
use super::queue::{Append, Batch, Command, Shared};
use super::recent::{Memory, Recent};
use super::settle::{self, Settling};
use super::{entry::Entry, log, piece, retain};
use crate::{Durable, Error, Maintained};
use parking_lot::RwLock;
use rusqlite::{Connection, params};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use vocab::{Epoch, Instant, Lsn, ReadNote, Record, StepId, StepIntent};

/// Rows between two anchors: what a start has to check at most.
const ANCHOR_EVERY: i64 = 4_096;
/// Anchors kept; the oldest are only of interest to a full check, which does not need them.
const ANCHORS_MAX: i64 = 64;
/// Steps in memory above which nothing more is taken before they are settled.
const RECENT_MAX: usize = 65_536;
/// SQLite's own bound, to take a simulated full disk away again.
const PAGES_MAX: i64 = 4_294_967_294;

pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) memory: Arc<RwLock<Memory>>,
    pub(super) epoch: Epoch,
    pub(super) tip: Tip,
    /// Position of the last anchor.
    pub(super) anchor: i64,
    pub(super) last_at: Instant,
    pub(super) faults: Option<Arc<Faults>>,
    pub(super) full: bool,
    /// The log up to here is in the tables.
    pub(super) settled: i64,
    pub(super) settling: Option<Settling>,
    pub(super) settle_after: usize,
    /// Whether a commit is synced, outside of slices of settling.
    pub(super) synced: bool,
    /// What the present commit adds to memory.
    pub(super) staged: Recent,
    /// The row of the log that is being put together.
    pub(super) row: OpenRow,
}

/// Records of one step, until a record of another follows: what was noted of a step just before its outcome shares the
/// row.
#[derive(Default)]
pub(super) struct OpenRow {
    step: Option<StepId>,
    events: u64,
    packed: Vec<u8>,
}

/// What to put back when an append is refused half-way.
enum Undo {
    Inserted(i64, Arc<StepIntent>),
    Updated(i64, Option<Box<Entry>>),
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
            let committed = self.take(batch);
            let finish = self.shared.finish_checkpoint.load(Ordering::Relaxed);
            let finished = committed
                .and_then(|()| self.settle_some())
                .and_then(|()| if finish { self.checkpoint() } else { Ok(()) });
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

    /// Appends first, and then what goes by them: nobody who waits for a barrier waits for retention.
    fn take(&mut self, batch: Batch) -> Result<(), String> {
        let Batch { appends, notes, commands } = batch;
        self.commit(Batch { appends, notes, commands: Vec::new() })?;
        self.commit(Batch { commands, ..Batch::default() })
    }

    /// One transaction. `Err` is a reason to trust nothing any more.
    fn commit(&mut self, batch: Batch) -> Result<(), String> {
        let Batch { appends, notes, commands } = batch;
        if appends.is_empty() && notes.is_empty() && commands.is_empty() {
            return Ok(());
        }
        if self.memory.read().active.entries.len() > RECENT_MAX || self.must_settle_before(&commands) {
            self.settle_all()?;
        }
        let before = (self.tip, self.anchor, self.last_at);
        let mut results = Vec::with_capacity(appends.len());
        let mut replies = Vec::with_capacity(commands.len());
        let written = self.write(&appends, &notes, &commands, &mut results, &mut replies);
        let verdict = written.as_ref().err().map(Verdict::of);
        let mut rolled_back = Ok(());
        if let Some(verdict) = &verdict {
            (self.tip, self.anchor, self.last_at) = before;
            self.staged = Recent::default();
            self.row = OpenRow::default();
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
        // Whoever is told can find it.
        let staged = std::mem::take(&mut self.staged);
        if !staged.entries.is_empty() {
            self.memory.write().merge(staged);
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
        self.end_row()?;
        more_notes.extend_from_slice(notes);
        self.put_notes(&more_notes)?;
        for Command::Retain { now, keep, reply } in commands {
            self.run_sql("SAVEPOINT retain")?;
            let result = match retain::chunk(&self.db, &Staged(&self.staged, &self.memory), *now, keep) {
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
        // Everything is judged before anything is written, so that a refused append has nothing to take back.
        let mut undo = Vec::new();
        let mut pos = self.tip.pos + i64::from(self.row.step.is_some());
        let mut last = self.row.step;
        for (step, records) in rows(records) {
            pos += i64::from(last != Some(step));
            last = Some(step);
            for record in records {
                if let Err(error) = self.stage(pos, record, &mut undo)? {
                    self.unstage(undo);
                    return Err(Stop::Refused(error));
                }
            }
        }
        for (step, records) in rows(records) {
            self.put(step, records)?;
        }
        for record in records {
            match record {
                Record::Read(note) => notes.push(note.clone()),
                Record::Guard(row) => super::guard::put(&self.db, row)?,
                _ => {}
            }
        }
        Ok(Lsn(self.tip.lsn.0 + self.row.events))
    }

    //= G1
    fn may_insert(&self, intent: &StepIntent, epoch: Epoch) -> rusqlite::Result<Result<(), Error>> {
        if epoch != self.epoch {
            return Ok(Err(Error::Fenced));
        }
        let known = Staged(&self.staged, &self.memory);
        if lookup::by_id(&self.db, &known, intent.step)?.is_some() {
            return Ok(Err(Error::Conflict));
        }
        match lookup::is_held(&self.db, &known, intent.key, intent.generation) {
            // Who holds the key cannot be read: nothing may run under it.
            Ok(true) | Err(rusqlite::Error::QueryReturnedNoRows) => Ok(Err(Error::Conflict)),
            Ok(false) => Ok(Ok(())),
            Err(error) => Err(error),
        }
    }

    /// What a record changes about where its step lies and how it stands.
    fn stage(&mut self, pos: i64, record: &Record, undo: &mut Vec<Undo>) -> rusqlite::Result<Result<(), Error>> {
        match record {
            Record::Insert { intent, status, epoch } => {
                if let Err(error) = self.may_insert(intent, *epoch)? {
                    return Ok(Err(error));
                }
                self.staged.insert(pos, intent, status, *epoch);
                undo.push(Undo::Inserted(pos, Arc::clone(intent)));
            }
            Record::Update { step, epoch, status, result } => {
                let found = lookup::by_id(&self.db, &Staged(&self.staged, &self.memory), *step)?;
                let Some(mut entry) = found.filter(|entry| entry.epoch <= *epoch) else {
                    return Ok(Err(Error::Fenced));
                };
                entry.update(pos, status, *epoch, result.is_some());
                let seq = entry.seq;
                undo.push(Undo::Updated(seq, self.staged.entries.insert(seq, entry).map(Box::new)));
            }
            Record::Event(_) | Record::Read(_) | Record::Guard(_) => {}
        }
        Ok(Ok(()))
    }

    fn unstage(&mut self, undo: Vec<Undo>) {
        for one in undo.into_iter().rev() {
            match one {
                Undo::Inserted(seq, intent) => self.staged.remove(seq, &intent),
                Undo::Updated(seq, Some(entry)) => drop(self.staged.entries.insert(seq, *entry)),
                Undo::Updated(seq, None) => drop(self.staged.entries.remove(&seq)),
            }
        }
    }

    /// Adds to the open row of the log, or begins the next.
    fn put(&mut self, step: StepId, records: &[Record]) -> rusqlite::Result<()> {
        if self.row.step != Some(step) {
            self.end_row()?;
            self.row.step = Some(step);
            piece::begin(&mut self.row.packed, self.epoch);
        }
        for record in records {
            if let Record::Event(event) = record {
                self.row.events += 1;
                self.last_at = event.at;
            }
        }
        piece::pack(&mut self.row.packed, records);
        Ok(())
    }

    fn end_row(&mut self) -> rusqlite::Result<()> {
        if let Some(step) = self.row.step.take() {
            self.tip = self.tip.after(step, self.last_at, self.row.events, &self.row.packed);
            log::put(&self.db, self.tip, step, self.last_at, &self.row.packed)?;
        }
        self.row.events = 0;
        self.row.packed.clear();
        Ok(())
    }

    fn put_notes(&self, notes: &[ReadNote]) -> rusqlite::Result<()> {
        let times = || notes.iter().map(|note| micros(note.at));
        let (Some(min), Some(max)) = (times().min(), times().max()) else { return Ok(()) };
        let packed = crate::reads::pack(notes);
        self.db
            .prepare_cached("INSERT INTO read_batch(min_at, max_at, count, notes) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![min, max, i64::try_from(notes.len()).unwrap_or(i64::MAX), packed])?;
        Ok(())
    }

    fn put_anchor(&mut self) -> rusqlite::Result<()> {
        if self.tip.pos - self.anchor >= ANCHOR_EVERY {
            anchor(&self.db, self.tip, self.last_at)?;
            self.anchor = self.tip.pos;
        }
        Ok(())
    }

    /// Retention goes by the tables: what may be due has to be in them.
    fn must_settle_before(&self, commands: &[Command]) -> bool {
        commands.iter().any(|Command::Retain { now, keep, .. }| {
            let cutoff = *now - keep.bodies;
            self.memory.read().entries().any(|entry| entry.closed_at.is_some_and(|at| at <= cutoff))
        })
    }

    /// One slice, where settling is under way or due.
    fn settle_some(&mut self) -> Result<(), String> {
        let asked = self.shared.settle.swap(false, Ordering::Relaxed);
        if self.settling.is_none() {
            let rows = self.tip.pos - self.settled;
            if rows == 0 || !(asked || settle::is_due(&self.memory, rows, self.settle_after)) {
                return Ok(());
            }
            self.settling = Some(Settling::begin(&self.memory, self.tip.pos));
        }
        let Some(settling) = &mut self.settling else { return Ok(()) };
        match slice(&self.db, settling, &self.memory, self.synced) {
            Ok(false) => self.shared.busy.store(true, Ordering::Relaxed),
            Ok(true) => {
                self.settled = settling.up_to();
                self.settling = None;
                self.shared.busy.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                // The log has it all: it is tried again with the next commit.
                self.shared.busy.store(false, Ordering::Relaxed);
                if let Verdict::Fatal(why) = Verdict::of(&error) {
                    self.shared.set_health(Some(Error::Poisoned(why.clone())));
                    return Err(why);
                }
            }
        }
        Ok(())
    }

    /// Everything that is committed, now.
    pub(super) fn settle_all(&mut self) -> Result<(), String> {
        while self.settled < self.tip.pos {
            let before = self.settling.as_ref().map(Settling::done);
            self.shared.settle.store(true, Ordering::Relaxed);
            self.settle_some()?;
            // No room: the tables follow when there is.
            if self.settling.is_some() && self.settling.as_ref().map(Settling::done) == before {
                break;
            }
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

/// One transaction of settling; it is not synced. `true`: that was the last.
fn slice(db: &Connection, settling: &mut Settling, memory: &RwLock<Memory>, synced: bool) -> rusqlite::Result<bool> {
    if synced {
        db.pragma_update(None, "synchronous", "NORMAL")?;
    }
    let write = || {
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let done = settling.slice(db, memory)?;
        db.prepare_cached("COMMIT")?.execute([])?;
        Ok::<_, rusqlite::Error>(done)
    };
    let written = write();
    if written.is_err() && !db.is_autocommit() {
        db.execute_batch("ROLLBACK")?;
    }
    if synced {
        db.pragma_update(None, "synchronous", "FULL")?;
    }
    Ok(settling.wrote(written?, memory))
}

/// The records of an append as rows of the log: each holds what belongs to one step, in order.
fn rows(records: &[Record]) -> impl Iterator<Item = (StepId, &[Record])> {
    records
        .chunk_by(|one, next| step_of(next).is_none_or(|step| step_of(one) == Some(step)))
        .filter_map(|records| step_of(records.first()?).map(|step| (step, records)))
}

fn step_of(record: &Record) -> Option<StepId> {
    match record {
        Record::Insert { intent, .. } => Some(intent.step),
        Record::Update { step, .. } => Some(*step),
        Record::Event(event) => Some(event.step),
        Record::Read(_) | Record::Guard(_) => None,
    }
}

pub(super) fn anchor(db: &Connection, tip: Tip, at: Instant) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO anchor(pos, lsn, hash, at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![tip.pos, tip.lsn.0.cast_signed(), tip.hash.0, micros(at)])?;
    db.prepare_cached("DELETE FROM anchor WHERE pos <= (SELECT pos FROM anchor ORDER BY pos DESC LIMIT 1 OFFSET ?1)")?
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
