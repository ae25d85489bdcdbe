//! The journal in one SQLite file: WAL, one writer thread with group commit, readers that never wait for it.
//!
//! An append becomes rows of the `log`, which is what a barrier waits for; `writer` puts them there. What leads to a
//! step stands in memory (`recent`) until `settle` has written it to the tables, and `lookup` asks both. Reading a step
//! is reading its rows of the log.
//!
//! Every call but `append` may block for the time of a disk read; see each for its bound.

mod copy;
mod earlier;
mod entry;
mod fault;
mod guard;
pub(crate) mod hostile;
mod keeper;
mod log;
mod lookup;
mod mark;
mod open;
mod piece;
mod place;
mod pool;
mod query;
mod queue;
mod recent;
mod retain;
mod schema;
mod settle;
mod verify;
mod words;
mod writer;

pub use fault::Faults;

use crate::{
    Backup, Error, Filter, Journal, Maintained, Notify, Recall, Recalled, Retention, RunSummary, Start, StoredEvent,
    Ticket, Verified,
};
use keeper::{Bell, Keeper};
use log::Tip;
use mark::Mark;
use open::{Meta, Opened};
use parking_lot::{Mutex, RwLock};
use place::{Lock, Place};
use pool::Pool;
use queue::{Command, Shared};
use recent::{Memory, Recent};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};
use vocab::{GuardKind, GuardRow, Instant, Record, StepId, StepRow};
use words::Words;
use writer::{Copying, OpenRow, Writer, checkpoint};

/// The last event's position: its row may be gone, anchors and gaps remember.
const LAST_LSN: &str = "SELECT max(
    coalesce((SELECT lsn FROM log WHERE pos = (SELECT max(pos) FROM log)), 0),
    coalesce((SELECT lsn FROM log_gap WHERE first = (SELECT max(first) FROM log_gap)), 0),
    coalesce((SELECT lsn FROM anchor WHERE pos = (SELECT max(pos) FROM anchor)), 0))";
/// Chunks of retention per call of `maintain`; each is a commit of its own.
const CHUNKS_MAX: usize = 32;
const PAGE: u64 = 4_096;
/// How often a look that met a row on its way out is begun.
const LOOKS: u32 = 3;

/// What a commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Power loss: every commit is synced.
    #[default]
    Full,
    /// The end of this process only. After a power loss the last commits may be missing, which is found and reported
    /// as a gap; the guarantees then hold across process crashes only.
    ProcessCrashOnly,
}

/// How a journal is opened.
#[derive(Clone)]
pub struct Options {
    /// The time now, for the stamp of a backup. Everything else takes its time from the records.
    pub clock: Arc<dyn Fn() -> Instant + Send + Sync>,
    pub durability: Durability,
    /// Appends that may wait for the writer.
    pub queue_max: usize,
    /// Bytes that the waiting appends may hold.
    pub queue_bytes_max: usize,
    /// Size of the WAL, in bytes, at which it is copied into the file even while commits go on.
    pub checkpoint_bytes: u64,
    /// Steps that stay in memory and in the log until the tables are brought up to them, a batch at a time.
    pub settle_after: usize,
    /// At the end a gap that was found stays for the next start to report: for one who only writes something down.
    pub keep_gap: bool,
    /// Makes the disk fail, in tests.
    pub faults: Option<Arc<Faults>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(wall_clock),
            durability: Durability::Full,
            queue_max: 16_384,
            queue_bytes_max: 64 << 20,
            checkpoint_bytes: 4 << 20,
            settle_after: 4_096,
            keep_gap: false,
            faults: None,
        }
    }
}

fn wall_clock() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// A journal in a file.
///
/// A closure given to `on_durable` that holds the journal keeps it alive: call [`close`](Journal::close) at the end.
pub struct Sqlite {
    start: Start,
    pool: Pool,
    genesis: Tip,
    /// What is not in the tables yet; one who only reads takes it from the end of the log, each time.
    memory: Option<Arc<RwLock<Memory>>>,
    options: Options,
    write: Option<Write>,
}

/// What only the owner of the journal has.
struct Write {
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Shared with the writer's thread, so that nobody can open the file while that still works.
    lock: Mutex<Option<Arc<Lock>>>,
}

