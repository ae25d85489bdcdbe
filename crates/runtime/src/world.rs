//! Reads of the world: pre-image, read-back and probe, asked and judged as the policy says.

use crate::answer;
use crate::api::Link;
use crate::failpoint;
use crate::look::{Look, usable};
use crate::shell::Shell;
use bytes::Bytes;
use engine::rollback::Undoing;
use engine::{Input, Purpose, ReadEnd};
use policy::undo::Stands;
use policy::{Judgement, ReadPlan, ToolRules};
use std::sync::Arc;
use std::time::Duration;
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
    /// Of a compensation, the change that it takes back.
    pub(crate) undoing: Option<Arc<Undoing>>,
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
        if self.purpose == Purpose::Stands {
            let undoing = self.undoing.as_ref().ok_or("it takes nothing back")?;
            return look(shell, undoing, self.rules.attempt_timeout).await.map(ReadEnd::Judged);
        }
        let look =
            Look { purpose: self.purpose, intent: &self.intent, rules: &self.rules, result: self.result.as_ref() };
        let (plan, args) = look.question()?;
        let shown = self.ask(shell, &plan, args).await?;
        look.shown(shown)
    }

    /// Through the caller's own session while it is open, else through the gateway's.
    async fn ask(&self, shell: &Shell, plan: &ReadPlan, args: Bytes) -> Result<Bytes, String> {
        let link = self.link.as_ref().filter(|_| plan.upstream == self.intent.upstream);
        ask(shell, link, plan, args, self.rules.attempt_timeout).await
    }
}

async fn ask(
    shell: &Shell,
    link: Option<&Arc<dyn Link>>,
    plan: &ReadPlan,
    args: Bytes,
    timeout: Duration,
) -> Result<Bytes, String> {
    let asking = async {
        if let Some(link) = link.filter(|link| !link.is_closed()) {
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
    usable(answer::judge(result, tool.as_deref(), &limits).answer)
}

/// Does what a change wrote still stand? Asked of the world now, as its registered plan says.
//= S-04
pub(crate) async fn look(shell: &Shell, undoing: &Undoing, timeout: Duration) -> Result<Judgement, String> {
    let plan = undoing.plan.look().ok_or("nothing is looked at beforehand")?;
    let args = undoing.plan.look_args(&undoing.facts())?;
    let shown = ask(shell, None, plan, args, timeout).await?;
    let intent = &undoing.change.intent;
    Ok(match undoing.plan.stands_now(&undoing.facts(), &shown, (&intent.upstream, &intent.tool)) {
        Stands::Yes => Judgement::Applied,
        Stands::No(_) => Judgement::Different,
        Stands::Unclear(why) => Judgement::Inconclusive(why),
    })
}

fn told(failure: &Failure) -> String {
    if failure.detail.is_empty() {
        format!("the read failed: {:?}", failure.kind)
    } else {
        format!("the read failed: {}", failure.detail)
    }
}
