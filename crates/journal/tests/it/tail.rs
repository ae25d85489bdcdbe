//! What stands in the log and not yet in the tables is found like everything else: by the owner, by the next owner
//! after a crash, and by one who only reads.

use crate::disk::At;
use journal::contract::sample::{at, begin, closed, end, event, hash, id, intent, update};
use journal::contract::{Rig, Subject};
use journal::sqlite::Options;
use journal::{Filter, Journal, Memory, Recall, Retention, Sqlite};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vocab::{Epoch, EventKind, Instant, Outcome, Record, RunId, State, StepRow, StepStatus};

/// What a person may do to a journal, with numbers small enough to meet.
#[derive(Clone, Copy, Debug)]
enum Act {
    Begin {
        number: u64,
        key: u64,
        generation: u32,
        content: u64,
    },
    End(u64),
    Reopen(u64),
    Note(u64),
    /// Two steps in one append.
    Both(u64, u64),
    /// All that may expire does.
    Expire,
    /// The end in order, and a new start.
    Restart,
    /// The files as they are now, and a new start on them.
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    let number = 0_u64..12;
    prop_oneof![
        6 => (number.clone(), 0_u64..6, 0_u32..3, 0_u64..3)
            .prop_map(|(number, key, generation, content)| Act::Begin { number, key, generation, content }),
        4 => number.clone().prop_map(Act::End),
        1 => number.clone().prop_map(Act::Reopen),
        2 => number.clone().prop_map(Act::Note),
        1 => (number.clone(), number).prop_map(|(one, other)| Act::Both(one, other)),
        1 => Just(Act::Expire),
        1 => Just(Act::Restart),
        1 => Just(Act::Crash),
    ]
}

fn records(act: Act, epoch: Epoch, now: u64) -> Vec<Record> {
    match act {
        Act::Begin { number, key, generation, content } => {
            let mut next = intent(number);
            next.key = hash(1, key);
            next.generation = generation;
            next.content = hash(3, content);
            next.run = RunId([(number % 2) as u8; 16]);
            next.created_at = at(now);
            begin(next, epoch)
        }
        Act::End(number) => end(number, epoch),
        Act::Reopen(number) => {
            vec![update(number, epoch, StepStatus { run_again: true, ..closed(at(number + 9), Outcome::Unknown) })]
        }
        Act::Note(number) => vec![Record::Event(event(id(number), at(number), EventKind::Replayed))],
        Act::Both(one, other) => {
            let mut both = vec![update(one, epoch, StepStatus::new(State::Resolving))];
            both.extend(end(other, epoch));
            both
        }
        Act::Expire | Act::Restart | Act::Crash => Vec::new(),
    }
}

/// How long a result and events stay that are written to a tombstone is each backend's own affair.
fn stripped(row: StepRow) -> StepRow {
    StepRow { result: row.result.filter(|_| !row.expired), ..row }
}

fn look(journal: &dyn Journal) -> Vec<String> {
    let mut seen = Vec::new();
    for number in 0..12 {
        let row = journal.step(id(number)).expect("readable");
        let events = journal.events(id(number)).expect("readable");
        seen.push(format!(
            "{:?}",
            events.iter().filter(|_| row.as_ref().is_none_or(|row| !row.expired)).collect::<Vec<_>>()
        ));
        seen.push(format!("{:?}", row.map(stripped)));
    }
    for key in 0..6 {
        let content = |content| Some((hash(4, 0), hash(3, content), at(3)));
        let held = journal.recall(&Recall { key: hash(1, key), content: None }).expect("readable");
        seen.push(format!("{:?}", held.by_key.map(stripped)));
        let unknown = Recall { key: hash(9, key), content: content(key % 3) };
        seen.push(format!("{:?}", journal.recall(&unknown).expect("readable").by_content));
    }
    seen.push(format!("{:?}", journal.open_steps().expect("readable")));
    for run in [None, Some(RunId([0; 16]))] {
        for state in [None, Some(State::Closed), Some(State::Dispatched)] {
            let filter = Filter { run, state, limit: 20, ..Filter::default() };
            let mut steps = journal.steps(&filter).expect("readable");
            // Steps made out of the order of their times may be listed either way.
            steps.sort_by_key(|row| row.intent.step);
            seen.push(format!("{steps:?}"));
        }
    }
    let mut runs = journal.runs(9).expect("readable");
    runs.sort_by_key(|run| run.run);
    seen.push(format!("{runs:?}"));
    seen
}

fn expire(journal: &dyn Journal) {
    let keep = Retention { bodies: Duration::from_secs(60), ..Retention::default() };
    while journal.maintain(at(100_000), &keep).expect("room").more {}
}

/// Copies the files of a journal in use, as a crash would leave them.
fn image(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("a temporary directory");
    for name in ["journal.db", "journal.db-wal", "journal.mark"] {
        std::fs::copy(from.join(name), to.path().join(name)).expect("copied");
    }
    to
}

#[derive(Default)]
struct InMemory(Option<Arc<Memory>>);

impl Subject for InMemory {
    fn open(&mut self) -> Arc<dyn Journal> {
        let next = self.0.as_ref().map_or_else(Memory::manual, |last| last.reopen());
        self.0 = Some(Arc::clone(&next));
        next
    }

    fn pump(&self) {
        if let Some(memory) = &self.0 {
            memory.pump();
        }
    }
}

