//! Several gateway processes over one throwaway database, in front of one ledger.

mod cut;

use crate::binary::{binary, skip};
use crate::gateway::{Gateway, Setup};
use crate::server::{self, Server};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::client::{CallOptions, Client, Identity};
use testkit::ledger::Entry;
use testkit::postgres::Cluster;
use tokio_postgres::NoTls;

pub use cut::Cut;

/// For anything that must come, on a machine with too much to do.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A lease that a test can outlast, and that a machine with too much to do still renews in time.
pub const SHORT: &str = "9s";
const LOOK: Duration = Duration::from_millis(20);

/// Replicas, their database, and what they change.
pub struct Fleet {
    binary: PathBuf,
    pub replicas: Vec<Gateway>,
    pub cluster: Cluster,
    pub server: Server,
    ledger: PathBuf,
    _directory: TempDir,
}

/// How a fleet is made.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    pub replicas: usize,
    /// Long, so that no busy machine makes a replica look dead; a test that waits for its end takes [`SHORT`].
    pub lease: &'a str,
    /// As `testkit::process::USAGE` has it.
    pub faults: &'a str,
    pub settings: &'a [&'a str],
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self { replicas: 2, lease: "60s", faults: "work_ms=1", settings: &[] }
    }
}

impl Fleet {
    /// `None`: there is no binary or no Postgres here, and the skip was reported.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start(program: &Path, plan: Plan<'_>) -> Result<Option<Self>> {
        Self::start_through(program, plan, |_, url| url).await
    }

    /// With the address that each replica gets of the database.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_through(
        program: &Path,
        plan: Plan<'_>,
        address: impl Fn(usize, String) -> String,
    ) -> Result<Option<Self>> {
        let Some(binary) = binary()? else { return Ok(None) };
        let settings: Vec<String> = plan.settings.iter().map(ToString::to_string).collect();
        let starting = move || Cluster::start(&settings.iter().map(String::as_str).collect::<Vec<_>>());
        let Some(cluster) = tokio::task::spawn_blocking(starting).await?? else {
            skip("there is no Postgres: Debian's package `postgresql` has it")?;
            return Ok(None);
        };
        let directory = tempfile::tempdir()?;
        let ledger = directory.path().join("ledger");
        let at = ledger.display().to_string();
        let server = Server::start(program, &["--ledger", &at, "--faults", plan.faults]).await?;
        let mut fleet = Self { binary, replicas: Vec::new(), cluster, server, ledger, _directory: directory };
        fleet.add(plan.replicas, plan.lease, address).await?;
        Ok(Some(fleet))
    }

    /// Starts more replicas.
    ///
    /// # Errors
    /// One does not start.
    pub async fn add(&mut self, count: usize, lease: &str, address: impl Fn(usize, String) -> String) -> Result<()> {
        for number in 0..count {
            let url = address(number, self.cluster.url("postgres"));
            let policy = policy(&self.server.url, lease);
            let environment = vec![("JOURNAL_URL".to_owned(), url)];
            let mut replica = Gateway::prepare(&self.binary, Setup { policy, environment })?;
            replica.restart().await?;
            self.replicas.push(replica);
        }
        Ok(())
    }

    /// What a replica of this fleet is started with.
    pub fn policy(&self, lease: &str) -> String {
        policy(&self.server.url, lease)
    }

    /// A client of one replica.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn client(&self, replica: usize) -> Result<Client> {
        let identity = Identity::speaking("2025-11-25");
        Client::http(&self.replicas[replica].url_of("ledger"), identity).await.context("connect to a replica")
    }

    /// Effects of one intent.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn effects(&self, intent: &str) -> Result<usize> {
        Ok(self.entries()?.iter().filter(|entry| entry.intent.as_deref() == Some(intent)).count())
    }

    /// # Errors
    /// The ledger cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        server::entries(&self.ledger)
    }

    /// One number that the database says.
    ///
    /// # Errors
    /// It does not answer, or with something else.
    pub async fn number(&self, sql: &str) -> Result<i64> {
        number(&self.cluster.url("postgres"), sql).await
    }

    /// # Errors
    /// The database does not do it.
    pub async fn run(&self, sql: &str) -> Result<()> {
        let (client, connection) = tokio_postgres::connect(&self.cluster.url("postgres"), NoTls).await?;
        let driver = tokio::spawn(connection);
        let done = client.batch_execute(sql).await;
        drop(client);
        drop(driver.await);
        Ok(done?)
    }

    /// Waits until a query gives one or more.
    ///
    /// # Errors
    /// It never does.
    pub async fn until(&self, sql: &str) -> Result<()> {
        let began = Instant::now();
        while self.number(sql).await? < 1 {
            ensure!(began.elapsed() < PATIENCE, "it never came to: {sql}\n{}", self.logs());
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until the ledger has an effect of this intent.
    ///
    /// # Errors
    /// It never has.
    pub async fn until_effect(&self, intent: &str) -> Result<()> {
        let began = Instant::now();
        while self.effects(intent)? == 0 {
            ensure!(began.elapsed() < PATIENCE, "{intent} never had an effect\n{}", self.logs());
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// What all replicas wrote.
    pub fn logs(&self) -> String {
        let of = |(number, replica): (usize, &Gateway)| format!("== replica {number}\n{}", replica.log());
        self.replicas.iter().enumerate().map(of).collect::<Vec<_>>().join("\n")
    }
}

/// # Errors
/// The database does not answer, or with something else than a number.
pub async fn number(url: &str, sql: &str) -> Result<i64> {
    one(url, sql).await?.try_get(0).with_context(|| format!("{sql} gives no number"))
}

/// # Errors
/// The database does not answer, or with something else than a text.
pub async fn text(url: &str, sql: &str) -> Result<String> {
    one(url, sql).await?.try_get(0).with_context(|| format!("{sql} gives no text"))
}

async fn one(url: &str, sql: &str) -> Result<tokio_postgres::Row> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let driver = tokio::spawn(connection);
    let row = client.query_one(sql, &[]).await;
    drop(client);
    drop(driver.await);
    Ok(row?)
}

/// A call that names itself, so that it is the same one wherever it is made.
pub fn named(key: &str) -> CallOptions {
    CallOptions::within(PATIENCE).meta("cofferdam/idempotency-key", key)
}

/// The policy of a replica: as that of the kill campaign, with a shared journal.
fn policy(server: &str, lease: &str) -> String {
    format!(
        r#"journal: {{ path: ./journal, postgres: "${{JOURNAL_URL}}", lease: {lease}, pause_max: 0s }}
upstreams:
  ledger:
    mcp: {{ url: {server:?} }}
defaults:
  timeouts: {{ step: 50s, attempt: 40s }}
  quiescence: {lease}
  absent_spacing: 100ms
  probe_wait: 45s
tools:
  - {{ match: ledger.get, effect: read }}
  - {{ match: "ledger.list_*", effect: read }}
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
"#
    )
}
