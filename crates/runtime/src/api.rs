//! What a door sees of the guarded step.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use upstream::Gate;
use vocab::{Code, Executed, Failure, FailureKind, Name, StepId, Verification};

/// One `tools/call` as a door understood it. The bytes are as they came.
pub struct Request {
    pub tenant: Name,
    pub principal: Name,
    pub upstream: Name,
    /// The tool's name as the upstream knows it.
    pub tool: Name,
    /// The `arguments` member, or `{}`.
    pub args: Bytes,
    pub run: Run,
    /// `Idempotency-Key` header, the `_meta` spellings, `params.idempotencyKey`: each distinct value that was found.
    pub explicit_keys: Vec<String>,
    /// The model's tool-call id from `_meta`, when the client sends one.
    pub model_call: Option<String>,
    /// Names the request on its connection or session (session + JSON-RPC id): the same while in flight is the same
    /// request delivered twice. `None` when the transport cannot deliver twice (stdio).
    pub wire: Option<String>,
    /// Opaque MRTR state and the caller's responses, when this call continues an earlier one.
    pub continuation: Option<Continuation>,
    /// Asked for task augmentation (2025-11-25 `params.task`).
    pub task: bool,
    /// How long the caller is ready to wait, if it said so.
    pub patience: Option<Duration>,
    pub link: Arc<dyn Link>,
}

pub struct Continuation {
    /// `requestState` as it came.
    pub state: Option<Bytes>,
    /// Canonicalised by the runtime.
    pub responses: Bytes,
}

/// What the run of a call is known by, strongest source first.
#[derive(Clone, Debug)]
pub struct Run {
    /// `Cofferdam-Run`, `_meta["cofferdam/run"]`, trace id, session id, or `principal + client`.
    pub name: String,
    /// The client named it (or a trace did); a session or a guess does not.
    pub explicit: bool,
    /// Client name and version, for the scope of a guessed run.
    pub client: String,
}

/// How attempts of one call reach their upstream: a session of the door's caller.
pub trait Link: Send + Sync + 'static {
    /// Sends the call once more and waits for its answer, or says how it failed. The future runs to its end even when
    /// the caller has left, unless the engine stops it; dropping it cancels the request upstream.
    fn send(&self, attempt: Attempt) -> BoxFuture<'static, Result<Bytes, Failure>>;

    /// A `tools/call` of our own on the same session: read-back, probe, pre-image. `Ok` is the JSON-RPC result.
    fn read(&self, tool: Name, args: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>>;

    /// Asks the same session about a task that it made. `Ok` is the JSON-RPC result.
    fn task(&self, ask: TaskAsk, task: Name) -> BoxFuture<'static, Result<Bytes, Failure>>;

    /// The session is gone: reads go through the upstream's service session instead.
    fn is_closed(&self) -> bool;

    /// The caller has left for good: the session is there only for what is still under way on it.
    fn is_left(&self) -> bool {
        self.is_closed()
    }

    /// Forward the caller's cancel once; the attempt's future still tells how it ended.
    fn cancel(&self);
}

/// What is asked about a task of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskAsk {
    /// `tasks/get`, or what else is answered with the state of a task.
    Get,
    /// `tasks/result`, which 2026-07-28 does not have.
    Result,
}

impl TaskAsk {
    pub const fn method(self) -> &'static str {
        match self {
            Self::Get => "tasks/get",
            Self::Result => "tasks/result",
        }
    }
}

/// What one attempt adds to the caller's message.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// 1 is the first.
    pub number: u32,
    /// Replaces `params.arguments` when a key goes into an argument.
    pub args: Option<Bytes>,
    /// Members to set in `params._meta`, as JSON.
    pub meta: Vec<(Name, Bytes)>,
    pub headers: Vec<(Name, String)>,
    /// To be asked by the transport right before the first byte.
    pub gate: Option<Gate>,
}

