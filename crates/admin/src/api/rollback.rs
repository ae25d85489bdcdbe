//! What can be taken back, taking it back, and an agent's claims.

use super::answers::Trouble;
use super::{Answer, NOTE_MAX, Shared, parse_step};
use crate::gateway::RollbackError;
use crate::wire;
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use vocab::{RunId, StepId};

/// Claims in one request.
const CLAIMS_MAX: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct To {
    to: Option<String>,
}

//= S-04
pub(super) async fn plan(
    State(gateway): State<Shared>,
    Path(run): Path<String>,
    Query(To { to }): Query<To>,
) -> Answer<wire::Rollback> {
    let plan = gateway.rollback_plan(parse_run(&run)?, parse_to(to)?).await;
    plan.map(Json).map_err(trouble)
}

//= S-04
pub(super) async fn perform(
    State(gateway): State<Shared>,
    Path(run): Path<String>,
    Json(said): Json<wire::RollBack>,
) -> Answer<wire::Rollback> {
    for (what, text) in [("who", &said.who), ("why", &said.why)] {
        if text.trim().is_empty() || text.chars().count() > NOTE_MAX {
            return Err(Trouble::bad(&format!("`{what}` needs 1 to {NOTE_MAX} characters")));
        }
    }
    let rolled = gateway.rollback(parse_run(&run)?, parse_to(said.to)?, said.who, said.why).await;
    rolled.map(Json).map_err(trouble)
}

//= S-04
pub(super) async fn attest(
    State(gateway): State<Shared>,
    Path(run): Path<String>,
    Json(said): Json<wire::Attest>,
) -> Answer<wire::Attested> {
    if said.claims.is_empty() || said.claims.len() > CLAIMS_MAX {
        return Err(Trouble::bad(&format!("`claims` needs 1 to {CLAIMS_MAX} of them")));
    }
    gateway.attest(parse_run(&run)?, said).await.map(Json).map_err(trouble)
}

fn parse_run(name: &str) -> Result<RunId, Trouble> {
    RunId::parse(name).ok_or_else(|| Trouble::bad("this is no id of a run"))
}

fn parse_to(to: Option<String>) -> Result<Option<StepId>, Trouble> {
    to.map(|to| parse_step(&to)).transpose()
}

fn trouble(error: RollbackError) -> Trouble {
    match error {
        RollbackError::NotFound(why) => Trouble::not_found(&why),
        RollbackError::Bad(why) => Trouble::bad(&why),
        RollbackError::NotNow(why) => Trouble::not_now(&why),
        RollbackError::Journal(why) => Trouble::journal(&why),
    }
}
