//! What the engine wants done, as data.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use vocab::{Bytes, CallId, Code, Executed, Hash, Instant, Name, Record, StepId, Verification};

#[derive(Debug)]
pub enum Output {
    /// Look up what the journal knows of a key and of equal content, and answer with `Recalled`.
    Recall {
        call: CallId,
        key: Hash,
        content: Option<(Hash, Hash, Instant)>,
    },
    /// Write in this order; with a ticket, tell when durable.
    Append {
        records: Vec<Record>,
        ticket: Option<u64>,
    },
    /// Send an attempt through the link of `through`.
    Send {
        step: StepId,
        attempt: u32,
        through: CallId,
        upstream_key: Option<Name>,
    },
    /// Forward a cancel once; the attempt still tells how it ended.
    Cancel {
        step: StepId,
    },
    /// Give the attempt up: close its stream.
    Abandon {
        step: StepId,
    },
    /// Read the world.
    Read {
        step: StepId,
        read: u32,
        purpose: Purpose,
    },
    Reply {
        call: CallId,
        reply: Reply,
    },
    /// A caller waits: where its step is.
    Progress {
        call: CallId,
        phase: Phase,
    },
    Report(Report),
    /// Nothing more to do before `wake_at`.
    Idle {
        wake_at: Option<Instant>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// What was there before.
    Preimage,
    Readback,
    Probe,
    /// Does what the change wrote still stand? Before it is taken back.
    Stands,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Sent,
    Retrying { attempt: u32 },
    Probing { probes: u32 },
    Attached,
    ReadingBack,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Result {
        step: StepId,
        result: Bytes,
        verification: Verification,
        replayed: bool,
        notice: Option<String>,
    },
    /// The upstream's own JSON-RPC error.
    Error {
        step: StepId,
        error: Bytes,
    },
    Stop(Stop),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub code: Code,
    pub executed: Executed,
    pub step: StepId,
    pub earlier: Option<StepId>,
    pub why: String,
    pub verification: Verification,
    pub retry_after: Option<Duration>,
    pub next_probe: Option<Duration>,
    pub success: bool,
}

impl Stop {
    pub(crate) fn new(code: Code, step: StepId, why: impl Into<String>) -> Self {
        Self {
            code,
            executed: code.executed(),
            step,
            earlier: None,
            why: why.into(),
            verification: Verification::None,
            retry_after: None,
            next_probe: None,
            success: false,
        }
    }
}

/// For logs and metrics; losing one changes no decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    Started {
        step: StepId,
        attempt: u32,
    },
    Closed {
        step: StepId,
        outcome: vocab::Outcome,
        verification: Verification,
    },
    Unknown {
        step: StepId,
        why: String,
    },
    NeedsHuman {
        step: StepId,
    },
    /// Later evidence contradicts what was told.
    Contradicted {
        step: StepId,
        why: String,
    },
    Stopped {
        step: StepId,
        code: Code,
    },
}
