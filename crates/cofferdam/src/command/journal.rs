//! `cofferdam journal`: looking after the journal.

use crate::cli::Where;
use crate::desk::Desk;
use crate::exit::{Exit, Failed};
use crate::output::Out;
use crate::place::Place;
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
