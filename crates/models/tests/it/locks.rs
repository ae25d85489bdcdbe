//! What the shipped files take from `parking_lot`, on locks at which a scheduler decides who goes on.

use shuttle::rand::Rng;
use shuttle::sync;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// A wait that may take this long stands for no time limit: who is to be woken in the course of it and is not hangs,
/// and the scheduler says so. A shorter one may end at any time.
const LONG: Duration = Duration::from_millis(100);

#[derive(Default)]
pub struct Mutex<T>(sync::Mutex<T>);

pub struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    /// `None` only within a wait.
    held: Option<sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: self, held: Some(self.locked()) }
    }

    fn locked(&self) -> sync::MutexGuard<'_, T> {
        self.0.lock().expect("a panic ends the whole run")
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("it does not wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("it does not wait")
    }
}

#[derive(Default)]
pub struct Condvar(sync::Condvar);

pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub fn new() -> Self {
        Self(sync::Condvar::new())
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, until: Instant) -> WaitTimeoutResult {
        let held = guard.held.take().expect("it does not wait");
        let is_short = until.saturating_duration_since(Instant::now()) < LONG;
        guard.held = Some(if is_short {
            drop(held);
            // Others may come in between, or not.
            if shuttle::rand::thread_rng().gen_bool(0.5) {
                shuttle::thread::yield_now();
            }
            guard.lock.locked()
        } else {
            self.0.wait(held).expect("a panic ends the whole run")
        });
        WaitTimeoutResult(is_short)
    }
}
