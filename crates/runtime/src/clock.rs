//! The clock: the wall once at start, and monotonic time since, the time that the machine slept included.
//!
//! It goes through tokio's own clock, so that timers and instants agree, in tests with a paused clock too. That clock
//! stands still while a machine sleeps; an upstream's window for idempotency keys does not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vocab::Instant;

/// Less than this between two clocks is the time between two readings.
const ASLEEP_MIN: Duration = Duration::from_millis(500);

pub(crate) struct Clock {
    wall: Instant,
    start: tokio::time::Instant,
    slept_before: Duration,
    /// Microseconds slept since the start; never less than what was once seen.
    slept: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (wall, start) = (Instant::ZERO + wall, tokio::time::Instant::now());
        Self { wall, start, slept_before: slept(), slept: AtomicU64::new(0) }
    }

    pub(crate) fn now(&self) -> Instant {
        self.wall + self.start.elapsed() + self.slept(slept())
    }

    /// When to wake for an instant, as long as the machine does not sleep again. A microsecond later: waking early
    /// would find nothing due.
    pub(crate) fn at(&self, instant: Instant) -> tokio::time::Instant {
        let slept = Duration::from_micros(self.slept.load(Ordering::Relaxed));
        self.start + instant.since(self.wall).saturating_sub(slept) + Duration::from_micros(1)
    }

    fn slept(&self, in_all: Duration) -> Duration {
        let known = self.slept.load(Ordering::Relaxed);
        let seen = in_all.saturating_sub(self.slept_before);
        if seen < Duration::from_micros(known) + ASLEEP_MIN {
            return Duration::from_micros(known);
        }
        let seen = u64::try_from(seen.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.slept.fetch_max(seen, Ordering::Relaxed).max(seen))
    }
}

/// How long the machine has slept since it was started.
#[cfg(target_os = "linux")]
fn slept() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    // In this order: a pause in between looks like less sleep, never like more.
    let awake_and_asleep = read(ClockId::Boottime);
    awake_and_asleep.saturating_sub(read(ClockId::Monotonic))
}

#[cfg(not(target_os = "linux"))]
fn slept() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    //= G2
    #[tokio::test(start_paused = true)]
    async fn time_that_the_machine_slept_counts_and_never_goes_back() {
        let clock = Clock::new();
        let begun = clock.now();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now().since(begun), Duration::from_secs(5));
        let hours = Duration::from_secs(8 * 3600);
        assert_eq!(clock.slept(clock.slept_before + Duration::from_millis(3)), Duration::ZERO);
        assert_eq!(clock.slept(clock.slept_before + hours), hours);
        assert_eq!(clock.slept(clock.slept_before), hours);
        assert_eq!(clock.now().since(begun), Duration::from_secs(5) + hours);
        let due = clock.now() + Duration::from_secs(2);
        let wait = clock.at(due) - tokio::time::Instant::now();
        assert_eq!(wait, Duration::from_secs(2) + Duration::from_micros(1));
    }
}
