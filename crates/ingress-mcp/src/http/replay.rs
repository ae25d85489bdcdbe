//! The last events of one session, numbered, so that a broken stream can be taken up again.
//!
//! An event's id is `<flow>-<number>`: which stream it belongs to, and its place among all events of the session. Kept
//! events are bounded for each session and over all of them; the oldest go first.

use bytes::Bytes;
use mcp::sse;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How much is kept for clients whose stream broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Events of one session.
    pub events_max: usize,
    /// Bytes of one session.
    pub bytes_max: usize,
    /// Bytes of all sessions.
    pub bytes_total_max: usize,
}

impl Default for Kept {
    fn default() -> Self {
        Self { events_max: 256, bytes_max: 1024 * 1024, bytes_total_max: 64 * 1024 * 1024 }
    }
}

/// What all sessions keep together.
#[derive(Debug)]
pub(super) struct Pool {
    kept: Kept,
    bytes: AtomicUsize,
}

impl Pool {
    pub fn new(kept: Kept) -> Arc<Self> {
        Arc::new(Self { kept, bytes: AtomicUsize::new(0) })
    }
}

pub(super) struct Replay {
    pool: Arc<Pool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    bytes: usize,
    number: u64,
    flow: u32,
}

struct Event {
    flow: u32,
    number: u64,
    last: bool,
    wire: Bytes,
}

/// The stream that no request opened.
pub(super) const OWN: u32 = 0;

/// Where a client stopped reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub flow: u32,
    pub number: u64,
}

impl Position {
    pub fn parse(id: &str) -> Option<Self> {
        let (flow, number) = id.split_once('-')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(flow) || !digits(number) {
            return None;
        }
        Some(Self { flow: flow.parse().ok()?, number: number.parse().ok()? })
    }

    fn text(self) -> String {
        format!("{}-{}", self.flow, self.number)
    }
}

impl Replay {
    pub fn new(pool: &Arc<Pool>) -> Self {
        Self { pool: Arc::clone(pool), state: Mutex::default() }
    }

    /// The number of a new stream.
    pub fn open(&self) -> u32 {
        let mut state = self.state.lock();
        // Never `OWN` again, not after four billion streams either.
        state.flow = state.flow.checked_add(1).unwrap_or(1);
        state.flow
    }

    /// An event without a message that numbers the stream from its start.
    pub fn prime(&self, flow: u32, retry: Duration) -> Bytes {
        let number = self.state.lock().number;
        sse::priming(&Position { flow, number }.text(), Some(retry))
    }

    /// Numbers a message and keeps it; gives it as it goes over the wire.
    pub fn record(&self, flow: u32, message: &[u8], last: bool) -> Bytes {
        let Kept { events_max, bytes_max, bytes_total_max } = self.pool.kept;
        let mut state = self.state.lock();
        state.number += 1;
        let number = state.number;
        let wire = sse::message(Some(&Position { flow, number }.text()), message);
        while state.events.len() >= events_max || state.bytes + wire.len() > bytes_max {
            if !state.forget_oldest(&self.pool) {
                return wire;
            }
        }
        if self.pool.bytes.load(Ordering::Relaxed) + wire.len() > bytes_total_max {
            // Its own past makes room first; other sessions do not pay for this one.
            while state.forget_oldest(&self.pool) {}
            if self.pool.bytes.load(Ordering::Relaxed) + wire.len() > bytes_total_max {
                return wire;
            }
        }
        self.pool.bytes.fetch_add(wire.len(), Ordering::Relaxed);
        state.bytes += wire.len();
        state.events.push_back(Event { flow, number, last, wire: wire.clone() });
        wire
    }

    /// What is kept of a stream after a position.
    pub fn after(&self, position: Position) -> VecDeque<Bytes> {
        let state = self.state.lock();
        let later = state.events.iter().filter(|event| event.flow == position.flow && event.number > position.number);
        later.map(|event| event.wire.clone()).collect()
    }

    /// Is the last message of this stream kept?
    pub fn is_over(&self, flow: u32) -> bool {
        self.state.lock().events.iter().any(|event| event.flow == flow && event.last)
    }
}

impl State {
    fn forget_oldest(&mut self, pool: &Pool) -> bool {
        let Some(event) = self.events.pop_front() else { return false };
        self.bytes -= event.wire.len();
        pool.bytes.fetch_sub(event.wire.len(), Ordering::Relaxed);
        true
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.pool.bytes.fetch_sub(self.state.get_mut().bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(replay: &Replay, id: &str) -> Vec<String> {
        let position = Position::parse(id).expect("an id");
        let text = |wire: Bytes| String::from_utf8_lossy(&wire).into_owned();
        replay.after(position).into_iter().map(text).collect()
    }

    #[test]
    fn a_stream_is_replayed_from_where_it_broke_and_no_other() {
        let replay = Replay::new(&Pool::new(Kept::default()));
        let flow = replay.open();
        assert_eq!(flow, 1);
        assert_eq!(&*replay.prime(flow, Duration::from_secs(1)), b"id: 1-0\nretry: 1000\ndata:\n\n");
        assert_eq!(&*replay.record(flow, b"a", false), b"event: message\nid: 1-1\ndata: a\n\n");
        replay.record(OWN, b"other", false);
        replay.record(flow, b"b", true);
        assert_eq!(after(&replay, "1-1"), ["event: message\nid: 1-3\ndata: b\n\n"]);
        assert_eq!(after(&replay, "1-0").len(), 2);
        assert_eq!(after(&replay, "0-0").len(), 1);
        assert!(replay.is_over(flow) && !replay.is_over(OWN));
    }

    #[test]
    fn what_is_kept_is_bounded_in_events_and_bytes_and_the_oldest_goes_first() {
        let pool = Pool::new(Kept { events_max: 3, bytes_max: 150, bytes_total_max: 1000 });
        let replay = Replay::new(&pool);
        for _ in 0..5 {
            replay.record(1, b"x", false);
        }
        assert_eq!(after(&replay, "1-0").len(), 3);
        assert!(after(&replay, "1-0")[0].contains("id: 1-3"));
        replay.record(1, &[b'y'; 100], true);
        assert_eq!(after(&replay, "1-0").len(), 1, "the large one pushes the others out");
        replay.record(1, &[b'z'; 200], true);
        assert_eq!(after(&replay, "1-0").len(), 0, "one that fits nowhere is not kept");
    }

    #[test]
    fn all_sessions_share_one_bound_and_give_back_what_they_held() {
        let pool = Pool::new(Kept { events_max: 10, bytes_max: 1000, bytes_total_max: 300 });
        let (first, second) = (Replay::new(&pool), Replay::new(&pool));
        first.record(1, &[b'x'; 200], false);
        second.record(1, &[b'y'; 200], true);
        assert!(!second.is_over(1), "the first one's events stay");
        assert_eq!(after(&first, "1-0").len(), 1);
        drop(first);
        second.record(1, &[b'y'; 200], true);
        assert!(second.is_over(1));
        drop(second);
        assert_eq!(pool.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn ids_of_others_are_not_taken_for_ours() {
        for id in ["", "1", "-", "1-", "-1", "1-2-3", "a-1", "+1-2", "1-99999999999999999999999"] {
            assert_eq!(Position::parse(id), None, "{id}");
        }
    }
}
