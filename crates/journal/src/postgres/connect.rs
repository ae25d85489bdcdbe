//! A connection to the database: address, TLS, settings of a session, and what its errors mean.

use super::Loss;
use crate::Error;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, config::TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Where the database is, without showing its password.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
}

/// For a connection to come up.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A connection and the task that drives it.
pub(super) struct Link {
    pub(super) client: Client,
    /// Told once, when the connection has ended.
    pub(super) ended: Arc<Notify>,
    driver: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Target {
    /// # Errors
    /// `Open`: the text is no address of a database. It says nothing of the text, which may hold a password.
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let unreadable = |_| {
            let form = "postgres://user@host:5432/database?sslmode=require";
            Error::Open(format!("the address of the database cannot be read; it is written like {form}"))
        };
        let mut config: Config = url.parse().map_err(unreadable)?;
        config
            .connect_timeout(CONNECT_MAX)
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(10));
        Ok(Self { config, tls: MakeRustlsConnect::new(tls()?) })
    }

    /// Only servers that take writes, where several are named.
    pub(super) fn for_writing(mut self, name: &str) -> Self {
        self.config.target_session_attrs(TargetSessionAttrs::ReadWrite).application_name(name);
        self
    }

    /// For people: no password.
    pub(super) fn shown(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            tokio_postgres::config::Host::Tcp(name) => name.clone(),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        });
        format!("{}/{}", hosts.collect::<Vec<_>>().join(","), self.config.get_dbname().unwrap_or_default())
    }

    /// With what is told to whoever listens (`LISTEN`) going to `heard`.
    pub(super) async fn connect(&self, mut heard: impl FnMut(String) + Send + 'static) -> Result<Link, Error> {
        let connecting = self.config.connect(self.tls.clone());
        let connected = tokio::time::timeout(CONNECT_MAX * 2, connecting).await;
        let connected = connected.map_err(|_| Error::Write("no answer of the database in time".to_owned()))?;
        let (client, mut connection) = connected.map_err(|error| error_of(&error))?;
        let ended = Arc::new(Notify::new());
        let to = Arc::clone(&ended);
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let tokio_postgres::AsyncMessage::Notification(told) = message {
                    heard(told.payload().to_owned());
                }
            }
            to.notify_one();
        });
        let link = Link { client, ended, driver };
        link.run(SESSION).await?;
        Ok(link)
    }
}

/// A plan must not depend on the values of the first executions, and a table must not be scanned for a point read while
/// it is young.
const SESSION: &str = "SET search_path = cofferdam; SET plan_cache_mode = force_generic_plan; SET jit = off; \
                       SET enable_seqscan = off";

impl Link {
    pub(super) async fn run(&self, sql: &str) -> Result<(), Error> {
        asked(self.client.batch_execute(sql).await)
    }
}

/// The trust of the system, or of `SSL_CERT_FILE`.
fn tls() -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::Open(format!("prepare TLS: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

pub(super) fn asked<T>(answer: Result<T, tokio_postgres::Error>) -> Result<T, Error> {
    answer.map_err(|error| error_of(&error))
}

/// What an error of the database means. Only its message is told: the details of some name values.
pub(super) fn error_of(error: &tokio_postgres::Error) -> Error {
    let Some(found) = error.as_db_error() else {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        return Error::Write(text);
    };
    match found.code().code() {
        "53100" => Error::DiskFull,
        code => Error::Write(format!("the database says: {} ({code})", found.message())),
    }
}

/// The connection is of no use any more, and nothing is known of what was asked last.
pub(super) fn is_broken(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        None => true,
        // Administrator shutdown, crash shutdown, cannot connect now; class 08 is about connections.
        Some(code) => {
            matches!(*code, SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW)
                || code.code().starts_with("08")
                // It has become a standby, or was one.
                || *code == SqlState::READ_ONLY_SQL_TRANSACTION
        }
    }
}

/// Trying once more can succeed: two writers met.
pub(super) fn is_passing(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE))
}

/// A server that acknowledges what it may lose is refused, unless the operator accepts the loss by name.
//= G4
pub(super) async fn refuse_loss(link: &Link, accepted: &[Loss]) -> Result<(), Error> {
    let sql = "SELECT current_setting('fsync'), current_setting('synchronous_commit'), \
               current_setting('full_page_writes')";
    let row = asked(link.client.query_one(sql, &[]).await)?;
    let set = |index| super::rows::value::<&str>(&row, index);
    let found = [
        (Loss::Fsync, "fsync", set(0)? == "off"),
        (Loss::SynchronousCommit, "synchronous_commit", matches!(set(1)?, "off" | "local")),
        (Loss::FullPageWrites, "full_page_writes", set(2)? == "off"),
    ];
    for (loss, name, is_lossy) in found {
        if is_lossy && !accepted.contains(&loss) {
            return Err(Error::Open(format!(
                "the database runs with {name} off or weakened, so that it loses what it has acknowledged: turn it on, \
                 or write `accept_loss: [{name}]` under `journal`"
            )));
        }
    }
    Ok(())
}

/// Commits wait for a standby.
pub(super) async fn is_synchronous(link: &Link) -> Result<bool, Error> {
    let sql = "SELECT current_setting('synchronous_standby_names') <> '' \
               AND current_setting('synchronous_commit') IN ('on', 'remote_apply', 'remote_write')";
    super::rows::value(&asked(link.client.query_one(sql, &[]).await)?, 0)
}
