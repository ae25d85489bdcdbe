//! What the listener for agents goes by.

use super::replay::Kept;
use std::time::Duration;

/// Every field has a default that suits a loopback listener.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Names that requests may call the gateway by, beside loopback ones on a loopback listener: behind a proxy, the
    /// proxy's. Beyond loopback an empty list allows every name, because a token is demanded there.
    pub hosts: Vec<String>,
    /// What the header `Origin` may say, such as `https://console.example`; on a loopback listener also loopback ones.
    /// There is no CORS: a browser lets no page call that is not served from here.
    pub origins: Vec<String>,
    /// Connections at once; one more is told 503 and closed.
    pub connections_max: usize,
    /// Bytes of the head of a request.
    pub head_max: usize,
    /// Header fields of a request.
    pub headers_max: usize,
    /// Requests at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// A connection without a whole request for this long is closed: before the first, inside of a head, in between.
    pub quiet: Duration,
    /// For the body of a request.
    pub body_timeout: Duration,
    /// A client that takes no byte for this long is given up.
    pub write_timeout: Duration,
    /// A comment goes out after so much silence on a stream of events.
    pub keep_alive: Duration,
    /// A request that has no answer after this is answered with a stream, so that intermediaries see bytes.
    pub stream_after: Duration,
    /// How long a stream that broke waits for its client to come back. Then the client has left.
    pub resume: Duration,
    /// When clients shall come back, as they are told.
    pub retry: Duration,
    /// How much is kept for them.
    pub kept: Kept,
    /// For requests under way when the gateway stops.
    pub drain: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            origins: Vec::new(),
            connections_max: 4096,
            head_max: 64 * 1024,
            headers_max: 100,
            streams_max: 128,
            quiet: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
            stream_after: Duration::from_secs(10),
            resume: Duration::from_secs(30),
            retry: Duration::from_secs(1),
            kept: Kept::default(),
            drain: Duration::from_secs(30),
        }
    }
}
