//! Reads of the world: pre-image, read-back and probe, asked and judged as the policy says.

use crate::answer;
use crate::api::Link;
use crate::failpoint;
use crate::shell::Shell;
use bytes::Bytes;
use engine::{AnswerKind, Input, Purpose, ReadEnd};
use policy::{ReadPlan, Scope, ToolRules, view};
use serde_json::Value;
use std::sync::Arc;
use vocab::{Failure, StepId, StepIntent};

/// Largest pre-image that is kept; a read that shows more is no basis for a comparison.
const IMAGE_MAX: usize = 256 * 1024;

/// A read that the engine wants.
pub(crate) struct WorldRead {
    pub(crate) step: StepId,
    pub(crate) read: u32,
    pub(crate) purpose: Purpose,
    pub(crate) intent: Arc<StepIntent>,
    pub(crate) rules: Arc<ToolRules>,
    /// The receipt, for a read-back.
    pub(crate) result: Option<Bytes>,
    pub(crate) link: Option<Arc<dyn Link>>,
}

pub(crate) async fn run(shell: Arc<Shell>, read: WorldRead) {
    let end = read.end(&shell).await.unwrap_or_else(ReadEnd::Failed);
    if read.purpose == Purpose::Probe {
        failpoint::hit("during_probe");
    }
    shell.feed([Input::ReadEnded { step: read.step, read: read.read, end }]);
    shell.moved.notify_waiters();
}

impl WorldRead {
    //= S-15
    //= S-25
    async fn end(&self, shell: &Shell) -> Result<ReadEnd, String> {
        let plan = self.plan().ok_or("the policy names no read for it")?;
        let args: Value = serde_json::from_slice(&self.intent.args).map_err(|_| "its arguments cannot be read")?;
        let result = self.result.as_deref().filter(|_| self.purpose == Purpose::Readback).and_then(view);
        let pre = self.preimage(plan);
        let asked = Scope {
            args: &args,
            result: result.as_ref(),
            pre: pre.as_ref(),
            read: None,
            key: self.intent.upstream_key.as_deref(),
        };
        let read_args = if self.purpose == Purpose::Preimage {
            plan.preimage_args(&args).ok_or("it needs no look beforehand")??
        } else {
            plan.args(&asked)?
        };
        let shown = self.ask(shell, plan, read_args.to_string().into()).await?;
        if self.purpose == Purpose::Preimage {
            return if shown.len() <= IMAGE_MAX {
                Ok(ReadEnd::Image(shown))
            } else {
                Err(format!("what is there now is larger than {IMAGE_MAX} bytes"))
            };
        }
        let shown = view(&shown).ok_or("the read's answer is no result")?;
        Ok(ReadEnd::Judged(plan.judge(&Scope { read: Some(&shown), ..asked })))
    }

    fn plan(&self) -> Option<&Arc<ReadPlan>> {
        match self.purpose {
            Purpose::Readback => self.rules.readback.as_ref(),
            Purpose::Probe => self.rules.probe.as_ref(),
            Purpose::Preimage => before(&self.rules),
        }
    }

    /// What was there before, if it was read by the same plan: another read would show other things.
    fn preimage(&self, plan: &Arc<ReadPlan>) -> Option<Value> {
        let image = self.intent.preimage.as_ref()?;
        before(&self.rules).is_some_and(|before| Arc::ptr_eq(before, plan)).then(|| view(image)).flatten()
    }

    /// Through the caller's own session while it is open, else through the gateway's.
    async fn ask(&self, shell: &Shell, plan: &ReadPlan, args: Bytes) -> Result<Bytes, String> {
        let timeout = self.rules.attempt_timeout;
        let asking = async {
            let link = self.link.as_ref().filter(|link| plan.upstream == self.intent.upstream && !link.is_closed());
            if let Some(link) = link {
                match link.read(plan.read.clone(), args.clone()).await {
                    Err(_) if link.is_closed() => {}
                    answered => return answered,
                }
            }
            shell.reader.read(plan.upstream.clone(), plan.read.clone(), args).await
        };
        let answered = tokio::time::timeout(timeout, asking).await.map_err(|_| "the read took too long".to_owned())?;
        let result = answered.map_err(|failure| told(&failure))?;
        let limits = answer::limits(&shell.policy.load(), &plan.upstream);
        let tool = shell.tools.get(&plan.upstream, &plan.read);
        let judged = answer::judge(result, tool.as_deref(), &limits).answer;
        match judged.kind {
            AnswerKind::Done | AnswerKind::ToolError(_) => Ok(judged.result),
            AnswerKind::Bad(why) => Err(format!("the read's answer fails its checks: {why}")),
            AnswerKind::InputRequired | AnswerKind::Task(_) => Err("the read gave no answer yet".to_owned()),
        }
    }
}

/// The plan by which the pre-image is read: the probe's, which decides about an `unknown`, before the read-back's.
fn before(rules: &ToolRules) -> Option<&Arc<ReadPlan>> {
    let plans = [rules.probe.as_ref(), rules.readback.as_ref()];
    plans.into_iter().flatten().find(|plan| plan.needs_preimage)
}

fn told(failure: &Failure) -> String {
    if failure.detail.is_empty() {
        format!("the read failed: {:?}", failure.kind)
    } else {
        format!("the read failed: {}", failure.detail)
    }
}
