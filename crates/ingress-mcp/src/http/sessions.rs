//! The sessions of this listener by id. The hub bounds how many there are and ends idle ones; this table follows.

use super::replay::{Kept, Pool};
use super::session::Session;
use crate::conversation::Conversation;
use crate::{Caller, Map};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Sessions {
    table: Mutex<Table>,
    pool: Arc<Pool>,
}

#[derive(Default)]
struct Table {
    known: Map<Box<str>, Arc<Session>>,
    /// Ended ones are looked for when there are this many.
    look_at: usize,
}

impl Sessions {
    pub fn new(kept: Kept) -> Self {
        Self { table: Mutex::default(), pool: Pool::new(kept) }
    }

    /// Gives a conversation that has begun an id.
    pub fn begin(&self, conversation: Arc<Conversation>) -> io::Result<Arc<Session>> {
        let session = Session::new(random_id()?, conversation, &self.pool);
        let ended = {
            let mut table = self.table.lock();
            table.known.insert(session.id.clone(), Arc::clone(&session));
            // The hub ends a session for each one that it begins beyond its bound, so half of these can be gone.
            if table.known.len() >= table.look_at.max(64) { table.take_ended() } else { Vec::new() }
        };
        drop(ended);
        Ok(session)
    }

    /// The session of this caller at this endpoint; to others it does not exist.
    pub fn find(&self, id: &str, caller: &Caller, upstream: Option<&str>) -> Option<Arc<Session>> {
        let found = self.table.lock().known.get(id).map(Arc::clone)?;
        if found.conversation.is_closed() || !found.belongs_to(caller, upstream) {
            return None;
        }
        if found.is_stale() {
            self.end(&found);
            return None;
        }
        Some(found)
    }

    pub fn end(&self, session: &Session) {
        let gone = self.table.lock().known.remove(&session.id);
        session.end();
        drop(gone);
    }

    /// Forgets sessions that have ended, and streams that were left for longer than `resume`.
    pub fn sweep(&self, resume: Duration) {
        let (ended, all) = {
            let mut table = self.table.lock();
            (table.take_ended(), table.known.values().map(Arc::clone).collect::<Vec<_>>())
        };
        for session in ended {
            session.sweep(Duration::ZERO);
        }
        for session in all {
            session.sweep(resume);
        }
    }
}

impl Table {
    fn take_ended(&mut self) -> Vec<Arc<Session>> {
        let mut ended = Vec::new();
        self.known.retain(|_, session| {
            let closed = session.conversation.is_closed();
            if closed {
                ended.push(Arc::clone(session));
            }
            !closed
        });
        self.look_at = self.known.len() * 2;
        ended
    }
}

/// 128 random bits: an id is a capability beside the token.
fn random_id() -> io::Result<Box<str>> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    Ok(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect::<String>().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_long_visible_and_never_the_same() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| random_id().expect("randomness")).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }
}
