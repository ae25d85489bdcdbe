//! What waits for the writer: appends in order and notes of reads, bounded in number and in bytes.

use crate::{Durable, Error, Notify as Notified, Ticket};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use vocab::{ReadNote, Record};

/// Records that nobody waits for are committed after this long at the latest.
const ASYNC_WAIT: Duration = Duration::from_secs(1);
/// Notes this old ride along with any commit.
const NOTES_RIDE: Duration = Duration::from_millis(500);
const NOTES_MAX: usize = 16_384;
const NOTES_FLUSH: usize = 4_096;
/// Appends nobody waits for that are committed without waiting longer.
const ASYNC_MAX: usize = 1_024;
/// Appends of one commit.
const GROUP_MAX: usize = 512;

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Notify,
    ended: Condvar,
    pub(super) notify: OnceLock<Notified>,
}

#[derive(Default)]
struct State {
    appends: VecDeque<Append>,
    bytes: usize,
    ticketed: usize,
    appends_since: Option<Instant>,
    notes: Vec<ReadNote>,
    notes_since: Option<Instant>,
    closing: bool,
    /// The writer has ended.
    ended: bool,
    /// Why appends are refused now; the database may come back.
    down: Option<Error>,
    /// Why the last commit failed although the database answered.
    failed: Option<Error>,
}

pub(super) struct Append {
    pub(super) records: Vec<Record>,
    pub(super) ticket: Option<Ticket>,
    bytes: usize,
}

/// What goes into one commit.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) appends: Vec<Append>,
    pub(super) notes: Vec<ReadNote>,
}

impl Queue {
    pub(super) fn append(
        &self,
        records: Vec<Record>,
        ticket: Option<Ticket>,
        appends_max: usize,
        bytes_max: usize,
    ) -> Result<(), Error> {
        let only_reads = ticket.is_none() && records.iter().all(|record| matches!(record, Record::Read(_)));
        let mut state = self.state.lock();
        if state.closing {
            return Err(Error::Closed);
        }
        if only_reads {
            if state.notes.len() >= NOTES_MAX {
                return Err(Error::Full(state.notes.len()));
            }
            state.notes_since.get_or_insert_with(Instant::now);
            state.notes.extend(records.into_iter().filter_map(|record| match record {
                Record::Read(note) => Some(note),
                _ => None,
            }));
        } else {
            if let Some(down) = &state.down {
                return Err(down.clone());
            }
            let bytes = size(&records);
            let full = state.appends.len() >= appends_max;
            if full || (state.bytes + bytes > bytes_max && !state.appends.is_empty()) {
                return Err(Error::Full(state.appends.len()));
            }
            state.appends_since.get_or_insert_with(Instant::now);
            state.bytes += bytes;
            state.ticketed += usize::from(ticket.is_some());
            state.appends.push_back(Append { records, ticket, bytes });
        }
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// The next batch, once one is due; `None` when the journal is closed and everything is taken.
    pub(super) async fn next(&self) -> Option<Batch> {
        loop {
            let deadline = {
                let mut state = self.state.lock();
                if state.closing && state.is_empty() {
                    return None;
                }
                let deadline = state.deadline();
                if state.closing || state.is_due() || deadline.is_some_and(|at| at <= Instant::now()) {
                    return Some(state.take());
                }
                deadline
            };
            match deadline {
                Some(at) => drop(tokio::time::timeout_at(at, self.wake.notified()).await),
                None => self.wake.notified().await,
            }
        }
    }

    /// Refuses appends until `up`, and hands out what waits, to be told.
    pub(super) fn down(&self, why: &Error) -> Batch {
        let mut state = self.state.lock();
        state.down = Some(why.clone());
        let mut all = Batch::default();
        while !state.appends.is_empty() {
            all.appends.extend(state.take_appends());
        }
        all
    }

    pub(super) fn up(&self) {
        self.state.lock().down = None;
    }

    pub(super) fn set_failed(&self, failed: Option<Error>) {
        self.state.lock().failed = failed;
    }

    pub(super) fn health(&self) -> Result<(), Error> {
        let state = self.state.lock();
        if state.closing {
            return Err(Error::Closed);
        }
        state.down.as_ref().or(state.failed.as_ref()).map_or(Ok(()), |error| Err(error.clone()))
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state.lock().closing
    }

    pub(super) fn close(&self) {
        self.state.lock().closing = true;
        self.wake.notify_one();
    }

    /// The writer has nothing more to write.
    pub(super) fn end(&self) {
        self.state.lock().ended = true;
        self.ended.notify_all();
    }

    pub(super) fn wait_ended(&self, bound: Duration) {
        let until = std::time::Instant::now() + bound;
        let mut state = self.state.lock();
        while !state.ended {
            if self.ended.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    /// One call for all tickets of a commit.
    pub(super) fn tell(&self, done: Vec<Durable>) {
        if let (Some(notify), false) = (self.notify.get(), done.is_empty()) {
            notify(done);
        }
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.appends.is_empty() && self.notes.is_empty()
    }

    fn is_due(&self) -> bool {
        self.ticketed > 0 || self.appends.len() >= ASYNC_MAX || self.notes.len() >= NOTES_FLUSH
    }

    fn deadline(&self) -> Option<Instant> {
        [self.appends_since, self.notes_since].into_iter().flatten().min().map(|since| since + ASYNC_WAIT)
    }

    fn take(&mut self) -> Batch {
        let appends = self.take_appends();
        let ripe = self.notes_since.is_some_and(|since| since.elapsed() >= NOTES_RIDE);
        let notes = if ripe || self.closing || self.notes.len() >= NOTES_FLUSH {
            self.notes_since = None;
            std::mem::take(&mut self.notes)
        } else {
            Vec::new()
        };
        Batch { appends, notes }
    }

    fn take_appends(&mut self) -> Vec<Append> {
        let count = self.appends.len().min(GROUP_MAX);
        let appends: Vec<_> = self.appends.drain(..count).collect();
        if self.appends.is_empty() {
            self.appends_since = None;
        }
        self.bytes -= appends.iter().map(|append| append.bytes).sum::<usize>();
        self.ticketed -= appends.iter().filter(|append| append.ticket.is_some()).count();
        appends
    }
}

/// About what an append keeps in memory, in bytes.
fn size(records: &[Record]) -> usize {
    let of = |record: &Record| match record {
        Record::Insert { intent, .. } => intent.args.len() + intent.preimage.as_ref().map_or(0, |bytes| bytes.len()),
        Record::Update { result, .. } => result.as_ref().map_or(0, |bytes| bytes.len()),
        Record::Event(event) => event.detail.len(),
        Record::Guard(row) => row.key.len() + row.body.len(),
        Record::Read(_) => 0,
    };
    records.iter().map(|record| 512 + of(record)).sum()
}
