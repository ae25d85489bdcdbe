//! One client's connection: what is under way on it, and which answers have reached the socket.
//!
//! hyper flushes the transport only when its own buffer is empty, so a flush after an answer's body was taken means
//! that the last byte was handed to the socket.

use http::Version;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use runtime::{Arrival, Delivery};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// Pieces that are together no longer than this are sent as one.
const GATHERED_MAX: usize = 2 * 1024;

pub(super) struct Link {
    /// Requests whose answer is not yet written.
    open: AtomicUsize,
    quiet_since: Mutex<Instant>,
    /// Answers that are in hyper's buffer.
    written: Mutex<Vec<Delivery>>,
    any_written: AtomicBool,
    /// HTTP/2: another request says nothing about the answers before it.
    has_streams: AtomicBool,
    /// Answers that were handed to the socket. What the client does next says whether it got them.
    on_their_way: Mutex<Vec<Delivery>>,
}

impl Link {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            quiet_since: Mutex::new(Instant::now()),
            written: Mutex::default(),
            any_written: AtomicBool::new(false),
            has_streams: AtomicBool::new(false),
            on_their_way: Mutex::default(),
        })
    }

    /// A request has arrived. On a connection without streams a client asks again only when it has read the answer
    /// before.
    pub fn begin(self: &Arc<Self>, version: Version) -> Busy {
        if version >= Version::HTTP_2 {
            self.has_streams.store(true, Ordering::Relaxed);
        }
        let seen = std::mem::take(&mut *self.on_their_way.lock());
        for delivery in seen {
            delivery.report(Arrival::Seen);
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        Busy { link: Arc::clone(self) }
    }

    /// How long the client has asked for nothing; `None` while it waits for us.
    pub fn quiet(&self) -> Option<Duration> {
        (self.open.load(Ordering::Relaxed) == 0).then(|| self.quiet_since.lock().elapsed())
    }

    fn flushed(&self) {
        if self.any_written.swap(false, Ordering::AcqRel) {
            let written = std::mem::take(&mut *self.written.lock());
            for mut delivery in written {
                if self.has_streams.load(Ordering::Relaxed) {
                    delivery.report(Arrival::Flushed);
                } else {
                    delivery.flushed();
                    self.on_their_way.lock().push(delivery);
                }
            }
        }
    }
}

/// A request of this connection that is not yet answered whole.
pub(super) struct Busy {
    link: Arc<Link>,
}

impl Busy {
    /// The last byte of an answer is in hyper's buffer. A connection that dies before the flush drops the report.
    pub fn written(&self, delivery: Delivery) {
        self.link.written.lock().push(delivery);
        self.link.any_written.store(true, Ordering::Release);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.link.quiet_since.lock() = Instant::now();
        self.link.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The socket. A client that takes nothing for too long is given up.
pub(super) struct Io {
    inner: TokioIo<TcpStream>,
    link: Arc<Link>,
    write_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Io {
    pub fn new(stream: TcpStream, link: Arc<Link>, write_timeout: Duration) -> Self {
        Self { inner: TokioIo::new(stream), link, write_timeout, stalled: None }
    }

    fn watched<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let limit = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Read for Io {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buf)
    }
}

impl Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, buf);
        self.watched(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A head and a small body: one short piece is cheaper to send than two.
        let length = bufs.iter().fold(0_usize, |sum, buf| sum.saturating_add(buf.len()));
        let polled = if (1..=GATHERED_MAX).contains(&length) {
            let mut gathered = [0_u8; GATHERED_MAX];
            let mut end = 0;
            for buf in bufs {
                gathered[end..end + buf.len()].copy_from_slice(buf);
                end += buf.len();
            }
            Pin::new(&mut self.inner).poll_write(context, &gathered[..end])
        } else {
            Pin::new(&mut self.inner).poll_write_vectored(context, bufs)
        };
        self.watched(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(context);
        if matches!(polled, Poll::Ready(Ok(()))) {
            self.link.flushed();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
