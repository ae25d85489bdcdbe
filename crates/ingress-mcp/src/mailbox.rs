//! A bounded queue of messages for one reader, filled from anywhere without waiting.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

pub struct Mailbox {
    state: Mutex<State>,
    max: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Bytes>,
    waker: Option<Waker>,
    /// The newest reader; an older one gets nothing more.
    reader: u64,
    /// It has not left.
    is_read: bool,
    closed: bool,
}

/// There is no room, or nobody will read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered;

impl Mailbox {
    pub fn new(max: usize) -> Self {
        Self { state: Mutex::new(State::default()), max }
    }

    //= S-07
    pub fn push(&self, message: Bytes) -> Result<(), Undelivered> {
        let waker = {
            let mut state = self.state.lock();
            if state.closed || state.queue.len() >= self.max {
                return Err(Undelivered);
            }
            state.queue.push_back(message);
            state.waker.take()
        };
        wake(waker);
        Ok(())
    }

    /// Makes the caller the one reader and gives its number.
    pub fn take_over(&self) -> u64 {
        let (number, waker) = {
            let mut state = self.state.lock();
            state.reader += 1;
            state.is_read = true;
            (state.reader, state.waker.take())
        };
        wake(waker);
        number
    }

    /// This reader goes away. What comes waits for the next one.
    pub fn leave(&self, reader: u64) {
        let mut state = self.state.lock();
        if state.reader == reader {
            state.is_read = false;
        }
    }

    pub fn is_read(&self) -> bool {
        self.state.lock().is_read
    }

    /// What waits is still read, then the end.
    pub fn close(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.closed = true;
            state.waker.take()
        };
        wake(waker);
    }

    /// Closes it if nothing waits; `false` when something does.
    pub fn close_if_empty(&self) -> bool {
        let mut state = self.state.lock();
        state.closed |= state.queue.is_empty();
        state.closed
    }

    /// The next message; `Ready(None)` when it is closed and empty, or when another one reads.
    pub fn poll(&self, reader: u64, context: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.state.lock();
        if state.reader != reader {
            return Poll::Ready(None);
        }
        if let Some(message) = state.queue.pop_front() {
            return Poll::Ready(Some(message));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
