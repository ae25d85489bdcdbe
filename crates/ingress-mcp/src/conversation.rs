//! One client: what it said of itself, the sessions that are open for it, what is under way.

use crate::exchange::{Answer, Exchange};
use crate::hub::{Caller, Core, Kind, Origin, Scope};
use crate::mailbox::Mailbox;
use crate::message;
use crate::own_stream::OwnStream;
use bytes::Bytes;
use mcp::envelope::Incoming;
use mcp::{Envelope, Revision};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

pub struct Conversation {
    id: String,
    core: Arc<Core>,
    caller: Caller,
    scope: Scope,
    kind: Kind,
    revision: Mutex<Option<Revision>>,
    own: Arc<Mailbox>,
    closed: AtomicBool,
    busy: AtomicUsize,
    used: Mutex<Instant>,
}

impl Conversation {
    pub(crate) fn new(core: &Arc<Core>, caller: Caller, scope: Scope, kind: Kind) -> Arc<Self> {
        Arc::new(Self {
            id: uuid::Uuid::now_v7().to_string(),
            core: Arc::clone(core),
            caller,
            scope,
            kind,
            revision: Mutex::new((kind == Kind::Stateless).then_some(Revision::V2026_07_28)),
            own: Arc::new(Mailbox::new(core.settings.queue_max)),
            closed: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            used: Mutex::new(Instant::now()),
        })
    }

    /// Names a session over HTTP: unguessable.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// As negotiated; `None` before `initialize`.
    pub fn revision(&self) -> Option<&'static str> {
        self.revision.lock().map(Revision::as_str)
    }

    /// One message or batch of the client.
    pub fn receive(self: &Arc<Self>, bytes: Bytes, _origin: Origin) -> Exchange {
        *self.used.lock() = Instant::now();
        match Envelope::parse_any(bytes, &self.core.settings.limits) {
            Ok(Incoming::One(message)) => Self::unsupported(&message),
            Ok(Incoming::Batch(members)) => Exchange::batch(members.iter().map(Self::unsupported)),
            Err(error) => Exchange::answered(Answer::refused(
                message::error(b"", error.code(), &error.to_string(), None),
                error.code(),
            )),
        }
    }

    fn unsupported(message: &Envelope) -> Exchange {
        let Some(id) = message.id() else { return Exchange::nothing() };
        let code = message::METHOD_NOT_FOUND;
        Exchange::answered(Answer::refused(message::error(id, code, "Method not found", None), code))
    }

    /// What the servers send by themselves.
    pub fn own_stream(&self) -> OwnStream {
        OwnStream::of(&self.own)
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.own.close();
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// How long nothing happened; `None` while something is under way.
    pub(crate) fn idle(&self) -> Option<Duration> {
        (self.busy.load(Ordering::Acquire) == 0).then(|| self.used.lock().elapsed())
    }

    /// Waits until nothing is under way.
    pub(crate) async fn finished(&self) {}
}
