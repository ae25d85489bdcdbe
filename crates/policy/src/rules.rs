//! The resolved rules of one tool: what the engine and the runtime go by.

use crate::defaults;
use crate::expr::{Expr, Scope, plain_text};
use crate::undo::UndoPlan;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use serde_json::Value;
use vocab::{Effect, EffectSource, Hash, Name};

/// What to do when a delivered, successful mutation is called again with equal content under a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    Allow,
    /// Run it and say so on the result.
    Notice,
    /// Refuse until a person confirms.
    Confirm,
    Deny,
}

/// Where the upstream's idempotency key goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlacement {
    /// A member of the arguments.
    Argument(Name),
    /// A member of `_meta`.
    Meta(Name),
    /// An HTTP header.
    Header(Name),
}

/// What a downstream disconnect does to a dispatched mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    /// Keep the upstream stream and journal the answer.
    Detach,
    Cancel,
}

/// Switches of an upstream that change what an answer proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRules {
    /// -32602 proves that nothing ran (default no: the official TypeScript server runs the handler first).
    pub invalid_params_refused: bool,
    /// 429 proves that nothing ran (default yes).
    pub rate_limit_refused: bool,
    /// 503 proves that nothing ran: the upstream sheds before it works (default no).
    pub sheds_first: bool,
    /// Lower-case fragments that turn a mutation's `isError` into `unknown` (a second hop may have run).
    pub ambiguous_errors: Vec<String>,
}

impl Default for EvidenceRules {
    fn default() -> Self {
        Self {
            invalid_params_refused: false,
            rate_limit_refused: true,
            sheds_first: false,
            ambiguous_errors: defaults::AMBIGUOUS_ERRORS.iter().map(|&text| String::from(text)).collect(),
        }
    }
}

/// Which arguments make two calls the same content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    #[default]
    All,
    /// Paths of members, such as `order` then `id`.
    Paths(Vec<Vec<Name>>),
}

/// How much a probe's answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Read of the domain, compared with the pre-image: another writer could explain it.
    Inferred,
    /// Query by our key or a client-made id.
    Exact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    Strong,
    Eventual,
}

/// What a read of the world says about an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The world shows the intent.
    Applied,
    /// The world does not show it, and shows what was there before.
    Absent,
    /// The world shows neither.
    Different,
    /// The read or the expression gave no clear answer.
    Inconclusive(String),
}

/// One declared read: serves as read-back after a receipt and as probe of an `unknown`.
#[derive(Debug)]
pub struct ReadPlan {
    /// Upstream of the read tool; usually the writer's own.
    pub upstream: Name,
    pub read: Name,
    /// It can be asked without the write's own result, so it can serve as a probe.
    pub can_probe: bool,
    /// It compares with what was there before, so the pre-image is read before dispatch.
    pub needs_preimage: bool,
    pub strength: Strength,
    pub consistency: Consistency,
    /// How long an eventually consistent read may take to show the write.
    pub within: Duration,
    pub(crate) args: Expr,
    pub(crate) expect: Expr,
    pub(crate) absent: Option<Expr>,
}

impl ReadPlan {
    pub fn args_source(&self) -> &str {
        self.args.source()
    }

    pub fn expect_source(&self) -> &str {
        self.expect.source()
    }

    pub fn absent_source(&self) -> Option<&str> {
        self.absent.as_ref().map(Expr::source)
    }

    /// The same read without its comparisons: can the pre-image be asked for before the call?
    pub fn preimage_args(&self, args: &Value) -> Option<Result<Value, String>> {
        self.needs_preimage.then(|| self.args(&Scope::of_args(args)))
    }
}

