//! Notifications of the client: cancellation, what goes on to upstreams, what ends here.

use super::Conversation;
use super::channel::Channel;
use crate::hub::Scope;
use mcp::Envelope;
use mcp::bridge::{self, Onward};
use std::sync::Arc;

impl Conversation {
    pub(super) fn notified(self: &Arc<Self>, message: &Envelope) {
        match message.method().unwrap_or_default() {
            "notifications/cancelled" => self.cancelled(message),
            // Each upstream was told when its session was opened.
            "notifications/initialized" => {}
            _ => {
                for channel in self.channels.open() {
                    self.pass_on(&channel, message);
                }
            }
        }
    }

    fn pass_on(&self, channel: &Arc<Channel>, message: &Envelope) {
        let onward = match (self.is_stateless(), channel.is_stateless()) {
            (false, true) => bridge::request_to_stateless(message, &self.bridge_caller(channel)),
            (true, false) => bridge::request_to_session(message),
            _ => Ok(Onward::Forward(message.bytes().clone())),
        };
        if let Ok(Onward::Forward(bytes)) = onward {
            channel.post(bytes);
        }
    }

    /// A call hears of it and forwards it itself; other requests end here, and their upstreams are told.
    fn cancelled(self: &Arc<Self>, message: &Envelope) {
        let Ok(Some(id)) = message.param(&["requestId"]) else {
            // 2025-11-25: a task is cancelled by a request, so this names nothing.
            return;
        };
        let Some(flight) = self.flights.lock().get(id).map(Arc::clone) else { return };
        let reason = message.param(&["reason"]).ok().flatten();
        if flight.method() != "tools/call" {
            for channel in self.channels.open() {
                for upstream_id in channel.ids_of(&flight) {
                    let is_theirs = matches!(self.scope, Scope::One(_)) && upstream_id == id && !channel.is_stateless();
                    if is_theirs {
                        channel.post(message.bytes().clone());
                    } else {
                        channel.cancel(&upstream_id, reason);
                    }
                    channel.forget(&upstream_id);
                }
            }
        }
        flight.cancelled.cancel();
    }
}
