//! The forced read after a receipt.

use crate::ask::{Ask, checked, exact};
use crate::world::World;
use engine::{AnswerKind, Purpose, ReadEnd};
use policy::{Consistency, Judgement, Strength};
use vocab::{Cause, Effect, Outcome, Unverified, Verification};

fn done(consistency: Consistency) -> World {
    let mut world = World::new();
    world.ask(&Ask::of(checked(Effect::Write, Strength::Exact, consistency)));
    world.done();
    assert_eq!(world.purpose(), Some(Purpose::Readback));
    assert_eq!(world.told(1), "nothing yet");
    world
}

fn verification(world: &World) -> Verification {
    world.row(1).status.verification
}

//= S-15
#[test]
fn every_mutation_with_a_read_back_is_read_back_before_it_is_told() {
    let mut world = done(Consistency::Strong);
    world.judge(Judgement::Applied);
    assert_eq!(world.told(1), "result");
    assert_eq!(verification(&world), Verification::Verified);
}

//= S-15
#[test]
fn without_one_it_says_so() {
    let mut world = World::new();
    world.ask(&Ask::write());
    world.done();
    assert_eq!(verification(&world), Verification::Unverified(Unverified::NoReadback));
}

//= S-15
//= G3
#[test]
fn done_that_the_world_does_not_show_twice_is_a_mismatch() {
    let mut world = done(Consistency::Strong);
    world.judge(Judgement::Different);
    assert_eq!(world.told(1), "nothing yet");
    world.seconds(1);
    world.judge(Judgement::Different);
    assert_eq!(world.told(1), "readback_mismatch yes");
    assert_eq!(verification(&world), Verification::Mismatch);
    assert_eq!(world.row(1).status.cause, Some(Cause::Contradiction));
}

//= S-15
#[test]
fn an_eventual_reader_gets_its_time_to_show_the_write() {
    let mut world = done(Consistency::Eventual);
    world.judge(Judgement::Absent);
    world.settle_probes(&Judgement::Absent, 8);
    assert_eq!(world.told(1), "nothing yet");
    world.settle_probes(&Judgement::Applied, 3);
    assert_eq!(world.told(1), "result");
    assert_eq!(verification(&world), Verification::Verified);
}

//= S-15
#[test]
fn an_eventual_reader_that_never_shows_it_is_a_mismatch_in_the_end() {
    let mut world = done(Consistency::Eventual);
    world.judge(Judgement::Absent);
    world.settle_probes(&Judgement::Absent, 30);
    assert_eq!(world.told(1), "readback_mismatch yes");
}

//= S-15
#[test]
fn a_read_back_that_fails_is_unverified_and_not_a_failed_write() {
    let mut world = done(Consistency::Strong);
    for _ in 0..3 {
        world.show(ReadEnd::Failed("no route".into()));
        world.seconds(1);
    }
    assert_eq!(world.told(1), "result");
    assert_eq!(verification(&world), Verification::Unverified(Unverified::ReadFailed));
    let mut world = done(Consistency::Strong);
    for _ in 0..3 {
        world.judge(Judgement::Inconclusive("two of them".into()));
        world.seconds(1);
    }
    assert_eq!(verification(&world), Verification::Unverified(Unverified::Inconclusive));
}

//= S-15
#[test]
fn a_caller_whose_time_is_up_gets_the_receipt_unverified() {
    let mut world = World::new();
    world.ask(&Ask::of(checked(Effect::Write, Strength::Exact, Consistency::Eventual)).patience(5));
    world.done();
    world.judge(Judgement::Absent);
    world.seconds(5);
    assert_eq!(world.told(1), "result");
    assert_eq!(verification(&world), Verification::Unverified(Unverified::Inconclusive));
}

//= S-15
//= G3
#[test]
fn a_reported_failure_is_looked_at_too() {
    let failed = |judgement: Judgement| {
        let mut world = World::new();
        world.ask(&Ask::of(exact(Effect::Write)));
        world.answer(AnswerKind::ToolError("no".into()));
        assert_eq!(world.purpose(), Some(Purpose::Probe));
        world.judge(judgement);
        world
    };
    let absent = failed(Judgement::Absent);
    assert_eq!((absent.told(1).as_str(), absent.outcome(1)), ("result", Some(Outcome::Failed)));
    assert_eq!(verification(&absent), Verification::Verified);
    let partial = failed(Judgement::Different);
    assert_eq!(verification(&partial), Verification::Mismatch);
    let applied = failed(Judgement::Applied);
    assert_eq!(applied.told(1), "applied_no_receipt yes");
    assert_eq!(applied.outcome(1), Some(Outcome::Applied));
}

#[test]
fn a_pre_image_is_read_before_and_stored_with_the_intent() {
    let mut world = World::new();
    world.ask(&Ask::of(checked(Effect::Write, Strength::Inferred, Consistency::Strong)));
    assert_eq!((world.purpose(), world.sends.len()), (Some(Purpose::Preimage), 0));
    world.image("{\"done\":false}");
    assert_eq!(world.sends.len(), 1);
    assert_eq!(world.row(1).intent.preimage.as_deref(), Some(b"{\"done\":false}".as_slice()));
}

#[test]
fn a_pre_image_that_does_not_come_does_not_hold_the_call_for_ever() {
    let mut world = World::new();
    world.ask(&Ask::of(checked(Effect::Write, Strength::Inferred, Consistency::Strong)));
    world.seconds(31);
    assert_eq!(world.sends.len(), 1);
    assert_eq!(world.row(1).intent.preimage, None);
}