//= S-09
#[test]
fn the_file_answers_as_the_reference_does_wherever_a_step_stands() {
    let mut runner = TestRunner::new(Config { cases: 30, failure_persistence: None, ..Config::default() });
    let plan = (1_usize..6, prop::collection::vec(act(), 1..40));
    let outcome = runner.run(&plan, |(settle_after, acts)| {
        let options = Options { settle_after, ..Options::default() };
        let mut directory = tempfile::tempdir().expect("a temporary directory");
        let mut reference = InMemory::default();
        let mut acts = (0..).zip(acts);
        loop {
            let mut restart = None;
            let image = {
                let mut subject = At(directory.path(), options.clone());
                let mut file = Rig::open(&mut subject);
                let mut memory = Rig::open(&mut reference);
                for (now, act) in acts.by_ref() {
                    if matches!(act, Act::Restart | Act::Crash) {
                        restart = Some(act);
                        break;
                    }
                    if matches!(act, Act::Expire) {
                        expire(&*file.journal);
                        expire(&*memory.journal);
                        continue;
                    }
                    let ours = file.put(records(act, file.journal.start().epoch, now));
                    let theirs = memory.put(records(act, memory.journal.start().epoch, now));
                    prop_assert_eq!(ours, theirs, "{:?}", act);
                }
                prop_assert_eq!(file.journal.start().epoch, memory.journal.start().epoch);
                let beside = Sqlite::open_readonly(directory.path()).expect("beside its owner");
                let expected = look(&*memory.journal);
                for one in [look(&*file.journal), look(&*beside)] {
                    for (ours, theirs) in one.iter().zip(&expected) {
                        prop_assert_eq!(ours, theirs);
                    }
                }
                prop_assert_eq!(file.journal.verify(true).expect("readable").findings, Vec::<String>::new());
                image(directory.path())
            };
            match restart {
                None => return Ok(()),
                Some(Act::Crash) => directory = image,
                Some(_) => {}
            }
        }
    });
    assert!(outcome.is_ok(), "{outcome:?}");
}

//= G4
#[test]
fn a_key_is_held_wherever_its_step_stands() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for settle_after in [1, 1_000] {
        let mut subject = At(directory.path(), Options { settle_after, ..Options::default() });
        let mut rig = Rig::open(&mut subject);
        let epoch = rig.journal.start().epoch;
        let from = settle_after as u64;
        for number in from..from + 20 {
            rig.put(begin(intent(number), epoch)).expect("a fresh key");
        }
        for number in from..from + 20 {
            let mut again = intent(number + 500);
            again.key = intent(number).key;
            assert_eq!(rig.put(begin(again, epoch)), Err(journal::Error::Conflict), "{number}");
            let found = rig.journal.recall(&Recall { key: hash(1, number), content: None }).expect("readable");
            assert_eq!(found.by_key.map(|row| row.intent.step), Some(id(number)));
        }
    }
}

/// A reader at rest opens what a crash left, before anybody recovered it.
#[test]
fn the_end_of_the_log_is_read_by_one_who_only_reads() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut subject = At(directory.path(), Options::default());
    let mut rig = Rig::open(&mut subject);
    let epoch = rig.journal.start().epoch;
    for number in 0..5 {
        rig.put(begin(intent(number), epoch)).expect("a fresh key");
    }
    rig.put(end(2, epoch)).expect("our own row");
    let image = image(directory.path());
    let reader = Sqlite::open_readonly(image.path()).expect("at rest");
    assert_eq!(look(&*reader), look(&*rig.journal));
    assert_eq!(reader.open_steps().expect("readable").len(), 4);
    assert_eq!(reader.steps(&Filter { limit: 9, ..Filter::default() }).expect("readable").len(), 5);
    let copied = rig.journal.backup(&image.path().join("copy.db")).expect("room");
    assert_eq!(copied.steps, 5);
    assert_eq!(
        reader
            .recall(&Recall { key: hash(1, 2), content: None })
            .expect("readable")
            .by_key
            .map(|row| row.status.closed_at),
        Some(Some(at(3)))
    );
    let content = Some((hash(4, 0), hash(3, 4), Instant::ZERO));
    assert!(reader.recall(&Recall { key: hash(9, 9), content }).expect("readable").by_content.is_some());
}

/// Lists are read while steps move from memory into the tables: none is missing and none is told of twice.
#[test]
fn a_list_tells_of_each_step_once_while_the_tables_follow() {
    const STEPS: u64 = 300;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut subject = At(directory.path(), Options { settle_after: 3, ..Options::default() });
    let mut rig = Rig::open(&mut subject);
    let epoch = rig.journal.start().epoch;
    let journal = Arc::clone(&rig.journal);
    let begun = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut before = 0;
            while before < STEPS {
                before = begun.load(Ordering::SeqCst);
                let listed = journal.steps(&Filter { limit: 1_000, ..Filter::default() }).expect("readable");
                let open = journal.open_steps().expect("readable");
                for rows in [&listed, &open] {
                    let ids: BTreeSet<_> = rows.iter().map(|row| row.intent.step).collect();
                    assert_eq!(ids.len(), rows.len(), "a step is told of twice");
                    assert!((0..before).all(|number| ids.contains(&id(number))), "a step is missing");
                }
                let counted: u64 = journal.runs(9).expect("readable").iter().map(|run| run.mutations).sum();
                assert!((before..=STEPS).contains(&counted), "{counted} steps, {before} were there before");
            }
        });
        for number in 0..STEPS {
            rig.put(begin(intent(number), epoch)).expect("a fresh key");
            begun.store(number + 1, Ordering::SeqCst);
        }
    });
}
