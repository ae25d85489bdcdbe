//! Faults at the server: drawn per call from a seed, or scripted for the next call of a tool.

use crate::random::Random;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What goes wrong with one call. On stdio each becomes the nearest thing that a pipe can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 503, no effect. Stdio: JSON-RPC error -32603.
    Before503,
    /// An `isError` result, no effect.
    BeforeIsError,
    /// The effect, then the connection is closed without an answer. Stdio: silence, or the process ends.
    EffectLost,
    /// The effect, then 504. Stdio: JSON-RPC error -32603.
    Effect504,
    /// The effect, then the answer after `late`.
    EffectLate,
    /// The effect, then an answer that is none.
    EffectBad(Bad),
    /// Nothing until `late`, then the effect, although the caller may have left.
    EffectAfter,
    /// A read shows the world before the last change. Nothing for a mutation.
    StaleRead,
    /// The request arrives twice, and is answered once.
    Duplicate,
}

/// How an answer is misshapen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Half of the JSON under the length of half of it.
    CutJson,
    /// Half of the JSON under the length of all of it, then the connection is closed.
    CutBody,
    /// A good answer to another request.
    WrongId,
    /// Structured content, or else content, that is not what was promised.
    WrongShape,
    /// A web page.
    NotJson,
    /// An empty object as result.
    NoContent,
}

impl Bad {
    pub const ALL: [Self; 6] =
        [Self::CutJson, Self::CutBody, Self::WrongId, Self::WrongShape, Self::NotJson, Self::NoContent];
}

impl Fault {
    /// One of each kind; a misshapen answer is drawn anew from `Bad::ALL` each time.
    pub const KINDS: [Self; 9] = [
        Self::Before503,
        Self::BeforeIsError,
        Self::EffectLost,
        Self::Effect504,
        Self::EffectLate,
        Self::EffectBad(Bad::CutJson),
        Self::EffectAfter,
        Self::StaleRead,
        Self::Duplicate,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Before503 => "before_503",
            Self::BeforeIsError => "before_is_error",
            Self::EffectLost => "effect_lost",
            Self::Effect504 => "effect_504",
            Self::EffectLate => "effect_late",
            Self::EffectBad(Bad::CutJson) => "effect_bad",
            Self::EffectBad(Bad::CutBody) => "effect_cut_body",
            Self::EffectBad(Bad::WrongId) => "effect_wrong_id",
            Self::EffectBad(Bad::WrongShape) => "effect_wrong_shape",
            Self::EffectBad(Bad::NotJson) => "effect_not_json",
            Self::EffectBad(Bad::NoContent) => "effect_no_content",
            Self::EffectAfter => "effect_after",
            Self::StaleRead => "stale_read",
            Self::Duplicate => "duplicate",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        if text == "effect_cut_json" {
            return Some(Self::EffectBad(Bad::CutJson));
        }
        let bad = Bad::ALL.into_iter().map(Self::EffectBad);
        Self::KINDS.into_iter().chain(bad).find(|fault| fault.as_str() == text)
    }
}

/// How often which fault strikes. Written as `effect_lost=0.3,late_ms=3000,next:pay=effect_504`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub seed: u64,
    /// At most one fault strikes a call, so the rates add up to at most 1.
    pub rates: Vec<(Fault, f64)>,
    /// How late a late answer or effect is: longer than the client waits.
    pub late: Duration,
    /// How long the server works before an effect; callers that leave meanwhile leave in the middle.
    pub work: Duration,
    /// Strike reads with the faults of mutations, too.
    pub reads: bool,
    /// On stdio a lost reply ends the process instead of being silence.
    pub exit_on_lost: bool,
    /// For the next calls, before anything is drawn; `None` as tool is any.
    pub next: Vec<(Option<String>, Fault)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 0,
            rates: Vec::new(),
            late: Duration::from_secs(3),
            work: Duration::ZERO,
            reads: false,
            exit_on_lost: false,
            next: Vec::new(),
        }
    }
}

impl Plan {
    pub fn of(fault: Fault, rate: f64, seed: u64) -> Self {
        Self { seed, rates: vec![(fault, rate)], ..Self::default() }
    }

    /// As `FromStr` reads it.
    pub fn to_text(&self) -> String {
        let mut parts = vec![
            format!("seed={}", self.seed),
            format!("late_ms={}", self.late.as_millis()),
            format!("work_ms={}", self.work.as_millis()),
        ];
        if self.reads {
            parts.push("reads=on".into());
        }
        if self.exit_on_lost {
            parts.push("lost=exit".into());
        }
        parts.extend(self.rates.iter().map(|(fault, rate)| format!("{}={rate}", fault.as_str())));
        for (tool, fault) in &self.next {
            parts.push(format!("next:{}={}", tool.as_deref().unwrap_or("*"), fault.as_str()));
        }
        parts.join(",")
    }

