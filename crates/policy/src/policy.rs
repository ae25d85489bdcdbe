//! The resolved policy: what the file means. Nothing in it can be wrong any more.

use crate::defaults;
use crate::problem::{Problem, Problems};
use crate::rules::{EvidenceRules, ToolRules};
use crate::secret::{Expanded, Secret};
use crate::tools::{Entry, RulesFor, ToolFacts};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::time::Duration;
use vocab::{Hash, Name};

/// One policy file, resolved.
///
/// The sections are plain data for the parts of the gateway that go by them; which rules a tool falls under is
/// [`Policy::rules`].
#[derive(Clone, Debug)]
pub struct Policy {
    /// `host:port` of the agents' listener.
    pub listen: String,
    pub admin: Admin,
    /// Who may call. Empty: everybody who reaches the (loopback) listener is one principal.
    pub principals: Vec<Principal>,
    /// Host names under which requests may call, without ports.
    pub hosts: Vec<String>,
    /// Origins from which pages may call.
    pub origins: Vec<String>,
    pub journal: Journal,
    /// In the order of the file.
    pub upstreams: Vec<Upstream>,
    pub limits: Limits,
    pub(crate) spans: Spans,
    pub(crate) entries: Vec<Entry>,
    pub(crate) hash: Hash,
    pub(crate) warnings: Vec<Problem>,
}

/// Where the operator's side listens; never the agents' listener.
#[derive(Clone, Debug)]
pub enum Admin {
    /// A Unix socket, mode 0600. `None`: beside the journal.
    Socket(Option<Expanded>),
    Listen {
        address: String,
        token: Secret,
    },
}

#[derive(Clone, Debug)]
pub struct Principal {
    pub name: Name,
    pub tenant: Name,
    pub token: Secret,
}

#[derive(Clone, Debug)]
pub struct Journal {
    /// A directory. `None`: the binary's own default for the way it was started.
    pub path: Option<Expanded>,
    /// Where several gateways share the journal; `None`: a file in `path`.
    pub postgres: Option<Database>,
    pub durability: Durability,
    pub keep: Keep,
}

/// A Postgres database with the journal in it.
#[derive(Clone, Debug)]
pub struct Database {
    /// `postgres://…`, password and all.
    pub url: Secret,
    /// How long a silent gateway keeps its steps.
    pub lease: Duration,
    /// How long a gateway may be paused between its last look at the lease and its first byte.
    pub pause_max: Duration,
    pub accept_loss: Vec<Loss>,
}

/// A setting of the database under which it loses what it has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Fsync,
    SynchronousCommit,
    FullPageWrites,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Survives loss of power.
    #[default]
    Full,
    /// Survives a crash of the process only; the guarantees say less then.
    ProcessCrashOnly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Result bodies, arguments and events of closed steps.
    pub bodies: Duration,
    pub tombstones: Duration,
    /// Notes of reads.
    pub reads: Duration,
}

/// Where a compensator is named, and which members its arguments surely have.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub upstream: Name,
    pub tool: Name,
    /// `None`: the expression makes its names otherwise.
    pub members: Option<Vec<String>>,
    /// Problems without a message, at the place of each.
    pub call: Problem,
    pub args: Problem,
}

#[derive(Clone, Debug)]
pub struct Upstream {
    pub name: Name,
    pub transport: Transport,
    /// Its annotations are believed.
    pub trusted: bool,
    /// A child process that has nothing in flight elsewhere.
    pub local: bool,
    pub evidence: EvidenceRules,
    /// The one MCP revision to speak with it; `None` negotiates.
    pub revision: Option<Name>,
    pub limits: UpstreamLimits,
    /// Connect, TLS, spawn and handshake.
    pub connect_timeout: Duration,
    pub(crate) spans: Spans,
}

#[derive(Clone, Debug)]
pub enum Transport {
    Stdio {
        /// Program and arguments; never empty.
        command: Vec<Expanded>,
        env: Vec<(String, Secret)>,
        cwd: Option<Expanded>,
    },
    Http {
        url: Expanded,
        headers: Vec<(String, Secret)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Bytes of one message that it may send.
    pub message_max: u64,
    /// Calls in flight.
    pub calls_max: u32,
    pub sessions_max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message of an agent.
    pub message_max: u64,
    /// Bytes of the arguments of one call.
    pub args_max: u64,
    /// Nesting of one message.
    pub depth_max: u32,
    pub sessions_max: u32,
    /// Calls in flight, over all agents.
    pub calls_max: u32,
}

/// The time spans of a step, as far as defaults, upstream or tool say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spans {
    pub attempt: Option<Duration>,
    pub step: Option<Duration>,
    pub detached_max: Option<Duration>,
    pub probe_wait: Option<Duration>,
    pub probe_budget: Option<Duration>,
    pub quiescence: Option<Duration>,
    pub absent_spacing: Option<Duration>,
    pub reissue_window: Option<Duration>,
}

impl Policy {
    /// Reads a policy. Pure: the caller has read the file, and `env` answers for `${VAR}`.
    ///
    /// # Errors
    /// Everything that is wrong with it: the first error of form, or all errors of meaning.
    pub fn parse(text: &str, file: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        crate::resolve::policy(text, file, env, Vec::new())
    }

    /// As [`Policy::parse`], with upstreams that the command line names; the file's own win over them by name.
    ///
    /// # Errors
    /// As [`Policy::parse`].
    pub fn parse_with(
        text: &str,
        file: &str,
        env: &dyn Fn(&str) -> Option<String>,
        upstreams: Vec<Upstream>,
    ) -> Result<Self, Problems> {
        crate::resolve::policy(text, file, env, upstreams)
    }

