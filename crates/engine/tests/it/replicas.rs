//! One journal, several owners: calls whose step is another one's, and steps that come from another one.

use crate::ask::{Ask, exact, step};
use crate::world::World;
use engine::{Act, Input};
use policy::Judgement;
use std::sync::Arc;
use std::time::Duration;
use vocab::{CallId, Effect, Epoch, Outcome, State, StepId, StepRow};

/// Steps of other owners have numbers from here on.
const OTHERS: u64 = 1_000;

/// What an equal call at another owner has left in the journal by now.
fn elsewhere(ask: &Ask, state: State) -> StepRow {
    let mut other = World::new();
    other.ask(ask);
    let mut row = other.row(1).clone();
    Arc::make_mut(&mut row.intent).step = step(OTHERS);
    row.status.state = state;
    row.epoch = Epoch(7);
    row
}

/// A world in which a call is being looked up.
fn looking(ask: &Ask) -> (World, u64) {
    let mut world = World::new();
    world.slow_recall = true;
    let call = world.ask(ask);
    (world, call)
}

fn found(world: &mut World, call: u64, row: &StepRow, by_key: bool) {
    world.input(Input::Elsewhere { call: CallId(call), row: Box::new(row.clone()), by_key });
}

fn closed(mut row: StepRow, outcome: Outcome) -> StepRow {
    row.status.state = State::Closed;
    row.status.outcome = Some(outcome);
    row.status.closed_at = Some(row.intent.created_at + Duration::from_secs(1));
    row
}

fn take_over(world: &mut World, row: &StepRow, ask: &Ask) {
    world.rows.insert(row.intent.step, row.clone());
    world.input(Input::TakenOver { row: Box::new(row.clone()), rules: ask.rules.clone() });
}

//= G1
//= G5
#[test]
fn a_call_waits_for_its_step_at_another_owner_and_gets_its_outcome() {
    let ask = Ask::write().key("k");
    let row = elsewhere(&ask, State::Dispatched);
    let (mut world, call) = looking(&ask);
    found(&mut world, call, &row, true);
    world.seconds(30);
    assert_eq!((world.told(call).as_str(), world.sends.len()), ("nothing yet", 0));
    let row = closed(row, Outcome::Succeeded);
    world.rows.insert(row.intent.step, row);
    world.slow_recall = false;
    world.input(Input::LookAgain { call: CallId(call) });
    assert_eq!(world.told(call), "duplicate_suppressed yes");
    assert_eq!(world.sends.len(), 0);
}

//= G3
#[test]
fn at_its_deadline_it_is_told_what_is_known_of_the_other_owners_step() {
    let ask = Ask::write().key("k").patience(20);
    for (state, told) in [
        (State::Dispatched, "in_progress unknown"),
        (State::Resolving, "outcome_unknown unknown"),
        (State::NeedsHuman, "outcome_unknown unknown"),
    ] {
        let (mut world, call) = looking(&ask);
        found(&mut world, call, &elsewhere(&ask, state), true);
        world.seconds(21);
        assert_eq!(world.told(call), told);
        assert_eq!(world.stop(call).earlier, Some(step(OTHERS)));
        // What comes after it finds nobody.
        world.input(Input::LookAgain { call: CallId(call) });
        assert_eq!(world.engine.load(), (0, 0, 0));
    }
}

