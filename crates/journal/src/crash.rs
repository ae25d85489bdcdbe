//! A journal that keeps only what was synced: crash it, and see what a restart would find.
//!
//! It runs on the caller's thread: `write` hands what is queued to the "kernel", `sync` makes it durable and tells,
//! `pump` does both. A crash loses what was not written; what was written and not synced survives as far as the
//! caller says, always as a whole prefix, because a torn commit is discarded by its checksum.

use crate::memory::store::Store;
use crate::{
    Backup, Durable, Error, Filter, Journal, Maintained, Notify, Recall, Recalled, Retention, RunSummary, Start,
    StoredEvent, Ticket, Verified,
};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use vocab::planted::{self, Planted};
use vocab::{Epoch, GuardKind, GuardRow, Instant, Lsn, Record, StepId, StepRow};

const QUEUE_MAX: usize = 65_536;

/// What becomes of written but unsynced appends in a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Power loss before any of it reached the disk.
    Lost,
    /// The process died and the kernel lived.
    Kept,
    /// Power loss in the middle: a prefix survives, its length drawn from the seed; the append after it is torn.
    Torn(u64),
    /// Power loss: of the sectors of each unsynced append any subset survives, drawn from the seed. A log is read up to
    /// its first damaged append, so that what lies behind one is lost with it.
    Scattered(u64),
}

/// What is on the disk, to be put back later.
#[derive(Clone, Debug)]
pub struct Image(Store);

/// See the module.
pub struct Crash {
    start: Start,
    inner: Mutex<Inner>,
    notify: OnceLock<Notify>,
}

struct Inner {
    /// What was synced: all that a reader sees and a crash keeps.
    durable: Store,
    queue: VecDeque<Append>,
    written: VecDeque<Append>,
    fail_next_sync: bool,
    full: bool,
    failed: Option<Error>,
    closed: bool,
    /// What is really on the disk, once a failed fsync was not minded.
    shadow: Option<Store>,
}

type Append = (Vec<Record>, Option<Ticket>);

impl Default for Image {
    fn default() -> Self {
        Self(Store::new())
    }
}

impl Crash {
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::open(Image::default())
    }

    /// Starts on what is on a disk, under its next epoch.
    #[must_use]
    pub fn open(image: Image) -> Arc<Self> {
        let mut durable = image.0;
        durable.epoch = Epoch(durable.epoch.0 + 1);
        let start = Start { epoch: durable.epoch, gap_since: durable.gap_since.take(), notes: Vec::new() };
        let inner = Inner {
            durable,
            queue: VecDeque::new(),
            written: VecDeque::new(),
            fail_next_sync: false,
            full: false,
            failed: None,
            closed: false,
            shadow: None,
        };
        Arc::new(Self { start, inner: Mutex::new(inner), notify: OnceLock::new() })
    }

    /// Hands what is queued to the kernel, without syncing it; returns how many appends there were.
    pub fn write(&self) -> usize {
        let mut inner = self.inner.lock();
        let queue = std::mem::take(&mut inner.queue);
        let count = queue.len();
        if inner.full {
            drop(inner);
            self.tell(queue.into_iter().map(|(_, ticket)| (ticket, Err(Error::DiskFull))));
            return count;
        }
        inner.written.extend(queue);
        count
    }

    /// Makes what was written durable, and tells; returns how many appends there were.
    pub fn sync(&self) -> usize {
        let mut inner = self.inner.lock();
        let written = std::mem::take(&mut inner.written);
        let count = written.len();
        let fails = std::mem::take(&mut inner.fail_next_sync);
        if fails && planted::is(Planted::FsyncErrorSwallowed) {
            inner.shadow = Some(inner.durable.clone());
        } else if fails {
            let error = Error::Poisoned("injected: fsync failed".to_owned());
            inner.failed = Some(error.clone());
            let queue = std::mem::take(&mut inner.queue);
            // The pages may still be there or not: they stay where a crash decides.
            let tickets: Vec<_> = written.iter().chain(&queue).map(|(_, ticket)| *ticket).collect();
            inner.written = written;
            drop(inner);
            self.tell(tickets.into_iter().map(|ticket| (ticket, Err(error.clone()))));
            return count;
        }
        if let Some(shadow) = inner.shadow.as_mut().filter(|_| !fails) {
            for (records, _) in &written {
                drop(shadow.apply(records));
            }
        }
        let done: Vec<_> =
            written.into_iter().map(|(records, ticket)| (ticket, inner.durable.apply(&records))).collect();
        drop(inner);
        self.tell(done.into_iter());
        count
    }

    /// `write`, then `sync`.
    pub fn pump(&self) -> usize {
        self.write();
        self.sync()
    }

    fn tell(&self, done: impl Iterator<Item = (Option<Ticket>, Result<Lsn, Error>)>) {
        let done: Vec<_> = done.filter_map(|(ticket, result)| Some(Durable { ticket: ticket?, result })).collect();
        if let (Some(notify), false) = (self.notify.get(), done.is_empty()) {
            notify(done);
        }
    }

    /// The next `sync` fails, once; the journal is poisoned from then on.
    pub fn fail_next_sync(&self) {
        self.inner.lock().fail_next_sync = true;
    }

    /// From now on nothing can be written (`true`), or it can again.
    pub fn disk_full(&self, full: bool) {
        self.inner.lock().full = full;
    }

    /// Ends the process and starts the next one on what is left. The old journal is closed and tells nobody anything.
    #[must_use]
    pub fn crash(&self, tail: Tail) -> Arc<Self> {
        Self::open(self.take(tail))
    }

    /// What a crash would leave on the disk at this moment; the journal is closed.
    #[must_use]
    pub fn take(&self, tail: Tail) -> Image {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.queue.clear();
        // The pages are in the kernel's memory until the power goes.
        let shadow = inner.shadow.take().filter(|_| tail != Tail::Kept);
        let mut durable = shadow.unwrap_or_else(|| inner.durable.clone());
        let written = std::mem::take(&mut inner.written);
        let keep = match tail {
            Tail::Lost => 0,
            Tail::Kept => written.len(),
            Tail::Torn(seed) => pick(seed, written.len()),
            Tail::Scattered(seed) => scattered(seed, &written),
        };
        for (records, _) in written.into_iter().take(keep) {
            // Refused appends left nothing on the disk either.
            drop(durable.apply(&records));
        }
        Image(durable)
    }

    /// A copy of what is durable now, as a backup would take it: opened later, it knows that it is older.
    #[must_use]
    pub fn backup_image(&self) -> Image {
        let mut copy = self.inner.lock().durable.clone();
        copy.gap_since = Some(copy.last_at());
        Image(copy)
    }
}

