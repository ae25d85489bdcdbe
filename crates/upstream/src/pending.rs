//! Requests that wait for their answer, by JSON-RPC id.

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, oneshot};
use vocab::{Failure, FailureKind};

use crate::failure::{fail, not_sent};
use crate::session::Related;

/// Looked into by every request: keyed hashing that is much cheaper than the standard one. The table is bounded.
type Map<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

pub type Answer = Result<Bytes, Failure>;

/// The open requests of one session. Ids are compared as they were written: `1` and `"1"` are two.
pub struct Pending {
    open: Mutex<Open>,
    calls_max: usize,
    /// Something broken came that can only have been for the one request in flight.
    broken: Notify,
    /// Answers that nobody waited for: wrong ids, second answers, late ones.
    strays: AtomicU64,
}

#[derive(Default)]
struct Open {
    waiting: Map<Bytes, Waiting>,
    /// Why nothing can be sent any more.
    over: Option<Failure>,
}

struct Waiting {
    sender: oneshot::Sender<Answer>,
    /// The progress token of the request, as JSON.
    token: Option<Bytes>,
}

/// The place of one request. Dropping it gives the request up: its answer becomes a stray.
pub struct Place {
    pending: Arc<Pending>,
    id: Bytes,
    answer: oneshot::Receiver<Answer>,
}

impl Pending {
    pub fn new(calls_max: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), calls_max, broken: Notify::new(), strays: AtomicU64::new(0) })
    }

    /// Takes a place for a request before anything of it is sent.
    ///
    /// # Errors
    /// The session is over, too much is in flight, or the id is.
    pub fn enter(self: &Arc<Self>, id: Bytes, token: Option<Bytes>) -> Result<Place, Failure> {
        let (sender, answer) = oneshot::channel();
        let mut open = self.open.lock();
        if let Some(over) = &open.over {
            let mut failure = not_sent("the session with the upstream is over");
            failure.retry_after = over.retry_after;
            return Err(failure);
        }
        if open.waiting.contains_key(&id) {
            return Err(not_sent("another request with the same id is in flight on this session"));
        }
        if open.waiting.len() >= self.calls_max {
            return Err(not_sent("too many requests are in flight on this session"));
        }
        open.waiting.insert(id.clone(), Waiting { sender, token });
        Ok(Place { pending: self.clone(), id, answer })
    }

    /// Hands an answer to whoever waits for it. The first one counts.
    pub fn answer(&self, id: Option<&[u8]>, message: Bytes) {
        let waiting = id.and_then(|id| self.open.lock().waiting.remove(id));
        let taken = waiting.is_some_and(|waiting| waiting.sender.send(Ok(message)).is_ok());
        if !taken {
            self.stray();
        }
    }

    /// Something came that is no message, but looks like one.
    pub fn broken(&self) {
        if self.open.lock().waiting.len() == 1 {
            self.broken.notify_waiters();
        }
    }

    /// Waits until something broken came that was, as far as one can know, the caller's answer.
    pub async fn suspected(&self) {
        self.broken.notified().await;
    }

    pub fn stray(&self) {
        let strays = self.strays.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::debug!(strays, "an answer that nobody waits for was dropped");
    }

    /// Ends the session: everything that waits fails as `failure` says for it, and nothing new is taken.
    pub fn end(&self, failure: &Failure) {
        let waiting = {
            let mut open = self.open.lock();
            if open.over.is_none() {
                open.over = Some(failure.clone());
            }
            std::mem::take(&mut open.waiting)
        };
        for (_, one) in waiting {
            // Whoever left has no use for the failure either.
            drop(one.sender.send(Err(failure.clone())));
        }
    }

    pub fn is_over(&self) -> bool {
        self.open.lock().over.is_some()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.open.lock().waiting.len()
    }

    #[cfg(test)]
    pub fn strays(&self) -> u64 {
        self.strays.load(Ordering::Relaxed)
    }

    /// The request that a message names by its progress token, or the only one there is.
    pub fn related(&self, token: Option<&[u8]>) -> Related {
        let open = self.open.lock();
        let named = token.and_then(|token| open.waiting.iter().find(|(_, one)| one.token.as_deref() == Some(token)));
        match named.or_else(|| open.waiting.iter().next().filter(|_| open.waiting.len() == 1 && token.is_none())) {
            Some((id, _)) => Related::Request(id.clone()),
            None => Related::Session,
        }
    }

    pub fn waits(&self, id: &[u8]) -> bool {
        self.open.lock().waiting.contains_key(id)
    }
}

impl Place {
    /// # Cancel safety
    /// May be polled again; dropping the place gives the request up.
    pub async fn answer(&mut self) -> Answer {
        // Whoever removes a place answers it, so this is never seen; it must not claim that nothing was sent.
        (&mut self.answer)
            .await
            .unwrap_or_else(|_| Err(fail(FailureKind::Eof, "the session with the upstream is over")))
    }

    /// The answer, if it is there already.
    pub fn ready(&mut self) -> Option<Answer> {
        self.answer.try_recv().ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Closed first: an answer that comes in between is a stray and not lost in the channel.
        self.answer.close();
        let mut open = self.pending.open.lock();
        if open.waiting.get(&self.id).is_some_and(|one| one.sender.is_closed()) {
            open.waiting.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[tokio::test]
    async fn the_first_answer_counts_and_others_are_strays() {
        let pending = Pending::new(8);
        let mut place = pending.enter(id("1"), None).expect("free");
        pending.answer(Some(b"\"1\""), id("wrong"));
        pending.answer(None, id("none"));
        pending.answer(Some(b"1"), id("right"));
        pending.answer(Some(b"1"), id("second"));
        assert_eq!(place.answer().await, Ok(id("right")));
        assert_eq!(pending.strays(), 3);
    }

    #[tokio::test]
    async fn an_id_in_flight_is_not_taken_twice() {
        let pending = Pending::new(8);
        let place = pending.enter(id("1"), None).expect("free");
        assert_eq!(pending.enter(id("1"), None).err().map(|failure| failure.kind), Some(FailureKind::NotSent));
        drop(place);
        let mut again = pending.enter(id("1"), None).expect("free again");
        pending.answer(Some(b"1"), id("late or not"));
        assert_eq!(again.answer().await, Ok(id("late or not")));
    }

    #[tokio::test]
    async fn what_waits_at_the_end_fails_and_nothing_new_is_taken() {
        let pending = Pending::new(1);
        let mut place = pending.enter(id("1"), None).expect("free");
        assert!(pending.enter(id("2"), None).is_err(), "one is the limit");
        pending.end(&Failure::new(FailureKind::Exit, "the child exited"));
        assert_eq!(place.answer().await.err().map(|failure| failure.kind), Some(FailureKind::Exit));
        assert_eq!(pending.enter(id("2"), None).err().map(|failure| failure.kind), Some(FailureKind::NotSent));
    }

    #[test]
    fn a_message_belongs_to_the_request_whose_token_it_names() {
        let pending = Pending::new(8);
        let one = pending.enter(id("1"), Some(id("\"t\""))).expect("free");
        assert_eq!(pending.related(None), Related::Request(id("1")), "the only one");
        let _two = pending.enter(id("2"), None).expect("free");
        assert_eq!(pending.related(Some(b"\"t\"")), Related::Request(id("1")));
        assert_eq!(pending.related(Some(b"\"x\"")), Related::Session);
        assert_eq!(pending.related(None), Related::Session);
        drop(one);
        assert_eq!(pending.len(), 1);
    }
}
