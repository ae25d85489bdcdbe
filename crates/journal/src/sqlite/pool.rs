//! Connections that only read: a few are kept, each with its statements prepared.

use super::fault::read_error;
use super::schema::{self, prepare};
use crate::Error;
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};

/// Connections at once; whoever comes later waits for the few microseconds that a read takes.
const OPEN_MAX: usize = 8;
const CACHE_KIB: u32 = 1_024;

pub(super) struct Pool {
    file: PathBuf,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    open: usize,
}

impl Pool {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, state: Mutex::default(), returned: Condvar::new() }
    }

    /// Runs `read` on a connection of the pool. A connection that failed is not used again.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let idle = {
            let mut state = self.state.lock();
            loop {
                if let Some(connection) = state.idle.pop() {
                    break Some(connection);
                }
                if state.open < OPEN_MAX {
                    state.open += 1;
                    break None;
                }
                self.returned.wait(&mut state);
            }
        };
        let place = Place { pool: self, connection: None };
        let connection = match idle {
            Some(connection) => connection,
            None => open(&self.file)?,
        };
        let result = read(&connection);
        let mut place = place;
        place.connection = result.is_ok().then_some(connection);
        result
    }
}

/// Gives the place back on every way out, a panic of the reader included.
struct Place<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        match self.connection.take() {
            Some(connection) => state.idle.push(connection),
            None => state.open -= 1,
        }
        drop(state);
        self.pool.returned.notify_one();
    }
}

/// A WAL file needs its shared memory written even by readers; only where that is forbidden is it opened without.
pub(super) fn open(file: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_READ_WRITE)
        .or_else(|_| Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_READ_ONLY))
        .map_err(read_error)?;
    prepare(&connection, CACHE_KIB)?;
    connection.execute_batch("PRAGMA query_only=on").map_err(read_error)?;
    schema::check(&connection)?;
    Ok(connection)
}

/// The keeper's own: it writes only by checkpoints.
pub(super) fn open_for_checkpoints(file: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(read_error)?;
    prepare(&connection, CACHE_KIB)?;
    connection.execute_batch("PRAGMA synchronous=FULL").map_err(read_error)?;
    Ok(connection)
}
