//! The upstreams: requests that are with them, and their own ledger of what really happened.

use crate::names::Fault;
use crate::plan::Plan;
use crate::rng::Rng;
use crate::shop::{KEY_WINDOW, LAG, QUIESCENCE, Tool};
use bytes::Bytes;
use std::collections::BTreeMap;
use vocab::{Failure, FailureKind, StepId};

/// One attempt, from the moment at which the gateway decided to send it.
#[derive(Clone, Debug)]
pub struct Flight {
    pub step: StepId,
    pub attempt: u32,
    /// Of the gateway's process.
    pub life: u32,
    pub tool: Tool,
    pub tag: u64,
    pub args: Bytes,
    /// The upstream's key, as it stands in the arguments.
    pub key: Option<String>,
    /// Its bytes have left the gateway.
    pub departed: bool,
    /// It has brought input that an earlier one asked for.
    pub is_leg: bool,
    /// Since when nobody listens to it.
    pub closed_at: Option<u64>,
    pub applied: bool,
    /// It will never have an effect.
    pub dead: bool,
    pub answered: bool,
    pub cancelled: bool,
}

impl Flight {
    /// Can it still have its effect, by an honest upstream?
    pub fn may_land(&self, now: u64, beyond: bool) -> bool {
        let last = |closed: u64| closed + micros(QUIESCENCE) * 95 / 100;
        self.departed && !self.dead && !self.applied && self.closed_at.is_none_or(|closed| beyond || now < last(closed))
    }
}

pub fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// One real effect.
#[derive(Clone, Debug)]
pub struct Entry {
    pub flight: usize,
    pub at: u64,
}

/// What happens to one attempt.
#[derive(Clone, Debug)]
pub struct Fate {
    /// Microseconds after the departure.
    pub effect: Option<u64>,
    pub answer: Option<(u64, Ending)>,
    /// The effect comes although nobody counts on it any more: the seed breaks the declared quiescence on purpose.
    pub beyond: bool,
    pub twice: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Done,
    ToolError,
    SecondHop,
    Malformed,
    BadSchema,
    Input,
    Task,
    Failed(FailureKind),
}

/// The upstreams' side of the world.
#[derive(Default)]
pub struct Upstream {
    pub flights: Vec<Flight>,
    pub ledger: BTreeMap<u64, Vec<Entry>>,
    keys: BTreeMap<String, u64>,
    /// Value of each lane, and when it was written by which flight; an outsider writes too.
    pub lanes: BTreeMap<String, Vec<(u64, i64)>>,
    items: BTreeMap<String, Vec<u64>>,
}

impl Upstream {
    /// Makes the effect of an attempt; false when there was none.
    pub fn apply(&mut self, at: usize, now: u64) -> bool {
        let flight = &mut self.flights[at];
        if flight.applied || flight.dead {
            return false;
        }
        flight.applied = true;
        let flight = flight.clone();
        if flight.tool == Tool::Pay {
            let Some(key) = flight.key.clone() else { return self.write(at, &flight, now) };
            if self.keys.get(&key).is_some_and(|since| now < since + micros(KEY_WINDOW)) {
                return false;
            }
            self.keys.insert(key, now);
        }
        // It takes each tag once, however late a copy comes.
        if flight.tool == Tool::Create && self.ledger.contains_key(&flight.tag) {
            return false;
        }
        self.write(at, &flight, now)
    }

    fn write(&mut self, at: usize, flight: &Flight, now: u64) -> bool {
        let entry = Entry { flight: at, at: now };
        self.ledger.entry(flight.tag).or_default().push(entry);
        match flight.tool {
            Tool::Set | Tool::Put => {
                let lane = text_after(&flight.args, "\"lane\":\"").unwrap_or_default();
                let value = number_after(&flight.args, "\"value\":").unwrap_or(0);
                self.lanes.entry(lane).or_default().push((now, value.cast_signed()));
            }
            Tool::Add => {
                let item = text_after(&flight.args, "\"item\":\"").unwrap_or_default();
                self.items.entry(item).or_default().push(now);
            }
            _ => {}
        }
        true
    }

    /// Somebody else changes a lane.
    pub fn outsider(&mut self, lane: &str, now: u64, value: i64) {
        self.lanes.entry(lane.to_owned()).or_default().push((now, value));
    }

    pub fn count(&self, tag: u64) -> usize {
        self.ledger.get(&tag).map_or(0, Vec::len)
    }

    pub fn by_step(&self, step: StepId) -> usize {
        self.flights
            .iter()
            .enumerate()
            .filter(|(_, flight)| flight.step == step)
            .map(|(at, flight)| self.ledger.get(&flight.tag).map_or(0, |all| of_flight(all, at)))
            .sum()
    }

