//! A file journal is moved into a database.

use super::fixture::Databases;
use super::rows::Replica;
use journal::contract::sample::{at, begin, closed, end, hash, id, intent, read, update};
use journal::contract::{Rig, Subject};
use journal::postgres::{Import, Options};
use journal::sqlite::Options as File;
use journal::{Error, Filter, Journal, Recall, Retention, Sqlite, migrate};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vocab::{Bytes, GuardKind, GuardRow, Instant, Outcome, Record, State};

struct In<'a>(&'a Path);

impl Subject for In<'_> {
    fn open(&mut self) -> Arc<dyn Journal> {
        Sqlite::open(self.0, File::default()).expect("a fresh directory")
    }
}

const STEPS: u64 = 450;

/// Every fifth open, some tombstones, a guard.
fn fill(directory: &Path) {
    let mut subject = In(directory);
    let mut rig = Rig::open(&mut subject);
    let epoch = rig.journal.start().epoch;
    for number in 0..STEPS {
        rig.put(begin(intent(number), epoch)).expect("a fresh key");
        if number % 5 != 0 {
            rig.put(end(number, epoch)).expect("our own row");
        }
    }
    let keep = Retention { bodies: Duration::from_secs(100), ..Retention::default() };
    while rig.journal.maintain(at(200), &keep).expect("room").more {}
    rig.put(vec![update(5, epoch, closed(at(9), Outcome::NotExecuted)), Record::Read(read(9_000))])
        .expect("our own row");
    let at = Instant::from_micros(7);
    let guard = GuardRow { kind: GuardKind::Order, key: Bytes::from_static(b"o"), body: Bytes::from_static(b"b"), at };
    rig.put(vec![Record::Guard(guard)]).expect("room");
    rig.journal.close();
}

//= G1
//= G5
#[test]
fn a_file_journal_is_moved_whole_also_when_it_is_interrupted_and_begun_again() {
    let Some(databases) = Databases::start(&[]) else { return };
    let directory = tempfile::tempdir().expect("a directory");
    fill(directory.path());
    let url = databases.fresh();
    let from = Sqlite::open(directory.path(), File::default()).expect("it is there");
    let scratch = directory.path().join("scratch.db");
    // Interrupted: some are there already, as a first try left them.
    let first = Import::open(&url, Vec::new()).expect("an empty database");
    for number in [0, 7, 300] {
        let whole =
            (from.step(id(number)).expect("readable").expect("stored"), from.events(id(number)).expect("readable"));
        assert_eq!(first.put(vec![whole.clone()], Vec::new()), Ok(1));
        assert_eq!(first.put(vec![whole], Vec::new()), Ok(0), "each once");
    }
    drop(first);
    let moved = migrate(&from, &scratch, &url, Vec::new(), |_, _| ()).expect("it is moved");
    assert_eq!((moved.steps, moved.brought), (STEPS, STEPS - 3));
    let again = migrate(&from, &scratch, &url, Vec::new(), |_, _| ()).expect("nothing is left to do");
    assert_eq!((again.steps, again.brought, again.open), (STEPS, 0, moved.open));
    let to = Replica::open(&url, Options { lease: Duration::from_secs(9), ..Options::default() });
    for number in 0..STEPS {
        let (was, is) = (from.step(id(number)).expect("readable"), to.journal.step(id(number)).expect("readable"));
        let (was, is) = (was.expect("stored"), is.expect("moved"));
        assert_eq!(
            (&was.intent, &was.status, &was.result, was.expired),
            (&is.intent, &is.status, &is.result, is.expired)
        );
        let events = |journal: &dyn Journal| {
            journal.events(id(number)).expect("readable").into_iter().map(|one| one.event).collect::<Vec<_>>()
        };
        assert_eq!(events(&*from), events(&*to.journal));
    }
    assert_eq!(to.journal.guards(GuardKind::Order, 9).expect("readable").len(), 1);
    assert!(to.journal.verify(true).expect("readable").findings.is_empty());
    // No key runs again, and equal content is found.
    let epoch = to.journal.start().epoch;
    let mut same = intent(STEPS + 1);
    same.key = intent(7).key;
    assert_eq!(to.put(begin(same, epoch)), Err(Error::Conflict));
    let query = Recall { key: hash(9, 9), content: Some((hash(4, 0), hash(3, 300), Instant::ZERO)) };
    assert!(to.journal.recall(&query).expect("readable").by_content.is_some());
    // What was open is taken over, never sent.
    to.begin_with(|taken| taken == moved.open as usize);
    let open = to.journal.steps(&Filter { state: Some(State::Dispatched), limit: 1_000, ..Filter::default() });
    assert_eq!(open.expect("readable").len() as u64, moved.open);
}
