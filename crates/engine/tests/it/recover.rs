//! What a start does with what an earlier process left.

use crate::ask::{Ask, exact, step};
use crate::world::World;
use policy::Judgement;
use vocab::{Effect, EventKind, FailureKind, Outcome, State};

fn crashed(ask: &Ask) -> World {
    let mut world = World::new();
    world.ask(ask);
    world.crash();
    world
}

//= G1
#[test]
fn an_intent_that_was_never_dispatched_is_closed_as_not_executed() {
    let mut world = World::new();
    world.ask(&Ask::write().key("k"));
    world.fail(FailureKind::Connect);
    assert_eq!(world.row(1).status.state, State::Intent);
    world.crash();
    assert_eq!(world.outcome(1), Some(Outcome::NotExecuted));
    assert_eq!(world.sends.len(), 1, "never sent for an agent that is gone");
    world.ask(&Ask::write().key("k"));
    assert_eq!(world.sends.len(), 2);
}

//= G5
#[test]
fn a_start_does_not_take_an_older_step_of_a_key_for_its_latest() {
    let ask = Ask::write().key("k");
    let mut world = World::new();
    world.ask(&ask);
    world.fail(FailureKind::Eof);
    world.person(1, engine::Act::RunAgain);
    world.ask(&ask);
    world.done();
    // Only the first one is open, so that a start takes up no other.
    world.crash();
    let again = world.ask(&ask);
    assert_eq!((world.told(again), world.sends.len()), ("replayed".into(), 2));
}

//= G1
//= G6
#[test]
fn a_dispatched_write_is_unknown_after_a_crash_and_probed() {
    let mut world = crashed(&Ask::of(exact(Effect::Write)).key("k"));
    assert_eq!(world.outcome(1), Some(Outcome::Unknown));
    assert!(world.has_event(1, EventKind::Recovered));
    let again = world.ask(&Ask::of(exact(Effect::Write)).key("k"));
    world.judge(Judgement::Applied);
    assert_eq!(world.told(again), "applied_no_receipt yes");
    assert_eq!(world.sends.len(), 1);
}

//= S-23
#[test]
fn a_re_issue_after_a_crash_under_a_new_key_is_recognised() {
    let mut world = crashed(&Ask::of(exact(Effect::Write)));
    let again = world.ask(&Ask::of(exact(Effect::Write)));
    assert_eq!(world.sends.len(), 1);
    world.judge(Judgement::Applied);
    assert_eq!(world.told(again), "applied_no_receipt yes");
}

//= G2
#[test]
fn a_dispatched_keyed_step_is_sent_again_with_its_key_when_somebody_asks() {
    let mut world = crashed(&Ask::effect(Effect::Keyed).key("k"));
    world.seconds(5);
    assert_eq!(world.sends.len(), 1);
    let again = world.ask(&Ask::effect(Effect::Keyed).key("k"));
    assert_eq!(world.sends.len(), 2);
    assert_eq!(world.sends[0].key, world.sends[1].key);
    assert_eq!(world.last_send().step, step(1));
    world.done();
    assert_eq!(world.told(again), "replayed");
}

//= G1
#[test]
fn a_dispatched_idempotent_step_is_sent_again_only_on_a_lane_that_kept_its_order() {
    let mut world = crashed(&Ask::effect(Effect::Idempotent).key("k").lane("a"));
    world.ask(&Ask::effect(Effect::Idempotent).key("k").lane("a"));
    assert_eq!(world.sends.len(), 2);
    let mut world = crashed(&Ask::effect(Effect::Idempotent).key("k"));
    world.ask(&Ask::effect(Effect::Idempotent).key("k"));
    assert_eq!(world.sends.len(), 1);
}

//= G6
#[test]
fn unknown_outlives_any_number_of_restarts() {
    let mut world = World::new();
    world.ask(&Ask::write().key("k"));
    world.fail(FailureKind::Eof);
    for _ in 0..3 {
        world.crash();
        world.seconds(3000);
        assert_eq!(world.row(1).status.state, State::NeedsHuman);
    }
    let again = world.ask(&Ask::write().key("k"));
    assert_eq!(world.told(again), "outcome_unknown unknown");
    assert_eq!(world.sends.len(), 1);
}

//= S-25
#[test]
fn probing_goes_on_after_a_restart() {
    let mut world = World::new();
    world.ask(&Ask::of(exact(Effect::Write)));
    world.fail(FailureKind::Eof);
    world.judge(Judgement::Inconclusive("busy".into()));
    world.crash();
    world.judge(Judgement::Applied);
    assert_eq!(world.outcome(1), Some(Outcome::Applied));
}

//= G3
#[test]
fn quiescence_starts_again_where_nobody_knows_when_the_last_byte_went() {
    let mut world = World::new();
    world.ask(&Ask::of(exact(Effect::Write)));
    world.seconds(30);
    world.crash();
    world.judge(Judgement::Absent);
    assert_eq!(world.outcome(1), Some(Outcome::Unknown));
    world.settle_probes(&Judgement::Absent, 11);
    assert_eq!(world.outcome(1), Some(Outcome::Absent));
}

//= S-15
#[test]
fn a_receipt_that_came_before_the_crash_is_not_lost_with_the_read_back() {
    let mut world = World::new();
    world.ask(&Ask::of(exact(Effect::Write)).key("k"));
    world.done();
    world.crash();
    world.judge(Judgement::Applied);
    assert_eq!(world.outcome(1), Some(Outcome::Succeeded));
    let again = world.ask(&Ask::of(exact(Effect::Write)).key("k"));
    assert_eq!(world.told(again), "replayed");
}

#[test]
fn a_lane_that_held_an_unknown_before_the_crash_holds_it_after() {
    let mut world = crashed(&Ask::write().lane("a"));
    let next = world.ask(&Ask::write().lane("a").args("[2]").run(2).patience(5));
    world.seconds(6);
    assert_eq!(world.told(next), "outcome_unknown no");
}

//= G1
#[test]
fn a_permit_outlives_a_crash_and_is_used_once() {
    let mut world = World::new();
    world.ask(&Ask::write().key("k"));
    world.fail(FailureKind::Eof);
    world.person(1, engine::Act::RunAgain);
    world.crash();
    let again = world.ask(&Ask::write().key("k"));
    assert_eq!(world.sent(again), 1);
    world.crash();
    let third = world.ask(&Ask::write().key("k"));
    assert_eq!(world.told(third), "outcome_unknown unknown");
    assert_eq!(world.sends.len(), 2);
}

//= G3
#[test]
fn what_is_shown_as_last_sent_is_when_it_was_sent_and_quiescence_counts_from_the_start() {
    let mut world = World::new();
    world.ask(&Ask::of(exact(Effect::Write)).key("k"));
    let sent_at = world.now;
    world.seconds(20);
    world.crash();
    assert_eq!(world.row(1).status.last_sent_at, Some(sent_at));
    world.judge(Judgement::Absent);
    assert_eq!(world.outcome(1), Some(Outcome::Unknown), "the process that ended may have sent until it ended");
    world.settle_probes(&Judgement::Absent, 11);
    assert_eq!(world.outcome(1), Some(Outcome::Absent));
}
