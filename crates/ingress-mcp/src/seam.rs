//! What a door needs from below: the guarded step, and sessions with upstreams.

use crate::Caller;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use runtime::{CallError, Delivery, Phase, Reply, Request, TaskAsk};
use std::sync::Arc;
use upstream::{ConnectOptions, Session, Sink};
use vocab::{Failure, Name, StepId};

/// What a started call reports.
pub enum Event {
    Phase(Phase),
    /// The last one.
    Reply(Reply, Delivery),
}

/// One caller that waits. Dropping it says that the caller has left; what that means for the step is the guard's.
pub trait Pending: Send {
    fn next(&mut self) -> BoxFuture<'_, Event>;

    /// The caller asked for it to be cancelled. The reply still comes.
    fn cancel(&self);
}

/// The guarded step.
pub trait Guard: Send + Sync + 'static {
    /// # Errors
    /// The call is no step: an unknown tool, arguments that are no JSON object, or the gateway is closing.
    fn start(&self, request: Request) -> Result<Box<dyn Pending>, CallError>;

    /// Starts a call of a tool that is not known because its upstream cannot be asked for its tools. What the journal
    /// knows of it is told; nothing may be sent, so the request's link must refuse to.
    ///
    /// # Errors
    /// As `start`, and where this is not possible.
    fn start_unlisted(&self, request: Request) -> Result<Box<dyn Pending>, CallError> {
        Err(CallError::UnknownTool(request.tool.to_string()))
    }

    /// An upstream's answer to `tools/list`, as it came: schemas and annotations.
    fn learn(&self, upstream: &Name, result: &Bytes);

    /// The upstream says that its list of tools changed.
    fn forget(&self, upstream: &Name);

    /// An upstream's answer about a task passed on its way to this caller.
    fn task_answered(&self, caller: &Caller, upstream: &Name, task: &str, ask: TaskAsk, result: &Bytes);

    /// What is known of a step of this caller, as the text and the machine form of `cofferdam__status`. Without a step:
    /// the caller's open ones.
    fn status(&self, caller: &Caller, step: Option<StepId>) -> BoxFuture<'static, Status>;
}

#[derive(Debug)]
pub struct Status {
    pub text: String,
    /// JSON, for `_meta["cofferdam/guard"]`.
    pub guard: String,
    pub found: bool,
    /// To be told what became of this answer.
    pub delivery: Delivery,
}

/// Opens sessions with upstreams.
pub trait Upstreams: Send + Sync + 'static {
    /// In the order of the policy.
    fn names(&self) -> Vec<Name>;

    /// A session of its own for one client, presented as `options` say: messages that the upstream sends by itself go to `sink`.
    fn open(
        &self,
        upstream: &Name,
        options: ConnectOptions,
        sink: Sink,
    ) -> BoxFuture<'static, Result<Arc<dyn Session>, Failure>>;
}
