//! A caller that waits for the answer of a step.

use crate::input::Call;
use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;
use vocab::{Instant, StepId};

/// Even a caller whose time for probes is up waits this long for the first one.
const FIRST_PROBE: Duration = Duration::from_secs(2);

/// Of a caller's time.
const GRACE_SHARE: u32 = 8;

#[derive(Debug)]
pub(crate) struct Caller {
    /// The step that is waited for.
    pub(crate) step: StepId,
    /// Until when it waits at most.
    pub(crate) deadline: Instant,
    /// How much longer it waits for a first look at the world: its deadline is a little before its time is over.
    pub(crate) grace: Duration,
    /// From when on an `unknown` is told rather than waited out.
    pub(crate) unknown_at: Instant,
    /// Its timer, while it has one.
    pub(crate) due: Option<Instant>,
    /// Its time is up; what is known is told as soon as that is durable.
    pub(crate) overdue: bool,
    /// Joined rather than began it.
    pub(crate) attached: bool,
    /// Counts as one of those who were told that nothing is known and came back.
    pub(crate) came_back: bool,
    /// A line for the agent.
    pub(crate) notice: Option<String>,
    pub(crate) structured: bool,
    /// This caller's own call is decided only once the awaited step is: it may run then.
    pub(crate) deferred: Option<Box<Call>>,
    /// The closed step that its own call would open again, kept in memory until then.
    pub(crate) reserves: Option<StepId>,
}

impl Caller {
    pub(crate) fn of(call: &Call, step: StepId, now: Instant) -> Self {
        Self {
            step,
            deadline: call.deadline,
            grace: (call.deadline.since(now) / GRACE_SHARE).min(FIRST_PROBE),
            unknown_at: now + call.rules.probe_wait,
            due: None,
            overdue: false,
            attached: false,
            came_back: false,
            notice: None,
            structured: call.structured,
            deferred: None,
            reserves: None,
        }
    }

    /// When it is told, if the step became unknown at `since`.
    pub(crate) fn told_unknown_at(&self, since: Instant) -> Instant {
        self.deadline.min(self.unknown_at.max(since + FIRST_PROBE))
    }
}
