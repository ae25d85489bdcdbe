//! A journal that keeps nothing: for tests, for the library, for `wrap --no-journal`-like uses and as the reference.
//!
//! Appends become "durable" when they are applied, by an own thread or, in the manual form, when `pump` is called.

pub(crate) mod store;

use crate::{
    Backup, Durable, Error, Filter, Journal, Maintained, Notify, Recall, Recalled, Retention, RunSummary, Start,
    StoredEvent, Ticket, Verified,
};
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use store::Store;
use vocab::{Epoch, GuardKind, GuardRow, Instant, Record, StepId, StepRow};

/// Appends that may wait.
const QUEUE_MAX: usize = 65_536;

/// A journal in memory.
pub struct Memory {
    start: Start,
    inner: Arc<Inner>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    store: RwLock<Store>,
    queue: Mutex<Queue>,
    wake: Condvar,
    notify: OnceLock<Notify>,
}

#[derive(Default)]
struct Queue {
    appends: VecDeque<(Vec<Record>, Option<Ticket>)>,
    closed: bool,
}

impl Memory {
    /// A journal whose own thread applies and notifies.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let memory = Self::with(Store::new());
        let inner = Arc::clone(&memory.inner);
        let worker = std::thread::Builder::new().name("journal-memory".to_owned()).spawn(move || inner.work());
        // Without a thread nothing would ever become durable: say so at the first append.
        match worker {
            Ok(worker) => *memory.worker.lock() = Some(worker),
            Err(_) => memory.inner.queue.lock().closed = true,
        }
        memory
    }

    /// A journal that applies and notifies only inside [`pump`](Self::pump), on the caller's thread: for simulations.
    #[must_use]
    pub fn manual() -> Arc<Self> {
        Self::with(Store::new())
    }

    /// What a restarted process would find: the same content under the next epoch. The old journal is closed.
    #[must_use]
    pub fn reopen(&self) -> Arc<Self> {
        let threaded = self.worker.lock().is_some();
        self.close();
        let store = self.inner.store.read().clone();
        let next = Self::with(store);
        if threaded {
            let inner = Arc::clone(&next.inner);
            *next.worker.lock() = std::thread::Builder::new().spawn(move || inner.work()).ok();
        }
        next
    }

    fn with(mut store: Store) -> Arc<Self> {
        store.epoch = Epoch(store.epoch.0 + 1);
        let start = Start { epoch: store.epoch, gap_since: store.gap_since, notes: Vec::new() };
        let inner =
            Inner { store: RwLock::new(store), queue: Mutex::default(), wake: Condvar::new(), notify: OnceLock::new() };
        Arc::new(Self { start, inner: Arc::new(inner), worker: Mutex::default() })
    }

    /// Applies everything queued as one commit and notifies once; returns how many appends there were.
    pub fn pump(&self) -> usize {
        let appends = std::mem::take(&mut self.inner.queue.lock().appends);
        self.inner.commit(appends)
    }
}

impl Inner {
    fn commit(&self, appends: VecDeque<(Vec<Record>, Option<Ticket>)>) -> usize {
        let count = appends.len();
        let mut done = Vec::new();
        {
            let mut store = self.store.write();
            for (records, ticket) in appends {
                let result = store.apply(&records);
                done.extend(ticket.map(|ticket| Durable { ticket, result }));
            }
        }
        // Outside the lock: whoever is told may read.
        if let (Some(notify), false) = (self.notify.get(), done.is_empty()) {
            notify(done);
        }
        count
    }

    fn work(&self) {
        loop {
            let appends = {
                let mut queue = self.queue.lock();
                while queue.appends.is_empty() {
                    if queue.closed {
                        return;
                    }
                    self.wake.wait(&mut queue);
                }
                std::mem::take(&mut queue.appends)
            };
            self.commit(appends);
        }
    }
}

impl Journal for Memory {
    fn start(&self) -> &Start {
        &self.start
    }

    fn on_durable(&self, notify: Notify) {
        // A second one would take the first one's tickets away.
        drop(self.inner.notify.set(notify));
    }

    fn append(&self, records: Vec<Record>, ticket: Option<Ticket>) -> Result<(), Error> {
        let mut queue = self.inner.queue.lock();
        if queue.closed {
            return Err(Error::Closed);
        }
        if queue.appends.len() >= QUEUE_MAX {
            return Err(Error::Full(queue.appends.len()));
        }
        queue.appends.push_back((records, ticket));
        drop(queue);
        self.inner.wake.notify_one();
        Ok(())
    }

    fn recall(&self, query: &Recall) -> Result<Recalled, Error> {
        Ok(self.inner.store.read().recall(query))
    }

    fn open_steps(&self) -> Result<Vec<StepRow>, Error> {
        Ok(self.inner.store.read().open_steps())
    }

    fn step(&self, id: StepId) -> Result<Option<StepRow>, Error> {
        Ok(self.inner.store.read().step(id))
    }

    fn events(&self, id: StepId) -> Result<Vec<StoredEvent>, Error> {
        Ok(self.inner.store.read().events(id))
    }

    fn steps(&self, filter: &Filter) -> Result<Vec<StepRow>, Error> {
        Ok(self.inner.store.read().steps(filter))
    }

    fn runs(&self, limit: usize) -> Result<Vec<RunSummary>, Error> {
        Ok(self.inner.store.read().runs(limit))
    }

    fn guard(&self, kind: GuardKind, key: &[u8]) -> Result<Option<GuardRow>, Error> {
        Ok(self.inner.store.read().guard(kind, key))
    }

    fn guards(&self, kind: GuardKind, limit: usize) -> Result<Vec<GuardRow>, Error> {
        Ok(self.inner.store.read().guards(kind, limit))
    }

    fn maintain(&self, now: Instant, keep: &Retention) -> Result<Maintained, Error> {
        Ok(self.inner.store.write().maintain(now, keep))
    }

    fn backup(&self, _to: &Path) -> Result<Backup, Error> {
        Err(Error::Write("this journal lives in memory and has no file to copy".to_owned()))
    }

    fn verify(&self, _full: bool) -> Result<Verified, Error> {
        Ok(self.inner.store.read().verify())
    }

    fn health(&self) -> Result<(), Error> {
        if self.inner.queue.lock().closed { Err(Error::Closed) } else { Ok(()) }
    }

    fn close(&self) {
        self.inner.queue.lock().closed = true;
        self.inner.wake.notify_all();
        let worker = self.worker.lock().take();
        // The notification itself may close the journal: a thread cannot wait for itself.
        if let Some(worker) = worker.filter(|worker| worker.thread().id() != std::thread::current().id()) {
            drop(worker.join());
        }
        self.pump();
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.close();
    }
}
