//! Connections to one upstream that wait for their next request.

use super::body::Outgoing;
use super::connection::Http1;
use hyper::client::conn::http2;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Node's servers close a connection that was quiet for five seconds. A request that meets the close on its way has an
/// unknown outcome, so a connection is not used again after a shorter quiet.
const IDLE_LONGEST: Duration = Duration::from_secs(4);
/// As many as may well be in use at once: one that is closed for lack of a place has to be opened again.
const IDLE_MAX: usize = 512;

#[derive(Default)]
pub struct Pool {
    idle: Mutex<Idle>,
    tracker: TaskTracker,
}

#[derive(Default)]
struct Idle {
    /// The last one used is the last.
    http1: VecDeque<(Box<Http1>, Instant)>,
    http2: Option<http2::SendRequest<Outgoing>>,
    is_swept: bool,
}

impl Pool {
    pub const fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// A connection that is still good, as far as anybody can know.
    pub fn take(&self) -> Option<Box<Http1>> {
        loop {
            let (mut connection, since) = self.idle.lock().http1.pop_back()?;
            if since.elapsed() < IDLE_LONGEST && connection.is_usable() {
                return Some(connection);
            }
        }
    }

    pub fn put(self: &Arc<Self>, mut connection: Box<Http1>) {
        if !connection.is_at_rest() {
            return;
        }
        connection.rest();
        let mut idle = self.idle.lock();
        if idle.http1.len() >= IDLE_MAX {
            idle.http1.pop_front();
        }
        idle.http1.push_back((connection, Instant::now()));
        if !std::mem::replace(&mut idle.is_swept, true) {
            self.tracker.spawn(sweep(Arc::downgrade(self)));
        }
    }

    pub fn shared(&self) -> Option<http2::SendRequest<Outgoing>> {
        let mut idle = self.idle.lock();
        if idle.http2.as_ref().is_some_and(|shared| shared.is_closed()) {
            idle.http2 = None;
        }
        idle.http2.clone()
    }

    pub fn share(&self, connection: http2::SendRequest<Outgoing>) {
        self.idle.lock().http2 = Some(connection);
    }
}

/// Closes what nobody used, and ends with the last of it.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE_LONGEST / 2).await;
        let Some(pool) = pool.upgrade() else {
            return;
        };
        let mut idle = pool.idle.lock();
        idle.http1.retain(|(_, since)| since.elapsed() < IDLE_LONGEST);
        if idle.http1.is_empty() {
            idle.is_swept = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    fn pair() -> (Box<Http1>, UnixStream) {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        let socket = near.as_fd().try_clone_to_owned().expect("a socket");
        (Box::new(Http1::new(Box::new(near), socket, Arc::default())), far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_finds_the_connections_of_the_one_before() {
        let pool = Arc::new(Pool::default());
        let (near, far): (Vec<_>, Vec<_>) = (0..100).map(|_| pair()).unzip();
        near.into_iter().for_each(|connection| pool.put(connection));
        assert_eq!(std::iter::from_fn(|| pool.take()).count(), far.len());
    }

    //= G1
    #[tokio::test(start_paused = true)]
    async fn what_ended_or_spoke_unasked_while_it_was_idle_is_not_used() {
        let pool = Arc::new(Pool::default());
        let ((ended, left), (spoke, mut speaker), (quiet, _far)) = (pair(), pair(), pair());
        for connection in [quiet, ended, spoke] {
            pool.put(connection);
        }
        drop(left);
        speaker.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.expect("room");
        assert!(pool.take().is_some());
        assert!(pool.take().is_none());
    }
}
