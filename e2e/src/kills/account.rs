//! The account of a campaign: per tool, what each intent came to; and every promise that was broken.

use super::crew::Belief;
use super::records::Settled;
use std::collections::BTreeMap;
use std::time::Duration;

/// One or more rounds.
#[derive(Debug, Default)]
pub struct Account {
    /// Where the gateway was ended, and how often.
    pub kills: BTreeMap<String, usize>,
    /// The upstream's server was killed.
    pub server_kills: usize,
    pub rounds: usize,
    pub tools: BTreeMap<&'static str, Line>,
    /// Calls beyond the first of an intent.
    pub reissued: usize,
    /// Effects in the ledger.
    pub effects: usize,
    /// How long an agent that was struck waited for the last word.
    pub waits: Vec<Duration>,
    /// From the end of a process to the next one's readiness.
    pub starts: Vec<Duration>,
    pub broken: Vec<Broken>,
}

/// All intents of one tool.
#[derive(Clone, Debug, Default)]
pub struct Line {
    pub intents: usize,
    /// With no effect, one, more.
    pub effects: [usize; 3],
    /// Told yes, no, that it is not known, nothing; as `Belief` counts.
    pub told: [usize; 4],
    /// In the journal at the end: done, not done, an error reported, waits for a person, still open, no step.
    pub ends: [usize; 6],
    /// Steps that a kill struck, by how they were settled; as `Settled` counts.
    pub struck: [usize; Settled::ALL.len()],
    /// How long each took that was settled.
    pub took: Vec<Duration>,
}

/// A promise that was broken, with the case.
#[derive(Clone, Debug)]
pub struct Broken {
    pub promise: Promise,
    pub case: String,
}

/// What a campaign holds the gateway to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// No second effect.
    Once,
    /// Told yes: it is there.
    Yes,
    /// Told no: it is not there, and does not come later.
    No,
    /// Every effect has a step, and what was told stands in it.
    Recorded,
    /// No effect without an intent.
    Meant,
}

impl Promise {
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Once, "duplicates"),
        (Self::Yes, "told yes, but did not (lost)"),
        (Self::No, "told no, but happened"),
        (Self::Recorded, "steps missing from the journal, or not as they were told"),
        (Self::Meant, "effects that nobody meant"),
    ];
}

impl Account {
    pub fn killed(&self) -> usize {
        self.kills.values().sum()
    }

    pub fn intents(&self) -> usize {
        self.tools.values().map(|line| line.intents).sum()
    }

    pub fn told(&self, belief: Belief) -> usize {
        self.tools.values().map(|line| line.told[belief as usize]).sum()
    }

    pub fn strike(&mut self, at: &str, count: usize) {
        *self.kills.entry(at.into()).or_default() += count;
    }

    /// Takes another round in.
    pub fn add(&mut self, other: Self) {
        for (at, count) in &other.kills {
            self.strike(at, *count);
        }
        for (tool, line) in other.tools {
            self.tools.entry(tool).or_default().add(line);
        }
        self.server_kills += other.server_kills;
        self.rounds += other.rounds;
        self.reissued += other.reissued;
        self.effects += other.effects;
        self.waits.extend(other.waits);
        self.starts.extend(other.starts);
        self.broken.extend(other.broken);
    }
}

impl Line {
    pub fn add(&mut self, other: Self) {
        self.intents += other.intents;
        sum(&mut self.effects, other.effects);
        sum(&mut self.told, other.told);
        sum(&mut self.ends, other.ends);
        sum(&mut self.struck, other.struck);
        self.took.extend(other.took);
    }

    /// Steps that may have been sent when a kill struck and of which no answer was durable: their outcome was unknown
    /// at that moment.
    pub fn unknown(&self) -> usize {
        Settled::ALL
            .into_iter()
            .filter(|how| !matches!(how, Settled::Unsent | Settled::Stored))
            .map(|how| self.struck[how as usize])
            .sum()
    }

    /// Of those, how many became known without a person.
    pub fn resolved(&self) -> usize {
        [Settled::Probe, Settled::Again].into_iter().map(|how| self.struck[how as usize]).sum()
    }
}

fn sum<const N: usize>(to: &mut [usize; N], from: [usize; N]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

/// The value below which this share of `spans` lies; zero for none.
pub fn quantile(spans: &mut [Duration], share: f64) -> Duration {
    spans.sort_unstable();
    let at = (spans.len() as f64 * share) as usize;
    spans.get(at.min(spans.len().saturating_sub(1))).copied().unwrap_or_default()
}
