//! `cofferdam show`: one step with its evidence, or one run with its steps.

use crate::cli::Show;
use crate::desk::Desk;
use crate::exit::{Exit, Failed};
use crate::output::{Out, Table, printable};
use crate::place::Place;
use admin::wire::{RunDetail, Step, StepDetail};
use vocab::{RunId, StepId};

pub async fn run(wanted: Show, out: Out) -> Result<Exit, Failed> {
    let nothing = || Failed::new(Exit::NotFound, format!("find {}: the journal has no such run or step", wanted.id));
    // Both are written alike; an id names only one of them.
    let (Some(step), Some(run)) = (StepId::parse(&wanted.id), RunId::parse(&wanted.id)) else {
        return Err(Failed::new(Exit::NotFound, format!("find {}: this is no id of a run or a step", wanted.id)));
    };
    let desk = Desk::open(&Place::find(&wanted.place)?).await?;
    if let Some(found) = desk.step(step, wanted.bodies).await? {
        out.show(&found, || step_text(&found))?;
        return Ok(Exit::Done);
    }
    let found = desk.run(run, wanted.limit).await?.ok_or_else(nothing)?;
    out.show(&found, || run_text(&found))?;
    Ok(Exit::Done)
}

/// One step for people.
pub fn step_text(detail: &StepDetail) -> String {
    let StepDetail { step, bodies, events } = detail;
    let mut text = format!("step {}  {}.{}\n", step.step, printable(&step.upstream), printable(&step.tool));
    let mut facts = Table::plain(2);
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let known = match &step.outcome {
        Some(outcome) => format!("{outcome}, executed: {}", step.executed),
        None => format!("{}, executed: {}", step.state, step.executed),
    };
    facts.row(["known", &known]);
    facts.row(["state", &step.state]);
    facts.row(["effect", &format!("{} ({})", step.effect, step.effect_source)]);
    facts.row(["verification", &step.verification]);
    facts.row(["cause", &or_none(&step.cause)]);
    if let Some(code) = &step.told {
        facts.row(["told", &format!("{code} (cofferdam explain {code})")]);
    }
    facts.row(["attempts", &step.attempts.to_string()]);
    facts.row(["delivered", &step.delivered]);
    facts.row(["run", &step.run]);
    facts.row(["principal", &format!("{} of {}", step.principal, step.tenant)]);
    facts.row(["identity", &format!("{} ({}), generation {}", step.key, step.key_source, step.generation)]);
    for (name, value) in
        [("upstream key", &step.upstream_key), ("lane", &step.lane), ("upstream's task", &step.remote_task)]
    {
        if value.is_some() {
            facts.row([name, &or_none(value)]);
        }
    }
    if step.run_again {
        facts.row(["run again", "a person allowed one more execution"]);
    }
    facts.row(["created", &step.created_at]);
    facts.row(["last sent", &or_none(&step.last_sent_at)]);
    facts.row(["closed", &or_none(&step.closed_at)]);
    if step.next_probe_at.is_some() {
        facts.row(["next probe", &or_none(&step.next_probe_at)]);
    }
    for (name, body) in [("arguments", &bodies.args), ("before", &bodies.preimage), ("result", &bodies.result)] {
        if let Some(body) = body {
            facts.row([name, body]);
        }
    }
    text += &facts.render(2);
    if step.expired {
        text += "  its bodies have expired; nothing runs under its key\n";
    } else if bodies.redacted {
        text += "  (values are struck out; --bodies shows them)\n";
    }
    text += "\n";
    let mut table = Table::new(&["at", "what", "attempt", "class", "detail"]);
    for event in events {
        let attempt = event.attempt.to_string();
        table.row([&event.at, &event.kind, &attempt, event.class.as_deref().unwrap_or("-"), &event.detail]);
    }
    text += &table.render(2);
    if matches!(step.state.as_str(), "needs_human" | "resolving") {
        text += &format!(
            "\nIt may have happened. Look at the upstream, then record what you found:\n  \
             cofferdam resolve {} --applied|--absent|--diverged --why \"…\"\n",
            step.step
        );
    }
    text
}

fn run_text(detail: &RunDetail) -> String {
    let run = &detail.run;
    let mut text = format!("run {} of {}\n", run.run, printable(&run.principal));
    text += &format!(
        "  {} reads, {} mutations, {} open, {} unknown, {} unverified; {} to {}\n\n",
        run.reads, run.mutations, run.open, run.unknown, run.unverified, run.first_at, run.last_at
    );
    text + &steps_table(&detail.steps)
}

fn steps_table(steps: &[Step]) -> String {
    let mut table = Table::new(&["step", "at", "tool", "effect", "state", "outcome", "executed", "verification"]);
    for step in steps {
        table.row([
            &step.step,
            &step.created_at,
            &format!("{}.{}", step.upstream, step.tool),
            &step.effect,
            &step.state,
            step.outcome.as_deref().unwrap_or("-"),
            &step.executed,
            &step.verification,
        ]);
    }
    table.render(2)
}