impl Sqlite {
    /// Opens the journal at `path` (a directory, or a file that ends in `.db`) for writing, and makes it if need be.
    /// Blocks for the recovery of the WAL and a check of at most some thousand events, whatever the size of the file.
    ///
    /// # Errors
    /// `Locked` when another gateway uses it, `Open` when the file is no journal, is damaged or newer than this
    /// program, `DiskFull` when there is no room for the few bytes that a start writes.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Arc<Self>, Error> {
        let place = Place::of(path.as_ref());
        let Opened { db, lock, start, tip, genesis, last_at, mark, memory, settled } = open::open(&place, &options)?;
        let words = Arc::new(Words::new());
        memory.active.find.iter().for_each(|(word, _)| words.add(*word));
        let memory = Arc::new(RwLock::new(Memory { words: Some(Arc::clone(&words)), ..memory }));
        let shared = Arc::new(Shared::new(options.queue_max, options.queue_bytes_max, tip));
        let bell = Arc::new(Bell::default());
        let lock = Arc::new(lock);
        let frames_max = (options.checkpoint_bytes / PAGE).max(1);
        let writer = Writer {
            db,
            shared: Arc::clone(&shared),
            epoch: start.epoch,
            tip,
            memory: Arc::clone(&memory),
            anchor: tip.pos,
            last_at,
            faults: options.faults.clone(),
            full: false,
            settled,
            settling: None,
            settle_after: options.settle_after.max(1),
            synced: options.durability == Durability::Full,
            staged: Recent::default(),
            row: OpenRow::default(),
        };
        let keeper = Keeper {
            db: pool::open_for_checkpoints(&place.file)?,
            shared: Arc::clone(&shared),
            bell: Arc::clone(&bell),
            frames_max,
            mark,
            mark_path: place.mark(),
            words,
        };
        let threads = spawn(
            writer,
            keeper,
            Arc::clone(&lock),
            mark,
            End { mark_path: place.mark(), keep_gap: options.keep_gap },
        )?;
        let write = Write { shared, bell, threads: Mutex::new(threads), lock: Mutex::new(Some(lock)) };
        let memory = Some(memory);
        let journal = Self { start, pool: Pool::new(place.file), genesis, memory, options, write: Some(write) };
        Ok(Arc::new(journal))
    }

    /// Opens the journal at `path` for reading only, whether or not a gateway uses it; nothing in it is changed and
    /// every append is refused.
    ///
    /// # Errors
    /// `Open` when there is no journal, or none that this program can read.
    pub fn open_readonly(path: impl AsRef<Path>) -> Result<Arc<Self>, Error> {
        schema::assert_version()?;
        let place = Place::of(path.as_ref());
        let pool = Pool::new(place.file);
        let meta = pool.read(Meta::read).map_err(|error| match error {
            Error::Read(why) => Error::Open(why),
            other => other,
        })?;
        let start = Start { epoch: meta.epoch, gap_since: meta.gap_since, notes: Vec::new() };
        let genesis = meta.genesis;
        Ok(Arc::new(Self { start, pool, genesis, memory: None, options: Options::default(), write: None }))
    }

    /// The steps of SQLite's plans that would look at every row, over all queries of a start and of a call's path.
    /// Empty, or something got slower with size; a test asks.
    ///
    /// # Errors
    /// `Read` when the file cannot be read.
    pub fn scans(&self) -> Result<Vec<String>, Error> {
        self.pool.read(|db| query::scans(db).map_err(fault::read_error))
    }

    /// Looks something up in memory and tables. A step that is just being expired may lose its rows between two looks;
    /// the next one finds what is left of it.
    fn look<T>(&self, look: impl Fn(&Connection, &RwLock<Memory>) -> rusqlite::Result<T>) -> Result<T, Error> {
        self.pool.read(|db| {
            let once = || match &self.memory {
                Some(memory) => look(db, memory),
                None => {
                    // One snapshot, so that the tables have what the log's end does not.
                    let snapshot = db.unchecked_transaction()?;
                    let memory = RwLock::new(Memory::replay(&snapshot)?);
                    look(&snapshot, &memory)
                }
            };
            let mut found = once();
            for _ in 1..LOOKS {
                if !matches!(found, Err(rusqlite::Error::QueryReturnedNoRows)) {
                    break;
                }
                found = once();
            }
            found.map_err(fault::read_error)
        })
    }

    /// Every mutation, a page at a time, in the order in which they came: those behind `after`, which is 0 for the first
    /// page and then the place of the last one that was seen. At most `limit`; fewer only at the end.
    ///
    /// # Errors
    /// `Read` when the file cannot be read.
    pub fn page(&self, after: i64, limit: usize) -> Result<Vec<(i64, StepId)>, Error> {
        self.look(|db, memory| query::page(db, memory, after, limit))
    }

    fn write(&self) -> Result<&Write, Error> {
        self.write.as_ref().ok_or_else(|| Error::Write("it was opened for reading only".to_owned()))
    }
}

fn spawn(
    mut writer: Writer,
    mut keeper: Keeper,
    lock: Arc<Lock>,
    mark: Mark,
    end: End,
) -> Result<Vec<JoinHandle<()>>, Error> {
    let start_error = |error: std::io::Error| Error::Open(format!("start a thread: {error}"));
    let (shared, bell, frames_max) = (Arc::clone(&keeper.shared), Arc::clone(&keeper.bell), keeper.frames_max);
    let hook = move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
        let frames = u64::try_from(pages).unwrap_or(0);
        shared.wal_frames.store(frames, Ordering::Relaxed);
        if frames >= frames_max {
            bell.ring();
        }
        Ok(())
    };
    writer.db.wal_hook(Some(hook)).map_err(|error| fault::open_error(&error))?;
    let bell = Arc::clone(&keeper.bell);
    let keeper = std::thread::Builder::new()
        .name("journal-keeper".to_owned())
        .spawn(move || keeper.run())
        .map_err(start_error)?;
    let spawned = std::thread::Builder::new().name("journal-writer".to_owned()).spawn(move || {
        let _lock = lock;
        let gone = Gone(Arc::clone(&writer.shared));
        let in_order = writer.run();
        bell.stop();
        if in_order {
            finish(&mut writer, mark, &end);
        }
        drop(writer);
        drop(gone);
    });
    Ok(vec![spawned.map_err(start_error)?, keeper])
}

