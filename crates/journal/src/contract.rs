//! What every journal must do, as one suite of cases: each backend runs all of them in its tests.

mod cases;
pub mod sample;

use crate::{Durable, Error, Journal, Ticket};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};
use vocab::{Lsn, Record};

/// A backend under test. Each case gets a fresh one.
pub trait Subject {
    /// Opens it, or opens again what was closed.
    fn open(&mut self) -> Arc<dyn Journal>;

    /// Lets a backend without a thread of its own go on.
    fn pump(&self) {}
}

/// A behaviour.
pub type Case = fn(&mut dyn Subject);

/// All behaviours by name.
pub const CASES: &[(&str, Case)] = cases::ALL;

/// How long a case waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open journal and what it told.
pub struct Rig<'a> {
    subject: &'a dyn Subject,
    pub journal: Arc<dyn Journal>,
    told: Arc<Told>,
    next: Ticket,
}

#[derive(Default)]
struct Told {
    results: Mutex<Vec<(Ticket, Result<Lsn, Error>)>>,
    news: Condvar,
}

impl<'a> Rig<'a> {
    pub fn open(subject: &'a mut dyn Subject) -> Self {
        let journal = subject.open();
        let told = Arc::new(Told::default());
        let to = Arc::clone(&told);
        journal.on_durable(Arc::new(move |done: Vec<Durable>| {
            to.results.lock().extend(done.into_iter().map(|one| (one.ticket, one.result)));
            to.news.notify_all();
        }));
        Self { subject, journal, told, next: 1 }
    }

    /// Appends with a ticket and does not wait.
    pub fn send(&mut self, records: Vec<Record>) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        self.journal.append(records, Some(ticket)).expect("the queue has room");
        ticket
    }

    /// What the ticket was told.
    pub fn wait(&self, ticket: Ticket) -> Result<Lsn, Error> {
        let until = Moment::now() + PATIENCE;
        loop {
            self.subject.pump();
            let mut results = self.told.results.lock();
            if let Some((_, result)) = results.iter().find(|(told, _)| *told == ticket) {
                return result.clone();
            }
            assert!(Moment::now() < until, "ticket {ticket} was never told");
            self.told.news.wait_for(&mut results, Duration::from_millis(20));
        }
    }

    /// Appends and waits.
    pub fn put(&mut self, records: Vec<Record>) -> Result<Lsn, Error> {
        let ticket = self.send(records);
        self.wait(ticket)
    }

    /// Everything told so far, in the order in which it was told.
    pub fn told(&self) -> Vec<(Ticket, Result<Lsn, Error>)> {
        self.told.results.lock().clone()
    }

    /// How often each ticket was told.
    pub fn times(&self) -> HashMap<Ticket, usize> {
        let mut times = HashMap::new();
        for (ticket, _) in self.told() {
            *times.entry(ticket).or_default() += 1;
        }
        times
    }
}
