//! A request that goes to one upstream as it came, or translated where the upstream speaks the other era.

use super::Conversation;
use super::channel::{Channel, UPSTREAM_LIMITS, parse};
use super::flight::Flight;
use crate::code;
use crate::exchange::Answer;
use crate::message::quoted;
use bytes::Bytes;
use mcp::bridge::{self, InputRequired, Local, Onward};
use mcp::envelope::{self, Kind};
use mcp::{Envelope, json, splice};
use runtime::TaskAsk;
use std::sync::Arc;
use upstream::RequestOptions;
use vocab::{Failure, Name};

/// Rounds of questions of an upstream in one request.
pub const ROUNDS_MAX: usize = 16;

impl Conversation {
    pub(super) async fn forward(self: &Arc<Self>, flight: &Arc<Flight>, upstream: &Name) -> Answer {
        let channel = match self.channel(upstream, &flight.hello).await {
            Ok(channel) => channel,
            Err(failure) => return flight.unreachable(upstream, &failure),
        };
        self.forward_over(flight, &channel, &flight.message).await
    }

    /// Sends the message over a channel; `message` is the client's, or has other names in it.
    pub(super) async fn forward_over(
        self: &Arc<Self>,
        flight: &Arc<Flight>,
        channel: &Arc<Channel>,
        message: &Envelope,
    ) -> Answer {
        match self.send_over(flight, channel, message).await {
            Ok(response) => answer(flight, channel, &response),
            Err(answer) => answer,
        }
    }

    /// The upstream's response as it came, or what the client gets without one.
    pub(super) async fn send_over(
        self: &Arc<Self>,
        flight: &Arc<Flight>,
        channel: &Arc<Channel>,
        message: &Envelope,
    ) -> Result<Envelope, Answer> {
        let mut onward = match self.translated(flight, channel, message) {
            Ok(Onward::Forward(bytes)) => bytes,
            Ok(Onward::Answer(local)) => return Err(Box::pin(self.local(flight, channel, local)).await),
            Ok(Onward::Drop | Onward::Unsupported) => return Err(flight.no_such_method()),
            Err(error) => return Err(flight.malformed(&error)),
        };
        self.level_for(flight, channel).await;
        for _ in 0..ROUNDS_MAX {
            let request = read_again(message, &onward).map_err(|error| flight.malformed(&error))?;
            let sent = channel.exchange(self, flight, request, RequestOptions::default()).await;
            let response = sent.map_err(|failure| flight.unreachable(&channel.upstream, &failure))?;
            match self.continued(flight, channel, &onward, &response).await? {
                Some(again) => onward = again,
                None => {
                    if response.kind() == Kind::Response {
                        self.remember(channel, message);
                        self.task_answered(channel, message, &response);
                    }
                    return Ok(response);
                }
            }
        }
        Err(flight.refuse(code::UPSTREAM, "the upstream goes on asking", None))
    }

    /// What an upstream says of a task may be the end of a step.
    fn task_answered(&self, channel: &Channel, asked: &Envelope, response: &Envelope) {
        let ask = match asked.method() {
            Some("tasks/get" | "tasks/cancel") => TaskAsk::Get,
            Some("tasks/result") => TaskAsk::Result,
            _ => return,
        };
        if let (Ok(Some(task)), Some(result)) = (asked.param_text(&["taskId"]), response.body_bytes()) {
            self.core.guard.task_answered(self.caller(), &channel.upstream, &task, ask, &result);
        }
    }

    /// The client's message as the upstream's era has it.
    pub(crate) fn translated(
        &self,
        flight: &Flight,
        channel: &Channel,
        message: &Envelope,
    ) -> Result<Onward, json::Error> {
        match (flight.is_stateless(), channel.is_stateless()) {
            (false, true) => bridge::request_to_stateless(message, &self.bridge_caller(channel)),
            (true, false) => bridge::request_to_session(message),
            _ => Ok(Onward::Forward(message.bytes().clone())),
        }
    }

    /// What a stateless upstream is told about a client of the session era.
    pub(crate) fn bridge_caller(&self, channel: &Channel) -> bridge::Caller {
        let mut caller = channel.hello.caller.clone();
        if !self.is_stateless() {
            caller.log_level = self.log_level();
        }
        caller
    }

