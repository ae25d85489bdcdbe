//! The guarded step as the door wants it: the runtime's calls, and what is known of a caller's steps in words.

use crate::Caller;
use crate::seam::{Event, Guard, Pending, Status};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use runtime::{CallError, Request, Runtime, StatusView, StepSummary, TaskAsk};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;
use vocab::{Executed, Name, StepId};

/// The guard that ships.
pub struct Guarded(pub Runtime);

struct Waiting(runtime::Pending);

impl Pending for Waiting {
    fn next(&mut self) -> BoxFuture<'_, Event> {
        async move {
            match self.0.next().await {
                runtime::Event::Phase(phase) => Event::Phase(phase),
                runtime::Event::Reply(reply, delivery) => Event::Reply(reply, delivery),
            }
        }
        .boxed()
    }

    fn cancel(&self) {
        self.0.cancel();
    }
}

impl Guard for Guarded {
    fn start(&self, request: Request) -> Result<Box<dyn Pending>, CallError> {
        Ok(Box::new(Waiting(self.0.call(request)?)))
    }

    fn start_unlisted(&self, request: Request) -> Result<Box<dyn Pending>, CallError> {
        Ok(Box::new(Waiting(self.0.call_unlisted(request)?)))
    }

    fn learn(&self, upstream: &Name, result: &Bytes) {
        self.0.learn(upstream, result);
    }

    fn forget(&self, upstream: &Name) {
        self.0.forget(upstream);
    }

    fn task_answered(&self, caller: &Caller, upstream: &Name, task: &str, ask: TaskAsk, result: &Bytes) {
        self.0.task_answered(&caller.tenant, &caller.principal, (upstream, task), ask, result);
    }

    fn status(&self, caller: &Caller, step: Option<StepId>) -> BoxFuture<'static, Status> {
        let asked = self.0.status(&caller.tenant, &caller.principal, step);
        async move {
            let (view, delivery) = asked.await;
            // Nothing open is an answer; only a step that was asked for by name can be missing.
            let found = view.found() || step.is_none();
            Status { text: text(&view, step), guard: guard(&view, step).to_string(), found, delivery }
        }
        .boxed()
    }
}

//= G3
fn text(view: &StatusView, asked: Option<StepId>) -> String {
    if !view.found() {
        return match asked {
            Some(step) => format!("Cofferdam knows no step {step} of yours."),
            None => "Cofferdam has no open step of yours: everything you asked for is settled.".to_owned(),
        };
    }
    let mut text = String::new();
    for step in &view.steps {
        text += &line(step);
        text.push('\n');
    }
    if view.more {
        text += "There are more; ask for one by its id.\n";
    }
    text.trim_end().to_owned()
}

fn line(step: &StepSummary) -> String {
    let executed = match step.executed {
        Executed::Yes => "yes",
        Executed::No => "no",
        Executed::Unknown => "unknown, so do not repeat it",
    };
    let mut line = format!("Step {} ({} on {}): executed: {executed}.", step.step, step.tool, step.upstream);
    let known = step.outcome.map_or(step.state.as_str(), |outcome| outcome.as_str());
    write!(line, " Known: {known}. Verification: {}.", step.verification.as_str()).unwrap_or_default();
    if !step.why.is_empty() {
        write!(line, " {}", step.why).unwrap_or_default();
    }
    if let Some(next) = step.next_probe {
        write!(line, " Next look in {} s.", next.as_secs()).unwrap_or_default();
    }
    line
}

/// The step that was asked for in the members that a stop has; the open ones as a list of such.
fn guard(view: &StatusView, asked: Option<StepId>) -> Value {
    match (view.steps.as_slice(), asked) {
        ([step], Some(_)) => machine(step),
        (steps, _) => json!({ "steps": steps.iter().map(machine).collect::<Vec<_>>(), "more": view.more }),
    }
}

fn machine(step: &StepSummary) -> Value {
    let mut form = json!({
        "executed": step.executed.as_str(),
        "state": step.state.as_str(),
        "outcome": step.outcome.map(|outcome| outcome.as_str()),
        "why": step.why,
        "step": step.step.to_string(),
        "run": step.run.to_string(),
        "upstream": &*step.upstream,
        "tool": &*step.tool,
        "effect": step.effect.as_str(),
        "verification": step.verification.as_str(),
        "attempts": step.attempts,
        "delivered": step.delivered.as_str(),
        "age_ms": millis(step.age),
    });
    if let Some(code) = step.told {
        form["code"] = code.as_str().into();
        form["retryable"] = code.retryable().as_str().into();
    }
    if let Some(next) = step.next_probe {
        form["probe"] = json!({ "state": "looking", "next_in_ms": millis(next) });
    }
    form
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
