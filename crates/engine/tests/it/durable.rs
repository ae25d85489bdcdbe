//! Write-ahead: nothing is sent and nothing is told before it is on the disk.

use crate::ask::{Ask, exact, step};
use crate::world::World;
use engine::{Input, NotDurable};
use policy::Judgement;
use vocab::{Effect, FailureKind, Outcome, State};

//= G1
#[test]
fn a_mutation_is_sent_only_after_its_intent_is_durable() {
    let mut world = World::new();
    world.held = true;
    let call = world.ask(&Ask::write());
    world.recall();
    assert_eq!(world.sent(call), 0);
    world.commit();
    assert_eq!(world.sent(call), 1);
    assert_eq!(world.row(call).status.state, State::Dispatched);
}

//= G3
#[test]
fn an_outcome_is_told_only_after_it_is_durable() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.held = true;
    world.done();
    assert_eq!(world.told(call), "nothing yet");
    world.commit();
    assert_eq!(world.told(call), "result");
}

#[test]
fn a_read_waits_for_no_commit() {
    let mut world = World::new();
    world.held = true;
    let call = world.ask(&Ask::read());
    world.done();
    assert_eq!(world.told(call), "result");
    assert_eq!(world.appends_with_ticket, 0);
    world.commit();
    assert_eq!(world.notes.len(), 1);
}

#[test]
fn a_mutation_costs_two_barriers() {
    let mut world = World::new();
    world.ask(&Ask::write());
    world.done();
    assert_eq!(world.appends_with_ticket, 2);
}

//= G1
//= S-09
#[test]
fn without_a_journal_mutations_are_refused_and_reads_go_on() {
    let mut world = World::new();
    world.full = true;
    let write = world.ask(&Ask::write());
    assert_eq!((world.told(write).as_str(), world.sent(write)), ("journal_unavailable no", 0));
    let read = world.ask(&Ask::read());
    world.done();
    assert_eq!(world.told(read), "result");
    world.full = false;
    let again = world.ask(&Ask::write());
    assert_eq!(world.sent(again), 1);
}

#[test]
fn a_journal_that_cannot_be_read_stops_mutations_too() {
    let mut world = World::new();
    world.slow_recall = true;
    let call = world.ask(&Ask::write());
    world.input(Input::RecallFailed { call: vocab::CallId(call) });
    assert_eq!(world.told(call), "journal_unavailable no");
    assert_eq!(world.sent(call), 0);
}

//= G3
#[test]
fn an_outcome_that_cannot_be_written_is_unknown_until_it_can() {
    let mut world = World::new();
    let ask = Ask::write().key("k");
    let call = world.ask(&ask);
    world.full = true;
    world.done();
    assert_eq!(world.told(call), "outcome_unknown unknown");
    let again = world.ask(&ask);
    world.seconds(3);
    assert_eq!(world.told(again), "outcome_unknown unknown");
    world.full = false;
    world.seconds(31);
    assert_eq!(world.outcome(call), Some(Outcome::Succeeded));
    let later = world.ask(&ask);
    assert_eq!(world.told(later), "replayed");
    assert_eq!(world.sends.len(), 1);
}

#[test]
fn who_lost_the_journal_to_another_owner_says_unknown_and_lets_go() {
    let mut world = World::new();
    let call = world.ask(&Ask::write().key("k"));
    world.held = true;
    world.done();
    for ticket in 0..10 {
        world.input(Input::NotDurable { ticket, why: NotDurable::Fenced });
    }
    assert_eq!(world.told(call), "outcome_unknown unknown");
    assert_eq!(world.engine.load().0, 0);
}

//= G1
#[test]
fn a_key_that_somebody_else_claimed_meanwhile_is_not_sent() {
    let mut world = World::new();
    world.held = true;
    let call = world.ask(&Ask::write().key("k"));
    world.recall();
    for ticket in 0..10 {
        world.input(Input::NotDurable { ticket, why: NotDurable::Fenced });
    }
    assert_eq!((world.told(call).as_str(), world.sends.len()), ("journal_unavailable no", 0));
    assert_eq!(world.engine.load(), (0, 0, 0));
}

