//! `unknown`: probes, the limits of *absent*, late receipts.

use crate::ask::{Ask, checked, exact, step};
use crate::world::World;
use engine::{Answer, AnswerKind, Arrival, AttemptEnd, Input, Purpose, ReadEnd, Report};
use policy::{Consistency, Judgement, Strength, ToolRules};
use std::time::Duration;
use vocab::{Bytes, Effect, EventKind, FailureKind, Outcome, State, Verification};

fn lost(rules: ToolRules) -> World {
    let mut world = World::new();
    world.ask(&Ask::of(rules));
    if world.purpose() == Some(Purpose::Preimage) {
        world.image("{\"done\":false}");
    }
    world.fail(FailureKind::Eof);
    world
}

//= S-25
#[test]
fn a_lost_reply_is_probed_at_once_and_applied_is_told() {
    let mut world = lost(exact(Effect::Write));
    assert_eq!(world.purpose(), Some(Purpose::Probe));
    world.judge(Judgement::Applied);
    assert_eq!(world.told(1), "applied_no_receipt yes");
    let stop = world.stop(1);
    assert!(stop.success);
    assert_eq!(stop.verification, Verification::Verified);
    assert_eq!(world.sends.len(), 1);
}

#[test]
fn for_a_tool_with_an_output_schema_applied_comes_in_the_form_of_an_error() {
    let mut world = World::new();
    world.ask(&Ask { structured: true, ..Ask::of(exact(Effect::Write)) });
    world.fail(FailureKind::Eof);
    world.judge(Judgement::Applied);
    assert_eq!(world.told(1), "applied_no_receipt yes");
    assert!(!world.stop(1).success);
}

//= G3
//= S-25
#[test]
fn absent_is_believed_only_after_quiescence() {
    let mut world = lost(exact(Effect::Write));
    world.judge(Judgement::Absent);
    assert_eq!(world.told(1), "nothing yet");
    world.settle_probes(&Judgement::Absent, 9);
    assert_eq!(world.told(1), "nothing yet", "10 s of quiescence are not over");
    world.settle_probes(&Judgement::Absent, 2);
    assert_eq!(world.told(1), "not_applied no");
    assert_eq!(world.outcome(1), Some(Outcome::Absent));
    assert_eq!(world.sends.len(), 1, "only a fresh decision makes another step");
}

//= G3
//= S-25
#[test]
fn an_eventual_reader_has_to_say_absent_twice() {
    let mut world = lost(checked(Effect::Write, Strength::Exact, Consistency::Eventual));
    world.judge(Judgement::Absent);
    world.settle_probes(&Judgement::Absent, 12);
    assert_eq!(world.told(1), "nothing yet");
    world.settle_probes(&Judgement::Absent, 5);
    assert_eq!(world.told(1), "not_applied no");
}

//= G3
#[test]
fn two_reads_in_a_hurry_are_one_read_to_an_eventual_reader() {
    let mut world = lost(checked(Effect::Write, Strength::Exact, Consistency::Eventual));
    world.judge(Judgement::Absent);
    world.settle_probes(&Judgement::Absent, 11);
    for _ in 0..2 {
        world.seconds(1);
        world.input(Input::Hurry { step: step(1) });
        world.judge(Judgement::Absent);
    }
    assert_eq!(world.told(1), "nothing yet");
}

//= G3
#[test]
fn absent_is_not_believed_while_the_stream_is_open() {
    let mut world = World::new();
    world.ask(&Ask::of(exact(Effect::Write)).patience(600));
    world.seconds(60);
    assert_eq!(world.row(1).status.state, State::Resolving);
    world.judge(Judgement::Absent);
    world.settle_probes(&Judgement::Absent, 299);
    assert_eq!(world.outcome(1), Some(Outcome::Unknown));
    // The stream is given up after five minutes, and quiescence begins.
    world.settle_probes(&Judgement::Absent, 9);
    assert_eq!((world.abandons.len(), world.outcome(1)), (1, Some(Outcome::Unknown)));
    world.settle_probes(&Judgement::Absent, 3);
    assert_eq!(world.outcome(1), Some(Outcome::Absent));
}

