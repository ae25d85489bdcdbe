//! `initialize` and `server/discover`: an upstream's own, told in the words of the client's era, or one for all.

use super::Conversation;
use super::channel::Channel;
use super::flight::Flight;
use crate::exchange::Answer;
use crate::hub::{Kind, Scope};
use crate::message;
use bytes::Bytes;
use mcp::bridge;
use mcp::{Revision, json, revision, splice, views};
use std::sync::Arc;

impl Conversation {
    pub(super) async fn initialize(self: &Arc<Self>, flight: &Arc<Flight>) -> Answer {
        if self.kind == Kind::Stateless || self.state.lock().hello.is_some() {
            return flight.refuse(message::INVALID_REQUEST, "the handshake is over", None);
        }
        let asked = flight.message.param_text(&["protocolVersion"]).ok().flatten().unwrap_or_default();
        let agreed = revision::negotiate(&asked);
        let (result, agreed) = match &self.scope {
            Scope::One(upstream) => match self.channel(upstream, &flight.hello).await {
                Ok(channel) => match told(&channel, agreed) {
                    Ok(told) => told,
                    Err(error) => return flight.malformed(&error),
                },
                Err(failure) => return flight.unreachable(upstream, &failure),
            },
            Scope::All => (self.initialize_all(flight, agreed).await, agreed),
        };
        let mut state = self.state.lock();
        state.hello = Some(Arc::clone(&flight.hello));
        state.revision = Some(agreed);
        drop(state);
        flight.result(&result)
    }

    /// The answer to a `server/discover` where the upstream has none of its own.
    pub(super) fn discovered(flight: &Flight, channel: &Channel) -> Answer {
        match bridge::discover_result(&channel.handshake(), &spoken()) {
            Ok(result) => flight.result(&result),
            Err(error) => flight.malformed(&error),
        }
    }
}

/// The revisions of this door, latest first.
fn spoken() -> Vec<Revision> {
    Revision::ALL.into_iter().rev().collect()
}

/// A stateless upstream's own answer to `server/discover`, with the revisions that this door speaks.
pub(super) fn spoken_here(result: &Bytes) -> Result<Bytes, json::Error> {
    let versions: Vec<Vec<u8>> = spoken().iter().map(|one| json::quote(one.as_str())).collect();
    splice::set(result, &["supportedVersions"], &[b"[", &versions.join(&b","[..])[..], b"]"].concat())
}

/// The handshake of an upstream for a client of the session era, and the revision that they share with us between.
fn told(channel: &Channel, agreed: Revision) -> Result<(Bytes, Revision), json::Error> {
    let handshake = channel.handshake();
    if channel.is_stateless() {
        return Ok((bridge::initialize_result(&handshake, agreed)?, agreed));
    }
    let theirs = views::Server::read(&handshake)?.protocol_version.unwrap_or_default();
    if theirs == agreed.as_str() {
        return Ok((handshake, agreed));
    }
    // Revisions of the session era differ in what may be said, not in how: each side speaks its own.
    let version = json::quote(agreed.as_str());
    Ok((splice::set(&handshake, &["protocolVersion"], &version)?, agreed))
}
