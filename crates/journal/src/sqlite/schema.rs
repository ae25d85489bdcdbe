//! The file's form: pragmas, tables and their versions.
//!
//! `user_version` counts the forms; a step up is written here and proven by the golden file of the form before it.
//! A file of a later form is refused: an older program beside a newer one could drop what it does not know.

use super::earlier;
use super::fault::{open_error, read_error};
use crate::Error;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::time::Duration;

/// "Cofd": what `file` and `doctor` tell a journal by.
pub(super) const APPLICATION_ID: i32 = 0x436f_6664;
pub(super) const VERSION: i32 = 3;

/// 3.7.0 to 3.51.2 corrupt the file when one connection resets the WAL while another checkpoints.
const SQLITE_MIN: i32 = 3_051_003;

// An append is written once, into `log`; that is all a barrier waits for. Where a step lies and how it stands follows
// in batches, off the path (`settle`): what is past `meta.settled` is in the log only, and a start reads it from there.
// A tombstone is the same row of `step`, with what is left of its log rows in `stone`: a claim stays one look-up, and
// nothing races with expiry.
const FORM_3: &str = "
CREATE TABLE meta(
  one INTEGER PRIMARY KEY CHECK(one = 1), database BLOB NOT NULL, epoch INTEGER NOT NULL,
  gap_since INTEGER, backup_of BLOB, backup_at INTEGER, orphans_checked INTEGER NOT NULL DEFAULT 0,
  settled INTEGER NOT NULL DEFAULT 0, origin INTEGER NOT NULL DEFAULT 0, origin_hash BLOB) STRICT;

CREATE TABLE log(
  pos INTEGER PRIMARY KEY, step_id BLOB NOT NULL, at INTEGER NOT NULL, lsn INTEGER NOT NULL, hash BLOB NOT NULL,
  records BLOB NOT NULL) STRICT;
CREATE INDEX log_step ON log(step_id);
CREATE TABLE log_gap(first INTEGER PRIMARY KEY, last INTEGER NOT NULL, lsn INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE anchor(pos INTEGER PRIMARY KEY, lsn INTEGER NOT NULL, hash BLOB NOT NULL, at INTEGER NOT NULL) STRICT;

CREATE TABLE step(
  seq INTEGER PRIMARY KEY, step_id BLOB NOT NULL, run_id BLOB NOT NULL, principal TEXT NOT NULL,
  upstream TEXT NOT NULL, effect INTEGER NOT NULL, created_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
  state INTEGER NOT NULL, outcome INTEGER, verification INTEGER NOT NULL, closed_at INTEGER, epoch INTEGER NOT NULL,
  expired INTEGER NOT NULL, status_at INTEGER NOT NULL, result_at INTEGER, stone BLOB) STRICT;
CREATE INDEX step_run ON step(run_id);
CREATE INDEX step_open ON step(created_at) WHERE state < 100;
CREATE INDEX step_due ON step(expired, closed_at)
  WHERE state = 100 AND closed_at IS NOT NULL AND (outcome IS NULL OR outcome NOT IN (5, 8));
CREATE TABLE find(word INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(word, seq)) STRICT, WITHOUT ROWID;
";

const READS: &str = "
CREATE TABLE read_batch(
  id INTEGER PRIMARY KEY, min_at INTEGER NOT NULL, max_at INTEGER NOT NULL, count INTEGER NOT NULL,
  notes BLOB NOT NULL) STRICT;
CREATE INDEX read_at ON read_batch(max_at);
";

/// What guards remember. An older program would not see an operator's freeze, so that the form went up with it.
const GUARDS: &str = "
CREATE TABLE guard(
  kind INTEGER NOT NULL, key BLOB NOT NULL, body BLOB NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY(kind, key)) STRICT, WITHOUT ROWID;
CREATE INDEX guard_at ON guard(kind, at);
";

pub(super) fn assert_version() -> Result<(), Error> {
    if rusqlite::version_number() < SQLITE_MIN {
        return Err(Error::Open(format!("SQLite {} corrupts WAL files; 3.51.3 is needed", rusqlite::version())));
    }
    Ok(())
}

/// What every connection is set to, whoever it belongs to.
pub(super) fn prepare(connection: &Connection, cache_kib: u32) -> Result<(), Error> {
    let set = || {
        connection.busy_timeout(Duration::from_secs(5))?;
        // Closing must not checkpoint: after an fsync error nothing more may be written, and a reader never writes.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // A plan must not depend on the values bound to it: where it may, SQLite plans anew at each execution.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(&format!(
            "PRAGMA wal_autocheckpoint=0; PRAGMA foreign_keys=on; PRAGMA temp_store=memory; PRAGMA mmap_size=0;
             PRAGMA trusted_schema=off; PRAGMA cache_size=-{cache_kib};"
        ))
    };
    set().map_err(|error| open_error(&error))
}

/// Makes a new file a journal, or an old form the current one. The connection holds the lock of the journal.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application = pragma("application_id").map_err(|error| open_error(&error))?;
    let version = pragma("user_version").map_err(|error| open_error(&error))?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| open_error(&error))?;
    match (application, version) {
        (0, 0) if tables == 0 => create(connection).map_err(|error| open_error(&error)),
        (APPLICATION_ID, VERSION) => Ok(()),
        (APPLICATION_ID, from @ (1 | 2)) => step_up(connection, from).map_err(|error| open_error(&error)),
        (APPLICATION_ID, newer) if newer > VERSION => {
            Err(Error::Open(format!("its form {newer} is newer than this program, which knows up to {VERSION}")))
        }
        _ => Err(Error::Open("the file is not a journal of this program".to_owned())),
    }
}

/// Refuses what this program cannot read as it is: one who only reads brings nothing over.
pub(super) fn check(connection: &Connection) -> Result<(), Error> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    match (pragma("application_id").map_err(read_error)?, pragma("user_version").map_err(read_error)?) {
        (APPLICATION_ID, VERSION) => Ok(()),
        (APPLICATION_ID, 1 | 2) => {
            Err(Error::Open("it is of an earlier form: start the gateway on it once".to_owned()))
        }
        (APPLICATION_ID, other) => Err(Error::Open(format!("its form is {other}, this program reads {VERSION}"))),
        _ => Err(Error::Open("the file is not a journal of this program".to_owned())),
    }
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    // Only before the first table, and outside a transaction.
    connection.execute_batch("PRAGMA auto_vacuum=INCREMENTAL;")?;
    let transaction = connection.transaction()?;
    for tables in [FORM_3, READS, GUARDS] {
        transaction.execute_batch(tables)?;
    }
    transaction.execute_batch("INSERT INTO meta(one, database, epoch) VALUES (1, randomblob(16), 0)")?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// From an earlier form, in one transaction: a crash leaves the old one. The time it takes grows with the journal.
fn step_up(connection: &mut Connection, from: i32) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    earlier::set_aside(&transaction)?;
    transaction.execute_batch(FORM_3)?;
    if from == 1 {
        transaction.execute_batch(GUARDS)?;
    }
    earlier::bring_over(&transaction)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
