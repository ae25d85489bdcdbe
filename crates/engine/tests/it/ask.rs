//! Calls in a few words: every test changes only what it is about.

use engine::{Call, Continues};
use policy::{Consistency, Policy, ReadPlan, Strength, ToolFacts, ToolRules};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use vocab::{Bytes, CallId, Effect, EffectSource, Hash, Instant, KeySource, Name, RunId, StepId};

/// What an agent asks for.
#[derive(Clone)]
pub struct Ask {
    pub rules: Arc<ToolRules>,
    pub key: Option<(KeySource, String)>,
    pub args: String,
    /// What stands for the identity arguments; by default all of them.
    pub identity: Option<String>,
    pub run: u8,
    pub lane: Option<&'static str>,
    pub patience: Duration,
    pub structured: bool,
    pub wire: Option<u8>,
    pub finding: Option<&'static str>,
    pub continues: Continues,
}

impl Ask {
    pub fn of(rules: ToolRules) -> Self {
        Self {
            rules: Arc::new(rules),
            key: None,
            args: r#"{"order":1}"#.into(),
            identity: None,
            run: 1,
            lane: None,
            patience: Duration::from_secs(60),
            structured: false,
            wire: None,
            finding: None,
            continues: Continues::Nothing,
        }
    }

    pub fn read() -> Self {
        Self::of(rules(Effect::Read))
    }

    pub fn write() -> Self {
        Self::of(rules(Effect::Write))
    }

    pub fn effect(effect: Effect) -> Self {
        Self::of(rules(effect))
    }

    pub fn key(mut self, key: &str) -> Self {
        self.key = Some((KeySource::Explicit, key.into()));
        self
    }

    pub fn model_call(mut self, id: &str) -> Self {
        self.key = Some((KeySource::ModelCall, id.into()));
        self
    }

    pub fn args(mut self, args: &str) -> Self {
        self.args = args.into();
        self
    }

    pub fn lane(mut self, lane: &'static str) -> Self {
        self.lane = Some(lane);
        self
    }

    pub fn run(mut self, run: u8) -> Self {
        self.run = run;
        self
    }

    /// Brings the input that a step asked for.
    pub fn continues(mut self, asked: u64) -> Self {
        self.continues = Continues::Step(step(asked));
        self
    }

    pub fn patience(mut self, seconds: u64) -> Self {
        self.patience = Duration::from_secs(seconds);
        self
    }

    pub fn call(&self, number: u64, now: Instant) -> Call {
        let step = step(number);
        let fresh = format!("fresh {number}");
        let (source, id) = match &self.key {
            Some((source, id)) => (*source, id.as_str()),
            None => (KeySource::Fresh, fresh.as_str()),
        };
        let key = hash(&format!("{source:?} {id}"));
        let content = hash(self.identity.as_deref().unwrap_or(&self.args));
        Call {
            call: CallId(number),
            step,
            key,
            key_source: source,
            fingerprint: hash(&format!("fp {}", self.args)),
            content,
            scope: Hash([self.run; 32]),
            wire: self.wire.map(|wire| Hash([wire; 32])),
            tenant: Name::from("default"),
            principal: Name::from("agent"),
            run: RunId([self.run; 16]),
            lane: self.lane.map(Name::from),
            args: Bytes::from(self.args.clone()),
            upstream_key: (self.rules.effect == Effect::Keyed).then(|| checks::identity::upstream_key(&key, 0)),
            rules: self.rules.clone(),
            finding: self.finding.map(String::from),
            undoes: None,
            continues: self.continues,
            deadline: now + self.patience,
            structured: self.structured,
        }
    }
}

pub fn step(number: u64) -> StepId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    StepId(id)
}

fn hash(text: &str) -> Hash {
    checks::identity::hash(&[text.as_bytes()])
}

/// Nothing declared but the effect.
pub fn rules(effect: Effect) -> ToolRules {
    ToolRules::new(Name::from("shop"), Name::from("act"), effect, EffectSource::Policy)
}

/// Rules with one declared read that serves as read-back and probe. Quiescence is short, so that tests are.
pub fn checked(effect: Effect, strength: Strength, consistency: Consistency) -> ToolRules {
    // The policy file is the only maker of read plans; each kind is read once.
    static PLANS: [[OnceLock<Arc<ReadPlan>>; 2]; 2] =
        [[OnceLock::new(), OnceLock::new()], [OnceLock::new(), OnceLock::new()]];
    let (is_exact, is_strong) = (strength == Strength::Exact, consistency == Consistency::Strong);
    let plan = PLANS[usize::from(is_exact)][usize::from(is_strong)].get_or_init(|| plan(is_exact, is_strong));
    let mut rules = rules(effect);
    rules.readback = Some(plan.clone());
    rules.probe = Some(plan.clone());
    rules.quiescence = Duration::from_secs(10);
    rules
}

fn plan(is_exact: bool, is_strong: bool) -> Arc<ReadPlan> {
    let strength = if is_exact { "exact" } else { "inferred" };
    let consistency = if is_strong { "strong" } else { "eventual" };
    let text = format!(
        "upstreams:\n  shop: {{ mcp: {{ url: \"http://127.0.0.1:1/\" }} }}\ntools:\n  - match: shop.act\n    effect: write\n    \
         readback: {{ read: get, expect: 'read.done == true', strength: {strength}, consistency: {consistency} }}\n"
    );
    let policy = Policy::parse(&text, "test.yaml", &|_| None).expect("the policy of the tests is right");
    let rules = policy.rules("shop", &ToolFacts::named("act"));
    rules.worst().readback.clone().expect("the policy has a read-back")
}

pub fn exact(effect: Effect) -> ToolRules {
    checked(effect, Strength::Exact, Consistency::Strong)
}
