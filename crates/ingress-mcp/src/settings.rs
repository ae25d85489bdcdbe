//! What an operator may set about the door, and the bounds that always hold.

use std::time::Duration;
use upstream::Implementation;

#[derive(Clone, Debug)]
pub struct Settings {
    /// What the gateway calls itself where it answers for several upstreams.
    pub gateway: Implementation,
    /// Of one message of a client.
    pub limits: mcp::Limits,
    /// Conversations at once; beyond it the one ends that was idle longest, of the caller that has the most, or the new
    /// one is refused.
    pub sessions_max: usize,
    /// Requests of one client at once.
    pub requests_max: usize,
    /// Requests at once of all stateless clients of one caller, whose requests cannot be told apart by client.
    pub shared_requests_max: usize,
    /// Messages that wait for a client's own stream, or on the stream of one request.
    pub queue_max: usize,
    /// A conversation without requests or streams ends after this.
    pub idle: Duration,
    /// Longest wait for an upstream that has to be opened or asked for a list, so that a dead one blocks nobody.
    pub upstream_wait: Duration,
    /// How long an upstream's question may wait for the client's answer.
    pub answer_wait: Duration,
    /// Entries of one page of a list that several upstreams fill.
    pub page_max: usize,
    /// Lists `cofferdam__status` beside the tools of the upstreams.
    pub status_tool: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gateway: Implementation { name: "cofferdam".into(), version: env!("CARGO_PKG_VERSION").into() },
            limits: mcp::Limits::default(),
            sessions_max: 10_000,
            requests_max: 256,
            shared_requests_max: 8_192,
            queue_max: 256,
            idle: Duration::from_secs(30 * 60),
            upstream_wait: Duration::from_secs(10),
            answer_wait: Duration::from_secs(10 * 60),
            page_max: 1_000,
            status_tool: true,
        }
    }
}
