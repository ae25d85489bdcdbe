//! What a client wants to be told: log levels, subscriptions, `subscriptions/listen`, in either era on either side.

use super::Conversation;
use super::channel::Channel;
use super::flight::Flight;
use super::lists::List;
use crate::exchange::Answer;
use crate::message::quoted;
use bytes::Bytes;
use mcp::bridge::{self, Filter};
use mcp::{Envelope, json, meta, splice};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use upstream::RequestOptions;
use vocab::Name;

/// Resources that one client may subscribe to.
const URIS_MAX: usize = 1024;
/// Streams of one conversation that listen.
const LISTENERS_MAX: usize = 256;
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// Listening on one upstream on behalf of all who want to hear.
#[derive(Default)]
pub struct Listening {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many want to hear of each resource.
    uris: HashMap<String, usize>,
    stream: Option<CancellationToken>,
}

impl Listening {
    pub fn stop(&self) {
        if let Some(stream) = self.state.lock().stream.take() {
            stream.cancel();
        }
    }

    /// `true` when nobody wanted it before.
    fn add(&self, uri: &str) -> bool {
        let mut state = self.state.lock();
        if state.uris.len() >= URIS_MAX && !state.uris.contains_key(uri) {
            return false;
        }
        let count = state.uris.entry(uri.to_owned()).or_default();
        *count += 1;
        *count == 1
    }

    /// `true` when nobody wants it any more.
    fn remove(&self, uri: &str) -> bool {
        let mut state = self.state.lock();
        let Some(count) = state.uris.get_mut(uri) else { return false };
        *count -= 1;
        let is_last = *count == 0;
        if is_last {
            state.uris.remove(uri);
        }
        is_last
    }

    fn uris(&self) -> Vec<String> {
        self.state.lock().uris.keys().cloned().collect()
    }

    fn replace(&self, stream: CancellationToken) {
        if let Some(old) = self.state.lock().stream.replace(stream) {
            old.cancel();
        }
    }

    fn is_listening(&self) -> bool {
        self.state.lock().stream.is_some()
    }
}

/// What the client of a session asked for, to be said again when an upstream comes back.
#[derive(Default)]
pub struct Wishes {
    /// A quoted level.
    level: Option<Bytes>,
    uris: HashMap<Name, BTreeSet<String>>,
}

/// Streams of stateless clients that listen here.
#[derive(Default)]
pub struct Listeners {
    all: Mutex<Vec<(u64, Arc<Flight>, Filter)>>,
}

impl Conversation {
    pub(super) fn remember_level(&self, level: Bytes) {
        self.wishes.lock().level = Some(level);
    }

    pub(super) fn log_level(&self) -> Option<Bytes> {
        self.wishes.lock().level.clone()
    }

    /// What passed to an upstream of the session era and has to be repeated to its successor.
    pub(super) fn remember(&self, channel: &Channel, message: &Envelope) {
        let uri = || message.param_text(&["uri"]).ok().flatten().map(std::borrow::Cow::into_owned);
        match message.method().unwrap_or_default() {
            "logging/setLevel" => {
                if let Ok(Some(level)) = message.param(&["level"]) {
                    self.remember_level(Bytes::copy_from_slice(level));
                }
            }
            "resources/subscribe" => {
                if let Some(uri) = uri() {
                    let mut wishes = self.wishes.lock();
                    let uris = wishes.uris.entry(Arc::clone(&channel.upstream)).or_default();
                    if uris.len() < URIS_MAX {
                        uris.insert(uri);
                    }
                }
            }
            "resources/unsubscribe" => {
                if let (Some(uri), Some(uris)) = (uri(), self.wishes.lock().uris.get_mut(&channel.upstream)) {
                    uris.remove(&uri);
                }
            }
            _ => {}
        }
    }

