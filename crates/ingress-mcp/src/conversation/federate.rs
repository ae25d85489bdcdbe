//! Requests to all upstreams together: merged, or led to the one that is meant.

use super::Conversation;
use super::channel::{Channel, parse};
use super::flight::Flight;
use super::forward;
use super::hello::Hello;
use super::lists::List;
use crate::code;
use crate::exchange::Answer;
use crate::hub::Scope;
use crate::message::{self, quoted};
use bytes::Bytes;
use futures_util::future::join_all;
use mcp::bridge::{self, Filter};
use mcp::{Envelope, Kind, Revision, json, meta, splice, views};
use serde_json::{Map, Value};
use std::sync::Arc;
use upstream::RequestOptions;
use vocab::Name;

impl Conversation {
    pub(super) async fn federate(self: &Arc<Self>, flight: &Arc<Flight>) -> Answer {
        let method = flight.method();
        if let Some(list) = List::of(method) {
            return Box::pin(self.page(flight, list)).await;
        }
        let future = async {
            match method {
                "ping" if !flight.is_stateless() => flight.result(b"{}"),
                "server/discover" if flight.is_stateless() => self.discover_all(flight).await,
                "prompts/get" => self.prompt(flight).await,
                "resources/read" => self.read_resource(flight).await,
                "resources/subscribe" | "resources/unsubscribe" => self.lead_by_uri(flight, &["uri"]).await,
                "completion/complete" => self.complete(flight).await,
                "logging/setLevel" if !flight.is_stateless() => self.set_level(flight).await,
                "tasks/list" => self.tasks(flight).await,
                "subscriptions/listen" if flight.is_stateless() => self.listen_to_all(flight).await,
                _ if method.starts_with("tasks/") => self.task(flight).await,
                _ => flight.no_such_method(),
            }
        };
        Box::pin(future).await
    }

    /// The sessions with all upstreams that can be had within the wait.
    async fn reach_all(self: &Arc<Self>, hello: &Arc<Hello>) -> Vec<Arc<Channel>> {
        let wait = self.core.settings.upstream_wait;
        let names = self.core.upstreams.names();
        let opened = names.iter().filter(|name| !self.core.known.is_silent(name)).map(|name| async move {
            match tokio::time::timeout(wait, self.channel(name, hello)).await {
                Ok(channel) => channel.ok(),
                Err(_) => {
                    self.core.known.was_silent(name);
                    None
                }
            }
        });
        join_all(opened).await.into_iter().flatten().collect()
    }

    pub(super) async fn initialize_all(self: &Arc<Self>, flight: &Arc<Flight>, agreed: Revision) -> Bytes {
        self.reach_all(&flight.hello).await;
        let (capabilities, instructions) = self.all_together();
        let version = json::quote(agreed.as_str());
        let capabilities = Value::Object(capabilities).to_string();
        let info = self.gateway_info();
        let mut members: Vec<(&str, &[u8])> =
            vec![("protocolVersion", &version), ("capabilities", capabilities.as_bytes()), ("serverInfo", &info)];
        let instructions = json::quote(&instructions);
        if instructions.len() > 2 {
            members.push(("instructions", &instructions));
        }
        splice::set_all(b"{}", &[], &members).unwrap_or_default()
    }

    async fn discover_all(self: &Arc<Self>, flight: &Arc<Flight>) -> Answer {
        let initialize = self.initialize_all(flight, Revision::LATEST_LEGACY).await;
        let versions: Vec<Revision> = Revision::ALL.into_iter().rev().collect();
        match bridge::discover_result(&initialize, &versions) {
            Ok(result) => flight.result(&result),
            Err(error) => flight.malformed(&error),
        }
    }

    /// What the upstreams are capable of together, and what they say about their use. One that never answered may be
    /// capable of anything: its lists come when it does.
    fn all_together(&self) -> (Map<String, Value>, String) {
        let mut all = Map::new();
        let mut instructions = String::new();
        for upstream in self.core.upstreams.names() {
            let server = self.core.known.server(&upstream).and_then(|handshake| views::Server::read(&handshake).ok());
            let Some(server) = server else {
                for list in [List::Tools, List::Prompts, List::Resources] {
                    unite(&mut all, list.capability(), Value::Object(Map::new()));
                }
                continue;
            };
            let capabilities = server.capabilities.as_deref().and_then(|all| serde_json::from_slice(all).ok());
            if let Some(Value::Object(capabilities)) = capabilities {
                for (name, value) in capabilities {
                    unite(&mut all, &name, value);
                }
            }
            if let Some(text) = server.instructions.as_ref().and_then(|text| json::decode(text)) {
                let gap = if instructions.is_empty() { "" } else { "\n\n" };
                instructions.push_str(&format!("{gap}# {upstream}\n{text}"));
            }
        }
        for list in [List::Tools, List::Prompts, List::Resources] {
            // An upstream that comes late changes every list.
            if let Some(Value::Object(own)) = all.get_mut(list.capability()) {
                own.insert("listChanged".into(), Value::Bool(true));
            }
        }
        if self.offers_status() {
            unite(&mut all, "tools", Value::Object(Map::new()));
        }
        (all, instructions)
    }