//= G5
#[test]
fn a_key_of_another_owners_step_with_other_arguments_is_a_conflict() {
    let row = elsewhere(&Ask::write().key("k"), State::Dispatched);
    let (mut world, call) = looking(&Ask::write().key("k").args(r#"{"order":2}"#));
    found(&mut world, call, &row, true);
    assert_eq!(world.told(call), "idempotency_conflict no");
}

//= S-09
#[test]
fn equal_content_elsewhere_is_waited_for_unless_both_have_a_name_of_their_own() {
    let row = elsewhere(&Ask::write(), State::Dispatched);
    let (mut world, call) = looking(&Ask::write());
    found(&mut world, call, &row, false);
    assert_eq!((world.told(call).as_str(), world.sends.len()), ("nothing yet", 0));
    let row = elsewhere(&Ask::write().key("a"), State::Dispatched);
    let (mut world, call) = looking(&Ask::write().key("b"));
    found(&mut world, call, &row, false);
    assert_eq!(world.sends.len(), 1, "two ids in one turn are both meant");
    // Unless it is not known what became of the other one.
    let row = elsewhere(&Ask::write().key("a"), State::Resolving);
    let (mut world, call) = looking(&Ask::write().key("b"));
    found(&mut world, call, &row, false);
    assert_eq!((world.told(call).as_str(), world.sends.len()), ("nothing yet", 0));
}

#[test]
fn a_caller_that_leaves_while_it_waits_elsewhere_leaves_nothing_behind() {
    let ask = Ask::write().key("k");
    let (mut world, call) = looking(&ask);
    found(&mut world, call, &elsewhere(&ask, State::Dispatched), true);
    world.leave(call, engine::Left::Disconnected);
    assert_eq!((world.engine.load(), world.wake_at), ((0, 0, 0), None));
}

//= G1
//= G3
#[test]
fn a_step_taken_over_is_found_out_about_and_absent_only_after_quiescence() {
    for effect in [Effect::Write, Effect::Idempotent, Effect::Destructive] {
        let ask = Ask::of(exact(effect)).key("k");
        let mut world = World::new();
        take_over(&mut world, &elsewhere(&ask, State::Dispatched), &ask);
        assert_eq!(world.rows[&step(OTHERS)].status.state, State::Resolving);
        assert_eq!(world.rows[&step(OTHERS)].epoch, Epoch(7), "written under the epoch of the takeover");
        let call = world.ask(&ask);
        assert_eq!(world.sends.len(), 0, "it may be found out about, not sent");
        world.judge(Judgement::Absent);
        assert_eq!(world.told(call), "nothing yet", "its owner may only have been slow");
        world.settle_probes(&Judgement::Absent, 300);
        assert_eq!(world.rows[&step(OTHERS)].status.outcome, Some(Outcome::Absent));
        let sent_before_absent = world.sends.iter().filter(|sent| sent.step == step(OTHERS)).count();
        assert!(sent_before_absent == 0 || effect == Effect::Idempotent, "{effect:?}");
    }
}

//= G2
#[test]
fn only_what_carries_a_key_is_sent_again_after_a_takeover() {
    let ask = Ask::effect(Effect::Keyed).key("k");
    let mut world = World::new();
    let row = elsewhere(&ask, State::Dispatched);
    take_over(&mut world, &row, &ask);
    assert_eq!(world.sends.len(), 0, "not before somebody asks");
    world.ask(&ask);
    assert_eq!(world.last_send().key, row.intent.upstream_key);
}

//= G5
#[test]
fn what_another_owner_did_since_is_believed_rather_than_what_is_remembered() {
    // A call that did not run, and is still remembered.
    let ask = Ask::write().key("k");
    let mut world = World::new();
    let first = world.ask(&ask);
    world.fail(vocab::FailureKind::Connect);
    world.seconds(20);
    world.fail(vocab::FailureKind::Connect);
    assert_eq!(world.outcome(first), Some(Outcome::NotExecuted));
    let sends = world.sends.len();
    // Meanwhile another owner ran it, under a later epoch.
    let mut row = closed(world.row(first).clone(), Outcome::Succeeded);
    row.epoch = Epoch(9);
    row.status.attempt += 1;
    world.rows.insert(step(first), row);
    let again = world.ask(&ask);
    assert_eq!((world.told(again).as_str(), world.sends.len()), ("duplicate_suppressed yes", sends));
}

//= G1
#[test]
fn a_step_that_was_over_here_and_was_run_again_elsewhere_is_not_run_once_more() {
    let ask = Ask::write().key("k");
    let mut world = World::new();
    let first = world.ask(&ask);
    world.fail(vocab::FailureKind::Connect);
    world.seconds(20);
    world.fail(vocab::FailureKind::Connect);
    assert_eq!(world.outcome(first), Some(Outcome::NotExecuted));
    let sends = world.sends.len();
    let mut row = world.row(first).clone();
    (row.epoch, row.status.state, row.status.outcome, row.status.closed_at) = (Epoch(9), State::Dispatched, None, None);
    row.status.attempt += 1;
    take_over(&mut world, &row, &ask);
    assert_eq!(world.row(first).status.outcome, Some(Outcome::Unknown));
    let again = world.ask(&ask);
    assert_eq!((world.told(again).as_str(), world.sends.len()), ("outcome_unknown unknown", sends));
}

//= G1
#[test]
fn a_step_that_was_ours_goes_on_when_it_comes_back_and_is_let_go_when_it_does_not() {
    let ask = Ask::write().key("k");
    let mut world = World::new();
    let call = world.ask(&ask);
    // Taken for dead, and nobody took it: the answer is still awaited, and written under the new epoch.
    let mut row = world.row(call).clone();
    row.epoch = Epoch(5);
    take_over(&mut world, &row, &ask);
    world.done();
    assert_eq!(world.told(call), "result");
    assert_eq!((world.outcome(call), world.row(call).epoch), (Some(Outcome::Succeeded), Epoch(5)));
    // Another one took it: its caller is told that nobody here knows, and the stream is given up.
    let other = Ask::write().key("other").args(r#"{"order":9}"#);
    let call = world.ask(&other);
    let since = world.now + Duration::from_secs(1);
    world.input(Input::Disowned { step: step(call), since });
    assert_eq!(world.told(call), "outcome_unknown unknown");
    assert_eq!(world.abandons, [step(call)]);
    // What began after that is not meant.
    let later = world.ask(&Ask::write().key("later").args(r#"{"order":10}"#));
    world.input(Input::Disowned { step: step(later), since: world.now });
    world.done();
    assert_eq!(world.told(later), "result");
}

#[test]
fn a_persons_word_on_a_step_that_was_taken_over_is_written_under_its_epoch() {
    let ask = Ask::write().key("k");
    let mut world = World::new();
    take_over(&mut world, &elsewhere(&ask, State::NeedsHuman), &ask);
    let (who, why) = ("ops".to_owned(), "seen".to_owned());
    let other: StepId = step(OTHERS);
    world.input(Input::Person { step: other, act: Act::Applied, who, why });
    let row = &world.rows[&other];
    assert_eq!((row.status.outcome, row.epoch), (Some(Outcome::Applied), Epoch(7)));
}
