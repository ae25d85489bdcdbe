use bytes::Bytes;
use futures_util::future::BoxFuture;
use mcp::Envelope;
use std::sync::Arc;
use std::time::Duration;
use vocab::{Failure, FailureKind, Name};

/// A message that the upstream sent on its own: a notification, or a request that wants an answer.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The JSON-RPC message, byte for byte.
    pub message: Bytes,
    pub related: Related,
}

/// What a message of the upstream belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Related {
    /// It came on the stream of this request (its JSON-RPC id as JSON text), or names it.
    Request(Bytes),
    /// It came on the session's own stream (GET stream, stdio without a reference, `subscriptions/listen`).
    Session,
}

/// Takes messages of the upstream as they come. Must not block; a full receiver drops notifications and answers
/// requests with an error, it never grows without bound.
pub type Sink = Arc<dyn Fn(Incoming) + Send + Sync>;

#[derive(Clone, Debug, Default)]
pub struct RequestOptions {
    /// Extra HTTP headers (idempotency key, trace context). Ignored on stdio.
    pub headers: Vec<(Name, String)>,
    /// Longest wait for the answer; `None` waits until the future is dropped.
    pub timeout: Option<Duration>,
    /// Asked when a connection is there and nothing of the request was written.
    pub gate: Option<Gate>,
}

/// Says at the last moment whether a request may begin; what may not is [`FailureKind::NotSent`].
#[derive(Clone)]
pub struct Gate(Arc<dyn Fn() -> bool + Send + Sync>);

impl Gate {
    pub fn new(is_open: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_open))
    }

    /// # Errors
    /// It is shut.
    pub(crate) fn pass(gate: Option<&Self>) -> Result<(), Failure> {
        if gate.is_none_or(|gate| (gate.0)()) {
            return Ok(());
        }
        Err(Failure::new(FailureKind::NotSent, "this gateway may not send any more"))
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Gate")
    }
}

/// One MCP session with an upstream (2026-07-28: a stateless connection that looks like one).
///
/// Messages are whole JSON-RPC messages and travel as the bytes they are given as.
pub trait Session: Send + Sync + 'static {
    /// The negotiated revision, such as `2025-11-25`.
    fn revision(&self) -> &str;

    /// Stateless era: no handshake, no server-to-client requests, `server/discover` instead of `initialize`.
    fn is_stateless(&self) -> bool;

    /// The `result` of `initialize` or `server/discover` as it came.
    fn server(&self) -> &Bytes;

    /// Sends a request and waits for the response message with the same id; what else comes on its stream goes to
    /// the session's sink, in order and before the response. Dropping the future gives the request up: on HTTP its
    /// stream is closed, on stdio a late answer is ignored (no cancel is sent).
    ///
    /// # Errors
    /// A JSON-RPC error response is `Ok`, over HTTP if its status is one of success. `Failure` says how the transport failed, and with it whether the request can
    /// have been received. It is never re-sent in here, not even once.
    fn request(&self, message: Bytes, options: RequestOptions) -> BoxFuture<'static, Result<Bytes, Failure>>;

    /// The same for a message that was read already. The response comes as it was read here, so that nobody reads it
    /// twice.
    ///
    /// # Errors
    /// As [`Session::request`].
    fn exchange(&self, message: Envelope, options: RequestOptions) -> BoxFuture<'static, Result<Envelope, Failure>> {
        let answered = self.request(message.into_bytes(), options);
        Box::pin(async move {
            // It was bounded when it came.
            let limits = mcp::Limits { bytes: usize::MAX, depth: mcp::json::DEPTH_MAX, batch: 1 };
            Envelope::parse(answered.await?, &limits)
                .map_err(|_| Failure::new(FailureKind::Unparsable, "the answer is no JSON-RPC message"))
        })
    }

    /// Sends a notification, or the response to a request of the upstream.
    fn post(&self, message: Bytes) -> BoxFuture<'static, Result<(), Failure>>;

    fn is_closed(&self) -> bool;

    /// Ends the session: DELETE, or the child's stdin is closed and its process group ended.
    fn close(&self) -> BoxFuture<'static, ()>;
}
