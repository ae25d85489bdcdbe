//! What an upstream is: where it runs, what it may take, which revision it speaks.

use bytes::Bytes;
use mcp::Revision;
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;
use vocab::Name;

pub use crate::known::Known;
pub use crate::stdio::Environment;

/// One configured upstream.
#[derive(Clone, Debug)]
pub struct Config {
    pub name: Name,
    pub transport: Transport,
    /// The one revision to speak with it; `None` negotiates.
    pub revision: Option<Revision>,
    pub limits: Limits,
    /// Connect, TLS, spawn and handshake, all together.
    pub connect_timeout: Duration,
    /// What the gateway calls itself in its own sessions.
    pub gateway: Implementation,
    /// What was learned of it since: `Known::default()` at first.
    pub known: Known,
}

#[derive(Clone, Debug)]
pub enum Transport {
    Stdio {
        /// The program and its arguments; never empty. Arguments may hold secrets.
        command: Vec<SecretString>,
        env: Vec<(String, SecretString)>,
        cwd: Option<PathBuf>,
        /// What it sees of our own environment besides.
        environment: Environment,
        /// A folder that names the process groups of running children, for
        /// [`crate::end_children_of_earlier_starts`] after a crash. `None`: nothing is written down.
        children: Option<PathBuf>,
    },
    Http {
        /// May hold secrets in its query.
        url: SecretString,
        headers: Vec<(String, SecretString)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message that the upstream may send.
    pub message_max: usize,
    /// Nesting of one message that the upstream may send.
    pub depth_max: usize,
    /// Requests in flight on one session.
    pub calls_max: usize,
    /// Sessions at once; beyond it the one that was idle longest is closed.
    pub sessions_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message_max: 16 * 1024 * 1024, depth_max: 128, calls_max: 256, sessions_max: 256 }
    }
}

/// Name and version of an MCP implementation.
#[derive(Clone, Debug)]
pub struct Implementation {
    pub name: String,
    pub version: String,
}

/// For whom a session is opened: presented to the upstream as the caller presented itself.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// The params of the caller's `initialize` as they came. Only `protocolVersion` is changed. It also says that the
    /// caller speaks the session era, so that this era is tried first.
    pub initialize: Option<Bytes>,
    /// `clientInfo` of a caller without `initialize`, as JSON. `None`: the gateway's own.
    pub client_info: Option<Bytes>,
    /// `capabilities` of a caller without `initialize`, as JSON. `None`: none.
    pub capabilities: Option<Bytes>,
    /// The revision that the caller speaks: offered first, so that no translation is needed.
    pub revision: Option<Revision>,
}
