//! What upstreams last said of themselves, for the time when they say nothing.

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

    pub fn mirrored(&self, upstream: &Name, tool: &str) -> Option<Declarations> {
        self.mirrored.lock().get(upstream)?.get(tool).cloned()
    }

    pub fn was_silent(&self, upstream: &Name) {
        self.silent.lock().insert(Arc::clone(upstream), Instant::now());
    }

    /// Would waiting for it be waiting for nothing?
    pub fn is_silent(&self, upstream: &Name) -> bool {
        self.silent.lock().get(upstream).is_some_and(|since| since.elapsed() < SILENCE)
    }
}
