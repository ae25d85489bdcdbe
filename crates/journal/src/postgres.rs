//! The journal in a Postgres database that several gateways, the *replicas*, share.
//!
//! One writer task for each process with group commit, a lease for each replica, a chain of events for each writer, so
//! that no replica waits for another one but where they want the same step.

mod connect;
mod driver;
mod import;
mod lease;
mod query;
mod queue;
mod retain;
mod rows;
mod schema;
mod verify;
mod watched;
mod writer;

pub use import::{Import, Whole};

use crate::chain::Tip;
use crate::{
    Backup, Error, Filter, Journal, Maintained, Notify, Recall, Recalled, Replicas, Retention, RunSummary, Start,
    StoredEvent, Tell, Ticket, Verified,
};
use connect::{Link, Target, asked};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use driver::Driver;
use lease::Lease;
use parking_lot::Mutex;
use queue::Queue;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vocab::{Epoch, GuardKind, GuardRow, Instant, Record, StepId, StepRow};
use writer::{Ready, Writer};

/// Connections that read.
const READERS: usize = 8;
/// For one of them.
const READER_MAX: Duration = Duration::from_secs(10);
/// Where the ids of this directory's replicas are written down.
const OWNERS: &str = "replica";
/// Ids that are remembered: the latest, and those that a start did not live to fence.
const OWNERS_MAX: usize = 64;

/// A setting of the server under which it loses what it has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Fsync,
    SynchronousCommit,
    FullPageWrites,
}

/// How a journal is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// For people: which replica it is.
    pub name: String,
    /// How long a silent replica keeps its steps. It asks for its lease anew after a third, and sends for two thirds.
    pub lease: Duration,
    /// Losses that the operator accepts.
    pub accept: Vec<Loss>,
    /// The operator knows that the database may have lost commits in a failover.
    pub accept_gap: bool,
    /// A directory of this replica alone. With it, a restart knows at once that its earlier process has ended.
    pub directory: Option<PathBuf>,
    /// Appends that may wait for the writer.
    pub queue_max: usize,
    /// Bytes that the waiting appends may hold.
    pub queue_bytes_max: usize,
    /// For one round trip of a commit; what takes longer is looked up over a new connection.
    pub write_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "cofferdam".to_owned(),
            lease: Duration::from_secs(15),
            accept: Vec::new(),
            accept_gap: false,
            directory: None,
            queue_max: 16_384,
            queue_bytes_max: 64 << 20,
            write_max: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// Replicas of this directory that were not seen to end.
    fn earlier_owners(&self) -> Vec<i64> {
        let text = self.directory.as_ref().and_then(|directory| std::fs::read_to_string(directory.join(OWNERS)).ok());
        let ids = text.iter().flat_map(|text| text.lines()).filter_map(|line| line.parse().ok());
        let mut ids: Vec<i64> = ids.collect();
        // The last one is this process.
        ids.pop();
        ids
    }

    /// Before it owns anything.
    fn note_owner(&self, id: i64) -> Result<(), Error> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let file = directory.join(OWNERS);
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut ids: Vec<String> = text.lines().map(str::to_owned).collect();
        ids.push(id.to_string());
        let ids = ids.split_off(ids.len().saturating_sub(OWNERS_MAX));
        let next = directory.join("replica-next");
        let written = std::fs::write(&next, ids.join("\n") + "\n").and_then(|()| std::fs::rename(&next, &file));
        written.map_err(|error| Error::Open(format!("write {}: {error}", file.display())))
    }

    /// Only one process at a time.
    fn lock(&self) -> Result<Option<File>, Error> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let failed = |error: std::io::Error| Error::Open(format!("use {}: {error}", directory.display()));
        std::fs::create_dir_all(directory).map_err(failed)?;
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join("replica.lock"));
        let file = file.map_err(failed)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| Error::Locked(format!("another gateway runs in {}", directory.display())))?;
        Ok(Some(file))
    }
}

fn wall_clock() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// What writer, heartbeat and callers share.
pub(crate) struct Shared {
    options: Options,
    target: Target,
    pool: Pool,
    queue: Queue,
    lease: Lease,
    tell: OnceLock<Tell>,
    /// Steps of others that somebody here waits for, in the state that was seen.
    watched: watched::Watched,
    /// Steps of ours that others may wait for.
    news: Mutex<Vec<StepId>>,
    herald: tokio::sync::Notify,
    /// Wakes the heartbeat.
    poke: tokio::sync::Notify,
    heard: tokio::sync::mpsc::Sender<String>,
    genesis: Tip,
    gap_epoch: Option<i64>,
    last_lsn: AtomicU64,
}

impl Shared {
    async fn connect(&self, heard: impl FnMut(String) + Send + 'static) -> Result<Link, Error> {
        self.target.connect(heard).await
    }

