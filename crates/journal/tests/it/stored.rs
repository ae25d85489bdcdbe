//! What is stored comes back as it was, also from a file that an older program wrote.

use crate::disk::At;
use journal::contract::Rig;
use journal::contract::sample::{self, id};
use journal::sqlite::{Durability, Options};
use journal::{Filter, Journal, Recall, Sqlite};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::path::Path;
use std::sync::Arc;
use vocab::{
    Bytes, Cause, Code, Delivered, Effect, EffectSource, Event, EventKind, EvidenceClass, GuardKind, Hash, Instant,
    KeySource, Name, Outcome, Record, RunId, State, StepId, StepIntent, StepStatus, Unverified, Verification,
};

fn name() -> impl Strategy<Value = Name> {
    prop_oneof!["[a-z_]{0,12}", "\\PC{1,6}", Just("nul\0inside".to_owned())].prop_map(Name::from)
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..60), (0_usize..30_000).prop_map(|length| vec![b'z'; length]),]
        .prop_map(Bytes::from)
}

fn instant() -> impl Strategy<Value = Instant> {
    prop_oneof![Just(Instant::ZERO), Just(Instant::FAR), (0..=i64::MAX as u64).prop_map(Instant::from_micros)]
}

fn of<T: Copy + std::fmt::Debug>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

prop_compose! {
    fn intent()(
        key in hash(), fingerprint in hash(), content in hash(), scope in hash(), policy in hash(),
        names in (name(), name(), name(), name()),
        maybe in (
            prop::option::of(name()), prop::option::of(name()), prop::option::of(bytes()),
            prop::option::of(bytes()),
        ),
        key_source in of(&[KeySource::Fresh, KeySource::Position, KeySource::ModelCall, KeySource::Explicit]),
        effect in of(&[Effect::Read, Effect::Idempotent, Effect::Keyed, Effect::Write, Effect::Destructive]),
        effect_source in of(&[
            EffectSource::Guessed, EffectSource::Name, EffectSource::Annotation, EffectSource::TrustedAnnotation,
            EffectSource::Policy,
        ]),
        step: [u8; 16], run: [u8; 16], generation: u32, args in bytes(), created_at in instant(),
    ) -> StepIntent {
        let (tenant, principal, upstream, tool) = names;
        let (lane, upstream_key, preimage, undo) = maybe;
        StepIntent {
            step: StepId(step), key, generation, key_source, fingerprint, content, scope, tenant, principal,
            run: RunId(run), upstream, tool, effect, effect_source, policy, lane, args, upstream_key, preimage,
            undo, created_at,
        }
    }
}

prop_compose! {
    fn status()(
        state in of(&State::ALL), attempt: u32, run_again: bool,
        outcome in prop::option::of(of(Outcome::ALL)), cause in prop::option::of(of(Cause::ALL)),
        verification in prop_oneof![
            of(&[Verification::None, Verification::Verified, Verification::Mismatch]),
            of(Unverified::ALL).prop_map(Verification::Unverified),
        ],
        told in prop::option::of(of(Code::ALL)), delivered in of(Delivered::ALL),
        remote_task in prop::option::of(name()),
        times in prop::array::uniform4(prop::option::of(instant())),
    ) -> StepStatus {
        let [first_sent_at, last_sent_at, closed_at, next_action_at] = times;
        StepStatus {
            state, attempt, outcome, cause, verification, told, delivered, run_again, remote_task, first_sent_at,
            last_sent_at, closed_at, next_action_at,
        }
    }
}

prop_compose! {
    fn event()(
        step: [u8; 16], at in instant(), kind in of(&EventKind::ALL), attempt: u32,
        class in prop::option::of(of(EvidenceClass::ALL)), detail in "\\PC{0,80}",
    ) -> Event {
        Event { step: StepId(step), at, kind, attempt, class, detail }
    }
}

#[test]
fn steps_and_events_come_back_as_they_were() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = Options { durability: Durability::ProcessCrashOnly, ..Options::default() };
    let mut subject = At(directory.path(), options);
    let rig = std::cell::RefCell::new(Rig::open(&mut subject));
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let all = (intent(), status(), status(), prop::option::of(bytes()), event());
    let outcome = TestRunner::new(config).run(&all, |(intent, first, second, result, mut event)| {
        let mut rig = rig.borrow_mut();
        let epoch = rig.journal.start().epoch;
        let intent = Arc::new(intent);
        event.step = intent.step;
        let insert = Record::Insert { intent: Arc::clone(&intent), status: first.clone(), epoch };
        rig.put(vec![insert, Record::Event(event.clone())]).expect("random keys do not meet");
        let row = rig.journal.step(intent.step).expect("readable").expect("stored");
        prop_assert_eq!(&row.intent, &intent);
        prop_assert_eq!((&row.status, row.epoch, &row.result, row.expired), (&first, epoch, &None, false));
        let update = Record::Update { step: intent.step, epoch, status: second.clone(), result: result.clone() };
        rig.put(vec![update]).expect("our own row");
        let row = rig.journal.step(intent.step).expect("readable").expect("stored");
        prop_assert_eq!((&row.intent, &row.status, &row.result), (&intent, &second, &result));
        let events = rig.journal.events(intent.step).expect("readable");
        prop_assert_eq!(&events[0].event, &event);
        Ok(())
    });
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(rig.into_inner().journal.verify(true).expect("readable").findings.is_empty());
}

