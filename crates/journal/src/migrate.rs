//! Moving a journal: from one gateway's file into a database that several share.

use crate::postgres::{Import, Loss};
use crate::{Error, Journal, Sqlite};
use std::path::Path;
use vocab::{GuardKind, StepId};

/// Steps of one commit.
const CHUNK: usize = 200;
/// Names of one page.
const PAGE: usize = 10_000;
const GUARDS_MAX: usize = 100_000;

/// What was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Steps of the other journal, tombstones included.
    pub steps: u64,
    /// Those that an earlier try had not brought yet.
    pub brought: u64,
    /// Of them, those that are open: the next gateway that starts finds out what became of them.
    pub open: u64,
}

/// Brings every step of `from`, with its evidence and its answer, and what guards remember. What is there already stays as
/// it is, so that a move that was interrupted is made again from the start. Notes of reads stay behind. `from` must be
/// owned by nobody else and is not changed; `scratch` is a file that does not exist, and does not exist afterwards.
///
/// # Errors
/// `Read` when a step cannot be read, or when `from` lists fewer steps than it has; `Conflict` when the database is another journal's; `Open` and `Write` as for [`Import`].
pub fn migrate(
    from: &Sqlite,
    scratch: &Path,
    to: &str,
    accept: Vec<Loss>,
    mut told: impl FnMut(u64, u64),
) -> Result<Migrated, Error> {
    let ids = listed(from)?;
    let counted = from.backup(scratch)?.steps;
    drop(std::fs::remove_file(scratch));
    if counted != ids.len() as u64 {
        let found = ids.len();
        return Err(Error::Read(format!(
            "it has {counted} steps, and {found} of them can be listed: nothing was moved"
        )));
    }
    let into = Import::open(to, accept)?;
    let mut guards = Vec::new();
    for kind in GuardKind::ALL {
        guards.extend(from.guards(kind, GUARDS_MAX)?);
    }
    into.put(Vec::new(), guards)?;
    let mut moved = Migrated { steps: counted, brought: 0, open: 0 };
    for chunk in ids.chunks(CHUNK) {
        let mut whole = Vec::with_capacity(chunk.len());
        for id in chunk {
            let row = from.step(*id)?.ok_or_else(|| Error::Read(format!("step {id} is in its list and not there")))?;
            moved.open += u64::from(row.status.state.is_open());
            whole.push((row, from.events(*id)?));
        }
        moved.brought += into.put(whole, Vec::new())? as u64;
        told(moved.brought, counted);
    }
    Ok(moved)
}

/// In the order in which they came.
fn listed(from: &Sqlite) -> Result<Vec<StepId>, Error> {
    let (mut ids, mut after) = (Vec::new(), 0);
    loop {
        let page = from.page(after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(ids) };
        after = *last;
        ids.extend(page.iter().map(|(_, id)| *id));
    }
}
