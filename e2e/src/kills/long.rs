//! The long run: round after round with a new journal each, so that a finding is small enough to be looked into.

use super::{Account, Campaign, Upstream};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinSet;

/// What is done to the gateway in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    Random,
    Starts,
    AfterEffects,
    Points,
}

/// A run of at least so many kills.
pub struct Long {
    pub kills: usize,
    /// Kills of one round, about.
    pub per_round: usize,
    /// Rounds at a time; each is mostly waiting.
    pub parallel: usize,
    pub seed: u64,
    /// The release binary.
    pub binary: PathBuf,
    /// The build that differs only by `failpoints`.
    pub failpoints: PathBuf,
    /// One with the subcommand `ledger`.
    pub program: PathBuf,
}

/// The courses of ten rounds; the transport alternates, and shifts by one each time.
const COURSES: [Course; 10] = [
    Course::Random,
    Course::Points,
    Course::Random,
    Course::Starts,
    Course::Random,
    Course::AfterEffects,
    Course::Random,
    Course::Points,
    Course::Random,
    Course::Starts,
];
/// Kills between two of the upstream's server.
const SERVER_EVERY: usize = 50;

impl Long {
    /// `told` hears the account so far after each round.
    ///
    /// # Errors
    /// A gateway does not come back; what it wrote is in the error.
    pub async fn run(self, mut told: impl FnMut(&Account) -> Result<()>) -> Result<Account> {
        let long = Arc::new(self);
        let (mut account, mut rounds, mut next) = (Account::default(), JoinSet::new(), 0);
        loop {
            while rounds.len() < long.parallel && account.killed() + rounds.len() * long.per_round < long.kills {
                rounds.spawn(Arc::clone(&long).numbered(next));
                next += 1;
            }
            let Some(done) = rounds.join_next().await else { return Ok(account) };
            account.add(done??);
            told(&account)?;
        }
    }

    async fn numbered(self: Arc<Self>, round: usize) -> Result<Account> {
        let course = COURSES[round % COURSES.len()];
        let upstream = match (round + round / COURSES.len()).is_multiple_of(2) {
            true => Upstream::Http,
            false => Upstream::Stdio,
        };
        let seed = self.seed.wrapping_add(round as u64);
        let done = self.round(course, upstream, seed).await;
        done.with_context(|| format!("round {round}: {course:?} over {upstream:?}, seed {seed}"))
    }

    async fn round(&self, course: Course, upstream: Upstream, seed: u64) -> Result<Account> {
        let binary = if course == Course::Points { &self.failpoints } else { &self.binary };
        let mut campaign = Campaign::begin(binary, &self.program, upstream, seed).await?;
        let mut next_server = SERVER_EVERY;
        while campaign.killed() < self.per_round {
            match course {
                Course::Random => campaign.kill_at_random(1).await,
                Course::Starts => campaign.kill_in_starts(1).await,
                Course::AfterEffects => campaign.kill_after_effects(1).await,
                Course::Points => campaign.kill_at_points(1).await,
            }?;
            if campaign.killed() >= next_server {
                next_server += SERVER_EVERY;
                campaign.kill_server().await?;
            }
        }
        campaign.end().await
    }
}
