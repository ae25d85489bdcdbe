//! Reads of the world: pre-image, read-back and probe, asked and judged as the policy says.

use crate::answer;
use crate::api::Link;
use crate::failpoint;
use crate::look::{Look, usable};
use crate::shell::Shell;
use bytes::Bytes;
use engine::{Input, Purpose, ReadEnd};
use policy::{ReadPlan, ToolRules};
use std::sync::Arc;
use vocab::{Failure, StepId, StepIntent};

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
        let look =
            Look { purpose: self.purpose, intent: &self.intent, rules: &self.rules, result: self.result.as_ref() };
        let (plan, args) = look.question()?;
        let shown = self.ask(shell, &plan, args).await?;
        look.shown(shown)
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
        usable(judged)
    }
}

fn told(failure: &Failure) -> String {
    if failure.detail.is_empty() {
        format!("the read failed: {:?}", failure.kind)
    } else {
        format!("the read failed: {}", failure.detail)
    }
}
