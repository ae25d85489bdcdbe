use crate::Replicas;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vocab::{Epoch, Event, GuardKind, GuardRow, Hash, Instant, Lsn, Record, RunId, State, StepId, StepRow};

/// Names one append that somebody waits for.
pub type Ticket = u64;

/// One append became durable, or could not.
#[derive(Debug)]
pub struct Durable {
    pub ticket: Ticket,
    pub result: Result<Lsn, Error>,
}

/// Called by the journal's own thread, never from inside `append`, with all tickets of one commit.
pub type Notify = Arc<dyn Fn(Vec<Durable>) + Send + Sync>;

/// A store of steps and their evidence.
///
/// Appends become durable in the order in which they were made; a reader sees what was durable when it asked.
/// Nothing here is async, so there is nothing to cancel: an append that returned `Ok` will be committed or reported as
/// failed, whether or not anybody still waits for it. `append` never touches the disk; every other call may block for
/// the time of a few reads (`recall`, `step`, `events`), of one commit (`maintain`) or of a pass over the whole file
/// (`backup`, `verify`), and belongs on a thread that may wait. Times are microseconds since the Unix epoch.
///
/// **Claims.** An insert is the one arbitration point: two inserts of one key and generation, in whatever order and
/// also against a tombstone, leave exactly one row, and the other append fails with [`Error::Conflict`].
///
/// **Epochs.** An insert must carry the epoch of [`Start`]. An update succeeds while the row's epoch is not later than
/// the update's, and the row takes the update's epoch: a new owner takes a row over by writing to it, and the old one
/// gets [`Error::Fenced`] from then on, as does an update of a row that does not exist.
///
/// Every backend passes `journal::contract`.
pub trait Journal: Send + Sync + 'static {
    /// What this process found when it opened the journal: its epoch, and whether the journal is a restored older one.
    fn start(&self) -> &Start;

    /// Sets who hears of durable appends. Once, before the first append.
    fn on_durable(&self, notify: Notify);

    /// Queues `records` behind everything queued before; they become durable together or not at all.
    ///
    /// With a ticket the caller is notified after the commit (a barrier), also when it brings no records of its own.
    /// Without one the records ride along with a later commit, at the latest after a second. Never blocks on the disk.
    ///
    /// Notes of reads without a ticket keep no order with the other records: they are packed together.
    ///
    /// # Errors
    /// `Error::Full` when the bounded queue is full, `Poisoned` and `Closed` once the journal stopped: nothing was
    /// queued and no notification follows. `Conflict` and `Fenced` arrive with the ticket and concern one append only;
    /// `DiskFull` and `Write` concern the whole commit, of which nothing was kept, and a later append may succeed.
    fn append(&self, records: Vec<Record>, ticket: Option<Ticket>) -> Result<(), Error>;

    /// The step stored under a key, or else the latest step of equal content in a scope: one point read each.
    fn recall(&self, query: &Recall) -> Result<Recalled, Error>;

    /// All steps that are not closed, oldest first.
    fn open_steps(&self) -> Result<Vec<StepRow>, Error>;

    /// One step by its name; a read comes without bodies.
    fn step(&self, id: StepId) -> Result<Option<StepRow>, Error>;

    /// The evidence of one step, oldest first.
    fn events(&self, id: StepId) -> Result<Vec<StoredEvent>, Error>;

    /// Newest first; reads included when the filter says so. A list comes without bodies (arguments, pre-image and
    /// result are empty): ask [`step`](Self::step) for one.
    fn steps(&self, filter: &Filter) -> Result<Vec<StepRow>, Error>;

    /// Runs with the latest activity first.
    fn runs(&self, limit: usize) -> Result<Vec<RunSummary>, Error>;

    /// What one guard remembers under a key: a point read.
    fn guard(&self, kind: GuardKind, key: &[u8]) -> Result<Option<GuardRow>, Error>;

    /// What the guards of a kind remember, newest first, at most `limit`.
    fn guards(&self, kind: GuardKind, limit: usize) -> Result<Vec<GuardRow>, Error>;

    /// Drops what `keep` no longer covers, checkpoints and returns free pages. Bounded work; call it often.
    fn maintain(&self, now: Instant, keep: &Retention) -> Result<Maintained, Error>;

    /// A consistent copy while the journal is in use.
    fn backup(&self, to: &Path) -> Result<Backup, Error>;

    /// Checks the chain of events from the last verified anchor, or from the beginning when `full`.
    fn verify(&self, full: bool) -> Result<Verified, Error>;

    /// Whether appends can succeed: what ended the last commit, or `Ok`. For readiness and `doctor`.
    ///
    /// # Errors
    /// `DiskFull` until a later commit succeeds, `Poisoned` and `Closed` for ever.
    fn health(&self) -> Result<(), Error>;

    /// Commits what is queued and stops; later appends fail with `Error::Closed`.
    fn close(&self);

    /// The side that several owners share; `None` where a journal has one owner. Where it is `Some`, `recall`, `step`
    /// and their like go over a network: keep them off the path of other calls.
    fn replicas(&self) -> Option<&dyn Replicas> {
        None
    }
}

