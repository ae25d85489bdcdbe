//! One request of the client while it is under way: where its messages go, whether it was cancelled.

use super::hello::{Asker, Hello};
use super::questions::Questions;
use crate::exchange::Answer;
use crate::hub::Origin;
use crate::mailbox::Mailbox;
use crate::message::{self, quoted};
use bytes::Bytes;
use mcp::Envelope;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub struct Flight {
    pub message: Envelope,
    pub origin: Origin,
    /// Who asks, where each request says it (2026-07-28).
    pub asker: Option<Asker>,
    /// As whom sessions with upstreams are opened for it.
    pub hello: Arc<Hello>,
    pub cancelled: CancellationToken,
    /// What upstreams of the session era ask a stateless client.
    pub questions: Questions,
    outlet: Mutex<Outlet>,
}

/// Where the client waits: changes when it comes back under another id.
struct Outlet {
    id: Bytes,
    mailbox: Arc<Mailbox>,
    token: Option<Bytes>,
    /// The last progress that was told.
    progress: f64,
}

impl Flight {
    pub fn new(
        message: Envelope,
        origin: Origin,
        asker: Option<Asker>,
        hello: Arc<Hello>,
        mailbox: Arc<Mailbox>,
    ) -> Arc<Self> {
        let token = mcp::views::progress_token(message.params().unwrap_or(b"{}")).ok().flatten();
        let token = token.map(Bytes::copy_from_slice);
        let id = message.id_bytes().unwrap_or_default();
        Arc::new(Self {
            message,
            origin,
            asker,
            hello,
            cancelled: CancellationToken::new(),
            questions: Questions::default(),
            outlet: Mutex::new(Outlet { id, mailbox, token, progress: 0.0 }),
        })
    }

    pub fn method(&self) -> &str {
        self.message.method().unwrap_or_default()
    }

    pub const fn is_stateless(&self) -> bool {
        self.asker.is_some()
    }

    pub fn id(&self) -> Bytes {
        self.outlet.lock().id.clone()
    }

    pub fn token(&self) -> Option<Bytes> {
        self.outlet.lock().token.clone()
    }

    pub fn mailbox(&self) -> Arc<Mailbox> {
        Arc::clone(&self.outlet.lock().mailbox)
    }

    /// The client came back with another request for the same work.
    pub fn moves_to(&self, other: &Self) {
        let (id, token, mailbox) = (other.id(), other.token(), other.mailbox());
        let mut outlet = self.outlet.lock();
        outlet.id = id;
        outlet.mailbox = mailbox;
        outlet.progress = 0.0;
        outlet.token = token;
    }

    /// A message that belongs to this request; a full stream loses notifications.
    pub fn push(&self, message: Bytes) -> bool {
        self.mailbox().push(message).is_ok()
    }

    /// Remembers progress that the upstream told, so that ours goes on from it.
    pub fn progressed(&self, value: f64) {
        let mut outlet = self.outlet.lock();
        if value.is_finite() && value > outlet.progress {
            outlet.progress = value;
        }
    }

    /// Says where the call is, if the client asked for it.
    pub fn tell(&self, what: &str) {
        let (token, progress) = {
            let mut outlet = self.outlet.lock();
            let Some(token) = outlet.token.clone() else { return };
            // It must rise, and stay below what the upstream will tell next.
            outlet.progress += f64::max(outlet.progress * 1e-6, 1e-3);
            (token, outlet.progress)
        };
        let mut out = br#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"#.to_vec();
        out.extend_from_slice(&token);
        out.extend_from_slice(format!(r#","progress":{progress},"message":{}}}}}"#, quoted(what)).as_bytes());
        self.push(out.into());
    }

    pub fn result(&self, result: &[u8]) -> Answer {
        Answer::plain(message::result(&self.id(), result))
    }

    pub fn error_member(&self, error: &[u8]) -> Answer {
        let message = message::error_member(&self.id(), error);
        Answer { message, delivery: None, refusal: self.status_of(error) }
    }

    /// The code of an upstream's error, when the stateless revision gives it a status of its own whoever answers it.
    pub fn status_of(&self, error: &[u8]) -> Option<i64> {
        let code = if self.is_stateless() { mcp::code::of(error) } else { 0 };
        matches!(code, mcp::code::METHOD_NOT_FOUND | mcp::code::MISSING_CAPABILITY).then_some(code)
    }

    /// An error that the gateway itself answers.
    pub fn refuse(&self, code: i64, text: &str, data: Option<&str>) -> Answer {
        Answer::refused(message::error(&self.id(), code, text, data), code)
    }

    pub fn no_such_method(&self) -> Answer {
        self.refuse(message::METHOD_NOT_FOUND, "Method not found", None)
    }

    pub fn malformed(&self, error: &impl std::fmt::Display) -> Answer {
        self.refuse(message::INVALID_PARAMS, &error.to_string(), None)
    }
}
