//! Every write of this process below one directory, in order, whoever makes it: SQLite and the standard library call
//! libc, and the functions here stand in its place. They record what is done below that directory, and do it.

#![expect(unsafe_code, reason = "functions that C calls with pointers")]

use super::disk::Op;
use core::ffi::{CStr, c_char, c_int, c_void};
use parking_lot::{Mutex, MutexGuard};
use rustix::fd::BorrowedFd;
use rustix::fs::FileType;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One recording at a time.
static TURN: Mutex<()> = Mutex::new(());
static IS_ON: AtomicBool = AtomicBool::new(false);
/// Held while the call is made: the order of the record is the order in which it happened.
static RECORD: Mutex<Option<Record>> = Mutex::new(None);

struct Record {
    directory: PathBuf,
    ops: Vec<Op>,
    /// Names at this moment; a file keeps its number when it is renamed.
    files: HashMap<PathBuf, usize>,
    next: usize,
}

/// A recording that goes on until it is taken.
pub struct Recorder(#[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Recorder {
    /// `directory` is new and empty.
    pub fn start(directory: &Path) -> Self {
        let turn = TURN.lock();
        let directory = directory.canonicalize().expect("a directory");
        *RECORD.lock() = Some(Record { directory, ops: Vec::new(), files: HashMap::new(), next: 0 });
        IS_ON.store(true, Ordering::SeqCst);
        Self(turn)
    }

    /// Notes that somebody was told something at this moment.
    pub fn note(told: u64) {
        if let Some(record) = RECORD.lock().as_mut() {
            record.ops.push(Op::Told(told));
        }
    }

    pub fn take(self) -> Vec<Op> {
        IS_ON.store(false, Ordering::SeqCst);
        RECORD.lock().take().expect("it was started").ops
    }
}

impl Record {
    /// The name below the directory; the index of the WAL is memory, and no restart reads it.
    fn name(&self, path: &Path) -> Option<PathBuf> {
        let name = path.strip_prefix(&self.directory).ok()?;
        (!name.as_os_str().as_bytes().ends_with(b"-shm")).then(|| name.to_owned())
    }

    fn file(&mut self, path: &Path) -> Option<usize> {
        let name = self.name(path)?;
        if let Some(file) = self.files.get(&name) {
            return Some(*file);
        }
        let file = self.next;
        self.next += 1;
        self.ops.push(Op::Create { file, name: name.clone() });
        self.files.insert(name, file);
        Some(file)
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        if let (Some(from), Some(to)) = (self.name(from), self.name(to))
            && let Some(file) = self.files.remove(&from)
        {
            self.ops.push(Op::Rename { file, from, to: to.clone() });
            self.files.insert(to, file);
        }
    }

    fn unlink(&mut self, path: &Path) {
        if let Some(name) = self.name(path)
            && self.files.remove(&name).is_some()
        {
            self.ops.push(Op::Unlink { name });
        }
    }
}

fn path_of(fd: BorrowedFd<'_>) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let link = rustix::fs::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new()).ok()?;
    Some(PathBuf::from(OsStr::from_bytes(link.as_bytes())))
}

/// Makes the call, and notes it where it succeeded below the directory.
fn recorded<T>(
    fd: BorrowedFd<'_>,
    call: impl FnOnce() -> rustix::io::Result<T>,
    note: impl FnOnce(&mut Record, &Path, &T),
) -> rustix::io::Result<T> {
    if !IS_ON.load(Ordering::SeqCst) {
        return call();
    }
    let mut record = RECORD.lock();
    let result = call();
    if let (Some(record), Ok(done), Some(path)) = (record.as_mut(), &result, path_of(fd))
        && path.starts_with(&record.directory)
    {
        note(record, &path, done);
    }
    result
}

fn wrote(record: &mut Record, path: &Path, at: u64, bytes: &[u8]) {
    if let Some(file) = record.file(path) {
        record.ops.push(Op::Write { file, at, bytes: Arc::from(bytes) });
    }
}

