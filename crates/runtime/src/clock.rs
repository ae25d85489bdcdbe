//! The clock: the wall once at start, and monotonic time since.
//!
//! It goes through tokio's own clock, so that timers and instants agree, in tests with a paused clock too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vocab::Instant;

pub(crate) struct Clock {
    wall: Instant,
    start: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall: Instant::ZERO + wall, start: tokio::time::Instant::now() }
    }

    pub(crate) fn now(&self) -> Instant {
        self.wall + self.start.elapsed()
    }

    /// When to wake for an instant. Rounded up to the next microsecond: waking early would find nothing due.
    pub(crate) fn at(&self, instant: Instant) -> tokio::time::Instant {
        self.start + instant.since(self.wall) + Duration::from_micros(1)
    }
}
