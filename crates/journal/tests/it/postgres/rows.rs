//! Two replicas of one journal in one process: whose a row is, and what of it is found when somebody changes it by hand.

use super::fixture::Databases;
use journal::contract::sample::{at, begin, closed, end, hash, id, intent, update};
use journal::postgres::{Options, Postgres};
use journal::{Change, Durable, Error, Journal, Order, Recall, Replicas, Ticket};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vocab::{Lsn, Outcome, Record, State, StepStatus};

const PATIENCE: Duration = Duration::from_secs(60);

/// A replica, what it told, and what it heard of others.
pub(super) struct Replica {
    pub(super) journal: Arc<Postgres>,
    told: Arc<(Mutex<Vec<Durable>>, Condvar)>,
    changes: Arc<(Mutex<Vec<Change>>, Condvar)>,
    next: AtomicU64,
}

impl Replica {
    pub(super) fn open(url: &str, options: Options) -> Self {
        let journal = Postgres::open(url, options).expect("the database takes a replica");
        let told: Arc<(Mutex<Vec<Durable>>, Condvar)> = Arc::default();
        let to = Arc::clone(&told);
        journal.on_durable(Arc::new(move |done| {
            to.0.lock().extend(done);
            to.1.notify_all();
        }));
        Self { journal, told, changes: Arc::default(), next: AtomicU64::new(1) }
    }

    pub(super) fn begin(&self) {
        let to = Arc::clone(&self.changes);
        let tell = move |change| {
            to.0.lock().push(change);
            to.1.notify_all();
        };
        assert!(self.journal.begin(Arc::new(tell)).expect("readable").is_empty());
    }

    /// Begins, and waits until as many steps were taken over as `enough` wants.
    pub(super) fn begin_with(&self, enough: impl Fn(usize) -> bool) {
        self.begin();
        let until = Instant::now() + PATIENCE;
        let mut changes = self.changes.0.lock();
        loop {
            let taken =
                changes.iter().map(|change| if let Change::Taken(rows) = change { rows.len() } else { 0 }).sum();
            if enough(taken) {
                return;
            }
            assert!(!self.changes.1.wait_until(&mut changes, until).timed_out(), "{taken} were taken");
        }
    }

    pub(super) fn send(&self, records: Vec<Record>) -> Result<Ticket, Error> {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        self.journal.append(records, Some(ticket)).map(|()| ticket)
    }

    pub(super) fn wait(&self, ticket: Ticket) -> Result<Lsn, Error> {
        let until = Instant::now() + PATIENCE;
        let mut told = self.told.0.lock();
        loop {
            let found: Vec<_> = told.iter().filter(|one| one.ticket == ticket).map(|one| one.result.clone()).collect();
            assert!(found.len() < 2, "a ticket is told once");
            if let Some(result) = found.into_iter().next() {
                return result;
            }
            assert!(!self.told.1.wait_until(&mut told, until).timed_out(), "ticket {ticket} was never told");
        }
    }

    pub(super) fn put(&self, records: Vec<Record>) -> Result<Lsn, Error> {
        self.wait(self.send(records)?)
    }

    /// Waits for a change that is looked for.
    fn hear<T>(&self, what: impl Fn(&Change) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut changes = self.changes.0.lock();
        loop {
            if let Some(found) = changes.iter().find_map(&what) {
                return found;
            }
            assert!(!self.changes.1.wait_until(&mut changes, until).timed_out(), "it was never heard: {changes:?}");
        }
    }

    fn epoch(&self) -> vocab::Epoch {
        self.journal.start().epoch
    }

    fn recall(&self, number: u64) -> journal::Seen {
        let found = self.journal.replicas().expect("shared").recall(&Recall { key: hash(1, number), content: None });
        found.expect("readable").by_key.expect("stored")
    }
}

fn two(databases: &Databases, lease: Duration) -> (String, Replica, Replica) {
    let url = databases.fresh();
    let options = |name: &str| Options { name: name.to_owned(), lease, ..Options::default() };
    let (a, b) = (Replica::open(&url, options("a")), Replica::open(&url, options("b")));
    a.begin();
    b.begin();
    (url, a, b)
}

//= S-01
//= G1
#[test]
fn of_two_replicas_one_gets_a_key_and_a_closed_step_goes_to_who_asks_for_it() {
    let Some(databases) = Databases::start(&[]) else { return };
    let (_, a, b) = two(&databases, Duration::from_secs(60));
    a.put(begin(intent(1), a.epoch())).expect("a fresh key");
    let mut twin = intent(2);
    twin.key = intent(1).key;
    assert_eq!(b.put(begin(twin, b.epoch())), Err(Error::Conflict));
    assert!(b.recall(1).elsewhere, "it is open, and its owner lives");
    a.put(end(1, a.epoch())).expect("its own row");
    // Closed: whoever asks for it becomes its owner, and what the other one still remembers is too old.
    let seen = b.recall(1);
    assert!(!seen.elsewhere && seen.row.epoch > a.epoch());
    assert_eq!(a.put(vec![update(1, a.epoch(), closed(at(9), Outcome::Failed))]), Err(Error::Fenced));
    let again = StepStatus { attempt: 2, ..StepStatus::new(State::Dispatched) };
    b.put(vec![update(1, seen.row.epoch, again)]).expect("its own row now");
    assert!(a.recall(1).elsewhere);
    assert!(a.journal.verify(true).expect("readable").findings.is_empty());
}

