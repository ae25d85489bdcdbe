//! What is effectively enforced, per tool: the data behind `cofferdam check`.

mod undo;

pub use undo::compensators;

use crate::classify::effect as classified;
use crate::policy::Policy;
use crate::rules::{Identity, KeyPlacement, OnDisconnect, ReadPlan, Strength, ToolRules};
use crate::tools::ToolFacts;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use serde::Serialize;
use vocab::Effect;

/// One tool and what holds for its calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToolReport {
    pub upstream: String,
    pub tool: String,
    /// Its name under `/mcp`.
    pub wire_name: String,
    /// The most dangerous effect of any of its calls.
    pub effect: &'static str,
    /// One for each `when`, and what holds otherwise.
    pub cases: Vec<Case>,
    pub warnings: Vec<String>,
}

/// What holds for some calls of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    pub effect: &'static str,
    pub source: &'static str,
    /// `name: value` pairs, in the order in which they are shown.
    pub lines: Vec<(&'static str, String)>,
}

/// Reports for the tools of one upstream.
pub fn report(policy: &Policy, upstream: &str, tools: &[ToolFacts]) -> Vec<ToolReport> {
    tools.iter().map(|tool| one(policy, upstream, tool, tools)).collect()
}

/// The tools that the file names in full, as `(upstream, tool)`, in its order.
pub fn named(policy: &Policy) -> Vec<(String, String)> {
    let exact = policy.entries.iter().filter(|entry| entry.pattern.is_exact());
    exact.map(|entry| (entry.pattern.upstream.to_string(), entry.pattern.tool.to_string())).collect()
}

/// Rules of the file that no tool of these upstreams falls under: most are slips of the pen.
pub fn unmatched(policy: &Policy, tools: &[(&str, &[ToolFacts])]) -> Vec<String> {
    let known = |upstream: &str| tools.iter().any(|(name, _)| *name == upstream);
    let matches_any = |entry: &&crate::tools::Entry| {
        let all = tools.iter().flat_map(|(upstream, tools)| tools.iter().map(move |tool| (*upstream, tool)));
        all.into_iter().any(|(upstream, tool)| entry.pattern.matches(upstream, &tool.name))
    };
    let asked = |entry: &&crate::tools::Entry| &*entry.pattern.upstream == "*" || known(&entry.pattern.upstream);
    let idle = policy.entries.iter().filter(asked).filter(|entry| !matches_any(entry));
    idle.map(|entry| format!("no tool matches `{}.{}`", entry.pattern.upstream, entry.pattern.tool)).collect()
}

fn one(policy: &Policy, upstream: &str, tool: &ToolFacts, tools: &[ToolFacts]) -> ToolReport {
    let rules = policy.rules(upstream, tool);
    let cases = rules.arms().map(|(when, rules)| case(policy, when, rules, tools)).collect();
    let mut warnings = Vec::new();
    for (when, rules) in rules.arms() {
        let before = warnings.len();
        doubts(rules, tools, &mut warnings);
        if let Some(when) = when {
            warnings[before..].iter_mut().for_each(|warning| *warning = format!("when {when}: {warning}"));
        }
    }
    let wire_name = format!("{upstream}__{}", tool.name);
    for (place, name) in [("under /mcp", wire_name.as_str()), ("as it is", tool.name.as_str())] {
        if !is_wire_name(name) {
            warnings.push(format!("`{name}` ({place}) is no name that every client takes: ^[A-Za-z0-9_-]{{1,64}}$"));
        }
    }
    let trusted = policy.upstream(upstream).is_some_and(|upstream| upstream.trusted);
    let stated = classified(true, tool).0;
    if !trusted
        && stated == Effect::Read
        && rules.worst().effect.is_mutation()
        && !rules.worst().effect_source.is_declared()
    {
        warnings.push("it says that it only reads, but its upstream is not trusted: declare `effect: read`".to_owned());
    }
    ToolReport {
        upstream: upstream.to_string(),
        tool: tool.name.clone(),
        wire_name,
        effect: rules.worst().effect.as_str(),
        cases,
        warnings,
    }
}

