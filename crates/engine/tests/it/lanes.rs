//! The order of mutations on one target.

use crate::ask::{Ask, exact, rules, step};
use crate::world::World;
use engine::{Act, Left};
use policy::Judgement;
use std::time::Duration;
use vocab::{Effect, EffectSource, FailureKind};

fn ask(args: &str) -> Ask {
    Ask::write().args(args)
}

#[test]
fn mutations_of_one_declared_lane_run_one_after_another_in_order_of_arrival() {
    let mut world = World::new();
    for args in ["[1]", "[2]", "[3]"] {
        world.ask(&ask(args).lane("order 1"));
    }
    for number in 1..=3 {
        assert_eq!(world.last_send().step, step(number));
        assert_eq!(world.sends.len(), usize::try_from(number).expect("small"));
        world.done();
    }
}

#[test]
fn other_lanes_and_undeclared_ones_do_not_wait_for_each_other() {
    let mut world = World::new();
    world.ask(&ask("[1]").lane("a"));
    world.ask(&ask("[2]").lane("b"));
    world.ask(&ask("[3]"));
    world.ask(&ask("[4]"));
    assert_eq!(world.sends.len(), 4);
}

//= G6
#[test]
fn while_a_lane_holds_an_unknown_later_mutations_wait_and_are_refused_unsent() {
    let mut world = World::new();
    world.ask(&ask("[1]").lane("a"));
    world.fail(FailureKind::Eof);
    let second = world.ask(&ask("[2]").lane("a").run(2).patience(20));
    assert_eq!(world.sends.len(), 1);
    world.seconds(21);
    assert_eq!(world.told(second), "outcome_unknown no");
    assert_eq!(world.stop(second).earlier, Some(step(1)));
    assert_eq!(world.sends.len(), 1);
}

#[test]
fn a_resolved_unknown_lets_the_next_one_of_its_lane_run() {
    let mut world = World::new();
    world.ask(&Ask::of(exact(Effect::Write)).args("[1]").lane("a"));
    world.fail(FailureKind::Eof);
    let second = world.ask(&ask("[2]").lane("a").run(2));
    world.judge(Judgement::Applied);
    assert_eq!(world.sent(second), 1);
}

//= G6
#[test]
fn on_an_undeclared_lane_an_unknown_holds_only_its_own_run() {
    let mut world = World::new();
    world.ask(&ask("[1]"));
    world.fail(FailureKind::Eof);
    let same_run = world.ask(&ask("[2]"));
    let declared = world.ask(&ask("[3]").lane("a"));
    let other_run = world.ask(&ask("[4]").run(2));
    assert_eq!([same_run, declared, other_run].map(|call| world.sent(call)), [0, 0, 1]);
    world.person(1, Act::Applied);
    assert_eq!([same_run, declared].map(|call| world.sent(call)), [1, 1]);
}

/// As a server without annotations has it: every tool is taken for the worst.
fn guessed(args: &str) -> Ask {
    let mut rules = rules(Effect::Destructive);
    rules.effect_source = EffectSource::Guessed;
    Ask::of(rules).args(args)
}

#[test]
fn an_unknown_of_a_tool_that_nobody_has_classified_holds_nobody_back() {
    for cancelled in [true, false] {
        let mut world = World::new();
        let first = world.ask(&guessed("[1]"));
        if cancelled {
            world.leave(first, Left::Cancelled);
        } else {
            world.fail(FailureKind::Eof);
        }
        let second = world.ask(&guessed("[2]"));
        let classified = world.ask(&ask("[3]"));
        assert_eq!([second, classified].map(|call| world.sent(call)), [1, 1]);
        let same = world.ask(&guessed("[1]").patience(5));
        world.seconds(6);
        assert_eq!((world.told(same).as_str(), world.sent(same)), ("outcome_unknown unknown", 0), "it may have run");
    }
}

//= G6
#[test]
fn on_a_declared_lane_even_an_unclassified_unknown_is_waited_for() {
    let mut world = World::new();
    world.ask(&guessed("[1]").lane("a"));
    world.fail(FailureKind::Eof);
    let second = world.ask(&guessed("[2]").lane("a"));
    assert_eq!(world.sent(second), 0);
}

