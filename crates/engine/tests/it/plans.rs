//! Random plans against a ledger of real effects: whatever is lost, late, doubled or killed, an intent has at most one
//! effect, and nobody is told what is not so.

mod undo;
mod upstream;

use crate::ask::{Ask, checked, exact, rules, step};
use crate::rollback::way;
use crate::world::World;
use engine::rollback::Standing;
use engine::{Act, Arrival, Input, Left, Purpose, ReadEnd, Reply};
use policy::{Consistency, Judgement, Strength, ToolRules};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use upstream::{End, Upstream};
use vocab::{Bytes, CallId, Code, Effect, Executed, Instant, RollbackStatus, State, StepId, StepStatus};

/// One thing that happens. Numbers choose among what is there at the time.
#[derive(Clone, Debug)]
enum Op {
    /// The agent wants this, by its own key or under a new one; or the network delivers its last request once more.
    Ask {
        tag: u8,
        named: bool,
        doubled: bool,
        patience: u8,
    },
    /// An attempt that is out takes effect, without a word.
    Effect(u8),
    End(u8, End),
    /// A read of the world is answered: as it is, as it was a little earlier, or not at all.
    Read(u8, Look),
    Leave(u8, bool),
    Arrive(u8, Arrival),
    Pass(u16),
    Commit,
    Recall,
    Full(bool),
    Hurry(u8),
    /// A person looks for herself and records what she saw, or allows one more.
    Person(u8, bool),
    /// A change is taken back, or that is asked for once more.
    Undo(u8),
    Crash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Now,
    /// As an eventually consistent reader may.
    Stale,
    Failed,
}

/// Few intents in one plan, so that what happens to one meets what happens to it again.
fn plan(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(0..TAGS, 1..4).prop_flat_map(move |tags| prop::collection::vec(op(tags), 1..most))
}

fn op(tags: Vec<u8>) -> impl Strategy<Value = Op> {
    use proptest::sample::select;
    let ends = vec![
        End::Done,
        End::Done,
        End::Done,
        End::Error,
        End::Bad,
        End::Lost,
        End::Lost,
        End::Busy,
        End::Refused,
        End::NotSent,
        End::Exit,
    ];
    prop_oneof![
        10 => (select(tags), any::<bool>(), prop::bool::weighted(0.2), 1..90_u8)
            .prop_map(|(tag, named, doubled, patience)| Op::Ask { tag, named, doubled, patience }),
        5 => any::<u8>().prop_map(Op::Effect),
        10 => (any::<u8>(), select(ends)).prop_map(|(which, end)| Op::End(which, end)),
        8 => (any::<u8>(), select(vec![Look::Now, Look::Now, Look::Now, Look::Stale, Look::Failed]))
            .prop_map(|(which, look)| Op::Read(which, look)),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(which, cancels)| Op::Leave(which, cancels)),
        5 => (any::<u8>(), select(vec![Arrival::Flushed, Arrival::Seen, Arrival::Lost]))
            .prop_map(|(which, arrival)| Op::Arrive(which, arrival)),
        8 => prop_oneof![0..3_000_u16, 1_000..40_000_u16].prop_map(Op::Pass),
        8 => Just(Op::Commit),
        4 => Just(Op::Recall),
        1 => any::<bool>().prop_map(Op::Full),
        2 => any::<u8>().prop_map(Op::Hurry),
        1 => (any::<u8>(), prop::bool::weighted(0.2)).prop_map(|(which, again)| Op::Person(which, again)),
        5 => any::<u8>().prop_map(Op::Undo),
        2 => Just(Op::Crash),
    ]
}

const TAGS: u8 = 12;

