//! Another key, the same content: re-issue, repeat, or both meant.

use crate::ask::{Ask, exact, rules, step};
use crate::world::World;
use engine::{Act, AnswerKind, Arrival, Input, Left};
use policy::{Judgement, Repeat};
use vocab::{Effect, EventKind, FailureKind, Outcome};

fn repeat(repeat: Repeat) -> Ask {
    let mut rules = rules(Effect::Write);
    rules.repeat = repeat;
    Ask::of(rules)
}

//= S-23
#[test]
fn a_re_issue_after_a_lost_answer_gets_the_stored_one() {
    let mut world = World::new();
    let first = world.ask(&Ask::write());
    world.done();
    world.arrive(first, Arrival::Lost);
    let again = world.ask(&Ask::write());
    assert_eq!(world.told(again), "replayed");
    assert!(world.notice(again).is_some_and(|notice| notice.contains(&step(first).to_string())));
    assert_eq!(world.sends.len(), 1);
    assert!(world.has_event(first, EventKind::Adopted));
}

//= S-23
//= G1
#[test]
fn a_re_issue_of_what_was_unknown_for_long_gets_what_was_found_out_a_moment_ago() {
    let mut world = World::new();
    let first = world.ask(&Ask::write());
    world.fail(FailureKind::Reset);
    assert_eq!(world.told(first), "outcome_unknown unknown");
    world.seconds(1200);
    world.person(first, Act::Applied);
    world.seconds(1);
    assert_eq!(world.engine.load(), (0, 0, 0), "only the journal knows of it");
    let again = world.ask(&Ask::write());
    assert_eq!(world.told(again), "applied_no_receipt yes");
    assert_eq!(world.sends.len(), 1);
    world.seconds(601);
    world.ask(&Ask::write());
    assert_eq!(world.sends.len(), 2, "long after, it is another wish");
}

//= S-23
//= G1
#[test]
fn that_a_refusal_arrived_says_nothing_of_the_execution_that_followed_it() {
    for late in [false, true] {
        let mut world = World::new();
        let first = world.ask(&Ask::write().key("k"));
        world.fail(FailureKind::Status(403));
        assert_eq!(world.outcome(first), Some(Outcome::NotExecuted));
        world.arrive(first, Arrival::Flushed);
        if !late {
            world.seconds(3);
        }
        world.ask(&Ask::write().key("k"));
        assert_eq!(world.sent(first), 2, "it was proven not to have run");
        world.seconds(3);
        world.fail(FailureKind::Reset);
        world.person(first, Act::Applied);
        let again = world.ask(&Ask::write());
        assert_eq!(world.told(again), "applied_no_receipt yes");
        assert_eq!(world.sends.len(), 2);
    }
}

//= S-23
#[test]
fn a_re_issue_while_the_first_still_runs_joins_it() {
    let mut world = World::new();
    let first = world.ask(&Ask::write());
    world.leave(first, Left::Disconnected);
    let again = world.ask(&Ask::write());
    assert_eq!(world.sends.len(), 1);
    world.done();
    assert_eq!(world.told(again), "replayed");
    assert!(world.notice(again).is_some());
}

#[test]
fn an_answer_is_delivered_after_two_quiet_seconds() {
    let mut world = World::new();
    let first = world.ask(&Ask::write());
    world.done();
    world.arrive(first, Arrival::Flushed);
    world.seconds(1);
    let early = world.ask(&Ask::write());
    assert_eq!(world.told(early), "replayed");
    world.arrive(early, Arrival::Flushed);
    world.seconds(3);
    world.ask(&Ask::write());
    assert_eq!(world.sends.len(), 2, "the answer is there, so this is a second wish");
}

#[test]
fn a_stream_that_breaks_within_two_seconds_did_not_deliver() {
    let mut world = World::new();
    let first = world.ask(&Ask::write());
    world.done();
    world.arrive(first, Arrival::Flushed);
    world.seconds(1);
    world.leave(first, Left::Disconnected);
    world.seconds(5);
    world.ask(&Ask::write());
    assert_eq!(world.sends.len(), 1);
}

#[test]
fn a_delivery_counts_before_its_note_is_on_the_disk() {
    let mut world = World::new();
    let first = world.ask(&Ask::write());
    world.done();
    world.held = true;
    world.arrive(first, Arrival::Seen);
    assert_eq!(world.engine.load().0, 0, "it has left memory");
    world.held = false;
    world.slow_recall = true;
    let second = world.ask(&Ask::write());
    let row = world.row(first).clone();
    assert_eq!(row.status.delivered, vocab::Delivered::Seen);
    let mut stale = row;
    stale.status.delivered = vocab::Delivered::No;
    let recalled = Box::new(engine::Recalled { by_key: None, by_content: Some(stale) });
    world.input(Input::Recalled { call: vocab::CallId(second), recalled });
    assert_eq!(world.sends.len(), 2);
}