    pub fn may_land(&self, step: StepId, now: u64) -> bool {
        self.flights.iter().any(|flight| {
            flight.step == step
                && !flight.dead
                && !flight.applied
                && flight.closed_at.is_none_or(|closed| now < closed + micros(QUIESCENCE))
        })
    }

    /// The answer of a read, as it was `lag` microseconds ago.
    pub fn look(&self, read: &str, args: &[u8], now: u64, lag: u64) -> Bytes {
        let at = now.saturating_sub(lag);
        let shown = match read {
            "look_lane" => {
                let lane = text_after(args, "\"lane\":\"").unwrap_or_default();
                let value = self.lanes.get(&lane).and_then(|all| all.iter().rev().find(|(when, _)| *when <= at));
                format!("\"value\":{}", value.map_or(0, |(_, value)| *value))
            }
            "count" => {
                let item = text_after(args, "\"item\":\"").unwrap_or_default();
                let count = self.items.get(&item).map_or(0, |all| all.iter().filter(|when| **when <= at).count());
                format!("\"count\":{count}")
            }
            _ => {
                let tag = number_after(args, "\"tag\":").unwrap_or(0);
                let count = self.ledger.get(&tag).map_or(0, |all| all.iter().filter(|one| one.at <= at).count());
                format!("\"count\":{count}")
            }
        };
        Bytes::from(format!(r#"{{"content":[{{"type":"text","text":"read"}}],"structuredContent":{{{shown}}}}}"#))
    }
}

fn of_flight(entries: &[Entry], at: usize) -> usize {
    entries.iter().filter(|entry| entry.flight == at).count()
}

/// The digits after a marker: the ledger reads what was sent, not what was meant.
pub fn number_after(bytes: &[u8], marker: &str) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let rest = text[text.find(marker)? + marker.len()..].trim_start();
    let end = rest.find(|one: char| !one.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

pub fn text_after(bytes: &[u8], marker: &str) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let rest = &text[text.find(marker)? + marker.len()..];
    Some(rest[..rest.find('"')?].to_owned())
}

/// Draws what becomes of an attempt; counts what is injected.
pub fn fate(plan: &Plan, rng: &mut Rng, tool: Tool, is_leg: bool, hit: &mut impl FnMut(Fault)) -> Fate {
    let quick = rng.between(2_000, 80_000);
    let plain = match tool {
        Tool::Ask if !is_leg => Ending::Input,
        Tool::Slow => Ending::Task,
        _ => Ending::Done,
    };
    let has_effect = !matches!(plain, Ending::Input | Ending::Task) && tool != Tool::Get;
    let mut fate =
        Fate { effect: has_effect.then_some(quick / 2), answer: Some((quick, plain)), beyond: false, twice: false };
    let mut strikes = |fault: Fault, rng: &mut Rng| {
        let strikes = rng.chance(plan.intensity(fault));
        if strikes {
            hit(fault);
        }
        strikes
    };
    for (fault, kind) in REFUSALS {
        if strikes(*fault, rng) {
            let kind = match kind {
                FailureKind::Status(429) => rng.pick(&[429, 401, 404, 421]).map_or(*kind, FailureKind::Status),
                kind => *kind,
            };
            return Fate { effect: None, answer: Some((quick, Ending::Failed(kind))), ..fate };
        }
    }
    if strikes(Fault::ToolFails, rng) {
        return Fate { effect: None, answer: Some((quick, Ending::ToolError)), ..fate };
    }
    if has_effect {
        for (fault, ending) in AMBIGUOUS {
            if strikes(*fault, rng) {
                let mut answer = Some((quick, ending.clone()));
                match fault {
                    Fault::EffectThenSchema if !tool.is_structured() => answer = Some((quick, Ending::Malformed)),
                    Fault::EffectThenSilence => answer = None,
                    // The request itself was lost: whoever waits hears the same as when its answer was.
                    Fault::RequestLost => fate.effect = None,
                    _ => {}
                }
                fate.answer = answer;
                break;
            }
        }
        let is_done = matches!(fate.answer, Some((_, Ending::Done | Ending::Malformed | Ending::BadSchema)));
        if fate.effect.is_some() && !is_done {
            // The time of the effect and the time of the answer have nothing to do with each other.
            if strikes(Fault::LateEffect, rng) {
                fate.effect = Some(quick + rng.below(micros(QUIESCENCE) * 9 / 10));
            } else if strikes(Fault::BeyondQuiescence, rng) {
                fate.effect = Some(quick + micros(QUIESCENCE) + rng.below(600_000_000));
                fate.beyond = true;
            } else if rng.chance(400) {
                fate.effect = None;
            }
        }
    } else if tool == Tool::Get && (strikes(Fault::AnswerLost, rng) || strikes(Fault::Reset, rng)) {
        fate.answer = Some((quick, Ending::Failed(FailureKind::Reset)));
    }
    if strikes(Fault::AnswerSlow, rng)
        && let Some((at, _)) = &mut fate.answer
    {
        *at += rng.below(40_000_000);
        if let Some(effect) = fate.effect.filter(|_| rng.chance(500) && !fate.beyond) {
            fate.effect = Some(effect.max(*at - 1_000));
        }
    }
    fate.twice = strikes(Fault::AnswerTwice, rng);
    fate
}

pub fn lag(plan: &Plan, rng: &mut Rng, hit: &mut impl FnMut(Fault)) -> u64 {
    if rng.chance(plan.intensity(Fault::StaleRead)) {
        hit(Fault::StaleRead);
        return rng.below(micros(LAG));
    }
    0
}

const REFUSALS: &[(Fault, FailureKind)] = &[
    (Fault::ConnectRefused, FailureKind::Connect),
    (Fault::CutRequest, FailureKind::Cut),
    (Fault::StreamRefused, FailureKind::StreamRefused),
    (Fault::Shed, FailureKind::Status(429)),
];

const AMBIGUOUS: &[(Fault, Ending)] = &[
    (Fault::RequestLost, Ending::Failed(FailureKind::Reset)),
    (Fault::AnswerLost, Ending::Failed(FailureKind::Eof)),
    (Fault::HalfClose, Ending::Failed(FailureKind::Eof)),
    (Fault::Reset, Ending::Failed(FailureKind::Reset)),
    (Fault::ProxyError, Ending::Failed(FailureKind::Status(502))),
    (Fault::Redirect, Ending::Failed(FailureKind::Status(307))),
    (Fault::EffectThenCrash, Ending::Failed(FailureKind::Exit)),
    (Fault::EffectThenError, Ending::SecondHop),
    (Fault::EffectThenMalformed, Ending::Malformed),
    (Fault::EffectThenSchema, Ending::BadSchema),
    (Fault::EffectThen32602, Ending::Failed(FailureKind::Rpc { code: -32602, status: None })),
    (Fault::EffectThen32603, Ending::Failed(FailureKind::Rpc { code: -32603, status: None })),
    (Fault::EffectThen503, Ending::Failed(FailureKind::Status(503))),
    (Fault::EffectThenSilence, Ending::Failed(FailureKind::Timeout)),
];

/// The words of an ending, as the transport hands them up.
pub fn answer(ending: &Ending, flight: &Flight, who: &str) -> Result<Bytes, Failure> {
    let tag = flight.tag;
    let tool = flight.tool.as_str();
    let body = |text: &str| {
        Bytes::from(format!(
            r#"{{"content":[{{"type":"text","text":"{text}"}}],"structuredContent":{{"tag":{tag},"tool":"{tool}","who":"{who}"}}}}"#
        ))
    };
    match ending {
        Ending::Done => Ok(body("done")),
        Ending::ToolError => Ok(Bytes::from(format!(
            r#"{{"isError":true,"content":[{{"type":"text","text":"no such order"}}],"structuredContent":{{"tag":{tag},"tool":"{tool}","who":"{who}"}}}}"#
        ))),
        Ending::SecondHop => Ok(Bytes::from_static(
            br#"{"isError":true,"content":[{"type":"text","text":"timeout while calling the second hop"}]}"#,
        )),
        Ending::Malformed => Ok(Bytes::from_static(br#"{"content":[{"type":"text","text":"POISON"}],"content":[]}"#)),
        Ending::BadSchema => {
            Ok(Bytes::from_static(br#"{"content":[{"type":"text","text":"POISON"}],"structuredContent":{"no":1}}"#))
        }
        Ending::Input => Ok(Bytes::from(format!(
            r#"{{"resultType":"input_required","requestState":"state-{tag}","inputRequests":{{}}}}"#
        ))),
        Ending::Task => Ok(Bytes::from(format!(
            r#"{{"task":{{"taskId":"task-{tag}-{}","status":"working","ttl":600000,"createdAt":"2026-01-01T00:00:00Z","lastUpdatedAt":"2026-01-01T00:00:00Z"}}}}"#,
            flight.attempt
        ))),
        Ending::Failed(kind) => {
            let mut failure = Failure::new(*kind, "simulated");
            if let FailureKind::Rpc { code, .. } = kind {
                failure.rpc_error = Some(Bytes::from(format!(r#"{{"code":{code},"message":"simulated"}}"#)));
            }
            Err(failure)
        }
    }
}
