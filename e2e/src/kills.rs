//! Agents that go on with their work while the gateway is killed again and again, and the audit of what came of it.
//!
//! Each thing that an agent means carries an intent tag in its arguments; a call that broke off is re-issued with the
//! same tag under a new id, as MCP demands. The audit reads the server's ledger, what the agents were told, and the
//! journal at rest; it never asks the gateway.

mod account;
mod audit;
mod crew;
mod long;
mod records;
mod shared;
mod table;

use crate::gateway::{Gateway, Setup};
use crate::server::{self, Server};
use anyhow::Result;
use crew::{Crew, Told};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::Random;

pub use account::{Account, Broken, Line, Promise};
pub use crew::Belief;
pub use long::{Course, Long};
pub use records::Settled;
pub use shared::Shared;
pub use table::render;

/// How the gateway reaches the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    Stdio,
    Http,
}

/// Where the agents' side, the server and their files are.
pub struct Campaign {
    gateway: Gateway,
    server: Option<Server>,
    ledger: PathBuf,
    crew: Crew,
    random: Random,
    account: Account,
}

/// Where a build with `failpoints` can be made to end.
pub const POINTS: [&str; 9] = [
    "before_intent_commit",
    "after_intent_commit",
    "before_send",
    "after_receipt",
    "before_outcome_commit",
    "after_outcome_commit",
    "before_release",
    "during_probe",
    IN_RECOVERY,
];
const IN_RECOVERY: &str = "during_recovery";

/// How long a start, a piece of work and a kill apart may be.
const PAUSE_MAX_MS: usize = 140;
/// A start that is struck is struck within this time.
const START_MAX_MS: usize = 60;
/// Starts that are struck in a row.
pub const DEPTH_MAX: usize = 3;
/// A named point that is never passed leaves the process alive.
const POINT_WAIT: Duration = Duration::from_secs(8);
/// In a long run the next point is as good.
const POINT_WAIT_SHORT: Duration = Duration::from_secs(1);
/// How long a point that was not yet passed is tried for.
const POINT_PATIENCE: Duration = Duration::from_secs(180);
const POINT_ASK: Duration = Duration::from_millis(5);
/// How long an effect is waited for, and how closely.
const EFFECT_WAIT: Duration = Duration::from_secs(10);
const EFFECT_ASK: Duration = Duration::from_micros(300);
/// How long probes have to come to an end at the end.
const SETTLE_WAIT: Duration = Duration::from_secs(60);
const SETTLE_ASK: Duration = Duration::from_millis(50);
const AGENTS: usize = 4;
/// The server works for a while before an effect, and some of its answers come late after it.
const FAULTS: &str = "work_ms=10,late_ms=60,effect_late=0.3";

