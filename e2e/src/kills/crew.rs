//! The agents of a campaign: each means one thing after the other, and re-issues what broke off.

use anyhow::Result;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::client::{CallOptions, Client, Error, Identity};
use testkit::{Random, server};
use tokio::task::JoinHandle;

/// One thing that was meant, and what the agent was told of it in the end.
#[derive(Debug)]
pub struct Told {
    pub intent: String,
    pub tool: &'static str,
    pub calls: usize,
    pub belief: Belief,
    /// From the first call to the last word.
    pub took: Duration,
    /// Everything it heard, for a finding.
    pub heard: Vec<String>,
}

/// What became of it, as the agent was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    Yes,
    No,
    /// That it is not known.
    Unknown,
    /// No answer, however often it called.
    Nothing,
}

pub struct Crew {
    agents: Vec<JoinHandle<Vec<Told>>>,
    stop: Arc<AtomicBool>,
}

/// Calls for one intent, at most.
const CALLS_MAX: usize = 12;
const PATIENCE: Duration = Duration::from_secs(10);
/// A gateway that does not come back ends the work.
const INTENT_WAIT: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_millis(10);

impl Crew {
    pub fn hire(url: Arc<str>, count: usize, seed: u64) -> Self {
        Self::hire_at(vec![url], count, seed)
    }

    /// Spread over several gateways; each stays at its own.
    pub fn hire_at(urls: Vec<Arc<str>>, count: usize, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let agents = (0..count)
            .map(|number| {
                let (url, stop) = (Arc::clone(&urls[number % urls.len()]), Arc::clone(&stop));
                tokio::spawn(async move { work(&url, number, seed, &stop).await })
            })
            .collect();
        Self { agents, stop }
    }

    /// Each finishes what it is at.
    pub async fn dismiss(&mut self) -> Result<Vec<Told>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut told = Vec::new();
        for agent in self.agents.drain(..) {
            told.extend(agent.await?);
        }
        Ok(told)
    }
}

async fn work(url: &str, number: usize, seed: u64, stop: &AtomicBool) -> Vec<Told> {
    let revision = ["2025-11-25", server::STATELESS][number % 2];
    let mut identity = Identity::speaking(revision);
    identity.name = format!("agent-{number}");
    let (mut random, mut client, mut told) = (Random::of(seed, number as u64 + 1), None, Vec::new());
    while !stop.load(Ordering::SeqCst) {
        let intent = format!("i-{number}-{}", told.len());
        let (tool, args) = meant(&mut random, &intent);
        // A model's own call id says that a re-issue is one; without it the gateway has to see that for itself.
        let mut options = CallOptions::within(PATIENCE);
        if random.below(2) == 0 {
            options = options.meta("cofferdam/tool-call-id", format!("call-{intent}"));
        }
        told.push(insist(url, &identity, &mut client, (intent, tool, args), options).await);
        tokio::time::sleep(REST).await;
    }
    told
}

fn meant(random: &mut Random, intent: &str) -> (&'static str, Value) {
    match random.below(6) {
        0 => ("set", json!({ "name": intent, "value": random.below(1000), "intent": intent })),
        1 => ("pay", json!({ "to": "ana", "amount": 1 + random.below(50), "intent": intent })),
        2 => ("drop", json!({ "name": intent, "intent": intent })),
        3 => ("send", json!({ "to": "ben", "text": "hello", "intent": intent })),
        _ => ("append", json!({ "text": "a line", "intent": intent })),
    }
}

/// Calls until it has been told what became of it: an answer, a refusal, or that it is not known.
async fn insist(
    url: &str,
    identity: &Identity,
    client: &mut Option<Client>,
    (intent, tool, args): (String, &'static str, Value),
    options: CallOptions,
) -> Told {
    let took = Duration::ZERO;
    let mut told = Told { intent, tool, calls: 0, belief: Belief::Nothing, took, heard: Vec::new() };
    let began = Instant::now();
    while told.calls < CALLS_MAX && began.elapsed() < INTENT_WAIT {
        let connected = match client.take() {
            Some(connected) => connected,
            None => match Client::http(url, identity.clone()).await {
                Ok(connected) => connected,
                // The gateway is being started again; nothing was called.
                Err(_) => {
                    tokio::time::sleep(REST).await;
                    continue;
                }
            },
        };
        told.calls += 1;
        let answer = connected.call(tool, args.clone(), &options).await;
        let (belief, is_final) = match &answer {
            Ok(answer) => {
                told.heard.push(answer.text.clone());
                match (answer.guard_word("executed"), answer.is_error) {
                    (Some("yes"), _) | (None, false) => (Belief::Yes, true),
                    (Some("no"), _) => (Belief::No, true),
                    (Some(_), _) => (Belief::Unknown, true),
                    (None, true) => (Belief::No, true),
                }
            }
            Err(error) => {
                told.heard.push(error.to_string());
                (Belief::Nothing, false)
            }
        };
        told.belief = belief;
        if is_final {
            *client = Some(connected);
            break;
        }
        // A session that the gateway does not know any more is begun anew, as is a broken connection.
        if matches!(answer, Err(Error::Rpc { .. } | Error::Status(..))) {
            tokio::time::sleep(REST).await;
        }
    }
    told.took = began.elapsed();
    told
}
