//! The running gateway as its operator sees it, and the place where that is served.

use super::learner::Learnt;
use super::reload::Pending;
use super::roster::Roster;
use crate::exit::{Exit, Failed};
use crate::place::AdminAt;
use crate::undo;
use admin::wire::{Check, Health, Level, Tools};
use admin::{Access, Act, BoxFuture, Gateway, ResolveError, RollbackError, wire};
use journal::Journal;
use runtime::Runtime;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vocab::{RunId, StepId};

/// A person waits for the answer.
const EXAMINE_MAX: Duration = Duration::from_secs(10);

pub struct Office {
    pub runtime: Runtime,
    pub roster: Arc<Roster>,
    pub learnt: Arc<Learnt>,
    /// Where agents call.
    pub listen: String,
    /// What the last reload of the policy came to.
    pub reloaded: Arc<super::reload::Last>,
}

impl Gateway for Office {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(self.runtime.journal())
    }

    fn health(&self) -> Health {
        let health = self.runtime.health();
        let journal = health.journal.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
        Health {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            journal,
            epoch: health.epoch.0,
            gap_since: health.gap_since.map(admin::time),
            draining: health.draining,
            policy: self.runtime.policy().hash().to_string(),
            listen: self.listen.clone(),
            process: std::process::id(),
        }
    }

    fn tools(&self) -> Vec<Tools> {
        self.learnt.report(&self.runtime.policy())
    }

    fn examine(&self) -> BoxFuture<Vec<Check>> {
        let members = self.roster.members();
        let mut checks = vec![self.writes(), self.policy()];
        Box::pin(async move {
            let asked = members.iter().map(|member| async {
                let name = format!("upstream {}", member.name);
                match tokio::time::timeout(EXAMINE_MAX, member.own.tools()).await {
                    Ok(Ok(_)) => Check { name, level: Level::Ok, detail: "it answers".to_owned() },
                    Ok(Err(failure)) => Check { name, level: Level::Bad, detail: failure.detail },
                    Err(_) => Check { name, level: Level::Bad, detail: format!("no answer in {EXAMINE_MAX:?}") },
                }
            });
            checks.extend(futures_util::future::join_all(asked).await);
            checks
        })
    }

    fn resolve(&self, step: StepId, act: Act, who: String, why: String) -> BoxFuture<Result<(), ResolveError>> {
        let act = match act {
            Act::Applied => runtime::Act::Applied,
            Act::Absent => runtime::Act::Absent,
            Act::Diverged => runtime::Act::Diverged,
            Act::RunAgain => runtime::Act::RunAgain,
        };
        let recorded = self.runtime.resolve(step, act, who, why);
        Box::pin(async move {
            recorded.await.map(drop).map_err(|error| match error {
                runtime::ResolveError::NotFound(_) => ResolveError::NotFound,
                runtime::ResolveError::NotNow(why) => ResolveError::NotNow(why),
                other => ResolveError::Journal(other.to_string()),
            })
        })
    }

    fn rollback_plan(&self, run: RunId, to: Option<StepId>) -> BoxFuture<Result<wire::Rollback, RollbackError>> {
        let plan = self.runtime.rollback_plan(run, to);
        Box::pin(async move { plan.await.map(|plan| undo::report(&plan, false)).map_err(|error| undo::error(&error)) })
    }

    fn rollback(
        &self,
        run: RunId,
        to: Option<StepId>,
        who: String,
        why: String,
    ) -> BoxFuture<Result<wire::Rollback, RollbackError>> {
        let rolled = self.runtime.rollback(run, to, who, why);
        Box::pin(
            async move { rolled.await.map(|done| undo::report(&done, false)).map_err(|error| undo::error(&error)) },
        )
    }

    fn attest(&self, run: RunId, said: wire::Attest) -> BoxFuture<Result<wire::Attested, RollbackError>> {
        let runtime = self.runtime.clone();
        Box::pin(async move {
            let statements = undo::statements(&said).map_err(RollbackError::Bad)?;
            let judged = runtime.attest(run, statements).await.map_err(|error| undo::error(&error))?;
            Ok(undo::attested(run, &said, judged))
        })
    }
}

impl Office {
    fn writes(&self) -> Check {
        let name = "writes to the journal".to_owned();
        match self.runtime.health().journal {
            Ok(()) => Check { name, level: Level::Ok, detail: "mutations are taken".to_owned() },
            Err(error) => Check { name, level: Level::Bad, detail: format!("mutations are refused: {error}") },
        }
    }

    fn policy(&self) -> Check {
        let name = "policy".to_owned();
        let (level, detail) = match self.reloaded.pending() {
            Pending::Nothing => (Level::Ok, "in force as it is written".to_owned()),
            Pending::Refused(why) => (Level::Bad, format!("the older one stays in force: {why}")),
            Pending::Restart(keys) => {
                let keys = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
                (Level::Look, format!("in force, but for {keys}: restart the gateway for that"))
            }
            Pending::Gone => {
                (Level::Look, "in force, but its file is gone: the next start will not find it".to_owned())
            }
        };
        Check { name, level, detail }
    }
}

/// The operator's side, served until it is stopped.
pub struct Served {
    task: JoinHandle<std::io::Result<()>>,
    stop: CancellationToken,
    socket: Option<PathBuf>,
}

impl Served {
    pub async fn begin(office: Office, at: &AdminAt) -> Result<Self, Failed> {
        let stop = CancellationToken::new();
        let gateway: Arc<dyn Gateway> = Arc::new(office);
        let stopped = stop.clone().cancelled_owned();
        match at {
            AdminAt::Socket(path) => {
                let listener = admin::bind(path).map_err(|error| Failed::new(Exit::Failed, error.to_string()))?;
                let task = tokio::spawn(admin::serve(listener, gateway, Access::Socket, stopped));
                Ok(Self { task, stop, socket: Some(path.clone()) })
            }
            AdminAt::Address { address, token } => {
                let listener = tokio::net::TcpListener::bind(address).await;
                let what = format!("listen for the operator at {address}");
                let listener = listener.map_err(|error| Failed::because(&what, error))?;
                let task = tokio::spawn(admin::serve(listener, gateway, Access::Token(token.clone()), stopped));
                Ok(Self { task, stop, socket: None })
            }
        }
    }

    /// Lets answers finish for a moment, then ends.
    pub async fn end(self) {
        self.stop.cancel();
        let abort = self.task.abort_handle();
        match tokio::time::timeout(Duration::from_secs(2), self.task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the operator's side ended with an error"),
            Ok(Err(error)) => tracing::warn!(%error, "the operator's side ended with an error"),
            // A client that holds its connection open must not hold up the end.
            Err(_) => abort.abort(),
        }
        if let Some(socket) = self.socket
            && let Err(error) = std::fs::remove_file(&socket)
        {
            tracing::debug!(%error, "the operator's socket was gone already");
        }
    }
}
