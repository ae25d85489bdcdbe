//! `cofferdam wrap`: guards one stdio server and is one, for a client's configuration.

use super::office::{Office, Served};
use super::reload::Last;
use super::signals::Signals;
use super::slots;
use super::start::{self, Core};
use crate::cli::Wrap;
use crate::command::words;
use crate::exit::{Exit, Failed};
use crate::output::Out;
use crate::place::{self, AdminAt};
use ingress_mcp::{Caller, Scope};
use policy::{Policy, Upstream, init::upstream_name};
use std::sync::Arc;
use upstream::Environment;
use vocab::Name;

pub async fn run(wanted: Wrap, out: Out) -> Result<Exit, Failed> {
    let mut signals = Signals::listen()?;
    let wish = wanted.name.clone().unwrap_or_else(|| words::program(&wanted.server));
    let name = Name::from(upstream_name(&wish, &[]));
    let upstream = Upstream::command(Arc::clone(&name), wanted.server.clone());
    let policy = match &wanted.config {
        None => Policy::default_with(vec![upstream]),
        Some(file) => {
            let parsed =
                Policy::parse_with(&place::read(file)?, &file.display().to_string(), &place::variable, vec![upstream]);
            match parsed {
                Ok(policy) => policy,
                Err(problems) => {
                    out.note(problems.render().trim_end());
                    return Ok(Exit::Wrong);
                }
            }
        }
    };
    for warning in policy.warnings() {
        tracing::warn!("{warning}");
    }
    let slot = slots::take(&slots::state()?, &wanted.server, &policy).await?;
    let policy = Arc::new(policy);
    tracing::info!(journal = %slot.place.display(), upstream = %name, "guarding one server over stdio");
    let core = Core::start(Arc::clone(&policy), slot.journal, &slot.place, Environment::All, start::door(&policy))?;
    let office = Office {
        runtime: core.runtime.clone(),
        roster: Arc::clone(&core.roster),
        learnt: Arc::clone(&core.learnt),
        listen: "stdio".to_owned(),
        reloaded: Arc::new(Last::default()),
    };
    // A client must get its server even where the operator's side cannot be served: a path may be too long for a socket.
    let served = match Served::begin(office, &AdminAt::Socket(slot.place.join(place::SOCKET_NAME))).await {
        Ok(served) => Some(served),
        Err(failed) => {
            tracing::warn!(why = %failed, "the operator's commands can only read this journal at rest");
            None
        }
    };
    let caller = Caller { tenant: policy::defaults::TENANT.into(), principal: "local".into() };
    let serving = ingress_mcp::serve_stdio(Arc::clone(&core.hub), caller, Scope::One(name));
    let exit = tokio::select! {
        finished = serving => {
            if let Err(error) = finished {
                tracing::warn!(%error, "the client's pipe broke");
            }
            start::drain(core.end(), &mut signals).await
        }
        name = signals.next() => {
            tracing::info!("{name}: draining");
            start::drain(core.end(), &mut signals).await
        }
        error = core.runtime.poisoned() => return Err(start::poisoned(error)),
    };
    if let Some(served) = served {
        served.end().await;
    }
    Ok(exit)
}
