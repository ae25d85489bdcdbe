//! The agents: scripts that call, hear, and believe what they are told.

use super::case::{Agent, Case, RATE, Trouble};
use super::seat::Seat;
use super::tally::Score;
use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testkit::client::{Answer, CallOptions, Error};
use testkit::ledger::hash;
use testkit::worlds::{Audit, Scripted, audit, tasks};
use testkit::{Client, Hints, Random, Tool, worlds};

/// What the agent takes for true about one call in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    Done,
    /// It was not done. `excused`: the upstream did not do it; else somebody refused it.
    Not {
        excused: bool,
    },
    /// It was told that nobody knows, or nothing at all.
    Open,
}

/// One answer, as far as it says something about the call.
#[derive(Debug)]
struct Heard {
    belief: Belief,
    is_error: bool,
    garbage: bool,
    step: Option<String>,
    /// The connection is of no more use.
    broken: bool,
    /// It is the answer of the step that it names, and says that this call was not executed again.
    of_earlier: bool,
    text: String,
}

const TRIES: usize = 4;
/// Of an answer, for a report.
const TEXT_MAX: usize = 300;
const STATUS_TOOL: &str = "cofferdam__status";
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// One agent at its seat, and what it has seen so far.
struct Acting<'s> {
    case: Case,
    seat: &'s mut Seat,
    client: Option<Client>,
    random: Random,
    tools: Vec<Tool>,
    score: Score,
    /// The call, counted from 0, during which the gateway is killed.
    kill_at: usize,
    /// The last answer to a question about the call at hand.
    status: String,
    /// By tool and arguments: how often believed done or open.
    accounted: BTreeMap<String, usize>,
}

/// Plays one case to its end.
pub async fn play(case: Case, seat: &mut Seat) -> Result<Score> {
    let Some(task) = tasks(case.world, case.seed, case.scale.calls) else {
        anyhow::bail!("there is no task for {}", case.world)
    };
    let tools = worlds::open(case.world, None)?.tools();
    let mut random = Random::new(case.seed ^ 0xA6E7);
    let kill_at = random.below(task.calls.len());
    let mut acting = Acting {
        case,
        seat,
        client: None,
        random,
        tools,
        score: Score::default(),
        kill_at,
        status: String::new(),
        accounted: BTreeMap::new(),
    };
    let mut beliefs = Vec::new();
    for call in &task.calls {
        let belief = acting.perform(call).await?;
        if call.is_mutation {
            beliefs.push((call, belief));
        }
        tokio::time::sleep(case.scale.think).await;
    }
    // A client that leaves ends what waits for it; effects that have begun come to their end.
    acting.client = None;
    acting.seat.settle().await;
    let truth = acting.seat.truth()?;
    let not: Vec<_> = beliefs
        .iter()
        .filter(|(_, belief)| matches!(belief, Belief::Not { .. }))
        .map(|(call, _)| call.intent)
        .collect();
    let audit = audit(&task, task.calls.len(), &not, &truth);
    let whole = worlds::audit(&task, task.calls.len(), &[], &truth);
    let mut score = std::mem::take(&mut acting.score);
    score.settle(&beliefs, &truth);
    score.duplicates = duplicates(&whole, &acting.tools);
    score.state_right = audit.state_right;
    score.is_clean = score.state_right
        && score.is_truthful()
        && score.duplicates == 0
        && score.garbage == 0
        && beliefs.iter().all(|(_, belief)| matches!(belief, Belief::Done | Belief::Not { excused: true }));
    Ok(score)
}

