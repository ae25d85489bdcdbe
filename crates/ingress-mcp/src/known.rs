//! What upstreams last said of themselves, for the time when they say nothing.

use crate::conversation::List;
use bytes::Bytes;
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
}

/// A whole list of one upstream, as a `result` of its own.
#[derive(Clone, Debug)]
pub struct Listed {
    pub result: Bytes,
    pub is_stateless: bool,
}

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

    pub fn was_silent(&self, upstream: &Name) {
        self.silent.lock().insert(Arc::clone(upstream), Instant::now());
    }

    /// Would waiting for it be waiting for nothing?
    pub fn is_silent(&self, upstream: &Name) -> bool {
        self.silent.lock().get(upstream).is_some_and(|since| since.elapsed() < SILENCE)
    }
}