fn case(policy: &Policy, when: Option<&str>, rules: &Arc<ToolRules>, tools: &[ToolFacts]) -> Case {
    let mut lines = Vec::from([("tries", tries(rules))]);
    if rules.effect.is_mutation() {
        lines.push((
            "read-back",
            rules.readback.as_deref().map_or_else(|| "none: every call stays unverified".to_owned(), read),
        ));
        lines.push(("probe", probe(rules)));
        lines.push(("undo", undo::line(policy, rules, tools)));
        lines.push(("key", key(rules)));
        lines.push(("repeat", format!("{:?}", rules.repeat).to_lowercase()));
        lines.push(("identity", identity(&rules.identity)));
        lines.push((
            "lane",
            rules
                .target
                .as_ref()
                .map_or_else(|| "the whole upstream".to_owned(), |target| format!("by {}", target.source())),
        ));
        let quiescence = if rules.local { "0s once the child is dead, else ".to_owned() } else { String::new() };
        lines.push((
            "absent",
            format!(
                "believed after {quiescence}{} and {}",
                span(rules.quiescence),
                format_args!("two reads {} apart", span(rules.absent_spacing))
            ),
        ));
        let leave = match rules.on_disconnect {
            OnDisconnect::Detach => format!("detach, drained for {}", span(rules.detached_max)),
            OnDisconnect::Cancel => "cancel upstream".to_owned(),
        };
        lines.push(("caller leaves", leave));
    }
    lines.push(("timeouts", format!("attempt {}, step {}", span(rules.attempt_timeout), span(rules.step_timeout))));
    Case {
        when: when.map(ToString::to_string),
        effect: rules.effect.as_str(),
        source: rules.effect_source.as_str(),
        lines,
    }
}

/// As the engine's retry matrix has them.
fn tries(rules: &ToolRules) -> String {
    match rules.effect {
        Effect::Read => "3".to_owned(),
        Effect::Idempotent => "3, while nothing later was admitted on its lane".to_owned(),
        Effect::Keyed => format!("5 with one key, inside {}", span(rules.key_window)),
        Effect::Write | Effect::Destructive => "2 with proof that nothing ran, else 1".to_owned(),
    }
}

fn read(plan: &ReadPlan) -> String {
    let strength = match plan.strength {
        Strength::Exact => "exact",
        Strength::Inferred => "inferred",
    };
    format!("{}.{} within {}, {strength}: {}", plan.upstream, plan.read, span(plan.within), plan.expect_source())
}

fn probe(rules: &ToolRules) -> String {
    match (&rules.probe, &rules.readback) {
        (Some(probe), Some(readback)) if Arc::ptr_eq(probe, readback) => {
            format!(
                "the read-back; callers wait {}, then a person after {}",
                span(rules.probe_wait),
                span(rules.probe_budget)
            )
        }
        (Some(probe), _) => read(probe),
        (None, Some(_)) => "none: the read-back needs the lost result, a person is asked".to_owned(),
        (None, None) => "none: after a lost reply a person is asked".to_owned(),
    }
}

fn key(rules: &ToolRules) -> String {
    match &rules.key {
        None => "none".to_owned(),
        Some(KeyPlacement::Argument(name)) => format!("argument {name}"),
        Some(KeyPlacement::Meta(name)) => format!("_meta {name}"),
        Some(KeyPlacement::Header(name)) => format!("header {name}"),
    }
}

fn identity(identity: &Identity) -> String {
    match identity {
        Identity::All => "all arguments".to_owned(),
        Identity::Paths(paths) => paths.iter().map(|path| path.join(".")).collect::<Vec<_>>().join(", "),
    }
}

fn doubts(rules: &ToolRules, tools: &[ToolFacts], warnings: &mut Vec<String>) {
    if !rules.effect.is_mutation() {
        return;
    }
    if rules.readback.is_none() {
        warnings.push("it changes something and has no read-back".to_owned());
    }
    if !rules.effect_source.is_declared() {
        warnings.push(format!(
            "nobody declared its effect ({}): it counts as {}",
            rules.effect_source.as_str(),
            rules.effect.as_str()
        ));
    }
    if rules.readback.is_some() && rules.probe.is_none() {
        warnings.push("its read-back needs the result, so nothing resolves a lost reply: add a `probe`".to_owned());
    }
    if rules.quiescence < rules.step_timeout && !rules.local {
        warnings.push(format!(
            "quiescence {} is shorter than the step's {}: a late effect could follow after \"not there\"",
            span(rules.quiescence),
            span(rules.step_timeout)
        ));
    }
    if rules.attempt_timeout > rules.step_timeout {
        warnings.push("one attempt may take longer than the whole step".to_owned());
    }
    for plan in [&rules.readback, &rules.probe].into_iter().flatten() {
        if plan.upstream == rules.upstream && !tools.iter().any(|tool| *tool.name == *plan.read) {
            warnings.push(format!("its upstream lists no tool `{}` to read with", plan.read));
        }
    }
    warnings.dedup();
}

fn is_wire_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// As the policy file writes it.
fn span(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
        if millis >= unit && millis.is_multiple_of(unit) {
            return format!("{}{name}", millis / unit);
        }
    }
    format!("{millis}ms")
}

#[cfg(test)]
mod tests;
