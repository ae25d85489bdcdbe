//! Questions of servers: requests on a session's stream, or `input_required` results and a call sent again.

use crate::envelope::Envelope;
use crate::json::{self, Error};
use crate::views::{Caller, result_type};
use crate::{code, splice};
use bytes::Bytes;

use super::object;

const ELICITATION: &str = "elicitation/create";
const SAMPLING: &str = "sampling/createMessage";
const ROOTS: &str = "roots/list";

/// An `input_required` result, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequired {
    pub asks: Vec<Ask>,
    /// Opaque, a quoted string, to be given back as it is.
    pub state: Option<Bytes>,
}

/// One question of a server, with the key that its answer goes under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub key: String,
    pub method: String,
    pub params: Option<Bytes>,
}

impl InputRequired {
    /// `None` when the result is of another type.
    ///
    /// # Errors
    /// A member appears twice, or what is asked has no shape.
    pub fn read(result: &Bytes) -> Result<Option<Self>, Error> {
        if result_type(result)? != "input_required" {
            return Ok(None);
        }
        let [requests, state] = json::pick(result, json::root(result).start, ["inputRequests", "requestState"])?;
        let mut asks: Vec<Ask> = Vec::new();
        if let Some(requests) = requests {
            for member in json::members(result, requests.start)? {
                let [method, params] = json::pick(result, member.value.start, ["method", "params"])?;
                let key = json::decode(&result[member.key]).unwrap_or_default().into_owned();
                if asks.iter().any(|ask| ask.key == key) {
                    return Err(Error::Duplicate);
                }
                let method = method.and_then(|at| json::decode(&result[at])).unwrap_or_default().into_owned();
                asks.push(Ask { key, method, params: params.map(|at| result.slice(at)) });
            }
        }
        let state = state.map(|at| result.slice(at)).filter(|state| state.first() == Some(&b'"'));
        Ok(Some(Self { asks, state }))
    }
}

impl Ask {
    /// The request for a client of the session era. 2025-11-25 wants an `elicitationId` for URLs, which the stateless
    /// era does not have: `elicitation_id` is used where it is missing.
    ///
    /// # Errors
    /// A member appears twice.
    pub fn to_request(&self, id: &[u8], elicitation_id: &str) -> Result<Bytes, Error> {
        let mut params = self.params.clone();
        if let Some(given) = &params
            && self.method == ELICITATION
            && json::text(given, &["mode"])?.as_deref() == Some("url")
            && json::get(given, &["elicitationId"])?.is_none()
        {
            params = Some(splice::set(given, &["elicitationId"], &json::quote(elicitation_id))?);
        }
        let method = json::quote(&self.method);
        let mut members: Vec<(&str, &[u8])> = vec![("jsonrpc", b"\"2.0\""), ("id", id), ("method", &method)];
        members.extend(params.as_deref().map(|params| ("params", params)));
        Ok(object(&members).into())
    }