impl Acting<'_> {
    async fn perform(&mut self, call: &Scripted) -> Result<Belief> {
        let (mut belief, mut told) = (Belief::Open, Vec::new());
        let began = SystemTime::now();
        for attempt in 1..=TRIES {
            let mut heard = self.ask(call).await?;
            if heard.of_earlier && heard.belief == Belief::Done && begun_at(heard.step.as_deref()) < began {
                // What was done is something that the agent meant before it meant this.
                heard.belief = Belief::Not { excused: false };
            }
            self.note(call, &heard, belief)?;
            told.push(std::mem::take(&mut heard.text));
            // Later answers speak of later calls; what was done once stays done.
            if belief != Belief::Done {
                belief = heard.belief;
            }
            let is_last = attempt == TRIES || self.case.agent == Agent::Once;
            if !heard.is_error || is_last {
                if self.case.agent == Agent::Once && belief == Belief::Open {
                    belief = self.follow_up(heard.step.as_deref()).await?;
                }
                break;
            }
        }
        if call.is_mutation && belief != Belief::Done {
            let status = std::mem::take(&mut self.status);
            self.score.heard.push(format!("{} {}: {belief:?} {told:?} {status}", call.tool, call.args));
        }
        if call.is_mutation && !matches!(belief, Belief::Not { .. }) {
            *self.accounted.entry(key(call)).or_default() += 1;
        }
        Ok(belief)
    }

    /// An answer that denies an effect which the ledger has is a lie at once, whatever comes later.
    fn note(&mut self, call: &Scripted, heard: &Heard, before: Belief) -> Result<()> {
        self.score.garbage += usize::from(heard.garbage);
        if !call.is_mutation || !matches!(heard.belief, Belief::Not { .. }) || before == Belief::Done {
            return Ok(());
        }
        let (key, entries) = (key(call), self.seat.entries()?);
        let had = entries.iter().filter(|entry| entry.hash == key).count();
        if had > self.accounted.get(&key).copied().unwrap_or(0) {
            self.score.told_not_though_applied += 1;
            self.score.told_not.push(key);
        }
        Ok(())
    }

    /// One call with the trouble of this case.
    async fn ask(&mut self, call: &Scripted) -> Result<Heard> {
        let strikes = self.random.unit() < RATE;
        let patience = self.case.scale.patience;
        let mut options = CallOptions::within(patience);
        match self.case.trouble {
            Trouble::Twice => options.twice = strikes,
            Trouble::Kill if call.intent == self.kill_at => {
                return self.ask_and_kill(call, options).await;
            }
            Trouble::SameId | Trouble::NewId if strikes => {
                let id = format!("call-{}", self.random.next() % 1_000_000);
                let hurry = Duration::from_millis(self.random.below(40) as u64);
                let first = CallOptions::within(hurry).id(id.clone());
                let heard = self.send(call, &first).await?;
                // Whoever got an answer has no reason to ask again.
                if heard.belief != Belief::Open || heard.garbage {
                    return Ok(heard);
                }
                if self.case.trouble == Trouble::SameId {
                    options = options.id(id);
                }
            }
            _ => {}
        }
        self.send(call, &options).await
    }

    async fn ask_and_kill(&mut self, call: &Scripted, options: CallOptions) -> Result<Heard> {
        let wait = Duration::from_millis(self.random.below(60) as u64);
        if self.client.is_none() {
            self.client = Some(self.seat.connect().await?);
        }
        let victim = self.client.as_ref().and_then(|client| self.seat.victim(client));
        let killer = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            victim.and_then(|id| Pid::from_raw(id.cast_signed())).map(|id| kill_process(id, Signal::KILL))
        });
        let heard = self.send(call, &options).await;
        let hit = killer.await?;
        self.score.kills += usize::from(matches!(hit, Some(Ok(()))));
        self.kill_at = usize::MAX;
        self.client = None;
        self.seat.kill_gateway().await?;
        let heard = heard?;
        if heard.broken {
            // Whatever the agent does, its client connects anew and re-issues what was out under a new id, as the
            // stateless revision demands and clients of the others do.
            return self.send(call, &options).await;
        }
        Ok(heard)
    }

    async fn send(&mut self, call: &Scripted, options: &CallOptions) -> Result<Heard> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.seat.connect().await?,
        };
        let answer = client.call(call.tool, call.args.clone(), options).await;
        let heard = self.hear(call, &answer);
        if !heard.broken {
            self.client = Some(client);
        }
        Ok(heard)
    }

    fn hear(&self, call: &Scripted, answer: &Result<Answer, Error>) -> Heard {
        let mut heard = Heard {
            belief: Belief::Open,
            is_error: true,
            garbage: false,
            step: None,
            broken: false,
            of_earlier: false,
            text: String::new(),
        };
        heard.text = match answer {
            Ok(answer) => answer.text.chars().take(TEXT_MAX).collect(),
            Err(error) => error.to_string(),
        };
        match answer {
            Ok(answer) => {
                heard.is_error = answer.is_error;
                heard.step = answer.guard_word("step").map(str::to_owned);
                let code = answer.guard_word("code");
                heard.of_earlier = code == Some("duplicate_suppressed") || answer.guard_word("earlier").is_some();
                // The tool's own answer, perhaps given once more.
                let is_tools = matches!(code, None | Some("duplicate_suppressed"));
                heard.belief = match (answer.guard_word("executed"), answer.is_error) {
                    (_, true) if is_tools => Belief::Not { excused: true },
                    (Some("yes") | None, _) => Belief::Done,
                    (Some("no"), _) => Belief::Not { excused: is_excused(answer) },
                    (Some(_), _) => Belief::Open,
                };
                let is_receipt = !answer.is_error && code.is_none();
                heard.garbage = is_receipt && !self.is_as_promised(call, answer);
            }
            Err(Error::Status(..) | Error::Rpc { .. }) => heard.belief = Belief::Not { excused: true },
            Err(Error::Malformed(_)) => heard.garbage = true,
            Err(Error::Timeout) => {}
            Err(Error::Disconnected(_) | Error::Connect(_)) => heard.broken = true,
        }
        heard
    }

    /// Whether a success has the shape that the tool promises.
    fn is_as_promised(&self, call: &Scripted, answer: &Answer) -> bool {
        let Some(tool) = self.tools.iter().find(|tool| tool.name == call.tool) else { return false };
        match &tool.output {
            Some(schema) => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let stated = answer.structured.as_ref().unwrap_or(&Value::Null);
                required.into_iter().all(|name| stated.get(name).is_some_and(|value| !value.is_null()))
            }
            None => {
                let text = answer.raw["content"][0]["text"].as_str().unwrap_or_default();
                serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object())
            }
        }
    }

    /// Asks what has become of a step, as the gateway offers.
    async fn follow_up(&mut self, step: Option<&str>) -> Result<Belief> {
        let (Some(step), began) = (step, Instant::now()) else { return Ok(Belief::Open) };
        while began.elapsed() < self.case.scale.follow {
            let client = match self.client.take() {
                Some(client) => client,
                None => self.seat.connect().await?,
            };
            let options = CallOptions::within(self.case.scale.patience);
            let told = client.call(STATUS_TOOL, json!({ "step": step }), &options).await;
            self.client = Some(client);
            self.status = format!("{told:?}");
            match told.as_ref().ok().and_then(|answer| answer.guard_word("executed")) {
                Some("yes") => return Ok(Belief::Done),
                Some("no") => return Ok(Belief::Not { excused: true }),
                _ => tokio::time::sleep(STATUS_EVERY).await,
            }
        }
        Ok(Belief::Open)
    }
}

