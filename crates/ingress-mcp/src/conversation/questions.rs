//! What servers ask the client: as requests of a session, or as results that a stateless client comes back from.

use super::Conversation;
use super::channel::Channel;
use super::flight::Flight;
use crate::code;
use crate::exchange::{Answer, Answering};
use crate::hub::Scope;
use crate::mailbox::Mailbox;
use crate::message;
use bytes::Bytes;
use mcp::bridge::{self, Ask, InputRequired};
use mcp::{Envelope, envelope, json, splice};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// Questions to one client at once.
const ASKED_MAX: usize = 256;
/// Questions in one result for a stateless client.
const QUESTIONS_MAX: usize = 32;
/// Requests that wait for stateless clients to come back.
const PARKED_MAX: usize = 256;
/// How our own `requestState` begins, as text.
const STATE_PREFIX: &str = "cofferdam:";

/// A request that the client saw.
pub struct Asked {
    back: Back,
    at: Instant,
    /// Where the client read it.
    mailbox: Arc<Mailbox>,
}

enum Back {
    /// To the upstream that asked, under its own id.
    Upstream { channel: Weak<Channel>, request: Envelope },
    /// To a request that waits here.
    Here(oneshot::Sender<Envelope>),
}

impl Asked {
    fn decline(self) {
        if let Back::Upstream { channel, request } = self.back
            && let Some(channel) = channel.upgrade()
        {
            decline(&channel, &request, true);
        }
    }
}

/// Questions for a stateless client, in the order in which they came.
#[derive(Default)]
pub struct Questions {
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Question>,
    /// The client left.
    is_over: bool,
}

pub struct Question {
    request: Envelope,
    channel: Weak<Channel>,
}

impl Questions {
    fn push(&self, question: Question) -> Result<(), Question> {
        let mut waiting = self.waiting.lock();
        if waiting.is_over || waiting.queue.len() >= QUESTIONS_MAX {
            return Err(question);
        }
        waiting.queue.push_back(question);
        self.came.notify_one();
        Ok(())
    }

    async fn any(&self) -> Vec<Question> {
        loop {
            let taken = std::mem::take(&mut self.waiting.lock().queue);
            if !taken.is_empty() {
                return taken.into();
            }
            self.came.notified().await;
        }
    }

    /// Nobody will answer them, and none that come later.
    fn decline(&self) {
        let left = {
            let mut waiting = self.waiting.lock();
            waiting.is_over = true;
            std::mem::take(&mut waiting.queue)
        };
        left.iter().for_each(Question::decline);
    }
}

impl Question {
    fn decline(&self) {
        if let Some(channel) = self.channel.upgrade() {
            decline(&channel, &self.request, true);
        }
    }
}

/// Work of a stateless request that waits for answers.
pub struct Parked {
    work: Answering,
    flight: Arc<Flight>,
    questions: Vec<Question>,
    since: Instant,
}

impl Conversation {
    /// A request of an upstream.
    pub(super) fn put(self: &Arc<Self>, channel: &Arc<Channel>, flight: Option<Arc<Flight>>, request: Envelope) {
        // A pipe of an upstream does not say which request it is about; over HTTP it has to come on some stream.
        let flight = flight.or_else(|| channel.newest_flight());
        if let Some(flight) = flight.as_ref().filter(|flight| flight.is_stateless()) {
            let may = flight.asker.as_ref().is_some_and(|asker| bridge::can_ask(&request, &asker.view));
            let question = Question { request, channel: Arc::downgrade(channel) };
            if !may {
                return decline(channel, &question.request, false);
            }
            if let Err(question) = flight.questions.push(question) {
                question.decline();
            }
            return;
        }
        if self.is_stateless() {
            return decline(channel, &request, false);
        }
        let on_its_stream = flight.is_some_and(|flight| self.put_upstreams(channel, &request, &flight.mailbox()));
        // That stream may have ended at this moment.
        if !on_its_stream && !self.put_upstreams(channel, &request, &self.own) {
            decline(channel, &request, true);
        }
    }

