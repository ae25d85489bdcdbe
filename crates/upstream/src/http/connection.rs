//! One HTTP/1.1 connection that is driven by whoever waits for its answer, without a task of its own.

use super::body::Outgoing;
use super::buffer::Buffer;
use super::wire::{Broken, Head, Looked};
use bytes::Bytes;
use futures_util::future::poll_fn;
use rustix::net::RecvFlags;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite};

pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A body of at most this length leaves with its head in one piece.
const GATHERED_MAX: usize = 16 * 1024;

pub struct Http1 {
    io: Box<dyn Io>,
    /// The same socket, to look at it without reading.
    socket: OwnedFd,
    written: Arc<AtomicU64>,
    buffer: Buffer,
    looked: Looked,
    /// Nothing more will come.
    is_over: bool,
    /// It will not take another request.
    is_spent: bool,
}

/// A request on its way out.
struct Out {
    piece: Bytes,
    body: Outgoing,
    is_done: bool,
    failed: Option<Broken>,
}

impl Http1 {
    pub fn new(io: Box<dyn Io>, socket: OwnedFd, written: Arc<AtomicU64>) -> Self {
        let (buffer, looked) = (Buffer::default(), Looked::default());
        Self { io, socket, written, buffer, looked, is_over: false, is_spent: false }
    }

    /// Bytes that the kernel took so far.
    pub const fn written(&self) -> &Arc<AtomicU64> {
        &self.written
    }

    /// Has it been read to the end of an answer, after which another request may follow?
    pub const fn is_at_rest(&self) -> bool {
        !self.is_over && !self.is_spent && self.buffer.is_empty()
    }

    /// The answer was read whole: nothing is expected for a while.
    pub fn rest(&mut self) {
        self.buffer.rest();
    }

    /// Can it take another request? Asked of the kernel too, as nobody has looked at it since.
    pub fn is_usable(&mut self) -> bool {
        // What came without a request belongs to none; over TLS it may be a message of the session's own.
        let looked = self.poll_fill(&mut Context::from_waker(Waker::noop()));
        looked.is_pending() && self.is_at_rest() && is_quiet(&self.socket)
    }

    /// Reads once more; `false` at the end.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Broken>> {
        let read = ready!(self.buffer.poll_fill(&mut *self.io, cx))?;
        self.is_over |= read == 0;
        Poll::Ready(Ok(read > 0))
    }

    /// What was read, and whether nothing more will come.
    pub const fn unread(&mut self) -> (&mut Buffer, bool) {
        (&mut self.buffer, self.is_over)
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// The connection must not be used again.
    pub async fn send(&mut self, head: Vec<u8>, body: Outgoing) -> Result<Head, Broken> {
        let mut out = Out::new(head, body)?;
        poll_fn(|cx| self.poll_exchange(&mut out, cx)).await
    }

    fn poll_exchange(&mut self, out: &mut Out, cx: &mut Context<'_>) -> Poll<Result<Head, Broken>> {
        if !out.is_done
            && let Poll::Ready(sent) = out.poll_write(&mut *self.io, cx)
        {
            out.is_done = true;
            out.failed = sent.err();
        }
        // A server may answer before it has read everything, and close: what it said counts.
        match self.poll_head(cx) {
            Poll::Ready(Ok(head)) => {
                self.is_spent |= !head.keeps || !out.is_done || out.failed.is_some();
                Poll::Ready(Ok(head))
            }
            Poll::Ready(Err(broken)) => Poll::Ready(Err(out.failed.take().unwrap_or(broken))),
            Poll::Pending => out.failed.take().map_or(Poll::Pending, |failed| Poll::Ready(Err(failed))),
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Broken>> {
        loop {
            if let Some(head) = Head::take(&mut self.buffer, &mut self.looked)? {
                return Poll::Ready(Ok(head));
            }
            if self.is_over || !ready!(self.poll_fill(cx))? {
                return Poll::Ready(Err(Broken::Early));
            }
        }
    }
}

impl Out {
    fn new(mut head: Vec<u8>, mut body: Outgoing) -> Result<Self, Broken> {
        if body.len() <= GATHERED_MAX {
            while let Some(piece) = body.next() {
                head.extend_from_slice(&piece?);
            }
        }
        Ok(Self { piece: head.into(), body, is_done: false, failed: None })
    }

    fn poll_write(&mut self, mut io: &mut dyn Io, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            while !self.piece.is_empty() {
                let count = ready!(Pin::new(&mut io).poll_write(cx, &self.piece))?;
                if count == 0 {
                    return Poll::Ready(Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into()));
                }
                drop(self.piece.split_to(count));
            }
            match self.body.next() {
                Some(piece) => self.piece = piece?,
                None => return Pin::new(&mut io).poll_flush(cx).map_err(Broken::from),
            }
        }
    }
}

/// An idle connection has nothing to read; its end would be.
fn is_quiet(socket: &OwnedFd) -> bool {
    let mut byte = [0_u8; 1];
    let peeked = rustix::net::recv(socket, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(peeked, Err(rustix::io::Errno::AGAIN))
}