#[derive(Clone, Debug)]
pub struct Start {
    pub epoch: Epoch,
    /// The journal was restored from an older copy (or lost its tail): effects after this instant may be missing
    /// from it, so it proves nothing about the time between this instant and the start.
    pub gap_since: Option<Instant>,
    /// What recovery did, for the log; empty when there was nothing to do.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Recall {
    pub key: Hash,
    /// (scope, content, not before): the latest mutation of equal content that may have had an effect, looked up where
    /// the key is unknown or its step did not run.
    pub content: Option<(Hash, Hash, Instant)>,
}

#[derive(Clone, Debug, Default)]
pub struct Recalled {
    /// Highest generation under the key; a tombstone comes as a row with `expired`.
    pub by_key: Option<StepRow>,
    pub by_content: Option<StepRow>,
}

#[derive(Clone, Debug)]
pub struct StoredEvent {
    pub lsn: Lsn,
    pub epoch: Epoch,
    pub event: Event,
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub run: Option<RunId>,
    pub upstream: Option<String>,
    pub state: Option<State>,
    pub reads: bool,
    pub limit: usize,
}

#[derive(Clone, Debug)]
pub struct RunSummary {
    pub run: RunId,
    pub principal: String,
    pub first_at: Instant,
    pub last_at: Instant,
    pub reads: u64,
    pub mutations: u64,
    pub open: u64,
    pub unknown: u64,
    pub unverified: u64,
}

/// How long things are kept. `resolving`, `held`, `needs_human` and `diverged` steps are kept for ever.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Result bodies, arguments and events of closed steps.
    pub bodies: Duration,
    /// Tombstones: never shorter than the longest key window. What the guards of runs and upstreams remember goes with
    /// them; an operator's orders never go.
    pub tombstones: Duration,
    /// Notes of reads.
    pub reads: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Maintained {
    pub bodies_expired: u64,
    pub tombstones_dropped: u64,
    pub reads_dropped: u64,
    /// More is due: call again.
    pub more: bool,
}

#[derive(Clone, Debug)]
pub struct Backup {
    pub bytes: u64,
    pub steps: u64,
    pub last: Lsn,
}

#[derive(Clone, Debug)]
pub struct Verified {
    pub from: Lsn,
    pub to: Lsn,
    pub events: u64,
    /// What does not hold; empty when all is well.
    pub findings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("open the journal: {0}")]
    Open(String),
    #[error("lock the journal: {0}")]
    Locked(String),
    #[error("queue the append: {0} appends wait already")]
    Full(usize),
    #[error("write to the journal: no space left on the device")]
    DiskFull,
    /// A row with the same key and generation exists.
    #[error("claim the step: somebody else holds its key")]
    Conflict,
    /// The row's epoch is not ours any more.
    #[error("write to the journal: fenced by a later owner")]
    Fenced,
    /// An fsync error: the kernel may have dropped pages, so nothing in memory can be trusted.
    #[error("make the journal durable: {0}; this process must end and recover from disk")]
    Poisoned(String),
    #[error("read the journal: {0}")]
    Read(String),
    #[error("write to the journal: {0}")]
    Write(String),
    #[error("write to the journal: it is closed")]
    Closed,
}
