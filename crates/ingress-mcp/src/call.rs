//! One `tools/call` from its message to its reply: named, led to its tool, guarded, told.

use crate::code;
use crate::conversation::flight::Flight;
use crate::conversation::{Conversation, List, ROUNDS_MAX, renamed};
use crate::exchange::Answer;
use crate::hub::{Kind, Scope};
use crate::keys::{self, Named};
use crate::link::{CallLink, NeverSent};
use crate::message::{self, quoted};
use crate::seam::{Event, Pending, Status};
use crate::told::{self, Released};
use bytes::Bytes;
use mcp::bridge::{self, InputRequired};
use mcp::views::ToolCall;
use mcp::{Envelope, json};
use runtime::{CallError, Continuation, Delivery, Phase, Reply, Request, Run};
use std::sync::Arc;
use vocab::{Code, Failure, FailureKind, Name, StepId};

/// A call that is known to be one: whose tool, under which names.
struct Call {
    conversation: Arc<Conversation>,
    flight: Arc<Flight>,
    upstream: Name,
    tool: Name,
    view: ToolCall,
    named: Named,
    run: Run,
}

pub async fn call(conversation: Arc<Conversation>, flight: Arc<Flight>) -> Option<Answer> {
    let params = flight.message.body_bytes().unwrap_or_else(|| Bytes::from_static(b"{}"));
    let named = match keys::of(&params, &flight.origin) {
        Ok(named) => named,
        Err(error) => return Some(flight.malformed(&error)),
    };
    let view = match ToolCall::read(&params) {
        Ok(view) => view,
        Err(error) => return Some(flight.malformed(&error)),
    };
    let Some(name) = view.name.clone() else {
        return Some(flight.refuse(message::INVALID_PARAMS, "the call names no tool", None));
    };
    if name == told::STATUS_TOOL && conversation.offers_status() && !conversation.is_status_taken() {
        return Some(status(&conversation, &flight, view.arguments.as_ref()).await);
    }
    let (upstream, tool, message) = match conversation.scope() {
        Scope::One(upstream) => (Arc::clone(upstream), name, flight.message.clone()),
        Scope::All => {
            let found = conversation.resolve(&flight, List::Tools, &name).await;
            let renamed = found.and_then(|(upstream, tool)| {
                let message = renamed(&flight.message, &["params", "name"], &tool)?;
                Some((upstream, tool, message))
            });
            match renamed {
                Some(found) => found,
                None => return Some(unknown_tool(&flight, &name)),
            }
        }
    };
    let session = (conversation.kind() != Kind::Stateless).then(|| conversation.id());
    let principal = &conversation.caller().principal;
    let run = keys::run(&named, session, principal, &flight.hello.client, flight.origin.task.as_deref());
    let call = Call { upstream, tool: tool.into(), view, named, run, conversation, flight };
    call.guarded(message).await
}

impl Call {
    /// Starts the step, and once more with the client's answers for as long as the upstream asks.
    async fn guarded(&self, mut message: Envelope) -> Option<Answer> {
        let mut continuation = self.continuation();
        for _ in 0..ROUNDS_MAX {
            let link = CallLink::new(&self.conversation, &self.flight, &self.upstream, message.clone());
            let mut pending = match self.start(&link, continuation.as_ref()).await {
                Ok(pending) => pending,
                Err(answer) => return Some(answer),
            };
            let (reply, delivery) = self.wait(&mut pending).await;
            let required = match self.asks(&reply) {
                Some(required) => required,
                None => return Some(self.told(reply, delivery)),
            };
            // The client of a session sees requests instead of this result, so it has got it.
            delivery.report(runtime::Arrival::Flushed);
            let answers = match self.conversation.put_to_client(&self.flight, &required).await {
                Ok(answers) => answers,
                Err(answer) => return Some(answer),
            };
            match self.again(&message, &required, &answers) {
                Some((again, leg)) => {
                    message = again;
                    continuation = Some(leg);
                }
                None => return Some(self.flight.refuse(code::UPSTREAM, "the call cannot be continued", None)),
            }
        }
        Some(self.flight.refuse(code::UPSTREAM, "the upstream goes on asking", None))
    }

    /// Of a stateless client that comes back with answers for a stateless upstream.
    fn continuation(&self) -> Option<Continuation> {
        let (state, responses) = (self.view.request_state.clone(), self.view.input_responses.clone());
        if state.is_none() && responses.is_none() {
            return None;
        }
        Some(Continuation { state, responses: responses.unwrap_or_else(|| Bytes::from_static(b"{}")) })
    }

    fn again(
        &self,
        message: &Envelope,
        required: &InputRequired,
        answers: &[(String, Bytes)],
    ) -> Option<(Envelope, Continuation)> {
        let id = self.flight.id();
        let again = bridge::retry(message, &id, answers, required.state.as_deref()).ok()?;
        let again = crate::conversation::channel::parse(again).ok()?;
        let responses = again.param(&["inputResponses"]).ok().flatten().map(Bytes::copy_from_slice);
        let responses = responses.unwrap_or_else(|| Bytes::from_static(b"{}"));
        Some((again, Continuation { state: required.state.clone(), responses }))
    }

