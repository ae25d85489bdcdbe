//! `subscriptions/listen` and what stands for it in sessions: notifications that simply come, `resources/subscribe`.

use crate::envelope::Envelope;
use crate::json::{self, Error};
use crate::views::Server;
use crate::{meta, splice};
use bytes::Bytes;

use super::request::{Caller, with_caller};
use super::{object, strings};

/// What a client wants to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
    /// Resources whose updates are wanted.
    pub uris: Vec<String>,
}

/// Most resources that one subscription may name.
const URIS_MAX: usize = 1024;

impl Filter {
    /// Reads the params of a `subscriptions/listen`.
    ///
    /// # Errors
    /// There is no filter, a member appears twice, or it names too many resources.
    pub fn read(params: &Bytes) -> Result<Self, Error> {
        let at = json::find(params, &["notifications"])?.ok_or(Error::NotAnObject)?;
        let names = ["toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions"];
        let [tools, prompts, resources, uris] = json::pick(params, at.start, names)?;
        let is_true = |at: Option<std::ops::Range<usize>>| at.is_some_and(|at| &params[at] == b"true");
        let mut list = Vec::new();
        if let Some(uris) = uris {
            for one in json::elements(params, uris.start)? {
                if list.len() >= URIS_MAX {
                    return Err(Error::TooDeep(URIS_MAX));
                }
                list.extend(json::decode(&params[one]).map(Into::into));
            }
        }
        Ok(Self { tools: is_true(tools), prompts: is_true(prompts), resources: is_true(resources), uris: list })
    }

    /// What of it the server can deliver.
    #[must_use]
    pub fn honoured(&self, server: &Server) -> Self {
        Self {
            tools: self.tools && server.has(&["tools", "listChanged"]),
            prompts: self.prompts && server.has(&["prompts", "listChanged"]),
            resources: self.resources && server.has(&["resources", "listChanged"]),
            uris: if server.has(&["resources", "subscribe"]) { self.uris.clone() } else { Vec::new() },
        }
    }

    /// Everything that a server announces without being asked, as clients of the session era expect it.
    #[must_use]
    pub fn everything(server: &Server) -> Self {
        Self { tools: true, prompts: true, resources: true, uris: Vec::new() }.honoured(server)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.tools && !self.prompts && !self.resources && self.uris.is_empty()
    }

    #[must_use]
    pub fn accepts(&self, notification: &Envelope) -> bool {
        match notification.method().unwrap_or_default() {
            "notifications/tools/list_changed" => self.tools,
            "notifications/prompts/list_changed" => self.prompts,
            "notifications/resources/list_changed" => self.resources,
            "notifications/resources/updated" => {
                let uri = notification.param_text(&["uri"]).ok().flatten();
                uri.is_some_and(|uri| self.uris.iter().any(|wanted| *wanted == uri))
            }
            _ => false,
        }
    }

    #[must_use]
    pub fn to_json(&self) -> Bytes {
        let mut members: Vec<(&str, &[u8])> = Vec::new();
        let flags = [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ];
        members.extend(flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| (name, &b"true"[..])));
        let uris = strings(self.uris.iter().map(String::as_str));
        if !self.uris.is_empty() {
            members.push(("resourceSubscriptions", &uris));
        }
        object(&members).into()
    }
}

/// The first notification on a listening stream. `id` is the listen request's id as JSON.
#[must_use]
pub fn acknowledged(id: &[u8], filter: &Filter) -> Bytes {
    let tag = object(&[(meta::SUBSCRIPTION_ID, id)]);
    let params = object(&[("notifications", &filter.to_json()), ("_meta", &tag)]);
    let method = b"\"notifications/subscriptions/acknowledged\"";
    object(&[("jsonrpc", b"\"2.0\""), ("method", method), ("params", &params)]).into()
}

/// A notification as it goes onto a listening stream.
///
/// # Errors
/// A member appears twice.
pub fn tagged(notification: &Envelope, id: &[u8]) -> Result<Bytes, Error> {
    splice::set(notification.bytes(), &["params", "_meta", meta::SUBSCRIPTION_ID], id)
}

/// The response that ends a listening stream in good order.
#[must_use]
pub fn closed(id: &[u8]) -> Bytes {
    let tag = object(&[(meta::SUBSCRIPTION_ID, id)]);
    let result = object(&[("resultType", b"\"complete\""), ("_meta", &tag)]);
    super::answer(id, &result)
}

/// Asks a stateless server for notifications on behalf of a session's client.
///
/// # Errors
/// Never for a caller whose members are JSON.
pub fn listen_request(id: &[u8], filter: &Filter, caller: &Caller) -> Result<Bytes, Error> {
    let params = object(&[("notifications", &filter.to_json())]);
    let method = b"\"subscriptions/listen\"";
    let message = object(&[("jsonrpc", b"\"2.0\""), ("id", id), ("method", method), ("params", &params)]);
    with_caller(&message, caller)
}
