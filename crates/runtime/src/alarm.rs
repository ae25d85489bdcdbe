//! One sleeper for all timers of the engine: it wakes at the earliest instant that anybody named.

use crate::shell::Shell;
use engine::Input;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;
use vocab::Instant;

const NEVER: u64 = u64::MAX;

pub(crate) struct Alarm {
    /// Microseconds; it only ever moves forward in time by ringing.
    target: AtomicU64,
    earlier: Notify,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Self { target: AtomicU64::new(NEVER), earlier: Notify::new() }
    }

    /// Rings at `at` or before. Naming a later instant than another one changes nothing: the ring asks again.
    pub(crate) fn pull(&self, at: Instant) {
        if self.target.fetch_min(at.as_micros(), Ordering::AcqRel) > at.as_micros() {
            self.earlier.notify_one();
        }
    }

    fn target(&self) -> Option<Instant> {
        let target = self.target.load(Ordering::Acquire);
        (target != NEVER).then(|| Instant::from_micros(target))
    }
}

/// Feeds a tick whenever something is due, until the runtime stops.
pub(crate) async fn run(alarm: Arc<Alarm>, shell: Weak<Shell>) {
    loop {
        let Some(sleep) = shell.upgrade().map(|shell| alarm.target().map(|at| shell.clock.at(at))) else { return };
        match sleep {
            Some(until) => tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = alarm.earlier.notified() => continue,
            },
            None => {
                alarm.earlier.notified().await;
                continue;
            }
        }
        let Some(shell) = shell.upgrade() else { return };
        // Before the tick: whoever names an instant from here on is heard, and what was named before is known to the
        // engine, whose answer to the tick names the next one.
        alarm.target.store(NEVER, Ordering::Release);
        shell.feed([Input::Tick]);
    }
}
