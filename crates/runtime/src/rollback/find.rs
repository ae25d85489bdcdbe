//! The changes of a run, out of the journal: its mutations without those that only take others back.

use super::{CHANGES_MAX, Report, RollbackError};
use checks::identity;
use engine::rollback::{Change, TRIES_MAX};
use journal::{Error, Filter, Journal, Recall};
use std::collections::HashSet;
use vocab::{RunId, StepId, StepRow};

/// Every change of a run, or those after a checkpoint; in no order. Blocks for a few point reads of each.
pub(super) fn changes(journal: &dyn Journal, run: RunId, to: Option<StepId>) -> Result<Vec<Change>, RollbackError> {
    // Each change may have as many compensations, which are steps of the run as well.
    let limit = CHANGES_MAX * (1 + TRIES_MAX as usize) + 1;
    let rows = journal.steps(&Filter { run: Some(run), limit, ..Filter::default() })?;
    if rows.len() == limit {
        return Err(RollbackError::TooMany);
    }
    let mut changes = Vec::new();
    for row in rows.iter().filter(|row| row.intent.effect.is_mutation()) {
        changes.extend(change(journal, row.intent.step)?);
    }
    let undoing: HashSet<StepId> = changes.iter().flat_map(|change| &change.tries).map(|row| row.intent.step).collect();
    changes.retain(|change| !undoing.contains(&change.step()));
    if changes.len() > CHANGES_MAX {
        return Err(RollbackError::TooMany);
    }
    if changes.is_empty() {
        return Err(RollbackError::NotFound(run));
    }
    if let Some(to) = to {
        let point = changes.iter().find(|change| change.step() == to).ok_or(RollbackError::NoCheckpoint(to))?;
        let point = (point.at(), point.step());
        changes.retain(|change| (change.at(), change.step()) > point);
    }
    Ok(changes)
}

/// One step with its compensations. `None`: retention has taken it meanwhile.
pub(super) fn change(journal: &dyn Journal, step: StepId) -> Result<Option<Change>, Error> {
    let Some(row) = journal.step(step)? else { return Ok(None) };
    let tries = tries(journal, &row)?;
    Ok(Some(Change::new(row, tries)))
}

fn tries(journal: &dyn Journal, row: &StepRow) -> Result<Vec<StepRow>, Error> {
    let mut tries = Vec::new();
    for number in 0..TRIES_MAX {
        let key = identity::compensation_key(&row.intent.key, row.intent.generation, number);
        match journal.recall(&Recall { key, content: None })?.by_key {
            Some(found) => tries.push(found),
            None => break,
        }
    }
    Ok(tries)
}

/// How far a run has been taken back, by a journal that no gateway has open: nothing is read of the world.
///
/// # Errors
/// The run is not there, or the journal cannot be read.
//= S-04
//= S-05
pub fn at_rest(journal: &dyn Journal, run: RunId, to: Option<StepId>) -> Result<Report, RollbackError> {
    let changes = changes(journal, run, to)?;
    let rollback = engine::rollback::Rollback::new(changes.into_iter().map(|change| (change, None)));
    Ok(Report::of(run, rollback.standings()))
}
