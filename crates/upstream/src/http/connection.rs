//! One HTTP/1.1 connection that is driven by whoever waits for its answer, without a task of its own.

use super::body::Outgoing;
use super::pool::Pool;
use futures_util::future::poll_fn;
use http::{Request, Response};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use rustix::net::RecvFlags;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub struct Http1 {
    sender: SendRequest<Outgoing>,
    /// `None` once the connection is over.
    driver: Option<Connection<TokioIo<Box<dyn Io>>, Outgoing>>,
    /// The same socket, to look at it without reading.
    socket: OwnedFd,
    written: Arc<AtomicU64>,
}

impl Http1 {
    pub const fn new(
        sender: SendRequest<Outgoing>,
        driver: Connection<TokioIo<Box<dyn Io>>, Outgoing>,
        socket: OwnedFd,
        written: Arc<AtomicU64>,
    ) -> Self {
        Self { sender, driver: Some(driver), socket, written }
    }

    /// Bytes that the kernel took so far.
    pub const fn written(&self) -> &Arc<AtomicU64> {
        &self.written
    }

    /// Errors reach the request or the body that they concern.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(cx).is_ready()
        {
            self.driver = None;
        }
    }

    /// Can it take another request? Asked of the kernel too, as nobody has driven it since.
    pub fn is_usable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready() && is_quiet(&self.socket)
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(&mut self, request: Request<Outgoing>) -> Result<Response<Incoming>, hyper::Error> {
        let mut answer = pin!(self.sender.send_request(request));
        poll_fn(|cx| {
            // The request is in its place before the connection looks, and the answer is before it waits.
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            self.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }
}

/// An idle connection has nothing to read; its end would be.
fn is_quiet(socket: &OwnedFd) -> bool {
    let mut byte = [0_u8; 1];
    let peeked = rustix::net::recv(socket, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(peeked, Err(rustix::io::Errno::AGAIN))
}

/// Longest rest of a stream that is read after its answer, so that the connection can be used again.
const REST_MAX: usize = 64 * 1024;
const REST_LONGEST: Duration = Duration::from_secs(1);

/// The body of an answer. Read to its end it gives the connection back; dropped before, it closes it.
pub struct Body {
    incoming: Incoming,
    /// Of HTTP/1.1; the streams of HTTP/2 share one that drives itself.
    connection: Option<Box<Http1>>,
    pool: Arc<Pool>,
}

impl Body {
    pub const fn new(incoming: Incoming, connection: Option<Box<Http1>>, pool: Arc<Pool>) -> Self {
        Self { incoming, connection, pool }
    }

    pub async fn frame(&mut self) -> Option<Result<Frame<bytes::Bytes>, hyper::Error>> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<bytes::Bytes>, hyper::Error>>> {
        let mut frame = Pin::new(&mut self.incoming).poll_frame(cx);
        if frame.is_pending()
            && let Some(connection) = &mut self.connection
        {
            connection.drive(cx);
            frame = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        if matches!(frame, Poll::Ready(None))
            && let Some(connection) = self.connection.take()
        {
            self.pool.put(connection);
        }
        frame
    }

    /// The answer was read: what is left is mostly the end, which lets the connection be used again.
    pub fn finish(mut self) {
        let mut rest = 0;
        while rest < REST_MAX {
            match self.poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(frame))) => rest += frame.data_ref().map_or(0, bytes::Bytes::len),
                Poll::Ready(_) => return,
                Poll::Pending => break,
            }
        }
        let tracker = self.pool.tracker().clone();
        tracker.spawn(async move {
            let rest = async {
                while let Some(Ok(frame)) = self.frame().await {
                    rest += frame.data_ref().map_or(0, bytes::Bytes::len);
                    if rest > REST_MAX {
                        break;
                    }
                }
            };
            drop(tokio::time::timeout(REST_LONGEST, rest).await);
        });
    }
}
