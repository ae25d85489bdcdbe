//! A request of the client from its arrival to its answer: who asks, which way it goes, how it ends early.

use super::flight::Flight;
use super::hello::{Asker, Hello};
use super::{Busy, Conversation, ID_MAX};
use crate::call;
use crate::code;
use crate::exchange::{Answer, Answering, Exchange};
use crate::hub::{Kind, Origin, Scope};
use crate::mailbox::Mailbox;
use crate::message::{self, quoted};
use bytes::Bytes;
use mcp::{Envelope, Revision, views};
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Conversation {
    pub(super) fn request(self: &Arc<Self>, message: Envelope, origin: Origin) -> Exchange {
        let id = message.id_bytes().unwrap_or_default();
        if id.len() > ID_MAX {
            return refused(b"", message::INVALID_REQUEST, "the id is too long", None);
        }
        let (asker, hello) = match self.who(&message) {
            Ok(who) => who,
            Err(answer) => return Exchange::answered(answer),
        };
        let is_call = message.is("tools/call");
        if self.is_closed() || self.core.stop.is_cancelled() && !is_call {
            return refused(&id, code::DRAINING, "the gateway is shutting down", None);
        }
        let mailbox = Arc::new(Mailbox::new(self.core.settings.queue_max));
        let flight = Flight::new(message, origin, asker, hello, Arc::clone(&mailbox));
        let settings = &self.core.settings;
        let max = if self.shares_ids() { settings.shared_requests_max } else { settings.requests_max };
        if self.busy.load(Ordering::Acquire) >= max {
            return Exchange::answered(call::overloaded(&flight));
        }
        let Some(place) = InFlight::enter(self, &flight, id) else {
            return Exchange::answered(flight.refuse(message::INVALID_REQUEST, "the id is in use", None));
        };
        if flight.method() == "initialize" {
            self.shaking.store(true, Ordering::Release);
        }
        Exchange::request(mailbox, Arc::clone(self).run(flight, place))
    }

    /// As whom this message is to be taken.
    fn who(&self, message: &Envelope) -> Result<(Option<Asker>, Arc<Hello>), Answer> {
        let id = message.id().unwrap_or_default();
        let no = |code, text: &str, data: Option<&str>| Answer::refused(message::error(id, code, text, data), code);
        if !self.is_stateless() {
            let known = self.state.lock().hello.clone();
            return match known {
                Some(hello) => Ok((None, hello)),
                None => self.unknown(message).map(|hello| (None, hello)),
            };
        }
        let params = message.body_bytes().unwrap_or_else(|| Bytes::from_static(b"{}"));
        let view = match views::Caller::read(&params) {
            Ok(view) => view,
            Err(error) => return Err(no(message::INVALID_PARAMS, &error.to_string(), None)),
        };
        let Some(view) = view else {
            if self.kind == Kind::Pipe {
                return self.unknown(message).map(|hello| (None, hello));
            }
            return Err(no(message::INVALID_PARAMS, "`_meta` does not say which protocol version it speaks", None));
        };
        let claimed = view.protocol_version.clone().unwrap_or_default();
        if !Revision::parse(&claimed).is_some_and(Revision::is_stateless) {
            let supported: Vec<String> = Revision::ALL.iter().rev().map(|one| quoted(one.as_str())).collect();
            let data = format!(r#"{{"supported":[{}],"requested":{}}}"#, supported.join(","), quoted(&claimed));
            return Err(no(mcp::code::UNSUPPORTED_VERSION, "Unsupported protocol version", Some(&data)));
        }
        if view.capabilities.as_deref().is_none_or(|all| !mcp::json::is_object(all)) {
            return Err(no(message::INVALID_PARAMS, "`_meta` does not say what the client is capable of", None));
        }
        let hello = Arc::new(Hello::of_stateless(&view));
        Ok((Some(Asker::of(view)), hello))
    }

    /// A client of the session era that has not shaken hands: it may do that, and ping.
    fn unknown(&self, message: &Envelope) -> Result<Arc<Hello>, Answer> {
        let id = message.id().unwrap_or_default();
        let (code, text) = match message.method().unwrap_or_default() {
            "initialize" => {
                let params = message.body_bytes().unwrap_or_else(|| Bytes::from_static(b"{}"));
                let asked = views::Initialize::read(&params).map(|view| view.protocol_version.unwrap_or_default());
                match asked.and_then(|asked| Hello::of_session(&params, mcp::revision::negotiate(&asked))) {
                    Ok(hello) => return Ok(Arc::new(hello)),
                    Err(error) => (message::INVALID_PARAMS, error.to_string()),
                }
            }
            "ping" => return Err(Answer::plain(message::result(id, b"{}"))),
            _ => (message::INVALID_REQUEST, "the conversation begins with `initialize`".to_owned()),
        };
        Err(Answer::refused(message::error(id, code, &text, None), code))
    }

    fn run(self: Arc<Self>, flight: Arc<Flight>, place: InFlight) -> Answering {
        Box::pin(async move {
            let answer = if flight.is_stateless() { self.ask_between(flight).await } else { self.work(flight).await };
            place.end(answer)
        })
    }

    pub(super) async fn work(self: Arc<Self>, flight: Arc<Flight>) -> Option<Answer> {
        if flight.method() == "tools/call" {
            // Hears of its cancellation itself: what was sent has an outcome all the same.
            return call::call(self, flight).await;
        }
        let cancelled = flight.cancelled.clone();
        tokio::select! {
            answer = self.pass(&flight) => Some(answer),
            () = cancelled.cancelled() => None,
        }
    }

    async fn pass(self: &Arc<Self>, flight: &Arc<Flight>) -> Answer {
        match (flight.method(), &self.scope) {
            ("initialize", _) if !flight.is_stateless() => Box::pin(self.initialize(flight)).await,
            ("tools/list", Scope::One(upstream)) => Box::pin(self.tools_of_one(flight, upstream)).await,
            (_, Scope::One(upstream)) => Box::pin(self.forward(flight, upstream)).await,
            (_, Scope::All) => Box::pin(self.federate(flight)).await,
        }
    }
}

fn refused(id: &[u8], code: i64, text: &str, data: Option<&str>) -> Exchange {
    Exchange::answered(Answer::refused(message::error(id, code, text, data), code))
}

/// The place of a request among those under way.
pub struct InFlight {
    busy: Busy,
    flight: Arc<Flight>,
    id: Option<Bytes>,
    is_answered: bool,
}

impl InFlight {
    /// `None` when the id is in use. A `tools/call` may come twice under one id: the guard tells whether it is the same.
    fn enter(conversation: &Arc<Conversation>, flight: &Arc<Flight>, id: Bytes) -> Option<Self> {
        let mut own = None;
        if !conversation.shares_ids() {
            match conversation.flights.lock().entry(id) {
                Entry::Occupied(_) if flight.method() != "tools/call" => return None,
                Entry::Occupied(_) => {}
                Entry::Vacant(place) => {
                    own = Some(place.key().clone());
                    place.insert(Arc::clone(flight));
                }
            }
        }
        Some(Self { busy: Busy::with(conversation), flight: Arc::clone(flight), id: own, is_answered: false })
    }

    fn end<T>(mut self, answer: T) -> T {
        self.is_answered = true;
        answer
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.flight.method() == "initialize" {
            self.busy.0.shaking.store(false, Ordering::Release);
        }
        if !self.is_answered {
            self.busy.0.decline_on(&self.flight.mailbox());
        }
        if let Some(id) = &self.id {
            let mut flights = self.busy.0.flights.lock();
            if flights.get(id).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
                flights.remove(id);
            }
        }
    }
}