#[test]
fn reads_wait_for_nobody() {
    let mut world = World::new();
    world.ask(&ask("[1]").lane("a"));
    world.fail(FailureKind::Eof);
    let read = world.ask(&Ask::read().lane("a"));
    assert_eq!(world.sent(read), 1);
}

#[test]
fn who_leaves_while_it_waits_leaves_no_trace_and_no_hole() {
    let mut world = World::new();
    world.ask(&ask("[1]").lane("a"));
    let second = world.ask(&ask("[2]").lane("a"));
    let third = world.ask(&ask("[3]").lane("a"));
    world.leave(second, Left::Cancelled);
    world.done();
    assert_eq!((world.sent(second), world.sent(third)), (0, 1));
    assert!(!world.rows.contains_key(&step(second)));
}

#[test]
fn waiting_behind_a_slow_call_past_the_deadline_is_told_as_that() {
    let mut world = World::new();
    world.ask(&ask("[1]").lane("a"));
    let second = world.ask(&ask("[2]").lane("a").patience(10));
    world.seconds(11);
    assert_eq!(world.told(second), "deadline no");
}

#[test]
fn the_wait_for_a_lane_does_not_shorten_the_attempt() {
    let mut world = World::new();
    world.ask(&ask("[1]").lane("a"));
    let second = world.ask(&ask("[2]").lane("a").patience(300));
    world.seconds(50);
    world.done();
    assert_eq!(world.sent(second), 1);
    world.seconds(55);
    assert_eq!(world.told(second), "nothing yet");
    world.done();
    assert_eq!(world.told(second), "result");
}

//= G1
#[test]
fn a_persons_permit_passes_an_unknown_of_the_same_lane() {
    let mut world = World::new();
    world.ask(&Ask::write().lane("a").key("k"));
    world.fail(FailureKind::Eof);
    world.person(1, Act::RunAgain);
    let again = world.ask(&Ask::write().lane("a").key("k"));
    assert_eq!(world.sent(again), 1);
    assert_eq!(world.row(again).intent.generation, 1);
}

//= G1
#[test]
fn a_lane_stays_closed_while_a_lost_copy_of_an_absolute_write_may_still_land() {
    let mut world = World::new();
    let first = world.ask(&Ask::of(exact(Effect::Idempotent)).args("[1]").lane("a"));
    world.fail(FailureKind::Eof);
    world.seconds(1);
    assert_eq!(world.sent(first), 2);
    world.done();
    world.judge(Judgement::Applied);
    assert_eq!(world.told(first), "result");
    let second = world.ask(&Ask::of(exact(Effect::Idempotent)).args("[2]").lane("a"));
    world.seconds(5);
    assert_eq!(world.sent(second), 0, "the first copy may be on its way for ten seconds");
    world.seconds(10);
    assert_eq!(world.sent(second), 1);
}

//= G1
#[test]
fn a_late_receipt_does_not_open_a_lane_on_which_an_earlier_copy_may_still_land() {
    let mut rules = exact(Effect::Idempotent);
    rules.attempt_timeout = Duration::from_secs(8);
    let mut world = World::new();
    let first = world.ask(&Ask::of(rules).args("[1]").lane("a").patience(11));
    world.seconds(11);
    assert_eq!((world.sent(first), world.told(first)), (2, "outcome_unknown unknown".into()));
    world.judge(Judgement::Applied);
    let second = world.ask(&Ask::of(exact(Effect::Idempotent)).args("[2]").lane("a"));
    world.done();
    assert_eq!(world.outcome(first), Some(vocab::Outcome::Succeeded));
    world.seconds(1);
    assert_eq!(world.sent(second), 0, "the copies may be on their way for ten seconds");
    world.seconds(10);
    assert_eq!(world.sent(second), 1);
}

//= G1
#[test]
fn a_copy_that_is_overtaken_while_it_is_written_down_is_not_sent() {
    let mut world = World::new();
    let first = world.ask(&Ask::effect(Effect::Idempotent).args("[1]"));
    world.fail(FailureKind::Eof);
    world.held = true;
    world.seconds(1);
    let later = world.ask(&Ask::effect(Effect::Idempotent).args("[2]").run(2));
    world.held = false;
    world.commit();
    assert_eq!((world.sent(first), world.sent(later)), (1, 1));
    assert_eq!(world.outcome(first), Some(vocab::Outcome::Unknown));
}
