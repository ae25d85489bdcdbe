//! What the engine did, as log lines that name run and step. Never arguments, never results.

use engine::{Engine, Report};
use vocab::{Effect, Name, RunId, StepId};

/// A report with what a log line needs.
pub(crate) struct Told {
    report: Report,
    step: StepId,
    about: Option<About>,
}

struct About {
    run: RunId,
    principal: Name,
    upstream: Name,
    tool: Name,
    effect: Effect,
}

impl Told {
    /// Nothing, when nobody listens.
    pub(crate) fn of(report: Report, engine: &Engine) -> Option<Self> {
        if !tracing::enabled!(tracing::Level::INFO) {
            return None;
        }
        let step = step(&report);
        let about = engine.step(step).map(|view| {
            let intent = view.intent();
            About {
                run: intent.run,
                principal: intent.principal.clone(),
                upstream: intent.upstream.clone(),
                tool: intent.tool.clone(),
                effect: intent.effect,
            }
        });
        Some(Self { report, step, about })
    }

    pub(crate) fn log(&self) {
        let step = self.step;
        let Some(About { run, principal, upstream, tool, effect }) = &self.about else {
            tracing::info!(%step, report = ?self.report, "a step that is no longer in memory");
            return;
        };
        let (principal, upstream, tool, effect_is) = (&**principal, &**upstream, &**tool, effect.as_str());
        macro_rules! line {
            ($level:ident, $($rest:tt)*) => {
                tracing::$level!(%run, %step, principal, upstream, tool, effect = effect_is, $($rest)*)
            };
        }
        match &self.report {
            Report::Started { attempt, .. } if effect.is_mutation() => line!(info, attempt, "sent"),
            Report::Started { attempt, .. } => line!(debug, attempt, "sent"),
            Report::Closed { outcome, verification, .. } if effect.is_mutation() => {
                line!(info, outcome = outcome.as_str(), verification = verification.as_str(), "closed");
            }
            Report::Closed { outcome, .. } => line!(debug, outcome = outcome.as_str(), "closed"),
            Report::Unknown { why, .. } => line!(warn, why, "its outcome is unknown"),
            Report::NeedsHuman { .. } => line!(warn, "probes cannot tell what became of it: a person must"),
            Report::Contradicted { why, .. } => line!(error, why, "evidence contradicts what was told"),
            Report::Stopped { code, .. } => line!(info, code = code.as_str(), "stopped"),
        }
    }
}

const fn step(report: &Report) -> StepId {
    match report {
        Report::Started { step, .. }
        | Report::Closed { step, .. }
        | Report::Unknown { step, .. }
        | Report::NeedsHuman { step }
        | Report::Contradicted { step, .. }
        | Report::Stopped { step, .. } => *step,
    }
}
