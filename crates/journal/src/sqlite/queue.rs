//! What waits for the writer: appends in order, notes of reads, commands; bounded in number and in bytes.

use super::log::Tip;
use crate::{Durable, Error, Maintained, Notify, Retention, Ticket};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant as Moment};
use vocab::{Instant, ReadNote, Record};

/// Records that nobody waits for are committed after this long at the latest.
const ASYNC_WAIT: Duration = Duration::from_secs(1);
/// Notes this old ride along with any commit, so that under load they need none of their own.
const NOTES_RIDE: Duration = Duration::from_millis(500);
/// Notes that may wait; a packed batch holds at most as many.
const NOTES_MAX: usize = 16_384;
const NOTES_FLUSH: usize = 4_096;
/// Appends nobody waits for that are committed without waiting longer.
const ASYNC_MAX: usize = 1_024;
/// Appends of one commit.
const GROUP_MAX: usize = 1_024;
/// With more waiters than this, a commit is held back as long as another append comes within `GATHER`, and at most
/// `GATHER_MAX`: where callers and writer share a core, what a commit costs is most of what an append costs.
const GATHER_ABOVE: usize = 8;
const GATHER: Duration = Duration::from_micros(100);
const GATHER_MAX: Duration = Duration::from_millis(2);

/// What appenders, the writer and the keeper share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    pub(super) notify: OnceLock<Notify>,
    /// Frames in the WAL after the last commit.
    pub(super) wal_frames: AtomicU64,
    /// The keeper copied what it could; the writer is to copy the rest between two commits, so that the WAL restarts.
    pub(super) finish_checkpoint: AtomicBool,
    /// The tables are to be brought up to the log.
    pub(super) settle: AtomicBool,
    /// The writer has more to do, whether or not anything is appended.
    pub(super) busy: AtomicBool,
    /// The end of what is durable.
    pub(super) tip: Mutex<Tip>,
    appends_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Queue {
    appends: VecDeque<Append>,
    bytes: usize,
    ticketed: usize,
    appends_since: Option<Moment>,
    notes: Vec<ReadNote>,
    notes_since: Option<Moment>,
    commands: Vec<Command>,
    /// Waiters of the last commit.
    last_group: usize,
    writer: Waiting,
    closing: bool,
    /// Why appends are refused for good, or why the last commit failed.
    failed: Option<Error>,
}

/// What the writer waits for, so that an appender wakes it only when it must.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Waiting {
    #[default]
    No,
    Due,
    /// The next ones of a large group.
    Group,
}

pub(super) struct Append {
    pub(super) records: Vec<Record>,
    pub(super) ticket: Option<Ticket>,
    bytes: usize,
}

/// Work that must share the writer's connection.
pub(super) enum Command {
    Retain { now: Instant, keep: Retention, reply: SyncSender<Result<Maintained, Error>> },
}

/// What goes into one commit.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) appends: Vec<Append>,
    pub(super) notes: Vec<ReadNote>,
    pub(super) commands: Vec<Command>,
}

