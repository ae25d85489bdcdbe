//! POST: one message of a client. Its answer is one JSON body if nothing else comes, else a stream of events.

use super::body::{self, Body};
use super::door::{Asked, Door, accepts, one};
use super::events::Events;
use super::link::Busy;
use super::read;
use super::refusal::Refusal;
use super::session::Session;
use crate::conversation::Conversation;
use crate::hub::{Kind, Origin, Refused};
use crate::{Exchange, Out};
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use mcp::envelope::Incoming as Messages;
use mcp::meta::{self, header};
use mcp::{Envelope, Revision, code, headers};
use std::sync::Arc;
use tokio::time::timeout;

/// Which conversation a message belongs to.
enum Whose {
    Session(Arc<Session>),
    /// It begins one.
    Beginning(Beginning),
    Stateless(Arc<Conversation>, Envelope),
}

/// A conversation without an answer to `initialize` yet. Dropped before it has one, it ends.
struct Beginning {
    conversation: Arc<Conversation>,
    has_begun: bool,
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if !self.has_begun {
            self.conversation.close();
        }
    }
}

impl Door {
    pub async fn post(&self, asked: Asked, incoming: Incoming, busy: Busy) -> Response<Body> {
        match self.receive(asked, incoming).await {
            Ok((whose, exchange)) => self.reply(whose, exchange, busy).await,
            Err(refusal) => refusal.into_response(busy),
        }
    }

    async fn receive(&self, asked: Asked, incoming: Incoming) -> Result<(Whose, Exchange), Refusal> {
        let headers = &asked.parts.headers;
        check_media(headers)?;
        let mut origin = Origin::of(headers);
        origin.task =
            super::place::run(asked.parts.uri.query()).map_err(|bad| Refusal::bad_request(bad.to_string()))?;
        let bytes = read::whole(incoming, self.hub.limits().bytes, self.config.body_timeout).await?;
        let whose = self.whose(&asked, &bytes)?;
        let exchange = match &whose {
            Whose::Session(session) => session.conversation.receive(bytes, origin),
            Whose::Beginning(beginning) => beginning.conversation.receive(bytes, origin),
            Whose::Stateless(conversation, message) => {
                origin.mirrored = message.is("tools/call").then(|| mirrored(headers));
                conversation.receive_message(message.clone(), origin)
            }
        };
        Ok((whose, exchange))
    }

    fn whose(&self, asked: &Asked, bytes: &Bytes) -> Result<Whose, Refusal> {
        let headers = &asked.parts.headers;
        let version = one(headers, header::PROTOCOL_VERSION)?;
        let revision = version.map(|version| Revision::parse(version).ok_or(version)).transpose();
        let revision = revision.map_err(|unknown| {
            let id = Envelope::parse(bytes.clone(), self.hub.limits()).ok().and_then(|message| message.id_bytes());
            Refusal::unsupported_version(unknown, headers.contains_key(header::SESSION_ID)).of_request(id)
        })?;
        if revision.is_some_and(Revision::is_stateless) {
            return self.stateless(asked, bytes);
        }
        match one(headers, header::SESSION_ID)? {
            Some(id) => self.session(asked, id).map(Whose::Session),
            None => self.beginning(asked, bytes),
        }
    }

    pub(super) fn session(&self, asked: &Asked, id: &str) -> Result<Arc<Session>, Refusal> {
        self.sessions.find(id, &asked.caller, asked.upstream.as_deref()).ok_or_else(|| {
            let text = "find the session: it has ended or is not one of this endpoint; \
                begin another with `initialize`, without Mcp-Session-Id";
            Refusal::new(StatusCode::NOT_FOUND, text)
        })
    }

