//! One world: its seed, the faults that are on, and who acts in it. A plan is small enough to read, and to shrink.

use crate::names::Fault;
use crate::rng::Rng;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How an agent behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Waits, and asks again under the same name when it is told that nothing is known.
    Obedient,
    /// Asks again before the first answer is there.
    Hammering,
    /// Asks again in other words.
    Rewording,
    /// Loses answers and names, and asks again without any.
    Forgetful,
    /// Tries what was refused under another name.
    Evading,
    /// Uses names that belong to something else, and says to have got what it has not.
    Lying,
}

impl Manner {
    pub const ALL: &'static [Self] =
        &[Self::Obedient, Self::Hammering, Self::Rewording, Self::Forgetful, Self::Evading, Self::Lying];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Obedient => "obedient",
            Self::Hammering => "hammering",
            Self::Rewording => "rewording",
            Self::Forgetful => "forgetful",
            Self::Evading => "evading",
            Self::Lying => "lying",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPlan {
    /// Its own name, so that dropping another agent does not change what it draws.
    pub number: u8,
    pub manner: Manner,
    /// How many things it wants.
    pub wishes: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    /// With its intensity, in parts of a thousand of the cases in which it could strike.
    pub faults: BTreeMap<Fault, u32>,
    pub agents: Vec<AgentPlan>,
}

impl Plan {
    /// Swarm testing: each seed switches on some faults only, because a seed with everything on finds little.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::of(seed, "plan");
        let share = rng.pick(&[0, 40, 100, 200, 350]).unwrap_or(100);
        let mut faults = BTreeMap::new();
        for fault in Fault::ALL {
            if rng.chance(share) {
                let intensity = rng.pick(&[30, 100, 300, 700]).unwrap_or(100);
                faults.insert(*fault, u32::try_from(intensity).unwrap_or(100));
            }
        }
        let count = rng.between(1, 6);
        let agents = (0..count)
            .map(|number| AgentPlan {
                number: u8::try_from(number).unwrap_or(0),
                manner: rng.pick(Manner::ALL).unwrap_or(Manner::Obedient),
                wishes: u32::try_from(rng.between(2, 14)).unwrap_or(2),
            })
            .collect();
        Self { seed, faults, agents }
    }

    pub fn intensity(&self, fault: Fault) -> u32 {
        self.faults.get(&fault).copied().unwrap_or(0)
    }

    /// As a scenario file holds it.
    pub fn to_text(&self) -> String {
        let mut text = format!("seed {}\n", self.seed);
        for (fault, intensity) in &self.faults {
            writeln!(text, "fault {} {intensity}", fault.as_str()).unwrap_or_default();
        }
        for agent in &self.agents {
            writeln!(text, "agent {} {} {}", agent.number, agent.manner.as_str(), agent.wishes).unwrap_or_default();
        }
        text
    }

    /// # Errors
    /// The text is no plan; lines that begin with `#` are comments.
    pub fn parse(text: &str) -> Result<Self> {
        let mut plan = Self { seed: 0, faults: BTreeMap::new(), agents: Vec::new() };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["seed", seed] => plan.seed = seed.parse().context("read the seed")?,
                ["fault", name, intensity] => {
                    let fault = Fault::parse(name).with_context(|| format!("find the fault {name}"))?;
                    plan.faults.insert(fault, intensity.parse().context("read an intensity")?);
                }
                ["agent", number, manner, wishes] => plan.agents.push(AgentPlan {
                    number: number.parse().context("read an agent's number")?,
                    manner: Manner::parse(manner).with_context(|| format!("find the manner {manner}"))?,
                    wishes: wishes.parse().context("read a number of wishes")?,
                }),
                _ => bail!("read the line {line:?}"),
            }
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_back_from_its_own_text() {
        for seed in 0..50 {
            let plan = Plan::of(seed);
            assert_eq!(Plan::parse(&plan.to_text()).expect("it was written a moment ago"), plan);
        }
        assert!(Plan::parse("fault no_such_thing 3").is_err());
    }
}
