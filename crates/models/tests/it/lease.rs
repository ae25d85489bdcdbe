//! Claim, lease, take-over and late send, looked through to the end: each reachable state of few replicas and one key.
//!
//! The spans are those that ship. A model that cannot fail proves nothing, so the same search has to find what goes
//! wrong when the wait is too short or one of the rules is left out.

mod world;

use policy::Policy;
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use world::{Event, Reached, Spans, World};

/// One tick. Every span that ships is a multiple of it.
const TICK: Duration = Duration::from_secs(5);

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    CheckThenInsert,
    EpochIgnored,
    TakerSends,
    NoLook,
    TermForgotten,
}

struct Replicas {
    count: usize,
    kills: u8,
    spans: Spans,
    flaw: Option<Flaw>,
    /// What the search came by, a bit each.
    reached: AtomicU8,
}

const ONE_EFFECT: &str = "an intent has at most one effect";
const ONE_SEND: &str = "a step is sent at most once";
const TRUE_NO: &str = "what was told not to have happened has not happened and does not happen later";
const TRUE_YES: &str = "what was told to have happened has happened";

impl Model for Replicas {
    type State = World;
    type Action = Event;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.count, self.kills, &self.spans)]
    }

    fn actions(&self, world: &World, events: &mut Vec<Event>) {
        events.extend(world.events());
    }

    fn next_state(&self, world: &World, event: Event) -> Option<World> {
        let mut next = world.after(event, &self.spans, self.flaw)?;
        let reached = std::mem::take(&mut next.reached);
        self.reached.fetch_or(reached, Ordering::Relaxed);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_EFFECT, |_, world: &World| {
                world.steps.iter().map(|told| u32::from(told.effects)).sum::<u32>() <= 1
            }),
            Property::always(ONE_SEND, |_, world: &World| world.steps.iter().all(|told| told.sends <= 1)),
            Property::always(TRUE_NO, |_, world: &World| world.steps.iter().all(|told| !told.no || told.effects == 0)),
            Property::always(TRUE_YES, |_, world: &World| {
                let effects = world.steps.iter().any(|told| told.effects > 0);
                world.steps.iter().all(|told| !told.yes || effects)
            }),
        ]
    }
}

fn ticks(span: Duration) -> u8 {
    assert_eq!(span.as_secs() % TICK.as_secs(), 0, "{span:?} is not a number of ticks");
    u8::try_from(span.as_secs() / TICK.as_secs()).expect("few ticks")
}

/// With the shortest quiescence that the policy takes.
fn shipped() -> Spans {
    let text =
        "journal: { postgres: \"postgres://db/x\" }\nupstreams: { a: { mcp: { url: \"http://127.0.0.1:1/\" } } }\n";
    let policy = Policy::parse(text, "shipped.yaml", &|_| None).expect("a policy");
    let database = policy.journal.postgres.expect("a database");
    let (lease, pause_max) = (ticks(database.lease), ticks(database.pause_max));
    let sends = ticks(journal::sends_for(database.lease));
    // What the shortest quiescence leaves for an upstream: all but the time in which a sender may still begin.
    let effect_max = 2 * lease - sends;
    Spans { lease, sends, pause_max, effect_max, quiescence: lease + pause_max }
}

/// How many states there are, and which rules were found broken.
fn search(count: usize, kills: u8, spans: Spans, flaw: Option<Flaw>) -> (usize, Vec<&'static str>) {
    let model = Replicas { count, kills, spans, flaw, reached: AtomicU8::new(0) };
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let mut broken: Vec<_> = checker.discoveries().into_keys().collect();
    broken.sort_unstable();
    if broken.is_empty() {
        assert!(checker.is_done(), "the search ended early");
        let reached = checker.model().reached.load(Ordering::Relaxed);
        let missed: Vec<_> = Reached::ALL.into_iter().filter(|one| reached & one.bit() == 0).collect();
        assert!(missed.is_empty(), "the search did not come by {missed:?}");
    }
    (checker.unique_state_count(), broken)
}

//= G1
//= G3
#[test]
fn two_replicas_with_the_spans_that_ship_break_no_promise_in_any_order_of_events() {
    let (states, broken) = search(2, 1, shipped(), None);
    assert_eq!(broken, [""; 0]);
    // docs/proof.md says how many; fewer would be another search.
    assert!(states > 1_000_000, "{states}");
}

//= G1
//= G3
#[test]
fn a_third_replica_changes_nothing_about_that() {
    // With pauses of two ticks, so that the search comes to its end in seconds; the effect has to come sooner then.
    let spans = Spans { pause_max: 2, effect_max: 3, ..shipped() };
    let (states, broken) = search(3, 0, Spans { quiescence: spans.lease + spans.pause_max, ..spans }, None);
    assert_eq!(broken, [""; 0]);
    // docs/proof.md says how many; fewer would be another search.
    assert!(states > 1_000_000, "{states}");
}

//= G3
#[test]
fn a_quiescence_that_is_a_tick_too_short_is_found() {
    let spans = shipped();
    let (_, broken) = search(2, 0, Spans { quiescence: spans.quiescence - 1, ..spans }, None);
    assert!(broken.contains(&TRUE_NO), "{broken:?}");
}

#[test]
fn each_rule_that_is_left_out_is_found() {
    for flaw in [Flaw::CheckThenInsert, Flaw::EpochIgnored, Flaw::TakerSends, Flaw::NoLook, Flaw::TermForgotten] {
        let (_, broken) = search(2, 0, shipped(), Some(flaw));
        assert!(!broken.is_empty(), "{flaw:?}");
    }
}