impl Campaign {
    /// `program` is a binary with the subcommand `ledger`.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn begin(binary: &Path, program: &Path, upstream: Upstream, seed: u64) -> Result<Self> {
        let mut gateway = Gateway::prepare(binary, Setup::default())?;
        let ledger = gateway.directory().join("ledger");
        let at = ledger.display().to_string();
        let faults = format!("{FAULTS},seed={seed}");
        let args = ["--ledger", at.as_str(), "--faults", &faults];
        let (reach, server) = match upstream {
            Upstream::Http => {
                let server = Server::start(program, &args).await?;
                (format!("{{ url: {:?} }}", server.url), Some(server))
            }
            Upstream::Stdio => (format!("{{ command: {:?} }}", server::command(program, &args)), None),
        };
        gateway.write_policy(&policy(&reach, upstream))?;
        gateway.restart().await?;
        let crew = Crew::hire(Arc::from(gateway.url_of("ledger")), AGENTS, seed);
        Ok(Self { gateway, server, ledger, crew, random: Random::new(seed), account: Account::default() })
    }

    pub fn killed(&self) -> usize {
        self.account.killed()
    }

    /// `kill -9` at a random moment, `count` times.
    ///
    /// # Errors
    /// The gateway does not come back.
    pub async fn kill_at_random(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.work().await;
            self.strike("at a random moment").await?;
            self.start().await?;
        }
        Ok(())
    }

    /// `kill -9` at a random moment, and then at random moments of the starts after it, one to [`DEPTH_MAX`] in a row.
    ///
    /// # Errors
    /// The gateway does not come back.
    pub async fn kill_in_starts(&mut self, rounds: usize) -> Result<()> {
        for _ in 0..rounds {
            self.work().await;
            self.strike("at a random moment").await?;
            for depth in 1..=1 + self.random.below(DEPTH_MAX) {
                self.gateway.spawn(&[])?;
                tokio::time::sleep(self.below_ms(START_MAX_MS)).await;
                self.strike(&format!("at a random moment of a start, {depth} deep")).await?;
            }
            self.start().await?;
        }
        Ok(())
    }

    /// `kill -9` as soon as the ledger has one effect more: most answers are not yet made.
    ///
    /// # Errors
    /// The gateway does not come back.
    pub async fn kill_after_effects(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.work().await;
            let length = || std::fs::metadata(&self.ledger).map_or(0, |meta| meta.len());
            let (before, began) = (length(), Instant::now());
            while length() == before && began.elapsed() < EFFECT_WAIT {
                tokio::time::sleep(EFFECT_ASK).await;
            }
            self.strike("as soon as an effect was in the ledger").await?;
            self.start().await?;
        }
        Ok(())
    }

    /// Kills the upstream's server, where it is not a child of the gateway, and starts it again.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn kill_server(&mut self) -> Result<()> {
        if let Some(server) = &mut self.server {
            server.restart().await?;
            self.account.server_kills += 1;
        }
        Ok(())
    }

    /// Ends the process at a named point, up to `count` times; says how often.
    ///
    /// Whether a point is passed soon is chance: a probe, say, needs a call that the kill before it cut in two. So each
    /// attempt lets the agents work first, and attempts go on until the first hit, at most
    /// for `POINT_PATIENCE`.
    ///
    /// # Errors
    /// The gateway does not come back.
    pub async fn kill_at(&mut self, point: &str, count: usize) -> Result<usize> {
        let mut hits = 0;
        let first = Instant::now();
        let mut attempts = 0;
        while hits < count && (attempts < count || (hits == 0 && first.elapsed() < POINT_PATIENCE)) {
            attempts += 1;
            self.work().await;
            self.gateway.kill().await?;
            let nth = if attempts > count { 1 } else { 1 + self.random.below(4) };
            hits += usize::from(self.ended_at(point, nth, POINT_WAIT).await?);
            self.start().await?;
        }
        Ok(hits)
    }

    /// Ends one process after the other at points drawn at random, and every other time during the recovery that
    /// follows, up to [`DEPTH_MAX`] in a row. One that does not pass its point in time is killed where it is.
    ///
    /// # Errors
    /// The gateway does not come back.
    pub async fn kill_at_points(&mut self, rounds: usize) -> Result<()> {
        for _ in 0..rounds {
            self.work().await;
            self.strike("at a random moment").await?;
            let point = POINTS[self.random.below(POINTS.len() - 1)];
            let nth = 1 + self.random.below(4);
            if !self.ended_at(point, nth, POINT_WAIT_SHORT).await? {
                self.strike("at a random moment").await?;
            }
            for depth in 1..=self.random.below(DEPTH_MAX + 1) {
                self.gateway.spawn(&[("COFFERDAM_FAILPOINT", IN_RECOVERY)])?;
                // Without an open step there is nothing to recover: it becomes ready instead.
                if !self.gateway.ended_or_ready().await? {
                    break;
                }
                self.account.strike(&format!("{IN_RECOVERY}, {depth} deep"), 1);
            }
            self.start().await?;
        }
        Ok(())
    }

    async fn ended_at(&mut self, point: &str, nth: usize, wait: Duration) -> Result<bool> {
        self.gateway.spawn(&[("COFFERDAM_FAILPOINT", &format!("{point}:{nth}"))])?;
        let began = Instant::now();
        while self.gateway.exited()?.is_none() && began.elapsed() < wait {
            tokio::time::sleep(POINT_ASK).await;
        }
        let is_hit = self.gateway.exited()?.is_some();
        if is_hit {
            self.account.strike(point, 1);
        }
        Ok(is_hit)
    }

    async fn strike(&mut self, at: &str) -> Result<()> {
        self.gateway.kill().await?;
        self.account.strike(at, 1);
        Ok(())
    }

    async fn start(&mut self) -> Result<()> {
        let began = Instant::now();
        self.gateway.restart().await?;
        self.account.starts.push(began.elapsed());
        Ok(())
    }

    async fn work(&mut self) {
        tokio::time::sleep(self.below_ms(PAUSE_MAX_MS)).await;
    }

    fn below_ms(&mut self, most: usize) -> Duration {
        Duration::from_micros(self.random.below(most * 1000) as u64)
    }

    /// Lets the agents finish and the gateway settle what it can, stops everything, and holds the three records against
    /// each other.
    ///
    /// # Errors
    /// A record cannot be read.
    pub async fn end(mut self) -> Result<Account> {
        let told = self.crew.dismiss().await?;
        let began = Instant::now();
        // What is still open after that is counted as open.
        while records::unsettled(&self.gateway.journal())? > 0 && began.elapsed() < SETTLE_WAIT {
            tokio::time::sleep(SETTLE_ASK).await;
        }
        self.gateway.terminate()?;
        self.gateway.wait().await?;
        if let Some(server) = &mut self.server {
            server.quiet().await?;
            server.kill().await?;
        }
        let entries = server::entries(&self.ledger)?;
        let mut account = audit::hold(&told, &entries, &records::read(&self.gateway.journal())?);
        account.add(self.account);
        Ok(account)
    }

    pub fn log(&self) -> String {
        self.gateway.log()
    }
}

/// One tool for each class of effect, with and without a read.
fn policy(reach: &str, upstream: Upstream) -> String {
    let local = upstream == Upstream::Stdio;
    format!(
        r#"upstreams:
  ledger:
    mcp: {reach}
    local: {local}
defaults:
  timeouts: {{ step: 2s, attempt: 2s }}
  quiescence: 200ms
  absent_spacing: 100ms
  probe_wait: 2s
tools:
  - {{ match: ledger.get, effect: read }}
  - {{ match: "ledger.list_*", effect: read }}
  - match: ledger.set
    effect: idempotent
    target: args.name
    readback:
      read: ledger.get
      args: '{{"name": args.name}}'
      expect: 'read.found && read.value == args.value'
      absent: '!read.found'
      strength: exact
  - match: ledger.pay
    effect: keyed
    target: args.intent
    key: {{ argument: idempotency_key, window: 24h }}
  - match: ledger.append
    effect: write
    target: args.intent
    readback:
      read: ledger.list_entries
      args: '{{}}'
      expect: 'read.entries.exists(entry, has(entry.intent) && entry.intent == args.intent)'
      absent: '!read.entries.exists(entry, has(entry.intent) && entry.intent == args.intent)'
      strength: exact
  - {{ match: ledger.send, effect: write, target: args.intent }}
  - match: ledger.drop
    effect: destructive
    target: args.name
    repeat: notice
"#
    )
}

pub(crate) type Transcript = Vec<Told>;
