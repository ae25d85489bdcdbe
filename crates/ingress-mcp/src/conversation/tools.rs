//! The list of tools: what the guard learns from it, the gateway's own tool beside it, and which tool a name means.

use super::Conversation;
use super::flight::Flight;
use super::forward;
use super::hello::Hello;
use super::lists::{List, entries};
use crate::exchange::Answer;
use crate::hub::Scope;
use crate::message::scan;
use crate::{edit, told};
use bytes::Bytes;
use mcp::names::SEPARATOR;
use mcp::{Kind, json};
use std::sync::Arc;
use vocab::{Failure, Name};

impl Conversation {
    pub(super) async fn tools_of_one(self: &Arc<Self>, flight: &Arc<Flight>, upstream: &Name) -> Answer {
        let channel = match self.channel(upstream, &flight.hello).await {
            Ok(channel) => channel,
            Err(failure) => return flight.unreachable(upstream, &failure),
        };
        let response = match self.send_over(flight, &channel, &flight.message).await {
            Ok(response) => response,
            Err(answer) => return answer,
        };
        let is_first = flight.message.param(&["cursor"]).ok().flatten().is_none();
        if let Some(result) = response.body_bytes().filter(|_| response.kind() == Kind::Response) {
            self.core.guard.learn(upstream, &result);
            self.core.known.tools(upstream, &result);
            if is_first {
                self.core.known.offers(upstream, has_status(&result));
            }
        }
        let mut answer = forward::answer(flight, &channel, &response);
        if is_first && self.offers_status() && response.kind() == Kind::Response {
            answer.message = with_status(answer.message);
        }
        answer
    }

    pub(crate) fn offers_status(&self) -> bool {
        self.core.settings.status_tool
    }

    /// Does one of the upstreams have a tool of that name, so that it is not ours?
    pub(crate) fn is_status_taken(&self) -> bool {
        match &self.scope {
            Scope::One(upstream) => self.core.known.has_status(upstream),
            Scope::All => self.catalogue.lock().tools.target(told::STATUS_TOOL).is_some(),
        }
    }

    /// The whole list of tools, learned anew.
    pub(crate) async fn refresh(self: &Arc<Self>, upstream: &Name, hello: &Arc<Hello>) -> Result<(), Failure> {
        let channel = self.channel(upstream, hello).await?;
        self.fetch(&channel, List::Tools).await.map(drop)
    }

    /// Which tool of which upstream a name on the wire means. Asks for lists when it is not known, first those whose
    /// names begin so.
    pub(crate) async fn resolve(self: &Arc<Self>, flight: &Flight, list: List, wire: &str) -> Option<(Name, String)> {
        let known = |conversation: &Self| {
            let catalogue = conversation.catalogue.lock();
            let names = if list == List::Tools { &catalogue.tools } else { &catalogue.prompts };
            let target = names.target(wire)?;
            Some((Name::from(target.upstream.as_str()), target.tool.clone()))
        };
        if let Some(target) = known(self) {
            return Some(target);
        }
        let begins = |name: &Name| wire.strip_prefix(&**name).is_some_and(|rest| rest.starts_with(SEPARATOR));
        let (likely, others): (Vec<Name>, Vec<Name>) = self.core.upstreams.names().into_iter().partition(begins);
        for some in [&likely, &others] {
            if some.is_empty() {
                continue;
            }
            self.merge_some(&flight.hello, list, some).await;
            if let Some(target) = known(self) {
                return Some(target);
            }
        }
        // An upstream that cannot be asked just now: the name alone tells whose tool it is, and the call may be an earlier
        // one come again.
        let [upstream] = likely.as_slice() else { return None };
        let tool = wire.strip_prefix(&**upstream)?.strip_prefix(SEPARATOR)?;
        (list == List::Tools).then(|| (upstream.clone(), tool.to_owned()))
    }

    /// Fetches lists for their names only.
    async fn merge_some(self: &Arc<Self>, hello: &Arc<Hello>, list: List, upstreams: &[Name]) {
        drop(self.merge(hello, list, upstreams, false).await);
        // It is no whole list: pages are not to be read from it.
        self.catalogue.lock().forget_merged(list);
    }
}

/// Does the upstream itself list a tool of that name?
pub fn has_status(result: &Bytes) -> bool {
    let is_it =
        |entry: &Bytes| json::text(entry, &["name"]).ok().flatten().is_some_and(|name| name == told::STATUS_TOOL);
    entries(result, List::Tools).iter().any(is_it)
}

/// The list with the gateway's own tool at its end, unless it has one of that name.
fn with_status(message: Bytes) -> Bytes {
    let Some(document) = scan(&message) else { return message };
    let Some(tools) = document.root().get("result").and_then(|result| result.get("tools")) else { return message };
    let is_taken = |entry: checks::json::Item<'_>| {
        entry.get("name").and_then(|name| name.text()).is_some_and(|name| name == told::STATUS_TOOL)
    };
    if tools.kind() != checks::json::ItemKind::Array || tools.elements().any(is_taken) {
        return message;
    }
    let mut edits = edit::Edits::of(&document);
    edits.push(tools, told::STATUS_ENTRY.as_bytes());
    edits.apply()
}
