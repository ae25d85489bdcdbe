//! `cofferdam resolve`: a person's word on a step, recorded with name and reason.

use crate::cli::Resolve;
use crate::command::show::step_text;
use crate::desk::Desk;
use crate::exit::{Exit, Failed};
use crate::output::Out;
use crate::place::Place;
use admin::Act;
use admin::wire;
use vocab::StepId;

pub async fn run(wanted: Resolve, out: Out) -> Result<Exit, Failed> {
    let Some(step) = StepId::parse(&wanted.step) else {
        return Err(Failed::new(Exit::NotFound, format!("find {}: this is no id of a step", wanted.step)));
    };
    let acts = [
        (wanted.applied, Act::Applied),
        (wanted.absent, Act::Absent),
        (wanted.diverged, Act::Diverged),
        (wanted.run_again, Act::RunAgain),
    ];
    // The command line demands exactly one.
    let act = acts.into_iter().find_map(|(chosen, act)| chosen.then_some(act)).unwrap_or(Act::Diverged);
    let who = wanted.who.or_else(user).ok_or_else(|| {
        Failed::new(Exit::Failed, "tell who records it: neither USER nor LOGNAME is set; give --who".to_owned())
    })?;
    if wanted.why.trim().is_empty() {
        return Err(Failed::new(Exit::Failed, "record it without a reason: --why is empty".to_owned()));
    }
    let said = wire::Resolve { act: act.as_str().to_owned(), who, why: wanted.why };
    let desk = Desk::open(&Place::find(&wanted.place)?).await?;
    let recorded = desk.resolve(step, &said).await?;
    out.show(&recorded, || step_text(&recorded))?;
    Ok(Exit::Done)
}

pub(super) fn user() -> Option<String> {
    ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
}
