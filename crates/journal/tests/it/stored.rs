//! What is stored comes back as it was, also from a file that an older program wrote.

use crate::disk::At;
use journal::contract::Rig;
use journal::contract::sample::{self, id};
use journal::sqlite::{Durability, Options};
use journal::{Filter, Journal, Sqlite};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::path::Path;
use std::sync::Arc;
use vocab::{
    Bytes, Cause, Code, Delivered, Effect, EffectSource, Event, EventKind, EvidenceClass, Hash, Instant, KeySource,
    Name, Outcome, Record, RunId, State, StepId, StepIntent, StepStatus, Unverified, Verification,
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

/// Written by `cargo run -p journal --example golden`, once per form; never written again.
#[test]
fn a_journal_of_form_1_still_opens() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("v1.db");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.db");
    std::fs::copy(golden, &path).expect("copied");
    let journal = Sqlite::open(&path, Options::default()).expect("an old journal");
    // It came without its mark, so nobody can say what it missed.
    assert!(journal.start().gap_since.is_some());
    assert!(journal.verify(true).expect("readable").findings.is_empty());
    let row = journal.step(id(1)).expect("readable").expect("stored");
    assert_eq!(*row.intent, sample::intent(1));
    assert_eq!(row.status, sample::closed(sample::at(2), Outcome::Succeeded));
    assert_eq!(row.result.as_deref(), Some(&b"{\"content\":[],\"number\":1}"[..]));
    assert_eq!(journal.events(id(1)).expect("readable").len(), 4);
    assert_eq!(journal.open_steps().expect("readable").len(), 1);
    let stone = journal.step(id(3)).expect("readable").expect("a tombstone");
    assert!(stone.expired);
    assert_eq!(stone.intent.fingerprint, sample::intent(3).fingerprint);
    let reads = journal.steps(&Filter { reads: true, run: Some(RunId([2; 16])), limit: 9, ..Filter::default() });
    assert_eq!(reads.expect("readable").len(), 2);
}
