//! The same over a database that two gateways share: either of them is killed, and now and then both.

use super::crew::Crew;
use super::{AGENTS, Account, FAULTS, PAUSE_MAX_MS, SETTLE_ASK, SETTLE_WAIT, Upstream, audit, policy, records};
use crate::gateway::{Gateway, Setup};
use crate::server::{self, Server};
use anyhow::{Context, Result};
use journal::{Journal, Postgres};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::Random;
use testkit::postgres::Cluster;
use vocab::State;

/// Gateways over one database.
const REPLICAS: usize = 2;
/// One kill in so many takes both of them.
const BOTH_IN: usize = 5;

/// Two gateways, their database, the server and the agents, half of them at each gateway.
pub struct Shared {
    gateways: Vec<Gateway>,
    cluster: Cluster,
    server: Server,
    ledger: PathBuf,
    crew: Crew,
    random: Random,
    account: Account,
    _directory: TempDir,
}

impl Shared {
    /// `program` is a binary with the subcommand `ledger`.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn begin(binary: &Path, program: &Path, cluster: Cluster, seed: u64) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let ledger = directory.path().join("ledger");
        let at = ledger.display().to_string();
        let faults = format!("{FAULTS},seed={seed}");
        let server = Server::start(program, &["--ledger", &at, "--faults", &faults]).await?;
        let policy = policy(&format!("{{ url: {:?} }}", server.url), Upstream::Http);
        // Whoever is taken for dead may still send for a lease: only then "not there" may be believed.
        let policy = policy.replace("quiescence: 200ms", "quiescence: 9s");
        let journal = "journal: { path: ./journal, postgres: \"${JOURNAL_URL}\", lease: 9s, pause_max: 0s }\n";
        let environment = vec![("JOURNAL_URL".to_owned(), cluster.url("postgres"))];
        let mut gateways = Vec::new();
        for _ in 0..REPLICAS {
            let setup = Setup { policy: format!("{journal}{policy}"), environment: environment.clone() };
            let mut gateway = Gateway::prepare(binary, setup)?;
            gateway.restart().await?;
            gateways.push(gateway);
        }
        let urls = gateways.iter().map(|gateway| Arc::from(gateway.url_of("ledger"))).collect();
        let crew = Crew::hire_at(urls, AGENTS, seed);
        let (random, account) = (Random::new(seed), Account::default());
        Ok(Self { gateways, cluster, server, ledger, crew, random, account, _directory: directory })
    }

    /// `kill -9` of one or both at a random moment; each is started again at once.
    ///
    /// # Errors
    /// A gateway does not come back.
    pub async fn kill_at_random(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            tokio::time::sleep(Duration::from_millis(self.random.below(PAUSE_MAX_MS) as u64)).await;
            let first = self.random.below(REPLICAS);
            let both = self.random.below(BOTH_IN) == 0;
            let struck: Vec<usize> = (0..REPLICAS).filter(|replica| both || *replica == first).collect();
            for replica in &struck {
                self.gateways[*replica].kill().await?;
            }
            self.account.strike("one of two replicas", 1);
            for replica in struck {
                self.gateways[replica].restart().await?;
            }
        }
        Ok(())
    }

    /// As [`Campaign::end`](super::Campaign::end).
    ///
    /// # Errors
    /// A record cannot be read.
    pub async fn end(mut self) -> Result<Account> {
        let told = self.crew.dismiss().await?;
        let url = self.cluster.url("postgres");
        let journal = tokio::task::spawn_blocking(move || Postgres::open_readonly(&url)).await?;
        let journal = journal.context("read the journal")?;
        let began = Instant::now();
        while unsettled(&journal)? > 0 && began.elapsed() < SETTLE_WAIT {
            tokio::time::sleep(SETTLE_ASK).await;
        }
        for gateway in &mut self.gateways {
            gateway.terminate()?;
            gateway.wait().await?;
        }
        self.server.quiet().await?;
        self.server.kill().await?;
        let entries = server::entries(&self.ledger)?;
        let mut account = audit::hold(&told, &entries, &records::read_from(&*journal)?);
        let damage = journal.verify(true)?.findings;
        anyhow::ensure!(damage.is_empty(), "{damage:?}");
        account.add(self.account);
        Ok(account)
    }

    pub fn log(&self) -> String {
        self.gateways.iter().map(Gateway::log).collect::<Vec<_>>().join("\n==\n")
    }
}

fn unsettled(journal: &Postgres) -> Result<usize> {
    Ok(journal.open_steps()?.iter().filter(|row| row.status.state != State::NeedsHuman).count())
}