    fn put_upstreams(&self, channel: &Arc<Channel>, request: &Envelope, mailbox: &Arc<Mailbox>) -> bool {
        let Some(own) = request.id_bytes() else { return false };
        let back = Back::Upstream { channel: Arc::downgrade(channel), request: request.clone() };
        let is_free = matches!(self.scope, Scope::One(_)) && !self.asked.lock().contains_key(&key(&own));
        let (id, message) = if is_free {
            (own, request.bytes().clone())
        } else {
            let id = self.fresh_id(self.next());
            match splice::set(request.bytes(), &["id"], &id) {
                Ok(message) => (id, message),
                Err(_) => return false,
            }
        };
        self.put_message(&id, message, back, mailbox)
    }

    fn put_message(&self, id: &Bytes, message: Bytes, back: Back, mailbox: &Arc<Mailbox>) -> bool {
        let key = key(id);
        {
            let mut asked = self.asked.lock();
            let wait = self.core.settings.answer_wait;
            if asked.len() >= ASKED_MAX {
                asked.retain(|_, one| one.at.elapsed() < wait);
            }
            if asked.len() >= ASKED_MAX || self.is_closed() {
                return false;
            }
            asked.insert(key.clone(), Asked { back, at: Instant::now(), mailbox: Arc::clone(mailbox) });
        }
        if mailbox.push(message).is_err() {
            self.asked.lock().remove(&key);
            return false;
        }
        true
    }

    /// The client's response to a request of ours or of an upstream.
    pub(super) fn answered(self: &Arc<Self>, response: &Envelope) {
        let Some(id) = response.id_bytes() else { return };
        let Some(asked) = self.asked.lock().remove(&key(&id)) else { return };
        match asked.back {
            Back::Here(waiting) => drop(waiting.send(response.clone())),
            Back::Upstream { channel, request } => {
                let (Some(channel), Some(own)) = (channel.upgrade(), request.id_bytes()) else { return };
                if own == id {
                    channel.post(response.bytes().clone());
                } else if let Ok(message) = splice::set(response.bytes(), &["id"], &own) {
                    channel.post(message);
                }
            }
        }
    }

    /// An upstream takes a request back.
    pub(super) fn taken_back(&self, channel: &Arc<Channel>, notification: &Envelope) {
        let Ok(Some(id)) = notification.param(&["requestId"]) else { return };
        let mut asked = self.asked.lock();
        let found = asked.iter().find_map(|(key, one)| match &one.back {
            Back::Upstream { channel: from, request } => {
                let is_it = request.id() == Some(id) && std::ptr::eq(from.as_ptr(), Arc::as_ptr(channel));
                is_it.then(|| key.clone())
            }
            Back::Here(_) => None,
        });
        let Some(one) = found.and_then(|key| Some((asked.remove(&key)?, key))) else { return };
        drop(asked);
        let (one, seen) = one;
        let message = if seen == id {
            Ok(notification.bytes().clone())
        } else {
            splice::set(notification.bytes(), &["params", "requestId"], &seen)
        };
        if let Ok(message) = message
            && one.mailbox.push(message).is_err()
        {
            tracing::debug!("the client's stream is full: a cancellation is dropped");
        }
    }

