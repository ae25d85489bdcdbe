//! Lists of upstreams: one fetched whole, all of them merged under names of the shared endpoint, in pages.

use super::Conversation;
use super::channel::Channel;
use super::flight::Flight;
use super::hello::Hello;
use super::subscribe::request;
use crate::exchange::Answer;
use crate::known::Listed;
use crate::message::{self, quoted};
use crate::told;
use bytes::Bytes;
use futures_util::future::join_all;
use mcp::bridge::{self, Onward};
use mcp::names::Names;
use mcp::{Envelope, json, splice};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use upstream::RequestOptions;
use vocab::{Failure, FailureKind, Name};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum List {
    Tools,
    Prompts,
    Resources,
    Templates,
}

/// What the shared endpoint listed last.
#[derive(Default)]
pub struct Catalogue {
    pub tools: Names,
    pub prompts: Names,
    /// Which upstream listed a resource.
    pub owners: HashMap<String, Name>,
    /// The fixed beginnings of templates.
    pub templates: Vec<(String, Name)>,
    /// Which upstream made a task.
    pub tasks: HashMap<String, Name>,
    /// Whole lists, for the pages after the first.
    merged: HashMap<List, Arc<Vec<Bytes>>>,
    /// Upstreams that were not there when they were asked.
    pub missing: HashSet<Name>,
}

const PAGES_MAX: usize = 100;
const ENTRIES_MAX: usize = 20_000;
const OWNERS_MAX: usize = 100_000;
const CURSOR: &str = "cofferdam-";

impl List {
    pub fn of(method: &str) -> Option<Self> {
        Some(match method {
            "tools/list" => Self::Tools,
            "prompts/list" => Self::Prompts,
            "resources/list" => Self::Resources,
            "resources/templates/list" => Self::Templates,
            _ => return None,
        })
    }

    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    pub const fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources | Self::Templates => "resources",
        }
    }
}

