//! Whether what is declared about taking back can be done: held against the tools that the upstreams have.

use crate::policy::{Policy, Site};
use crate::problem::Problem;
use crate::rules::ToolRules;
use crate::tools::{Quiet, ToolFacts};
use crate::undo::{UndoKind, UndoPlan};
use crate::words;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::Value;

/// What is wrong with the compensators of the file, as far as these tools tell: a name that nobody has, arguments that
/// its schema does not take.
//= S-05
pub fn compensators(policy: &Policy, tools: &[(&str, &[ToolFacts])]) -> Vec<Problem> {
    let mut found = Vec::new();
    for Quiet((site, _)) in policy.entries.iter().filter_map(|entry| entry.site.as_ref()) {
        let Some((_, listed)) = tools.iter().find(|(upstream, _)| **upstream == *site.upstream) else { continue };
        match listed.iter().find(|tool| *tool.name == *site.tool) {
            Some(tool) => found.extend(arguments(site, tool)),
            None => {
                let message =
                    format!("upstream `{}` lists no tool `{}` to take it back with", site.upstream, site.tool);
                let names = listed.iter().map(|tool| tool.name.as_str());
                let hint = words::did_you_mean(&site.tool, names);
                found.push(
                    site.call.at(&message, hint.as_deref().unwrap_or("`kind: none` says that there is no way back")),
                );
            }
        }
    }
    found.sort_by_key(|problem| (problem.line, problem.column));
    found
}

/// The names of the members, which an object that is written out tells.
fn arguments(site: &Site, tool: &ToolFacts) -> Vec<Problem> {
    let (Some(members), Some(schema)) = (&site.members, tool.input_schema.as_object()) else { return Vec::new() };
    let properties = schema.get("properties").and_then(Value::as_object);
    let names = || properties.into_iter().flatten().map(|(name, _)| name.as_str());
    let takes = || format!("`{}` takes {}", tool.name, listed(names()));
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let missing = required.filter(|name| !members.iter().any(|member| member == name));
    let mut found = missing
        .map(|name| {
            site.args.at(&format!("`{}` needs `{name}`, and the arguments do not have it", tool.name), &takes())
        })
        .collect::<Vec<_>>();
    let unknown = members.iter().filter(|member| !names().any(|name| name == member.as_str()));
    for member in unknown.filter(|_| properties.is_some() && (closed || !schema.contains_key("additionalProperties"))) {
        let hint = words::did_you_mean(member, names()).unwrap_or_else(takes);
        found.push(site.args.at(&format!("`{}` has no argument `{member}`", tool.name), &hint));
    }
    found
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names = names.take(8).map(|name| format!("`{name}`")).collect::<Vec<_>>();
    if names.is_empty() { "no arguments".to_owned() } else { names.join(", ") }
}

/// Can a call of a tool be taken back, and how? For people.
pub(super) fn line(policy: &Policy, rules: &ToolRules, tools: &[ToolFacts]) -> String {
    let Some(undo) = &rules.undo else { return "none declared: a rollback leaves it standing".to_owned() };
    match (undo.kind, &undo.call) {
        (UndoKind::None, _) => format!("none: {}", undo.note),
        (UndoKind::Manual, _) => format!("by hand: {}", undo.note),
        (kind, Some((upstream, tool))) => {
            let looks = if undo.look().is_some() { ", if the world still shows what was written" } else { "" };
            let before = match (undo.needs_preimage(), rules.effect) {
                (false, _) => "",
                (true, vocab::Effect::Destructive) => "; what was there is read before, or the call is refused",
                (true, _) => "; what was there is read before, or there is no way back",
            };
            let seen = if is_read_back(policy, rules, undo, tools) { "read back" } else { "not read back" };
            format!("{} by {upstream}.{tool} {}{looks}{before}; {seen}", kind.as_str(), undo.args_source())
        }
        (kind, None) => kind.as_str().to_owned(),
    }
}

/// Would a read of the world show that it was taken back?
fn is_read_back(policy: &Policy, rules: &ToolRules, undo: &UndoPlan, tools: &[ToolFacts]) -> bool {
    let Some((upstream, tool)) = &undo.call else { return false };
    let listed = tools.iter().find(|facts| *facts.name == **tool).filter(|_| *upstream == rules.upstream);
    let compensator = match listed {
        Some(facts) => policy.rules(upstream, facts),
        None => policy.rules_unlisted(upstream, tool),
    };
    compensator.worst().readback.is_some()
}

impl Problem {
    fn at(&self, message: &str, hint: &str) -> Self {
        Self { message: message.to_owned(), ..self.clone() }.hint(hint)
    }
}
