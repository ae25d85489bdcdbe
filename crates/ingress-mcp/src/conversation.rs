//! One client: what it said of itself, the sessions that are open for it, what is under way.

mod cancel;
pub(crate) mod channel;
mod channels;
mod federate;
pub(crate) mod flight;
mod forward;
mod handshake;
pub(crate) mod hello;
mod inbound;
mod leave;
mod lists;
mod questions;
mod request;
mod subscribe;
mod tools;

use crate::Map;
use crate::exchange::{Answer, Exchange};
use crate::hub::{Caller, Core, Kind, Origin, Scope};
use crate::mailbox::Mailbox;
use crate::message;
use crate::own_stream::OwnStream;
use bytes::Bytes;
use channels::Channels;
use flight::Flight;
use hello::Hello;
use mcp::envelope::{self, Incoming};
use mcp::{Envelope, Revision};
use parking_lot::Mutex;
use questions::{Asked, Parked};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use subscribe::{Listeners, Wishes};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use federate::renamed;
pub(crate) use forward::{ROUNDS_MAX, read_again};
pub(crate) use lists::{List, entries, result_of};

/// The channel of this client to one upstream or all.
pub struct Conversation {
    id: String,
    pub(crate) core: Arc<Core>,
    caller: Caller,
    scope: Scope,
    kind: Kind,
    state: Mutex<State>,
    channels: Channels,
    /// Requests under way, by the client's id. Not for stateless ones: several clients share the conversation.
    flights: Mutex<Map<Bytes, Arc<Flight>>>,
    /// What upstreams asked the client, by the id that the client saw.
    asked: Mutex<HashMap<Bytes, Asked>>,
    /// Work that waits for a stateless client to come back with answers.
    parked: Mutex<HashMap<String, Parked>>,
    listeners: Listeners,
    wishes: Mutex<Wishes>,
    catalogue: Mutex<lists::Catalogue>,
    ended: CancellationToken,
    own: Arc<Mailbox>,
    closed: AtomicBool,
    /// An `initialize` is under way.
    shaking: AtomicBool,
    busy: AtomicUsize,
    quiet: Notify,
    number: AtomicU64,
    used: Mutex<Instant>,
}

#[derive(Default)]
struct State {
    /// Of the session era, once it said `initialize`.
    hello: Option<Arc<Hello>>,
    revision: Option<Revision>,
}

/// Longest id of a request, as JSON.
const ID_MAX: usize = 1024;

impl Conversation {
    pub(crate) fn new(core: &Arc<Core>, caller: Caller, scope: Scope, kind: Kind) -> Arc<Self> {
        let revision = (kind == Kind::Stateless).then_some(Revision::V2026_07_28);
        Arc::new(Self {
            id: uuid::Uuid::now_v7().to_string(),
            core: Arc::clone(core),
            caller,
            scope,
            kind,
            state: Mutex::new(State { hello: None, revision }),
            channels: Channels::default(),
            flights: Mutex::default(),
            asked: Mutex::default(),
            parked: Mutex::default(),
            listeners: Listeners::default(),
            wishes: Mutex::default(),
            catalogue: Mutex::default(),
            ended: CancellationToken::new(),
            own: Arc::new(Mailbox::new(core.settings.queue_max)),
            closed: AtomicBool::new(false),
            shaking: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            quiet: Notify::new(),
            number: AtomicU64::new(0),
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

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What comes behind an `initialize` cannot be taken before that has ended.
    pub(crate) fn is_shaking_hands(&self) -> bool {
        self.shaking.load(Ordering::Acquire)
    }

    /// As negotiated; `None` before `initialize`.
    pub fn revision(&self) -> Option<&'static str> {
        self.state.lock().revision.map(Revision::as_str)
    }

    /// One message or batch of the client.
    pub fn receive(self: &Arc<Self>, bytes: Bytes, origin: Origin) -> Exchange {
        *self.used.lock() = Instant::now();
        match Envelope::parse_any(bytes, &self.core.settings.limits) {
            Ok(Incoming::One(message)) => self.take(message, origin),
            Ok(Incoming::Batch(members)) if self.takes_batches() => {
                let members = members.into_iter().enumerate();
                Exchange::batch(members.map(|(position, message)| self.take(message, origin.at(position))))
            }
            Ok(Incoming::Batch(_)) => refuse(&envelope::Error::Invalid("only revision 2025-03-26 has batches")),
            Err(error) => refuse(&error),
        }
    }

    /// One message that was read already.
    pub(crate) fn receive_message(self: &Arc<Self>, message: Envelope, origin: Origin) -> Exchange {
        self.touch();
        self.take(message, origin)
    }

    fn take(self: &Arc<Self>, message: Envelope, origin: Origin) -> Exchange {
        match message.kind() {
            envelope::Kind::Request => self.request(message, origin),
            envelope::Kind::Notification => {
                self.notified(&message);
                Exchange::nothing()
            }
            envelope::Kind::Response | envelope::Kind::Error => {
                self.answered(&message);
                Exchange::nothing()
            }
        }
    }

    /// What the servers send by themselves.
    pub fn own_stream(&self) -> OwnStream {
        OwnStream::of(&self.own)
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn takes_batches(&self) -> bool {
        self.state.lock().revision.is_some_and(Revision::has_batches)
    }

    /// Do several clients use this conversation, so that their ids have to be kept apart?
    pub(crate) fn shares_ids(&self) -> bool {
        self.kind == Kind::Stateless
    }

    /// Does each request say who asks?
    pub(crate) fn is_stateless(&self) -> bool {
        match self.kind {
            Kind::Session => false,
            Kind::Stateless => true,
            Kind::Pipe => self.state.lock().hello.is_none(),
        }
    }

    pub(crate) fn next(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// An id, as JSON, that no client has.
    pub(crate) fn fresh_id(&self, number: u64) -> Bytes {
        let tag = self.id.rsplit('-').next().unwrap_or_default();
        format!("\"cofferdam-{tag}-{number}\"").into()
    }

    /// How long nothing happened; `None` while something is under way or the client reads its own stream.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let is_used = self.busy.load(Ordering::Acquire) > 0 || self.own.is_read();
        (!is_used).then(|| self.used.lock().elapsed())
    }

    /// The client was there just now.
    pub(crate) fn touch(&self) {
        *self.used.lock() = Instant::now();
    }

    /// Waits until nothing is under way.
    pub(crate) async fn finished(&self) {
        loop {
            let quiet = self.quiet.notified();
            if self.busy.load(Ordering::Acquire) == 0 {
                return;
            }
            quiet.await;
        }
    }
}

/// Something is under way while it lives.
struct Busy(Arc<Conversation>);

impl Busy {
    fn with(conversation: &Arc<Conversation>) -> Self {
        conversation.busy.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(conversation))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.used.lock() = Instant::now();
        if self.0.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.quiet.notify_waiters();
        }
    }
}

fn refuse(error: &envelope::Error) -> Exchange {
    let message = message::error(b"", error.code(), &error.to_string(), None);
    Exchange::answered(Answer::refused(message, error.code()))
}
