//! What is known of the upstreams' tools: learnt from every `tools/list` that passes, page by page.

mod tool;

pub(crate) use tool::Tool;

use crate::Map;
use bytes::Bytes;
use mcp::views;
use parking_lot::RwLock;
use policy::ToolFacts;
use std::sync::Arc;
use vocab::Name;

/// Tools of one upstream; those beyond are not learnt, and so cannot be called.
const TOOLS_MAX: usize = 10_000;
/// Longest name of a tool that is learnt.
const NAME_MAX: usize = 1_024;

#[derive(Default)]
pub(crate) struct Tools {
    upstreams: RwLock<Map<Name, Listed>>,
}

#[derive(Default)]
struct Listed {
    tools: Map<Name, (Arc<Tool>, u64)>,
    /// Raised when the upstream says that its list changed: what is not learnt again goes with the last page.
    generation: u64,
}

impl Tools {
    /// Takes one page. What it repeats unchanged keeps its compiled schemas.
    pub(crate) fn learn(&self, upstream: &Name, result: &Bytes) {
        let page = match views::Tools::read(result) {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(upstream = &**upstream, %error, "the upstream's list of tools cannot be read");
                return;
            }
        };
        if self.repeats(upstream, &page) {
            return;
        }
        let mut upstreams = self.upstreams.write();
        let listed = upstreams.entry(upstream.clone()).or_default();
        for tool in page.tools {
            listed.learn(upstream, tool);
        }
        if page.next_cursor.is_none() {
            let generation = listed.generation;
            listed.tools.retain(|_, (_, since)| *since == generation);
        }
    }

    /// Lists are asked for by every client; nearly always nothing is new.
    fn repeats(&self, upstream: &Name, page: &views::Tools) -> bool {
        let upstreams = self.upstreams.read();
        let Some(listed) = upstreams.get(upstream) else { return false };
        page.tools.iter().all(|tool| {
            let known = listed.tools.get(tool.name.as_str());
            known.is_some_and(|(known, since)| *since == listed.generation && known.is(&tool.entry))
        })
    }

    pub(crate) fn forget(&self, upstream: &Name) {
        if let Some(listed) = self.upstreams.write().get_mut(upstream) {
            listed.generation += 1;
        }
    }

    /// What is known, by upstream and name.
    pub(crate) fn all(&self) -> Vec<(Name, Vec<ToolFacts>)> {
        let upstreams = self.upstreams.read();
        let facts = upstreams.iter().map(|(upstream, listed)| {
            let mut facts: Vec<_> = listed.tools.values().map(|(tool, _)| tool.facts()).collect();
            facts.sort_by(|left, right| left.name.cmp(&right.name));
            (upstream.clone(), facts)
        });
        let mut facts: Vec<_> = facts.collect();
        facts.sort_by(|left, right| left.0.cmp(&right.0));
        facts
    }

    /// Has the upstream told its tools?
    pub(crate) fn is_listed(&self, upstream: &str) -> bool {
        self.upstreams.read().contains_key(upstream)
    }

    pub(crate) fn get(&self, upstream: &str, tool: &str) -> Option<Arc<Tool>> {
        self.upstreams.read().get(upstream)?.tools.get(tool).map(|(tool, _)| Arc::clone(tool))
    }
}

impl Listed {
    fn learn(&mut self, upstream: &Name, tool: views::Tool) {
        let generation = self.generation;
        if let Some((known, since)) = self.tools.get_mut(tool.name.as_str()) {
            *since = generation;
            if !known.is(&tool.entry) {
                *known = Arc::new(Tool::new(upstream, tool));
            }
            return;
        }
        if self.tools.len() >= TOOLS_MAX || tool.name.is_empty() || tool.name.len() > NAME_MAX {
            tracing::warn!(upstream = &**upstream, "a tool beyond the limits of a list is left out");
            return;
        }
        let tool = Arc::new(Tool::new(upstream, tool));
        self.tools.insert(tool.name.clone(), (tool, generation));
    }
}

#[cfg(test)]
mod tests;
