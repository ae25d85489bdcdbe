use alloc::string::String;
use bytes::Bytes;
use core::time::Duration;

/// How an attempt ended without a usable answer, as the transport saw it. What it *means* for the effect is the
/// engine's to say (`engine::evidence`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// For people: a short lower-case fragment without secrets or payload.
    pub detail: String,
    /// When the upstream said to come back.
    pub retry_after: Option<Duration>,
    /// The JSON-RPC `error` member as it came, where there was one.
    pub rpc_error: Option<Bytes>,
}

impl Failure {
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, rpc_error: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// DNS, TCP connect or refused connection: no byte left us.
    Connect,
    Tls,
    /// The child process could not be started.
    Spawn,
    /// The request was cut before the last byte of its JSON was handed to the transport.
    Cut,
    /// HTTP/2 REFUSED_STREAM, or GOAWAY with a last stream id below ours.
    StreamRefused,
    /// Stopped by us before the first byte: shed, shutdown, cancelled.
    NotSent,
    /// An HTTP status without a usable JSON-RPC answer.
    Status(u16),
    /// A JSON-RPC error; its HTTP status where there is one.
    Rpc {
        code: i64,
        status: Option<u16>,
    },
    /// No answer in time after the first byte.
    Timeout,
    /// Connection reset after the first byte.
    Reset,
    /// The stream ended before the answer, and could not be resumed.
    Eof,
    /// Bytes came that are no JSON-RPC answer, or an answer to another id.
    Unparsable,
    /// The answer exceeds the size limit.
    TooLarge,
    /// The child process exited.
    Exit,
    /// We asked the upstream to cancel.
    CancelSent,
    /// The upstream no longer knows its task.
    TaskVanished,
    /// The upstream's task says `cancelled`, which may have completed all the same.
    TaskCancelled,
    /// The gateway itself ended while the attempt was out.
    GatewayCrash,
}
