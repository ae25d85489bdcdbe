//! Which rules a tool falls under: pattern, effect, defaults.
//!
//! Of the entries whose `match` fits, the most specific one holds, alone: nothing is merged. An exact name beats a
//! pattern, a longer pattern a shorter one, an entry with `when` the same one without, and else the earlier one.

use crate::classify;
use crate::expr::{Expr, Scope};
use crate::policy::{Policy, Site, Spans, Upstream};
use crate::problem::Place;
use crate::rules::{Identity, KeyPlacement, OnDisconnect, ReadPlan, Repeat, ToolRules};
use crate::undo::UndoPlan;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use serde_json::Value;
use vocab::{Effect, EffectSource, Name};

/// What an upstream says about one of its tools: an entry of `tools/list`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolFacts {
    pub name: String,
    pub description: Option<String>,
    pub annotations: Annotations,
    pub input_schema: Value,
    pub output_schema: Option<Value>,
}

/// The hints of MCP; `None` is not stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    pub read_only: Option<bool>,
    pub destructive: Option<bool>,
    pub idempotent: Option<bool>,
    pub open_world: Option<bool>,
}

/// The rules of one tool, before its arguments are known.
#[derive(Clone, Debug)]
pub struct RulesFor {
    /// In order of precedence; the first whose `when` holds.
    arms: Vec<(Expr, Arc<ToolRules>)>,
    /// Holds when no arm does.
    otherwise: Arc<ToolRules>,
}

/// One entry of `tools:`, checked.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub pattern: Pattern,
    pub when: Option<Expr>,
    pub effect: Option<Effect>,
    pub repeat: Option<Repeat>,
    pub target: Option<Expr>,
    pub identity: Identity,
    pub key: Option<(KeyPlacement, Option<Duration>)>,
    pub idempotency_argument: Option<Name>,
    pub readback: Option<Arc<ReadPlan>>,
    pub probe: Option<Arc<ReadPlan>>,
    pub undo: Option<Arc<UndoPlan>>,
    /// Where its compensator stands in the file.
    pub site: Option<Quiet<(Site, Place)>>,
    pub on_disconnect: Option<OnDisconnect>,
    pub redispatch_on_absent: bool,
    pub spans: Spans,
}

/// Leaves no trace in what is hashed: where something stands means nothing.
#[derive(Clone)]
pub(crate) struct Quiet<T>(pub T);

impl<T> core::fmt::Debug for Quiet<T> {
    fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        Ok(())
    }
}

/// `upstream.tool`, where the tool may hold `*` and either may be `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub upstream: Name,
    pub tool: Name,
}

impl ToolFacts {
    pub fn named(name: &str) -> Self {
        Self { name: name.to_string(), ..Self::default() }
    }

    /// Reads an entry of `tools/list`; `None` when it has no name. What is misshapen counts as not stated.
    pub fn from_tool(tool: &Value) -> Option<Self> {
        let hint = |name: &str| tool.get("annotations")?.get(name)?.as_bool();
        Some(Self {
            name: tool.get("name")?.as_str()?.to_string(),
            description: tool.get("description").and_then(Value::as_str).map(str::to_string),
            annotations: Annotations {
                read_only: hint("readOnlyHint"),
                destructive: hint("destructiveHint"),
                idempotent: hint("idempotentHint"),
                open_world: hint("openWorldHint"),
            },
            input_schema: tool.get("inputSchema").cloned().unwrap_or_default(),
            output_schema: tool.get("outputSchema").filter(|schema| schema.is_object()).cloned(),
        })
    }
}

impl RulesFor {
    /// The rules of a call with these arguments. Where a `when` cannot be evaluated, the worst of them hold: an
    /// argument that is missing must not be a way around a rule.
    pub fn pick(&self, args: &Value) -> &Arc<ToolRules> {
        for (when, rules) in &self.arms {
            match when.holds(&Scope::of_args(args)) {
                Ok(true) => return rules,
                Ok(false) => {}
                Err(_) => return self.worst(),
            }
        }
        &self.otherwise
    }

    /// The rules, when they do not depend on the arguments.
    pub fn single(&self) -> Option<&Arc<ToolRules>> {
        self.arms.is_empty().then_some(&self.otherwise)
    }

    /// The rules of the most dangerous call of this tool.
    pub fn worst(&self) -> &Arc<ToolRules> {
        let arms = self.arms.iter().map(|(_, rules)| rules);
        arms.fold(&self.otherwise, |worst, rules| if rules.effect > worst.effect { rules } else { worst })
    }