/// When a step began: its id is a UUID of version 7, which starts with the milliseconds since 1970.
fn begun_at(step: Option<&str>) -> SystemTime {
    let digits: String = step.unwrap_or_default().chars().filter(char::is_ascii_hexdigit).take(12).collect();
    // Without an id the answer is taken to be about this call.
    u64::from_str_radix(&digits, 16).map_or(SystemTime::now(), |millis| UNIX_EPOCH + Duration::from_millis(millis + 1))
}

/// The upstream did not do it, as opposed to a refusal of the gateway's own.
fn is_excused(answer: &Answer) -> bool {
    matches!(answer.guard_word("code"), Some("not_applied" | "upstream_unavailable"))
}

/// Effects beyond those that were meant. An absolute write that is had again changes nothing.
fn duplicates(audit: &Audit, tools: &[Tool]) -> usize {
    let repeatable = |call: &str| {
        tools.iter().any(|tool| tool.hints == Hints::Idempotent && call.split(' ').next() == Some(tool.name))
    };
    let counted = audit.counts.iter().filter(|(call, ..)| !repeatable(call));
    counted.map(|(_, meant, had)| had.saturating_sub(*meant)).sum()
}

pub fn key(call: &Scripted) -> String {
    call.args.as_object().map(|args| hash(call.tool, args)).unwrap_or_default()
}
