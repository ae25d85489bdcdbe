//! Asks each upstream for its tools in the background, so that nobody waits for it, and logs what is guarded.

use super::roster::{Member, Roster};
use crate::upstreams::facts;
use admin::wire;
use parking_lot::Mutex;
use policy::{Policy, ToolFacts, effective};
use runtime::Runtime;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use vocab::Name;

/// Between two tries of an upstream that does not answer.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often idle sessions are looked for.
const SWEEP: Duration = Duration::from_secs(15);

/// What upstreams said of their tools, for the operator.
#[derive(Default)]
pub struct Learnt {
    of: Mutex<HashMap<Name, Told>>,
}

/// The tools, or why nothing was said.
type Told = Result<Arc<Vec<ToolFacts>>, String>;

impl Learnt {
    /// What holds for each tool under this policy, upstream by upstream.
    pub fn report(&self, policy: &Policy) -> Vec<wire::Tools> {
        let known = self.of.lock().clone();
        let one = |upstream: &policy::Upstream| {
            let (tools, trouble) = match known.get(&upstream.name) {
                None => (Vec::new(), Some("it was not asked yet".to_owned())),
                Some(Err(why)) => (Vec::new(), Some(why.clone())),
                Some(Ok(tools)) => (effective::report(policy, &upstream.name, tools), None),
            };
            let tools = tools.into_iter().map(wire::Tool::from).collect();
            wire::Tools { upstream: upstream.name.to_string(), trouble, tools }
        };
        policy.upstreams.iter().map(one).collect()
    }
}

/// What learning needs.
#[derive(Clone)]
pub struct Learner {
    pub roster: Arc<Roster>,
    pub runtime: Runtime,
    pub learnt: Arc<Learnt>,
}

/// Learns what is not known, again whenever something changes; an upstream that hangs holds up no other one. Runs until
/// it is dropped.
pub async fn run(learner: Learner) {
    let mut asking = JoinSet::new();
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        for member in learner.roster.members().iter().filter(|member| member.take_stale()) {
            asking.spawn(learner.clone().until_known(Arc::clone(member)));
        }
        tokio::select! {
            () = learner.roster.news() => {}
            Some(_) = asking.join_next() => {}
            _ = sweep.tick() => learner.roster.sweep().await,
        }
    }
}

impl Learner {
    async fn until_known(self, member: Arc<Member>) {
        let mut pause = RETRY.0;
        while !self.ask(&member).await {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
            // A new policy may have no place for it.
            if !self.roster.members().iter().any(|one| Arc::ptr_eq(one, &member)) {
                return;
            }
        }
    }

    async fn ask(&self, member: &Member) -> bool {
        let (known, told) = match member.own.tools().await {
            Ok(pages) => {
                for page in &pages {
                    self.runtime.learn(&member.name, page);
                }
                let tools = facts(&pages);
                log_guarded(&self.runtime.policy(), &member.name, &tools);
                (true, Ok(Arc::new(tools)))
            }
            Err(failure) => {
                tracing::warn!(upstream = %member.name, why = failure.detail, "an upstream did not tell its tools yet");
                (false, Err(failure.detail))
            }
        };
        self.learnt.of.lock().insert(Arc::clone(&member.name), told);
        known
    }
}

/// What a person wants to know at a start: how many tools change something, and which of them cannot be confirmed.
fn log_guarded(policy: &Policy, upstream: &str, tools: &[ToolFacts]) {
    let (mut reads, mut guessed, mut unconfirmed) = (0_usize, Vec::new(), Vec::new());
    for tool in tools {
        let rules = policy.rules(upstream, tool);
        let worst = rules.worst();
        reads += usize::from(!worst.effect.is_mutation());
        if worst.effect.is_mutation() && worst.readback.is_none() {
            unconfirmed.push(tool.name.as_str());
        }
        if worst.effect.is_mutation() && !worst.effect_source.is_declared() {
            guessed.push(tool.name.as_str());
        }
    }
    tracing::info!(
        upstream,
        tools = tools.len(),
        reads,
        mutations = tools.len() - reads,
        without_readback = shortened(&unconfirmed),
        effect_guessed = shortened(&guessed),
        "guarding"
    );
}

fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut text = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(" ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    crate::output::printable(&text)
}
