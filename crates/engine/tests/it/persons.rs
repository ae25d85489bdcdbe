//! What a person records.

use crate::ask::Ask;
use crate::world::World;
use engine::Act;
use vocab::{EventKind, EvidenceClass, FailureKind, Outcome};

fn unknown() -> World {
    let mut world = World::new();
    world.ask(&Ask::write().key("k"));
    world.fail(FailureKind::Eof);
    world
}

//= G6
#[test]
fn a_persons_record_resolves_an_unknown_step() {
    for (act, outcome, told) in [
        (Act::Applied, Outcome::Applied, "applied_no_receipt yes"),
        (Act::Absent, Outcome::Absent, "not_applied no"),
        (Act::Diverged, Outcome::Diverged, "outcome_unknown unknown"),
    ] {
        let mut world = unknown();
        world.person(1, act);
        assert_eq!(world.outcome(1), Some(outcome));
        let closed = world.events.iter().find(|event| event.kind == EventKind::Closed).expect("it is closed");
        assert_eq!(closed.class, Some(EvidenceClass::Person));
        let again = world.ask(&Ask::write().key("k"));
        assert_eq!(world.told(again), told);
        assert_eq!(world.sends.len(), 1);
    }
}

#[test]
fn who_and_why_are_kept() {
    let mut world = unknown();
    world.person(1, Act::Applied);
    assert!(world.events.iter().any(|event| {
        event.kind == EventKind::Person && event.detail.contains("ops") && event.detail.contains("looked")
    }));
}

//= G3
#[test]
fn a_person_cannot_overrule_a_receipt() {
    let mut world = World::new();
    world.ask(&Ask::write().key("k"));
    world.done();
    world.person(1, Act::Absent);
    assert_eq!(world.outcome(1), Some(Outcome::Succeeded));
    let mut running = World::new();
    running.ask(&Ask::write());
    running.person(1, Act::Absent);
    assert_eq!(running.outcome(1), None);
}

#[test]
fn diverged_may_be_accepted_later() {
    let mut world = unknown();
    world.person(1, Act::Diverged);
    world.remember(1);
    world.person(1, Act::Applied);
    assert_eq!(world.outcome(1), Some(Outcome::Applied));
}

#[test]
fn a_closed_step_that_was_loaded_for_a_person_leaves_memory_again() {
    let mut world = World::new();
    world.seen(&Ask::write());
    world.remember(1);
    assert_eq!(world.engine.load().0, 1);
    world.seconds(61);
    assert_eq!(world.engine.load().0, 0);
}
