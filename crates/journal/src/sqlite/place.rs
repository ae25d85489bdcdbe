//! Where a journal lies: its file, its directory, the lock that keeps a second gateway out.

use crate::Error;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the lock of a process that is gone is waited for.
const ORPHAN_TRIES: u32 = 300;
const ORPHAN_PAUSE: Duration = Duration::from_millis(10);

/// The files of one journal. A directory holds `journal.db`, `journal.lock` and `journal.mark`; a path that names a
/// `.db` file keeps its own name.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: PathBuf,
    pub(super) directory: PathBuf,
}

impl Place {
    pub(super) fn of(path: &Path) -> Self {
        let is_file = path.is_file() || (!path.is_dir() && path.extension().is_some_and(|extension| extension == "db"));
        let file = if is_file { path.to_owned() } else { path.join("journal.db") };
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let file = file.file_name().map_or(file.clone(), |name| directory.join(name));
        Self { file, directory }
    }

    pub(super) fn mark(&self) -> PathBuf {
        self.file.with_extension("mark")
    }

    pub(super) fn wal(&self) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push("-wal");
        PathBuf::from(name)
    }

    /// Makes the directory, for its owner only; one that exists keeps the mode its owner gave it.
    pub(super) fn create_directory(&self) -> Result<(), Error> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&self.directory).map_err(|error| io("create the directory", &error))?;
        sync_directory(&self.directory)
    }

    /// Makes the file, empty and for its owner only, before SQLite would make it for everybody; `-wal` and `-shm`
    /// take the mode of the file. Returns whether it is new.
    pub(super) fn create_file(&self) -> Result<bool, Error> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.file) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(self.file.metadata().is_ok_and(|meta| meta.len() == 0))
            }
            Err(error) => Err(io("create the file", &error)),
        }
    }

    /// Takes the journal for this process. The lock ends with the process, however it ends.
    pub(super) fn lock(&self) -> Result<Lock, Error> {
        let path = self.file.with_extension("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| io("open the lock", &error))?;
        let mut tries = 0;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(Error::Locked(error.to_string())),
            }
            let holder = holder(&mut file);
            // A process that was killed while it started a child: until that child runs its own program, it holds what
            // its parent held.
            if tries < ORPHAN_TRIES && holder.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH)) {
                tries += 1;
                std::thread::sleep(ORPHAN_PAUSE);
                continue;
            }
            let holder =
                holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {}", pid.as_raw_nonzero()));
            return Err(Error::Locked(format!("{holder} uses {}", self.file.display())));
        }
        let mut write = || {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            writeln!(file, "{}", std::process::id())
        };
        // A full disk must not keep a gateway from its journal for the sake of a pid.
        drop(write());
        Ok(Lock { _file: file })
    }
}

/// The process that wrote itself into the lock; an unreadable one is `None`.
fn holder(file: &mut File) -> Option<Pid> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    Read::by_ref(file).take(32).read_to_string(&mut text).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

/// The right to write; given up when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Makes names in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> Result<(), Error> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(|error| io("sync the directory", &error))
}

pub(super) fn io(what: &str, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull => Error::DiskFull,
        _ => Error::Open(format!("{what}: {error}")),
    }
}
