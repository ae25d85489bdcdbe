//! `cofferdam rollback`: what of a run can be taken back now, and taking it back.

use super::resolve::user;
use crate::cli::Rollback;
use crate::desk::Desk;
use crate::exit::{Exit, Failed};
use crate::output::{Out, printable};
use crate::place::Place;
use admin::wire;
use vocab::{RollbackStatus, RunId, StepId};

pub async fn run(wanted: Rollback, out: Out) -> Result<Exit, Failed> {
    let Some(run) = RunId::parse(&wanted.run) else {
        return Err(Failed::new(Exit::NotFound, format!("find {}: this is no id of a run", wanted.run)));
    };
    let to = match &wanted.to {
        None => None,
        Some(to) => Some(
            StepId::parse(to)
                .ok_or_else(|| Failed::new(Exit::NotFound, format!("find {to}: this is no id of a step")))?,
        ),
    };
    let desk = Desk::open(&Place::find(&wanted.place)?).await?;
    if wanted.plan {
        let plan = desk.rollback_plan(run, to).await?;
        out.show(&plan, || plan_text(&plan))?;
        return Ok(Exit::Done);
    }
    let who = wanted.who.or_else(user).ok_or_else(|| {
        Failed::new(Exit::Failed, "tell who asks for it: neither USER nor LOGNAME is set; give --who".to_owned())
    })?;
    let said = wire::RollBack { who, why: wanted.why, to: wanted.to };
    let rolled = desk.rollback(run, &said).await?;
    out.show(&rolled, || rolled_text(&rolled))?;
    let status = RollbackStatus::parse(&rolled.status).unwrap_or(RollbackStatus::Unknown);
    Ok(if status <= RollbackStatus::RevertedUnverified { Exit::Done } else { Exit::Wrong })
}

/// The plan for people: each change with how it would be taken back and what was found out about that.
pub fn plan_text(plan: &wire::Rollback) -> String {
    let mut text = head(plan);
    if plan.at_rest {
        text += "No gateway answers: this is what the journal says; nothing was read of the world.\n";
    }
    for (index, change) in plan.changes.iter().enumerate() {
        text += &title(plan.changes.len() - index, change);
        let can = match (change.possible, change.status.as_str()) {
            (Some(true), _) => "can be undone now",
            (Some(false), "reverted_verified" | "reverted_unverified" | "not_needed") | (None, _) => &change.status,
            (Some(false), _) => "cannot be undone now",
        };
        text += &format!(
            "   {can}: {}\n",
            printable(change.way.as_ref().filter(|_| is_open(change)).unwrap_or(&change.why))
        );
        if change.way.is_some() && is_open(change) && change.tries > 0 {
            text += &format!("   so far: {}\n", printable(&change.why));
        }
        for evidence in &change.evidence {
            text += &format!("   - {}\n", printable(evidence));
        }
        text += pivot(change);
    }
    text
}

fn is_open(change: &wire::Change) -> bool {
    matches!(change.status.as_str(), "not_attempted" | "conflict" | "revert_failed" | "partially_reverted")
}

/// What a rollback has come to, for people.
pub fn rolled_text(rolled: &wire::Rollback) -> String {
    let mut text = head(rolled);
    for (index, change) in rolled.changes.iter().enumerate() {
        text += &title(rolled.changes.len() - index, change);
        text += &format!("   {}: {}\n", change.status, printable(&change.why));
        if let Some(by) = &change.by {
            text += &format!("   by step {by}\n");
        }
        text += pivot(change);
    }
    text
}

fn head(rollback: &wire::Rollback) -> String {
    format!(
        "run {}: {}\nstatus {}: the worst change stands for the run\n",
        rollback.run,
        printable(&rollback.sentence),
        rollback.status
    )
}

fn title(number: usize, change: &wire::Change) -> String {
    let at = change.at.split('T').nth(1).and_then(|time| time.get(..8)).unwrap_or(&change.at);
    format!("\n{number}. {at} {}.{}  step {}\n", printable(&change.upstream), printable(&change.tool), change.step)
}

fn pivot(change: &wire::Change) -> &'static str {
    if change.pivot { "   (the pivot: with this standing, the run cannot return to where it began)\n" } else { "" }
}