//= G3
#[test]
fn an_inferred_reader_without_a_pre_image_proves_nothing_by_absence() {
    let mut world = World::new();
    world.ask(&Ask::of(checked(Effect::Write, Strength::Inferred, Consistency::Strong)));
    world.show(ReadEnd::Failed("the reader is down".into()));
    world.fail(FailureKind::Eof);
    world.judge(Judgement::Absent);
    world.settle_probes(&Judgement::Absent, 3000);
    assert_eq!(world.row(1).status.state, State::NeedsHuman);
}

//= G3
#[test]
fn what_another_step_of_equal_content_may_have_done_is_not_taken_for_this_ones() {
    let rules = || checked(Effect::Write, Strength::Inferred, Consistency::Strong);
    let mut world = World::new();
    world.ask(&Ask::of(rules()));
    world.image("{\"done\":false}");
    world.ask(&Ask::of(rules()).run(2));
    world.image("{\"done\":false}");
    world.fail(FailureKind::Eof);
    world.judge(Judgement::Applied);
    assert_eq!(world.outcome(2), Some(Outcome::Unknown));
}

//= G3
#[test]
fn neither_intent_nor_pre_image_is_diverged() {
    let mut world = lost(checked(Effect::Write, Strength::Inferred, Consistency::Strong));
    world.judge(Judgement::Different);
    world.settle_probes(&Judgement::Different, 11);
    assert_eq!(world.outcome(1), Some(Outcome::Diverged));
    assert_eq!(world.told(1), "outcome_unknown unknown");
}

//= G6
//= S-25
#[test]
fn probes_that_cannot_tell_end_with_a_person() {
    let mut world = lost(exact(Effect::Write));
    let mut gaps = Vec::new();
    let mut last = world.now;
    while world.row(1).status.state == State::Resolving {
        world.judge(Judgement::Inconclusive("who knows".into()));
        let before = world.reads.len();
        while world.reads.len() == before && world.row(1).status.state == State::Resolving {
            world.seconds(1);
        }
        gaps.push(world.now.since(last).as_secs());
        last = world.now;
    }
    assert_eq!(world.row(1).status.state, State::NeedsHuman);
    assert_eq!(gaps[..3], [2, 4, 4], "doubling from two seconds, and one look when quiescence ends");
    assert!(gaps.iter().all(|gap| *gap <= 300), "{gaps:?}");
    assert!(world.reports.contains(&Report::NeedsHuman { step: step(1) }));
    world.seconds(100_000);
    assert_eq!(world.outcome(1), Some(Outcome::Unknown), "no timer resolves it");
}

#[test]
fn the_first_caller_waits_for_the_probe_and_then_hears_unknown() {
    let mut world = lost(exact(Effect::Write));
    world.judge(Judgement::Inconclusive("busy".into()));
    world.seconds(49);
    assert_eq!(world.told(1), "nothing yet");
    world.seconds(2);
    assert_eq!(world.told(1), "outcome_unknown unknown");
}

#[test]
fn without_a_probe_unknown_is_told_at_once_and_a_person_is_asked() {
    let mut world = World::new();
    world.ask(&Ask::write());
    world.fail(FailureKind::Status(504));
    assert_eq!(world.told(1), "outcome_unknown unknown");
    assert_eq!(world.row(1).status.state, State::NeedsHuman);
}

//= G3
#[test]
fn a_timeout_is_not_a_failure_and_leaves_the_stream_open_for_the_receipt() {
    let mut world = World::new();
    world.ask(&Ask::write().key("k").patience(300));
    world.seconds(61);
    assert_eq!(world.told(1), "outcome_unknown unknown");
    assert!(world.abandons.is_empty() && world.cancels.is_empty());
    world.seconds(100);
    world.done();
    assert_eq!(world.outcome(1), Some(Outcome::Succeeded));
    let again = world.ask(&Ask::write().key("k"));
    assert_eq!(world.told(again), "replayed");
}

//= S-25
#[test]
fn a_late_receipt_beats_a_probe() {
    let mut world = World::new();
    world.ask(&Ask::of(exact(Effect::Write)).patience(300));
    world.seconds(60);
    world.judge(Judgement::Applied);
    assert_eq!(world.told(1), "applied_no_receipt yes");
    world.done();
    assert_eq!(world.outcome(1), Some(Outcome::Succeeded));
    assert!(world.row(1).result.is_some());
    assert!(!world.has_event(1, EventKind::Contradicted));
}

