//! The same key: attach, replay, execute again, or refuse.

use crate::ask::{Ask, exact, step};
use crate::world::World;
use engine::Arrival;
use policy::Judgement;
use vocab::{Effect, EventKind, FailureKind, Outcome};

//= S-09
//= G5
#[test]
fn the_same_key_in_flight_attaches_to_the_one_execution() {
    let mut world = World::new();
    let ask = Ask::write().key("k");
    let (first, second) = (world.ask(&ask), world.ask(&ask));
    assert_eq!(world.sends.len(), 1);
    world.done();
    assert_eq!((world.told(first), world.told(second)), ("result".into(), "replayed".into()));
}

//= S-09
#[test]
fn two_calls_of_one_key_that_are_looked_up_at_once_make_one_step() {
    let mut world = World::new();
    world.slow_recall = true;
    let ask = Ask::write().key("k");
    let (first, second) = (world.ask(&ask), world.ask(&ask));
    world.recall();
    world.done();
    assert_eq!(world.sends.len(), 1);
    assert_eq!((world.told(first), world.told(second)), ("result".into(), "replayed".into()));
}

//= S-09
#[test]
fn a_look_up_that_began_before_a_step_ended_does_not_miss_it() {
    let ask = Ask::write().key("k");
    let mut world = World::new();
    world.slow_recall = true;
    let first = world.ask(&ask);
    let late = world.ask(&ask);
    // Only the first look-up is answered; the step runs and ends before the second one is.
    world.input(engine::Input::Recalled { call: vocab::CallId(first), recalled: Box::default() });
    world.done();
    world.arrive(first, Arrival::Seen);
    assert_eq!(world.engine.load().0, 1, "kept while an older look-up is under way");
    world.input(engine::Input::Recalled { call: vocab::CallId(late), recalled: Box::default() });
    assert_eq!(world.told(late), "replayed");
    assert_eq!(world.sends.len(), 1);
}

#[test]
fn an_attached_caller_whose_time_is_up_hears_that_it_runs() {
    let mut world = World::new();
    let ask = Ask::write().key("k");
    let first = world.ask(&ask);
    let second = world.ask(&ask.clone().patience(5));
    world.seconds(6);
    assert_eq!(world.told(second), "in_progress unknown");
    assert_eq!(world.stop(second).step, step(first));
    world.done();
    assert_eq!(world.told(first), "result");
}

//= G5
//= S-23
#[test]
fn a_closed_step_is_replayed_byte_for_byte() {
    let mut world = World::new();
    let ask = Ask::write().key("k");
    world.seen(&ask);
    let again = world.ask(&ask);
    assert_eq!(world.told(again), "replayed");
    assert_eq!(world.sends.len(), 1);
    assert!(world.has_event(1, EventKind::Replayed));
    let after = world.ask(&ask);
    assert_eq!(world.told(after), "replayed");
}

//= G5
#[test]
fn a_tool_error_is_replayed_like_any_receipt() {
    let mut world = World::new();
    let ask = Ask::write().key("k");
    let call = world.ask(&ask);
    world.answer(engine::AnswerKind::ToolError("no such order".into()));
    let again = world.ask(&ask);
    assert_eq!((world.told(call), world.told(again)), ("result".into(), "replayed".into()));
    assert_eq!(world.outcome(call), Some(Outcome::Failed));
    assert_eq!(world.sends.len(), 1);
}

//= S-23
#[test]
fn evidence_is_replayed_like_a_receipt() {
    let mut world = World::new();
    let ask = Ask::of(exact(Effect::Write)).key("k");
    let call = world.ask(&ask);
    world.fail(FailureKind::Eof);
    world.judge(Judgement::Applied);
    world.arrive(call, Arrival::Seen);
    let again = world.ask(&ask);
    assert_eq!(world.told(again), "applied_no_receipt yes");
    assert_eq!(world.sends.len(), 1);
}

