//! What the runtime itself is bounded by; everything about tools and steps stands in the policy.

use std::time::Duration;

/// Knobs of the gateway. The policy's `limits` hold besides: of two bounds the smaller one.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Calls that may wait at once, over all agents.
    pub calls_max: usize,
    /// Steps in memory, open ones included.
    pub steps_max: usize,
    /// Callers that may wait for one step.
    pub waiters_max: usize,
    /// Longest wait that a caller can ask for.
    pub patience_max: Duration,
    /// Pause between two rounds of retention.
    pub maintain_every: Duration,
    /// How long a state of `input_required` is remembered with the step that handed it out.
    pub leg_ttl: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calls_max: 65_536,
            steps_max: 100_000,
            waiters_max: 64,
            patience_max: Duration::from_secs(3600),
            maintain_every: Duration::from_secs(5),
            leg_ttl: Duration::from_secs(3600),
        }
    }
}