/// A third of the tools cannot be read back, a third is read by key, a third is compared with what was there before.
fn ask(tag: u8) -> Ask {
    let effect = [Effect::Write, Effect::Destructive, Effect::Keyed, Effect::Idempotent][usize::from(tag % 4)];
    let mut rules: ToolRules = match tag / 4 {
        0 => exact(effect),
        1 => rules(effect),
        _ => checked(effect, Strength::Inferred, Consistency::Eventual),
    };
    rules.quiescence = upstream::QUIESCENCE;
    rules.attempt_timeout = Duration::from_secs(8);
    rules.step_timeout = Duration::from_secs(15);
    rules.detached_max = Duration::from_secs(20);
    rules.reissue_window = Duration::from_secs(1_000_000);
    // Half of them are looked at before they are taken back.
    rules.undo = way(if tag.is_multiple_of(2) { "create" } else { "looked" });
    let mut ask = Ask::of(rules).args(&format!(r#"{{"order":{tag}}}"#)).run(tag % 3);
    if tag % 4 == 3 || tag == 1 {
        ask = ask.lane("a");
    }
    ask
}

struct Run {
    world: World,
    upstream: Upstream,
    asks: Vec<Ask>,
    /// What each call is about.
    tags: BTreeMap<CallId, u8>,
    /// Answers that have been looked at.
    judged: usize,
    /// Calls whose caller is still there and has no answer.
    waiting: BTreeSet<CallId>,
    /// Answers on their way.
    arriving: BTreeSet<CallId>,
    /// The agent knows how it ended, and does not ask again.
    finished: BTreeSet<u8>,
    reads: Vec<(StepId, u32, Purpose)>,
    reads_seen: usize,
    /// The wire id of the last request for each intent.
    wires: BTreeMap<u8, u8>,
    /// The tag of what takes each change back.
    undone: BTreeMap<StepId, u8>,
    standings: BTreeMap<StepId, (Vec<StepStatus>, Standing)>,
    reached: BTreeSet<RollbackStatus>,
}

impl Run {
    fn new(held: bool, slow: bool) -> Self {
        let mut world = World::new();
        world.held = held;
        world.slow_recall = slow;
        Self {
            world,
            upstream: Upstream::default(),
            asks: (0..TAGS).map(ask).collect(),
            tags: BTreeMap::new(),
            judged: 0,
            waiting: BTreeSet::new(),
            arriving: BTreeSet::new(),
            finished: BTreeSet::new(),
            reads: Vec::new(),
            reads_seen: 0,
            wires: BTreeMap::new(),
            undone: BTreeMap::new(),
            standings: BTreeMap::new(),
            reached: BTreeSet::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Ask { tag, named, doubled, patience } => self.ask(*tag, *named, *doubled, *patience),
            Op::Effect(which) => self.upstream.effect(usize::from(*which), self.world.now),
            Op::End(which, end) => {
                if let Some((step, attempt, end)) = self.upstream.end(usize::from(*which), *end, self.world.now) {
                    self.world.input(Input::AttemptEnded { step, attempt, end: Box::new(end) });
                }
            }
            Op::Read(which, look) => self.read(usize::from(*which), *look),
            Op::Person(which, again) => self.person(usize::from(*which), *again),
            Op::Leave(which, cancels) => {
                let how = if *cancels { Left::Cancelled } else { Left::Disconnected };
                let here: Vec<CallId> = self.waiting.union(&self.arriving).copied().collect();
                if let Some(call) = pick(&here, usize::from(*which)) {
                    self.waiting.remove(&call);
                    self.arriving.remove(&call);
                    self.world.input(Input::Left { call, how });
                }
            }
            Op::Arrive(which, arrival) => self.arrive(usize::from(*which), *arrival),
            Op::Pass(millis) => self.world.pass(Duration::from_millis(u64::from(*millis))),
            Op::Commit => self.world.commit(),
            Op::Recall => self.world.recall(),
            Op::Full(full) => self.world.full = *full,
            Op::Hurry(which) => {
                let step = step(u64::from(*which % 16));
                self.world.input(Input::Hurry { step });
            }
            Op::Undo(which) => self.undo(usize::from(*which)),
            Op::Crash => self.crash(),
        }
        self.look();
    }

    fn ask(&mut self, tag: u8, named: bool, doubled: bool, patience: u8) {
        if self.finished.contains(&tag) {
            return;
        }
        let mut ask = self.asks[usize::from(tag)].clone().patience(u64::from(patience));
        if named {
            ask = ask.key(&format!("key {tag}"));
        }
        let next = u8::try_from(self.tags.len() % 256).expect("less than 256");
        let wire = self.wires.get(&tag).copied().filter(|_| doubled).unwrap_or(next);
        self.wires.insert(tag, wire);
        ask.wire = Some(wire);
        let number = self.world.ask(&ask);
        self.tags.insert(CallId(number), tag);
        self.waiting.insert(CallId(number));
        self.upstream.tags.insert(step(number), tag);
    }

    fn read(&mut self, which: usize, look: Look) {
        let Some((id, read, purpose)) = pick(&self.reads, which) else { return };
        self.reads.retain(|one| (one.0, one.1) != (id, read));
        let tag = self.upstream.tags[&id];
        if purpose == Purpose::Stands {
            return self.stands(id, read, look);
        }
        let may_lag = self.asks.get(usize::from(tag)).is_some_and(|ask| {
            let probe = ask.rules.probe.as_ref();
            probe.is_some_and(|plan| plan.consistency == Consistency::Eventual && purpose != Purpose::Preimage)
        });
        let lag = if look == Look::Stale && may_lag { Duration::from_millis(4_900) } else { Duration::ZERO };
        let count = self.upstream.count_at(tag, self.world.now - lag);
        let end = match (look, purpose) {
            (Look::Failed, _) => ReadEnd::Failed("no route".into()),
            (_, Purpose::Preimage) => ReadEnd::Image(Bytes::from(count.to_string())),
            (_, purpose) => ReadEnd::Judged(self.judge(id, count, purpose)),
        };
        self.world.input(Input::ReadEnded { step: id, read, end });
    }

    /// As `ReadPlan::judge` does it.
    fn judge(&self, id: StepId, count: usize, purpose: Purpose) -> Judgement {
        let Some(view) = self.world.engine.step(id) else { return Judgement::Inconclusive("it is over".into()) };
        let is_inferred = view.rules().probe.as_ref().is_some_and(|plan| plan.strength == Strength::Inferred);
        match (count, view.intent().preimage.as_deref()) {
            (0, None) if is_inferred => Judgement::Inconclusive("nothing is known of before".into()),
            (0, _) => Judgement::Absent,
            (_, Some(b"0")) => Judgement::Applied,
            (_, _) if is_inferred && purpose == Purpose::Probe => Judgement::Inconclusive("as before".into()),
            _ => Judgement::Applied,
        }
    }

    /// She records only what is so and stays so.
    fn person(&mut self, which: usize, again: bool) {
        let steps: Vec<StepId> = self.world.rows.keys().copied().collect();
        let Some(id) = pick(&steps, which) else { return };
        let Some(view) = self.world.engine.step(id) else { return };
        let tag = self.upstream.tags[&id];
        // What was taken back twice would be her doing.
        if again && self.undone.values().any(|undone| *undone == tag) {
            return;
        }
        let act = match (again, self.upstream.by_step(id)) {
            (true, _) => Act::RunAgain,
            (false, 0) if self.upstream.may_land(id, self.world.now) => return,
            (false, 0) => Act::Absent,
            (false, _) => Act::Applied,
        };
        if again && !view.status().run_again {
            *self.upstream.allowed.entry(tag).or_insert(1) += 1;
            self.finished.remove(&tag);
        }
        self.world.input(Input::Person { step: id, act, who: "ops".into(), why: "looked".into() });
    }

    fn arrive(&mut self, which: usize, arrival: Arrival) {
        let arriving: Vec<CallId> = self.arriving.iter().copied().collect();
        let Some(call) = pick(&arriving, which) else { return };
        self.arriving.remove(&call);
        if arrival != Arrival::Lost && self.is_final(call) {
            self.finished.insert(self.tags[&call]);
        }
        self.world.input(Input::Arrived { call, arrival });
    }

    /// The agent is told how it ended; "no" leaves the wish open.
    fn is_final(&self, call: CallId) -> bool {
        match &self.world.replies[&call] {
            Reply::Result { .. } | Reply::Error { .. } => true,
            Reply::Stop(stop) => stop.executed == Executed::Yes,
        }
    }

    fn crash(&mut self) {
        self.upstream.sender_died(self.world.now);
        self.reads.clear();
        self.waiting.clear();
        self.arriving.clear();
        self.world.crash();
        self.reads_seen = 0;
    }

    /// Takes in what the engine did, and holds it against the ledger.
    fn look(&mut self) {
        self.upstream.take(&self.world);
        let new = self.world.reads[self.reads_seen..].to_vec();
        self.reads_seen = self.world.reads.len();
        self.reads.extend(new);
        while let Some((call, at)) = self.world.reply_order.get(self.judged).copied() {
            self.judged += 1;
            let tag = self.tags[&call];
            if self.waiting.remove(&call) {
                self.arriving.insert(call);
            }
            self.is_true(call, tag, at);
        }
        self.upstream.at_most_once();
        self.standings_are_true();
    }

    fn is_true(&self, call: CallId, tag: u8, at: Instant) {
        let count = self.upstream.count(tag);
        match &self.world.replies[&call] {
            Reply::Result { result, .. } => {
                assert!(count > 0 || *result == upstream::ERROR, "{call:?} was told done and it is not");
            }
            Reply::Error { .. } => {}
            Reply::Stop(stop) => match stop.executed {
                Executed::Yes => assert!(count > 0, "{call:?} was told {stop:?} and it is not so"),
                Executed::No => {
                    // What this very step was sent for has not happened and cannot happen any more.
                    assert_eq!(self.upstream.by_step(stop.step), 0, "{call:?} was told {stop:?}");
                    assert!(!self.upstream.may_land(stop.step, at), "{call:?} was told {stop:?} too early");
                }
                Executed::Unknown => assert_ne!(stop.code, Code::NotApplied),
            },
        }
    }

    /// Everything works again: every step closes or waits for a person, every caller that stayed has its answer.
    fn calm_down(&mut self) {
        self.world.full = false;
        self.world.held = false;
        self.world.slow_recall = false;
        self.world.commit();
        self.world.recall();
        for _ in 0..400 {
            self.look();
            while !self.reads.is_empty() {
                self.read(0, Look::Now);
                self.look();
            }
            self.world.pass(Duration::from_secs(15));
        }
        self.look();
        assert_eq!(self.waiting, BTreeSet::new(), "somebody was never answered");
        for row in self.world.rows.values() {
            assert!(matches!(row.status.state, State::Closed | State::NeedsHuman), "{:?}", row.status);
        }
        let held = self.world.engine.load();
        let humans = self.world.rows.values().filter(|row| row.status.state == State::NeedsHuman).count();
        assert_eq!((held.0, held.1, held.2), (humans, 0, humans), "what is settled has left memory");
    }
}

fn pick<T: Clone>(from: &[T], which: usize) -> Option<T> {
    (!from.is_empty()).then(|| from[which % from.len()].clone())
}

fn run(plan: &[Op], held: bool, slow: bool) -> String {
    played(plan, held, slow).world.trace
}

fn played(plan: &[Op], held: bool, slow: bool) -> Run {
    let mut run = Run::new(held, slow);
    for op in plan {
        run.apply(op);
    }
    run.calm_down();
    run
}

/// A plan that never takes anything back would hold all that is said about it.
#[test]
fn plans_reach_every_standing_that_a_single_change_can_have() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    for _ in 0..300 {
        let plan = plan(120).new_tree(&mut runner).expect("it makes plans").current();
        reached.extend(played(&plan, false, false).reached);
    }
    // The world of these plans never shows a half.
    let missing = RollbackStatus::ALL.iter().filter(|status| !reached.contains(status)).collect::<Vec<_>>();
    assert_eq!(missing, [&RollbackStatus::PartiallyReverted, &RollbackStatus::NotRevertible]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(400), max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    //= G1
    //= G2
    //= G3
    //= G6
    //= S-09
    //= S-04
    //= S-05
    //= S-23
    //= S-25
    #[test]
    fn at_most_one_effect_and_no_lie_whatever_happens(
        plan in plan(120),
        held in any::<bool>(),
        slow in any::<bool>(),
    ) {
        run(&plan, held, slow);
    }

    #[test]
    fn the_same_inputs_give_the_same_outputs(plan in plan(60), held in any::<bool>()) {
        prop_assert_eq!(run(&plan, held, false), run(&plan, held, false));
    }
}

/// Kept so that the shape of the rules that plans run under is what they say.
#[test]
fn two_thirds_of_the_tools_of_the_plans_can_be_read_back() {
    let readable = (0..TAGS).filter(|tag| ask(*tag).rules.probe.is_some()).count();
    assert_eq!(readable, usize::from(TAGS) * 2 / 3);
    assert!((0..TAGS).all(|tag| Arc::strong_count(&ask(tag).rules) == 1));
}

//= S-23
#[test]
fn what_ran_under_another_key_meanwhile_is_found_before_a_step_is_opened_again() {
    let ask = |named| Op::Ask { tag: 1, named, doubled: false, patience: 1 };
    let lost = [Op::Leave(0, false), Op::Commit];
    let end = [Op::Effect(0), Op::End(0, End::Done), Op::Read(0, Look::Now), Op::Leave(65, false), Op::Commit];
    let plan = [
        // Its time is up before it is sent.
        &[ask(true), Op::Pass(1000), Op::Commit, ask(false), ask(false), Op::Commit, ask(false)][..],
        &lost,
        &end,
        &[ask(true), ask(false), Op::Commit, Op::Effect(0)],
    ];
    run(&plan.concat(), true, false);
}

//= G3
#[test]
fn nobody_is_told_no_of_a_step_that_is_opened_again() {
    let ask = |named| Op::Ask { tag: 3, named, doubled: false, patience: 1 };
    run(&[ask(true), Op::Leave(0, false), Op::Commit, ask(true), ask(false)], true, false);
}

//= G3
#[test]
fn a_request_that_is_delivered_twice_does_not_join_a_step_that_ends_unsent() {
    let ask = |named, doubled| Op::Ask { tag: 1, named, doubled, patience: 1 };
    let plan = [
        ask(true, false),
        Op::Leave(0, false),
        Op::Commit,
        ask(false, true),
        ask(false, false),
        Op::Leave(43, false),
        ask(true, false),
    ];
    run(&plan, true, false);
}

#[test]
fn a_receipt_that_comes_after_the_evidence_keeps_nothing_in_memory() {
    let ask = Op::Ask { tag: 3, named: false, doubled: false, patience: 11 };
    let plan = [ask, Op::Recall, Op::Pass(11_000), Op::Effect(0), Op::Read(0, Look::Now), Op::End(0, End::Done)];
    run(&plan, false, false);
}
