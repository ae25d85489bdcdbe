//! `cofferdam runs`: the runs of agents, the latest first.

use crate::cli::Runs;
use crate::desk::Desk;
use crate::exit::{Exit, Failed};
use crate::output::{Out, Table};
use crate::place::Place;

pub async fn run(wanted: Runs, out: Out) -> Result<Exit, Failed> {
    let desk = Desk::open(&Place::find(&wanted.place)?).await?;
    let runs = desk.runs(wanted.limit).await?;
    out.show(&runs, || {
        if runs.runs.is_empty() {
            return "no run yet".to_owned();
        }
        let mut table =
            Table::new(&["run", "principal", "last", "reads", "mutations", "open", "unknown", "unverified"]);
        for run in &runs.runs {
            table.row([
                &run.run,
                &run.principal,
                &run.last_at,
                &run.reads.to_string(),
                &run.mutations.to_string(),
                &run.open.to_string(),
                &run.unknown.to_string(),
                &run.unverified.to_string(),
            ]);
        }
        table.render(0)
    })?;
    Ok(Exit::Done)
}