impl Conversation {
    /// The whole list of one upstream, page by page.
    pub(crate) async fn fetch(self: &Arc<Self>, channel: &Arc<Channel>, list: List) -> Result<Bytes, Failure> {
        let mut pages: Vec<Bytes> = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        let mut cursor: Option<String> = None;
        while pages.len() < PAGES_MAX {
            let params = cursor.as_deref().map_or("{}".into(), |at| format!(r#"{{"cursor":{}}}"#, quoted(at)));
            let response = self.ask_own(channel, list.method(), params.as_bytes(), RequestOptions::default()).await?;
            let result = result_of(&response)?;
            if list == List::Tools {
                self.core.guard.learn(&channel.upstream, &result);
                self.core.known.tools(&channel.upstream, &result);
            }
            let next = json::text(&result, &["nextCursor"]).ok().flatten().map(std::borrow::Cow::into_owned);
            pages.push(result);
            match next {
                Some(next) if seen.insert(next.clone()) => cursor = Some(next),
                _ => break,
            }
        }
        let whole = match pages.as_slice() {
            [only] => only.clone(),
            pages => joined(list, pages.iter().flat_map(|page| entries(page, list))),
        };
        let is_stateless = channel.is_stateless();
        self.core.known.listed(&channel.upstream, list, Listed { result: whole.clone(), is_stateless });
        if list == List::Tools {
            self.core.known.offers(&channel.upstream, super::tools::has_status(&whole));
        }
        Ok(whole)
    }

    /// A request of our own that has an answer.
    pub(crate) async fn ask_own(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        method: &str,
        params: &[u8],
        options: RequestOptions,
    ) -> Result<Envelope, Failure> {
        let id = self.fresh_id(self.next());
        let message = super::channel::parse(request(&id, method, params))?;
        let message = if channel.is_stateless() {
            match bridge::request_to_stateless(&message, &self.bridge_caller(channel)) {
                Ok(Onward::Forward(bytes)) => bytes,
                _ => return Err(Failure::new(FailureKind::NotSent, "the upstream's era has no such request")),
            }
        } else {
            message.into_bytes()
        };
        channel.ask(&id, message, options).await
    }

    /// One page of the lists of all upstreams.
    pub(super) async fn page(self: &Arc<Self>, flight: &Arc<Flight>, list: List) -> Answer {
        let cursor = flight.message.param_text(&["cursor"]).ok().flatten();
        let start = match cursor.as_deref().map(|text| text.strip_prefix(CURSOR).and_then(|at| at.parse().ok())) {
            None => 0_usize,
            Some(Some(start)) => start,
            Some(None) => return flight.refuse(message::INVALID_PARAMS, "no such cursor", None),
        };
        let known = self.catalogue.lock().merged.get(&list).map(Arc::clone).filter(|_| cursor.is_some());
        let all = match known {
            Some(known) => known,
            None => self.merge(&flight.hello, list, &self.core.upstreams.names(), flight.is_stateless()).await,
        };
        if start > all.len() {
            return flight.refuse(message::INVALID_PARAMS, "no such cursor", None);
        }
        let end = (start + self.core.settings.page_max).min(all.len());
        let mut shown: Vec<Bytes> = all[start..end].to_vec();
        if list == List::Tools && start == 0 && self.offers_status() {
            shown.push(Bytes::from_static(told::STATUS_ENTRY.as_bytes()));
        }
        let mut result = joined(list, shown.into_iter());
        if end < all.len() {
            let next = quoted(&format!("{CURSOR}{end}"));
            result = splice::set(&result, &["nextCursor"], next.as_bytes()).unwrap_or(result);
        }
        if flight.is_stateless() {
            result = bridge::result_to_stateless(list.method(), &result, Some(&self.gateway_info())).unwrap_or(result);
        }
        flight.result(&result)
    }

    /// Asks upstreams for their lists, all at once; one that is silent gives what it said last.
    pub(super) async fn merge(
        self: &Arc<Self>,
        hello: &Arc<Hello>,
        list: List,
        upstreams: &[Name],
        for_stateless: bool,
    ) -> Arc<Vec<Bytes>> {
        let asked = upstreams.iter().map(|upstream| self.list_of(hello, list, upstream));
        let results = join_all(asked).await;
        let mut all = Vec::new();
        let mut catalogue = self.catalogue.lock();
        for (upstream, listed) in upstreams.iter().zip(results) {
            let Some(listed) = listed else {
                catalogue.missing.insert(Arc::clone(upstream));
                continue;
            };
            let translated = match (for_stateless, listed.is_stateless) {
                (true, false) => bridge::result_to_stateless(list.method(), &listed.result, None),
                (false, true) => bridge::result_to_session(list.method(), &listed.result),
                _ => Ok(listed.result.clone()),
            };
            let result = translated.unwrap_or(listed.result);
            for entry in entries(&result, list) {
                if all.len() >= ENTRIES_MAX {
                    break;
                }
                all.extend(catalogue.enter(list, upstream, entry));
            }
        }
        let all = Arc::new(all);
        catalogue.merged.insert(list, Arc::clone(&all));
        all
    }

    async fn list_of(self: &Arc<Self>, hello: &Arc<Hello>, list: List, upstream: &Name) -> Option<Listed> {
        let last = || self.core.known.list(upstream, list);
        if self.core.known.is_silent(upstream) {
            return last();
        }
        let asked = async {
            let channel = self.channel(upstream, hello).await?;
            if !channel.has(&[list.capability()]) {
                let result = joined(list, std::iter::empty());
                return Ok(Listed { result, is_stateless: channel.is_stateless() });
            }
            let result = self.fetch(&channel, list).await?;
            Ok::<_, Failure>(Listed { result, is_stateless: channel.is_stateless() })
        };
        match tokio::time::timeout(self.core.settings.upstream_wait, asked).await {
            Ok(Ok(listed)) => Some(listed),
            Ok(Err(failure)) => {
                tracing::warn!(%upstream, list = list.method(), why = %failure.detail, "an upstream gave no list");
                last()
            }
            Err(_) => {
                self.core.known.was_silent(upstream);
                tracing::warn!(%upstream, list = list.method(), "an upstream gave no list in time");
                last()
            }
        }
    }

    /// What a list said is not true any more.
    pub(super) fn changed(&self, channel: &Channel, notification: &Envelope) {
        let method = notification.method().unwrap_or_default();
        let lists: &[List] = match method {
            "notifications/tools/list_changed" => &[List::Tools],
            "notifications/prompts/list_changed" => &[List::Prompts],
            "notifications/resources/list_changed" => &[List::Resources, List::Templates],
            _ => return,
        };
        tracing::debug!(upstream = %channel.upstream, method, "a list changed");
        let mut catalogue = self.catalogue.lock();
        for list in lists {
            catalogue.merged.remove(list);
        }
    }
}

impl Catalogue {
    /// The entry as the shared endpoint lists it; `None` when another one has its name.
    fn enter(&mut self, list: List, upstream: &Name, entry: Bytes) -> Option<Bytes> {
        let text = |member| json::text(&entry, &[member]).ok().flatten().map(std::borrow::Cow::into_owned);
        match list {
            List::Tools | List::Prompts => {
                let name = text("name")?;
                let names = if list == List::Tools { &mut self.tools } else { &mut self.prompts };
                match names.add(upstream, &name) {
                    Ok(wire) => splice::set(&entry, &["name"], quoted(wire).as_bytes()).ok(),
                    Err(collision) => {
                        let (wire, kept, dropped) = (collision.wire, collision.kept, collision.dropped);
                        let (kept, dropped) = (kept.upstream, dropped.upstream);
                        tracing::warn!(%wire, %kept, %dropped, "two upstreams have the same name on the wire");
                        None
                    }
                }
            }
            List::Resources => {
                if let Some(uri) = text("uri") {
                    self.owns(uri, upstream);
                }
                Some(entry)
            }
            List::Templates => {
                if let Some(template) = text("uriTemplate")
                    && self.templates.len() < OWNERS_MAX
                {
                    let fixed = template.split('{').next().unwrap_or_default().to_owned();
                    if !self.templates.iter().any(|(known, owner)| *known == fixed && owner == upstream) {
                        self.templates.push((fixed, Arc::clone(upstream)));
                    }
                }
                Some(entry)
            }
        }
    }

    pub fn forget_merged(&mut self, list: List) {
        self.merged.remove(&list);
    }

    pub fn owns(&mut self, uri: String, upstream: &Name) {
        if self.owners.len() < OWNERS_MAX {
            self.owners.entry(uri).or_insert_with(|| Arc::clone(upstream));
        }
    }

    pub fn made_task(&mut self, task: String, upstream: &Name) {
        if self.tasks.len() >= OWNERS_MAX {
            self.tasks.clear();
        }
        self.tasks.insert(task, Arc::clone(upstream));
    }

    /// Whose resource this is: listed, or under the longest fixed beginning of a template.
    pub fn owner(&self, uri: &str) -> Option<Name> {
        if let Some(owner) = self.owners.get(uri) {
            return Some(Arc::clone(owner));
        }
        let fitting = self.templates.iter().filter(|(fixed, _)| !fixed.is_empty() && uri.starts_with(fixed.as_str()));
        fitting.max_by_key(|(fixed, _)| fixed.len()).map(|(_, owner)| Arc::clone(owner))
    }
}

/// The `result` of a response, or its error as a failure.
pub fn result_of(response: &Envelope) -> Result<Bytes, Failure> {
    let body = response.body_bytes().unwrap_or_default();
    if response.kind() == mcp::Kind::Response {
        return Ok(body);
    }
    let code = mcp::code::telling(&body);
    let mut failure = Failure::new(FailureKind::Rpc { code, status: None }, "the upstream answers with an error");
    failure.rpc_error = Some(body);
    Err(failure)
}

pub fn entries(result: &Bytes, list: List) -> Vec<Bytes> {
    let found = json::find(result, &[list.member()]).ok().flatten();
    let elements = found.and_then(|at| json::elements(result, at.start).ok());
    elements.into_iter().flatten().map(|at| result.slice(at)).filter(|entry| json::is_object(entry)).collect()
}

pub fn joined(list: List, entries: impl Iterator<Item = Bytes>) -> Bytes {
    let mut out = format!(r#"{{"{}":["#, list.member()).into_bytes();
    for (index, entry) in entries.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&entry);
    }
    out.extend_from_slice(b"]}");
    out.into()
}
