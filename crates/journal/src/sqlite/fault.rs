//! What an error of SQLite means for the journal, and the hook by which tests make the disk fail.

use crate::Error;
use rusqlite::ffi;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a failed statement or commit means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing was written; room may come back.
    DiskFull,
    /// What is on disk is no longer known.
    Fatal(String),
    /// Nothing was written, for another reason.
    Failed(String),
}

impl Verdict {
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error() else { return Self::Failed(error.to_string()) };
        match (code.extended_code, code.extended_code & 0xff) {
            // The shared-memory file could not grow: the same full disk by another name.
            (ffi::SQLITE_IOERR_SHMSIZE, _) | (_, ffi::SQLITE_FULL) => Self::DiskFull,
            (_, ffi::SQLITE_IOERR | ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB) => Self::Fatal(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }

    pub(super) fn error(&self) -> Error {
        match self {
            Self::DiskFull => Error::DiskFull,
            Self::Fatal(why) => Error::Poisoned(why.clone()),
            Self::Failed(why) => Error::Write(why.clone()),
        }
    }
}

pub(super) fn read_error(error: rusqlite::Error) -> Error {
    Error::Read(error.to_string())
}

pub(super) fn open_error(error: &rusqlite::Error) -> Error {
    match Verdict::of(error) {
        Verdict::DiskFull => Error::DiskFull,
        Verdict::Fatal(why) | Verdict::Failed(why) => Error::Open(why),
    }
}

/// Makes the disk fail on demand. The full disk is SQLite's own (`max_page_count`), so that its real path runs; a
/// failing fsync cannot be had from outside without a C shim, so the writer asks here in place of the commit.
#[derive(Debug, Default)]
pub struct Faults {
    sync: AtomicBool,
    full: AtomicBool,
}

impl Faults {
    /// The next commit's fsync fails: what was being committed is rolled back and the journal is poisoned.
    pub fn fail_next_sync(&self) {
        self.sync.store(true, Ordering::Relaxed);
    }

    /// From the next commit on the file cannot grow (`true`), or can again.
    pub fn disk_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Stands where the commit's fsync is.
    pub(super) fn sync(&self) -> rusqlite::Result<()> {
        if self.sync.swap(false, Ordering::Relaxed) {
            let error = ffi::Error::new(ffi::SQLITE_IOERR_FSYNC);
            return Err(rusqlite::Error::SqliteFailure(error, Some("injected: fsync failed".to_owned())));
        }
        Ok(())
    }
}
