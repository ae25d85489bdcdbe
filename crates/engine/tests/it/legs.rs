//! What the caller brings after a step asked for it.

use crate::ask::{Ask, step};
use crate::world::World;
use engine::{AnswerKind, Continues, Left};
use std::sync::Arc;
use vocab::{Cause, Effect, EventKind, EvidenceClass, Outcome, State};

/// A step that asked for input, under the key "asks".
fn asked(world: &mut World) -> u64 {
    let call = world.ask(&Ask::write().key("asks"));
    world.answer(AnswerKind::InputRequired);
    call
}

/// One state of it is continued, whatever is brought.
fn leg(asked: u64, brought: &str) -> Ask {
    Ask::write().key("leg").args(brought).continues(asked)
}

//= S-23
#[test]
fn the_step_that_asked_ends_in_the_same_commit_as_the_intent_of_its_leg() {
    let mut world = World::new();
    let asked = asked(&mut world);
    world.held = true;
    let leg = world.ask(&leg(asked, "{}"));
    assert_eq!((world.sent(leg), world.row(asked).status.state), (0, State::AwaitingInput));
    let commits = world.appends_with_ticket;
    world.held = false;
    world.commit();
    assert_eq!((world.sent(leg), world.appends_with_ticket), (1, commits));
    let status = &world.row(asked).status;
    assert_eq!((status.outcome, status.cause), (Some(Outcome::NotExecuted), Some(Cause::Held)));
    let closed = |event: &&vocab::Event| event.step == step(asked) && event.kind == EventKind::Closed;
    let event = world.events.iter().find(closed).expect("its end is told");
    assert_eq!(event.class, Some(EvidenceClass::Attested));
    assert!(event.detail.contains(&step(leg).to_string()), "{}", event.detail);
}

#[test]
fn a_step_that_was_continued_is_neither_open_nor_probed_after_an_hour_or_a_crash() {
    let mut world = World::new();
    let call = world.ask(&Ask::of(crate::ask::exact(Effect::Write)).key("asks"));
    world.answer(AnswerKind::InputRequired);
    let leg = world.ask(&leg(call, "{}"));
    world.done();
    world.seconds(3700);
    assert_eq!((world.reads.len(), world.outcome(call)), (0, Some(Outcome::NotExecuted)));
    world.crash();
    assert_eq!((world.engine.load(), world.outcome(leg)), ((0, 0, 0), Some(Outcome::Succeeded)));
}

#[test]
fn a_leg_whose_intent_cannot_be_written_leaves_the_step_that_asked_as_it_was() {
    let mut world = World::new();
    let asked = asked(&mut world);
    world.full = true;
    let first = world.ask(&leg(asked, "{}"));
    assert_eq!(world.told(first), "journal_unavailable no");
    assert_eq!(world.row(asked).status.state, State::AwaitingInput);
    world.full = false;
    let second = world.ask(&leg(asked, "{}"));
    assert_eq!((world.sent(second), world.outcome(asked)), (1, Some(Outcome::NotExecuted)));
    let mut waits = World::new();
    let asked = self::asked(&mut waits);
    waits.full = true;
    waits.ask(&leg(asked, "{}"));
    waits.full = false;
    waits.seconds(3601);
    assert_eq!(waits.outcome(asked), Some(Outcome::NotExecuted), "it is given up in its time");
}

//= S-23
//= G5
#[test]
fn one_leg_continues_a_state_and_other_input_is_a_conflict_unless_that_leg_did_not_run() {
    let mut world = World::new();
    let asked = asked(&mut world);
    world.ask(&leg(asked, r#"{"yes":1}"#));
    let other = world.ask(&leg(asked, r#"{"yes":2}"#));
    assert_eq!(world.told(other), "idempotency_conflict no");
    assert!(world.stop(other).why.contains("continued with other input"), "{}", world.stop(other).why);
    world.done();
    let same = world.ask(&leg(asked, r#"{"yes":1}"#));
    assert_eq!(world.told(same), "replayed");
    let other = world.ask(&leg(asked, r#"{"yes":2}"#));
    assert_eq!(world.told(other), "idempotency_conflict no");
    assert_eq!(world.sends.len(), 2);
}

//= S-23
#[test]
fn other_input_may_continue_a_state_whose_first_leg_was_never_sent() {
    let mut world = World::new();
    let asked = asked(&mut world);
    world.held = true;
    let first = world.ask(&leg(asked, r#"{"yes":1}"#));
    world.leave(first, Left::Disconnected);
    world.held = false;
    world.commit();
    assert_eq!((world.sent(first), world.outcome(first)), (0, Some(Outcome::NotExecuted)));
    let other = world.ask(&leg(asked, r#"{"yes":2}"#));
    assert_eq!(world.sent(other), 1);
    world.done();
    assert_eq!(world.told(other), "result");
    let first = world.ask(&leg(asked, r#"{"yes":1}"#));
    assert_eq!(world.told(first), "idempotency_conflict no");
}

//= G5
#[test]
fn a_leg_that_asked_for_more_itself_holds_its_state_for_ever() {
    let mut world = World::new();
    let asked = asked(&mut world);
    let first = world.ask(&leg(asked, r#"{"yes":1}"#));
    world.answer(AnswerKind::InputRequired);
    world.ask(&Ask::write().key("second").continues(first));
    world.done();
    let other = world.ask(&leg(asked, r#"{"yes":2}"#));
    assert_eq!(world.told(other), "idempotency_conflict no");
}

//= G5
#[test]
fn the_key_of_a_step_that_was_continued_leads_to_its_question_again_and_not_to_another_one() {
    let mut world = World::new();
    let asked = asked(&mut world);
    world.ask(&leg(asked, "{}"));
    world.done();
    let again = world.ask(&Ask::write().key("asks"));
    assert_eq!((world.told(again), world.sent(again)), ("replayed".into(), 0));
    world.crash();
    let again = world.ask(&Ask::write().key("asks"));
    assert_eq!((world.told(again), world.sends.len()), ("replayed".into(), 2));
}

//= S-23
#[test]
fn a_state_that_nobody_handed_out_begins_nothing_but_finds_the_leg_that_it_was() {
    let mut world = World::new();
    let unknown = |args: &str| Ask { continues: Continues::Unknown, ..Ask::write().args(args) };
    let refused = world.ask(&unknown("{}"));
    assert_eq!((world.told(refused), world.sent(refused)), ("input_invalid no".into(), 0));
    let asked = asked(&mut world);
    let leg = world.ask(&leg(asked, r#"{"yes":1}"#));
    world.done();
    world.crash();
    let again = world.ask(&unknown(r#"{"yes":1}"#));
    assert_eq!((world.told(again), world.sent(leg)), ("replayed".into(), 1));
    let refused = world.ask(&unknown(r#"{"yes":2}"#));
    assert_eq!(world.told(refused), "input_invalid no");
    assert_eq!(world.sends.len(), 2);
}

#[test]
fn a_read_may_bring_a_state_that_nobody_knows() {
    let mut world = World::new();
    let call = world.ask(&Ask { continues: Continues::Unknown, ..Ask::read() });
    assert_eq!(world.sent(call), 1);
}

#[test]
fn a_tool_that_became_a_read_ends_the_step_that_asked_when_its_leg_is_sent() {
    let mut world = World::new();
    let asked = asked(&mut world);
    let read = Ask { rules: Arc::clone(&Ask::read().rules), ..leg(asked, "{}") };
    let leg = world.ask(&read);
    assert_eq!((world.sent(leg), world.outcome(asked)), (1, Some(Outcome::NotExecuted)));
}
