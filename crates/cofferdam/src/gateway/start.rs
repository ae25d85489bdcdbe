//! What `up` and `wrap` have in common: a journal of their own, the runtime on it, and the end in order.

use super::learner::Learnt;
use super::roster::Roster;
use super::signals::Signals;
use crate::exit::{Exit, Failed};
use crate::place::{self, Place};
use crate::upstreams::Kept;
use ingress_mcp::{Guarded, Hub};
use journal::sqlite::{Durability, Options};
use journal::{Journal, Postgres, Sqlite, postgres};
use policy::{Database, Loss, Policy};
use runtime::Runtime;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use upstream::Environment;

/// For calls in flight, when the gateway is asked to end.
pub const DRAIN: Duration = Duration::from_secs(30);
/// For conversations and children to end after that.
const ENDING: Duration = Duration::from_secs(10);

/// The running middle of a gateway.
pub struct Core {
    pub runtime: Runtime,
    pub roster: Arc<Roster>,
    pub hub: Arc<Hub>,
    pub learnt: Arc<Learnt>,
}

/// Takes the journal that the policy names: a file of this gateway alone, or a share of a database.
pub async fn open(place: &Place, policy: &Policy, accept_gap: bool) -> Result<Arc<dyn Journal>, Failed> {
    let Some(database) = &place.database else {
        let journal = journal(&place.journal, policy).await?;
        return Ok(journal);
    };
    let options = postgres::Options {
        name: replica_name(&place.journal),
        accept_gap,
        directory: Some(place.journal.clone()),
        ..options(database)
    };
    let url = database.url.clone();
    let opened = tokio::task::spawn_blocking(move || Postgres::open(url.expose(), options)).await;
    let opened = opened.map_err(|error| Failed::because("open the journal", error))?;
    let journal = opened.map_err(|error| match error {
        journal::Error::Open(why) | journal::Error::Write(why) => {
            Failed::because(&format!("open the journal at {}", place::shown(place)), why)
        }
        other => other.into(),
    })?;
    for note in &journal.start().notes {
        tracing::info!("{note}");
    }
    for loss in &database.accept_loss {
        tracing::warn!(?loss, "journal.accept_loss: what was released can be lost with the database");
    }
    if let Some(since) = journal.start().gap_since {
        let since = admin::time(since);
        tracing::warn!(
            since,
            "gap: the database lost commits in a failover, and nothing in it tells what was done since"
        );
    }
    Ok(journal)
}

/// The part of the options that is the policy's.
pub fn options(database: &Database) -> postgres::Options {
    let loss = |loss: &Loss| match loss {
        Loss::Fsync => postgres::Loss::Fsync,
        Loss::SynchronousCommit => postgres::Loss::SynchronousCommit,
        Loss::FullPageWrites => postgres::Loss::FullPageWrites,
    };
    let accept = database.accept_loss.iter().map(loss).collect();
    postgres::Options { lease: database.lease, accept, ..postgres::Options::default() }
}

/// For people who look at the database: machine and directory.
fn replica_name(directory: &Path) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    format!("{host}:{}", directory.display())
}

/// Takes the journal, or says who has it.
pub async fn journal(path: &Path, policy: &Policy) -> Result<Arc<Sqlite>, Failed> {
    let durability = match policy.journal.durability {
        policy::Durability::Full => Durability::Full,
        policy::Durability::ProcessCrashOnly => Durability::ProcessCrashOnly,
    };
    let options = Options { durability, ..Options::default() };
    let place = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || Sqlite::open(&place, options)).await;
    let opened = opened.map_err(|error| Failed::because("open the journal", error))?;
    let journal = opened.map_err(|error| match error {
        journal::Error::Open(why) => {
            let what = format!("open the journal in {}", path.display());
            let hint = "if it is damaged, put a backup in its place (see docs/operating.md)";
            Failed::because(&what, format!("{why}; {hint}"))
        }
        other => other.into(),
    })?;
    let start = journal.start();
    for note in &start.notes {
        tracing::info!(journal = %path.display(), "{note}");
    }
    if let Some(since) = start.gap_since {
        let since = admin::time(since);
        tracing::warn!(since, "gap: an older journal took its place, and nothing in it tells what was done since");
    }
    if durability == Durability::ProcessCrashOnly {
        tracing::warn!("journal.durability is process_crash_only: a loss of power can lose what was released");
    }
    Ok(journal)
}

/// Where the children of this journal's owner are written down.
pub fn children(journal: &Path) -> PathBuf {
    journal.join("children")
}

impl Core {
    /// The journal is locked, so children that are written down beside it belong to nobody any more.
    pub fn start(
        policy: Arc<Policy>,
        journal: Arc<dyn Journal>,
        place: &Path,
        environment: Environment,
        door: ingress_mcp::Settings,
    ) -> Result<Self, Failed> {
        let children = children(place);
        match upstream::end_children_of_earlier_starts(&children) {
            Ok(0) => {}
            Ok(count) => tracing::warn!(count, "ended child processes that an earlier start had left"),
            Err(error) => tracing::warn!(%error, "could not look for child processes of an earlier start"),
        }
        let roster = Roster::new(&policy, Kept { children: Some(children), environment });
        let reader: Arc<dyn runtime::Reader> = Arc::clone(&roster) as Arc<dyn runtime::Reader>;
        let runtime = Runtime::start(runtime::Settings::default(), policy, journal, reader);
        let runtime = runtime.map_err(|error| Failed::because("start the gateway", error))?;
        let upstreams: Arc<dyn ingress_mcp::Upstreams> = Arc::clone(&roster) as Arc<dyn ingress_mcp::Upstreams>;
        let hub = Hub::new(door, Arc::new(Guarded(runtime.clone())), upstreams);
        Ok(Self { runtime, roster, hub, learnt: Arc::default() })
    }

    /// Calls in flight finish, or are journaled as they are; then conversations and children end.
    pub async fn end(&self) {
        self.runtime.drain(DRAIN).await;
        let rest = async {
            self.hub.drain().await;
            self.roster.close().await;
        };
        if tokio::time::timeout(ENDING, rest).await.is_err() {
            tracing::warn!("conversations or children did not end in time");
        }
    }
}

/// The limits of the policy as the door takes them.
pub fn door(policy: &Policy) -> ingress_mcp::Settings {
    let sessions_max = policy.limits.sessions_max as usize;
    ingress_mcp::Settings { limits: limits(policy), sessions_max, ..ingress_mcp::Settings::default() }
}

pub fn limits(policy: &Policy) -> mcp::Limits {
    mcp::Limits {
        bytes: usize::try_from(policy.limits.message_max).unwrap_or(usize::MAX),
        depth: policy.limits.depth_max as usize,
        ..mcp::Limits::default()
    }
}

/// A journal that cannot be trusted ends the process at once: what it has in memory may be wrong.
pub fn poisoned(error: journal::Error) -> Failed {
    tracing::error!(%error, "the journal's disk failed, so this process ends; start it again, it recovers from disk");
    match error {
        journal::Error::Poisoned(_) => error.into(),
        other => Failed::new(Exit::Poisoned, other.to_string()),
    }
}

/// Drains, unless a second signal asks to end at once.
pub async fn drain(ending: impl Future<Output = ()>, signals: &mut Signals) -> Exit {
    tokio::select! {
        () = ending => Exit::Done,
        name = signals.next() => {
            tracing::warn!("{name} again: ending at once; what was in flight is found out at the next start");
            Exit::Failed
        }
    }
}
