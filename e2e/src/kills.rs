//! Agents that go on with their work while the gateway is killed again and again, and the audit of what came of it.
//!
//! Each thing that an agent means carries an intent tag in its arguments; a call that broke off is re-issued with the
//! same tag under a new id, as MCP demands. The audit reads the server's ledger, what the agents were told, and the
//! journal at rest; it never asks the gateway.

mod audit;
mod crew;

use crate::gateway::{Gateway, Setup};
use crate::server::{self, Server};
use anyhow::Result;
use crew::{Crew, Told};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use testkit::Random;

pub use audit::Findings;

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
    pub kills: usize,
}

/// How long a start, a piece of work and a kill apart may be.
const PAUSE_MAX_MS: usize = 140;
/// A named point that is never passed leaves the process alive.
const POINT_WAIT: Duration = Duration::from_secs(8);
/// How long a point that was not yet passed is tried for.
const POINT_PATIENCE: Duration = Duration::from_secs(180);
const POINT_ASK: Duration = Duration::from_millis(5);
const AGENTS: usize = 4;

impl Campaign {
    /// `program` is a binary with the subcommand `ledger`.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn begin(binary: &Path, program: &Path, upstream: Upstream, seed: u64) -> Result<Self> {
        let mut gateway = Gateway::prepare(binary, Setup::default())?;
        let ledger = gateway.directory().join("ledger");
        let at = ledger.display().to_string();
        let args = ["--ledger", at.as_str(), "--faults", "work_ms=10"];
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
        Ok(Self { gateway, server, ledger, crew, random: Random::new(seed), kills: 0 })
    }

    /// `kill -9` at a random moment, `count` times.
    ///
    /// # Errors
    /// The gateway does not come back.
    pub async fn kill_at_random(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let pause = Duration::from_millis(self.random.below(PAUSE_MAX_MS) as u64);
            tokio::time::sleep(pause).await;
            self.gateway.restart().await?;
            self.kills += 1;
        }
        Ok(())
    }

    /// Ends the process at a named point, up to `count` times; says how often.
    ///
    /// Whether a point is passed soon is chance: a probe, say, needs a call that the kill before it cut in two. So each
    /// attempt lets the agents work first, and attempts go on until the first hit, at most
    /// for [`POINT_PATIENCE`].
    ///
    /// # Errors
    /// The gateway does not come back.
    pub async fn kill_at(&mut self, point: &str, count: usize) -> Result<usize> {
        let mut hits = 0;
        let first = std::time::Instant::now();
        let mut attempts = 0;
        while hits < count && (attempts < count || (hits == 0 && first.elapsed() < POINT_PATIENCE)) {
            attempts += 1;
            let pause = Duration::from_millis(self.random.below(PAUSE_MAX_MS) as u64);
            tokio::time::sleep(pause).await;
            self.gateway.kill().await?;
            let nth = if attempts > count { 1 } else { 1 + self.random.below(4) };
            self.gateway.spawn(&[("COFFERDAM_FAILPOINT", &format!("{point}:{nth}"))])?;
            let began = std::time::Instant::now();
            while self.gateway.exited()?.is_none() && began.elapsed() < POINT_WAIT {
                tokio::time::sleep(POINT_ASK).await;
            }
            hits += usize::from(self.gateway.exited()?.is_some());
            self.gateway.restart().await?;
        }
        self.kills += hits;
        Ok(hits)
    }

    /// Lets the agents finish, stops everything, and holds the three records against each other.
    ///
    /// # Errors
    /// A record cannot be read.
    pub async fn end(mut self) -> Result<Findings> {
        let told = self.crew.dismiss().await?;
        self.gateway.terminate()?;
        self.gateway.wait().await?;
        if let Some(server) = &mut self.server {
            server.quiet().await?;
            server.kill().await?;
        }
        let entries = server::entries(&self.ledger)?;
        let mut findings = audit::hold(&told, &entries, &self.gateway.journal())?;
        findings.kills = self.kills;
        Ok(findings)
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