impl Shared {
    pub(super) fn new(appends_max: usize, bytes_max: usize, tip: Tip) -> Self {
        Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            notify: OnceLock::new(),
            wal_frames: AtomicU64::new(0),
            finish_checkpoint: AtomicBool::new(false),
            settle: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            tip: Mutex::new(tip),
            appends_max,
            bytes_max,
        }
    }

    pub(super) fn append(&self, records: Vec<Record>, ticket: Option<Ticket>) -> Result<(), Error> {
        let only_reads = ticket.is_none() && records.iter().all(|record| matches!(record, Record::Read(_)));
        let mut queue = self.queue.lock();
        queue.refuse()?;
        if only_reads {
            if queue.notes.len() >= NOTES_MAX {
                return Err(Error::Full(queue.notes.len()));
            }
            queue.notes_since.get_or_insert_with(Moment::now);
            queue.notes.extend(records.into_iter().filter_map(|record| match record {
                Record::Read(note) => Some(note),
                _ => None,
            }));
        } else {
            let bytes = size(&records);
            let full = queue.appends.len() >= self.appends_max;
            if full || (queue.bytes + bytes > self.bytes_max && !queue.appends.is_empty()) {
                return Err(Error::Full(queue.appends.len()));
            }
            queue.appends_since.get_or_insert_with(Moment::now);
            queue.bytes += bytes;
            queue.ticketed += usize::from(ticket.is_some());
            queue.appends.push_back(Append { records, ticket, bytes });
        }
        let wake = queue.must_wake(ticket.is_some());
        drop(queue);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    pub(super) fn command(&self, command: Command) -> Result<(), Error> {
        let mut queue = self.queue.lock();
        queue.refuse()?;
        queue.commands.push(command);
        drop(queue);
        self.wake.notify_one();
        Ok(())
    }

    /// Wakes the writer for what stands in the atomics.
    pub(super) fn nudge(&self) {
        // Taken so that the writer cannot be between its look and its wait.
        drop(self.queue.lock());
        self.wake.notify_one();
    }

    pub(super) fn health(&self) -> Result<(), Error> {
        let queue = self.queue.lock();
        match &queue.failed {
            Some(error) => Err(error.clone()),
            None if queue.closing => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// How the last commit ended. After `Poisoned` nothing else counts.
    pub(super) fn set_health(&self, failed: Option<Error>) {
        let mut queue = self.queue.lock();
        if queue.poisoned().is_none() {
            queue.failed = failed;
        }
    }

    pub(super) fn poisoned(&self) -> Option<String> {
        self.queue.lock().poisoned()
    }

    pub(super) fn close(&self) {
        self.queue.lock().closing = true;
        self.wake.notify_all();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.queue.lock().closing
    }

    /// Waits until there is something to commit. `None`: closed and nothing is left, or poisoned.
    pub(super) fn next(&self) -> Option<Batch> {
        let mut queue = self.queue.lock();
        loop {
            if queue.poisoned().is_some() {
                return None;
            }
            if queue.closing {
                if queue.is_empty() {
                    return None;
                }
                break;
            }
            if queue.is_due() || self.is_asked() {
                break;
            }
            match queue.deadline() {
                Some(deadline) if deadline <= Moment::now() => break,
                // It looks for itself in time for records that nobody waits for: they wake it for nothing.
                deadline => {
                    queue.writer = Waiting::Due;
                    self.wake.wait_until(&mut queue, deadline.unwrap_or_else(|| Moment::now() + ASYNC_WAIT));
                }
            }
            queue.writer = Waiting::No;
        }
        queue.writer = Waiting::No;
        if queue.ticketed.max(queue.last_group) > GATHER_ABOVE && !queue.closing {
            self.gather(&mut queue);
        }
        if queue.ticketed > 0 {
            queue.last_group = queue.ticketed;
        }
        Some(queue.take())
    }

    /// There is something to do beside the queue.
    fn is_asked(&self) -> bool {
        [&self.finish_checkpoint, &self.settle, &self.busy].iter().any(|asked| asked.load(Ordering::Relaxed))
    }

    /// Waits for those who were told of the last commit and are about to append again.
    fn gather(&self, queue: &mut parking_lot::MutexGuard<'_, Queue>) {
        let until = Moment::now() + GATHER_MAX;
        let mut before = 0;
        while queue.ticketed > before && queue.ticketed < GROUP_MAX && !queue.closing {
            before = queue.ticketed;
            queue.writer = Waiting::Group;
            let now = Moment::now();
            if now >= until || !self.wake.wait_until(queue, until.min(now + GATHER)).timed_out() {
                break;
            }
        }
        queue.writer = Waiting::No;
    }

    /// Refuses everything from now on and hands out what was queued, to be told.
    pub(super) fn poison(&self, why: &Error) -> Batch {
        let mut queue = self.queue.lock();
        if queue.poisoned().is_none() {
            queue.failed = Some(why.clone());
        }
        let mut all = Batch::default();
        while !queue.is_empty() {
            let batch = queue.take();
            all.appends.extend(batch.appends);
            all.commands.extend(batch.commands);
        }
        all
    }

    /// One call for all tickets of a commit.
    pub(super) fn tell(&self, done: Vec<Durable>) {
        if let (Some(notify), false) = (self.notify.get(), done.is_empty()) {
            notify(done);
        }
    }
}

impl Queue {
    fn poisoned(&self) -> Option<String> {
        match &self.failed {
            Some(Error::Poisoned(why)) => Some(why.clone()),
            _ => None,
        }
    }

    fn refuse(&self) -> Result<(), Error> {
        match &self.failed {
            Some(error @ Error::Poisoned(_)) => Err(error.clone()),
            _ if self.closing => Err(Error::Closed),
            _ => Ok(()),
        }
    }

    fn must_wake(&self, ticketed: bool) -> bool {
        match self.writer {
            Waiting::No => false,
            Waiting::Due => ticketed || self.is_due(),
            Waiting::Group => self.ticketed >= GROUP_MAX,
        }
    }

    fn is_empty(&self) -> bool {
        self.appends.is_empty() && self.notes.is_empty() && self.commands.is_empty()
    }

    fn is_due(&self) -> bool {
        self.ticketed > 0
            || !self.commands.is_empty()
            || self.appends.len() >= ASYNC_MAX
            || self.notes.len() >= NOTES_FLUSH
    }

    fn deadline(&self) -> Option<Moment> {
        [self.appends_since, self.notes_since].into_iter().flatten().min().map(|since| since + ASYNC_WAIT)
    }

    fn take(&mut self) -> Batch {
        let appends: Vec<_> = if self.appends.len() <= GROUP_MAX {
            self.appends_since = None;
            Vec::from(std::mem::take(&mut self.appends))
        } else {
            self.appends.drain(..GROUP_MAX).collect()
        };
        self.bytes -= appends.iter().map(|append| append.bytes).sum::<usize>();
        self.ticketed -= appends.iter().filter(|append| append.ticket.is_some()).count();
        let ripe = self.notes_since.is_some_and(|since| since.elapsed() >= NOTES_RIDE);
        let notes = if ripe || self.closing || self.failed.is_some() || self.notes.len() >= NOTES_FLUSH {
            self.notes_since = None;
            std::mem::take(&mut self.notes)
        } else {
            Vec::new()
        };
        Batch { appends, notes, commands: std::mem::take(&mut self.commands) }
    }
}

/// About what an append keeps in memory, in bytes.
fn size(records: &[Record]) -> usize {
    let of = |record: &Record| match record {
        Record::Insert { intent, .. } => {
            let bodies = [&intent.preimage, &intent.undo].into_iter().flatten();
            intent.args.len() + bodies.map(|bytes| bytes.len()).sum::<usize>()
        }
        Record::Update { result, .. } => result.as_ref().map_or(0, |bytes| bytes.len()),
        Record::Event(event) => event.detail.len(),
        Record::Guard(row) => row.key.len() + row.body.len(),
        Record::Read(_) => 0,
    };
    records.iter().map(|record| 512 + of(record)).sum()
}
