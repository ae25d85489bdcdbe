//! Takes a changed policy over while calls go on. A bad one is reported, and the old one stays in force.

use super::roster::Roster;
use crate::exit::Failed;
use crate::place;
use ingress_mcp::Hub;
use ingress_mcp::http::Auth;
use parking_lot::Mutex;
use policy::{Admin, Policy};
use runtime::Runtime;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Editors write in several steps; a file that is the same after this long is whole.
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

/// Reads the policy file again and again. A watch on its directory would hear of every write to a journal that lies
/// there too, and wake a thread for each.
pub struct Watch {
    file: Arc<Path>,
    /// What is in force or was refused; `None`: there is no file that can be read.
    text: Option<String>,
}

impl Watch {
    /// What the file says now is taken for known.
    pub fn begin(file: &Path) -> Self {
        Self { file: file.into(), text: place::read(file).ok() }
    }

    /// Comes back when the file says something else, or is gone.
    async fn changed(&mut self) {
        let mut seen = self.text.clone();
        loop {
            tokio::time::sleep(if seen == self.text { LOOK } else { SETTLE }).await;
            let now = self.read().await;
            if now == seen && now != self.text {
                self.text = now;
                return;
            }
            seen = now;
        }
    }

    /// On a thread that may wait: the file can lie on a network.
    async fn read(&self) -> Option<String> {
        let file = Arc::clone(&self.file);
        tokio::task::spawn_blocking(move || place::read(&file).ok()).await.ok().flatten()
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
    loop {
        watch.changed().await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_replaced_written_over_or_removed_has_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, other) = (folder.path().join("cofferdam.yaml"), folder.path().join("new"));
        std::fs::write(&file, "one").expect("a file");
        let mut watch = Watch::begin(&file);
        std::fs::write(&other, "two").expect("another file");
        std::fs::rename(&other, &file).expect("in its place");
        watch.changed().await;
        assert_eq!(watch.text.as_deref(), Some("two"));
        std::fs::write(&file, "six").expect("of the same size");
        watch.changed().await;
        assert_eq!(watch.text.as_deref(), Some("six"));
        std::fs::remove_file(&file).expect("removed");
        watch.changed().await;
        assert_eq!(watch.text, None);
    }
}