    /// Puts the questions of an `input_required` result to a client of the session era and waits for its answers.
    pub(crate) async fn put_to_client(
        self: &Arc<Self>,
        flight: &Arc<Flight>,
        required: &InputRequired,
    ) -> Result<Vec<(String, Bytes)>, Answer> {
        let mut waiting = Vec::new();
        for ask in required.asks.iter().take(QUESTIONS_MAX) {
            let id = self.fresh_id(self.next());
            let elicitation = uuid::Uuid::now_v7().to_string();
            let request = ask.to_request(&id, &elicitation).map_err(|error| flight.malformed(&error))?;
            let (answer, answered) = oneshot::channel();
            let put = self.put_message(&id, request, Back::Here(answer), &flight.mailbox());
            waiting.push((ask, id, put.then_some(answered)));
        }
        let mut answers = Vec::new();
        let deadline = Instant::now() + self.core.settings.answer_wait;
        for (ask, id, answered) in waiting {
            let response = match answered {
                Some(answered) => tokio::time::timeout_at(deadline, answered).await.ok().and_then(Result::ok),
                None => None,
            };
            self.asked.lock().remove(&key(&id));
            answers.push((ask.key.clone(), one_answer(flight, ask, response.as_ref())?));
        }
        Ok(answers)
    }

    /// A stateless request, which ends with a result that asks when a server of the session era asks meanwhile.
    pub(super) async fn ask_between(self: Arc<Self>, flight: Arc<Flight>) -> Option<Answer> {
        match self.come_back(&flight) {
            Ok(None) => {
                let work: Answering = Box::pin(Arc::clone(&self).work(Arc::clone(&flight)));
                self.until_asked(work, flight, None).await
            }
            Ok(Some(parked)) => self.until_asked(parked.work, parked.flight, Some(flight)).await,
            Err(answer) => Some(answer),
        }
    }

    async fn until_asked(
        self: Arc<Self>,
        mut work: Answering,
        flight: Arc<Flight>,
        returned: Option<Arc<Flight>>,
    ) -> Option<Answer> {
        let mut asking = Asking(Some(Arc::clone(&flight)));
        let questions = tokio::select! {
            biased;
            answer = &mut work => return answer,
            questions = flight.questions.any() => questions,
            () = cancelled(returned.as_ref()) => {
                flight.cancelled.cancel();
                return work.await;
            }
        };
        let state = format!("{STATE_PREFIX}{}", uuid::Uuid::now_v7());
        let keys: Vec<String> = (1..=questions.len()).map(|at| format!("q{at}")).collect();
        let asks: Vec<(&str, &Envelope)> =
            keys.iter().map(String::as_str).zip(questions.iter().map(|question| &question.request)).collect();
        let result = match bridge::input_required(&asks, &state) {
            Ok(result) => result,
            Err(error) => return Some(flight.malformed(&error)),
        };
        let answer = flight.result(&result);
        // It will come back.
        asking.0 = None;
        let parked = Parked { work, flight, questions, since: Instant::now() };
        self.park(state, parked);
        Some(answer)
    }

    fn park(&self, state: String, parked: Parked) {
        self.drop_stale();
        let mut all = self.parked.lock();
        if all.len() >= PARKED_MAX || self.is_closed() {
            drop(all);
            parked.give_up();
            return;
        }
        all.insert(state, parked);
    }

    /// Gives up work whose client did not come back.
    pub(crate) fn drop_stale(&self) {
        let wait = self.core.settings.answer_wait;
        let stale: Vec<Parked> = {
            let mut all = self.parked.lock();
            let keys: Vec<String> =
                all.iter().filter(|(_, one)| one.since.elapsed() >= wait).map(|(key, _)| key.clone()).collect();
            keys.iter().filter_map(|key| all.remove(key)).collect()
        };
        for parked in stale {
            parked.give_up();
        }
    }

    /// The work that this request continues, if it carries a state of ours. Each state is good for once.
    fn come_back(&self, flight: &Arc<Flight>) -> Result<Option<Parked>, Answer> {
        let text = flight.message.param_text(&["requestState"]).ok().flatten();
        let Some(state) = text.filter(|state| state.starts_with(STATE_PREFIX)) else { return Ok(None) };
        let Some(parked) = self.parked.lock().remove(&*state) else {
            return Err(flight.refuse(
                message::INVALID_PARAMS,
                "the state was continued already, or the request was given up",
                None,
            ));
        };
        if !is_same(&parked.flight.message, &flight.message) {
            let refusal = flight.refuse(message::INVALID_PARAMS, "the state belongs to another request", None);
            self.parked.lock().insert(state.into_owned(), parked);
            return Err(refusal);
        }
        parked.flight.moves_to(flight);
        for (at, question) in parked.questions.iter().enumerate() {
            let key = format!("q{}", at + 1);
            let given = flight.message.param(&["inputResponses", &key]).ok().flatten();
            match (given, question.channel.upgrade(), question.request.id()) {
                (Some(given), Some(channel), Some(id)) => channel.post(bridge::answer(id, given)),
                _ => question.decline(),
            }
        }
        Ok(Some(parked))
    }