    async fn start(&self, link: &CallLink, continuation: Option<&Continuation>) -> Result<Box<dyn Pending>, Answer> {
        let guard = &self.conversation.core.guard;
        self.check_mirrors()?;
        let started = match guard.start(self.request(link, continuation)) {
            Err(CallError::UnknownTool(_)) => match self.refresh().await {
                Ok(()) => {
                    self.check_mirrors()?;
                    guard.start(self.request(link, continuation))
                }
                Err(failure) => return self.start_unlisted(failure, link, continuation),
            },
            started => started,
        };
        started.map_err(|error| match error {
            CallError::UnknownTool(_) => unknown_tool(&self.flight, self.view.name.as_deref().unwrap_or_default()),
            CallError::Malformed(why) => self.flight.refuse(message::INVALID_PARAMS, &why, None),
            _ => self.refused(Code::Overloaded, "the gateway is shutting down"),
        })
    }

    /// Headers that mirror arguments of this tool have to say what the body says.
    fn check_mirrors(&self) -> Result<(), Answer> {
        let Some(given) = &self.flight.origin.mirrored else { return Ok(()) };
        let declared = self.conversation.core.known.mirrored(&self.upstream, &self.tool);
        let Some(declared) = declared else { return Ok(()) };
        let arguments = self.view.arguments.as_deref().unwrap_or(b"{}");
        let header = |name: &str| given.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        declared
            .check(arguments, header)
            .map_err(|mismatch| self.flight.refuse(mcp::code::HEADER_MISMATCH, &mismatch.to_string(), None))
    }

    /// It may be an earlier call come again, of which the journal knows more than "nothing was executed".
    //= G3
    fn start_unlisted(
        &self,
        failure: Failure,
        link: &CallLink,
        continuation: Option<&Continuation>,
    ) -> Result<Box<dyn Pending>, Answer> {
        let why = failure.detail.clone();
        let request =
            Request { link: Arc::new(NeverSent { link: link.clone(), failure }), ..self.request(link, continuation) };
        let started = self.conversation.core.guard.start_unlisted(request);
        started.map_err(|_| self.refused(Code::UpstreamUnavailable, &why))
    }

    /// The list of tools is not known yet, or has changed.
    async fn refresh(&self) -> Result<(), Failure> {
        let wait = self.conversation.core.settings.upstream_wait;
        let refreshed = self.conversation.refresh(&self.upstream, &self.flight.hello);
        let late = || Failure::new(FailureKind::NotSent, "it does not say in time which tools it has");
        tokio::time::timeout(wait, refreshed).await.unwrap_or_else(|_| Err(late()))
    }

    fn request(&self, link: &CallLink, continuation: Option<&Continuation>) -> Request {
        let caller = self.conversation.caller();
        let origin = &self.flight.origin;
        let wire = match self.conversation.kind() {
            Kind::Session => {
                let id = self.flight.message.id().unwrap_or_default();
                Some([self.conversation.id(), "#", &String::from_utf8_lossy(id)].concat())
            }
            Kind::Stateless => origin.wire.clone(),
            // Nothing comes twice on a pipe.
            Kind::Pipe => None,
        };
        // Each leg is another request; the wire names only the first.
        let wire = wire.filter(|_| continuation.is_none() || self.flight.is_stateless());
        Request {
            tenant: Arc::clone(&caller.tenant),
            principal: Arc::clone(&caller.principal),
            upstream: Arc::clone(&self.upstream),
            tool: Arc::clone(&self.tool),
            args: self.view.arguments.clone().unwrap_or_else(|| Bytes::from_static(b"{}")),
            run: self.run.clone(),
            explicit_keys: self.named.keys.clone(),
            model_call: self.named.model_call.clone(),
            wire,
            continuation: continuation
                .map(|leg| Continuation { state: leg.state.clone(), responses: leg.responses.clone() }),
            task: self.view.task.is_some(),
            patience: origin.patience,
            link: Arc::new(link.clone()),
        }
    }

    async fn wait(&self, pending: &mut Box<dyn Pending>) -> (Reply, Delivery) {
        let mut is_cancelled = false;
        loop {
            let event = tokio::select! {
                biased;
                event = pending.next() => Some(event),
                () = self.flight.cancelled.cancelled(), if !is_cancelled => None,
            };
            match event {
                None => {
                    is_cancelled = true;
                    pending.cancel();
                }
                Some(Event::Phase(phase)) => self.flight.tell_phase(&phase),
                Some(Event::Reply(reply, delivery)) => return (reply, delivery),
            }
        }
    }

    /// What the upstream wants to know first, where the client has no such results.
    fn asks(&self, reply: &Reply) -> Option<InputRequired> {
        match reply {
            Reply::Result { result, .. }
                if !self.flight.is_stateless() && self.conversation.is_upstream_stateless(&self.upstream) =>
            {
                InputRequired::read(result).ok().flatten()
            }
            _ => None,
        }
    }