//= G1
#[test]
fn an_unresolved_step_is_never_dispatched_again_under_its_key() {
    let mut world = World::new();
    let ask = Ask::of(exact(Effect::Write)).key("k");
    world.ask(&ask);
    world.fail(FailureKind::Eof);
    let again = world.ask(&ask);
    world.judge(Judgement::Inconclusive("cannot tell".into()));
    world.seconds(51);
    assert_eq!(world.told(again), "outcome_unknown unknown");
    assert_eq!(world.sends.len(), 1);
    assert!(world.stop(again).next_probe.is_some());
}

//= S-09
#[test]
fn what_was_proven_not_to_have_run_runs_again_under_its_key_as_the_next_attempt() {
    let mut world = World::new();
    let ask = Ask::effect(Effect::Destructive).key("k");
    let first = world.ask(&ask);
    world.fail(FailureKind::Status(403));
    assert_eq!(world.told(first), "upstream_unavailable no");
    world.arrive(first, Arrival::Seen);
    let second = world.ask(&ask);
    assert_eq!((world.last_send().step, world.last_send().attempt), (step(first), 2));
    world.done();
    assert_eq!(world.told(second), "result");
    assert_eq!(world.rows.len(), 1);
}

//= G5
//= S-23
#[test]
fn the_same_key_with_other_arguments_is_refused_with_what_differs() {
    let mut world = World::new();
    world.seen(&Ask::write().key("k").args(r#"{"order":1,"amount":5}"#));
    let other = world.ask(&Ask::write().key("k").args(r#"{"order":1,"amount":6}"#));
    assert_eq!(world.told(other), "idempotency_conflict no");
    assert_eq!(world.stop(other).earlier, Some(step(1)));
    assert!(world.stop(other).why.contains("/amount"), "{}", world.stop(other).why);
    assert!(!world.stop(other).why.contains("/order"));
    assert_eq!(world.sends.len(), 1);
    assert!(world.has_event(1, EventKind::Conflict));
}

//= G1
#[test]
fn nothing_runs_under_the_key_of_a_tombstone() {
    for (outcome, told) in [
        (Outcome::Succeeded, "duplicate_suppressed yes"),
        (Outcome::Applied, "duplicate_suppressed yes"),
        (Outcome::NotExecuted, "not_applied no"),
        (Outcome::Failed, "outcome_unknown unknown"),
    ] {
        let mut world = World::new();
        let ask = Ask::write().key("k");
        world.seen(&ask);
        let row = world.rows.get_mut(&step(1)).expect("it is stored");
        row.expired = true;
        row.result = None;
        row.status.outcome = Some(outcome);
        let again = world.ask(&ask);
        assert_eq!(world.told(again), told);
        assert_eq!(world.sends.len(), 1);
    }
}

#[test]
fn a_named_read_in_flight_is_joined_and_a_finished_one_runs_again() {
    let mut world = World::new();
    let ask = Ask::read().key("k");
    let (first, second) = (world.ask(&ask), world.ask(&ask));
    assert_eq!(world.sends.len(), 1);
    world.done();
    assert_eq!((world.told(first), world.told(second)), ("result".into(), "replayed".into()));
    world.ask(&ask);
    assert_eq!(world.sends.len(), 2);
}

//= S-23
#[test]
fn the_same_request_delivered_twice_is_one_step() {
    let mut world = World::new();
    let ask = Ask { wire: Some(7), ..Ask::write() };
    let (first, second) = (world.ask(&ask), world.ask(&ask));
    assert_eq!(world.sends.len(), 1);
    world.done();
    assert_eq!((world.told(first), world.told(second)), ("result".into(), "replayed".into()));
}

#[test]
fn a_wire_id_used_for_another_call_is_another_call() {
    let mut world = World::new();
    world.ask(&Ask { wire: Some(7), ..Ask::write() });
    world.ask(&Ask { wire: Some(7), ..Ask::write().args("[2]") });
    assert_eq!(world.sends.len(), 2);
}

//= G5
#[test]
fn a_call_that_counts_as_a_read_since_a_reload_is_answered_by_the_settled_mutation_of_its_key() {
    let mut world = World::new();
    let first = world.ask(&Ask::write().key("k"));
    world.done();
    assert_eq!(world.told(first), "result");
    let again = world.ask(&Ask::read().key("k"));
    assert_eq!(world.told(again), "replayed");
    assert_eq!(world.sends.len(), 1);
}
