//! One session with one upstream, opened for one client and kept warm: what is in flight on it, what is sent over it.

use super::flight::Flight;
use super::hello::Hello;
use super::{Conversation, inbound};
use crate::Map;
use crate::hub::Core;
use crate::message::quoted;
use bytes::Bytes;
use mcp::bridge::Level;
use mcp::{Envelope, json, splice, views};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};
use upstream::{RequestOptions, Session, Sink};
use vocab::{Failure, FailureKind, Name};

pub struct Channel {
    pub upstream: Name,
    pub hello: Arc<Hello>,
    core: Arc<Core>,
    session: OnceLock<Arc<dyn Session>>,
    server: OnceLock<views::Server>,
    routes: Mutex<Map<Bytes, Route>>,
    outbox: Mutex<Outbox>,
    /// The most talkative level that a stateless client asked a session for.
    pub level: Mutex<Option<Level>>,
    pub listening: super::subscribe::Listening,
}

/// Whom a request on its way upstream belongs to.
struct Route {
    flight: Arc<Flight>,
    /// Its progress token as the upstream knows it.
    token: Option<Bytes>,
    order: u64,
}

/// Notifications and answers leave one after the other.
#[derive(Default)]
struct Outbox {
    queue: VecDeque<Bytes>,
    is_leaving: bool,
    /// It was said that messages are dropped: an upstream that asks without end must not fill the log.
    was_full: bool,
}

/// Most messages that wait to be posted to one upstream.
const OUTBOX_MAX: usize = 256;
/// What an upstream sends was bounded by its own limits already.
pub const UPSTREAM_LIMITS: mcp::Limits = mcp::Limits { bytes: 64 * 1024 * 1024, depth: json::DEPTH_MAX, batch: 64 };

impl Channel {
    pub fn new(core: &Arc<Core>, upstream: &Name, hello: &Arc<Hello>) -> Arc<Self> {
        Arc::new(Self {
            upstream: Arc::clone(upstream),
            hello: Arc::clone(hello),
            core: Arc::clone(core),
            session: OnceLock::new(),
            server: OnceLock::new(),
            routes: Mutex::default(),
            outbox: Mutex::default(),
            level: Mutex::default(),
            listening: super::subscribe::Listening::default(),
        })
    }

    /// Takes what the upstream sends by itself. Holds nobody alive.
    pub fn sink(self: &Arc<Self>, conversation: &Arc<Conversation>) -> Sink {
        let (channel, conversation) = (Arc::downgrade(self), Arc::downgrade(conversation));
        Arc::new(move |incoming| {
            if let (Some(channel), Some(conversation)) = (Weak::upgrade(&channel), Weak::upgrade(&conversation)) {
                inbound::take(&conversation, &channel, incoming);
            }
        })
    }

    pub fn attach(self: &Arc<Self>, session: Arc<dyn Session>) {
        if let Ok(server) = views::Server::read(session.server()) {
            drop(self.server.set(server));
        }
        drop(self.session.set(session));
        // Answers to what it asked before we knew it.
        self.leave();
    }

    pub fn is_closed(&self) -> bool {
        self.session.get().is_none_or(|session| session.is_closed())
    }

    pub fn is_stateless(&self) -> bool {
        self.session.get().is_some_and(|session| session.is_stateless())
    }

    /// The result of its handshake, as it came.
    pub fn handshake(&self) -> Bytes {
        self.session.get().map(|session| session.server().clone()).unwrap_or_default()
    }

    pub fn server(&self) -> Option<&views::Server> {
        self.server.get()
    }

    pub fn has(&self, capability: &[&str]) -> bool {
        self.server.get().is_some_and(|server| server.has(capability))
    }

    pub fn flight(&self, id: &[u8]) -> Option<Arc<Flight>> {
        self.routes.lock().get(id).map(|route| Arc::clone(&route.flight))
    }

    pub fn flight_with_token(&self, token: &[u8]) -> Option<Arc<Flight>> {
        let routes = self.routes.lock();
        let route = routes.values().find(|route| route.token.as_deref() == Some(token))?;
        Some(Arc::clone(&route.flight))
    }

    pub fn newest_flight(&self) -> Option<Arc<Flight>> {
        let routes = self.routes.lock();
        Some(Arc::clone(&routes.values().max_by_key(|route| route.order)?.flight))
    }

    pub fn is_idle(&self) -> bool {
        self.routes.lock().is_empty()
    }

    /// The ids under which a request of the client is in flight.
    pub fn ids_of(&self, flight: &Arc<Flight>) -> Vec<Bytes> {
        let routes = self.routes.lock();
        routes.iter().filter(|(_, route)| Arc::ptr_eq(&route.flight, flight)).map(|(id, _)| id.clone()).collect()
    }

    /// Sends a request of the client and gives the response as it came, perhaps under another id. Dropping the future
    /// cancels the request upstream.
    pub async fn exchange(
        self: &Arc<Self>,
        conversation: &Conversation,
        flight: &Arc<Flight>,
        message: Envelope,
        options: RequestOptions,
    ) -> Result<Envelope, Failure> {
        let (message, place) = self.enter(conversation, flight, message)?;
        let response = self.send(message, options).await;
        place.leave(response)
    }