    /// The answer that says "no" where there is one: a client that cannot be asked, an agent that has left. Sampling
    /// has none, so such a call has to end with an error.
    #[must_use]
    pub fn declined(&self) -> Option<Bytes> {
        match self.method.as_str() {
            ELICITATION => Some(Bytes::from_static(br#"{"action":"cancel"}"#)),
            ROOTS => Some(Bytes::from_static(br#"{"roots":[]}"#)),
            _ => None,
        }
    }
}

/// The original request again, under a new id, with the answers and the state that was handed out.
///
/// # Errors
/// A member appears twice, or the params are no object.
pub fn retry(
    original: &Envelope,
    id: &[u8],
    answers: &[(String, Bytes)],
    state: Option<&[u8]>,
) -> Result<Bytes, Error> {
    let members: Vec<(&str, &[u8])> = answers.iter().map(|(key, answer)| (key.as_str(), &answer[..])).collect();
    let responses = object(&members);
    let mut added: Vec<(&str, &[u8])> = Vec::new();
    if !answers.is_empty() {
        added.push(("inputResponses", &responses));
    }
    added.extend(state.map(|state| ("requestState", state)));
    let mut out = splice::set(original.bytes(), &["id"], id)?;
    for (member, given) in [("inputResponses", !answers.is_empty()), ("requestState", state.is_some())] {
        if !given && original.param(&[member])?.is_some() {
            out = splice::remove(&out, &["params", member])?;
        }
    }
    if added.is_empty() { Ok(out) } else { splice::set_all(&out, &["params"], &added) }
}

/// An `input_required` result for a stateless client, from requests that a server of the session era sent during the
/// call. `state` names the call that waits: whoever comes back with it gives the answers.
///
/// # Errors
/// A member appears twice.
pub fn input_required(requests: &[(&str, &Envelope)], state: &str) -> Result<Bytes, Error> {
    let mut asks: Vec<(&str, Vec<u8>)> = Vec::new();
    for (key, request) in requests {
        let method = json::quote(request.method().unwrap_or_default());
        let mut members: Vec<(&str, &[u8])> = vec![("method", &method)];
        let params = match request.body_bytes() {
            Some(params) => {
                let at = json::root(&params);
                // Of the session era only: there is no request of its own that could report progress or be a task.
                let only_there = ["_meta", "task", "elicitationId"];
                Some(splice::remove_all(&params, &at, |key| only_there.iter().any(|name| json::is_key(key, name)))?)
            }
            None => None,
        };
        members.extend(params.as_deref().map(|params| ("params", params)));
        asks.push((key, object(&members)));
    }
    let asks: Vec<(&str, &[u8])> = asks.iter().map(|(key, ask)| (*key, &ask[..])).collect();
    Ok(required(&object(&asks), Some(state)))
}

fn required(asks: &[u8], state: Option<&str>) -> Bytes {
    let state = state.map(json::quote);
    let mut members: Vec<(&str, &[u8])> = vec![("resultType", b"\"input_required\""), ("inputRequests", asks)];
    members.extend(state.as_deref().map(|state| ("requestState", state)));
    object(&members).into()
}

/// 2025-11-25's "visit these URLs, then call again" (-32042) as an `input_required` result; `None` for other errors.
///
/// # Errors
/// A member appears twice.
pub fn url_elicitation(error: &Bytes) -> Result<Option<Bytes>, Error> {
    if code::of(error) != code::URL_ELICITATION_REQUIRED {
        return Ok(None);
    }
    let Some(list) = json::find(error, &["data", "elicitations"])? else {
        return Ok(None);
    };
    let mut asks: Vec<(String, Vec<u8>)> = Vec::new();
    for (index, one) in json::elements(error, list.start)?.enumerate() {
        let params = splice::remove(&error[one], &["elicitationId"])?;
        let method = json::quote(ELICITATION);
        asks.push((format!("url-{index}"), object(&[("method", &method), ("params", &params)])));
    }
    if asks.is_empty() {
        return Ok(None);
    }
    let asks: Vec<(&str, &[u8])> = asks.iter().map(|(key, ask)| (key.as_str(), &ask[..])).collect();
    Ok(Some(required(&object(&asks), None)))
}

/// May a server's request be put to this stateless caller? A server must not be told of what the caller never
/// declared, so the gateway refuses in its place.
#[must_use]
pub fn can_ask(request: &Envelope, caller: &Caller) -> bool {
    match request.method().unwrap_or_default() {
        ELICITATION => match request.param_text(&["mode"]).ok().flatten().as_deref() {
            Some("url") => caller.has(&["elicitation", "url"]),
            // An empty `elicitation` means forms.
            _ => {
                caller.has(&["elicitation"])
                    && (caller.has(&["elicitation", "form"]) || !caller.has(&["elicitation", "url"]))
            }
        },
        SAMPLING => caller.has(&["sampling"]),
        ROOTS => caller.has(&["roots"]),
        _ => false,
    }
}

/// The response message to a request with this id.
#[must_use]
pub fn answer(id: &[u8], result: &[u8]) -> Bytes {
    object(&[("jsonrpc", b"\"2.0\""), ("id", id), ("result", result)]).into()
}
