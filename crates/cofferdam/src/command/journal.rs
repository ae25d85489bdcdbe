//! `cofferdam journal`: looking after the journal.

use crate::cli::Where;
use crate::desk::Desk;
use crate::exit::{Exit, Failed};
use crate::output::Out;
use crate::place::{self, Place};
use journal::{Journal, Sqlite};
use serde::Serialize;
use std::path::Path;

pub async fn backup(to: &Path, place: &Where, out: Out) -> Result<Exit, Failed> {
    // A running gateway has another working directory.
    let to = std::path::absolute(to)?;
    let desk = Desk::open(&Place::find(place)?).await?;
    let made = desk.backup(&to).await?;
    out.show(&made, || {
        format!("copied {} steps, up to event {}, into {} ({} bytes)", made.steps, made.last, made.to, made.bytes)
    })?;
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct Moved {
    steps: u64,
    brought: u64,
    open: u64,
    to: String,
}

/// The file is owned meanwhile, so that no gateway writes to it.
pub async fn migrate(from: &Path, config: &Path, out: Out) -> Result<Exit, Failed> {
    let wanted = Where { config: Some(config.to_owned()), journal: None, socket: None, admin: None };
    let place = Place::find(&wanted)?;
    let Some(database) = place.database.clone() else {
        return Err(Failed::new(Exit::Wrong, format!("move it: {} has no `journal.postgres`", config.display())));
    };
    let (source, to) = (from.to_owned(), place::shown(&place));
    let moving = move || {
        let journal = Sqlite::open(&source, journal::sqlite::Options { keep_gap: true, ..Default::default() })?;
        let directory = if source.is_dir() { source } else { source.parent().unwrap_or(Path::new(".")).to_owned() };
        let scratch = directory.join(format!("migrate-{}.db", std::process::id()));
        let accept = crate::gateway::options(&database).accept;
        let told = |brought, of| tracing::info!(brought, of, "steps are being moved");
        let moved = journal::migrate(&journal, &scratch, database.url.expose(), accept, told);
        journal.close();
        moved
    };
    let moved = tokio::task::spawn_blocking(moving).await;
    let moved = moved.map_err(|error| Failed::because("move the journal", error))??;
    let moved = Moved { steps: moved.steps, brought: moved.brought, open: moved.open, to };
    out.show(&moved, || {
        let Moved { steps, brought, open, to } = &moved;
        format!(
            "{steps} steps are in {to}, {brought} of them since now; {open} are open, and the next gateway there finds out \
             what became of them.\nThe journal in {} is as it was: no gateway may use it any more.",
            from.display()
        )
    })?;
    Ok(Exit::Done)
}