    /// A request of the gateway's own, under an id of its own.
    pub async fn ask(&self, id: &[u8], message: Bytes, options: RequestOptions) -> Result<Envelope, Failure> {
        debug_assert!(message.windows(id.len()).any(|part| part == id));
        self.send(parse(message).map_err(never_sent)?, options).await
    }

    async fn send(&self, message: Envelope, mut options: RequestOptions) -> Result<Envelope, Failure> {
        let session =
            self.session.get().ok_or_else(|| Failure::new(FailureKind::NotSent, "the session is not open"))?;
        if session.is_stateless() {
            options.headers.extend(self.core.known.mirrors(&self.upstream, message.bytes()));
        }
        session.exchange(message, options).await
    }

    fn enter(
        self: &Arc<Self>,
        conversation: &Conversation,
        flight: &Arc<Flight>,
        mut message: Envelope,
    ) -> Result<(Envelope, Place), Failure> {
        let unreadable = |_| Failure::new(FailureKind::NotSent, "the request cannot be read");
        let mut token = flight.token();
        let order = conversation.next();
        let mut routes = self.routes.lock();
        let own = flight.id();
        let id = if conversation.shares_ids() || routes.contains_key(&own) {
            let fresh = conversation.fresh_id(order);
            let mut bytes = splice::set(message.bytes(), &["id"], &fresh).map_err(unreadable)?;
            if token.is_some() && conversation.shares_ids() {
                bytes = splice::set(&bytes, &["params", "_meta", "progressToken"], &fresh).map_err(unreadable)?;
                token = Some(fresh.clone());
            }
            message = parse(bytes).map_err(never_sent)?;
            fresh
        } else {
            own
        };
        routes.insert(id.clone(), Route { flight: Arc::clone(flight), token, order });
        drop(routes);
        Ok((message, Place { channel: Arc::clone(self), id, is_open: true }))
    }

    /// Sends a notification or an answer, in order, without waiting for it.
    pub fn post(self: &Arc<Self>, message: Bytes) {
        {
            let mut outbox = self.outbox.lock();
            if outbox.queue.len() >= OUTBOX_MAX {
                if !std::mem::replace(&mut outbox.was_full, true) {
                    tracing::warn!(upstream = %self.upstream, "the upstream takes no messages: some are dropped");
                }
                return;
            }
            outbox.queue.push_back(message);
        }
        self.leave();
    }

    fn leave(self: &Arc<Self>) {
        let Some(session) = self.session.get().map(Arc::clone) else { return };
        {
            let mut outbox = self.outbox.lock();
            if outbox.is_leaving || outbox.queue.is_empty() {
                return;
            }
            outbox.is_leaving = true;
        }
        let channel = Arc::clone(self);
        self.core.tasks.spawn(async move {
            while let Some(message) = channel.next_out() {
                if let Err(failure) = session.post(message).await {
                    tracing::debug!(upstream = %channel.upstream, why = %failure.detail, "a message was not taken");
                }
            }
        });
    }

    fn next_out(&self) -> Option<Bytes> {
        let mut outbox = self.outbox.lock();
        let next = outbox.queue.pop_front();
        outbox.is_leaving = next.is_some();
        next
    }

    /// Asks the upstream to give up a request.
    pub fn cancel(self: &Arc<Self>, id: &[u8], reason: Option<&[u8]>) {
        let mut out = br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"#.to_vec();
        out.extend_from_slice(id);
        if let Some(reason) = reason {
            out.extend_from_slice(br#","reason":"#);
            out.extend_from_slice(reason);
        }
        out.extend_from_slice(b"}}");
        self.post(out.into());
    }

    pub fn session(&self) -> Option<Arc<dyn Session>> {
        self.session.get().map(Arc::clone)
    }

    /// The request was given up, and the upstream knows.
    pub fn forget(&self, id: &[u8]) {
        self.routes.lock().remove(id);
    }
}

/// Its session ends with it.
impl Drop for Channel {
    fn drop(&mut self) {
        self.listening.stop();
        if let Some(session) = self.session.take() {
            self.core.tasks.spawn(async move { session.close().await });
        }
    }
}

/// A request on its way. Dropped before its answer came, it tells the upstream.
struct Place {
    channel: Arc<Channel>,
    id: Bytes,
    is_open: bool,
}

impl Place {
    fn leave<T>(mut self, answer: T) -> T {
        self.is_open = false;
        answer
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let was_known = self.channel.routes.lock().remove(&self.id).is_some();
        if self.is_open && was_known && !self.channel.is_closed() {
            self.channel.cancel(&self.id, Some(quoted("the caller has left").as_bytes()));
        }
    }
}

fn never_sent(failure: Failure) -> Failure {
    Failure { kind: FailureKind::NotSent, ..failure }
}

pub fn parse(bytes: Bytes) -> Result<Envelope, Failure> {
    Envelope::parse(bytes, &UPSTREAM_LIMITS)
        .map_err(|_| Failure::new(FailureKind::Unparsable, "the answer is no JSON-RPC message"))
}
