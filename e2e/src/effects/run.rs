//! Plays all cases of a matrix, some at a time.

use super::agent;
use super::case::{Agent, Case, Route, Scale, Transport, Trouble};
use super::seat::{Programs, Seat};
use super::tally::Score;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::worlds::MEASURED;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What is played.
#[derive(Clone, Debug)]
pub struct Matrix {
    pub server: PathBuf,
    pub gateway: Option<PathBuf>,
    pub routes: Vec<Route>,
    pub troubles: Vec<Trouble>,
    pub transports: Vec<Transport>,
    pub seeds: std::ops::Range<u64>,
    /// Short time spans, for a test that has minutes; else those that clients really have.
    pub hurried: bool,
    /// Cases at a time.
    pub parallel: usize,
    /// Tell on standard error how each case through the gateway that is not clean came about.
    pub explain: bool,
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A case that goes on for longer is a failure of the harness or a hang of the gateway.
const CASE_WAIT: Duration = Duration::from_secs(60 * 60);

impl Matrix {
    fn scale(&self, route: Route) -> Scale {
        let quick =
            Scale { calls: 8, patience: millis(300), late: millis(600), think: Duration::ZERO, follow: Duration::ZERO };
        match (route, self.hurried) {
            (Route::Direct, _) => quick,
            // The TypeScript SDK gives up after 60 s; these are the defaults that `init` leaves in force.
            (Route::Init, false) => Scale {
                calls: 5,
                patience: millis(60_000),
                late: millis(62_000),
                think: millis(2_200),
                follow: millis(180_000),
            },
            (_, true) => Scale {
                calls: 5,
                patience: millis(3_000),
                late: millis(3_500),
                think: millis(2_200),
                follow: millis(3_000),
            },
            (_, false) => Scale {
                calls: 8,
                patience: millis(12_000),
                late: millis(13_000),
                think: millis(2_200),
                follow: millis(40_000),
            },
        }
    }

    pub fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for seed in self.seeds.clone() {
            for &route in &self.routes {
                for &trouble in &self.troubles {
                    for &transport in self.transports.iter().filter(|&&over| trouble.applies(over, route)) {
                        for world in MEASURED {
                            for agent in Agent::ALL {
                                let scale = self.scale(route);
                                cases.push(Case { world, trouble, agent, transport, route, seed, scale });
                            }
                        }
                    }
                }
            }
        }
        // The slow ones first, so that none is left alone in the end.
        cases.sort_by_key(|case| std::cmp::Reverse(case.settles_after()));
        cases
    }
}

/// Plays the cases and returns each with its score; `progress` hears how many are done.
///
/// # Errors
/// A case could not be played at all: its seed and what it consists of are named.
pub async fn run(matrix: &Matrix, progress: impl Fn(usize, usize, Duration)) -> Result<Vec<(Case, Score)>> {
    let programs = Programs { server: matrix.server.clone(), gateway: matrix.gateway.clone() };
    let places = Arc::new(Semaphore::new(matrix.parallel));
    let (mut playing, began) = (JoinSet::new(), Instant::now());
    let cases = matrix.cases();
    let count = cases.len();
    for case in cases {
        let (programs, places, explain) = (programs.clone(), Arc::clone(&places), matrix.explain);
        playing.spawn(async move {
            let _place = places.acquire_owned().await;
            let played = tokio::time::timeout(CASE_WAIT, play(case, &programs, explain)).await;
            played.with_context(|| format!("{case:?} went on for {CASE_WAIT:?}"))?.map(|score| (case, score))
        });
    }
    let mut scores = Vec::with_capacity(count);
    while let Some(played) = playing.join_next().await {
        scores.push(played??);
        progress(scores.len(), count, began.elapsed());
    }
    Ok(scores)
}

async fn play(case: Case, programs: &Programs, explain: bool) -> Result<Score> {
    let mut seat = Seat::take(case, programs).await.with_context(|| format!("prepare {case:?}"))?;
    let score = agent::play(case, &mut seat).await;
    let score = score.with_context(|| format!("play {case:?}"))?;
    let is_harmless = score.is_truthful() && score.duplicates == 0 && score.garbage == 0;
    if case.route != Route::Direct && (!is_harmless || explain && !score.is_clean) {
        report(&case, &score, &seat, is_harmless);
    }
    Ok(score)
}

/// Harm through the gateway is a defect; what is needed to find it goes to standard error.
fn report(case: &Case, score: &Score, seat: &Seat, is_harmless: bool) {
    use std::io::Write;
    let mut out = std::io::stderr().lock();
    let ledger = seat.entries().unwrap_or_default();
    let title = if is_harmless { "NOT CLEAN" } else { "HARM" };
    let mut text = format!("\n{title} {case:?}\n{score:?}\n");
    for entry in ledger {
        text += &format!("  ledger {} {} {:?}\n", entry.n, entry.tool, entry.args);
    }
    for line in seat.log().lines().rev().take(60).collect::<Vec<_>>().into_iter().rev() {
        text += &format!("  log {line}\n");
    }
    out.write_all(text.as_bytes()).unwrap_or_default();
}
