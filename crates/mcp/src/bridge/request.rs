//! Requests and notifications of clients.

use crate::envelope::{Envelope, Kind};
use crate::json::{self, Error};
use crate::{Revision, meta, splice};
use bytes::Bytes;

use super::subscribe::Filter;

/// Who asks, as a stateless request has to say it each time. All members are JSON.
#[derive(Clone, Debug)]
pub struct Caller {
    pub revision: Revision,
    pub client_info: Bytes,
    pub capabilities: Bytes,
    /// A quoted level, once the client has set one.
    pub log_level: Option<Bytes>,
}

impl Caller {
    /// From the params of an `initialize`. Tasks have another shape in the stateless era, so that capability is not
    /// passed on.
    ///
    /// # Errors
    /// A member appears twice.
    pub fn from_initialize(params: &Bytes, revision: Revision) -> Result<Self, Error> {
        let view = crate::views::Initialize::read(params)?;
        let capabilities = view.capabilities.filter(|all| json::is_object(all));
        let capabilities = match capabilities {
            Some(all) => splice::remove(&all, &["tasks"])?,
            None => Bytes::from_static(b"{}"),
        };
        Ok(Self {
            revision,
            client_info: view.client_info.unwrap_or_else(|| Bytes::from_static(UNNAMED)),
            capabilities,
            log_level: None,
        })
    }

    /// The members that go into `_meta`.
    #[must_use]
    pub fn meta(&self) -> Vec<(&'static str, Bytes)> {
        let mut all = vec![
            (meta::PROTOCOL_VERSION, Bytes::from(json::quote(self.revision.as_str()))),
            (meta::CLIENT_INFO, self.client_info.clone()),
            (meta::CLIENT_CAPABILITIES, self.capabilities.clone()),
        ];
        all.extend(self.log_level.clone().map(|level| (meta::LOG_LEVEL, level)));
        all
    }
}

/// Stands for a client or server that does not say who it is.
pub(super) const UNNAMED: &[u8] = br#"{"name":"unknown","version":"0"}"#;

/// What becomes of a client's message on its way into the other era.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Onward {
    /// Send this.
    Forward(Bytes),
    /// The other era has no such message; the door answers.
    Answer(Local),
    /// A notification that means nothing there.
    Drop,
    /// The other era has nothing for it: `METHOD_NOT_FOUND`.
    Unsupported,
}

/// What a door answers itself, since the upstream speaks the other era.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// With [`super::initialize_result`].
    Initialize,
    /// With [`super::discover_result`].
    Discover,
    /// With `{}`.
    Ping,
    /// With `{}`, and the level (quoted) goes into each later request.
    LogLevel(Bytes),
    /// With `{}`, and the listening stream changes.
    Subscribe(String),
    Unsubscribe(String),
    /// With [`super::acknowledged`], then the notifications that the filter accepts.
    Listen(Filter),
    /// Give up the request with this id (as JSON): close its stream, or send the notification on stdio.
    Cancel(Bytes),
}

/// From a client of the session era to a stateless server.
///
/// # Errors
/// A member that has to be read or changed appears twice, or is no object.
pub fn request_to_stateless(message: &Envelope, caller: &Caller) -> Result<Onward, Error> {
    let method = message.method().unwrap_or_default();
    if message.kind() == Kind::Notification {
        return Ok(match method {
            "notifications/cancelled" => cancel(message)?,
            // The handshake is over before it began, and nobody asks for roots or waits for a task.
            _ if method.starts_with("notifications/") => Onward::Drop,
            _ => Onward::Forward(message.bytes().clone()),
        });
    }
    Ok(match method {
        "initialize" => Onward::Answer(Local::Initialize),
        "ping" => Onward::Answer(Local::Ping),
        "logging/setLevel" => match message.param(&["level"])? {
            Some(level) => Onward::Answer(Local::LogLevel(Bytes::copy_from_slice(level))),
            None => Onward::Answer(Local::Ping),
        },
        "resources/subscribe" => Onward::Answer(Local::Subscribe(uri(message)?)),
        "resources/unsubscribe" => Onward::Answer(Local::Unsubscribe(uri(message)?)),
        "tasks/get" | "tasks/result" | "tasks/list" | "tasks/cancel" => Onward::Unsupported,
        _ => {
            let mut bytes = message.bytes().clone();
            if message.param(&["task"])?.is_some() {
                bytes = splice::remove(&bytes, &["params", "task"])?;
            }
            Onward::Forward(with_caller(&bytes, caller)?)
        }
    })
}

/// From a stateless client to a server of the session era.
///
/// # Errors
/// As [`request_to_stateless`].
pub fn request_to_session(message: &Envelope) -> Result<Onward, Error> {
    let method = message.method().unwrap_or_default();
    if message.kind() == Kind::Notification {
        return Ok(match method {
            "notifications/cancelled" => cancel(message)?,
            _ => Onward::Forward(without_caller(message.bytes())?),
        });
    }
    Ok(match method {
        "server/discover" => Onward::Answer(Local::Discover),
        "subscriptions/listen" => {
            let params = message.body_bytes().unwrap_or_default();
            Onward::Answer(Local::Listen(Filter::read(&params)?))
        }
        // Of the tasks extension: the core tasks of 2025-11-25 have other results.
        _ if method.starts_with("tasks/") => Onward::Unsupported,
        // The handshake is the gateway's own; a stateless client that sends one speaks no revision at all.
        "initialize" | "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => {
            Onward::Unsupported
        }
        _ => {
            let mut bytes = without_caller(message.bytes())?;
            for member in ["inputResponses", "requestState"] {
                if message.param(&[member])?.is_some() {
                    bytes = splice::remove(&bytes, &["params", member])?;
                }
            }
            Onward::Forward(bytes)
        }
    })
}

fn cancel(message: &Envelope) -> Result<Onward, Error> {
    Ok(match message.param(&["requestId"])? {
        Some(id) => Onward::Answer(Local::Cancel(Bytes::copy_from_slice(id))),
        None => Onward::Drop,
    })
}

fn uri(message: &Envelope) -> Result<String, Error> {
    Ok(message.param_text(&["uri"])?.unwrap_or_default().into_owned())
}

pub(super) fn with_caller(message: &[u8], caller: &Caller) -> Result<Bytes, Error> {
    let members = caller.meta();
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, value)| (*name, &value[..])).collect();
    splice::set_all(message, &["params", "_meta"], &members)
}

fn without_caller(message: &Bytes) -> Result<Bytes, Error> {
    match json::find(message, &["params", "_meta"])? {
        Some(at) if json::is_object(&message[at.clone()]) => {
            splice::remove_all(message, &at, |key| meta::CALLER.iter().any(|name| json::is_key(key, name)))
        }
        _ => Ok(message.clone()),
    }
}