    /// Every arm with the text of its `when`, and what holds otherwise.
    pub fn arms(&self) -> impl Iterator<Item = (Option<&str>, &Arc<ToolRules>)> {
        let arms = self.arms.iter().map(|(when, rules)| (Some(when.source()), rules));
        arms.chain([(None, &self.otherwise)])
    }
}

impl Pattern {
    pub(crate) fn matches(&self, upstream: &str, tool: &str) -> bool {
        (&*self.upstream == "*" || &*self.upstream == upstream) && glob(&self.tool, tool)
    }

    pub(crate) fn is_exact(&self) -> bool {
        !self.tool.contains('*') && &*self.upstream != "*"
    }

    /// The order of precedence: more is more specific.
    pub(crate) fn specificity(&self) -> (bool, bool, usize) {
        let letters = self.tool.chars().filter(|&letter| letter != '*').count();
        (self.is_exact(), &*self.upstream != "*", letters)
    }
}

/// `*` stands for any run of characters. Iterative, with one point of return: linear in practice, never exponential.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(letter) if *letter == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|letter| *letter == b'*')
}

/// Entries that fit, most specific first; everything behind the first one without `when` can never hold.
pub(crate) fn candidates<'a>(entries: &'a [Entry], upstream: &str, tool: &str) -> Vec<&'a Entry> {
    let mut fitting = entries.iter().filter(|entry| entry.pattern.matches(upstream, tool)).collect::<Vec<_>>();
    // Stable: among equals the earlier entry comes first.
    fitting.sort_by_key(|entry| core::cmp::Reverse((entry.pattern.specificity(), entry.when.is_some())));
    let reachable = fitting.iter().position(|entry| entry.when.is_none()).map_or(fitting.len(), |first| first + 1);
    fitting.truncate(reachable);
    fitting
}

pub(crate) fn rules_for(policy: &Policy, upstream: &str, facts: &ToolFacts) -> RulesFor {
    let owner = policy.upstream(upstream);
    let mut arms = Vec::new();
    let mut otherwise = None;
    for entry in candidates(&policy.entries, upstream, &facts.name) {
        let rules = build(policy, owner, upstream, facts, Some(entry));
        match &entry.when {
            Some(when) => arms.push((when.clone(), Arc::new(rules))),
            None => otherwise = Some(rules),
        }
    }
    let otherwise = otherwise.unwrap_or_else(|| {
        let mut rules = build(policy, owner, upstream, facts, None);
        // `manage_x(action: …)`: an action that no entry names may be the worst of them.
        if let Some(worst) = arms.iter().map(|(_, rules)| rules).max_by_key(|rules| rules.effect)
            && worst.effect > rules.effect
        {
            rules.effect = worst.effect;
            rules.effect_source = worst.effect_source;
            rules.repeat = Repeat::by_default(rules.effect, rules.effect_source);
        }
        rules
    });
    RulesFor { arms, otherwise: Arc::new(otherwise) }
}

fn build(
    policy: &Policy,
    owner: Option<&Upstream>,
    upstream: &str,
    facts: &ToolFacts,
    entry: Option<&Entry>,
) -> ToolRules {
    let trusted = owner.is_some_and(|upstream| upstream.trusted);
    let (effect, source) = match entry.and_then(|entry| entry.effect) {
        Some(effect) => (effect, EffectSource::Policy),
        None => classify::effect(trusted, facts),
    };
    let mut rules = ToolRules::new(upstream.into(), facts.name.as_str().into(), effect, source);
    rules.policy = policy.hash();
    let mut spans = policy.spans;
    if let Some(owner) = owner {
        rules.evidence = owner.evidence.clone();
        rules.local = owner.local;
        spans = owner.spans.or(spans);
    }
    let Some(entry) = entry else {
        spans.apply(&mut rules);
        return rules;
    };
    entry.spans.or(spans).apply(&mut rules);
    if let Some(repeat) = entry.repeat {
        rules.repeat = repeat;
    }
    if let Some((placement, window)) = &entry.key {
        rules.key = Some(placement.clone());
        rules.key_window = window.unwrap_or(rules.key_window);
    }
    if let Some(on_disconnect) = entry.on_disconnect {
        rules.on_disconnect = on_disconnect;
    }
    rules.redispatch_on_absent = entry.redispatch_on_absent;
    rules.target.clone_from(&entry.target);
    rules.identity.clone_from(&entry.identity);
    rules.idempotency_argument.clone_from(&entry.idempotency_argument);
    rules.readback.clone_from(&entry.readback);
    rules.undo.clone_from(&entry.undo);
    rules.probe = entry.probe.clone().or_else(|| entry.readback.clone().filter(|plan| plan.can_probe));
    rules
}

#[cfg(test)]
mod tests;