    /// Of 2026-07-28: stands for itself, and its headers say what its body says.
    fn stateless(&self, asked: &Asked, bytes: &Bytes) -> Result<Whose, Refusal> {
        let message = self.read(bytes)?;
        check_mirrors(&message, &asked.parts)?;
        if matches!(message.kind(), mcp::Kind::Response | mcp::Kind::Error) {
            return Err(Refusal::bad_request("take the response: 2026-07-28 has no requests of the server"));
        }
        let conversation = self.conversation(asked, Kind::Stateless, message.id_bytes())?;
        Ok(Whose::Stateless(conversation, message))
    }

    /// Without a session: only `initialize` may come so.
    fn beginning(&self, asked: &Asked, bytes: &Bytes) -> Result<Whose, Refusal> {
        let message = match Envelope::parse_any(bytes.clone(), self.hub.limits()) {
            Ok(Messages::One(message)) => message,
            Ok(Messages::Batch(_)) => return Err(without_session(None)),
            Err(error) => return Err(Refusal::unreadable(&error)),
        };
        if message.is("initialize") && message.kind() == mcp::Kind::Request {
            let conversation = self.conversation(asked, Kind::Session, message.id_bytes())?;
            return Ok(Whose::Beginning(Beginning { conversation, has_begun: false }));
        }
        if headers::claimed_version(&message).is_some() {
            // It speaks the stateless revision, without the headers that this needs.
            check_mirrors(&message, &asked.parts)?;
        }
        Err(without_session(message.id_bytes()))
    }

    fn read(&self, bytes: &Bytes) -> Result<Envelope, Refusal> {
        Envelope::parse(bytes.clone(), self.hub.limits()).map_err(|error| Refusal::unreadable(&error))
    }

    fn conversation(&self, asked: &Asked, kind: Kind, id: Option<Bytes>) -> Result<Arc<Conversation>, Refusal> {
        self.hub.conversation(asked.caller.clone(), asked.scope(), kind).map_err(|refused| {
            let refusal = match refused {
                Refused::UnknownUpstream => Refusal::new(
                    StatusCode::NOT_FOUND,
                    "find the upstream: the policy has none of this name; /mcp reaches all of them",
                ),
                Refused::TooMany | Refused::Draining => Refusal::unavailable(refused.to_string()),
            };
            refusal.of_request(id)
        })
    }

    async fn reply(&self, whose: Whose, mut exchange: Exchange, busy: Busy) -> Response<Body> {
        if exchange.is_nothing() {
            return body::empty(StatusCode::ACCEPTED, busy);
        }
        let first = match &whose {
            // Its answer decides whether there is a session to come back to.
            Whose::Beginning(_) => exchange.next().await,
            _ => match timeout(self.config.stream_after, exchange.next()).await {
                Ok(first) => first,
                Err(_) => return self.stream(&whose, exchange, None, busy),
            },
        };
        match first {
            // It was cancelled: nothing answers it any more.
            None => body::empty(StatusCode::ACCEPTED, busy),
            Some(out) if out.last => self.whole(whose, out, exchange.is_batch(), busy),
            Some(out) => self.stream(&whose, exchange, Some(out), busy),
        }
    }

    /// Nothing but the response.
    fn whole(&self, mut whose: Whose, out: Out, batch: bool, busy: Busy) -> Response<Body> {
        let status = out.refusal.map_or(StatusCode::OK, |code| whose.status(code));
        let session = match &mut whose {
            Whose::Beginning(beginning) => match self.begin(beginning) {
                Ok(session) => session,
                Err(refusal) => return refusal.into_response(busy),
            },
            _ => None,
        };
        let message = if batch { Bytes::from([b"[", &*out.message, b"]"].concat()) } else { out.message };
        let mut response = body::json(status, message, out.delivery, busy);
        if let Some(id) = session {
            response.headers_mut().insert(HeaderName::from_static(header::SESSION_ID), id);
        }
        response
    }

