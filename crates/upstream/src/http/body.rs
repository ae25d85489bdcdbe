//! A request body that knows how far it was taken.

use crate::failure::fail;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use vocab::{Failure, FailureKind};

/// Large bodies are handed over in pieces, so that a connection that breaks early proves that the rest never left.
const PIECE: usize = 64 * 1024;

/// How far the body of one request got.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// A connection was there and the request was given to it.
    sending: AtomicBool,
    /// The last byte was taken by the transport.
    all: AtomicBool,
}

impl Progress {
    pub fn mark_sending(&self) {
        self.0.sending.store(true, Ordering::Release);
    }

    pub fn is_all(&self) -> bool {
        self.0.all.load(Ordering::Acquire)
    }

    /// The failure as far as the body's own way allows to say more: without its last byte there is no request.
    //= G3
    pub fn explain(&self, failure: Failure) -> Failure {
        let structural = matches!(failure.kind, FailureKind::Connect | FailureKind::Tls | FailureKind::StreamRefused);
        if structural || self.is_all() {
            return failure;
        }
        let (kind, detail) = match failure.kind {
            FailureKind::NotSent => return failure,
            FailureKind::Timeout if !self.0.sending.load(Ordering::Acquire) => {
                (FailureKind::NotSent, "the request was given up before it was sent")
            }
            _ => (FailureKind::Cut, "the request broke off before its last byte"),
        };
        Failure { retry_after: failure.retry_after, ..fail(kind, detail) }
    }
}

/// The bytes of one message.
pub struct Outgoing {
    rest: Bytes,
    progress: Progress,
}

impl Outgoing {
    pub fn new(bytes: Bytes, progress: Progress) -> Self {
        if bytes.is_empty() {
            progress.0.all.store(true, Ordering::Release);
        }
        Self { rest: bytes, progress }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(piece);
        self.progress.mark_sending();
        if self.rest.is_empty() {
            // From here on the server may have it all, whatever happens.
            self.progress.0.all.store(true, Ordering::Release);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn timeout() -> Failure {
        fail(FailureKind::Timeout, "no answer in time")
    }

    //= G3
    #[tokio::test]
    async fn only_the_last_byte_makes_a_request_that_may_have_arrived() {
        let progress = Progress::default();
        let mut body = Outgoing::new(vec![b' '; PIECE + 1].into(), progress.clone());
        assert_eq!(progress.explain(timeout()).kind, FailureKind::NotSent);
        body.frame().await;
        assert_eq!(progress.explain(timeout()).kind, FailureKind::Cut);
        body.frame().await;
        assert_eq!(progress.explain(timeout()).kind, FailureKind::Timeout);
        assert!(body.frame().await.is_none());
    }

    #[test]
    fn what_never_got_a_connection_says_so() {
        let failure = Progress::default().explain(fail(FailureKind::Connect, "refused"));
        assert_eq!(failure.kind, FailureKind::Connect);
    }
}