//= S-23
#[test]
fn after_the_window_or_in_another_run_equal_content_is_another_wish() {
    let mut world = World::new();
    let first = world.ask(&Ask::write());
    world.done();
    world.arrive(first, Arrival::Lost);
    world.ask(&Ask::write().run(2));
    assert_eq!(world.sends.len(), 2);
    world.done();
    world.seconds(601);
    world.ask(&Ask::write());
    assert_eq!(world.sends.len(), 3);
}

//= S-23
#[test]
fn a_model_that_repeats_itself_is_judged_by_policy() {
    for (rule, told, sends) in [
        (Repeat::Allow, "result", 2),
        (Repeat::Notice, "result", 2),
        (Repeat::Confirm, "repeat_unconfirmed no", 1),
        (Repeat::Deny, "replayed", 1),
    ] {
        let mut world = World::new();
        let first = world.seen(&repeat(rule));
        world.seconds(14);
        let second = world.ask(&repeat(rule));
        if world.sends.len() == 2 {
            world.done();
        }
        assert_eq!((world.told(second).as_str(), world.sends.len()), (told, sends), "{rule:?}");
        let notice = world.notice(second).unwrap_or_default();
        match rule {
            Repeat::Allow => assert_eq!(notice, ""),
            Repeat::Notice => assert_eq!(notice, format!("identical to step {}, 14 s ago", step(first))),
            Repeat::Confirm => assert_eq!(world.stop(second).earlier, Some(step(first))),
            Repeat::Deny => assert!(notice.contains("not executed again")),
        }
    }
}

//= G1
#[test]
fn a_person_allows_exactly_one_more() {
    let mut world = World::new();
    let ask = repeat(Repeat::Confirm);
    world.seen(&ask);
    let refused = world.ask(&ask);
    assert_eq!(world.told(refused), "repeat_unconfirmed no");
    world.remember(1);
    world.person(1, Act::RunAgain);
    let allowed = world.ask(&ask);
    assert_eq!(world.sends.len(), 2);
    world.done();
    world.arrive(allowed, Arrival::Seen);
    assert!(!world.row(1).status.run_again, "used up");
    let third = world.ask(&ask);
    assert_eq!(world.told(third), "repeat_unconfirmed no");
    assert_eq!(world.sends.len(), 2);
}

//= G1
#[test]
fn a_permit_is_used_once_even_by_calls_that_come_together() {
    let mut world = World::new();
    let ask = repeat(Repeat::Confirm);
    world.seen(&ask);
    world.remember(1);
    world.person(1, Act::RunAgain);
    world.held = true;
    let calls = [ask.clone().model_call("toolu_a"), ask.clone().model_call("toolu_b")].map(|ask| world.ask(&ask));
    world.recall();
    world.held = false;
    world.commit();
    assert_eq!(world.sends.len(), 2);
    assert_eq!(calls.map(|call| world.told(call)), ["nothing yet", "repeat_unconfirmed no"]);
}

//= G1
#[test]
fn a_permit_whose_use_could_not_be_written_is_not_lost() {
    let mut world = World::new();
    let ask = repeat(Repeat::Confirm);
    world.seen(&ask);
    world.remember(1);
    world.person(1, Act::RunAgain);
    world.full = true;
    let failed = world.ask(&ask);
    assert_eq!(world.told(failed), "journal_unavailable no");
    world.full = false;
    world.ask(&ask);
    assert_eq!(world.sends.len(), 2);
}

//= G1
#[test]
fn under_its_own_key_a_permit_makes_the_next_generation() {
    let mut world = World::new();
    let ask = Ask::effect(Effect::Keyed).key("k");
    let first = world.seen(&ask);
    world.remember(first);
    world.person(first, Act::RunAgain);
    let second = world.ask(&ask);
    assert_eq!(world.row(second).intent.generation, 1);
    assert_ne!(world.sends[0].key, world.sends[1].key);
    world.done();
    world.arrive(second, Arrival::Seen);
    let third = world.ask(&ask);
    assert_eq!(world.told(third), "replayed");
    assert_eq!(world.sends.len(), 2);
}

//= S-23
#[test]
fn two_ids_of_one_turn_are_both_meant() {
    let mut world = World::new();
    let calls = ["toolu_a", "toolu_b"].map(|id| world.ask(&Ask::write().model_call(id)));
    assert_eq!(world.sends.len(), 2);
    world.done();
    assert!(world.notice(calls[1]).is_some(), "subject to `repeat`: by default a notice");
    let mut strict = World::new();
    let calls = ["toolu_a", "toolu_b"].map(|id| strict.ask(&repeat(Repeat::Confirm).model_call(id)));
    assert_eq!(strict.told(calls[1]), "repeat_unconfirmed no");
}

