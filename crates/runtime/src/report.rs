//! What the engine did, as log lines that name run and step. Never arguments, never results.

use engine::{Engine, Report};
use std::sync::Arc;
use vocab::{Code, Effect, Executed, Name, RunId, StepId, StepIntent};

/// What a line says about its step.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) run: RunId,
    pub(crate) principal: Name,
    pub(crate) upstream: Name,
    pub(crate) tool: Name,
    pub(crate) effect: Effect,
}

impl About {
    pub(crate) fn of(intent: &StepIntent) -> Self {
        Self {
            run: intent.run,
            principal: intent.principal.clone(),
            upstream: intent.upstream.clone(),
            tool: intent.tool.clone(),
            effect: intent.effect,
        }
    }
}

/// A report with what a log line needs.
pub(crate) struct Told {
    what: What,
    step: StepId,
    about: Arc<About>,
}

enum What {
    Report(Report),
    /// A caller was answered with something else than its upstream's words.
    Stopped(Code, Executed),
}

impl Told {
    /// Nothing, when nobody listens. A mutation is told to operators, a read to whoever debugs.
    pub(crate) fn of<'a>(
        report: Report,
        kept: impl FnOnce(StepId) -> Option<&'a Arc<About>>,
        engine: &Engine,
    ) -> Option<Self> {
        let step = match &report {
            // Told with the answer, which knows more.
            Report::Stopped { .. } => return None,
            Report::Started { step, .. }
            | Report::Closed { step, .. }
            | Report::Unknown { step, .. }
            | Report::NeedsHuman { step }
            | Report::Contradicted { step, .. } => *step,
        };
        let about = match kept(step) {
            Some(about) if tracing::enabled!(tracing::Level::INFO) => Arc::clone(about),
            None if tracing::enabled!(tracing::Level::DEBUG) => Arc::new(About::of(engine.step(step)?.intent())),
            _ => return None,
        };
        Some(Self { what: What::Report(report), step, about })
    }

    pub(crate) fn stopped(stop: &engine::Stop, about: &Arc<About>) -> Self {
        Self { what: What::Stopped(stop.code, stop.executed), step: stop.step, about: Arc::clone(about) }
    }

    pub(crate) fn log(&self) {
        let (step, About { run, principal, upstream, tool, effect }) = (self.step, &*self.about);
        let (principal, upstream, tool) = (&**principal, &**upstream, &**tool);
        macro_rules! line {
            ($level:ident, $($rest:tt)*) => {
                tracing::$level!(%run, %step, principal, upstream, tool, effect = effect.as_str(), $($rest)*)
            };
        }
        match &self.what {
            What::Report(Report::Started { attempt, .. }) if effect.is_mutation() => line!(info, attempt, "sent"),
            What::Report(Report::Started { attempt, .. }) => line!(debug, attempt, "sent"),
            What::Report(Report::Closed { outcome, verification, .. }) if effect.is_mutation() => {
                line!(info, outcome = outcome.as_str(), verification = verification.as_str(), "closed");
            }
            What::Report(Report::Closed { outcome, .. }) => line!(debug, outcome = outcome.as_str(), "closed"),
            What::Report(Report::Unknown { why, .. }) => line!(warn, why, "its outcome is unknown"),
            What::Report(Report::NeedsHuman { .. }) => {
                line!(warn, "probes cannot tell what became of it: a person must")
            }
            What::Report(Report::Contradicted { why, .. }) => line!(error, why, "evidence contradicts what was told"),
            What::Report(Report::Stopped { code, .. }) => line!(info, code = code.as_str(), "stopped"),
            What::Stopped(code, executed) => {
                line!(info, code = code.as_str(), executed = executed.as_str(), "stopped");
            }
        }
    }
}
