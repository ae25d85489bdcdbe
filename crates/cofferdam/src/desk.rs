//! Where the operator's commands get their answers: a running gateway, or the journal at rest.

mod at_rest;

use crate::client::Client;
use crate::exit::{Exit, Failed};
use crate::place::{self, Place};
use crate::undo;
use admin::{Act, wire};
use journal::{Journal, Postgres, Sqlite};
use std::path::Path;
use std::sync::Arc;
use vocab::{RunId, StepId};

pub enum Desk {
    Running(Client),
    AtRest(AtRest),
}

pub struct AtRest {
    place: Place,
    journal: Arc<dyn Journal>,
}

impl Desk {
    pub async fn open(place: &Place) -> Result<Self, Failed> {
        if let Some(doubt) = &place.doubt {
            tracing::warn!("failed to {doubt}");
        }
        if let Some(client) = Client::connect(&place.admin).await? {
            return Ok(Self::Running(client));
        }
        if place.is_gateway_only {
            let hint = "no gateway answers there; does it run, and is this its operator's side (policy: admin)?";
            return Err(Failed::new(Exit::NothingThere, format!("ask the gateway at {}: {hint}", place.admin)));
        }
        let journal: Arc<dyn Journal> = match &place.database {
            None => Sqlite::open_readonly(&place.journal).map_err(|error| unreadable(&place.journal, &error))?,
            Some(database) => Postgres::open_readonly(database.url.expose()).map_err(|error| {
                let hint = "no gateway answers here, and the database cannot be read";
                Failed::new(Exit::NothingThere, format!("look at {}: {hint}: {error}", place::shown(place)))
            })?,
        };
        Ok(Self::AtRest(AtRest { place: place.clone(), journal }))
    }

    pub async fn runs(&self, limit: usize) -> Result<wire::Runs, Failed> {
        match self {
            Self::Running(client) => client.get(&format!("/v1/runs?limit={limit}")).await,
            Self::AtRest(rest) => Ok(admin::runs(&*rest.journal, limit)?),
        }
    }

    pub async fn run(&self, id: RunId, limit: usize) -> Result<Option<wire::RunDetail>, Failed> {
        match self {
            Self::Running(client) => found(client.get(&format!("/v1/runs/{id}?limit={limit}")).await),
            Self::AtRest(rest) => Ok(admin::run(&*rest.journal, id, limit)?),
        }
    }

    pub async fn step(&self, id: StepId, bodies: bool) -> Result<Option<wire::StepDetail>, Failed> {
        match self {
            Self::Running(client) => found(client.get(&format!("/v1/steps/{id}?bodies={bodies}")).await),
            Self::AtRest(rest) => Ok(admin::step(&*rest.journal, id, bodies)?),
        }
    }

    pub async fn resolve(&self, id: StepId, said: &wire::Resolve) -> Result<wire::StepDetail, Failed> {
        match self {
            Self::Running(client) => client.post(&format!("/v1/steps/{id}/resolve"), said).await,
            Self::AtRest(rest) => {
                let act = Act::parse(&said.act).ok_or_else(|| Failed::because("record it", "no such act"))?;
                at_rest::resolve(&rest.place, id, act, &said.who, &said.why)?;
                let shown = admin::step(&*rest.journal, id, false)?;
                shown.ok_or_else(|| Failed::new(Exit::NotFound, format!("find {id}: the journal has no such step")))
            }
        }
    }

    pub async fn rollback_plan(&self, run: RunId, to: Option<StepId>) -> Result<wire::Rollback, Failed> {
        match self {
            Self::Running(client) => {
                let to = to.map_or_else(String::new, |to| format!("?to={to}"));
                client.get(&format!("/v1/runs/{run}/rollback{to}")).await
            }
            Self::AtRest(rest) => {
                let report = runtime::rollback::at_rest(&*rest.journal, run, to).map_err(|error| unread(&error))?;
                Ok(undo::report(&report, true))
            }
        }
    }

    /// Only a running gateway has upstreams to call.
    pub async fn rollback(&self, run: RunId, said: &wire::RollBack) -> Result<wire::Rollback, Failed> {
        match self {
            Self::Running(client) => client.post(&format!("/v1/runs/{run}/rollback"), said).await,
            Self::AtRest(_) => {
                let why = "roll it back: no gateway answers, and only one that runs can call upstreams; start it, or look \
                           with --plan";
                Err(Failed::new(Exit::NothingThere, why.to_owned()))
            }
        }
    }

    pub async fn attest(&self, run: RunId, said: &wire::Attest) -> Result<wire::Attested, Failed> {
        match self {
            Self::Running(client) => client.post(&format!("/v1/runs/{run}/attest"), said).await,
            Self::AtRest(rest) => {
                let statements = undo::statements(said).map_err(|why| Failed::because("read the claims", why))?;
                let judged = runtime::rollback::attest(&*rest.journal, run, &statements);
                Ok(undo::attested(run, said, judged.map_err(|error| unread(&error))?))
            }
        }
    }

    pub async fn doctor(&self, full: bool) -> Result<wire::Doctor, Failed> {
        match self {
            Self::Running(client) => client.post("/v1/doctor", &wire::Examine { full }).await,
            Self::AtRest(rest) => Ok(wire::Doctor { checks: admin::doctor(&*rest.journal, full) }),
        }
    }

    pub async fn backup(&self, to: &Path) -> Result<wire::Backup, Failed> {
        match self {
            Self::Running(client) => {
                client.post("/v1/journal/backup", &wire::BackupTo { to: to.display().to_string() }).await
            }
            Self::AtRest(rest) => Ok(admin::backup(&*rest.journal, to)?),
        }
    }
}

/// A journal that is there and is none is another trouble than one that is not there.
fn unreadable(journal: &Path, error: &journal::Error) -> Failed {
    let file = if journal.is_dir() { journal.join(place::JOURNAL_NAME) } else { journal.to_owned() };
    let (exit, hint) = if file.exists() {
        (Exit::Wrong, "no gateway answers, and the journal cannot be read; put a backup in its place, or move it away")
    } else {
        (Exit::NothingThere, "no gateway answers, and no journal is there (name it with --journal or --config)")
    };
    Failed::new(exit, format!("look at {}: {hint}: {error}", journal.display()))
}

fn unread(error: &runtime::rollback::RollbackError) -> Failed {
    use runtime::rollback::RollbackError;
    let exit = match error {
        RollbackError::NotFound(_) | RollbackError::NoCheckpoint(_) => Exit::NotFound,
        _ => Exit::Failed,
    };
    Failed::new(exit, error.to_string())
}

fn found<T>(answer: Result<T, Failed>) -> Result<Option<T>, Failed> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(failed) if failed.exit == Exit::NotFound => Ok(None),
        Err(failed) => Err(failed),
    }
}
