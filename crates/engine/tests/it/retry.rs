//! The retry matrix: attempts in total, by effect and evidence.

use crate::ask::Ask;
use crate::world::World;
use engine::AnswerKind;
use std::time::Duration;
use vocab::{Effect, Failure, FailureKind, Outcome};

/// How often a step is sent when every attempt ends like this.
fn attempts(effect: Effect, end: impl Fn(&mut World)) -> usize {
    let mut world = World::new();
    let call = world.ask(&Ask::effect(effect));
    for _ in 0..10 {
        let sent = world.sent(call);
        end(&mut world);
        world.seconds(6);
        if world.sent(call) == sent {
            break;
        }
    }
    world.sent(call)
}

fn row(end: impl Fn(&mut World)) -> [usize; 5] {
    Effect::ALL.map(|effect| attempts(effect, &end))
}

// Each array: read, idempotent, keyed, write, destructive.

//= S-09
//= G1
#[test]
fn on_structural_proof_every_effect_is_tried_again() {
    assert_eq!(row(|world| world.fail(FailureKind::Connect)), [3, 3, 5, 2, 2]);
}

//= S-09
//= G1
#[test]
fn on_attested_proof_only_what_can_be_cured_is_tried_again() {
    assert_eq!(row(|world| world.fail(FailureKind::Status(429))), [3, 3, 5, 2, 1]);
    assert_eq!(row(|world| world.fail(FailureKind::Status(403))), [1, 1, 1, 1, 1]);
}

//= S-09
//= G1
#[test]
fn once_it_may_have_run_a_write_is_never_sent_again() {
    assert_eq!(row(|world| world.fail(FailureKind::Reset)), [3, 3, 5, 1, 1]);
    assert_eq!(row(|world| world.fail(FailureKind::Status(503))), [3, 3, 5, 1, 1]);
    assert_eq!(row(|world| world.fail(FailureKind::Rpc { code: -32603, status: None })), [3, 3, 5, 1, 1]);
}

//= S-09
#[test]
fn a_reported_error_is_an_answer_unless_a_read_may_do_better() {
    assert_eq!(row(|world| world.answer(AnswerKind::ToolError("no such order".into()))), [1, 1, 1, 1, 1]);
    assert_eq!(attempts(Effect::Read, |world| world.answer(AnswerKind::ToolError("timed out".into()))), 3);
}

//= S-09
//= G1
#[test]
fn a_bad_answer_is_no_reason_to_run_a_mutation_again() {
    assert_eq!(row(|world| world.answer(AnswerKind::Bad("not the schema".into()))), [2, 1, 5, 1, 1]);
}

//= G1
#[test]
fn proof_after_an_ambiguous_attempt_does_not_make_the_step_unsent() {
    let mut world = World::new();
    let call = world.ask(&Ask::effect(Effect::Keyed));
    world.fail(FailureKind::Reset);
    world.seconds(1);
    for _ in 0..4 {
        world.fail(FailureKind::Connect);
        world.seconds(6);
    }
    assert_eq!(world.sent(call), 5);
    assert_eq!(world.told(call), "outcome_unknown unknown");
    assert_eq!(world.outcome(call), Some(Outcome::Unknown));
}

//= G2
#[test]
fn a_keyed_step_is_sent_again_with_the_same_key_only_inside_the_window() {
    let mut ask = Ask::effect(Effect::Keyed).patience(600);
    {
        let rules = std::sync::Arc::get_mut(&mut ask.rules).expect("nobody else has them");
        rules.key_window = Duration::from_secs(70);
        rules.step_timeout = Duration::from_secs(600);
    }
    let mut world = World::new();
    let call = world.ask(&ask);
    world.fail(FailureKind::Reset);
    world.seconds(5);
    assert_eq!(world.sent(call), 2, "70 s less a margin of 60 s");
    assert_eq!(world.sends[0].key, world.sends[1].key);
    assert!(world.sends[0].key.is_some());
    world.seconds(6);
    world.fail(FailureKind::Reset);
    world.seconds(20);
    assert_eq!(world.sent(call), 2, "the window is over: now it is like a write");
}

//= G1
#[test]
fn a_keyed_step_without_a_key_is_a_write() {
    let mut world = World::new();
    let ask = Ask::effect(Effect::Keyed);
    let mut call = ask.call(1, world.now);
    call.upstream_key = None;
    world.input(engine::Input::Call(Box::new(call)));
    world.fail(FailureKind::Reset);
    world.seconds(10);
    assert_eq!(world.sends.len(), 1);
}

//= G1
#[test]
fn an_absolute_write_is_not_sent_again_after_a_later_one_on_its_target() {
    let mut world = World::new();
    let first = world.ask(&Ask::effect(Effect::Idempotent));
    world.ask(&Ask::effect(Effect::Idempotent).args(r#"{"order":2}"#).run(2));
    let (step, attempt) = (world.sends[0].step, world.sends[0].attempt);
    let end = Box::new(engine::AttemptEnd::Failed(Failure::new(FailureKind::Reset, "")));
    world.input(engine::Input::AttemptEnded { step, attempt, end });
    world.seconds(6);
    assert_eq!(world.sent(first), 1);
    assert_eq!(world.outcome(first), Some(Outcome::Unknown));
}

//= G1
#[test]
fn a_later_write_on_another_declared_lane_does_not_stop_a_re_send() {
    let mut world = World::new();
    let first = world.ask(&Ask::effect(Effect::Idempotent).lane("a"));
    world.ask(&Ask::effect(Effect::Idempotent).args(r#"{"order":2}"#).lane("b"));
    let (step, attempt) = (world.sends[0].step, world.sends[0].attempt);
    let end = Box::new(engine::AttemptEnd::Failed(Failure::new(FailureKind::Reset, "")));
    world.input(engine::Input::AttemptEnded { step, attempt, end });
    world.seconds(6);
    assert_eq!(world.sent(first), 2);
}

#[test]
fn a_hint_of_the_upstream_is_waited_for_exactly_and_a_long_one_ends_the_attempts() {
    let hinted = |seconds| {
        let mut failure = Failure::new(FailureKind::Status(429), "");
        failure.retry_after = Some(Duration::from_secs(seconds));
        failure
    };
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.fail_with(hinted(7));
    world.pass(Duration::from_millis(6_999));
    assert_eq!(world.sent(call), 1);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.sent(call), 2);

    let other = world.ask(&Ask::write().args("{}").run(2));
    world.fail_with(hinted(31));
    assert_eq!(world.told(other), "upstream_unavailable no");
    assert_eq!(world.stop(other).retry_after, Some(Duration::from_secs(31)));
    let hurried = world.ask(&Ask::write().args("[]").run(3).patience(5));
    world.fail_with(hinted(6));
    assert_eq!(world.told(hurried), "upstream_unavailable no", "the hint goes past the caller's deadline");
}

#[test]
fn waits_follow_from_the_step_and_differ_between_steps() {
    let waits = |run: u8| {
        let mut world = World::new();
        for _ in 1..run {
            world.ask(&Ask::read());
        }
        world.ask(&Ask::read());
        world.fail(FailureKind::Connect);
        world.wake_at.map(|at| at.since(world.now))
    };
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
    assert!(waits(1).is_some_and(|wait| wait <= Duration::from_millis(200)));
}

#[test]
fn a_read_that_gets_no_answer_is_given_up_and_tried_again() {
    let mut world = World::new();
    let call = world.ask(&Ask::read().patience(300));
    world.seconds(31);
    assert_eq!((world.sent(call), world.abandons.len()), (2, 1));
    world.done();
    assert_eq!(world.told(call), "result");
}