/// Reads for probes when no caller's session is left: the gateway's own session with an upstream.
pub trait Reader: Send + Sync + 'static {
    fn read(&self, upstream: Name, tool: Name, args: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>>;

    fn task(&self, upstream: Name, ask: TaskAsk, task: Name) -> BoxFuture<'static, Result<Bytes, Failure>>;

    /// One attempt of a compensation, which no caller stands behind: once, and never again below this. The future runs
    /// to its end, unless the engine gives the attempt up.
    fn send(
        &self,
        upstream: Name,
        tool: Name,
        args: Bytes,
        attempt: Attempt,
    ) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let _ = (upstream, tool, args, attempt);
        let failure = Failure::new(FailureKind::NotSent, "the gateway has no session of its own to send it through");
        Box::pin(std::future::ready(Err(failure)))
    }
}

/// Where a waiting call is; doors turn it into progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Sent,
    /// An attempt failed; another follows.
    Retrying {
        attempt: u32,
    },
    /// The reply was lost or is not usable; the world is being read.
    Probing {
        probes: u32,
    },
    /// Joined to the same step, in flight.
    Attached,
    ReadingBack,
}

/// The engine's answer to a call.
#[derive(Debug)]
pub enum Reply {
    /// The upstream's own result, checked: forward these bytes (a JSON-RPC `result`).
    Result {
        step: StepId,
        result: Bytes,
        verification: Verification,
        /// Answered from the journal; the step was not executed again.
        replayed: bool,
        /// One line for the agent, put in front of the result's content.
        notice: Option<String>,
        mutation: bool,
    },
    /// The upstream's own JSON-RPC error: forward the `error` member.
    Error {
        step: StepId,
        error: Bytes,
    },
    Stop(Box<Stop>),
}

/// Cofferdam stopped the call or cannot vouch for it: an `isError` result in the words of `guards.md` section 5.
#[derive(Clone, Debug)]
pub struct Stop {
    pub code: Code,
    pub executed: Executed,
    pub step: StepId,
    /// The earlier step that this answer speaks of (duplicate, adopted, conflict).
    pub earlier: Option<StepId>,
    pub tool: Name,
    pub upstream: Name,
    pub why: String,
    pub verification: Verification,
    pub retry_after: Option<Duration>,
    /// Milliseconds until the next probe, while `unknown`.
    pub next_probe: Option<Duration>,
    /// Not an error to the agent: the effect is there (`applied_no_receipt` without an output schema).
    pub success: bool,
}

/// Why a call never became a step: the door answers with a JSON-RPC error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Neither the known nor the refreshed list of tools has it.
    #[error("find the tool {0:?}: the upstream does not list it")]
    UnknownTool(String),
    #[error("read the arguments: {0}")]
    Malformed(String),
    #[error("accept the call: the gateway is shutting down")]
    Draining,
}

/// Reports what became of an answer. Dropping it without a word means that the answer was lost on the way.
#[must_use]
pub struct Delivery {
    report: Option<Box<dyn FnMut(Arrival) + Send>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The last byte was handed to the client's transport; two quiet seconds make it *flushed*.
    Flushed,
    /// The client went on from it (a later request on the same connection or session).
    Seen,
    Lost,
}

impl Delivery {
    pub fn new(report: impl FnMut(Arrival) + Send + 'static) -> Self {
        Self { report: Some(Box::new(report)) }
    }

    /// Of an answer of which nobody asks whether it arrived.
    pub fn unheeded() -> Self {
        Self { report: None }
    }

    /// The last byte was handed over. Dropping it from now on says that the connection has ended.
    pub fn flushed(&mut self) {
        if let Some(report) = &mut self.report {
            report(Arrival::Flushed);
        }
    }

    /// The last word about it.
    pub fn report(mut self, arrival: Arrival) {
        if let Some(mut report) = self.report.take() {
            report(arrival);
        }
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Delivery")
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(mut report) = self.report.take() {
            report(Arrival::Lost);
        }
    }
}