    /// The client left this stream: what upstreams asked on it is declined, never accepted.
    pub(super) fn decline_on(&self, mailbox: &Arc<Mailbox>) {
        mailbox.close();
        let left: Vec<Asked> = {
            let mut asked = self.asked.lock();
            let is_here = |one: &Asked| Arc::ptr_eq(&one.mailbox, mailbox);
            let keys: Vec<Bytes> = asked.iter().filter(|(_, one)| is_here(one)).map(|(key, _)| key.clone()).collect();
            keys.iter().filter_map(|key| asked.remove(key)).collect()
        };
        left.into_iter().for_each(Asked::decline);
    }

    /// The client is gone.
    pub(super) fn decline_all(&self) {
        let asked = std::mem::take(&mut *self.asked.lock());
        asked.into_values().for_each(Asked::decline);
        let parked = std::mem::take(&mut *self.parked.lock());
        for one in parked.into_values() {
            one.give_up();
        }
    }
}

impl Parked {
    fn give_up(self) {
        for question in &self.questions {
            question.decline();
        }
        self.flight.questions.decline();
    }
}

/// A stateless request that may be asked something, until it is answered or left.
struct Asking(Option<Arc<Flight>>);

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(flight) = &self.0 {
            flight.questions.decline();
        }
    }
}

async fn cancelled(flight: Option<&Arc<Flight>>) {
    match flight {
        Some(flight) => flight.cancelled.cancelled().await,
        None => std::future::pending().await,
    }
}

/// The same request apart from what a continuation adds.
fn is_same(one: &Envelope, other: &Envelope) -> bool {
    let same = |path: &[&str]| one.param(path).ok().flatten() == other.param(path).ok().flatten();
    one.method() == other.method() && ["name", "arguments", "uri"].iter().all(|member| same(&[member]))
}

/// An answer as it goes into `inputResponses`. Where the client failed, what says "no"; sampling has none.
fn one_answer(flight: &Flight, ask: &Ask, response: Option<&Envelope>) -> Result<Bytes, Answer> {
    if let Some(response) = response
        && let Some(body) = response.body_bytes()
        && response.kind() == envelope::Kind::Response
    {
        return Ok(body);
    }
    if let Some(declined) = ask.declined() {
        return Ok(declined);
    }
    Err(match response.and_then(Envelope::body_bytes) {
        Some(error) => flight.error_member(&error),
        None => flight.refuse(code::UPSTREAM, "the client gave no answer to a question of the upstream", None),
    })
}

/// Answers an upstream in the client's place. `declared`: the client could have been asked.
fn decline(channel: &Arc<Channel>, request: &Envelope, declared: bool) {
    let id = request.id().unwrap_or_default();
    let ask = Ask { key: String::new(), method: request.method().unwrap_or_default().to_owned(), params: None };
    let answer = match ask.declined().filter(|_| declared) {
        Some(result) => bridge::answer(id, &result),
        None if declared => message::error(id, code::UPSTREAM, "the client cannot be asked", None),
        None => message::error(id, message::METHOD_NOT_FOUND, "the client cannot do that", None),
    };
    channel.post(answer);
}

/// Ids that are written in two ways are one.
fn key(id: &[u8]) -> Bytes {
    match json::decode(id) {
        Some(text) => json::quote(&text).into(),
        None => Bytes::copy_from_slice(id),
    }
}