    /// Listens elsewhere than the file says.
    ///
    /// # Errors
    /// A hint, when it is no address, or lies beyond loopback while no principal has a token.
    pub fn with_listen(mut self, address: &str) -> Result<Self, String> {
        if !crate::resolve::is_loopback(address)? && self.principals.is_empty() {
            return Err("listening beyond loopback demands a principal with a token (policy: auth)".to_string());
        }
        self.listen = address.to_string();
        self.hash = self.hashed();
        Ok(self)
    }

    /// The policy without a file: every default, in front of these upstreams.
    pub fn default_with(upstreams: Vec<Upstream>) -> Self {
        let mut policy = Self {
            listen: defaults::LISTEN.to_string(),
            admin: Admin::Socket(None),
            principals: Vec::new(),
            hosts: Vec::new(),
            origins: Vec::new(),
            journal: Journal { path: None, postgres: None, durability: Durability::Full, keep: Keep::default() },
            upstreams,
            limits: Limits::default(),
            spans: Spans::default(),
            entries: Vec::new(),
            hash: Hash::default(),
            warnings: Vec::new(),
        };
        policy.hash = policy.hashed();
        policy
    }

    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| &*upstream.name == name)
    }

    /// What policy says about one tool of an upstream, given what the upstream says about it.
    pub fn rules(&self, upstream: &str, facts: &ToolFacts) -> RulesFor {
        crate::tools::rules_for(self, upstream, facts)
    }

    /// The rules of a tool whose upstream does not (or not yet) list it: what the file says, else the worst.
    pub fn rules_unlisted(&self, upstream: &str, tool: &str) -> RulesFor {
        self.rules(upstream, &ToolFacts::named(tool))
    }

    /// Names the meaning of this policy: equal for equal text, whatever the secrets are.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// What is legal but hardly meant, such as a rule that can never apply.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    pub(crate) fn hashed(&self) -> Hash {
        struct Feed(blake3::Hasher);
        impl fmt::Write for Feed {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.update(text.as_bytes());
                Ok(())
            }
        }
        let mut feed = Feed(blake3::Hasher::new());
        // `Debug` of the resolved parts shows no secrets, only where they come from. It may change with the program's
        // version; so may the meaning of a policy.
        let callers = (&self.principals, &self.hosts, &self.origins);
        let parts = (&self.listen, &self.admin, callers, &self.journal, &self.upstreams, &self.limits);
        let written = write!(feed, "policy1 {parts:?} {:?} {:?}", self.spans, self.entries);
        debug_assert!(written.is_ok(), "hashing does not fail");
        Hash(*feed.0.finalize().as_bytes())
    }
}

impl Upstream {
    /// A stdio child with every default.
    pub fn command(name: impl Into<Name>, command: Vec<String>) -> Self {
        let command = command.into_iter().map(Expanded::literal).collect();
        Self::new(name.into(), Transport::Stdio { command, env: Vec::new(), cwd: None })
    }

    /// A streamable HTTP server with every default.
    pub fn http(name: impl Into<Name>, url: impl Into<String>) -> Self {
        Self::new(name.into(), Transport::Http { url: Expanded::literal(url.into()), headers: Vec::new() })
    }

    pub(crate) fn new(name: Name, transport: Transport) -> Self {
        Self {
            name,
            transport,
            trusted: false,
            local: false,
            evidence: EvidenceRules::default(),
            revision: None,
            limits: UpstreamLimits::default(),
            connect_timeout: defaults::CONNECT,
            spans: Spans::default(),
        }
    }

    pub const fn is_stdio(&self) -> bool {
        matches!(self.transport, Transport::Stdio { .. })
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self { bodies: defaults::KEEP_BODIES, tombstones: defaults::KEEP_TOMBSTONES, reads: defaults::KEEP_READS }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_max: defaults::MESSAGE_MAX,
            args_max: defaults::ARGS_MAX,
            depth_max: defaults::DEPTH_MAX,
            sessions_max: defaults::SESSIONS_MAX,
            calls_max: defaults::CALLS_MAX,
        }
    }
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            message_max: defaults::MESSAGE_MAX,
            calls_max: defaults::UPSTREAM_CALLS_MAX,
            sessions_max: defaults::SESSIONS_MAX,
        }
    }
}

impl Spans {
    /// What is said here, else what the outer level says.
    pub(crate) fn or(self, outer: Self) -> Self {
        Self {
            attempt: self.attempt.or(outer.attempt),
            step: self.step.or(outer.step),
            detached_max: self.detached_max.or(outer.detached_max),
            probe_wait: self.probe_wait.or(outer.probe_wait),
            probe_budget: self.probe_budget.or(outer.probe_budget),
            quiescence: self.quiescence.or(outer.quiescence),
            absent_spacing: self.absent_spacing.or(outer.absent_spacing),
            reissue_window: self.reissue_window.or(outer.reissue_window),
        }
    }

    pub(crate) fn apply(self, rules: &mut ToolRules) {
        let pairs = [
            (self.attempt, &mut rules.attempt_timeout),
            (self.step, &mut rules.step_timeout),
            (self.detached_max, &mut rules.detached_max),
            (self.probe_wait, &mut rules.probe_wait),
            (self.probe_budget, &mut rules.probe_budget),
            (self.quiescence, &mut rules.quiescence),
            (self.absent_spacing, &mut rules.absent_spacing),
            (self.reissue_window, &mut rules.reissue_window),
        ];
        for (said, span) in pairs {
            if let Some(said) = said {
                *span = said;
            }
        }
    }
}