//= G1
#[test]
fn a_caller_that_left_while_the_intent_was_written_costs_no_send() {
    let mut world = World::new();
    world.held = true;
    let call = world.ask(&Ask::write());
    world.recall();
    world.leave(call, engine::Left::Disconnected);
    world.held = false;
    world.commit();
    assert_eq!(world.sent(call), 0);
    assert_eq!(world.outcome(call), Some(Outcome::NotExecuted));
}

//= G1
#[test]
fn a_deadline_that_passed_while_the_intent_was_written_costs_no_send() {
    let mut world = World::new();
    world.held = true;
    let call = world.ask(&Ask::write().patience(5));
    world.recall();
    world.seconds(6);
    assert_eq!(world.told(call), "nothing yet");
    world.held = false;
    world.commit();
    assert_eq!((world.told(call).as_str(), world.sent(call)), ("deadline no", 0));
}

//= G3
#[test]
fn unknown_is_told_only_after_it_is_durable() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.held = true;
    world.fail(FailureKind::Reset);
    assert_eq!(world.told(call), "nothing yet");
    world.commit();
    assert_eq!(world.told(call), "outcome_unknown unknown");
    assert!(matches!(world.row(call).status.state, State::Resolving | State::NeedsHuman));
}

#[test]
fn steps_that_are_over_leave_memory() {
    let mut world = World::new();
    for _ in 0..500 {
        world.seen(&Ask::write().args(r#"{"toggle":true}"#));
        world.ask(&Ask::read());
        world.done();
    }
    let lost = world.ask(&Ask::write().args("[1]"));
    world.done();
    world.arrive(lost, engine::Arrival::Lost);
    assert_eq!(world.engine.load(), (0, 0, 0));
    assert!(world.engine.is_quiet());
    world.seconds(1);
    assert_eq!(world.wake_at, None, "no timer is left behind");
}

#[test]
fn an_answer_of_which_nobody_says_what_became_is_let_go_in_the_end() {
    let mut world = World::new();
    world.ask(&Ask::write());
    world.done();
    assert_eq!(world.engine.load().0, 1);
    world.seconds(130);
    assert_eq!(world.engine.load().0, 0);
}

#[test]
fn too_many_steps_are_refused_and_cost_nothing() {
    let mut world = World::with(|config| config.steps_max = 2);
    for args in ["[1]", "[2]"] {
        world.ask(&Ask::write().args(args));
    }
    let third = world.ask(&Ask::write().args("[3]"));
    assert_eq!(world.told(third), "overloaded no");
    let read = world.ask(&Ask::read());
    world.done();
    assert_eq!(world.told(read), "result", "reads have their own bound");
}

#[test]
fn too_many_callers_of_one_step_are_told_that_it_runs() {
    let mut world = World::with(|config| config.waiters_max = 2);
    let ask = Ask::write().key("k");
    let first = world.ask(&ask);
    let second = world.ask(&ask);
    let third = world.ask(&ask);
    assert_eq!(world.told(third), "in_progress unknown");
    world.done();
    assert_eq!((world.told(first), world.told(second)), ("result".into(), "replayed".into()));
}

//= G1
#[test]
fn a_step_refused_by_its_arguments_is_never_sent() {
    let mut world = World::new();
    let ask = Ask { finding: Some("/order: missing"), ..Ask::write() };
    let call = world.ask(&ask);
    let named = world.ask(&Ask { finding: Some("/order: missing"), ..Ask::write().key("k") });
    let read = world.ask(&Ask { finding: Some("/order: missing"), ..Ask::read() });
    for call in [call, named, read] {
        assert_eq!(world.told(call), "input_invalid no");
    }
    assert!(world.sends.is_empty() && world.rows.is_empty());
}

//= G3
#[test]
fn a_probe_that_succeeds_while_unknown_is_being_written_is_told_after_both() {
    let mut world = World::new();
    let call = world.ask(&Ask::of(exact(Effect::Write)));
    world.held = true;
    world.fail(FailureKind::Eof);
    world.judge(Judgement::Applied);
    assert_eq!(world.told(call), "nothing yet");
    world.commit();
    assert_eq!(world.told(call), "applied_no_receipt yes");
    assert_eq!(world.rows[&step(call)].status.outcome, Some(Outcome::Applied));
}
