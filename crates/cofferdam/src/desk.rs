//! Where the operator's commands get their answers: a running gateway, or the journal at rest.

use crate::client::Client;
use crate::exit::{Exit, Failed};
use crate::place::Place;
use admin::wire;
use journal::Sqlite;
use std::path::Path;
use std::sync::Arc;
use vocab::{RunId, StepId};

pub enum Desk {
    Running(Client),
    AtRest(Arc<Sqlite>),
}

impl Desk {
    pub async fn open(place: &Place) -> Result<Self, Failed> {
        if let Some(client) = Client::connect(&place.admin).await? {
            return Ok(Self::Running(client));
        }
        let journal = Sqlite::open_readonly(&place.journal).map_err(|error| {
            let hint = "no gateway answers, and the journal cannot be read (name it with --journal or --config)";
            Failed::new(Exit::NothingThere, format!("look at {}: {hint}: {error}", place.journal.display()))
        })?;
        Ok(Self::AtRest(journal))
    }

    pub async fn runs(&self, limit: usize) -> Result<wire::Runs, Failed> {
        match self {
            Self::Running(client) => client.get(&format!("/v1/runs?limit={limit}")).await,
            Self::AtRest(journal) => Ok(admin::runs(&**journal, limit)?),
        }
    }

    pub async fn run(&self, id: RunId, limit: usize) -> Result<Option<wire::RunDetail>, Failed> {
        match self {
            Self::Running(client) => found(client.get(&format!("/v1/runs/{id}?limit={limit}")).await),
            Self::AtRest(journal) => Ok(admin::run(&**journal, id, limit)?),
        }
    }

    pub async fn step(&self, id: StepId, bodies: bool) -> Result<Option<wire::StepDetail>, Failed> {
        match self {
            Self::Running(client) => found(client.get(&format!("/v1/steps/{id}?bodies={bodies}")).await),
            Self::AtRest(journal) => Ok(admin::step(&**journal, id, bodies)?),
        }
    }

    pub async fn doctor(&self, full: bool) -> Result<wire::Doctor, Failed> {
        match self {
            Self::Running(client) => client.post("/v1/doctor", &wire::Examine { full }).await,
            Self::AtRest(journal) => Ok(wire::Doctor { checks: admin::doctor(&**journal, full) }),
        }
    }

    pub async fn backup(&self, to: &Path) -> Result<wire::Backup, Failed> {
        match self {
            Self::Running(client) => {
                client.post("/v1/journal/backup", &wire::BackupTo { to: to.display().to_string() }).await
            }
            Self::AtRest(journal) => Ok(admin::backup(&**journal, to)?),
        }
    }
}

fn found<T>(answer: Result<T, Failed>) -> Result<Option<T>, Failed> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(failed) if failed.exit == Exit::NotFound => Ok(None),
        Err(failed) => Err(failed),
    }
}
