//! Databases to test with: of a throwaway cluster, or of the server that `DATABASE_URL` names.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use testkit::postgres::Cluster;
use tokio_postgres::{Client, NoTls};

pub struct Databases {
    cluster: Option<Cluster>,
    server: String,
    runtime: tokio::runtime::Runtime,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Databases {
    /// `None`: there is no Postgres here, and the skip was reported. `COFFERDAM_E2E_REQUIRE=all` makes that a failure.
    pub fn start(settings: &[&str]) -> Option<Self> {
        match std::env::var("DATABASE_URL") {
            Ok(server) if settings.is_empty() => Some(Self { cluster: None, server, runtime: runtime() }),
            _ => Self::of_our_own(settings),
        }
    }

    /// One that may be killed, whatever else is there.
    pub fn of_our_own(settings: &[&str]) -> Option<Self> {
        let runtime = runtime();
        match Cluster::start(settings).expect("Postgres starts") {
            Some(cluster) => {
                let server = cluster.url("postgres");
                Some(Self { cluster: Some(cluster), server, runtime })
            }
            None => {
                let required = std::env::var("CI").is_ok();
                assert!(!required, "Postgres is needed in CI: Debian's package postgresql has it");
                // Past the capture of the test harness on purpose.
                let skip = "\n*** SKIPPED Postgres tests: no `initdb` and no DATABASE_URL here ***\n";
                writeln!(std::io::stderr(), "{skip}").unwrap_or_default();
                None
            }
        }
    }

    pub fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("a cluster of our own")
    }

    /// An empty database.
    pub fn fresh(&self) -> String {
        let name = format!("cofferdam_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.run(&self.server, &format!("CREATE DATABASE {name}"));
        let (server, _) = self.server.rsplit_once('/').expect("an address with a database");
        format!("{server}/{name}")
    }

    pub fn run(&self, url: &str, sql: &str) {
        self.runtime.block_on(async { connect(url).await.batch_execute(sql).await.expect(sql) });
    }

    /// One value of one row.
    pub fn number(&self, url: &str, sql: &str) -> i64 {
        self.runtime.block_on(async { connect(url).await.query_one(sql, &[]).await.expect(sql).get(0) })
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the server answers");
    drop(tokio::spawn(connection));
    client
}
