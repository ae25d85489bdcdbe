//! Rollbacks and claims between the runtime's words and those of the operator's side.

use admin::{RollbackError, time, wire};
use runtime::rollback::{self, Attested, Claim, Report, Reported, Said, Statement};
use vocab::{RunId, StepId};

pub fn report(report: &Report, at_rest: bool) -> wire::Rollback {
    wire::Rollback {
        run: report.run.to_string(),
        status: report.status.as_str().to_owned(),
        sentence: report.sentence.clone(),
        at_rest,
        changes: report.changes.iter().map(change).collect(),
    }
}

fn change(one: &Reported) -> wire::Change {
    wire::Change {
        step: one.step.to_string(),
        upstream: one.upstream.to_string(),
        tool: one.tool.to_string(),
        effect: one.effect.as_str().to_owned(),
        at: time(one.at),
        state: one.state.as_str().to_owned(),
        outcome: one.outcome.map(|outcome| outcome.as_str().to_owned()),
        verification: one.verification.as_str().to_owned(),
        status: one.status.as_str().to_owned(),
        why: one.why.clone(),
        by: one.by.map(|by| by.to_string()),
        tries: one.tries,
        way: one.way.clone(),
        possible: one.possible,
        evidence: one.evidence.clone(),
        preimage: one.preimage,
        pivot: one.pivot,
    }
}

/// What an agent says, read as data.
pub fn statements(said: &wire::Attest) -> Result<Vec<Statement>, String> {
    said.claims
        .iter()
        .enumerate()
        .map(|(index, claim)| statement(claim).map_err(|why| format!("claim {}: {why}", index + 1)))
        .collect()
}

fn statement(claim: &wire::Claim) -> Result<Statement, String> {
    let said = Said::parse(&claim.claim).ok_or_else(|| {
        let known = Said::ALL.map(Said::as_str).join(", ");
        format!("`claim` is one of {known}")
    })?;
    let step = claim.step.as_deref().map(|step| StepId::parse(step).ok_or("`step` is no id of a step")).transpose()?;
    if claim.args.as_ref().is_some_and(|args| !args.is_object()) {
        return Err("`args` must be an object".to_owned());
    }
    Ok(Statement { said, step, tool: claim.tool.clone(), args: claim.args.clone() })
}

pub fn attested(run: RunId, said: &wire::Attest, judged: Vec<Attested>) -> wire::Attested {
    let claims = said.claims.iter().cloned().zip(judged).map(|(claim, Attested { claim: verdict, .. })| {
        let (verdict, why, by) = match verdict {
            Claim::Confirmed { why, by } => ("confirmed", why, Some(by)),
            Claim::Contradicted { why, by } => ("contradicted", why, Some(by)),
            Claim::Unresolved { why, by } => ("unresolved", why, Some(by)),
            Claim::NoRecord => ("no_record", "the journal has no such change of this run".to_owned(), None),
        };
        wire::Judged { claim, verdict: verdict.to_owned(), why, step: by.map(|by| by.to_string()) }
    });
    let claims = claims.collect::<Vec<_>>();
    let count = |verdict| claims.iter().filter(|claim| claim.verdict == verdict).count();
    wire::Attested {
        run: run.to_string(),
        confirmed: count("confirmed"),
        contradicted: count("contradicted"),
        unresolved: count("unresolved"),
        no_record: count("no_record"),
        claims,
    }
}

pub fn error(error: &rollback::RollbackError) -> RollbackError {
    let why = error.to_string();
    match error {
        rollback::RollbackError::NotFound(_) | rollback::RollbackError::NoCheckpoint(_) => RollbackError::NotFound(why),
        rollback::RollbackError::Journal(_) => RollbackError::Journal(why),
        _ => RollbackError::NotNow(why),
    }
}