//= G3
#[test]
fn a_receipt_after_absent_is_a_contradiction_and_changes_what_is_known() {
    let mut world = World::new();
    world.ask(&Ask::write().key("k"));
    world.seconds(61);
    world.person(1, engine::Act::Absent);
    assert_eq!(world.outcome(1), Some(Outcome::Absent));
    world.done();
    assert_eq!(world.outcome(1), Some(Outcome::Succeeded));
    assert!(world.has_event(1, EventKind::Contradicted));
    assert!(world.reports.iter().any(|report| matches!(report, Report::Contradicted { .. })));
    let again = world.ask(&Ask::write().key("k"));
    assert_eq!(world.told(again), "replayed");
}

#[test]
fn proof_that_comes_late_resolves_the_attempt_that_it_is_about() {
    let mut world = World::new();
    world.ask(&Ask::of(exact(Effect::Write)).patience(300));
    world.seconds(60);
    world.fail(FailureKind::Connect);
    assert_eq!(world.told(1), "upstream_unavailable no");
    assert_eq!(world.outcome(1), Some(Outcome::NotExecuted));
}

//= G3
#[test]
fn a_bad_answer_to_a_mutation_is_withheld_and_taken_for_done_until_the_probe_says() {
    let mut world = World::new();
    world.ask(&Ask::of(exact(Effect::Write)));
    world.answer(AnswerKind::Bad("/total: not a number".into()));
    assert_eq!(world.purpose(), Some(Purpose::Probe));
    world.judge(Judgement::Applied);
    assert_eq!(world.told(1), "applied_no_receipt yes");
    let mut blind = World::new();
    blind.ask(&Ask::write());
    blind.answer(AnswerKind::Bad("/total: not a number".into()));
    assert_eq!(blind.told(1), "output_rejected unknown");
    assert_eq!(blind.sends.len(), 1);
}

#[test]
fn a_bad_answer_to_a_read_is_withheld() {
    let mut world = World::new();
    world.ask(&Ask::read());
    world.answer(AnswerKind::Bad("shape".into()));
    world.seconds(1);
    world.answer(AnswerKind::Bad("shape".into()));
    assert_eq!(world.told(1), "output_rejected yes");
}

//= G1
#[test]
fn after_absent_only_a_fenced_write_is_sent_again_and_never_a_destructive_one() {
    for (effect, fenced, sends) in [(Effect::Write, true, 2), (Effect::Write, false, 1), (Effect::Destructive, true, 1)]
    {
        let mut rules = exact(effect);
        rules.redispatch_on_absent = fenced;
        let mut world = lost(rules);
        world.judge(Judgement::Absent);
        world.settle_probes(&Judgement::Absent, 12);
        assert_eq!(world.sends.len(), sends, "{effect:?} {fenced}");
        if sends == 2 {
            world.fail(FailureKind::Eof);
            world.judge(Judgement::Absent);
            world.settle_probes(&Judgement::Absent, 12);
            assert_eq!(world.sends.len(), 2, "once");
        }
        assert_eq!(world.told(1), "not_applied no");
    }
}

#[test]
fn a_local_child_that_is_dead_works_on_nothing() {
    let mut rules = exact(Effect::Write);
    rules.local = true;
    rules.quiescence = Duration::from_secs(120);
    let mut world = World::new();
    world.ask(&Ask::of(rules));
    world.fail(FailureKind::Exit);
    world.judge(Judgement::Absent);
    assert_eq!(world.told(1), "not_applied no");
}

#[test]
fn who_asks_may_hurry_a_probe_but_not_flood_the_upstream() {
    let mut world = lost(exact(Effect::Write));
    world.judge(Judgement::Inconclusive("busy".into()));
    let before = world.reads.len();
    for _ in 0..5 {
        world.input(Input::Hurry { step: step(1) });
    }
    assert_eq!(world.reads.len(), before);
    world.seconds(1);
    for _ in 0..5 {
        world.input(Input::Hurry { step: step(1) });
    }
    assert_eq!(world.reads.len(), before + 1);
}