    /// The id of the session that has begun; `None` when the handshake failed.
    fn begin(&self, beginning: &mut Beginning) -> Result<Option<HeaderValue>, Refusal> {
        if beginning.conversation.revision().is_none() {
            return Ok(None);
        }
        let no_id = |error: &dyn std::fmt::Display| Refusal::unavailable(format!("make a session id: {error}"));
        let session = self.sessions.begin(Arc::clone(&beginning.conversation)).map_err(|error| no_id(&error))?;
        let id = HeaderValue::from_str(&session.id).map_err(|error| no_id(&error))?;
        beginning.has_begun = true;
        Ok(Some(id))
    }

    fn stream(&self, whose: &Whose, exchange: Exchange, first: Option<Out>, busy: Busy) -> Response<Body> {
        let every = self.config.keep_alive;
        let events = match whose {
            Whose::Session(session) if session.revision().is_some_and(Revision::has_resumption) => {
                let reader = session.begin(exchange);
                // Clients of earlier revisions take an event without data for a broken message.
                let prime = session.revision() >= Some(Revision::V2025_11_25);
                let prime = prime.then(|| session.replay.prime(reader.flow(), self.config.retry));
                Events::numbered(Some(reader), every).first(prime).taken(first)
            }
            // It would end with its client only.
            Whose::Stateless(_, message) if message.is("subscriptions/listen") => {
                Events::plain(exchange, every).taken(first).until(self.stop.clone().cancelled_owned())
            }
            _ => Events::plain(exchange, every).taken(first),
        };
        body::events(events, busy)
    }
}

impl Whose {
    /// Some errors have a status of their own: what could not be read everywhere, more of them in 2026-07-28.
    fn status(&self, refusal: i64) -> StatusCode {
        match (refusal, self) {
            (code::PARSE_ERROR | code::INVALID_REQUEST, _) => StatusCode::BAD_REQUEST,
            (code::METHOD_NOT_FOUND, Self::Stateless(..)) => StatusCode::NOT_FOUND,
            (code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION, Self::Stateless(..)) => {
                StatusCode::BAD_REQUEST
            }
            // A wrong argument is the method's answer; a request that does not say who asks is no request.
            (code::INVALID_PARAMS, Self::Stateless(_, message)) if !says_who_asks(message) => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        }
    }
}

fn check_media(headers: &HeaderMap) -> Result<(), Refusal> {
    if says(headers, &CONTENT_TYPE, "application/json") && says(headers, &ACCEPT, "application/json, text/event-stream")
    {
        return Ok(());
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let text = "read the message: send it with `Content-Type: application/json`";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    if !accepts(headers, "application", "json") || !accepts(headers, "text", "event-stream") {
        let text = "answer the message: send `Accept: application/json, text/event-stream`, either may come";
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, text));
    }
    Ok(())
}

/// Exactly so, as nearly every client does.
fn says(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let mut all = headers.get_all(name).into_iter();
    all.next().is_some_and(|value| value == wanted) && all.next().is_none()
}

fn check_mirrors(message: &Envelope, parts: &Parts) -> Result<(), Refusal> {
    for name in [header::METHOD, header::NAME] {
        one(&parts.headers, name)?;
    }
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    headers::check(message, text).map_err(|mismatch| Refusal::mismatch(&mismatch).of_request(message.id_bytes()))
}

/// `Mcp-Param-*`: checked when the tool is known. One that is no text mirrors nothing.
fn mirrored(headers: &HeaderMap) -> Vec<(String, String)> {
    let params = headers.iter().filter(|(name, _)| name.as_str().starts_with(header::PARAM_PREFIX));
    params.map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())).collect()
}

fn without_session(id: Option<Bytes>) -> Refusal {
    let text = "find the session: send Mcp-Session-Id, or begin one with `initialize`, \
        or speak 2026-07-28 with MCP-Protocol-Version";
    Refusal::bad_request(text).of_request(id)
}

fn says_who_asks(message: &Envelope) -> bool {
    let says = |member| message.param(&["_meta", member]).ok().flatten().is_some();
    says(meta::PROTOCOL_VERSION) && says(meta::CLIENT_CAPABILITIES)
}
