//! Disconnect, cancel, and callers whose time is up.

use crate::ask::{Ask, exact, rules, step};
use crate::world::World;
use engine::Left;
use policy::{Judgement, OnDisconnect};
use vocab::{Effect, EventKind, FailureKind, Outcome};

//= S-23
#[test]
fn a_disconnect_detaches_a_mutation_and_its_answer_is_kept() {
    let mut world = World::new();
    let call = world.ask(&Ask::write().key("k"));
    world.leave(call, Left::Disconnected);
    assert!(world.cancels.is_empty() && world.abandons.is_empty());
    world.done();
    assert_eq!(world.outcome(call), Some(Outcome::Succeeded));
    assert_eq!(world.told(call), "nothing yet");
    let again = world.ask(&Ask::write().key("k"));
    assert_eq!(world.told(again), "replayed");
}

#[test]
fn a_disconnect_ends_a_read() {
    let mut world = World::new();
    let call = world.ask(&Ask::read());
    world.leave(call, Left::Disconnected);
    assert_eq!(world.abandons, [step(call)]);
    assert_eq!(world.engine.load(), (0, 0, 0));
}

#[test]
fn a_tool_may_ask_for_a_cancel_on_disconnect() {
    let mut rules = rules(Effect::Write);
    rules.on_disconnect = OnDisconnect::Cancel;
    let mut world = World::new();
    let call = world.ask(&Ask::of(rules));
    world.leave(call, Left::Disconnected);
    assert_eq!(world.cancels, [step(call)]);
}

//= G3
#[test]
fn a_cancel_is_forwarded_once_and_is_never_an_outcome() {
    let mut world = World::new();
    let call = world.ask(&Ask::of(exact(Effect::Write)));
    world.leave(call, Left::Cancelled);
    world.leave(call, Left::Cancelled);
    assert_eq!(world.cancels, [step(call)]);
    assert_eq!(world.outcome(call), Some(Outcome::Unknown));
    world.fail(FailureKind::CancelSent);
    assert_eq!(world.outcome(call), Some(Outcome::Unknown));
    world.judge(Judgement::Applied);
    assert_eq!(world.outcome(call), Some(Outcome::Applied));
}

//= S-25
#[test]
fn a_receipt_after_a_cancel_is_the_outcome() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.leave(call, Left::Cancelled);
    world.done();
    assert_eq!(world.outcome(call), Some(Outcome::Succeeded));
    assert!(world.has_event(call, EventKind::CallerLeft));
}

#[test]
fn one_of_two_callers_who_cancels_cancels_nothing() {
    let mut world = World::new();
    let ask = Ask::write().key("k");
    let (first, second) = (world.ask(&ask), world.ask(&ask));
    world.leave(first, Left::Cancelled);
    assert!(world.cancels.is_empty());
    world.done();
    assert_eq!((world.told(first), world.told(second)), ("nothing yet".into(), "replayed".into()));
}

//= G1
#[test]
fn nothing_more_is_sent_for_a_caller_that_has_left() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.fail(FailureKind::Connect);
    world.leave(call, Left::Disconnected);
    world.seconds(10);
    assert_eq!(world.sent(call), 1);
    assert_eq!(world.outcome(call), Some(Outcome::NotExecuted));
}

#[test]
fn a_caller_who_leaves_while_it_is_looked_up_starts_nothing() {
    let mut world = World::new();
    world.slow_recall = true;
    let call = world.ask(&Ask::write());
    world.leave(call, Left::Disconnected);
    world.recall();
    assert!(world.sends.is_empty() && world.rows.is_empty());
    assert!(world.engine.is_quiet());
}

#[test]
fn a_stream_is_drained_for_five_minutes_and_then_given_up() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.leave(call, Left::Disconnected);
    world.seconds(60 + 299);
    assert!(world.abandons.is_empty());
    world.seconds(2);
    assert_eq!(world.abandons, [step(call)]);
}

#[test]
fn the_next_caller_carries_an_attempt_on() {
    let mut world = World::new();
    let ask = Ask::write().key("k");
    let (first, second) = (world.ask(&ask), world.ask(&ask));
    world.leave(first, Left::Disconnected);
    world.fail(FailureKind::Connect);
    world.seconds(1);
    assert_eq!(world.last_send().through, vocab::CallId(second));
}

#[test]
fn a_read_past_its_callers_deadline_is_told_and_given_up() {
    let mut world = World::new();
    let call = world.ask(&Ask::read().patience(5));
    world.seconds(6);
    assert_eq!(world.told(call), "upstream_unavailable no");
    assert_eq!(world.abandons.len(), 1);
    assert_eq!(world.engine.load(), (0, 0, 0));
}

//= G3
#[test]
fn a_mutation_past_its_callers_deadline_is_unknown_and_goes_on() {
    let mut world = World::new();
    let call = world.ask(&Ask::write().patience(5).key("k"));
    world.seconds(6);
    assert_eq!(world.told(call), "outcome_unknown unknown");
    assert!(world.abandons.is_empty() && world.cancels.is_empty());
    world.done();
    assert_eq!(world.outcome(call), Some(Outcome::Succeeded));
}

#[test]
fn who_comes_while_a_step_ends_unsent_because_its_caller_left_has_it_run() {
    let mut world = World::new();
    let ask = Ask::write().key("k");
    world.held = true;
    let first = world.ask(&ask);
    world.leave(first, Left::Disconnected);
    // The intent becomes durable; that nothing was sent is still on its way.
    world.commit();
    let second = world.ask(&ask);
    world.held = false;
    world.commit();
    assert_eq!(world.sends.len(), 1);
    world.done();
    assert_eq!(world.told(second), "result");
}