//= S-23
#[test]
fn equal_content_of_an_unknown_step_waits_until_that_is_resolved() {
    let ask = Ask::of(exact(Effect::Write));
    let mut world = World::new();
    let first = world.ask(&ask);
    world.fail(FailureKind::Eof);
    let second = world.ask(&ask);
    assert_eq!(world.sends.len(), 1);
    world.judge(Judgement::Applied);
    assert_eq!(world.told(first), "applied_no_receipt yes");
    assert_eq!(world.told(second), "applied_no_receipt yes");
    assert!(world.stop(second).why.contains("already applied"), "{}", world.stop(second).why);
    assert_eq!(world.sends.len(), 1);
}

//= S-23
#[test]
fn equal_content_of_a_step_that_was_absent_after_all_runs() {
    let ask = Ask::of(exact(Effect::Write)).patience(100);
    let mut world = World::new();
    let first = world.ask(&ask);
    world.fail(FailureKind::Eof);
    let second = world.ask(&ask);
    world.judge(Judgement::Absent);
    world.settle_probes(&Judgement::Absent, 20);
    assert_eq!(world.told(first), "not_applied no");
    assert_eq!(world.sent(second), 1);
    world.done();
    // The receipt is read back.
    world.judge(Judgement::Applied);
    assert_eq!(world.told(second), "result");
}

//= S-23
#[test]
fn identity_arguments_that_are_equal_count_as_the_same_wish_while_the_first_is_unknown() {
    let ask = |amount: u32| Ask {
        identity: Some("order 1".into()),
        ..Ask::of(exact(Effect::Write)).args(&format!(r#"{{"order":1,"amount":{amount}}}"#))
    };
    let mut world = World::new();
    world.ask(&ask(100));
    world.answer(AnswerKind::ToolError("timeout calling Stripe".into()));
    let second = world.ask(&ask(101));
    assert_eq!(world.sends.len(), 1);
    world.judge(Judgement::Applied);
    assert_eq!(world.told(second), "applied_no_receipt yes");
    assert!(world.stop(second).why.contains("other arguments"));
}

#[test]
fn a_model_may_correct_what_failed() {
    let ask = |amount: u32| Ask {
        identity: Some("order 1".into()),
        ..Ask::write().args(&format!(r#"{{"order":1,"amount":{amount}}}"#))
    };
    let mut world = World::new();
    world.ask(&ask(100));
    world.answer(AnswerKind::ToolError("too much".into()));
    world.ask(&ask(10));
    assert_eq!(world.sends.len(), 2);
}

//= S-23
#[test]
fn an_unknown_twin_that_nobody_can_resolve_is_told_at_the_end() {
    let mut world = World::new();
    let first = world.ask(&Ask::write());
    world.fail(FailureKind::Eof);
    let second = world.ask(&Ask::write());
    assert_eq!(world.told(second), "outcome_unknown unknown");
    assert_eq!(world.stop(second).earlier, Some(step(first)));
    assert_eq!(world.sends.len(), 1);
}

//= S-23
#[test]
fn a_client_that_is_stopped_and_tries_again_at_once_is_answered_by_the_old_step() {
    let ask = Ask { structured: true, ..Ask::of(exact(Effect::Write)) };
    let mut world = World::new();
    let first = world.ask(&ask);
    world.fail(FailureKind::Eof);
    world.judge(Judgement::Applied);
    world.arrive(first, Arrival::Flushed);
    world.arrive(first, Arrival::Seen);
    let again = world.ask(&ask);
    assert_eq!(world.told(again), "applied_no_receipt yes");
    assert_eq!(world.sends.len(), 1);
    // After two quiet seconds it is a wish of its own, which the policy judges.
    world.arrive(again, Arrival::Flushed);
    world.seconds(3);
    world.ask(&ask);
    assert_eq!(world.sends.len(), 2);
}

//= S-23
#[test]
fn of_two_who_wait_the_one_that_was_told_nothing_gets_the_answer_that_the_other_got() {
    let mut world = World::new();
    let patient = Ask::write().patience(60);
    let first = world.ask(&patient);
    let second = world.ask(&Ask::write().patience(5));
    world.seconds(6);
    assert_eq!(world.told(second), "in_progress unknown");
    world.done();
    world.arrive(first, Arrival::Seen);
    // It comes back, although the step has been delivered to somebody else.
    let again = world.ask(&Ask::write());
    assert_eq!(world.sends.len(), 1);
    assert!(world.notice(again).is_some());
    world.arrive(again, Arrival::Seen);
    // What was owed is given: from now on a repeat is a repeat.
    world.ask(&Ask::write());
    assert_eq!(world.sends.len(), 2);
}
