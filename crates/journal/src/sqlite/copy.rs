//! A consistent copy of the journal while it is used. The copy says inside itself that it is one, so that opening it
//! as a journal is recognised as a gap even when everything around it was restored too.

use super::fault::{Verdict, read_error};
use super::log::micros;
use super::place::{io, sync_directory};
use super::recent::Memory;
use crate::{Backup, Error};
use rusqlite::{Connection, params};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;
use vocab::{Instant, Lsn};

/// How often a copy that finds the file locked tries again, 10 ms apart.
const TRIES_MAX: u32 = 500;

pub(super) fn backup(db: &Connection, to: &Path, now: Instant) -> Result<Backup, Error> {
    // Never over something: the only copy may be what would be overwritten.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(|error| {
        let what = format!("create the copy {}", to.display());
        match io(&what, &error) {
            Error::Open(why) => Error::Write(why),
            other => other,
        }
    })?;
    let made = copy(db, to, now);
    if made.is_err() {
        // A half copy is worse than none.
        drop(std::fs::remove_file(to));
    }
    made
}

fn copy(db: &Connection, to: &Path, now: Instant) -> Result<Backup, Error> {
    let write_error = |error: rusqlite::Error| Verdict::of(&error).error();
    let mut copy = Connection::open(to).map_err(write_error)?;
    {
        let backup = rusqlite::backup::Backup::new(db, &mut copy).map_err(write_error)?;
        let mut tries = 0;
        // In one step: the writer's commits would make a copy in several steps start again each time.
        while backup.step(-1).map_err(write_error)? != rusqlite::backup::StepResult::Done {
            tries += 1;
            if tries > TRIES_MAX {
                return Err(Error::Write("copy the journal: it stays locked".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    // One file without a WAL, complete in itself.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(write_error)?;
    copy.execute("UPDATE meta SET backup_of = database, backup_at = ?1", params![micros(now)]).map_err(write_error)?;
    let number = |sql| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(read_error);
    let steps = count(&copy).map_err(read_error)?;
    let last = Lsn(number(super::LAST_LSN)?.cast_unsigned());
    copy.close().map_err(|(_, error)| write_error(error))?;
    let sync = || {
        let file = File::open(to)?;
        file.sync_all()?;
        file.metadata()
    };
    let meta = sync().map_err(|error| io("sync the copy", &error))?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_directory(parent)?;
    Ok(Backup { bytes: meta.len(), steps, last })
}

/// Those in the tables, and those that are in the log only.
fn count(db: &Connection) -> rusqlite::Result<u64> {
    let mut steps: u64 = db.query_row("SELECT count(*) FROM step", [], |row| row.get::<_, i64>(0))?.cast_unsigned();
    for entry in Memory::replay(db)?.entries() {
        steps += u64::from(super::entry::at(db, entry.seq)?.is_none());
    }
    Ok(steps)
}
