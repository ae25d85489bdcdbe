//! More input, and tasks of the upstream.

use crate::ask::{Ask, exact, step};
use crate::world::World;
use engine::{AnswerKind, Input, TaskEnd};
use policy::Judgement;
use vocab::{Bytes, Effect, Name, Outcome, State};

fn task_ends(world: &mut World, end: TaskEnd) {
    let step = world.sends.last().expect("the call that it was made of").step;
    world.input(Input::TaskEnded { step, end });
}

//= G3
#[test]
fn a_wish_for_input_is_durable_before_it_is_told_and_told_again_under_its_key() {
    let mut world = World::new();
    let ask = Ask::write().key("k");
    let call = world.ask(&ask);
    world.held = true;
    world.answer(AnswerKind::InputRequired);
    assert_eq!(world.told(call), "nothing yet");
    world.held = false;
    world.commit();
    assert_eq!(world.told(call), "result");
    assert_eq!(world.row(call).status.state, State::AwaitingInput);
    let again = world.ask(&ask);
    assert_eq!(world.told(again), "replayed");
    assert_eq!(world.sends.len(), 1);
}

#[test]
fn a_continuation_runs_beside_the_step_that_asked() {
    let mut world = World::new();
    world.ask(&Ask::write().lane("a"));
    world.answer(AnswerKind::InputRequired);
    let leg = world.ask(&Ask::write().lane("a").key("leg"));
    assert_eq!(world.sent(leg), 1);
}

#[test]
fn input_that_never_comes_means_that_nothing_ran() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.answer(AnswerKind::InputRequired);
    world.seconds(3601);
    assert_eq!(world.outcome(call), Some(Outcome::NotExecuted));
}

#[test]
fn a_read_that_wants_input_is_passed_on() {
    let mut world = World::new();
    let call = world.ask(&Ask::read());
    world.answer(AnswerKind::InputRequired);
    assert_eq!(world.told(call), "result");
    assert_eq!(world.engine.load(), (0, 0, 0));
}

//= G3
#[test]
fn a_task_is_durable_before_its_name_is_told_and_its_end_is_the_outcome() {
    let mut world = World::new();
    let call = world.ask(&Ask::write().key("k"));
    world.held = true;
    world.answer(AnswerKind::Task(Name::from("t1")));
    assert_eq!(world.told(call), "nothing yet");
    world.held = false;
    world.commit();
    assert_eq!(world.told(call), "result");
    assert_eq!(world.row(call).status.remote_task.as_deref(), Some("t1"));
    task_ends(&mut world, TaskEnd::Completed(Bytes::from_static(b"{}")));
    assert_eq!(world.outcome(call), Some(Outcome::Succeeded));
}

#[test]
fn a_task_that_ends_before_its_name_is_durable_is_told_by_its_name_first() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.held = true;
    world.answer(AnswerKind::Task(Name::from("t1")));
    task_ends(&mut world, TaskEnd::Completed(Bytes::from_static(b"{}")));
    world.held = false;
    world.commit();
    assert_eq!(world.told(call), "result");
    assert_eq!(world.outcome(call), Some(Outcome::Succeeded));
}

//= G3
#[test]
fn a_task_that_vanished_is_unknown_and_probed() {
    let mut world = World::new();
    let call = world.ask(&Ask::of(exact(Effect::Write)));
    world.answer(AnswerKind::Task(Name::from("t1")));
    task_ends(&mut world, TaskEnd::Vanished);
    assert_eq!(world.outcome(call), Some(Outcome::Unknown));
    world.judge(Judgement::Applied);
    assert_eq!(world.outcome(call), Some(Outcome::Applied));
}

#[test]
fn a_task_that_failed_is_failed_unless_its_words_are_ambiguous() {
    for (text, outcome) in [("no such order", Outcome::Failed), ("timed out", Outcome::Unknown)] {
        let mut world = World::new();
        let call = world.ask(&Ask::write());
        world.answer(AnswerKind::Task(Name::from("t1")));
        task_ends(&mut world, TaskEnd::Failed(text.into()));
        assert_eq!(world.outcome(call), Some(outcome));
    }
}

#[test]
fn a_task_outlives_a_crash() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.answer(AnswerKind::Task(Name::from("t1")));
    world.crash();
    assert_eq!(world.row(call).status.state, State::RemoteTask);
    task_ends(&mut world, TaskEnd::Completed(Bytes::from_static(b"{}")));
    assert_eq!(world.rows[&step(call)].status.outcome, Some(Outcome::Succeeded));
}

//= G3
#[test]
fn a_task_that_cannot_be_written_down_is_not_told() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.full = true;
    world.answer(AnswerKind::Task(Name::from("t1")));
    assert_eq!(world.told(call), "outcome_unknown unknown");
}

//= G3
#[test]
fn a_task_that_vanished_late_may_still_be_worked_on_and_is_not_believed_absent_at_once() {
    let mut world = World::new();
    let call = world.ask(&Ask::of(exact(Effect::Write)));
    world.answer(AnswerKind::Task(Name::from("t1")));
    world.seconds(60);
    task_ends(&mut world, TaskEnd::Vanished);
    world.judge(Judgement::Absent);
    assert_eq!(world.outcome(call), Some(Outcome::Unknown), "its quiescence begins when it was last seen");
    world.settle_probes(&Judgement::Absent, 15);
    assert_eq!(world.outcome(call), Some(Outcome::Absent));
}

//= G3
#[test]
fn a_task_that_could_not_be_written_is_not_told_before_it_is() {
    let mut world = World::new();
    let ask = Ask::write().key("k");
    world.ask(&ask);
    world.full = true;
    world.answer(AnswerKind::Task(Name::from("t1")));
    let again = world.ask(&ask);
    assert_ne!(world.told(again), "replayed", "a crash would forget it");
    world.full = false;
    world.seconds(40);
    let third = world.ask(&ask);
    assert_eq!(world.told(third), "replayed");
    assert_eq!(world.row(1).status.state, State::RemoteTask);
    assert_eq!(world.sends.len(), 1);
}

//= S-25
#[test]
fn a_task_whose_end_was_seen_is_read_back_after_a_restart_and_not_waited_for() {
    let mut world = World::new();
    let call = world.ask(&Ask::of(exact(Effect::Write)));
    world.answer(AnswerKind::Task(Name::from("t1")));
    task_ends(&mut world, TaskEnd::Completed(Bytes::from_static(b"{\"content\":[]}")));
    world.crash();
    world.judge(Judgement::Applied);
    assert_eq!(world.outcome(call), Some(Outcome::Succeeded));
    assert_eq!(world.row(call).status.state, State::Closed);
}