    async fn reader(&self) -> Result<Object, Error> {
        let got = tokio::time::timeout(READER_MAX, self.pool.get()).await;
        let got = got.map_err(|_| Error::Read("no connection to the database in time".to_owned()))?;
        got.map_err(|error| match error {
            deadpool_postgres::PoolError::Backend(error) => connect::error_of(&error),
            other => Error::Read(format!("no connection to the database: {other}")),
        })
    }
}

/// A journal in a database.
///
/// A closure given to `on_durable` that holds the journal keeps it alive: call [`close`](Journal::close) at the end.
pub struct Postgres {
    start: Start,
    shared: Arc<Shared>,
    driver: Driver,
    writes: bool,
    lock: Mutex<Option<File>>,
}

impl Postgres {
    /// Opens the journal in the database at `url` for writing, as one more replica; makes it if need be. Blocks for
    /// some round trips.
    ///
    /// # Errors
    /// `Open` when the database is none, is newer than this program, loses what it acknowledges, or went over to
    /// another server that may have lost something; `Locked` when another gateway uses the directory; `Write` when the
    /// database cannot be reached. No error shows the password.
    pub fn open(url: &str, options: Options) -> Result<Arc<Self>, Error> {
        let lock = options.lock()?;
        let driver = Driver::start()?;
        let target = Target::parse(url)?.for_writing(&format!("cofferdam {}", options.name));
        let (heard, hears) = tokio::sync::mpsc::channel(1_024);
        let opening = async move {
            let link = target.connect(|_| ()).await?;
            connect::refuse_loss(&link, &options.accept).await?;
            schema::migrate(&link).await?;
            let epoch = lease::next_epoch(&link).await?;
            if options.accept_gap {
                lease::accept_gap(&link, epoch).await?;
            }
            lease::refuse_gap(&link).await?;
            let meta = schema::meta(&link).await?;
            let genesis = Tip::genesis(&meta.database);
            let shared = Arc::new(shared(options, target, heard, genesis, meta.gap_epoch)?);
            let sql = "INSERT INTO chain(epoch, commits, seq, hash) VALUES ($1, 0, 0, $2)";
            asked(link.client.execute(sql, &[&epoch, &genesis.hash.0.to_vec()]).await)?;
            lease::register(&shared, &link, epoch).await?;
            shared.last_lsn.store(verify::last_lsn(&link).await?, std::sync::atomic::Ordering::Relaxed);
            writer::name(&link, Epoch(epoch.cast_unsigned())).await?;
            let ready = Ready::prepare(link).await?;
            let start = Start {
                epoch: Epoch(epoch.cast_unsigned()),
                gap_since: lease::gap(&meta),
                notes: vec![format!("replica {epoch} of the journal at {}", shared.target.shown())],
            };
            Ok((shared, ready, start, genesis))
        };
        let (shared, ready, start, genesis) = driver.ask(opening)?;
        driver.spawn(Writer::new(Arc::clone(&shared), ready, start.epoch, genesis).run());
        driver.spawn(lease::run(Arc::clone(&shared), hears));
        driver.spawn(lease::herald(Arc::clone(&shared)));
        Ok(Arc::new(Self { start, shared, driver, writes: true, lock: Mutex::new(lock) }))
    }

    /// Opens the journal in the database at `url` for reading only; nothing in it is changed and every append is
    /// refused.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_readonly(url: &str) -> Result<Arc<Self>, Error> {
        let driver = Driver::start()?;
        let mut target = Target::parse(url)?;
        target.config.application_name("cofferdam reads");
        let (heard, _) = tokio::sync::mpsc::channel(1);
        let opening = async move {
            let link = target.connect(|_| ()).await?;
            let meta = schema::check(&link).await?;
            let genesis = Tip::genesis(&meta.database);
            let shared = shared(Options::default(), target, heard, genesis, meta.gap_epoch)?;
            let sql = "SELECT coalesce(max(epoch), 0) FROM chain";
            let epoch: i64 = rows::value(&asked(link.client.query_one(sql, &[]).await)?, 0)?;
            let epoch = Epoch(epoch.cast_unsigned());
            Ok((Arc::new(shared), Start { epoch, gap_since: lease::gap(&meta), notes: Vec::new() }))
        };
        let (shared, start) = driver.ask(opening)?;
        Ok(Arc::new(Self { start, shared, driver, writes: false, lock: Mutex::default() }))
    }

    /// Makes one step ours, if no other replica owns it or its owner's lease is over. `false`: another one has it, or
    /// there is no such step.
    ///
    /// # Errors
    /// `Write` when the database cannot be asked.
    pub fn take(&self, step: StepId) -> Result<bool, Error> {
        let shared = Arc::clone(&self.shared);
        self.driver.ask(async move { shared.take_one(step).await })
    }
}

/// Where a database is, without user and password: for logs and messages.
#[must_use]
pub fn shown(url: &str) -> String {
    Target::parse(url).map_or_else(|_| "the database of the policy".to_owned(), |target| target.shown())
}

