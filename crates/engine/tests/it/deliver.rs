//! Was the answer delivered? Noted lazily, and only upwards.

use crate::ask::Ask;
use crate::world::World;
use engine::{Arrival, Left};
use vocab::{Delivered, FailureKind};

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