    /// The request once more, when a stateless upstream wants answers of a client that has no such results.
    async fn continued(
        self: &Arc<Self>,
        flight: &Arc<Flight>,
        channel: &Channel,
        sent: &Bytes,
        response: &Envelope,
    ) -> Result<Option<Bytes>, Answer> {
        if flight.is_stateless() || !channel.is_stateless() {
            return Ok(None);
        }
        let Some(result) = response.body_bytes().filter(|_| response.kind() == Kind::Response) else { return Ok(None) };
        let required = match InputRequired::read(&result) {
            Ok(Some(required)) => required,
            Ok(None) => return Ok(None),
            Err(error) => return Err(flight.refuse(code::UPSTREAM, &error.to_string(), None)),
        };
        let answers = self.put_to_client(flight, &required).await?;
        let sent = parse(sent.clone()).map_err(|failure| flight.unreachable(&channel.upstream, &failure))?;
        let again = bridge::retry(&sent, &self.fresh_id(self.next()), &answers, required.state.as_deref());
        again.map(Some).map_err(|error| flight.malformed(&error))
    }

    async fn local(self: &Arc<Self>, flight: &Arc<Flight>, channel: &Arc<Channel>, local: Local) -> Answer {
        match local {
            Local::Initialize => flight.no_such_method(),
            Local::Discover => Self::discovered(flight, channel),
            Local::Ping => flight.result(b"{}"),
            Local::LogLevel(level) => {
                self.remember_level(level);
                flight.result(b"{}")
            }
            Local::Subscribe(uri) => self.subscribe_over(flight, channel, &uri),
            Local::Unsubscribe(uri) => self.unsubscribe_over(flight, channel, &uri),
            Local::Listen(filter) => self.listen(flight, &[Arc::clone(channel)], filter).await,
            // A notification, handled where notifications are.
            Local::Cancel(_) => flight.no_such_method(),
        }
    }
}

/// What goes onward of a message: mostly the message itself, which was read already.
pub fn read_again(message: &Envelope, onward: &Bytes) -> Result<Envelope, envelope::Error> {
    if std::ptr::eq(&raw const **message.bytes(), &raw const **onward) {
        return Ok(message.clone());
    }
    Envelope::parse(onward.clone(), &UPSTREAM_LIMITS)
}

/// An upstream's response as the client's era has it.
pub fn answer(flight: &Flight, channel: &Channel, response: &Envelope) -> Answer {
    let body = response.body_bytes().unwrap_or_default();
    let translated = match (flight.is_stateless(), channel.is_stateless(), response.kind()) {
        (false, true, Kind::Response) => bridge::result_to_session(flight.method(), &body),
        (true, false, Kind::Response) => {
            let info = channel.server().and_then(|server| server.info.as_deref());
            bridge::result_to_stateless(flight.method(), &body, info)
        }
        (true, false, Kind::Error) => match bridge::url_elicitation(&body) {
            Ok(Some(required)) => return flight.result(&required),
            Ok(None) => bridge::error_to_stateless(&body),
            Err(error) => Err(error),
        },
        // Which revisions are spoken here is the gateway's to say, whatever stands behind it.
        (true, true, Kind::Response) if flight.method() == "server/discover" => super::handshake::spoken_here(&body),
        _ => Ok(body),
    };
    match translated {
        Ok(body) => with_own_id(flight, response, &body),
        Err(error) => flight.refuse(code::UPSTREAM, &format!("translate the answer: {error}"), None),
    }
}

/// The response with the id that the client knows it by, every other byte as it came.
fn with_own_id(flight: &Flight, response: &Envelope, body: &[u8]) -> Answer {
    let is_same = response.body_bytes().is_some_and(|own| own == body);
    let message = if is_same { response.bytes().clone() } else { response.with_body(body) };
    let refusal = response.error().and_then(|_| flight.status_of(body));
    let id = flight.id();
    if response.id() == Some(&id[..]) {
        return Answer { message, delivery: None, refusal };
    }
    match splice::set(&message, &["id"], &id) {
        Ok(message) => Answer { message, delivery: None, refusal },
        Err(error) => flight.refuse(code::UPSTREAM, &format!("read the answer: {error}"), None),
    }
}

impl Flight {
    /// The upstream gave no answer: what is known of why, without secrets.
    pub fn unreachable(&self, upstream: &Name, failure: &Failure) -> Answer {
        if let Some(error) = &failure.rpc_error {
            return self.error_member(error);
        }
        let text = format!("reach the upstream {upstream}: {}", failure.detail);
        self.refuse(code::UPSTREAM, &text, Some(&format!(r#"{{"upstream":{}}}"#, quoted(upstream))))
    }
}
