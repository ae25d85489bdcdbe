//! A journal that commits on the test's own runtime: with a paused clock, nothing may wait for another thread.

use journal::{
    Backup, Error, Filter, Journal, Maintained, Memory, Notify, Order, Recall, Recalled, Replicas, Retention,
    RunSummary, Seen, SeenBoth, Start, StoredEvent, Tell, Ticket, Verified,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use vocab::{GuardKind, GuardRow, Instant, Record, State, StepId, StepRow};

pub struct Prompt {
    memory: Arc<Memory>,
    /// Appends that somebody waited for.
    pub barriers: AtomicUsize,
    pub maintained: AtomicUsize,
    /// It takes nothing.
    pub overfull: AtomicBool,
    /// It cannot be read.
    pub unreadable: AtomicBool,
    /// Others may share it.
    pub shared: AtomicBool,
    /// Each time it was asked for its term, it is taken for dead and begins another one.
    pub fenced: AtomicBool,
    term: AtomicI64,
}

impl Prompt {
    pub fn new() -> Arc<Self> {
        Self::of(Memory::manual())
    }

    fn of(memory: Arc<Memory>) -> Arc<Self> {
        Arc::new(Self {
            memory,
            barriers: AtomicUsize::new(0),
            maintained: AtomicUsize::new(0),
            overfull: AtomicBool::new(false),
            unreadable: AtomicBool::new(false),
            shared: AtomicBool::new(false),
            fenced: AtomicBool::new(false),
            term: AtomicI64::new(1),
        })
    }

    /// What the next process would find.
    pub fn reopen(&self) -> Arc<Self> {
        Self::of(self.memory.reopen())
    }
}

impl Journal for Prompt {
    fn start(&self) -> &Start {
        self.memory.start()
    }

    fn on_durable(&self, notify: Notify) {
        self.memory.on_durable(notify);
    }

    fn append(&self, records: Vec<Record>, ticket: Option<Ticket>) -> Result<(), Error> {
        if self.overfull.load(Ordering::SeqCst) {
            return Err(Error::Full(0));
        }
        self.barriers.fetch_add(usize::from(ticket.is_some()), Ordering::SeqCst);
        self.memory.append(records, ticket)?;
        let memory = Arc::clone(&self.memory);
        drop(tokio::spawn(async move { memory.pump() }));
        Ok(())
    }

    fn recall(&self, query: &Recall) -> Result<Recalled, Error> {
        if self.unreadable.load(Ordering::SeqCst) {
            return Err(Error::Read("the disk is gone".to_owned()));
        }
        self.memory.recall(query)
    }

    fn open_steps(&self) -> Result<Vec<StepRow>, Error> {
        self.memory.open_steps()
    }

    fn step(&self, id: StepId) -> Result<Option<StepRow>, Error> {
        self.memory.step(id)
    }

    fn events(&self, id: StepId) -> Result<Vec<StoredEvent>, Error> {
        self.memory.events(id)
    }

    fn steps(&self, filter: &Filter) -> Result<Vec<StepRow>, Error> {
        self.memory.steps(filter)
    }

    fn runs(&self, limit: usize) -> Result<Vec<RunSummary>, Error> {
        self.memory.runs(limit)
    }

    fn guard(&self, kind: GuardKind, key: &[u8]) -> Result<Option<GuardRow>, Error> {
        self.memory.guard(kind, key)
    }

    fn guards(&self, kind: GuardKind, limit: usize) -> Result<Vec<GuardRow>, Error> {
        if self.unreadable.load(Ordering::SeqCst) {
            return Err(Error::Read("the disk is gone".to_owned()));
        }
        self.memory.guards(kind, limit)
    }

    fn maintain(&self, now: Instant, keep: &Retention) -> Result<Maintained, Error> {
        self.maintained.fetch_add(1, Ordering::SeqCst);
        self.memory.maintain(now, keep)
    }

    fn backup(&self, to: &Path) -> Result<Backup, Error> {
        self.memory.backup(to)
    }

    fn verify(&self, full: bool) -> Result<Verified, Error> {
        self.memory.verify(full)
    }

    fn health(&self) -> Result<(), Error> {
        self.memory.health()
    }

    fn close(&self) {
        self.memory.close();
    }

    fn replicas(&self) -> Option<&dyn Replicas> {
        self.shared.load(Ordering::SeqCst).then_some(self)
    }
}

impl Replicas for Prompt {
    fn term(&self) -> i64 {
        self.term.fetch_add(i64::from(self.fenced.load(Ordering::SeqCst)), Ordering::SeqCst)
    }

    fn may_send(&self, term: i64) -> bool {
        term == self.term.load(Ordering::SeqCst)
    }

    fn watch(&self, _step: StepId, _state: State) {}

    fn begin(&self, _tell: Tell) -> Result<Vec<StepRow>, Error> {
        Ok(Vec::new())
    }

    fn recall(&self, query: &Recall) -> Result<SeenBoth, Error> {
        let Recalled { by_key, by_content } = self.memory.recall(query)?;
        let seen = |row: Option<StepRow>| row.map(|row| Seen { row, elsewhere: false });
        Ok(SeenBoth { by_key: seen(by_key), by_content: seen(by_content) })
    }

    fn look(&self, step: StepId) -> Result<Option<Seen>, Error> {
        Ok(self.memory.step(step)?.map(|row| Seen { row, elsewhere: false }))
    }

    fn order(&self, _order: &Order) -> Result<(), Error> {
        Err(Error::Closed)
    }
}