/// Everything policy says about one tool.
#[derive(Debug)]
pub struct ToolRules {
    pub upstream: Name,
    pub tool: Name,
    pub effect: Effect,
    pub effect_source: EffectSource,
    pub repeat: Repeat,
    pub key: Option<KeyPlacement>,
    /// Window W inside which the upstream honours its key.
    pub key_window: Duration,
    pub evidence: EvidenceRules,
    pub readback: Option<Arc<ReadPlan>>,
    /// Same as the read-back unless declared apart; `None` when nothing can be asked without a receipt.
    pub probe: Option<Arc<ReadPlan>>,
    /// How a call is taken back; `None`: nobody declared it.
    pub undo: Option<Arc<UndoPlan>>,
    /// Longest that the upstream works on a request it has received.
    pub quiescence: Duration,
    /// The upstream is a local child process that has nothing in flight elsewhere: once its process group is dead,
    /// `quiescence` is zero.
    pub local: bool,
    /// Two reads that agree on *absent* must lie this far apart, unless the read is declared strong.
    pub absent_spacing: Duration,
    pub redispatch_on_absent: bool,
    pub on_disconnect: OnDisconnect,
    /// One attempt of a read or an idempotent step.
    pub attempt_timeout: Duration,
    /// All attempts together; for other mutations also the one attempt.
    pub step_timeout: Duration,
    /// How long a detached stream is drained.
    pub detached_max: Duration,
    /// How long the first caller waits for the probe after a lost reply.
    pub probe_wait: Duration,
    /// How long probes go on before a person is asked.
    pub probe_budget: Duration,
    /// First and longest pause between probes.
    pub probe_interval: (Duration, Duration),
    /// Within which equal content is looked at.
    pub reissue_window: Duration,
    /// Names what the call acts on; without it the lane is the whole upstream.
    pub target: Option<Expr>,
    pub identity: Identity,
    /// The argument in which the client sends its own idempotency key.
    pub idempotency_argument: Option<Name>,
    pub policy: Hash,
}

impl ToolRules {
    /// Rules with nothing declared but the effect: every default of the design.
    pub fn new(upstream: Name, tool: Name, effect: Effect, effect_source: EffectSource) -> Self {
        Self {
            upstream,
            tool,
            effect,
            effect_source,
            repeat: Repeat::by_default(effect, effect_source),
            key: None,
            key_window: defaults::KEY_WINDOW,
            evidence: EvidenceRules::default(),
            readback: None,
            probe: None,
            undo: None,
            quiescence: defaults::QUIESCENCE,
            local: false,
            absent_spacing: defaults::ABSENT_SPACING,
            redispatch_on_absent: false,
            on_disconnect: OnDisconnect::Detach,
            attempt_timeout: defaults::ATTEMPT,
            step_timeout: defaults::STEP,
            detached_max: defaults::DETACHED_MAX,
            probe_wait: defaults::PROBE_WAIT,
            probe_budget: defaults::PROBE_BUDGET,
            probe_interval: defaults::PROBE_INTERVAL,
            reissue_window: defaults::REISSUE_WINDOW,
            target: None,
            identity: Identity::All,
            idempotency_argument: None,
            policy: Hash::default(),
        }
    }

    /// The lane of a call: `None` when none is declared, or when the expression names none for these arguments (then
    /// the whole upstream is the lane, which is the careful reading).
    pub fn lane(&self, args: &Value) -> Option<Name> {
        let value = self.target.as_ref()?.value(&Scope::of_args(args)).ok()?;
        plain_text(&value).filter(|text| text.len() <= defaults::LANE_MAX).map(Name::from)
    }

    /// The idempotency key that the client put into the argument which policy names.
    pub fn client_key<'a>(&self, args: &'a Value) -> Option<&'a str> {
        args.get(&**self.idempotency_argument.as_ref()?)?.as_str()
    }
}

impl Repeat {
    pub(crate) const fn by_default(effect: Effect, source: EffectSource) -> Self {
        match effect {
            Effect::Read => Self::Allow,
            // Only where somebody said so: a guess must not stop a healthy agent.
            Effect::Destructive if source.is_declared() => Self::Confirm,
            _ => Self::Notice,
        }
    }
}
