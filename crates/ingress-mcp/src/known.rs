//! What upstreams last said of themselves, for the time when they say nothing.

use crate::conversation::channel::parse;
use crate::conversation::{List, entries};
use bytes::Bytes;
use mcp::headers::Declarations;
use mcp::json;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use vocab::Name;

/// Shared by all conversations; bounded by the number of upstreams.
#[derive(Default)]
pub struct Known {
    servers: Mutex<HashMap<Name, Bytes>>,
    lists: Mutex<HashMap<(Name, List), Listed>>,
    status: Mutex<HashSet<Name>>,
    silent: Mutex<HashMap<Name, Instant>>,
    mirrored: Mutex<HashMap<Name, HashMap<String, Declarations>>>,
}

/// A whole list of one upstream, as a `result` of its own.
#[derive(Clone, Debug)]
pub struct Listed {
    pub result: Bytes,
    pub is_stateless: bool,
}

/// Tools of one upstream whose mirrored arguments are known.
const MIRRORED_MAX: usize = 1024;

/// What a list without it need not be looked through for.
const MARK: &[u8] = b"x-mcp-header";

/// An upstream that was silent is not waited for again before this.
const SILENCE: Duration = Duration::from_secs(5);

impl Known {
    pub fn shook_hands(&self, upstream: &Name, handshake: Bytes) {
        self.silent.lock().remove(upstream);
        self.servers.lock().insert(Arc::clone(upstream), handshake);
    }

    pub fn forget(&self, upstream: &Name) {
        self.servers.lock().remove(upstream);
        self.lists.lock().retain(|(name, _), _| name != upstream);
        self.status.lock().remove(upstream);
        self.silent.lock().remove(upstream);
        self.mirrored.lock().remove(upstream);
    }

    pub fn server(&self, upstream: &Name) -> Option<Bytes> {
        self.servers.lock().get(upstream).cloned()
    }

    pub fn listed(&self, upstream: &Name, list: List, listed: Listed) {
        self.lists.lock().insert((Arc::clone(upstream), list), listed);
    }

    pub fn list(&self, upstream: &Name, list: List) -> Option<Listed> {
        self.lists.lock().get(&(Arc::clone(upstream), list)).cloned()
    }

    /// Whether it has a tool with the name of the gateway's own.
    pub fn offers(&self, upstream: &Name, status: bool) {
        let mut all = self.status.lock();
        if status {
            all.insert(Arc::clone(upstream))
        } else {
            all.remove(upstream)
        };
    }

    pub fn has_status(&self, upstream: &Name) -> bool {
        self.status.lock().contains(upstream)
    }

    /// Which tools of this page of a list want arguments mirrored into headers.
    pub fn tools(&self, upstream: &Name, page: &Bytes) {
        let mut all = self.mirrored.lock();
        let known = all.entry(Arc::clone(upstream)).or_default();
        if known.is_empty() && !page.windows(MARK.len()).any(|window| window == MARK) {
            return;
        }
        for tool in entries(page, List::Tools) {
            let Ok(Some(name)) = json::text(&tool, &["name"]) else { continue };
            let schema = json::get(&tool, &["inputSchema"]).ok().flatten();
            match schema.and_then(|schema| Declarations::read(schema).ok()).filter(|read| !read.is_empty()) {
                Some(declared) if known.len() < MIRRORED_MAX || known.contains_key(&*name) => {
                    known.insert(name.into_owned(), declared);
                }
                _ => drop(known.remove(&*name)),
            }
        }
    }

    /// Was its list of tools seen at all?
    pub fn has_tools(&self, upstream: &Name) -> bool {
        self.mirrored.lock().contains_key(upstream)
    }

    pub fn mirrored(&self, upstream: &Name, tool: &str) -> Option<Declarations> {
        self.mirrored.lock().get(upstream)?.get(tool).cloned()
    }

    /// The headers that mirror arguments of a call to a stateless upstream.
    pub fn mirrors(&self, upstream: &Name, message: &Bytes) -> Vec<(Name, String)> {
        if self.mirrored.lock().get(upstream).is_none_or(HashMap::is_empty) {
            return Vec::new();
        }
        let Ok(message) = parse(message.clone()) else { return Vec::new() };
        let name = message.param_text(&["name"]).ok().flatten().filter(|_| message.is("tools/call"));
        let Some(declared) = name.and_then(|name| self.mirrored(upstream, &name)) else { return Vec::new() };
        let arguments = message.param(&["arguments"]).ok().flatten().unwrap_or(b"{}");
        declared.headers(arguments).into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    pub fn was_silent(&self, upstream: &Name) {
        self.silent.lock().insert(Arc::clone(upstream), Instant::now());
    }

    /// Would waiting for it be waiting for nothing?
    pub fn is_silent(&self, upstream: &Name) -> bool {
        self.silent.lock().get(upstream).is_some_and(|since| since.elapsed() < SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(tools: &str) -> Bytes {
        format!(r#"{{"tools":[{tools}]}}"#).into()
    }

    fn mirrors(known: &Known, arguments: &str) -> Vec<(String, String)> {
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"pay","arguments":{arguments}}}}}"#
        );
        let mirrors = known.mirrors(&"shop".into(), &call.into());
        mirrors.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }

    #[test]
    fn calls_carry_the_headers_that_the_newest_list_wants() {
        let (known, shop) = (Known::default(), Name::from("shop"));
        let wants = r#"{"name":"pay","inputSchema":{"type":"object","properties":{"to":{"type":"string","x-mcp-header":"To"}}}}"#;
        assert_eq!(mirrors(&known, r#"{"to":"ann"}"#), []);
        known.tools(&shop, &page(wants));
        assert_eq!(mirrors(&known, r#"{"to":"ann"}"#), [("mcp-param-to".to_owned(), "ann".to_owned())]);
        assert_eq!(mirrors(&known, "{}"), []);
        known.tools(&shop, &page(r#"{"name":"pay","inputSchema":{"type":"object"}}"#));
        assert_eq!(mirrors(&known, r#"{"to":"ann"}"#), [], "it wants none any more");
    }
}