    /// The run as the journal, the log and `cofferdam show` call it.
    fn run_id(&self) -> String {
        let caller = self.conversation.caller();
        checks::identity::run_id(&caller.tenant, &caller.principal, &self.run.name).to_string()
    }

    fn told(&self, reply: Reply, delivery: Delivery) -> Answer {
        let own_tools = self.conversation.offers_status();
        let mut answer = match reply {
            Reply::Result { step, result, verification, replayed, notice, mutation: _ } => {
                // A stateless upstream may make a task of any call.
                if self.view.task.is_some() || self.flight.is_stateless() {
                    self.conversation.note_task(&self.upstream, &result);
                }
                let released = Released { verification, replayed, notice: notice.as_deref() };
                let result = told::release(&self.translated(&result), step, || self.run_id(), &released);
                self.flight.result(&result)
            }
            Reply::Error { step: _, error } => self.error(&error),
            // The agent cannot mend what its client brings back of an earlier answer.
            Reply::Stop(stop) if stop.code == Code::InputInvalid && self.continuation().is_some() => {
                let data = format!(r#"{{"step":{},"executed":"no"}}"#, quoted(&stop.step.to_string()));
                self.flight.refuse(message::INVALID_PARAMS, &stop.why, Some(&data))
            }
            Reply::Stop(stop) => self.flight.result(told::stopped(&stop, &self.run_id(), own_tools).as_bytes()),
        };
        answer.delivery = Some(delivery);
        answer
    }

    /// A result of the upstream's era in the words of the client's.
    fn translated(&self, result: &Bytes) -> Bytes {
        let is_stateless = self.conversation.is_upstream_stateless(&self.upstream);
        let translated = match (self.flight.is_stateless(), is_stateless) {
            (false, true) => bridge::result_to_session("tools/call", result),
            (true, false) => {
                let info = self.conversation.core.known.server(&self.upstream);
                let info = info.and_then(|handshake| mcp::views::Server::read(&handshake).ok()?.info);
                bridge::result_to_stateless("tools/call", result, info.as_deref())
            }
            _ => return result.clone(),
        };
        // It was checked to be a result; one that cannot be translated is told as it is.
        translated.unwrap_or_else(|_| result.clone())
    }

    fn error(&self, error: &Bytes) -> Answer {
        if !self.flight.is_stateless() || self.conversation.is_upstream_stateless(&self.upstream) {
            return self.flight.error_member(error);
        }
        match bridge::url_elicitation(error) {
            Ok(Some(required)) => self.flight.result(&required),
            _ => self.flight.error_member(&bridge::error_to_stateless(error).unwrap_or_else(|_| error.clone())),
        }
    }

    fn refused(&self, code: Code, why: &str) -> Answer {
        let own_tools = self.conversation.offers_status();
        self.flight.result(told::refused(code, &self.tool, &self.upstream, why, own_tools).as_bytes())
    }
}

impl Flight {
    fn tell_phase(&self, phase: &Phase) {
        match phase {
            Phase::Sent => {}
            Phase::Retrying { attempt } => self.tell(&format!("an attempt failed, attempt {attempt} follows")),
            Phase::Probing { probes: 0 } => self.tell("the reply was lost; looking for its effect"),
            Phase::Probing { probes } => self.tell(&format!("looking for its effect, {probes} looks so far")),
            Phase::Attached => self.tell("the same call is under way already; waiting for its outcome"),
            Phase::ReadingBack => self.tell("reading back what was changed"),
        }
    }
}

fn unknown_tool(flight: &Flight, name: &str) -> Answer {
    flight.refuse(message::INVALID_PARAMS, &format!("Unknown tool: {name}"), None)
}

/// Too much is under way: a call is told so in its own form.
pub fn overloaded(flight: &Flight) -> Answer {
    let why = "too many requests of this client are under way";
    if flight.method() != "tools/call" {
        return flight.refuse(code::OVERLOADED, why, None);
    }
    let name = flight.message.param_text(&["name"]).ok().flatten().unwrap_or_default();
    flight.result(told::refused(Code::Overloaded, &name, "the upstream", why, false).as_bytes())
}

/// The gateway's own tool: what is known of a step of this caller.
async fn status(conversation: &Conversation, flight: &Flight, arguments: Option<&Bytes>) -> Answer {
    let text = arguments.and_then(|arguments| json::text(arguments, &["step"]).ok().flatten());
    let step = text.as_deref().map(StepId::parse);
    let status = match step {
        Some(None) => Status {
            text: "That is no step id: give one from `_meta[\"cofferdam/guard\"].step`, or none for the open steps."
                .into(),
            guard: r#"{"found":false}"#.into(),
            found: false,
            delivery: Delivery::unheeded(),
        },
        step => conversation.core.guard.status(conversation.caller(), step.flatten()).await,
    };
    let result = format!(
        r#"{{"content":[{{"type":"text","text":{}}}],"isError":{},"resultType":"complete","_meta":{{"cofferdam/guard":{}}}}}"#,
        quoted(&status.text),
        !status.found,
        status.guard
    );
    let mut answer = flight.result(result.as_bytes());
    answer.delivery = Some(status.delivery);
    answer
}