#[test]
fn a_step_that_waits_for_a_person_can_still_be_probed_on_request() {
    let mut world = lost(exact(Effect::Write));
    world.judge(Judgement::Inconclusive("busy".into()));
    world.settle_probes(&Judgement::Inconclusive("busy".into()), 2000);
    assert_eq!(world.row(1).status.state, State::NeedsHuman);
    world.input(Input::Hurry { step: step(1) });
    world.judge(Judgement::Applied);
    assert_eq!(world.outcome(1), Some(Outcome::Applied));
}

#[test]
fn a_probe_that_never_answers_does_not_stop_the_probing() {
    let mut world = lost(exact(Effect::Write));
    let before = world.reads.len();
    world.seconds(40);
    assert!(world.reads.len() > before);
    world.judge(Judgement::Applied);
    assert_eq!(world.told(1), "applied_no_receipt yes");
}

//= G3
#[test]
fn a_late_tool_error_is_the_answer_of_a_step_that_was_unknown() {
    let mut world = World::new();
    world.ask(&Ask::write().key("k"));
    world.seconds(61);
    let end = AttemptEnd::Answered(Answer {
        result: Bytes::from_static(b"{}"),
        kind: AnswerKind::ToolError("no such order".into()),
    });
    world.input(Input::AttemptEnded { step: step(1), attempt: 1, end: Box::new(end) });
    assert_eq!(world.outcome(1), Some(Outcome::Failed));
}

/// A step whose reply never comes and whose effect is seen, in a world that is read against what was before.
fn seen_while_its_stream_is_open(rules: ToolRules) -> World {
    let mut world = World::new();
    let first = world.ask(&Ask::of(rules).patience(300));
    world.image("{\"done\":false}");
    world.seconds(60);
    world.judge(Judgement::Applied);
    assert_eq!(world.told(first), "applied_no_receipt yes");
    assert_eq!(world.abandons.len() + 1, world.sent(first), "its last stream is open for a late receipt");
    world.arrive(first, Arrival::Flushed);
    world.seconds(3);
    world
}

//= S-23
//= S-25
#[test]
fn a_twin_whose_effect_was_seen_before_does_not_explain_what_a_repeat_did() {
    let rules = || checked(Effect::Write, Strength::Inferred, Consistency::Strong);
    let mut world = seen_while_its_stream_is_open(rules());
    let second = world.ask(&Ask::of(rules()));
    world.image("{\"done\":false}");
    assert_eq!(world.sent(second), 1);
    world.fail(FailureKind::Eof);
    world.judge(Judgement::Applied);
    assert_eq!(world.told(second), "applied_no_receipt yes");
}

//= G3
#[test]
fn a_twin_of_which_several_copies_were_sent_may_still_explain_what_a_repeat_did() {
    let mut copied = checked(Effect::Idempotent, Strength::Inferred, Consistency::Strong);
    copied.attempt_timeout = Duration::from_secs(20);
    let mut world = seen_while_its_stream_is_open(copied);
    assert_eq!(world.sent(1), 3);
    let second = world.ask(&Ask::of(checked(Effect::Write, Strength::Inferred, Consistency::Strong)));
    world.image("{\"done\":false}");
    world.fail(FailureKind::Eof);
    world.judge(Judgement::Applied);
    assert_eq!(world.outcome(second), Some(Outcome::Unknown));
}

//= G3
#[test]
fn what_a_twin_did_meanwhile_is_not_taken_for_a_step_that_is_opened_again() {
    let rules = || checked(Effect::Write, Strength::Inferred, Consistency::Strong);
    let mut world = World::new();
    let first = world.ask(&Ask::of(rules()).key("k"));
    world.image("{\"done\":false}");
    world.fail(FailureKind::Status(403));
    assert_eq!(world.outcome(first), Some(Outcome::NotExecuted));
    let twin = world.ask(&Ask::of(rules()));
    world.image("{\"done\":false}");
    world.done();
    world.judge(Judgement::Applied);
    assert_eq!(world.told(twin), "result");
    world.arrive(twin, Arrival::Seen);
    world.seconds(3);
    world.ask(&Ask::of(rules()).key("k"));
    assert_eq!(world.sent(first), 2, "it was proven not to have run");
    world.fail(FailureKind::Eof);
    world.judge(Judgement::Applied);
    assert_eq!(world.outcome(first), Some(Outcome::Unknown), "the world shows what the twin did");
}
