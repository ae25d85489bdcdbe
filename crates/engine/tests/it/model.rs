//! The engine beside a small model of the same: what a key's calls are told, and how often its intent is sent, said a
//! second time and in another way. Commands at random, shrunk to the few that matter.

use crate::ask::{Ask, rules, step};
use crate::world::{Sent, World};
use engine::{Act, Answer, AnswerKind, AttemptEnd, Input};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use proptest::test_runner::RngSeed;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use std::collections::BTreeMap;
use std::time::Duration;
use vocab::{Bytes, Effect, Failure, FailureKind};

const KEYS: u8 = 3;
const UNKNOWN: &str = "outcome_unknown unknown";

#[derive(Clone, Debug)]
enum Command {
    /// A call under a key, with one of two sets of arguments.
    Ask {
        key: u8,
        other: bool,
    },
    /// The attempt that is out under a key ends.
    End(u8, End),
    /// A person records something about the last step of a key.
    Person(u8, Act),
    Crash,
    Pass(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    ToolError,
    /// The upstream refuses it, which proves that nothing ran.
    Forbidden,
    /// Cut off after it was sent.
    Lost,
}

/// What is known of a key.
#[derive(Clone, Debug)]
struct Known {
    /// The call that began its last step.
    step: u64,
    other: bool,
    state: Is,
    /// A person allowed it once more.
    again: bool,
    /// What a call is told of the steps before, where one of them may have had the effect.
    earlier: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum Is {
    Out { waiting: Vec<u64> },
    Answered,
    NotRun,
    Unknown,
    Recorded(&'static str),
}

#[derive(Clone, Debug, Default)]
struct Model {
    keys: BTreeMap<u8, Known>,
    calls: u64,
    sends: usize,
    /// By call, as [`World::told`] says it.
    told: BTreeMap<u64, &'static str>,
}

impl Model {
    fn ask(&mut self, key: u8, other: bool) {
        self.calls += 1;
        let call = self.calls;
        let told = match self.keys.get_mut(&key) {
            Some(known) if known.other != other => Some("idempotency_conflict no"),
            Some(Known { state: Is::Out { waiting }, .. }) => {
                waiting.push(call);
                None
            }
            Some(known) if !known.again => match known.state {
                Is::Answered => Some("replayed"),
                Is::Unknown => Some(UNKNOWN),
                Is::Recorded(told) => Some(told),
                // That this one did not run says nothing about one before it.
                Is::NotRun if known.earlier.is_some() => known.earlier,
                Is::NotRun | Is::Out { .. } => return self.begin(key, other, call),
            },
            Some(_) | None => return self.begin(key, other, call),
        };
        if let Some(told) = told {
            self.told.insert(call, told);
        }
    }

    fn begin(&mut self, key: u8, other: bool, call: u64) {
        self.sends += 1;
        // A step that is known not to have run is opened again; where a person allowed it once more, another one is made.
        let before = self.keys.get(&key);
        let step = before.filter(|known| !known.again).map_or(call, |known| known.step);
        let earlier = before.and_then(|known| match known.state {
            // Nobody has found out about that one, and nobody will here: it comes before what is known.
            _ if known.earlier == Some(UNKNOWN) => known.earlier,
            Is::Answered => Some("replayed"),
            Is::Unknown => Some(UNKNOWN),
            Is::Recorded(told) if told != "not_applied no" => Some(told),
            Is::Recorded(_) | Is::NotRun | Is::Out { .. } => known.earlier,
        });
        let state = Is::Out { waiting: vec![call] };
        self.keys.insert(key, Known { step, other, state, again: false, earlier });
    }

    fn end(&mut self, key: u8, end: End) {
        let Some(known) = self.keys.get_mut(&key) else { return };
        let Is::Out { waiting } = &known.state else { return };
        let waiting = waiting.clone();
        let (state, first, others) = match end {
            End::Done | End::ToolError => (Is::Answered, "result", "replayed"),
            End::Forbidden => (Is::NotRun, "upstream_unavailable no", "upstream_unavailable no"),
            End::Lost => (Is::Unknown, UNKNOWN, UNKNOWN),
        };
        known.state = state;
        for (at, call) in waiting.into_iter().enumerate() {
            self.told.insert(call, if at == 0 { first } else { others });
        }
    }

    fn person(&mut self, key: u8, act: Act) {
        let Some(known) = self.keys.get_mut(&key) else { return };
        match (act, &known.state) {
            (Act::RunAgain, Is::Out { .. }) => {}
            (Act::RunAgain, _) => known.again = true,
            // A receipt says more than a person, and so does what was recorded before.
            (_, Is::Unknown) => {
                known.state = Is::Recorded(match act {
                    Act::Applied => "applied_no_receipt yes",
                    Act::Absent => "not_applied no",
                    Act::Diverged | Act::RunAgain => UNKNOWN,
                });
            }
            _ => {}
        }
    }

    /// Who waits hears nothing any more; what was out may have happened.
    fn crash(&mut self) {
        for known in self.keys.values_mut() {
            if matches!(known.state, Is::Out { .. }) {
                known.state = Is::Unknown;
            }
        }
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Command;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Command> {
        use proptest::sample::select;
        let acts = vec![Act::Applied, Act::Absent, Act::RunAgain];
        let ends = vec![End::Done, End::ToolError, End::Forbidden, End::Lost, End::Lost];
        prop_oneof![
            8 => (0..KEYS, prop::bool::weighted(0.15)).prop_map(|(key, other)| Command::Ask { key, other }),
            5 => (0..KEYS, select(ends)).prop_map(|(key, end)| Command::End(key, end)),
            2 => (0..KEYS, select(acts)).prop_map(|(key, act)| Command::Person(key, act)),
            1 => Just(Command::Crash),
            1 => (1..200_u16).prop_map(Command::Pass),
        ]
        .boxed()
    }

    fn apply(mut state: Self, command: &Command) -> Self {
        match command {
            Command::Ask { key, other } => state.ask(*key, *other),
            Command::End(key, end) => state.end(*key, *end),
            Command::Person(key, act) => state.person(*key, *act),
            Command::Crash => state.crash(),
            Command::Pass(_) => {}
        }
        state
    }
}

/// The engine in its world, and what is out under each key.
struct Real {
    world: World,
    out: BTreeMap<u8, Sent>,
    /// The call that began the last step of a key.
    steps: BTreeMap<u8, u64>,
}

/// Nobody runs out of time here, and nothing is tried a second time: there is nothing to read it back with.
fn asked(key: u8, other: bool) -> Ask {
    const LONG: Duration = Duration::from_secs(1_000_000);
    let mut rules = rules(Effect::Write);
    (rules.attempt_timeout, rules.step_timeout, rules.detached_max) = (LONG, LONG, LONG);
    rules.reissue_window = LONG;
    let order = u32::from(key) * 2 + u32::from(other);
    let mut ask = Ask::of(rules).key(&format!("key {key}")).args(&format!(r#"{{"order":{order}}}"#));
    ask.patience = LONG;
    // An unknown holds back what comes after it on its lane, and is not what this is about.
    ask.lane(["a", "b", "c"][usize::from(key)])
}

impl Real {
    fn ask(&mut self, key: u8, other: bool) {
        let sent = self.world.sends.len();
        let call = self.world.ask(&asked(key, other));
        if self.world.sends.len() > sent {
            let last = self.world.last_send();
            if last.step == step(call) {
                self.steps.insert(key, call);
            }
            self.out.insert(key, last);
        }
    }

    fn end(&mut self, key: u8, end: End) {
        let Some(Sent { step, attempt, .. }) = self.out.remove(&key) else { return };
        let answered = |kind| AttemptEnd::Answered(Answer { result: Bytes::from_static(b"{\"content\":[]}"), kind });
        let end = match end {
            End::Done => answered(AnswerKind::Done),
            End::ToolError => answered(AnswerKind::ToolError("no such order".into())),
            End::Forbidden => AttemptEnd::Failed(Failure::new(FailureKind::Status(403), "pretended")),
            End::Lost => AttemptEnd::Failed(Failure::new(FailureKind::Eof, "pretended")),
        };
        self.world.input(Input::AttemptEnded { step, attempt, end: Box::new(end) });
    }

    fn person(&mut self, key: u8, act: Act) {
        let Some(number) = self.steps.get(&key).copied() else { return };
        if !self.world.row(number).status.state.is_open() {
            self.world.remember(number);
        }
        self.world.person(number, act);
    }
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(_: &Model) -> Self {
        Self { world: World::new(), out: BTreeMap::new(), steps: BTreeMap::new() }
    }

    fn apply(mut real: Self, _: &Model, command: Command) -> Self {
        match command {
            Command::Ask { key, other } => real.ask(key, other),
            Command::End(key, end) => real.end(key, end),
            Command::Person(key, act) => real.person(key, act),
            Command::Crash => {
                real.out.clear();
                real.world.crash();
            }
            Command::Pass(seconds) => real.world.seconds(seconds.into()),
        }
        real
    }

    fn check_invariants(real: &Self, model: &Model) {
        assert_eq!(real.world.sends.len(), model.sends, "how often anything was sent");
        for call in 1..=model.calls {
            let told = model.told.get(&call).copied().unwrap_or("nothing yet");
            assert_eq!(real.world.told(call), told, "call {call}");
        }
    }
}

prop_state_machine! {
    // The same commands in each run; `PROPTEST_CASES` and another seed look further.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(2_000),
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    //= S-09
    //= G1
    //= G5
    #[test]
    fn the_engine_tells_and_sends_what_the_model_says(sequential 1..40 => Real);
}
