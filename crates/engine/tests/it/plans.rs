//! Random plans against a ledger of real effects: whatever is lost, late, doubled or killed, an intent has at most one
//! effect, and nobody is told what is not so.

mod upstream;

use crate::ask::{Ask, exact, rules, step};
use crate::world::World;
use engine::{Arrival, Input, Left, ReadEnd, Reply};
use policy::{Judgement, ToolRules};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use upstream::{End, Upstream};
use vocab::{CallId, Code, Effect, Executed, State};

/// One thing that happens. Numbers choose among what is there at the time.
#[derive(Clone, Debug)]
enum Op {
    /// The agent wants this, by its own key or under a new one.
    Ask {
        tag: u8,
        named: bool,
        patience: u8,
    },
    /// An attempt that is out takes effect, without a word.
    Effect(u8),
    End(u8, End),
    /// A read of the world is answered: truly, or not at all.
    Read(u8, bool),
    Leave(u8, bool),
    Arrive(u8, Arrival),
    Pass(u16),
    Commit,
    Recall,
    Full(bool),
    Hurry(u8),
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
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
        10 => (0..TAGS, any::<bool>(), 1..90_u8).prop_map(|(tag, named, patience)| Op::Ask { tag, named, patience }),
        5 => any::<u8>().prop_map(Op::Effect),
        10 => (any::<u8>(), select(ends)).prop_map(|(which, end)| Op::End(which, end)),
        8 => (any::<u8>(), prop::bool::weighted(0.8)).prop_map(|(which, truly)| Op::Read(which, truly)),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(which, cancels)| Op::Leave(which, cancels)),
        5 => (any::<u8>(), select(vec![Arrival::Flushed, Arrival::Seen, Arrival::Lost]))
            .prop_map(|(which, arrival)| Op::Arrive(which, arrival)),
        8 => prop_oneof![0..3_000_u16, 1_000..40_000_u16].prop_map(Op::Pass),
        8 => Just(Op::Commit),
        4 => Just(Op::Recall),
        1 => any::<bool>().prop_map(Op::Full),
        2 => any::<u8>().prop_map(Op::Hurry),
        2 => Just(Op::Crash),
    ]
}

const TAGS: u8 = 8;

/// Half of the tools can be read back; a quarter has a lane.
fn ask(tag: u8) -> Ask {
    let effect = [Effect::Write, Effect::Destructive, Effect::Keyed, Effect::Idempotent][usize::from(tag % 4)];
    let mut rules: ToolRules = if tag < 4 { exact(effect) } else { rules(effect) };
    rules.quiescence = upstream::QUIESCENCE;
    rules.reissue_window = Duration::from_secs(1_000_000);
    let mut ask = Ask::of(rules).args(&format!(r#"{{"tag":{tag}}}"#)).run(tag % 3);
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
    reads: Vec<(vocab::StepId, u32)>,
    reads_seen: usize,
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
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Ask { tag, named, patience } => self.ask(*tag, *named, *patience),
            Op::Effect(which) => self.upstream.effect(usize::from(*which), self.world.now),
            Op::End(which, end) => {
                if let Some((step, attempt, end)) = self.upstream.end(usize::from(*which), *end, self.world.now) {
                    self.world.input(Input::AttemptEnded { step, attempt, end: Box::new(end) });
                }
            }
            Op::Read(which, truly) => self.read(usize::from(*which), *truly),
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
            Op::Crash => self.crash(),
        }
        self.look();
    }

    fn ask(&mut self, tag: u8, named: bool, patience: u8) {
        if self.finished.contains(&tag) {
            return;
        }
        let mut ask = self.asks[usize::from(tag)].clone().patience(u64::from(patience));
        if named {
            ask = ask.key(&format!("key {tag}"));
        }
        let number = self.world.ask(&ask);
        self.tags.insert(CallId(number), tag);
        self.waiting.insert(CallId(number));
        self.upstream.tags.insert(step(number), tag);
    }

    fn read(&mut self, which: usize, truly: bool) {
        let Some((id, read)) = pick(&self.reads, which) else { return };
        self.reads.retain(|one| *one != (id, read));
        let tag = self.upstream.tags[&id];
        let end = match (truly, self.upstream.count(tag)) {
            (false, _) => ReadEnd::Failed("no route".into()),
            (true, 0) => ReadEnd::Judged(Judgement::Absent),
            (true, _) => ReadEnd::Judged(Judgement::Applied),
        };
        self.world.input(Input::ReadEnded { step: id, read, end });
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
        self.reads.extend(new.into_iter().map(|(step, read, _)| (step, read)));
        while let Some(call) = self.world.reply_order.get(self.judged).copied() {
            self.judged += 1;
            let tag = self.tags[&call];
            if self.waiting.remove(&call) {
                self.arriving.insert(call);
            }
            self.is_true(call, tag);
        }
        self.upstream.at_most_once();
    }

    fn is_true(&self, call: CallId, tag: u8) {
        let count = self.upstream.count(tag);
        match &self.world.replies[&call] {
            Reply::Result { result, .. } => {
                assert!(count > 0 || result == upstream::ERROR, "{call:?} was told done and it is not");
            }
            Reply::Error { .. } => {}
            Reply::Stop(stop) => match stop.executed {
                Executed::Yes => assert!(count > 0, "{call:?} was told {stop:?} and it is not so"),
                Executed::No => {
                    // What this very step was sent for has not happened and cannot happen any more.
                    assert_eq!(self.upstream.by_step(stop.step), 0, "{call:?} was told {stop:?}");
                    assert!(!self.upstream.may_land(stop.step, self.world.now), "{call:?} was told {stop:?} too early");
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
                self.read(0, true);
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
    let mut run = Run::new(held, slow);
    for op in plan {
        run.apply(op);
    }
    run.calm_down();
    run.world.trace
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    //= G1
    //= G2
    //= G3
    //= G6
    //= S-09
    //= S-23
    //= S-25
    #[test]
    fn at_most_one_effect_and_no_lie_whatever_happens(
        plan in prop::collection::vec(op(), 1..120),
        held in any::<bool>(),
        slow in any::<bool>(),
    ) {
        run(&plan, held, slow);
    }

    #[test]
    fn the_same_inputs_give_the_same_outputs(plan in prop::collection::vec(op(), 1..60), held in any::<bool>()) {
        prop_assert_eq!(run(&plan, held, false), run(&plan, held, false));
    }
}

/// Kept so that the shape of the rules that plans run under is what they say.
#[test]
fn half_of_the_tools_of_the_plans_can_be_read_back() {
    let readable = (0..TAGS).filter(|tag| ask(*tag).rules.probe.is_some()).count();
    assert_eq!(readable, usize::from(TAGS) / 2);
    assert!((0..TAGS).all(|tag| Arc::strong_count(&ask(tag).rules) == 1));
}