    pub(super) fn gateway_info(&self) -> Bytes {
        let gateway = &self.core.settings.gateway;
        format!(r#"{{"name":{},"version":{}}}"#, quoted(&gateway.name), quoted(&gateway.version)).into()
    }

    async fn lead(self: &Arc<Self>, flight: &Arc<Flight>, upstream: &Name, message: &Envelope) -> Answer {
        match self.channel(upstream, &flight.hello).await {
            Ok(channel) => self.forward_over(flight, &channel, message).await,
            Err(failure) => flight.unreachable(upstream, &failure),
        }
    }

    async fn prompt(self: &Arc<Self>, flight: &Arc<Flight>) -> Answer {
        let name = flight.message.param_text(&["name"]).ok().flatten().unwrap_or_default().into_owned();
        let Some((upstream, prompt)) = self.resolve(flight, List::Prompts, &name).await else {
            return flight.refuse(message::INVALID_PARAMS, &format!("Unknown prompt: {name}"), None);
        };
        match renamed(&flight.message, &["params", "name"], &prompt) {
            Some(message) => self.lead(flight, &upstream, &message).await,
            None => flight.refuse(message::INVALID_PARAMS, "the name appears twice", None),
        }
    }

    async fn complete(self: &Arc<Self>, flight: &Arc<Flight>) -> Answer {
        let kind = flight.message.param_text(&["ref", "type"]).ok().flatten().unwrap_or_default().into_owned();
        if kind != "ref/prompt" {
            return self.lead_by_uri(flight, &["ref", "uri"]).await;
        }
        let name = flight.message.param_text(&["ref", "name"]).ok().flatten().unwrap_or_default().into_owned();
        let Some((upstream, prompt)) = self.resolve(flight, List::Prompts, &name).await else {
            return flight.refuse(message::INVALID_PARAMS, &format!("Unknown prompt: {name}"), None);
        };
        match renamed(&flight.message, &["params", "ref", "name"], &prompt) {
            Some(message) => self.lead(flight, &upstream, &message).await,
            None => flight.refuse(message::INVALID_PARAMS, "the name appears twice", None),
        }
    }

    /// The upstream that owns a resource, from what was listed; the lists are asked for once when it is not known.
    async fn owner(self: &Arc<Self>, flight: &Flight, uri: &str) -> Option<Name> {
        if let Some(owner) = self.catalogue.lock().owner(uri) {
            return Some(owner);
        }
        let names = self.core.upstreams.names();
        let [_, _] = [
            self.merge(&flight.hello, List::Resources, &names, flight.is_stateless()).await,
            self.merge(&flight.hello, List::Templates, &names, flight.is_stateless()).await,
        ];
        self.catalogue.lock().owner(uri)
    }

    async fn lead_by_uri(self: &Arc<Self>, flight: &Arc<Flight>, path: &[&str]) -> Answer {
        let uri = flight.message.param_text(path).ok().flatten().unwrap_or_default().into_owned();
        match self.owner(flight, &uri).await {
            Some(upstream) => self.lead(flight, &upstream, &flight.message).await,
            None => flight.no_such_resource(&uri),
        }
    }

    /// Nobody lists it: all are asked, and the first in the order of the policy that has it answers.
    async fn read_resource(self: &Arc<Self>, flight: &Arc<Flight>) -> Answer {
        let uri = flight.message.param_text(&["uri"]).ok().flatten().unwrap_or_default().into_owned();
        if let Some(upstream) = self.owner(flight, &uri).await {
            return self.lead(flight, &upstream, &flight.message).await;
        }
        let channels = self.reach_all(&flight.hello).await;
        let wait = self.core.settings.upstream_wait;
        let asked = channels.iter().filter(|channel| channel.has(&["resources"])).map(|channel| async move {
            let sent = self.send_over(flight, channel, &flight.message);
            let response = tokio::time::timeout(wait, sent).await.ok()?.ok()?;
            (response.kind() == Kind::Response).then_some((channel, response))
        });
        match join_all(asked).await.into_iter().flatten().next() {
            Some((channel, response)) => {
                self.catalogue.lock().owns(uri, &channel.upstream);
                forward::answer(flight, channel, &response)
            }
            None => flight.no_such_resource(&uri),
        }
    }

    async fn set_level(self: &Arc<Self>, flight: &Arc<Flight>) -> Answer {
        let level = flight.message.param(&["level"]).ok().flatten().map(Bytes::copy_from_slice);
        let named = level.as_ref().and_then(|level| json::decode(level)).and_then(|text| bridge::Level::parse(&text));
        let Some(level) = level.filter(|_| named.is_some()) else {
            return flight.refuse(message::INVALID_PARAMS, "no such level", None);
        };
        self.remember_level(level);
        let wait = self.core.settings.upstream_wait;
        let open = self.channels.open();
        let told = open.iter().filter(|channel| !channel.is_stateless() && channel.has(&["logging"]));
        let told = told.map(|channel| tokio::time::timeout(wait, self.send_over(flight, channel, &flight.message)));
        drop(join_all(told).await);
        flight.result(b"{}")
    }

    async fn tasks(self: &Arc<Self>, flight: &Arc<Flight>) -> Answer {
        let wait = self.core.settings.upstream_wait;
        let channels = self.reach_all(&flight.hello).await;
        let mut all = Vec::new();
        for channel in channels.iter().filter(|channel| channel.has(&["tasks", "list"])) {
            let listed =
                tokio::time::timeout(wait, self.ask_own(channel, "tasks/list", b"{}", RequestOptions::default())).await;
            let Some(result) = listed.ok().and_then(Result::ok).and_then(|response| response.body_bytes()) else {
                continue;
            };
            let Ok(Some(at)) = json::find(&result, &["tasks"]) else { continue };
            for task in json::elements(&result, at.start).into_iter().flatten() {
                let task = result.slice(task);
                if let Ok(Some(id)) = json::text(&task, &["taskId"]) {
                    self.catalogue.lock().made_task(id.into_owned(), &channel.upstream);
                }
                all.push(task);
            }
        }
        flight.result(&[b"{\"tasks\":[", &all.join(&b","[..])[..], b"]}"].concat())
    }

    async fn task(self: &Arc<Self>, flight: &Arc<Flight>) -> Answer {
        let id = flight.message.param_text(&["taskId"]).ok().flatten().unwrap_or_default().into_owned();
        let maker = self.catalogue.lock().tasks.get(&id).map(Arc::clone);
        match maker {
            Some(upstream) => self.lead(flight, &upstream, &flight.message).await,
            None => flight.refuse(message::INVALID_PARAMS, &format!("Unknown task: {id}"), None),
        }
    }

    async fn listen_to_all(self: &Arc<Self>, flight: &Arc<Flight>) -> Answer {
        let params = flight.message.body_bytes().unwrap_or_default();
        let filter = match Filter::read(&params) {
            Ok(filter) => filter,
            Err(error) => return flight.malformed(&error),
        };
        let channels = self.reach_all(&flight.hello).await;
        if channels.is_empty() && !self.core.upstreams.names().is_empty() {
            return flight.refuse(code::UPSTREAM, "no upstream can be reached", None);
        }
        self.listen(flight, &channels, filter).await
    }

    /// The task that a result of a call names belongs to this upstream.
    pub(crate) fn note_task(&self, upstream: &Name, result: &[u8]) {
        if !matches!(self.scope(), Scope::All) {
            return;
        }
        let places: [&[&str]; 3] = [&["task", "taskId"], &["taskId"], &["_meta", meta::RELATED_TASK, "taskId"]];
        let id = places.into_iter().find_map(|path| json::text(result, path).ok().flatten());
        if let Some(id) = id {
            self.catalogue.lock().made_task(id.into_owned(), upstream);
        }
    }
}

impl Flight {
    fn no_such_resource(&self, uri: &str) -> Answer {
        let code = if self.is_stateless() { message::INVALID_PARAMS } else { mcp::code::RESOURCE_NOT_FOUND };
        let data = format!(r#"{{"uri":{}}}"#, quoted(uri));
        self.refuse(code, "Resource not found", Some(&data))
    }
}

/// The message with another name in it.
pub fn renamed(message: &Envelope, path: &[&str], name: &str) -> Option<Envelope> {
    parse(splice::set(message.bytes(), path, quoted(name).as_bytes()).ok()?).ok()
}

/// Capable of it if one of them is.
fn unite(all: &mut Map<String, Value>, name: &str, value: Value) {
    match (all.get_mut(name), value) {
        (Some(Value::Object(known)), Value::Object(more)) => {
            for (name, value) in more {
                unite(known, &name, value);
            }
        }
        (Some(known), value) => {
            if matches!(known, Value::Bool(false) | Value::Null) {
                *known = value;
            }
        }
        (None, value) => {
            all.insert(name.to_owned(), value);
        }
    }
}