/// What is done when the writer ends in order.
struct End {
    mark_path: PathBuf,
    keep_gap: bool,
}

/// The end in order: one file, a mark that covers all of it, and no gap left to report, since whoever was told of it
/// at the start has acted on it by now.
fn finish(writer: &mut Writer, mark: Mark, end: &End) {
    // What cannot be settled now is read from the log by the next start.
    drop(writer.settle_all());
    let forget = "UPDATE meta SET gap_since = NULL WHERE gap_since IS NOT NULL";
    let closed = end.keep_gap || writer.db.execute_batch(forget).is_ok();
    let tip = writer.tip;
    if closed && checkpoint(&writer.db, Copying::Truncate).is_ok() {
        // Without it the next start recognises less, and loses nothing.
        drop(Mark { tip, ..mark }.write(&end.mark_path));
    }
}

/// Whatever ends the writer's thread, nobody may wait for it any more.
struct Gone(Arc<Shared>);

impl Drop for Gone {
    fn drop(&mut self) {
        if !self.0.is_closing() {
            drop(self.0.poison(&Error::Poisoned("its writer ended".to_owned())));
        }
    }
}

impl Journal for Sqlite {
    fn start(&self) -> &Start {
        &self.start
    }

    fn on_durable(&self, notify: Notify) {
        if let Some(write) = &self.write {
            // A second one would take the first one's tickets away.
            drop(write.shared.notify.set(notify));
        }
    }

    fn append(&self, records: Vec<Record>, ticket: Option<Ticket>) -> Result<(), Error> {
        self.write()?.shared.append(records, ticket)
    }

    fn recall(&self, query: &Recall) -> Result<Recalled, Error> {
        self.look(|db, memory| query::recall(db, memory, query))
    }

    fn open_steps(&self) -> Result<Vec<StepRow>, Error> {
        self.look(query::open_steps)
    }

    fn step(&self, id: StepId) -> Result<Option<StepRow>, Error> {
        self.look(|db, memory| query::step(db, memory, id))
    }

    fn events(&self, id: StepId) -> Result<Vec<StoredEvent>, Error> {
        self.look(|db, _| log::events(db, id))
    }

    fn steps(&self, filter: &Filter) -> Result<Vec<StepRow>, Error> {
        self.look(|db, memory| query::steps(db, memory, filter))
    }

    fn runs(&self, limit: usize) -> Result<Vec<RunSummary>, Error> {
        self.look(|db, memory| query::runs(db, memory, limit))
    }

    fn guard(&self, kind: GuardKind, key: &[u8]) -> Result<Option<GuardRow>, Error> {
        self.pool.read(|db| guard::one(db, kind, key))
    }

    fn guards(&self, kind: GuardKind, limit: usize) -> Result<Vec<GuardRow>, Error> {
        self.pool.read(|db| guard::newest(db, kind, limit))
    }

    fn maintain(&self, now: Instant, keep: &Retention) -> Result<Maintained, Error> {
        let write = self.write()?;
        let mut total = Maintained::default();
        for _ in 0..CHUNKS_MAX {
            let (reply, answer) = std::sync::mpsc::sync_channel(1);
            write.shared.command(Command::Retain { now, keep: keep.clone(), reply })?;
            let done = answer.recv().map_err(|_| Error::Closed)??;
            total.bodies_expired += done.bodies_expired;
            total.tombstones_dropped += done.tombstones_dropped;
            total.reads_dropped += done.reads_dropped;
            total.more = done.more;
            if !done.more {
                break;
            }
        }
        Ok(total)
    }

    fn backup(&self, to: &Path) -> Result<Backup, Error> {
        let now = (self.options.clock)();
        self.pool.read(|db| copy::backup(db, to, now))
    }

    fn verify(&self, full: bool) -> Result<Verified, Error> {
        self.pool.read(|db| verify::verify(db, self.genesis, full))
    }

    fn health(&self) -> Result<(), Error> {
        self.write()?.shared.health()
    }

    fn close(&self) {
        let Some(write) = &self.write else { return };
        write.shared.close();
        let threads = std::mem::take(&mut *write.threads.lock());
        let own = std::thread::current().id();
        for thread in threads {
            // The notification itself may close the journal: a thread cannot wait for itself.
            if thread.thread().id() != own {
                drop(thread.join());
            }
        }
        write.bell.stop();
        write.lock.lock().take();
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}
