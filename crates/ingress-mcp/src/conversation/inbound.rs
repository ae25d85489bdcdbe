//! Messages of upstreams: to the request that they belong to, to the client's own stream, or to those who listen.

use super::Conversation;
use super::channel::{Channel, UPSTREAM_LIMITS};
use super::flight::Flight;
use bytes::Bytes;
use mcp::envelope::Kind;
use mcp::{Envelope, bridge, json, meta, splice};
use std::sync::Arc;
use upstream::{Incoming, Related};

pub fn take(conversation: &Arc<Conversation>, channel: &Arc<Channel>, incoming: Incoming) {
    let Ok(message) = Envelope::parse(incoming.message, &UPSTREAM_LIMITS) else {
        tracing::warn!(upstream = %channel.upstream, "a message of the upstream cannot be read");
        return;
    };
    let flight = match &incoming.related {
        Related::Request(id) => channel.flight(id),
        Related::Session => None,
    };
    match message.kind() {
        Kind::Request => conversation.put(channel, flight, message),
        Kind::Notification => conversation.announce(channel, flight, &message),
        Kind::Response | Kind::Error => {}
    }
}

impl Conversation {
    fn announce(self: &Arc<Self>, channel: &Arc<Channel>, flight: Option<Arc<Flight>>, message: &Envelope) {
        match message.method().unwrap_or_default() {
            "notifications/cancelled" => return self.taken_back(channel, message),
            "notifications/progress" => return self.progress(channel, flight, message),
            "notifications/tools/list_changed" => self.core.guard.forget(&channel.upstream),
            _ => {}
        }
        self.changed(channel, message);
        match flight {
            Some(flight) if flight.is_stateless() => self.to_stateless(channel, &flight, message),
            Some(flight) => self.to_session(channel, message, |bytes| flight.push(bytes)),
            None if self.is_stateless() => self.tell_listeners(channel, message),
            None => self.to_session(channel, message, |bytes| self.own.push(bytes).is_ok()),
        }
    }

    fn progress(&self, channel: &Arc<Channel>, flight: Option<Arc<Flight>>, message: &Envelope) {
        let token = message.param(&["progressToken"]).ok().flatten();
        let flight = flight.or_else(|| channel.flight_with_token(token?));
        let Some(flight) = flight else {
            if !self.is_stateless() {
                self.to_session(channel, message, |bytes| self.own.push(bytes).is_ok());
            }
            return;
        };
        let value = message.param(&["progress"]).ok().flatten().and_then(|value| std::str::from_utf8(value).ok());
        flight.progressed(value.and_then(|value| value.parse().ok()).unwrap_or_default());
        let own = flight.token();
        let bytes = match (own.as_deref(), token) {
            (Some(own), Some(token)) if own != token => {
                splice::set(message.bytes(), &["params", "progressToken"], own).ok()
            }
            _ => Some(message.bytes().clone()),
        };
        if let Some(bytes) = bytes
            && !flight.push(bytes)
        {
            tracing::debug!("the client's stream is full: progress is dropped");
        }
    }

    fn to_session(&self, channel: &Channel, message: &Envelope, push: impl FnOnce(Bytes) -> bool) {
        let translated = if channel.is_stateless() {
            bridge::notification_to_session(message)
        } else {
            Ok(Some(message.bytes().clone()))
        };
        if let Ok(Some(bytes)) = translated
            && !push(bytes)
        {
            tracing::debug!(upstream = %channel.upstream, "the client's stream is full: a notification is dropped");
        }
    }

    /// Onto the stream of a stateless request.
    fn to_stateless(&self, channel: &Arc<Channel>, flight: &Flight, message: &Envelope) {
        let translated = if channel.is_stateless() {
            Ok(Some(own_subscription(flight, message)))
        } else {
            let level = flight.asker.as_ref().and_then(|asker| asker.level);
            bridge::notification_to_stateless(message, level)
        };
        match translated {
            Ok(Some(bytes)) => {
                if !flight.push(bytes) {
                    tracing::debug!("the client's stream is full: a notification is dropped");
                }
            }
            Ok(None) => self.tell_listeners(channel, message),
            Err(_) => {}
        }
    }
}

/// A stateless upstream names the subscription by the id that it saw.
fn own_subscription(flight: &Flight, message: &Envelope) -> Bytes {
    let path = ["_meta", meta::SUBSCRIPTION_ID];
    let id = flight.id();
    match message.param(&path) {
        Ok(Some(seen)) if seen != &id[..] => {
            splice::set(message.bytes(), &["params", "_meta", meta::SUBSCRIPTION_ID], &id)
                .unwrap_or_else(|_: json::Error| message.bytes().clone())
        }
        _ => message.bytes().clone(),
    }
}
