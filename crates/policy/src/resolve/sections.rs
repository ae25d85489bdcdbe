//! Listener, operator's side, principals, journal, limits and default spans.

use super::Resolver;
use crate::defaults;
use crate::policy::{Admin, Database, Durability, Keep, Limits, Loss, Policy, Principal, Spans};
use crate::problem::Place;
use crate::raw::{self, At};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

/// Shorter tokens can be guessed.
const TOKEN_MIN: usize = 16;

impl Resolver<'_> {
    pub(super) fn auth(&mut self, policy: &mut Policy, raw: Option<raw::Auth>) {
        let raw = raw.unwrap_or_default();
        policy.hosts = self.hosts(raw.hosts.unwrap_or_default(), raw.principals.is_none());
        policy.origins = self.origins(raw.origins.unwrap_or_default());
        let mut principals: Vec<Principal> = Vec::new();
        for raw in raw.principals.unwrap_or_default() {
            let name = self.name(&raw.value.name);
            let problems = self.problems.len();
            let token = self.secret(&raw.value.token);
            if self.problems.len() == problems {
                self.token_strength(token.expose(), raw.value.token.place);
            }
            let tenant = raw.value.tenant.as_ref().map_or_else(|| defaults::TENANT.into(), |tenant| self.name(tenant));
            if principals.iter().any(|other| other.name == name && other.tenant == tenant) {
                self.error(raw.value.name.place, format!("there are two principals `{name}` of one tenant"));
            }
            if !token.expose().is_empty() && principals.iter().any(|other| other.token.expose() == token.expose()) {
                let problem = self.error(raw.value.token.place, "another principal has the same token");
                problem.hint = Some("callers are told apart by their tokens only".into());
            }
            principals.push(Principal { name, tenant, token });
        }
        policy.principals = principals;
    }

    fn hosts(&mut self, raw: Vec<raw::Text>, is_open: bool) -> Vec<String> {
        let mut hosts = Vec::with_capacity(raw.len());
        for raw in raw {
            let host = self.expanded(&raw).expose().to_string();
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if host.is_empty() || !host.bytes().all(is_name) {
                self.error(raw.place, "this is no host name").hint = Some("the name alone: no scheme, no port".into());
            } else if is_open && hosts.is_empty() {
                let problem = self.warn(raw.place, "whoever reaches the gateway under this name may call every tool");
                problem.hint = Some("add principals, each with a token".into());
            }
            hosts.push(host);
        }
        hosts
    }

    fn origins(&mut self, raw: Vec<raw::Text>) -> Vec<String> {
        let mut origins = Vec::with_capacity(raw.len());
        for raw in raw {
            let origin = self.expanded(&raw).expose().to_string();
            let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if rest
                .is_none_or(|rest| rest.is_empty() || rest.contains(['/', '*']) || rest.contains(char::is_whitespace))
            {
                let problem = self.error(raw.place, "this is no origin");
                problem.hint = Some("scheme, host and port as a browser sends them: https://console.example".into());
            }
            origins.push(origin);
        }
        origins
    }

    fn token_strength(&mut self, token: &str, place: Place) {
        if token.trim().is_empty() {
            self.error(place, "the token is empty");
        } else if token.contains(char::is_whitespace) {
            self.error(place, "a token holds no spaces");
        } else if token.len() < TOKEN_MIN {
            let problem = self.warn(place, format!("the token is shorter than {TOKEN_MIN} characters"));
            problem.hint = Some("make one: `openssl rand -hex 24`".into());
        }
    }

    pub(super) fn listen(&mut self, policy: &mut Policy, raw: Option<raw::Text>) {
        let Some(raw) = raw else { return };
        let problems = self.problems.len();
        policy.listen = self.expanded(&raw).expose().to_string();
        if self.problems.len() > problems {
            return;
        }
        match is_loopback(&policy.listen) {
            Err(hint) => self.error(raw.place, "this is no address to listen at").hint = Some(hint),
            Ok(false) if policy.principals.is_empty() => {
                let problem = self.error(raw.place, "listening beyond loopback demands a principal with a token");
                problem.hint = Some("add auth: { principals: [{ name: …, token: \"${TOKEN}\" }] }".into());
            }
            Ok(_) => {}
        }
    }

    pub(super) fn admin(&mut self, policy: &mut Policy, raw: Option<At<raw::Admin>>) {
        let Some(At { value: raw, place }) = raw else { return };
        match (raw.socket, raw.listen, raw.token) {
            (None, None, None) => {
                self.error(place, "`admin` needs `socket`, or `listen` with `token`");
            }
            (Some(socket), None, None) => policy.admin = Admin::Socket(Some(self.expanded(&socket))),
            (Some(socket), _, _) => {
                self.error(socket.place, "`socket` stands alone, without `listen` and `token`");
            }
            (None, None, Some(token)) => {
                self.error(token.place, "`token` belongs to `listen`");
            }
            (None, Some(listen), None) => {
                let problem = self.error(listen.place, "`listen` of the operator's side needs a `token`, loopback too");
                problem.hint = Some("an agent can reach loopback; add token: \"${COFFERDAM_ADMIN_TOKEN}\"".into());
            }
            (None, Some(listen), Some(token)) => {
                let problems = self.problems.len();
                let address = self.expanded(&listen).expose().to_string();
                let secret = self.secret(&token);
                if self.problems.len() == problems {
                    self.token_strength(secret.expose(), token.place);
                    if let Err(hint) = is_loopback(&address) {
                        self.error(listen.place, "this is no address to listen at").hint = Some(hint);
                    }
                    if address == policy.listen {
                        self.error(listen.place, "the operator's side never shares the agents' listener");
                    }
                    if policy.principals.iter().any(|principal| principal.token.expose() == secret.expose()) {
                        self.error(token.place, "an agent has the same token as the operator");
                    }
                }
                policy.admin = Admin::Listen { address, token: secret };
            }
        }
    }

    pub(super) fn journal(&mut self, policy: &mut Policy, raw: Option<raw::Journal>) {
        let raw = raw.unwrap_or_default();
        policy.journal.path = raw.path.as_ref().map(|path| self.expanded(path));
        policy.journal.durability = match raw.durability {
            Some(raw::Durability::ProcessCrashOnly) => Durability::ProcessCrashOnly,
            Some(raw::Durability::Full) | None => Durability::Full,
        };
        policy.journal.postgres = self.database(policy, &raw);
        let mut keep = Keep::default();
        let longest = policy.entries.iter().filter_map(|entry| entry.key.as_ref()?.1).max().unwrap_or_default();
        if let Some(raw) = raw.keep {
            keep.bodies = raw.bodies.as_ref().map_or(keep.bodies, |span| self.positive(span));
            keep.reads = raw.reads.as_ref().map_or(keep.reads, |span| self.span(span));
            if let Some(span) = &raw.tombstones {
                keep.tombstones = self.positive(span);
                if keep.tombstones < longest {
                    let problem = self.error(span.0.place, "tombstones go before a key window ends");
                    problem.hint = Some("a key that is forgotten here and still honoured upstream runs twice".into());
                } else if keep.tombstones < keep.bodies {
                    self.error(span.0.place, "tombstones go before result bodies");
                }
            }
        }
        keep.tombstones = keep.tombstones.max(longest).max(keep.bodies);
        policy.journal.keep = keep;
    }

    //= G3
    fn database(&mut self, policy: &Policy, raw: &raw::Journal) -> Option<Database> {
        let Some(text) = &raw.postgres else {
            let spans = [(&raw.lease, "lease"), (&raw.pause_max, "pause_max")];
            for (span, key) in spans {
                if let Some(span) = span {
                    self.error(span.0.place, format!("`{key}` means nothing without `postgres`"));
                }
            }
            return None;
        };
        let url = self.secret(text);
        let lease = raw.lease.as_ref().map_or(defaults::LEASE, |span| self.positive(span));
        let pause_max = raw.pause_max.as_ref().map_or(defaults::PAUSE_MAX, |span| self.span(span));
        if policy.journal.durability == Durability::ProcessCrashOnly {
            self.error(text.place, "`durability` is the database's own: see `accept_loss`");
        }
        let least = lease + pause_max;
        let rules = policy.entries.iter().map(|entry| entry.spans.quiescence);
        let upstreams = policy.upstreams.iter().map(|upstream| upstream.spans.quiescence);
        let otherwise = policy.spans.quiescence.unwrap_or(defaults::QUIESCENCE);
        let shortest = rules.chain(upstreams).flatten().min().map_or(otherwise, |one| one.min(otherwise));
        if shortest < least {
            let problem = self.error(text.place, "a quiescence is shorter than `lease` and `pause_max` together");
            let why = "a gateway that was taken for dead may still send for so long";
            problem.hint = Some(format!("{why}: {} s are needed, {} s are set", least.as_secs(), shortest.as_secs()));
        }
        let accept_loss = raw.accept_loss.iter().flatten().map(|loss| match loss {
            raw::Loss::Fsync => Loss::Fsync,
            raw::Loss::SynchronousCommit => Loss::SynchronousCommit,
            raw::Loss::FullPageWrites => Loss::FullPageWrites,
        });
        Some(Database { url, lease, pause_max, accept_loss: accept_loss.collect() })
    }

    pub(super) fn limits(&mut self, raw: Option<raw::Limits>) -> Limits {
        let mut limits = Limits::default();
        let Some(raw) = raw else { return limits };
        if let Some(size) = &raw.message_max {
            limits.message_max = self.size(size);
        }
        if let Some(size) = &raw.args_max {
            limits.args_max = self.size(size);
            if limits.args_max > limits.message_max {
                self.error(size.0.place, "arguments cannot be larger than the message that holds them");
            }
        }
        limits.args_max = limits.args_max.min(limits.message_max);
        limits.depth_max = self.count(raw.depth_max, limits.depth_max, 128);
        limits.sessions_max = self.count(raw.sessions_max, limits.sessions_max, 1_000_000);
        limits.calls_max = self.count(raw.calls_max, limits.calls_max, 1_000_000);
        limits
    }

    pub(super) fn count(&mut self, raw: Option<At<u32>>, default: u32, max: u32) -> u32 {
        let Some(At { value, place }) = raw else { return default };
        if !(1..=max).contains(&value) {
            self.error(place, format!("this must lie between 1 and {max}"));
        }
        value
    }

    pub(super) fn defaults(&mut self, raw: &raw::Defaults) -> Spans {
        let mut spans = raw.timeouts.as_ref().map_or_else(Spans::default, |raw| self.timeouts(raw));
        spans.quiescence = raw.quiescence.as_ref().map(|span| self.span(span));
        spans.absent_spacing = raw.absent_spacing.as_ref().map(|span| self.span(span));
        spans.probe_wait = raw.probe_wait.as_ref().map(|span| self.span(span));
        spans.probe_budget = raw.probe_budget.as_ref().map(|span| self.positive(span));
        spans.reissue_window = raw.reissue_window.as_ref().map(|span| self.span(span));
        spans
    }

    pub(super) fn timeouts(&mut self, raw: &raw::Timeouts) -> Spans {
        let spans = Spans {
            attempt: raw.attempt.as_ref().map(|span| self.positive(span)),
            step: raw.step.as_ref().map(|span| self.positive(span)),
            detached_max: raw.detached_max.as_ref().map(|span| self.span(span)),
            ..Spans::default()
        };
        if let (Some(attempt), Some(step), Some(span)) = (spans.attempt, spans.step, &raw.attempt)
            && attempt > step
        {
            self.error(span.0.place, "one attempt is longer than the whole step");
        }
        spans
    }
}

/// Is it an address of this machine only? The error is a hint.
pub(crate) fn is_loopback(address: &str) -> Result<bool, String> {
    if let Ok(address) = address.parse::<SocketAddr>() {
        return Ok(address.ip().is_loopback());
    }
    let form = "write host:port, such as 127.0.0.1:7070 or [::1]:7070";
    let (host, port) = address.rsplit_once(':').ok_or(form)?;
    port.parse::<u16>().map_err(|_| form)?;
    match host {
        "localhost" => Ok(true),
        host if host.parse::<IpAddr>().is_ok() => Err("an IPv6 address stands in brackets: [::1]:7070".into()),
        // A name may resolve to anything: it is taken for the outside.
        host if !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) => Ok(false),
        _ => Err(form.into()),
    }
}
