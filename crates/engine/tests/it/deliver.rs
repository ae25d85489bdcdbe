//! Was the answer delivered? Noted lazily, and only upwards.

use crate::ask::{Ask, exact};
use crate::world::World;
use engine::{Act, Arrival, Left};
use std::time::Duration;
use vocab::{Delivered, FailureKind, Outcome};

#[test]
fn delivery_is_noted_without_a_barrier() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.done();
    world.arrive(call, Arrival::Flushed);
    world.seconds(3);
    assert_eq!(world.row(call).status.delivered, Delivered::Flushed);
    assert_eq!(world.appends_with_ticket, 2);
}

//= S-23
#[test]
fn a_note_that_no_commit_takes_along_is_written_after_a_moment() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.done();
    world.arrive(call, Arrival::Seen);
    world.pass(Duration::from_millis(49));
    assert_eq!(world.flushes, 0);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.flushes, 1);
    world.seconds(60);
    assert_eq!(world.flushes, 1, "once is enough");
}

#[test]
fn a_note_that_a_commit_takes_along_makes_none_of_its_own() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.done();
    world.arrive(call, Arrival::Seen);
    world.ask(&Ask::write().args(r#"{"order":2}"#));
    world.seconds(1);
    assert_eq!(world.flushes, 0);
}

#[test]
fn what_the_client_goes_on_from_was_seen() {
    let mut world = World::new();
    let call = world.seen(&Ask::write());
    assert_eq!(world.row(call).status.delivered, Delivered::Seen);
}

#[test]
fn a_lost_answer_is_not_delivered() {
    for how in [Left::Disconnected, Left::Cancelled] {
        let mut world = World::new();
        let call = world.ask(&Ask::write());
        world.done();
        world.arrive(call, Arrival::Flushed);
        world.leave(call, how);
        world.seconds(10);
        assert_eq!(world.row(call).status.delivered, Delivered::No);
    }
}

#[test]
fn told_unknown_is_not_delivered() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.fail(FailureKind::Eof);
    world.arrive(call, Arrival::Seen);
    assert_eq!(world.row(call).status.delivered, Delivered::No);
    assert_eq!(world.row(call).status.told, Some(vocab::Code::OutcomeUnknown));
}

#[test]
fn a_delivered_replay_counts_for_the_step() {
    let mut world = World::new();
    let call = world.ask(&Ask::write());
    world.done();
    world.arrive(call, Arrival::Lost);
    let again = world.ask(&Ask::write());
    world.arrive(again, Arrival::Seen);
    assert_eq!(world.row(call).status.delivered, Delivered::Seen);
}

/// A mutation whose caller was told that nothing is known, and which is known by now.
fn found_out_after_unknown_was_told(world: &mut World, ask: &Ask) -> u64 {
    let call = world.ask(ask);
    world.fail(FailureKind::Eof);
    assert_eq!(world.told(call), "outcome_unknown unknown");
    world.arrive(call, Arrival::Flushed);
    world.person(call, Act::Applied);
    world.remember(call);
    call
}

//= S-23
#[test]
fn whoever_asked_what_became_of_it_and_got_the_answer_knows() {
    let mut world = World::new();
    let call = found_out_after_unknown_was_told(&mut world, &Ask::write());
    world.ask_after(call, 100);
    assert_eq!(world.row(call).status.delivered, Delivered::No, "the answer is on its way");
    world.arrive(100, Arrival::Seen);
    let at_once = world.ask(&Ask::write());
    assert_eq!(world.told(at_once), "applied_no_receipt yes", "it goes on with what it was about");
    world.arrive(at_once, Arrival::Lost);
    world.seconds(3);
    assert_eq!(world.row(call).status.delivered, Delivered::Flushed);
    world.ask(&Ask::write());
    assert_eq!(world.sends.len(), 2, "so this is another wish");
}

//= S-23
//= G1
#[test]
fn an_answer_about_it_that_was_lost_tells_nobody() {
    for arrival in [Arrival::Lost, Arrival::Flushed] {
        let mut world = World::new();
        let call = found_out_after_unknown_was_told(&mut world, &Ask::write());
        world.ask_after(call, 100);
        world.arrive(100, arrival);
        let again = world.ask(&Ask::write());
        assert_eq!(world.told(again), "applied_no_receipt yes");
        assert_eq!(world.sends.len(), 1, "{arrival:?}: two quiet seconds are not over");
    }
}

//= S-23
//= G1
#[test]
fn of_two_who_were_told_nothing_the_one_who_asks_twice_does_not_speak_for_the_other() {
    let mut world = World::new();
    let ask = Ask::write();
    let first = world.ask(&ask);
    let second = world.ask(&ask);
    world.fail(FailureKind::Eof);
    assert_eq!(
        (world.told(first).as_str(), world.told(second).as_str()),
        ("outcome_unknown unknown", "outcome_unknown unknown")
    );
    world.person(first, Act::Applied);
    for question in [100, 101] {
        world.ask_after(first, question);
        world.arrive(question, Arrival::Flushed);
        world.seconds(3);
    }
    let again = world.ask(&ask);
    assert_eq!(world.told(again), "applied_no_receipt yes");
    assert_eq!(world.sends.len(), 1);
}

//= S-23
//= G1
#[test]
fn an_answer_about_an_outcome_that_has_changed_since_tells_nobody() {
    let mut world = World::new();
    let call = world.ask(&Ask::write().key("k"));
    world.seconds(61);
    world.person(call, Act::Absent);
    world.ask_after(call, 100);
    world.done();
    assert_eq!(world.outcome(call), Some(Outcome::Succeeded), "a late receipt");
    world.arrive(100, Arrival::Flushed);
    world.seconds(3);
    assert_eq!(world.row(call).status.delivered, Delivered::No);
}

//= S-23
#[test]
fn a_client_that_was_told_nothing_twice_and_then_the_outcome_knows() {
    let mut world = World::new();
    let ask = Ask::write();
    let first = world.ask(&ask);
    world.fail(FailureKind::Eof);
    let retry = world.ask(&ask);
    assert_eq!(world.told(retry), "outcome_unknown unknown");
    world.person(first, Act::Applied);
    let last = world.ask(&ask);
    assert_eq!(world.told(last), "applied_no_receipt yes");
    world.arrive(last, Arrival::Flushed);
    world.seconds(3);
    world.ask(&ask);
    assert_eq!(world.sends.len(), 2, "it came back each time for the same wish, and has its answer");
}

//= S-23
//= G1
#[test]
fn a_client_that_comes_back_and_leaves_again_has_not_been_told() {
    let mut world = World::new();
    let ask = Ask::of(exact(vocab::Effect::Write)).patience(10);
    let first = world.ask(&ask);
    let second = world.ask(&ask);
    world.fail(FailureKind::Eof);
    world.seconds(11);
    assert_eq!(
        (world.told(first).as_str(), world.told(second).as_str()),
        ("outcome_unknown unknown", "outcome_unknown unknown")
    );
    let back = world.ask(&ask);
    world.leave(back, Left::Disconnected);
    world.judge(policy::Judgement::Applied);
    let again = world.ask(&ask);
    assert_eq!(world.told(again), "applied_no_receipt yes");
    world.arrive(again, Arrival::Seen);
    world.seconds(3);
    let other = world.ask(&ask);
    assert_eq!(world.told(other), "applied_no_receipt yes", "the other one was not told yet");
    assert_eq!(world.sends.len(), 1);
}