fn shared(
    options: Options,
    target: Target,
    heard: tokio::sync::mpsc::Sender<String>,
    genesis: Tip,
    gap_epoch: Option<i64>,
) -> Result<Shared, Error> {
    let mut config = target.config.clone();
    let settings = "-c search_path=cofferdam -c synchronous_commit=on -c plan_cache_mode=force_generic_plan -c jit=off \
                    -c enable_seqscan=off";
    config.options(format!("{} {settings}", config.get_options().unwrap_or_default()));
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, target.tls.clone(), manager);
    let pool = Pool::builder(manager).max_size(READERS).build();
    let pool = pool.map_err(|error| Error::Open(format!("prepare connections: {error}")))?;
    Ok(Shared {
        options,
        target,
        pool,
        queue: Queue::default(),
        lease: Lease::default(),
        tell: OnceLock::new(),
        watched: watched::Watched::default(),
        news: Mutex::default(),
        herald: tokio::sync::Notify::new(),
        poke: tokio::sync::Notify::new(),
        heard,
        genesis,
        gap_epoch,
        last_lsn: AtomicU64::new(0),
    })
}

impl Journal for Postgres {
    fn start(&self) -> &Start {
        &self.start
    }

    fn on_durable(&self, notify: Notify) {
        // A second one would take the first one's tickets away.
        drop(self.shared.queue.notify.set(notify));
    }

    fn append(&self, records: Vec<Record>, ticket: Option<Ticket>) -> Result<(), Error> {
        if !self.writes {
            return Err(Error::Write("it was opened for reading only".to_owned()));
        }
        let options = &self.shared.options;
        self.shared.queue.append(records, ticket, options.queue_max, options.queue_bytes_max)
    }

    fn recall(&self, query: &Recall) -> Result<Recalled, Error> {
        let (shared, query) = (Arc::clone(&self.shared), query.clone());
        self.driver.ask(async move { query::recall(&shared, &query).await })
    }

    fn open_steps(&self) -> Result<Vec<StepRow>, Error> {
        let shared = Arc::clone(&self.shared);
        self.driver.ask(async move { query::open_steps(&shared).await })
    }

    fn step(&self, id: StepId) -> Result<Option<StepRow>, Error> {
        let shared = Arc::clone(&self.shared);
        self.driver.ask(async move { query::step(&shared, id).await })
    }

    fn events(&self, id: StepId) -> Result<Vec<StoredEvent>, Error> {
        let shared = Arc::clone(&self.shared);
        self.driver.ask(async move { query::events(&shared, id).await })
    }

    fn steps(&self, filter: &Filter) -> Result<Vec<StepRow>, Error> {
        let (shared, filter) = (Arc::clone(&self.shared), filter.clone());
        self.driver.ask(async move { query::steps(&shared, &filter).await })
    }

    fn runs(&self, limit: usize) -> Result<Vec<RunSummary>, Error> {
        let shared = Arc::clone(&self.shared);
        self.driver.ask(async move { query::runs(&shared, limit).await })
    }

    fn guard(&self, kind: GuardKind, key: &[u8]) -> Result<Option<GuardRow>, Error> {
        let (shared, key) = (Arc::clone(&self.shared), key.to_vec());
        self.driver.ask(async move { query::guard(&shared, kind, &key).await })
    }

    fn guards(&self, kind: GuardKind, limit: usize) -> Result<Vec<GuardRow>, Error> {
        let shared = Arc::clone(&self.shared);
        self.driver.ask(async move { query::guards(&shared, kind, limit).await })
    }

    fn maintain(&self, now: Instant, keep: &Retention) -> Result<Maintained, Error> {
        let (shared, keep) = (Arc::clone(&self.shared), keep.clone());
        self.driver.ask(async move { retain::maintain(&shared, now, &keep).await })
    }

    fn backup(&self, _to: &Path) -> Result<Backup, Error> {
        let how = "a journal in Postgres is copied with the database's own tools (pg_basebackup, pg_dump)";
        Err(Error::Write(how.to_owned()))
    }

    fn verify(&self, full: bool) -> Result<Verified, Error> {
        let shared = Arc::clone(&self.shared);
        self.driver.ask(async move { verify::verify(&shared, full).await })
    }

    fn health(&self) -> Result<(), Error> {
        self.shared.queue.health()
    }

    fn close(&self) {
        if !self.writes {
            return;
        }
        self.shared.queue.close();
        self.shared.poke.notify_one();
        // The notification itself may close the journal: a thread cannot wait for itself.
        if !self.driver.is_here() {
            self.shared.queue.wait_ended(self.shared.options.write_max * 2);
        }
        self.lock.lock().take();
    }

    fn replicas(&self) -> Option<&dyn Replicas> {
        self.writes.then_some(self as &dyn Replicas)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.close();
    }
}