/// Each was written by `cargo run -p journal --example golden` of its time and is never written again; form 2 is form 1
/// as the program of that time stepped it up.
fn golden(form: i32) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join(format!("v{form}.db"));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{form}.db"));
    std::fs::copy(golden, &path).expect("copied");
    (directory, path)
}

fn holds_what_the_golden_files_hold(journal: &Sqlite) {
    assert!(journal.verify(true).expect("readable").findings.is_empty());
    let row = journal.step(id(1)).expect("readable").expect("stored");
    assert_eq!(StepIntent { undo: None, ..(*row.intent).clone() }, sample::intent(1));
    assert_eq!(row.status, sample::closed(sample::at(2), Outcome::Succeeded));
    assert_eq!(row.result.as_deref(), Some(&b"{\"content\":[],\"number\":1}"[..]));
    let kinds: Vec<_> = journal.events(id(1)).expect("readable").into_iter().map(|one| one.event.kind).collect();
    use EventKind::{Closed, Dispatched, Intent, Receipt};
    assert_eq!(kinds, [Intent, Dispatched, Receipt, Closed]);
    let open = journal.open_steps().expect("readable");
    assert!(open.iter().map(|row| row.intent.step).eq([id(2)]));
    let stone = journal.step(id(3)).expect("readable").expect("a tombstone");
    assert!(stone.expired);
    assert_eq!(stone.intent.fingerprint, sample::intent(3).fingerprint);
    let by_key = journal.recall(&Recall { key: sample::hash(1, 3), content: None }).expect("readable").by_key;
    assert_eq!(by_key.map(|row| row.intent.step), Some(id(3)));
    let content = Some((sample::hash(4, 0), sample::hash(3, 1), Instant::ZERO));
    let by_content = journal.recall(&Recall { key: sample::hash(9, 9), content }).expect("readable").by_content;
    assert_eq!(by_content.map(|row| row.intent.step), Some(id(1)));
    let listed = journal.steps(&Filter { limit: 9, ..Filter::default() }).expect("readable");
    assert_eq!(listed.len(), 3);
    let reads = journal.steps(&Filter { reads: true, run: Some(RunId([2; 16])), limit: 9, ..Filter::default() });
    assert_eq!(reads.expect("readable").len(), 2);
    assert_eq!(journal.runs(9).expect("readable").len(), 2);
}

#[test]
fn a_journal_of_every_earlier_form_still_opens_and_goes_on() {
    for form in 1..=3 {
        let (_directory, path) = golden(form);
        for round in 0..2 {
            let journal = Sqlite::open(&path, Options::default()).expect("an old journal");
            // It came without its mark, so nobody can say what it missed.
            assert_eq!(journal.start().gap_since.is_some(), round == 0, "form {form}");
            holds_what_the_golden_files_hold(&journal);
            let row = journal.step(id(1)).expect("readable").expect("stored");
            let orders = journal.guards(GuardKind::Order, 9).expect("readable");
            assert_eq!((row.intent.undo.is_some(), orders.len()), (form > 1, usize::from(form > 1)), "form {form}");
        }
        let mut subject = At(&path, Options::default());
        let mut rig = Rig::open(&mut subject);
        let epoch = rig.journal.start().epoch;
        let mut again = sample::intent(50);
        again.key = sample::hash(1, 3);
        assert_eq!(rig.put(sample::begin(again, epoch)), Err(journal::Error::Conflict), "a tombstone blocks its key");
        rig.put(sample::end(2, epoch)).expect("the open step goes on");
        rig.put(sample::begin(sample::intent(50), epoch)).expect("a fresh key");
        assert!(rig.journal.verify(true).expect("readable").findings.is_empty());
    }
}

/// An earlier form beside its mark is as old as it was; an older copy of it beside that mark is a gap.
#[test]
fn a_mark_of_an_earlier_form_still_tells_an_older_journal() {
    for (behind, is_gap) in [(0, false), (1, true)] {
        let (_directory, path) = golden(1);
        let file = rusqlite::Connection::open(&path).expect("a journal");
        let (database, epoch): ([u8; 16], i64) = file
            .query_row("SELECT database, epoch FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("a row");
        let end = "SELECT last, hash FROM (SELECT lsn AS last, hash FROM event UNION SELECT last, hash FROM event_gap)
             ORDER BY last DESC LIMIT 1";
        let (lsn, hash): (i64, [u8; 32]) =
            file.query_row(end, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("an event");
        drop(file);
        let mut mark = b"cofmark1".to_vec();
        mark.extend_from_slice(&database);
        mark.extend_from_slice(&epoch.to_le_bytes());
        mark.extend_from_slice(&(lsn + behind).to_le_bytes());
        mark.extend_from_slice(&hash);
        mark.extend_from_slice(blake3::hash(&mark).as_bytes());
        std::fs::write(path.with_extension("mark"), mark).expect("written");
        let journal = Sqlite::open(&path, Options::default()).expect("an old journal");
        assert_eq!(journal.start().gap_since.is_some(), is_gap);
    }
}