//= S-01
//= G1
#[test]
fn steps_of_a_replica_that_is_gone_are_taken_over_and_its_writes_are_fenced() {
    let Some(databases) = Databases::start(&[]) else { return };
    let url = databases.fresh();
    let options = || Options { lease: Duration::from_secs(9), ..Options::default() };
    let (a, b) = (Replica::open(&url, options()), Replica::open(&url, options()));
    b.begin();
    a.put(begin(intent(1), a.epoch())).expect("a fresh key");
    // As if its owner had never been seen again.
    databases.run(&url, "UPDATE cofferdam.step SET owner = -1");
    let taken = b.hear(|change| match change {
        Change::Taken(rows) => rows.first().cloned(),
        _ => None,
    });
    assert_eq!((taken.intent.step, taken.status.state), (id(1), State::Dispatched));
    assert!(taken.epoch > b.epoch());
    assert_eq!(a.put(end(1, a.epoch())), Err(Error::Fenced));
    b.put(vec![update(1, taken.epoch, StepStatus::new(State::Resolving))]).expect("its own row now");
}

//= S-01
#[test]
fn a_replica_that_was_fenced_begins_anew_with_what_nobody_took() {
    let Some(databases) = Databases::start(&[]) else { return };
    let url = databases.fresh();
    let a = Replica::open(&url, Options { lease: Duration::from_secs(9), ..Options::default() });
    a.begin();
    a.put(begin(intent(1), a.epoch())).expect("a fresh key");
    databases.run(&url, "UPDATE cofferdam.replica SET fenced = true");
    let kept = a.hear(|change| match change {
        Change::Rejoined { kept, .. } => kept.first().cloned(),
        _ => None,
    });
    assert_eq!(kept.intent.step, id(1));
    assert_eq!(a.put(end(1, a.epoch())), Err(Error::Fenced), "what it remembers is older");
    a.put(end(1, kept.epoch)).expect("its own row");
    a.put(begin(intent(2), a.epoch())).expect("it takes new steps");
}

//= S-01
#[test]
fn whoever_watches_a_step_hears_that_it_moved_and_a_persons_word_reaches_its_owner() {
    let Some(databases) = Databases::start(&[]) else { return };
    let (_, a, b) = two(&databases, Duration::from_secs(60));
    a.put(begin(intent(1), a.epoch())).expect("a fresh key");
    b.journal.watch(id(1), State::Dispatched);
    a.put(end(1, a.epoch())).expect("its own row");
    b.hear(|change| matches!(change, Change::Moved(steps) if steps == &[id(1)]).then_some(()));
    a.put(begin(intent(2), a.epoch())).expect("a fresh key");
    let order = Order { step: id(2), act: "applied".to_owned(), who: "ops".to_owned(), why: "seen".to_owned() };
    b.journal.order(&order).expect("it is handed over");
    let heard = a.hear(|change| match change {
        Change::Ordered(order) => Some(order.clone()),
        _ => None,
    });
    assert_eq!(heard, order);
}

#[test]
fn a_changed_event_and_a_cut_tail_are_found_by_name() {
    let Some(databases) = Databases::start(&[]) else { return };
    let (url, a, b) = two(&databases, Duration::from_secs(60));
    for (replica, number) in [(&a, 1), (&b, 2), (&a, 3), (&b, 4)] {
        replica.put(begin(intent(number), replica.epoch())).expect("a fresh key");
        replica.put(end(number, replica.epoch())).expect("its own row");
    }
    let findings = |full| a.journal.verify(full).expect("readable").findings;
    assert_eq!((findings(false), findings(true)), (Vec::new(), Vec::new()));
    let (first, second) = (a.epoch().0, b.epoch().0);
    databases.run(&url, &format!("UPDATE cofferdam.event SET detail = 'x' WHERE epoch = {first} AND seq = 3"));
    assert_eq!(findings(true), [format!("chain of writer {first}: event 3 does not match its hash")]);
    databases.run(&url, &format!("DELETE FROM cofferdam.event WHERE epoch = {second} AND seq > 6"));
    assert_eq!(findings(false)[0], format!("chain of writer {second}: events 7 to 8 are missing at its end"));
    databases.run(&url, "UPDATE cofferdam.step SET result = 'x' WHERE seq = 1");
    assert!(findings(true).iter().any(|one| one.contains("does not match its hash") && one.contains("result")));
}

#[test]
fn text_that_a_database_cannot_hold_as_text_comes_back_as_it_was() {
    let Some(databases) = Databases::start(&[]) else { return };
    let a = Replica::open(&databases.fresh(), Options::default());
    let mut odd = intent(1);
    (odd.tool, odd.lane, odd.upstream_key) = ("a\0b".into(), Some("\0".into()), Some("ü\0\u{fffd}".into()));
    a.put(begin(odd.clone(), a.epoch())).expect("a fresh key");
    assert_eq!(*a.journal.step(id(1)).expect("readable").expect("stored").intent, odd);
}
