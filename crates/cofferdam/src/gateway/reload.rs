//! Takes a changed policy over while calls go on. A bad one is reported, and the old one stays in force.

use super::roster::Roster;
use crate::exit::Failed;
use crate::place;
use ingress_mcp::Hub;
use ingress_mcp::http::Auth;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use policy::{Admin, Policy};
use runtime::Runtime;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Editors write in several steps; after the last event of a burst the file is whole.
const SETTLE: Duration = Duration::from_millis(150);

/// What of the policy file is not in force.
#[derive(Clone, Debug, Default)]
pub enum Pending {
    #[default]
    Nothing,
    /// Why the file as it is now was not taken over.
    Refused(String),
    /// It was taken over, but for these keys, which are bound at the start.
    Restart(Vec<&'static str>),
    /// There is no file any more to read at the next start.
    Gone,
}

/// What the last change of the policy came to.
#[derive(Default)]
pub struct Last {
    pending: Mutex<Pending>,
}

impl Last {
    pub fn pending(&self) -> Pending {
        self.pending.lock().clone()
    }

    fn set(&self, pending: Pending) {
        *self.pending.lock() = pending;
    }
}

/// Watches the directory of a policy: editors replace files, so the file itself would be lost sight of.
pub struct Watch {
    file: PathBuf,
    events: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    pub fn begin(file: &Path) -> Result<Self, Failed> {
        let failed = |error: &dyn std::fmt::Display| Failed::because(&format!("watch {}", file.display()), error);
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let name = file.file_name().map(OsString::from).unwrap_or_default();
        // One waiting event says as much as many.
        let (sender, events) = mpsc::channel(1);
        let is_link = file.is_symlink();
        let heard = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // Of a link (as Kubernetes mounts files) any change in the directory may be one of the file.
            let ours = is_link || event.paths.iter().any(|path| path.file_name() == Some(&name));
            if ours && !event.kind.is_access() {
                sender.try_send(()).ok();
            }
        };
        let mut watcher = notify::recommended_watcher(heard).map_err(|error| failed(&error))?;
        watcher.watch(directory, RecursiveMode::NonRecursive).map_err(|error| failed(&error))?;
        Ok(Self { file: file.to_owned(), events, _watcher: watcher })
    }

    async fn changed(&mut self) -> bool {
        if self.events.recv().await.is_none() {
            return false;
        }
        while let Ok(Some(())) = tokio::time::timeout(SETTLE, self.events.recv()).await {}
        true
    }
}

/// What takes part in a reload.
pub struct Parts {
    pub runtime: Runtime,
    pub roster: Arc<Roster>,
    pub hub: Arc<Hub>,
    pub auth: Arc<Auth>,
    pub last: Arc<Last>,
    /// The policy of the start: some of it is bound for as long as the process runs.
    pub bound: Arc<Policy>,
    /// The policy text is completed by what the command line said, as at the start.
    pub parse: Box<dyn Fn() -> Result<Result<Policy, policy::Problems>, Failed> + Send + Sync>,
}

/// Runs until it is dropped.
pub async fn run(mut watch: Watch, parts: Parts) {
    let mut text = place::read(&watch.file).ok();
    while watch.changed().await {
        let now = place::read(&watch.file).ok();
        // A touch changes nothing.
        if now == text {
            continue;
        }
        text = now;
        // A replacement is over when the events are; what is missing then was removed.
        if watch.file.exists() {
            take_over(&watch.file, &parts).await;
        } else {
            let file = watch.file.display();
            tracing::warn!(%file, "the policy file is gone; the policy stays in force until this gateway ends");
            parts.last.set(Pending::Gone);
        }
    }
}

async fn take_over(file: &Path, parts: &Parts) {
    let file = file.display();
    let policy = match (parts.parse)() {
        Ok(Ok(policy)) => policy,
        Ok(Err(problems)) => {
            // One line each, for those who collect logs; `check` shows the place.
            for problem in &problems.0 {
                tracing::error!(why = %problem, "the changed policy is wrong, so the old one stays in force");
            }
            parts.last.set(Pending::Refused(problems.to_string()));
            return;
        }
        Err(failed) => {
            tracing::error!(%file, why = %failed, "the changed policy cannot be read, so the old one stays in force");
            parts.last.set(Pending::Refused(failed.to_string()));
            return;
        }
    };
    let waiting = needs_restart(&parts.bound, &policy);
    for what in &waiting {
        tracing::warn!(%file, "`{what}` is bound at the start: the change takes effect at the next one");
    }
    for warning in policy.warnings() {
        tracing::warn!("{warning}");
    }
    let policy = Arc::new(policy);
    parts.auth.replace(policy.principals.clone());
    parts.runtime.reload(Arc::clone(&policy));
    let left = parts.roster.replace(&policy);
    for member in &left {
        parts.hub.let_go(&member.name);
        parts.runtime.forget(&member.name);
        member.own.close().await;
    }
    parts.last.set(if waiting.is_empty() { Pending::Nothing } else { Pending::Restart(waiting) });
    tracing::info!(%file, policy = %policy.hash(), "the changed policy is in force");
}

/// What a running gateway cannot change.
fn needs_restart(bound: &Policy, new: &Policy) -> Vec<&'static str> {
    let admin = |policy: &Policy| match &policy.admin {
        Admin::Socket(path) => path.as_ref().map(|path| path.expose().to_owned()),
        Admin::Listen { address, token } => Some(format!("{address} {}", token.expose())),
    };
    let journal = |policy: &Policy| {
        let path = policy.journal.path.as_ref().map(|path| path.expose().to_owned());
        let database = policy.journal.postgres.as_ref();
        let database = database.map(|one| (one.url.expose().to_owned(), one.lease, one.accept_loss.clone()));
        (path, policy.journal.durability, database)
    };
    let mut found = Vec::new();
    if bound.listen != new.listen {
        found.push("listen");
    }
    if (&bound.hosts, &bound.origins) != (&new.hosts, &new.origins) {
        found.push("auth.hosts, auth.origins");
    }
    if admin(bound) != admin(new) {
        found.push("admin");
    }
    if journal(bound) != journal(new) {
        found.push("journal");
    }
    if bound.limits != new.limits {
        found.push("limits");
    }
    found
}
