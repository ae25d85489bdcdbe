//! The operator's Unix socket: for its owner only from the first moment, and a stale one is replaced.

use rustix::fs::{Mode, fchmod};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as bind_to, listen, socket_with};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::net::UnixListener;

const WAITING_MAX: i32 = 64;

/// Why the operator's socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("take the operator's socket {0}: somebody answers there already")]
    InUse(PathBuf),
    #[error("take the operator's socket {0}: something else lies there, which is left alone")]
    NoSocket(PathBuf),
    #[error("take the operator's socket {0}: the path is too long for a socket; set admin.socket in the policy")]
    TooLong(PathBuf),
    #[error("take the operator's socket {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// Listens at `path` with mode 0600. A socket that nobody answers at is what a killed gateway left, and is replaced.
///
/// # Errors
/// Somebody answers there, something else lies there, or the system refuses.
pub fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    let failed = |source: io::Error| SocketError::Io { path: path.to_owned(), source };
    clear(path)?;
    let address = SocketAddrUnix::new(path).map_err(|_| SocketError::TooLong(path.to_owned()))?;
    // Not for the children that a gateway starts: they would answer at it after its end, and could take its calls.
    let owned = socket_with(AddressFamily::UNIX, SocketType::STREAM, PRIVATE, None)
        .and_then(|owned| fcntl_setfd(&owned, FdFlags::CLOEXEC).map(|()| owned))
        .map_err(|error| failed(error.into()))?;
    // On Linux the name takes its mode from the socket, so that there is no moment in which others can connect. Where
    // the system refuses this, the mode is set after the bind, and the directory (0700) keeps others out until then.
    fchmod(&owned, Mode::RUSR | Mode::WUSR).ok();
    bind_to(&owned, &address).map_err(|error| failed(error.into()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    listen(&owned, WAITING_MAX).map_err(|error| failed(error.into()))?;
    let listener = StdListener::from(owned);
    listener.set_nonblocking(true).map_err(failed)?;
    UnixListener::from_std(listener).map_err(failed)
}

fn clear(path: &Path) -> Result<(), SocketError> {
    let failed = |source: io::Error| SocketError::Io { path: path.to_owned(), source };
    let meta = match path.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !meta.file_type().is_socket() {
        return Err(SocketError::NoSocket(path.to_owned()));
    }
    let until = Instant::now() + LINGERS_MAX;
    loop {
        match UnixStream::connect(path) {
            Ok(_) if Instant::now() < until => std::thread::sleep(LINGERS_MAX / 50),
            Ok(_) => return Err(SocketError::InUse(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return std::fs::remove_file(path).map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

/// A gateway that was killed while it started a child answers until that child has become its program.
const LINGERS_MAX: Duration = Duration::from_secs(1);

#[cfg(target_os = "linux")]
const PRIVATE: SocketFlags = SocketFlags::CLOEXEC;
#[cfg(not(target_os = "linux"))]
const PRIVATE: SocketFlags = SocketFlags::empty();

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_its_owner_only() -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("admin.sock");
        let _listener = bind(&path)?;
        assert_eq!(path.metadata()?.permissions().mode() & 0o777, 0o600);
        Ok(())
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("admin.sock");
        drop(bind(&path)?);
        assert!(path.exists(), "a listener that ends leaves its name");
        let _live = bind(&path)?;
        assert!(matches!(bind(&path), Err(SocketError::InUse(_))));
        Ok(())
    }

    #[tokio::test]
    async fn a_child_that_lives_on_does_not_answer_in_our_place() -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("admin.sock");
        let listener = bind(&path)?;
        let mut child = std::process::Command::new("sleep").arg("60").spawn()?;
        drop(listener);
        let again = bind(&path).map(drop);
        child.kill()?;
        child.wait()?;
        assert!(again.is_ok(), "{again:?}");
        Ok(())
    }

    #[tokio::test]
    async fn a_file_in_its_place_is_left_alone() -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("admin.sock");
        std::fs::write(&path, "mine")?;
        assert!(matches!(bind(&path), Err(SocketError::NoSocket(_))));
        assert_eq!(std::fs::read_to_string(&path)?, "mine");
        Ok(())
    }
}