fn cut(fd: BorrowedFd<'_>, length: i64) -> c_int {
    let length = length.cast_unsigned();
    let call = || rustix::fs::ftruncate(fd, length);
    returned(recorded(fd, call, |record, path, ()| {
        if let Some(file) = record.file(path) {
            record.ops.push(Op::Truncate { file, length });
        }
    }))
}

fn sync(fd: BorrowedFd<'_>, call: impl FnOnce() -> rustix::io::Result<()>) -> c_int {
    returned(recorded(fd, call, |record, path, ()| {
        let is_directory =
            rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        if is_directory {
            record.ops.push(Op::SyncDirectory);
        } else if let Some(file) = record.file(path) {
            record.ops.push(Op::Sync { file });
        }
    }))
}

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

fn failed(error: rustix::io::Errno) {
    // SAFETY: the C library gives each thread a place for its error.
    unsafe { *__errno_location() = error.raw_os_error() };
}

fn returned(result: rustix::io::Result<()>) -> c_int {
    result.map_or_else(
        |error| {
            failed(error);
            -1
        },
        |()| 0,
    )
}

fn counted(result: rustix::io::Result<usize>) -> isize {
    match result {
        Ok(count) => count.cast_signed(),
        Err(error) => {
            failed(error);
            -1
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, count: usize) -> isize {
    // SAFETY: the caller of `write` promises an open file and so many readable bytes.
    let (fd, bytes) = unsafe { (BorrowedFd::borrow_raw(fd), std::slice::from_raw_parts(bytes.cast::<u8>(), count)) };
    counted(recorded(
        fd,
        || rustix::io::write(fd, bytes),
        |record, path, count| {
            // The position has moved past what was written.
            let end = rustix::fs::tell(fd).unwrap_or_default();
            wrote(record, path, end.saturating_sub(*count as u64), &bytes[..*count]);
        },
    ))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, count: usize, at: i64) -> isize {
    // SAFETY: as for `write`.
    let (fd, bytes) = unsafe { (BorrowedFd::borrow_raw(fd), std::slice::from_raw_parts(bytes.cast::<u8>(), count)) };
    let at = at.cast_unsigned();
    counted(recorded(
        fd,
        || rustix::io::pwrite(fd, bytes, at),
        |record, path, count| wrote(record, path, at, &bytes[..*count]),
    ))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(fd: c_int, bytes: *const c_void, count: usize, at: i64) -> isize {
    // SAFETY: the same promise.
    unsafe { pwrite64(fd, bytes, count, at) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, length: i64) -> c_int {
    // SAFETY: the caller of `ftruncate` promises an open file.
    cut(unsafe { BorrowedFd::borrow_raw(fd) }, length)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(fd: c_int, length: i64) -> c_int {
    // SAFETY: as for `ftruncate64`.
    cut(unsafe { BorrowedFd::borrow_raw(fd) }, length)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    // SAFETY: the caller of `fsync` promises an open file.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    sync(fd, || rustix::fs::fsync(fd))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: as for `fsync`.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    sync(fd, || rustix::fs::fdatasync(fd))
}

fn named(call: impl FnOnce() -> rustix::io::Result<()>, note: impl FnOnce(&mut Record)) -> c_int {
    if !IS_ON.load(Ordering::SeqCst) {
        return returned(call());
    }
    let mut record = RECORD.lock();
    let result = call();
    if let (Some(record), Ok(())) = (record.as_mut(), result) {
        note(record);
    }
    returned(result)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller of `unlink` promises a string that ends.
    let path = unsafe { CStr::from_ptr(path) };
    let name = Path::new(OsStr::from_bytes(path.to_bytes()));
    named(|| rustix::fs::unlink(path), |record| record.unlink(name))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller of `rename` promises two strings that end.
    let (from, to) = unsafe { (CStr::from_ptr(from), CStr::from_ptr(to)) };
    let path = |text: &CStr| PathBuf::from(OsStr::from_bytes(text.to_bytes()));
    named(|| rustix::fs::rename(from, to), |record| record.rename(&path(from), &path(to)))
}
