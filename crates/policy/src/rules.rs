//! The resolved rules of one tool: what the engine and the runtime go by.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
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
    // The compiled expressions are added by the module that compiles them.
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
    pub policy: Hash,
}
