//! One attempt: what it adds to the caller's message, and how its end is told to the engine.

use crate::api::{Attempt, Link};
use crate::failpoint;
use crate::shell::Shell;
use crate::tools::Tool;
use crate::{answer, legs};
use bytes::Bytes;
use engine::{AttemptEnd, Input};
use futures_util::FutureExt;
use mcp::{json, splice};
use policy::{KeyPlacement, ToolRules};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use vocab::{Failure, FailureKind, Name, StepIntent};

/// An attempt that is to be made.
pub(crate) struct Send {
    pub(crate) number: u32,
    pub(crate) intent: Arc<StepIntent>,
    pub(crate) rules: Arc<ToolRules>,
    pub(crate) upstream_key: Option<Name>,
    pub(crate) tool: Option<Arc<Tool>>,
    pub(crate) link: Arc<dyn Link>,
    /// Of a mutation: that of the journal when its dispatch was appended.
    pub(crate) term: Option<i64>,
}

/// What goes out. The caller's message is changed only where policy places a key.
//= G2
pub(crate) fn placed(
    number: u32,
    intent: &StepIntent,
    rules: &ToolRules,
    upstream_key: Option<&Name>,
) -> Result<Attempt, Failure> {
    let mut attempt = Attempt { number, ..Attempt::default() };
    let (Some(placement), Some(key)) = (&rules.key, upstream_key) else { return Ok(attempt) };
    match placement {
        KeyPlacement::Argument(name) => {
            let value = json::quote(key);
            let args = splice::set(&intent.args, &[name], &value);
            // It was an object when it was admitted.
            attempt.args = Some(args.map_err(|error| Failure::new(FailureKind::NotSent, error.to_string()))?);
        }
        KeyPlacement::Meta(name) => attempt.meta.push((name.clone(), json::quote(key).into())),
        KeyPlacement::Header(name) => attempt.headers.push((name.clone(), key.to_string())),
    }
    Ok(attempt)
}

impl Send {
    pub(crate) fn attempt(&self) -> Result<Attempt, Failure> {
        placed(self.number, &self.intent, &self.rules, self.upstream_key.as_ref())
    }

    /// How the end of this attempt is told to the engine.
    pub(crate) fn ended(&self, shell: &Shell, result: Result<Bytes, Failure>) -> Input {
        let end = match result {
            Ok(result) => AttemptEnd::Answered(self.judged(shell, result)),
            Err(failure) => AttemptEnd::Failed(failure),
        };
        Input::AttemptEnded { step: self.intent.step, attempt: self.number, end: Box::new(end) }
    }

    fn judged(&self, shell: &Shell, result: Bytes) -> engine::Answer {
        let limits = answer::limits(&shell.policy.load(), &self.intent.upstream);
        let judged = answer::judge(result, self.tool.as_deref(), &limits);
        if let Some(state) = judged.state {
            legs::hand_out(&shell.legs, &self.intent, &judged.answer.result[state], shell.clock.now());
        }
        judged.answer
    }
}

/// Sends a mutation: to its end, whether or not its caller still waits, unless the engine gives it up.
pub(crate) async fn run(shell: Arc<Shell>, send: Send, abandoned: CancellationToken) {
    failpoint::hit("before_send");
    let result = match send.attempt() {
        Err(failure) => Err(failure),
        //= G1
        Ok(_) if !shell.may_send(send.term) => {
            Err(Failure::new(FailureKind::NotSent, "the lease of this gateway is over"))
        }
        Ok(mut attempt) => {
            // A connection may have to be made first, and that may take longer than the lease.
            attempt.gate = shell.gate(send.term);
            let sent = AssertUnwindSafe(async { send.link.send(attempt).await }).catch_unwind();
            tokio::select! {
                biased;
                result = sent => result.unwrap_or_else(|_| Err(panicked())),
                () = abandoned.cancelled() => return,
            }
        }
    };
    failpoint::hit("after_receipt");
    let step = send.intent.step;
    let end = send.ended(&shell, result);
    let is_task = matches!(&end, Input::AttemptEnded { end, .. } if is_task(end));
    shell.feed([end]);
    if is_task {
        shell.watch_task(step);
    }
}

const fn is_task(end: &AttemptEnd) -> bool {
    matches!(end, AttemptEnd::Answered(engine::Answer { kind: engine::AnswerKind::Task(_), .. }))
}

/// Whatever went wrong in there: it may have been sent.
pub(crate) fn panicked() -> Failure {
    tracing::error!("an attempt ended by a panic; what became of its request is not known");
    Failure::new(FailureKind::Reset, "the attempt ended unexpectedly")
}
