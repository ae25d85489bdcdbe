//! What is varied: world, trouble, agent, transport, route, seed.

use std::time::Duration;
use testkit::Fault;
use testkit::faults::Plan;

/// How often a call meets trouble.
pub const RATE: f64 = 0.3;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Nothing,
    Server(Fault),
    /// All of the server's together.
    Mixed,
    /// The network delivers the agent's message twice.
    Twice,
    /// The agent hears nothing, and re-issues its call under the same id.
    SameId,
    /// The same under a new id.
    NewId,
    /// `kill -9` of the gateway while a call is out.
    Kill,
}

impl Trouble {
    /// Every row of the table.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Nothing];
        all.extend(server_faults().map(Self::Server));
        all.extend([Self::Mixed, Self::Twice, Self::SameId, Self::NewId, Self::Kill]);
        all
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing goes wrong",
            Self::Server(Fault::Before503) => "503, no effect",
            Self::Server(Fault::BeforeIsError) => "`isError`, no effect",
            Self::Server(Fault::EffectLost) => "effect, connection lost",
            Self::Server(Fault::Effect504) => "effect, 504",
            Self::Server(Fault::EffectLate) => "effect, answer after the client's timeout",
            Self::Server(Fault::EffectBad(_)) => "effect, truncated or misshapen answer",
            Self::Server(Fault::EffectAfter) => "effect after the client gave up",
            Self::Server(Fault::StaleRead) => "stale reads",
            Self::Server(Fault::Duplicate) | Self::Twice => "delivered twice by the network",
            Self::Mixed => "all faults of the server, mixed",
            Self::SameId => "re-issued under the same id",
            Self::NewId => "re-issued under a new id",
            Self::Kill => "`kill -9` of the gateway",
        }
    }

    /// A pipe delivers once, and without a gateway there is none to kill.
    pub fn applies(self, transport: Transport, route: Route) -> bool {
        match self {
            Self::Twice => transport != Transport::Stdio,
            Self::Kill => route != Route::Direct,
            _ => true,
        }
    }
}

/// Duplicate delivery is the network's between agent and first hop; behind the gateway it would be the server's own.
fn server_faults() -> impl Iterator<Item = Fault> {
    Fault::KINDS.into_iter().filter(|fault| *fault != Fault::Duplicate)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// Calls again, three times at most, whenever it sees an error or nothing.
    Retries,
    /// Calls once. Where it is told that the outcome is not known yet, it asks for the status.
    Once,
}

impl Agent {
    pub const ALL: [Self; 2] = [Self::Retries, Self::Once];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Retries => "retries 3 times",
            Self::Once => "never retries",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Stdio,
    Sessions,
    Stateless,
}

impl Transport {
    pub const ALL: [Self; 3] = [Self::Stdio, Self::Sessions, Self::Stateless];

    pub const fn revision(self) -> &'static str {
        match self {
            Self::Stdio | Self::Sessions => "2025-11-25",
            Self::Stateless => testkit::server::STATELESS,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Sessions => "HTTP, 2025-11-25",
            Self::Stateless => "HTTP, 2026-07-28",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// No gateway.
    Direct,
    /// A policy with a read-back for each tool that changes something.
    Readback,
    /// The policy that `init` writes.
    Init,
    /// No rules for tools, and tools without annotations.
    Bare,
}

impl Route {
    pub const ALL: [Self; 4] = [Self::Direct, Self::Readback, Self::Init, Self::Bare];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "without the gateway",
            Self::Readback => "through it, read-backs in the policy",
            Self::Init => "through it, the policy that `init` writes",
            Self::Bare => "through it, no annotations and no rules",
        }
    }

    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Readback => "readback",
            Self::Init => "init",
            Self::Bare => "bare",
        }
    }
}

/// Time spans and sizes of a route's cases.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Calls of a task.
    pub calls: usize,
    /// How long a client waits for an answer.
    pub patience: Duration,
    /// How late a late effect or answer is: later than that.
    pub late: Duration,
    /// How long an agent thinks between two calls, as a model does; its retries come at once.
    pub think: Duration,
    /// How long an agent that never retries follows up an unknown outcome.
    pub follow: Duration,
}

/// How long a server works on a call, so that a kill and a hang-up fall into the middle.
pub const WORK: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub world: &'static str,
    pub trouble: Trouble,
    pub agent: Agent,
    pub transport: Transport,
    pub route: Route,
    pub seed: u64,
    pub scale: Scale,
}

impl Case {
    /// What the server does wrong.
    pub fn plan(&self) -> Plan {
        let seed = self.seed;
        let plan = match self.trouble {
            Trouble::Server(fault) => Plan::of(fault, RATE, seed),
            Trouble::Mixed => {
                let count = server_faults().count() as f64;
                Plan { seed, rates: server_faults().map(|fault| (fault, RATE / count)).collect(), ..Plan::default() }
            }
            _ => Plan { seed, ..Plan::default() },
        };
        Plan { late: self.scale.late, work: WORK, ..plan }
    }

    /// Effects may come this much later than the last answer.
    pub fn settles_after(&self) -> Duration {
        match self.trouble {
            Trouble::Server(Fault::EffectAfter | Fault::EffectLate) | Trouble::Mixed => self.scale.late,
            _ => Duration::ZERO,
        }
    }

    pub const fn annotations(&self) -> bool {
        !matches!(self.route, Route::Bare)
    }
}
