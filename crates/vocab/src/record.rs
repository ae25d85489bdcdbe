use crate::{
    Cause, Code, Delivered, Effect, EffectSource, Epoch, EvidenceClass, Hash, Instant, KeySource, Name, Outcome, RunId,
    State, StepId, Verification,
};
use alloc::string::String;
use alloc::sync::Arc;
use bytes::Bytes;

/// What a step says it will do: written once, durable before the first byte is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepIntent {
    pub step: StepId,
    /// H(tenant, principal, upstream, tool, source, id): one key, one step, over retries, restarts and replicas.
    pub key: Hash,
    /// Raised only by a recorded human act (`force_new`).
    pub generation: u32,
    pub key_source: KeySource,
    /// Of the canonical arguments.
    pub fingerprint: Hash,
    /// Of tool and identity arguments: equal content under another key is at most a suspect duplicate.
    pub content: Hash,
    /// Within which an undelivered or unknown earlier step may be adopted: principal and run, or principal and client
    /// where the run is only guessed.
    pub scope: Hash,
    pub tenant: Name,
    pub principal: Name,
    pub run: RunId,
    pub upstream: Name,
    pub tool: Name,
    pub effect: Effect,
    pub effect_source: EffectSource,
    pub policy: Hash,
    /// Ordering key of the target; `None` is undeclared.
    pub lane: Option<Name>,
    /// The arguments, byte for byte as received.
    pub args: Bytes,
    /// The idempotency key sent upstream, where policy places one.
    pub upstream_key: Option<Name>,
    /// What the world showed before (`None`: not read).
    pub preimage: Option<Bytes>,
    /// How it is to be undone, as the policy said when it began; of a compensation, what it undoes (`policy::undo`).
    pub undo: Option<Bytes>,
    pub created_at: Instant,
}

/// What may change about a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepStatus {
    pub state: State,
    /// Attempts that may have reached the upstream, and those that certainly did not.
    pub attempt: u32,
    pub outcome: Option<Outcome>,
    pub cause: Option<Cause>,
    pub verification: Verification,
    /// The last thing told to a caller that was not the upstream's own answer.
    pub told: Option<Code>,
    pub delivered: Delivered,
    /// A person allowed one more execution (`force_new`); the next call of equal key or content uses it up.
    pub run_again: bool,
    /// The upstream's task id, once it gave one.
    pub remote_task: Option<Name>,
    pub first_sent_at: Option<Instant>,
    /// Last moment at which a byte of it may have been sent.
    pub last_sent_at: Option<Instant>,
    pub closed_at: Option<Instant>,
    /// Next probe, while resolving.
    pub next_action_at: Option<Instant>,
}

impl StepStatus {
    pub const fn new(state: State) -> Self {
        Self {
            state,
            attempt: 0,
            outcome: None,
            cause: None,
            verification: Verification::None,
            told: None,
            delivered: Delivered::No,
            run_again: false,
            remote_task: None,
            first_sent_at: None,
            last_sent_at: None,
            closed_at: None,
            next_action_at: None,
        }
    }
}

/// A step as the journal knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRow {
    pub intent: Arc<StepIntent>,
    pub status: StepStatus,
    pub epoch: Epoch,
    /// The answer's bytes as released; `None` when there is none, when it was withheld, or when its body expired.
    pub result: Option<Bytes>,
    /// The body is gone: what is left is a tombstone, and nothing may run under its key.
    pub expired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// The step exists and nothing was sent.
    Intent = 1,
    /// From here on an attempt may reach the upstream.
    Dispatched = 2,
    Receipt = 3,
    /// An attempt ended without a receipt.
    AttemptFailed = 4,
    /// A read of the world and what it showed.
    Probe = 5,
    Readback = 6,
    Closed = 7,
    Unknown = 8,
    NeedsHuman = 9,
    /// A caller was answered.
    Released = 10,
    Replayed = 11,
    Adopted = 12,
    Conflict = 13,
    Refused = 14,
    /// Later evidence contradicts what was told.
    Contradicted = 15,
    /// A person recorded something.
    Person = 16,
    /// Found open at start.
    Recovered = 17,
    /// The caller left, or cancelled.
    CallerLeft = 18,
    Task = 19,
    /// What became of an attempt to undo it.
    Compensation = 20,
}

impl EventKind {
    pub const ALL: [Self; 20] = [
        Self::Intent,
        Self::Dispatched,
        Self::Receipt,
        Self::AttemptFailed,
        Self::Probe,
        Self::Readback,
        Self::Closed,
        Self::Unknown,
        Self::NeedsHuman,
        Self::Released,
        Self::Replayed,
        Self::Adopted,
        Self::Conflict,
        Self::Refused,
        Self::Contradicted,
        Self::Person,
        Self::Recovered,
        Self::CallerLeft,
        Self::Task,
        Self::Compensation,
    ];

    pub const fn number(self) -> u8 {
        self as u8
    }

    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Dispatched => "dispatched",
            Self::Receipt => "receipt",
            Self::AttemptFailed => "attempt_failed",
            Self::Probe => "probe",
            Self::Readback => "readback",
            Self::Closed => "closed",
            Self::Unknown => "unknown",
            Self::NeedsHuman => "needs_human",
            Self::Released => "released",
            Self::Replayed => "replayed",
            Self::Adopted => "adopted",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Contradicted => "evidence_contradicted",
            Self::Person => "person",
            Self::Recovered => "recovered",
            Self::CallerLeft => "caller_left",
            Self::Task => "task",
            Self::Compensation => "compensation",
        }
    }
}

/// One entry of the append-only evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub step: StepId,
    pub at: Instant,
    pub kind: EventKind,
    pub attempt: u32,
    pub class: Option<EvidenceClass>,
    /// For people; redacted and short (at most 512 bytes).
    pub detail: String,
}

/// A finished read: kept for `show`, without its bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadNote {
    pub step: StepId,
    pub run: RunId,
    pub principal: Name,
    pub upstream: Name,
    pub tool: Name,
    pub at: Instant,
    pub took_micros: u32,
    pub attempts: u16,
    pub outcome: Outcome,
    pub cause: Cause,
}

/// Whose state a [`GuardRow`] is. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum GuardKind {
    /// An operator's freeze or kill, by its id.
    Order = 1,
    /// What the guards of a run remember, by the run's id.
    Run = 2,
    /// What the guards of an upstream remember, by its name.
    Upstream = 3,
}

impl GuardKind {
    pub const ALL: [Self; 3] = [Self::Order, Self::Run, Self::Upstream];

    pub const fn number(self) -> u8 {
        self as u8
    }

    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// What a guard has to remember over a restart. Its form is the guard's own; the journal keeps the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardRow {
    pub kind: GuardKind,
    /// At most 256 bytes.
    pub key: Bytes,
    /// Empty: nothing is to be remembered any more.
    pub body: Bytes,
    pub at: Instant,
}

/// What the engine asks the journal to write. The records of one append become durable together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A new step. A row with the same key and generation is a conflict: somebody else has claimed it.
    Insert {
        intent: Arc<StepIntent>,
        status: StepStatus,
        epoch: Epoch,
    },
    /// Replaces the status of a step, if the row still has `epoch`; `result: None` keeps the stored body.
    Update {
        step: StepId,
        epoch: Epoch,
        status: StepStatus,
        result: Option<Bytes>,
    },
    Event(Event),
    Read(ReadNote),
    /// Replaces what was remembered under the kind and key. An empty body removes it.
    Guard(GuardRow),
}
