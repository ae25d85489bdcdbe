//! A request body that knows how far it was taken.

use crate::failure::fail;
use crate::session::Gate;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use vocab::{Failure, FailureKind};

/// Large bodies are handed over in pieces, so that a connection that breaks early proves that the rest never left.
const PIECE: usize = 64 * 1024;

/// No connection was there yet.
const WAITING: u8 = 0;
/// A connection has the request, but not its last byte.
const SENDING: u8 = 1;
/// Its last byte was handed over.
const ALL: u8 = 2;
/// Given up before: its last byte will never be handed over.
const WITHDRAWN: u8 = 3;

/// How far the body of one request got.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Way>);

#[derive(Debug)]
struct Way {
    state: AtomicU8,
    length: u64,
    wire: OnceLock<Wire>,
    gate: Option<Gate>,
}

/// What the kernel took on the request's own connection, and what it had taken before.
#[derive(Debug)]
struct Wire {
    written: Arc<AtomicU64>,
    before: u64,
}

impl Progress {
    pub fn of(body: &Bytes) -> Self {
        Self::behind(body, None)
    }

    /// The same, and `gate` says whether it may begin.
    pub fn behind(body: &Bytes, gate: Option<Gate>) -> Self {
        let state = AtomicU8::new(if body.is_empty() { ALL } else { WAITING });
        Self(Arc::new(Way { state, length: body.len() as u64, wire: OnceLock::new(), gate }))
    }

    /// A connection is about to take the request; `written` counts what it hands to the kernel.
    ///
    /// # Errors
    /// It may not begin: nothing of it was written, and nothing will be.
    //= G1
    pub fn begin(&self, written: Option<&Arc<AtomicU64>>) -> Result<(), Failure> {
        Gate::pass(self.0.gate.as_ref())?;
        if let Some(written) = written {
            let wire = Wire { written: written.clone(), before: written.load(Ordering::Acquire) };
            drop(self.0.wire.set(wire));
        }
        self.0.state.fetch_max(SENDING, Ordering::AcqRel);
        Ok(())
    }

    /// Gives the request up as far as that is still possible, and says how far it had got.
    fn withdraw(&self) -> u8 {
        let withdraw = |state| (state < ALL).then_some(WITHDRAWN);
        match self.0.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, withdraw) {
            // Less than the body alone left: its last byte did not, whatever was in front of it.
            Err(ALL) if self.is_short() => SENDING,
            Ok(state) | Err(state) => state,
        }
    }

    fn is_short(&self) -> bool {
        let written = |wire: &Wire| wire.written.load(Ordering::Acquire) - wire.before;
        self.0.wire.get().is_some_and(|wire| written(wire) < self.0.length)
    }

    /// The failure as far as the body's own way allows to say more: without its last byte there is no request. A
    /// request that had not left yet never will. Its connection must not be driven any more.
    //= G1
    //= G3
    pub fn explain(&self, failure: Failure) -> Failure {
        let is_proof = matches!(
            failure.kind,
            FailureKind::Connect | FailureKind::Tls | FailureKind::StreamRefused | FailureKind::NotSent
        );
        let (kind, detail) = match self.withdraw() {
            _ if is_proof => return failure,
            ALL => return failure,
            WAITING => (FailureKind::NotSent, "the request was given up before it was sent"),
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

/// Ends a body whose request was given up.
#[derive(Debug, thiserror::Error)]
#[error("send the request: it was given up")]
pub struct Withdrawn;

impl Outgoing {
    pub const fn new(bytes: Bytes, progress: Progress) -> Self {
        Self { rest: bytes, progress }
    }

    /// What has no body.
    pub fn nothing() -> Self {
        Self { rest: Bytes::new(), progress: Progress::of(&Bytes::new()) }
    }

    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// The next piece, for whoever is about to write it.
    pub fn next(&mut self) -> Option<Result<Bytes, Withdrawn>> {
        if self.rest.is_empty() {
            return None;
        }
        let piece = self.rest.len().min(PIECE);
        let next = if piece == self.rest.len() { ALL } else { SENDING };
        // From the last piece on the server may have it all, whatever happens.
        let advance = |state| (state != WITHDRAWN).then_some(next);
        if self.progress.0.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, advance).is_err() {
            return Some(Err(Withdrawn));
        }
        Some(Ok(self.rest.split_to(piece)))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        Poll::Ready(self.next().map(|piece| piece.map(Frame::data)))
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

    fn of(length: usize) -> (Progress, Outgoing) {
        let bytes = Bytes::from(vec![b' '; length]);
        let progress = Progress::of(&bytes);
        (progress.clone(), Outgoing::new(bytes, progress))
    }

    //= G1
    //= G3
    #[tokio::test]
    async fn only_the_last_byte_makes_a_request_that_may_have_arrived() {
        let (progress, _body) = of(PIECE + 1);
        assert_eq!(progress.explain(timeout()).kind, FailureKind::NotSent);
        let (progress, mut body) = of(PIECE + 1);
        body.frame().await;
        assert_eq!(progress.explain(timeout()).kind, FailureKind::Cut);
        let (progress, mut body) = of(PIECE + 1);
        body.frame().await;
        body.frame().await;
        assert_eq!(progress.explain(timeout()).kind, FailureKind::Timeout);
        assert!(body.frame().await.is_none());
    }

    //= G1
    #[tokio::test]
    async fn what_was_called_unsent_is_never_sent_afterwards() {
        let (progress, mut body) = of(PIECE + 1);
        body.frame().await;
        assert_eq!(progress.explain(timeout()).kind, FailureKind::Cut);
        assert!(body.frame().await.expect("an end").is_err());
    }

    //= G3
    #[tokio::test]
    async fn bytes_that_the_kernel_never_took_did_not_arrive() {
        let wire = Arc::new(AtomicU64::new(1_000));
        let (progress, mut body) = of(10);
        progress.begin(Some(&wire)).expect("there is no gate");
        body.frame().await;
        wire.store(1_009, Ordering::Release);
        assert_eq!(progress.explain(timeout()).kind, FailureKind::Cut);
        wire.store(1_010, Ordering::Release);
        assert_eq!(progress.explain(timeout()).kind, FailureKind::Timeout);
    }

    #[test]
    fn what_never_got_a_connection_says_so() {
        let failure = of(1).0.explain(fail(FailureKind::Connect, "refused"));
        assert_eq!(failure.kind, FailureKind::Connect);
    }
}