/// How many appends are whole from the beginning on when each of their sectors survives or not.
fn scattered(seed: u64, written: &VecDeque<Append>) -> usize {
    let survives = |(at, (records, _)): &(usize, &Append)| {
        let sectors = 1 + records.len() * 2;
        (0..sectors).all(|sector| pick(seed ^ ((*at as u64) << 32) ^ sector as u64, 7) > 0)
    };
    written.iter().enumerate().take_while(survives).count()
}

/// A number up to and including `max`, from a seed (splitmix64).
fn pick(seed: u64, max: usize) -> usize {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    usize::try_from(mixed % (max as u64 + 1)).unwrap_or(0)
}

impl Journal for Crash {
    fn start(&self) -> &Start {
        &self.start
    }

    fn on_durable(&self, notify: Notify) {
        // A second one would take the first one's tickets away.
        drop(self.notify.set(notify));
    }

    fn append(&self, records: Vec<Record>, ticket: Option<Ticket>) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        if let Some(error) = &inner.failed {
            return Err(error.clone());
        }
        if inner.closed {
            return Err(Error::Closed);
        }
        if inner.queue.len() >= QUEUE_MAX {
            return Err(Error::Full(inner.queue.len()));
        }
        inner.queue.push_back((records, ticket));
        Ok(())
    }

    fn recall(&self, query: &Recall) -> Result<Recalled, Error> {
        Ok(self.inner.lock().durable.recall(query))
    }

    fn open_steps(&self) -> Result<Vec<StepRow>, Error> {
        Ok(self.inner.lock().durable.open_steps())
    }

    fn step(&self, id: StepId) -> Result<Option<StepRow>, Error> {
        Ok(self.inner.lock().durable.step(id))
    }

    fn events(&self, id: StepId) -> Result<Vec<StoredEvent>, Error> {
        Ok(self.inner.lock().durable.events(id))
    }

    fn steps(&self, filter: &Filter) -> Result<Vec<StepRow>, Error> {
        Ok(self.inner.lock().durable.steps(filter))
    }

    fn runs(&self, limit: usize) -> Result<Vec<RunSummary>, Error> {
        Ok(self.inner.lock().durable.runs(limit))
    }

    fn guard(&self, kind: GuardKind, key: &[u8]) -> Result<Option<GuardRow>, Error> {
        Ok(self.inner.lock().durable.guard(kind, key))
    }

    fn guards(&self, kind: GuardKind, limit: usize) -> Result<Vec<GuardRow>, Error> {
        Ok(self.inner.lock().durable.guards(kind, limit))
    }

    fn maintain(&self, now: Instant, keep: &Retention) -> Result<Maintained, Error> {
        Ok(self.inner.lock().durable.maintain(now, keep))
    }

    fn backup(&self, _to: &Path) -> Result<Backup, Error> {
        Err(Error::Write("this journal has no file to copy; take an image".to_owned()))
    }

    fn verify(&self, _full: bool) -> Result<Verified, Error> {
        Ok(self.inner.lock().durable.verify())
    }

    fn health(&self) -> Result<(), Error> {
        let inner = self.inner.lock();
        match &inner.failed {
            Some(error) => Err(error.clone()),
            None if inner.full => Err(Error::DiskFull),
            None if inner.closed => Err(Error::Closed),
            None => Ok(()),
        }
    }

    fn close(&self) {
        let poisoned = {
            let mut inner = self.inner.lock();
            let before = std::mem::replace(&mut inner.closed, true);
            before || inner.failed.is_some()
        };
        if !poisoned {
            self.pump();
        }
    }
}