    /// Tells a newly opened upstream what the client had asked of the one before.
    pub(super) fn restore(self: &Arc<Self>, channel: &Arc<Channel>) {
        let (level, uris) = {
            let wishes = self.wishes.lock();
            (wishes.level.clone(), wishes.uris.get(&channel.upstream).cloned().unwrap_or_default())
        };
        if channel.is_stateless() {
            if !self.is_stateless() {
                for uri in uris {
                    channel.listening.add(&uri);
                }
                self.listen_on(channel);
            }
            return;
        }
        if let Some(level) = level.filter(|_| channel.has(&["logging"])) {
            self.say(channel, "logging/setLevel", &[b"{\"level\":", &level[..], b"}"].concat());
        }
        for uri in uris {
            self.say(channel, "resources/subscribe", format!(r#"{{"uri":{}}}"#, quoted(&uri)).as_bytes());
        }
        for uri in self.listeners.uris() {
            self.want(channel, &uri);
        }
    }

    /// A request of our own whose answer changes nothing.
    fn say(self: &Arc<Self>, channel: &Arc<Channel>, method: &str, params: &[u8]) {
        let id = self.fresh_id(self.next());
        let message = request(&id, method, params);
        let channel = Arc::clone(channel);
        self.core.tasks.spawn(async move {
            if let Err(failure) = channel.ask(&id, message, RequestOptions::default()).await {
                tracing::debug!(upstream = %channel.upstream, why = %failure.detail, "a wish was not heard");
            }
        });
    }

    /// A stateless client said from which level on it wants log messages: a session has one level for all.
    pub(crate) async fn level_for(self: &Arc<Self>, flight: &Flight, channel: &Arc<Channel>) {
        let Some(asker) = flight.asker.as_ref().filter(|_| !channel.is_stateless() && channel.has(&["logging"])) else {
            return;
        };
        let (Some(wanted), Some(text)) = (asker.level, &asker.view.log_level) else { return };
        {
            let mut level = channel.level.lock();
            if level.is_some_and(|level| level <= wanted) {
                return;
            }
            *level = Some(wanted);
        }
        let id = self.fresh_id(self.next());
        let message = request(&id, "logging/setLevel", &[b"{\"level\":", &text[..], b"}"].concat());
        let wait = self.core.settings.upstream_wait;
        if tokio::time::timeout(wait, channel.ask(&id, message, RequestOptions::default())).await.is_err() {
            tracing::debug!(upstream = %channel.upstream, "the upstream did not take the log level in time");
        }
    }

    /// `resources/subscribe` of a session's client at a stateless upstream.
    pub(super) fn subscribe_over(self: &Arc<Self>, flight: &Flight, channel: &Arc<Channel>, uri: &str) -> Answer {
        self.remember(channel, &flight.message);
        if channel.listening.add(uri) {
            self.listen_on(channel);
        }
        flight.result(b"{}")
    }

    pub(super) fn unsubscribe_over(self: &Arc<Self>, flight: &Flight, channel: &Arc<Channel>, uri: &str) -> Answer {
        self.remember(channel, &flight.message);
        if channel.listening.remove(uri) {
            self.listen_on(channel);
        }
        flight.result(b"{}")
    }

    /// Listens on a stateless upstream for all that it announces and for the resources that are wanted.
    fn listen_on(self: &Arc<Self>, channel: &Arc<Channel>) {
        let Some(server) = channel.server() else { return };
        let mut filter = Filter::everything(server);
        filter.uris = if server.has(&["resources", "subscribe"]) { channel.listening.uris() } else { Vec::new() };
        if filter.is_empty() {
            return channel.listening.stop();
        }
        let stop = CancellationToken::new();
        let work = listen(Arc::downgrade(self), Arc::downgrade(channel), filter, stop.clone());
        self.core.tasks.spawn(work);
        channel.listening.replace(stop);
    }

    /// `subscriptions/listen` of a stateless client, answered here: from sessions, or from several upstreams at once.
    pub(super) async fn listen(
        self: &Arc<Self>,
        flight: &Arc<Flight>,
        channels: &[Arc<Channel>],
        filter: Filter,
    ) -> Answer {
        let mut honoured = Filter::default();
        for channel in channels {
            let Some(server) = channel.server() else { continue };
            let own = filter.honoured(server);
            honoured.tools |= own.tools;
            honoured.prompts |= own.prompts;
            honoured.resources |= own.resources;
            for uri in own.uris {
                if !honoured.uris.contains(&uri) {
                    honoured.uris.push(uri);
                }
            }
        }
        let id = flight.id();
        let Some(_place) = Place::take(self, flight, channels, honoured.clone()) else {
            return flight.refuse(crate::code::OVERLOADED, "too many streams listen", None);
        };
        flight.push(bridge::acknowledged(&id, &honoured));
        tokio::select! {
            () = self.core.stop.cancelled() => {}
            () = self.ended.cancelled() => {}
        }
        Answer::plain(bridge::closed(&id))
    }

    fn want(self: &Arc<Self>, channel: &Arc<Channel>, uri: &str) {
        let is_first = channel.listening.add(uri);
        if channel.is_stateless() {
            if is_first || !channel.listening.is_listening() {
                self.listen_on(channel);
            }
        } else if is_first && channel.has(&["resources", "subscribe"]) {
            self.say(channel, "resources/subscribe", format!(r#"{{"uri":{}}}"#, quoted(uri)).as_bytes());
        }
    }

    fn unwant(self: &Arc<Self>, channel: &Arc<Channel>, uri: &str) {
        if !channel.listening.remove(uri) {
            return;
        }
        if channel.is_stateless() {
            self.listen_on(channel);
        } else if channel.has(&["resources", "subscribe"]) {
            self.say(channel, "resources/unsubscribe", format!(r#"{{"uri":{}}}"#, quoted(uri)).as_bytes());
        }
    }

    /// An announcement for those streams that asked for it.
    pub(super) fn tell_listeners(&self, channel: &Channel, message: &Envelope) {
        let plain = if channel.is_stateless() {
            match splice::remove(message.bytes(), &["params", "_meta", meta::SUBSCRIPTION_ID]) {
                Ok(bytes) => super::channel::parse(bytes).ok(),
                Err(_) => None,
            }
        } else {
            Some(message.clone())
        };
        if let Some(plain) = plain {
            self.listeners.tell(&plain);
        }
    }

    /// The lists of all upstreams together changed.
    pub(super) fn changed_here(&self, list: List) {
        let message = format!(r#"{{"jsonrpc":"2.0","method":"notifications/{}/list_changed"}}"#, list.capability());
        if self.is_stateless() {
            if let Ok(message) = super::channel::parse(message.into()) {
                self.listeners.tell(&message);
            }
        } else if self.own.push(message.into()).is_err() {
            tracing::debug!("the client's stream is full: an announcement is dropped");
        }
    }
}

impl Listeners {
    fn tell(&self, message: &Envelope) {
        for (_, flight, filter) in self.all.lock().iter() {
            if !filter.accepts(message) {
                continue;
            }
            if let Ok(bytes) = bridge::tagged(message, &flight.id())
                && !flight.push(bytes)
            {
                tracing::debug!("a listening stream is full: an announcement is dropped");
            }
        }
    }

    fn uris(&self) -> BTreeSet<String> {
        self.all.lock().iter().flat_map(|(_, _, filter)| filter.uris.iter().cloned()).collect()
    }
}

/// A stream that listens, until it is dropped.
struct Place {
    conversation: Arc<Conversation>,
    channels: Vec<Arc<Channel>>,
    number: u64,
    uris: Vec<String>,
}

impl Place {
    fn take(
        conversation: &Arc<Conversation>,
        flight: &Arc<Flight>,
        channels: &[Arc<Channel>],
        filter: Filter,
    ) -> Option<Self> {
        let number = conversation.next();
        let uris = filter.uris.clone();
        {
            let mut all = conversation.listeners.all.lock();
            if all.len() >= LISTENERS_MAX {
                return None;
            }
            all.push((number, Arc::clone(flight), filter));
        }
        for channel in channels {
            for uri in &uris {
                conversation.want(channel, uri);
            }
            if channel.is_stateless() && !channel.listening.is_listening() {
                conversation.listen_on(channel);
            }
        }
        Some(Self { conversation: Arc::clone(conversation), channels: channels.to_vec(), number, uris })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.conversation.listeners.all.lock().retain(|(number, _, _)| *number != self.number);
        for channel in self.channels.iter().filter(|channel| !channel.is_closed()) {
            for uri in &self.uris {
                self.conversation.unwant(channel, uri);
            }
        }
    }
}

/// Listens until told to stop, and again when the stream ends by itself. Holds neither the client nor its session.
async fn listen(conversation: Weak<Conversation>, channel: Weak<Channel>, filter: Filter, stop: CancellationToken) {
    let mut again = AGAIN_FIRST;
    loop {
        let Some((session, id, message)) = (|| {
            let (conversation, channel) = (conversation.upgrade()?, channel.upgrade()?);
            let id = conversation.fresh_id(conversation.next());
            let message = bridge::listen_request(&id, &filter, &conversation.bridge_caller(&channel)).ok()?;
            Some((channel.session()?, id, message))
        })() else {
            return;
        };
        if session.is_closed() {
            return;
        }
        let ended = tokio::select! {
            ended = session.request(message, RequestOptions::default()) => ended,
            () = stop.cancelled() => {
                // Over HTTP the stream is closed with the request; on a pipe it has to be said.
                let params = format!(r#"{{"requestId":{}}}"#, String::from_utf8_lossy(&id));
                let cancel = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#);
                drop(session.post(cancel.into()).await);
                return;
            }
        };
        if ended.is_ok() {
            again = AGAIN_FIRST;
        }
        tokio::select! {
            () = tokio::time::sleep(again) => again = (again * 2).min(AGAIN_MAX),
            () = stop.cancelled() => return,
        }
    }
}

/// A request of the gateway's own.
pub fn request(id: &[u8], method: &str, params: &[u8]) -> Bytes {
    let mut out = br#"{"jsonrpc":"2.0","id":"#.to_vec();
    out.extend_from_slice(id);
    out.extend_from_slice(br#","method":"#);
    out.extend_from_slice(&json::quote(method));
    out.extend_from_slice(br#","params":"#);
    out.extend_from_slice(params);
    out.push(b'}');
    out.into()
}
