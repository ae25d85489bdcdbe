//! The HTTP of the operator's side, over a Unix socket or at an address with a token.

mod answers;
mod rollback;

use crate::bounded::Bounded;
use crate::gateway::{Act, Gateway, ResolveError};
use crate::{view, wire};
use answers::{Trouble, blocking};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use journal::Filter;
use policy::Secret;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use vocab::{RunId, State as StepState, StepId};

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a request.
const BODY_MAX: usize = 64 * 1024;
const LIST: usize = 50;
/// Characters of a person's note, which goes into the evidence.
const NOTE_MAX: usize = 400;

type Shared = Arc<dyn Gateway>;
type Answer<T> = Result<Json<T>, Trouble>;

/// How a caller shows that it is the operator.
#[derive(Clone, Debug)]
pub enum Access {
    /// The socket's mode keeps others out.
    Socket,
    /// A bearer token, on loopback too: an agent can reach loopback.
    Token(Secret),
}

/// Serves until `stop` ends, then lets what is being answered finish.
///
/// # Errors
/// The listener fails for good.
pub async fn serve<L>(
    listener: L,
    gateway: Shared,
    access: Access,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()>
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    let app = router(gateway, access);
    axum::serve(Bounded::new(listener, CONNECTIONS_MAX), app).with_graceful_shutdown(stop).await
}

pub fn router(gateway: Shared, access: Access) -> Router {
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/runs", get(runs))
        .route("/v1/runs/{run}", get(run))
        .route("/v1/runs/{run}/rollback", get(rollback::plan).post(rollback::perform))
        .route("/v1/runs/{run}/attest", post(rollback::attest))
        .route("/v1/steps", get(steps))
        .route("/v1/steps/{step}", get(step))
        .route("/v1/steps/{step}/resolve", post(resolve))
        .route("/v1/journal/backup", post(backup))
        .route("/v1/doctor", post(doctor))
        .route("/v1/tools", get(tools))
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(access, authorized))
        .with_state(gateway)
}

async fn authorized(State(access): State<Access>, request: Request, next: Next) -> Response {
    let Access::Token(token) = access else { return next.run(request).await };
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if given.is_some_and(|given| given.ct_eq(token.expose().as_bytes()).into()) {
        return next.run(request).await;
    }
    Trouble::unauthorized().into_response()
}

async fn nothing_here() -> Trouble {
    Trouble::not_found("nothing is served here")
}

async fn health(State(gateway): State<Shared>) -> Json<wire::Health> {
    Json(gateway.health())
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
}

async fn runs(State(gateway): State<Shared>, Query(page): Query<Page>) -> Answer<wire::Runs> {
    let journal = gateway.journal();
    blocking(move || view::runs(&*journal, page.limit.unwrap_or(LIST))).await
}

async fn run(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Answer<wire::RunDetail> {
    let id = RunId::parse(&name).ok_or_else(|| Trouble::bad("this is no id of a run"))?;
    let journal = gateway.journal();
    let Json(found) = blocking(move || view::run(&*journal, id, page.limit.unwrap_or(LIST))).await?;
    found.map(Json).ok_or_else(|| Trouble::not_found("the journal has no such run"))
}

#[derive(Deserialize)]
struct Wanted {
    run: Option<String>,
    upstream: Option<String>,
    state: Option<String>,
    #[serde(default)]
    reads: bool,
    limit: Option<usize>,
}

async fn steps(State(gateway): State<Shared>, Query(wanted): Query<Wanted>) -> Answer<wire::Steps> {
    let run = wanted.run.map(|run| RunId::parse(&run).ok_or_else(|| Trouble::bad("this is no id of a run")));
    let state = wanted.state.map(|text| {
        let state = StepState::ALL.into_iter().find(|state| state.as_str() == text);
        state.ok_or_else(|| Trouble::bad("this is no state of a step"))
    });
    let filter = Filter {
        run: run.transpose()?,
        upstream: wanted.upstream,
        state: state.transpose()?,
        reads: wanted.reads,
        limit: wanted.limit.unwrap_or(LIST),
    };
    let journal = gateway.journal();
    blocking(move || view::steps(&*journal, &filter)).await
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    bodies: bool,
}

async fn step(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    Query(shown): Query<Shown>,
) -> Answer<wire::StepDetail> {
    look(&gateway, parse_step(&name)?, shown.bodies).await
}

async fn look(gateway: &Shared, id: StepId, bodies: bool) -> Answer<wire::StepDetail> {
    let journal = gateway.journal();
    let Json(found) = blocking(move || view::step(&*journal, id, bodies)).await?;
    found.map(Json).ok_or_else(|| Trouble::not_found("the journal has no such step"))
}

//= G6
async fn resolve(
    State(gateway): State<Shared>,
    Path(name): Path<String>,
    Json(said): Json<wire::Resolve>,
) -> Answer<wire::StepDetail> {
    let id = parse_step(&name)?;
    let Some(act) = Act::parse(&said.act) else {
        return Err(Trouble::bad("`act` is one of applied, absent, diverged, run_again"));
    };
    for (what, text) in [("who", &said.who), ("why", &said.why)] {
        if text.trim().is_empty() || text.chars().count() > NOTE_MAX {
            return Err(Trouble::bad(&format!("`{what}` needs 1 to {NOTE_MAX} characters")));
        }
    }
    tracing::info!(step = %id, act = act.as_str(), who = said.who, "a person records what happened");
    gateway.resolve(id, act, said.who, said.why).await.map_err(|error| match error {
        ResolveError::NotFound => Trouble::not_found("the journal has no such step"),
        ResolveError::NotNow(why) => Trouble::not_now(&why),
        ResolveError::Journal(why) => Trouble::journal(&why),
    })?;
    look(&gateway, id, false).await
}

fn parse_step(name: &str) -> Result<StepId, Trouble> {
    StepId::parse(name).ok_or_else(|| Trouble::bad("this is no id of a step"))
}

async fn backup(State(gateway): State<Shared>, Json(wanted): Json<wire::BackupTo>) -> Answer<wire::Backup> {
    let to = PathBuf::from(wanted.to);
    if !to.is_absolute() {
        return Err(Trouble::bad("`to` must be an absolute path"));
    }
    let journal = gateway.journal();
    blocking(move || view::backup(&*journal, &to)).await
}

async fn doctor(State(gateway): State<Shared>, Json(wanted): Json<wire::Examine>) -> Answer<wire::Doctor> {
    let journal = gateway.journal();
    let Json(mut checks) = blocking(move || Ok(view::doctor(&*journal, wanted.full))).await?;
    checks.extend(gateway.examine().await);
    Ok(Json(wire::Doctor { checks }))
}

async fn tools(State(gateway): State<Shared>) -> Json<Vec<wire::Tools>> {
    Json(gateway.tools())
}

#[cfg(test)]
mod tests;
