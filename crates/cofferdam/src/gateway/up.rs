//! `cofferdam up`: a gateway over HTTP in front of the policy's upstreams, or of the bundled shop.

use super::banner::{self, Banner};
use super::bundled::{self, Bundled};
use super::learner::{self, Learner};
use super::office::{Office, Served};
use super::reload::{self, Last, Parts, Watch};
use super::signals::Signals;
use super::start::{self, Core};
use crate::cli::Up;
use crate::exit::{Exit, Failed};
use crate::output::Out;
use crate::place::{self, Place};
use ingress_mcp::http::{Auth, ServerConfig};
use policy::Policy;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use upstream::Environment;

pub async fn run(wanted: Up, out: Out) -> Result<Exit, Failed> {
    let mut signals = Signals::listen()?;
    // Before it is parsed, so that no change of it is missed.
    let watch = wanted.config.as_deref().map(Watch::begin);
    let (policy, bundled) = match &wanted.config {
        Some(file) => match parse(file, wanted.listen.as_deref())? {
            Ok(policy) => (policy, None),
            Err(problems) => {
                out.refused(&problems);
                return Ok(Exit::Wrong);
            }
        },
        None => {
            let Bundled { running, policy } = bundled::start(&make(policy::defaults::JOURNAL_PATH)?).await?;
            (listening(policy, wanted.listen.as_deref())?, Some(running))
        }
    };
    for warning in policy.warnings() {
        tracing::warn!("{warning}");
    }
    let place = Place::of(&policy);
    let policy = Arc::new(policy);
    let journal = start::open(&place, &policy, wanted.accept_journal_gap).await?;
    let listener = TcpListener::bind(&policy.listen).await;
    let listener = listener.map_err(|error| bound(&policy.listen, &error))?;
    let address = listener.local_addr()?;
    let directory = directory(&place.journal);
    let core = Core::start(Arc::clone(&policy), journal, &directory, Environment::Minimal, start::door(&policy))?;

    let auth = Arc::new(Auth::new(policy.principals.clone()));
    let last = Arc::new(Last::default());
    let office = Office {
        runtime: core.runtime.clone(),
        roster: Arc::clone(&core.roster),
        learnt: Arc::clone(&core.learnt),
        listen: address.to_string(),
        reloaded: Arc::clone(&last),
    };
    let served = Served::begin(office, &place.admin).await?;
    let stop = CancellationToken::new();
    let config = ServerConfig {
        connections_max: usize::try_from(policy.limits.sessions_max).unwrap_or(usize::MAX).saturating_mul(4),
        hosts: policy.hosts.clone(),
        origins: policy.origins.clone(),
        drain: start::DRAIN,
        ..ServerConfig::default()
    };
    let door = tokio::spawn(ingress_mcp::http::serve(
        listener,
        Arc::clone(&core.hub),
        Arc::clone(&auth),
        config,
        stop.clone(),
    ));
    let mut chores = JoinSet::new();
    chores.spawn(learner::run(Learner {
        roster: Arc::clone(&core.roster),
        runtime: core.runtime.clone(),
        learnt: Arc::clone(&core.learnt),
    }));
    if let (Some(file), Some(watch)) = (&wanted.config, watch) {
        let (file, listen) = (file.clone(), wanted.listen.clone());
        let parts = Parts {
            runtime: core.runtime.clone(),
            roster: Arc::clone(&core.roster),
            hub: Arc::clone(&core.hub),
            auth,
            last,
            bound: Arc::clone(&policy),
            parse: Box::new({
                let file = file.clone();
                move || parse(&file, listen.as_deref())
            }),
        };
        chores.spawn(reload::run(watch, parts));
    }
    tracing::info!(%address, journal = %place::shown(&place), policy = %policy.hash(), "agents can call");
    banner::print(&banner(&address.to_string(), &policy, &place, bundled.is_some()), out)?;

    let mut door = door;
    let exit = tokio::select! {
        name = signals.next() => {
            tracing::info!("{name}: draining");
            let ending = async {
                stop.cancel();
                // A list that is being asked for is of no use any more, and its session would be waited for.
                chores.shutdown().await;
                core.end().await;
                ended(door.await);
            };
            start::drain(ending, &mut signals).await
        }
        error = core.runtime.poisoned() => return Err(start::poisoned(error)),
        finished = &mut door => {
            ended(finished);
            chores.shutdown().await;
            core.end().await;
            Exit::Failed
        }
    };
    served.end().await;
    if let Some(shop) = bundled {
        shop.shutdown().await;
    }
    tracing::info!("ended");
    Ok(exit)
}

fn ended(finished: Result<std::io::Result<()>, tokio::task::JoinError>) {
    match finished {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the agents' listener ended"),
        Err(error) => tracing::error!(%error, "the agents' listener ended"),
    }
}

fn parse(file: &Path, listen: Option<&str>) -> Result<Result<Policy, policy::Problems>, Failed> {
    match place::policy(file)? {
        Ok(policy) => Ok(Ok(listening(policy, listen)?)),
        Err(problems) => Ok(Err(problems)),
    }
}

fn listening(policy: Policy, listen: Option<&str>) -> Result<Policy, Failed> {
    let Some(address) = listen else { return Ok(policy) };
    policy.with_listen(address).map_err(|hint| Failed::because(&format!("listen at {address}"), hint))
}

fn bound(address: &str, error: &std::io::Error) -> Failed {
    let what = format!("listen for agents at {address}");
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            Failed::because(&what, "another program listens there; end it, or take another address with --listen")
        }
        _ => Failed::because(&what, error),
    }
}

/// The shop's file lies beside the journal, which makes the directory later.
fn make(path: &str) -> Result<PathBuf, Failed> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failed::because(&format!("make {path}"), error))?;
    Ok(PathBuf::from(path))
}

/// A journal may be named by its file.
fn directory(journal: &Path) -> PathBuf {
    place::socket_beside(journal).parent().map(Path::to_owned).unwrap_or_default()
}

fn banner(address: &str, policy: &Policy, place: &Place, demo: bool) -> Banner {
    let url = format!("http://{address}/mcp");
    let upstreams = policy.upstreams.iter().map(|upstream| format!("{url}/{}", upstream.name)).collect();
    Banner { url, upstreams, journal: place::shown(place), admin: place.admin.to_string(), demo }
}
