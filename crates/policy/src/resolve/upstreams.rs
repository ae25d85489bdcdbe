//! Upstreams: how to reach them and what their answers prove.

use super::Resolver;
use crate::policy::{Spans, Transport, Upstream, UpstreamLimits};
use crate::problem::Place;
use crate::raw::{self, At, Entries, Text};
use crate::secret::{Expanded, Secret};
use crate::words;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use vocab::Name;

const REVISIONS: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
/// Set by the transport itself.
const HEADERS_OURS: [&str; 10] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "transfer-encoding",
];
const UPSTREAMS_MAX: usize = 256;

impl Resolver<'_> {
    pub(super) fn upstreams(&mut self, raw: Option<Entries<raw::Upstream>>, given: Vec<Upstream>) -> Vec<Upstream> {
        let mut upstreams: Vec<Upstream> = Vec::new();
        for (name, raw) in raw.map(|entries| entries.0).unwrap_or_default() {
            if let Some(why) = bad_name(&name.value) {
                self.error(name.place, format!("`{}` is no name of an upstream", name.value)).hint = Some(why.into());
            }
            if upstreams.len() == UPSTREAMS_MAX {
                self.error(name.place, format!("more than {UPSTREAMS_MAX} upstreams"));
                break;
            }
            upstreams.push(self.upstream(&name.value, raw));
        }
        for one in given {
            if !upstreams.iter().any(|upstream| upstream.name == one.name) {
                upstreams.push(one);
            }
        }
        if upstreams.is_empty() {
            self.warn(Place::default(), "there is no upstream: no agent can call anything");
        }
        upstreams
    }

    fn upstream(&mut self, name: &str, raw: raw::Upstream) -> Upstream {
        let mut upstream = Upstream::new(Name::from(name), self.transport(raw.mcp));
        upstream.trusted = raw.trusted.unwrap_or(false);
        if let Some(At { value: true, place }) = raw.local {
            upstream.local = true;
            if !upstream.is_stdio() {
                self.error(
                    place,
                    "`local` is for child processes: nothing is known of what a server over HTTP still does",
                );
            }
        }
        if let Some(evidence) = raw.evidence {
            let rules = &mut upstream.evidence;
            rules.invalid_params_refused = evidence.invalid_params == Some(raw::Proof::Refused);
            rules.rate_limit_refused = evidence.rate_limit != Some(raw::Proof::Ambiguous);
            rules.sheds_first = evidence.sheds_first.unwrap_or(false);
        }
        for pattern in raw.ambiguous_error_patterns.unwrap_or_default() {
            let text = pattern.value.trim().to_lowercase();
            if text.is_empty() {
                self.error(pattern.place, "an empty pattern fits every error");
            } else if !upstream.evidence.ambiguous_errors.contains(&text) {
                upstream.evidence.ambiguous_errors.push(text);
            }
        }
        if let Some(revision) = raw.revision {
            if !REVISIONS.contains(&revision.value.as_str()) {
                let hint = Some(format!("one of: {}", REVISIONS.join(", ")));
                self.error(revision.place, format!("`{}` is no revision of MCP", revision.value)).hint = hint;
            }
            upstream.revision = Some(revision.value.as_str().into());
        }
        upstream.limits = self.upstream_limits(raw.limits);
        let timeouts = raw.timeouts.unwrap_or_default();
        if let Some(connect) = &timeouts.connect {
            upstream.connect_timeout = self.positive(connect);
        }
        let step =
            raw::Timeouts { attempt: timeouts.attempt, step: timeouts.step, detached_max: timeouts.detached_max };
        let quiescence = raw.quiescence.as_ref().map(|span| self.span(span));
        upstream.spans = Spans { quiescence, ..self.timeouts(&step) };
        upstream
    }

    fn upstream_limits(&mut self, raw: Option<raw::UpstreamLimits>) -> UpstreamLimits {
        let mut limits = UpstreamLimits::default();
        let Some(raw) = raw else { return limits };
        if let Some(size) = &raw.message_max {
            limits.message_max = self.size(size);
        }
        limits.calls_max = self.count(raw.calls_max, limits.calls_max, 100_000);
        limits.sessions_max = self.count(raw.sessions_max, limits.sessions_max, 1_000_000);
        limits
    }

    fn transport(&mut self, At { value: raw, place }: At<raw::Mcp>) -> Transport {
        match (raw.command, raw.url) {
            (Some(command), None) => {
                if let Some((name, _)) = raw.headers.as_ref().and_then(|headers| headers.0.first()) {
                    self.error(name.place, "`headers` belong to `url`; a child process takes `env`");
                }
                self.stdio(&command, raw.env, raw.cwd, place)
            }
            (None, Some(url)) => {
                if let Some((name, _)) = raw.env.as_ref().and_then(|env| env.0.first()) {
                    self.error(name.place, "`env` belongs to `command`; a server over HTTP takes `headers`");
                }
                if let Some(cwd) = raw.cwd {
                    self.error(cwd.place, "`cwd` belongs to `command`");
                }
                self.http(&url, raw.headers)
            }
            (command, _) => {
                let both = command.is_some();
                let message =
                    if both { "`command` and `url` exclude each other" } else { "`mcp` needs `command` or `url`" };
                self.error(place, message).hint =
                    Some("mcp: { command: [\"npx\", …] } or mcp: { url: \"https://…\" }".into());
                Transport::Http { url: Expanded::literal(String::new()), headers: Vec::new() }
            }
        }
    }

    fn stdio(&mut self, command: &[Text], env: Option<Entries<Text>>, cwd: Option<Text>, place: Place) -> Transport {
        if command.first().is_none_or(|program| program.value.trim().is_empty()) {
            self.error(command.first().map_or(place, |program| program.place), "`command` is empty");
        } else if let ([one], true) = (command, command[0].value.contains(' ')) {
            let problem = self.warn(one.place, "the whole command is one word with spaces in it");
            problem.hint = Some("no shell splits it: write [\"npx\", \"-y\", \"…\"]".into());
        }
        let command = command.iter().map(|part| self.expanded(part)).collect();
        let mut variables: Vec<(String, Secret)> = Vec::new();
        for (name, value) in env.map(|env| env.0).unwrap_or_default() {
            if name.value.is_empty() || name.value.contains(['=', '\0']) {
                self.error(name.place, "this is no name of a variable");
            }
            variables.push((name.value, self.secret(&value)));
        }
        Transport::Stdio { command, env: variables, cwd: cwd.map(|cwd| self.expanded(&cwd)) }
    }

    fn http(&mut self, url: &Text, raw: Option<Entries<Text>>) -> Transport {
        let mut headers: Vec<(String, Secret)> = Vec::new();
        for (name, value) in raw.map(|headers| headers.0).unwrap_or_default() {
            let lower = name.value.to_ascii_lowercase();
            if !is_header(&name.value) {
                self.error(name.place, format!("`{}` is no name of a header", name.value));
            } else if HEADERS_OURS.contains(&lower.as_str()) {
                self.error(name.place, format!("`{}` is set by the gateway itself", name.value));
            }
            headers.push((lower, self.secret(&value)));
        }
        let problems = self.problems.len();
        let address = self.expanded(url);
        if self.problems.len() == problems {
            self.url(address.expose(), url.place, !headers.is_empty());
        }
        Transport::Http { url: address, headers }
    }

    fn url(&mut self, url: &str, place: Place, carries_secrets: bool) {
        let form = "write https://host/path";
        let Some((scheme, rest)) = url.split_once("://") else {
            self.error(place, "`url` is no address").hint = Some(form.into());
            return;
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if !matches!(scheme, "http" | "https") {
            let hint = words::did_you_mean(scheme, ["http", "https"]).unwrap_or_else(|| form.into());
            self.error(place, format!("`{scheme}` is not spoken here")).hint = Some(hint);
        }
        if authority.is_empty() || url.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            self.error(place, "`url` is no address").hint = Some(form.into());
        }
        if authority.contains('@') {
            let problem = self.error(place, "credentials do not belong into a URL: it is shown in logs");
            problem.hint = Some("use headers: { Authorization: \"${…}\" }".into());
        }
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let near = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
        if scheme == "http" && carries_secrets && !near {
            self.warn(place, "headers go over the network in the clear").hint = Some("use https".into());
        }
    }
}

fn is_header(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Names become a prefix on the wire (`shop__get_order`) and the part before the first dot in the policy.
pub(crate) fn bad_name(name: &str) -> Option<&'static str> {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
    if name.is_empty()
        || name.len() > 32
        || !plain
        || !name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
    {
        return Some("lower-case letters, digits, `-` and `_`, at most 32, and a letter or digit first");
    }
    if name.contains("__") || name.ends_with('_') {
        return Some("`__` parts an upstream from its tool on the wire");
    }
    (name == "cofferdam").then_some("`cofferdam` is the gateway's own")
}
