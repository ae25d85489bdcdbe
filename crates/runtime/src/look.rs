//! What a read of the world asks, and what its answer means for the step: as the policy says, without asking anybody.

use bytes::Bytes;
use engine::{AnswerKind, Purpose, ReadEnd};
use policy::{ReadPlan, Scope, ToolRules, view};
use serde_json::Value;
use std::sync::Arc;
use vocab::StepIntent;

/// Largest pre-image that is kept; a read that shows more is no basis for a comparison.
const IMAGE_MAX: usize = 256 * 1024;

/// One read of the world for a step.
pub struct Look<'a> {
    pub purpose: Purpose,
    pub intent: &'a StepIntent,
    pub rules: &'a ToolRules,
    /// The receipt, for a read-back.
    pub result: Option<&'a Bytes>,
}

impl Look<'_> {
    /// The read to make, and its arguments.
    ///
    /// # Errors
    /// Nothing can be asked; why.
    pub fn question(&self) -> Result<(Arc<ReadPlan>, Bytes), String> {
        self.with_scope(|plan, asked| {
            let args = if self.purpose == Purpose::Preimage {
                plan.preimage_args(asked.args).ok_or("it needs no look beforehand")??
            } else {
                plan.args(asked)?
            };
            Ok((Arc::clone(plan), args.to_string().into()))
        })
    }

    /// What the answer of that read shows.
    ///
    /// # Errors
    /// It shows nothing that can be compared; why.
    pub fn shown(&self, shown: Bytes) -> Result<ReadEnd, String> {
        if self.purpose == Purpose::Preimage {
            return if shown.len() <= IMAGE_MAX {
                Ok(ReadEnd::Image(shown))
            } else {
                Err(format!("what is there now is larger than {IMAGE_MAX} bytes"))
            };
        }
        let shown = view(&shown).ok_or("the read's answer is no result")?;
        self.with_scope(|plan, asked| Ok(ReadEnd::Judged(plan.judge(&Scope { read: Some(&shown), ..*asked }))))
    }

    fn with_scope<T>(&self, with: impl FnOnce(&Arc<ReadPlan>, &Scope<'_>) -> Result<T, String>) -> Result<T, String> {
        let plan = self.plan().ok_or("the policy names no read for it")?;
        let args: Value = serde_json::from_slice(&self.intent.args).map_err(|_| "its arguments cannot be read")?;
        let result = self.result.map(AsRef::as_ref).filter(|_| self.purpose == Purpose::Readback).and_then(view);
        let pre = self.preimage(plan);
        let scope = Scope {
            args: &args,
            result: result.as_ref(),
            pre: pre.as_ref(),
            read: None,
            key: self.intent.upstream_key.as_deref(),
        };
        with(plan, &scope)
    }

    fn plan(&self) -> Option<&Arc<ReadPlan>> {
        match self.purpose {
            Purpose::Readback => self.rules.readback.as_ref(),
            Purpose::Probe => self.rules.probe.as_ref(),
            Purpose::Preimage => before(self.rules),
            // By what was registered with the change, not by the rules of what takes it back: `Undoing` has it.
            Purpose::Stands => None,
        }
    }

    /// What was there before, if it was read by the same plan: another read would show other things.
    fn preimage(&self, plan: &Arc<ReadPlan>) -> Option<Value> {
        let image = self.intent.preimage.as_ref()?;
        before(self.rules).is_some_and(|before| Arc::ptr_eq(before, plan)).then(|| view(image)).flatten()
    }
}

/// The plan by which the pre-image is read: the probe's, which decides about an `unknown`, before the read-back's.
fn before(rules: &ToolRules) -> Option<&Arc<ReadPlan>> {
    let plans = [rules.probe.as_ref(), rules.readback.as_ref()];
    plans.into_iter().flatten().find(|plan| plan.needs_preimage)
}

/// What of an answer can be compared.
///
/// # Errors
/// It fails its checks, or it is no answer yet.
pub(crate) fn usable(judged: engine::Answer) -> Result<Bytes, String> {
    match judged.kind {
        AnswerKind::Done | AnswerKind::ToolError(_) => Ok(judged.result),
        AnswerKind::Bad(why) => Err(format!("the read's answer fails its checks: {why}")),
        AnswerKind::InputRequired | AnswerKind::Task(_) => Err("the read gave no answer yet".to_owned()),
    }
}
