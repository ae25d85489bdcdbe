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
use ingress_mcp::{Caller, Hub, Scope};
use policy::{Expanded, Policy, Problems, Transport, Upstream, init::upstream_name};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use upstream::Environment;
use vocab::Name;

/// How long a client's pipe may take the answers that were in flight once everything else has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub async fn run(wanted: Wrap, out: Out) -> Result<Exit, Failed> {
    let mut signals = Signals::listen()?;
    let (name, policy) = match read(&wanted)? {
        Ok(read) => read,
        Err(problems) => {
            out.refused(&problems);
            return Ok(Exit::Wrong);
        }
    };
    for warning in policy.warnings() {
        tracing::warn!("{warning}");
    }
    if policy.journal.postgres.is_some() {
        tracing::warn!("`journal.postgres` is for `up`: a wrap keeps a journal of its own");
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
    let mut serving = pin!(serve(Arc::clone(&core.hub), caller, name));
    let exit = tokio::select! {
        () = &mut serving => start::drain(core.end(), &mut signals).await,
        name = signals.next() => {
            tracing::info!("{name}: draining");
            start::drain(end_serving(&core, serving), &mut signals).await
        }
        error = core.runtime.poisoned() => return Err(start::poisoned(error)),
    };
    if let Some(served) = served {
        served.end().await;
    }
    Ok(exit)
}

async fn serve(hub: Arc<Hub>, caller: Caller, upstream: Name) {
    if let Err(error) = ingress_mcp::serve_stdio(hub, caller, Scope::One(upstream)).await {
        tracing::warn!(%error, "the client's pipe broke");
    }
}

/// The client is served meanwhile: what was in flight has an answer, and it is still there to read it.
async fn end_serving(core: &Core, mut serving: Pin<&mut impl Future<Output = ()>>) {
    let mut ending = pin!(core.end());
    tokio::select! {
        () = &mut ending => if tokio::time::timeout(LAST_WORDS, serving).await.is_err() {
            tracing::warn!("the client's pipe did not take its last answers in time");
        },
        () = &mut serving => ending.await,
    }
}

/// What the policy calls the wrapped server, and the policy with it.
type Read = (Name, Policy);

fn read(wanted: &Wrap) -> Result<Result<Read, Problems>, Failed> {
    let wish = wanted.name.clone().unwrap_or_else(|| words::program(&wanted.server));
    let guess = Name::from(upstream_name(&wish, &[]));
    let server = |name: &Name| Upstream::command(Arc::clone(name), wanted.server.clone());
    let Some(file) = &wanted.config else {
        return Ok(Ok((Arc::clone(&guess), Policy::default_with(vec![server(&guess)]))));
    };
    let (text, shown) = (place::read(file)?, file.display().to_string());
    let parse = |given| Policy::parse_with(&text, &shown, &place::variable, given);
    let name = match (parse(Vec::new()), &wanted.name) {
        (Err(problems), _) => return Ok(Err(problems)),
        (Ok(written), None) => named_in(&written, &wanted.server).unwrap_or(guess),
        (Ok(_), Some(_)) => guess,
    };
    let mut policy = match parse(vec![server(&name)]) {
        Ok(policy) => policy,
        Err(problems) => return Ok(Err(problems)),
    };
    // The command line says what runs; environment and folder of the file's entry stay.
    let command = wanted.server.iter().cloned().map(Expanded::literal).collect();
    if let Some(upstream) = policy.upstreams.iter_mut().find(|upstream| upstream.name == name) {
        let (env, cwd) = match &upstream.transport {
            Transport::Stdio { env, cwd, .. } => (env.clone(), cwd.clone()),
            Transport::Http { .. } => (Vec::new(), None),
        };
        upstream.transport = Transport::Stdio { command, env, cwd };
    }
    Ok(Ok((name, policy)))
}

/// The upstream of the file that runs the same command, else its only one.
fn named_in(policy: &Policy, server: &[String]) -> Option<Name> {
    let runs = |upstream: &&Upstream| match &upstream.transport {
        Transport::Stdio { command, .. } => command.iter().map(Expanded::expose).eq(server.iter().map(String::as_str)),
        Transport::Http { .. } => false,
    };
    let same = policy.upstreams.iter().find(runs);
    let only = || policy.upstreams.first().filter(|_| policy.upstreams.len() == 1);
    same.or_else(only).map(|upstream| Arc::clone(&upstream.name))
}
