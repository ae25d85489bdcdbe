//! The body of an answer, over either version of HTTP.

use super::classify;
use super::connection::Http1;
use super::pool::Pool;
use super::wire::{Broken, Framing, Taken};
use bytes::Bytes;
use futures_util::future::poll_fn;
use hyper::body::{Body as _, Incoming};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use vocab::Failure;

/// Longest rest of a stream that is read after its answer, so that the connection can be used again.
const REST_MAX: usize = 64 * 1024;
const REST_LONGEST: Duration = Duration::from_secs(1);

/// Read to its end it gives its connection back; dropped before, it closes it.
pub struct Body {
    content: Content,
    pool: Arc<Pool>,
}

enum Content {
    /// `None` after the end.
    Http1(Option<(Box<Http1>, Framing)>),
    /// The streams of HTTP/2 share a connection that drives itself.
    Http2(Incoming),
}

impl Body {
    pub fn http1(connection: Box<Http1>, framing: Framing, pool: Arc<Pool>) -> Self {
        Self { content: Content::Http1(Some((connection, framing))), pool }
    }

    pub const fn http2(incoming: Incoming, pool: Arc<Pool>) -> Self {
        Self { content: Content::Http2(incoming), pool }
    }

    /// How many bytes are still to come, where the answer said so.
    pub fn announced(&self) -> u64 {
        match &self.content {
            Content::Http1(Some((_, Framing::Length(left)))) => *left,
            Content::Http1(_) => 0,
            Content::Http2(incoming) => incoming.size_hint().lower(),
        }
    }

    /// The next piece of it; `None` at its end.
    pub async fn piece(&mut self) -> Option<Result<Bytes, Failure>> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        match &mut self.content {
            Content::Http1(open) => {
                let Some((connection, framing)) = open else { return Poll::Ready(None) };
                let piece = ready!(poll_http1(connection, framing, cx));
                if !matches!(piece, Ok(Some(_)))
                    && let Some((connection, _)) = open.take()
                    && piece.is_ok()
                {
                    self.pool.put(connection);
                }
                Poll::Ready(piece.map_err(|broken| classify::stream(&broken)).transpose())
            }
            Content::Http2(incoming) => loop {
                match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => return Poll::Ready(Some(Err(classify::stream(&error)))),
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                }
            },
        }
    }

    /// The answer was read: what is left is mostly the end, which lets the connection be used again.
    pub fn finish(mut self) {
        let mut rest = 0;
        while rest < REST_MAX {
            match self.poll_piece(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(piece))) => rest += piece.len(),
                Poll::Ready(_) => return,
                Poll::Pending => break,
            }
        }
        let tracker = self.pool.tracker().clone();
        tracker.spawn(async move {
            let rest = async {
                while let Some(Ok(piece)) = self.piece().await {
                    rest += piece.len();
                    if rest > REST_MAX {
                        break;
                    }
                }
            };
            drop(tokio::time::timeout(REST_LONGEST, rest).await);
        });
    }
}

fn poll_http1(
    connection: &mut Http1,
    framing: &mut Framing,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, Broken>> {
    loop {
        let (buffer, is_over) = connection.unread();
        match framing.take(buffer, is_over)? {
            Taken::Data(piece) => return Poll::Ready(Ok(Some(piece))),
            Taken::End => return Poll::Ready(Ok(None)),
            Taken::Nothing => {}
        }
        ready!(connection.poll_fill(cx))?;
    }
}