    /// Each kind equally often, together at `rate`.
    pub fn mixed(rate: f64, seed: u64) -> Self {
        let rates = Fault::KINDS.map(|fault| (fault, rate / Fault::KINDS.len() as f64)).to_vec();
        Self { seed, rates, ..Self::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "read the fault plan: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

impl FromStr for Plan {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut plan = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let bad = || Malformed(format!("{part:?} is no part of a plan"));
            let (name, value) = part.split_once('=').ok_or_else(bad)?;
            let rate = || value.parse().ok().filter(|rate| (0.0..=1.0).contains(rate)).ok_or_else(bad);
            match name {
                "seed" => plan.seed = value.parse().map_err(|_| bad())?,
                "late_ms" => plan.late = Duration::from_millis(value.parse().map_err(|_| bad())?),
                "work_ms" => plan.work = Duration::from_millis(value.parse().map_err(|_| bad())?),
                "reads" => plan.reads = value == "on",
                "lost" => plan.exit_on_lost = value == "exit",
                "mixed" => plan.rates.extend(Self::mixed(rate()?, 0).rates),
                _ => match name.strip_prefix("next:") {
                    Some(tool) => {
                        let tool = Some(tool).filter(|tool| *tool != "*").map(str::to_owned);
                        plan.next.push((tool, Fault::parse(value).ok_or_else(bad)?));
                    }
                    None => plan.rates.push((Fault::parse(name).ok_or_else(bad)?, rate()?)),
                },
            }
        }
        if plan.rates.iter().map(|(_, rate)| rate).sum::<f64>() > 1.0 + 1e-9 {
            return Err(Malformed("the rates add up to more than 1".into()));
        }
        Ok(plan)
    }
}

/// Draws the fault of each call.
#[derive(Debug, Default)]
pub struct Faults {
    plan: Plan,
    calls: AtomicU64,
    struck: AtomicU64,
    next: Mutex<VecDeque<(Option<String>, Fault)>>,
}

impl Faults {
    pub fn new(plan: Plan) -> Self {
        let next = Mutex::new(plan.next.iter().cloned().collect());
        Self { plan, calls: AtomicU64::new(0), struck: AtomicU64::new(0), next }
    }

    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The next call of the tool (or of any) meets this fault.
    pub fn script(&self, tool: Option<&str>, fault: Fault) {
        let mut next = self.next.lock();
        if next.len() < SCRIPT_MAX {
            next.push_back((tool.map(Into::into), fault));
        }
    }

    /// How many calls met a fault.
    pub fn struck(&self) -> u64 {
        self.struck.load(Ordering::Relaxed)
    }

    pub(crate) fn draw(&self, tool: &str, is_mutation: bool) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let fault = self.scripted(tool).or_else(|| self.drawn(call, is_mutation));
        if fault.is_some() {
            self.struck.fetch_add(1, Ordering::Relaxed);
        }
        fault
    }

    fn scripted(&self, tool: &str) -> Option<Fault> {
        let mut next = self.next.lock();
        let at = next.iter().position(|(only, _)| only.as_deref().is_none_or(|only| only == tool))?;
        next.remove(at).map(|(_, fault)| fault)
    }

    fn drawn(&self, call: u64, is_mutation: bool) -> Option<Fault> {
        let mut random = Random::of(self.plan.seed, call);
        let mut left = random.unit();
        for (fault, rate) in &self.plan.rates {
            left -= rate;
            if left >= 0.0 {
                continue;
            }
            return match fault {
                Fault::StaleRead if is_mutation => None,
                Fault::StaleRead => Some(Fault::StaleRead),
                _ if !is_mutation && !self.plan.reads => None,
                Fault::EffectBad(_) => Some(Fault::EffectBad(Bad::ALL[random.below(Bad::ALL.len())])),
                other => Some(*other),
            };
        }
        None
    }
}

const SCRIPT_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_faults() {
        let draw = |seed| {
            let faults = Faults::new(Plan::mixed(0.5, seed));
            (0..200).map(|_| faults.draw("x", true)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_rate_is_met() {
        let faults = Faults::new(Plan::of(Fault::EffectLost, 0.3, 7));
        let struck = (0..10_000).filter(|_| faults.draw("x", true).is_some()).count();
        assert!((2_800..3_200).contains(&struck), "{struck}");
        assert_eq!((0..100).filter(|_| faults.draw("x", false).is_some()).count(), 0, "reads are spared");
    }

    #[test]
    fn a_script_comes_before_the_draw_and_once() {
        let faults = Faults::new("next:pay=effect_504,next:*=effect_lost".parse().expect("a plan"));
        assert_eq!(faults.draw("get", false), Some(Fault::EffectLost));
        assert_eq!(faults.draw("get", false), None);
        assert_eq!(faults.draw("pay", true), Some(Fault::Effect504));
        assert_eq!(faults.draw("pay", true), None);
    }

    #[test]
    fn a_plan_is_read_as_it_is_written() {
        let next = vec![(None, Fault::EffectBad(Bad::WrongId)), (Some("pay".into()), Fault::Effect504)];
        let plan =
            Plan { work: Duration::from_millis(20), reads: true, exit_on_lost: true, next, ..Plan::mixed(0.3, 9) };
        assert_eq!(plan.to_text().parse(), Ok(plan));
    }

    #[test]
    fn a_plan_that_cannot_be_is_refused() {
        for text in ["effect_lost", "effect_lost=2", "effect_lost=0.6,effect_504=0.6", "nonsense=0.1", "next:x=y"] {
            assert!(text.parse::<Plan>().is_err(), "{text}");
        }
        for fault in Fault::KINDS {
            assert_eq!(Fault::parse(fault.as_str()), Some(fault));
        }
    }
}
