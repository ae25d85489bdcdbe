//! The tools of the simulated upstreams, and the policy that guards them.

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use policy::Policy;
use runtime::Settings;
use runtime::plain::Desk;
use std::sync::Arc;
use std::time::Duration;
#[cfg(test)]
use vocab::Effect;
use vocab::Name;

/// Longest that an honest upstream goes on with a request whose sender has gone.
pub const QUIESCENCE: Duration = Duration::from_secs(10);
/// How long an eventually consistent read may lag behind.
pub const LAG: Duration = Duration::from_millis(4_500);
/// How long the upstream remembers a key.
pub const KEY_WINDOW: Duration = Duration::from_secs(1200);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// Reads a value.
    Get,
    /// An absolute write to a declared target.
    Set,
    /// An absolute write without a declared target.
    Put,
    /// Honours a key, for a while.
    Pay,
    /// A write that can be asked for by its tag.
    Append,
    /// The same, with a reader that lags.
    Lazy,
    /// A write whose only trace is a count.
    Add,
    /// A write that leaves no trace to read.
    Send,
    Drop,
    /// Destructive, and nothing to read.
    Erase,
    /// Wants input first.
    Ask,
    /// Becomes a task of the upstream.
    Slow,
    /// Refuses a second copy by itself.
    Create,
    /// A local child process.
    File,
}

impl Tool {
    pub const MUTATIONS: &'static [Self] = &[
        Self::Set,
        Self::Put,
        Self::Pay,
        Self::Append,
        Self::Lazy,
        Self::Add,
        Self::Send,
        Self::Drop,
        Self::Erase,
        Self::Ask,
        Self::Slow,
        Self::Create,
        Self::File,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Put => "put",
            Self::Pay => "pay",
            Self::Append => "append",
            Self::Lazy => "lazy",
            Self::Add => "add",
            Self::Send => "send",
            Self::Drop => "drop",
            Self::Erase => "erase",
            Self::Ask => "ask",
            Self::Slow => "slow",
            Self::Create => "create",
            Self::File => "file",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::MUTATIONS.iter().copied().chain([Self::Get]).find(|tool| tool.as_str() == name)
    }

    #[cfg(test)]
    pub const fn effect(self) -> Effect {
        match self {
            Self::Get => Effect::Read,
            Self::Set | Self::Put => Effect::Idempotent,
            Self::Pay => Effect::Keyed,
            Self::Drop | Self::Erase => Effect::Destructive,
            _ => Effect::Write,
        }
    }

    pub const fn upstream(self) -> &'static str {
        match self {
            Self::File => "files",
            _ => "shop",
        }
    }

    /// A read can say for certain whether it happened.
    #[cfg(test)]
    pub const fn has_exact_probe(self) -> bool {
        matches!(self, Self::Append | Self::Lazy | Self::Drop | Self::Ask | Self::Slow | Self::Create | Self::File)
    }

    pub const fn is_structured(self) -> bool {
        matches!(self, Self::Pay | Self::Drop)
    }

    /// An absolute write leaves the same state when it is made twice in a row.
    pub const fn may_repeat(self) -> bool {
        matches!(self, Self::Get | Self::Set | Self::Put)
    }
}

const SPANS: &str = "quiescence: 10s, timeouts: { attempt: 8s, step: 15s, detached_max: 20s }";

/// `variant` 1 is what an operator may reload to while calls are in flight: other waits, and a probe less.
fn text(variant: usize) -> String {
    let read = |read: &str, args: &str, expect: &str, absent: &str, more: &str| {
        let absent = if absent.is_empty() { String::new() } else { format!("absent: '{absent}', ") };
        format!("{{ read: {read}, args: '{args}', expect: '{expect}', {absent}{more} }}")
    };
    let exact = "strength: exact, consistency: strong";
    let by_tag = |more: &str| read("look_tag", r#"{"tag": args.tag}"#, "read.count > 0", "read.count == 0", more);
    let tagged = by_tag(exact);
    let lazy = by_tag("strength: exact, consistency: eventual, within: 6s");
    let lane = read(
        "look_lane",
        r#"{"lane": args.lane}"#,
        "read.value == args.value",
        "read.value == pre.value",
        "strength: inferred, consistency: strong",
    );
    let counted = read(
        "count",
        r#"{"item": args.item}"#,
        "read.count > pre.count",
        "read.count == pre.count",
        "strength: inferred, consistency: eventual, within: 6s",
    );
    let erase = if variant == 0 { String::new() } else { ", repeat: notice".to_owned() };
    let (wait, budget) = if variant == 0 { ("20s", "4m") } else { ("5s", "90s") };
    format!(
        r#"
upstreams:
  shop: {{ mcp: {{ url: "http://127.0.0.1:1/" }}, {SPANS} }}
  files: {{ local: true, mcp: {{ command: ["files"] }}, {SPANS} }}
defaults: {{ reissue_window: 30m, probe_wait: {wait}, probe_budget: {budget} }}
tools:
  - {{ match: "shop.look_*", effect: read }}
  - {{ match: "files.look_*", effect: read }}
  - {{ match: shop.count, effect: read }}
  - {{ match: shop.get, effect: read }}
  - {{ match: shop.set, effect: idempotent, target: args.lane, readback: {lane} }}
  - {{ match: shop.put, effect: idempotent }}
  - {{ match: shop.pay, effect: keyed, key: {{ argument: idem, window: 20m }} }}
  - {{ match: shop.append, effect: write, target: "string(args.tag)", readback: {tagged} }}
  - {{ match: shop.lazy, effect: write, identity: [tag], readback: {lazy} }}
  - {{ match: shop.add, effect: write, identity: [item], target: args.item, readback: {counted} }}
  - {{ match: shop.send, effect: write, identity: [tag], target: "string(args.tag)" }}
  - {{ match: shop.drop, effect: destructive, readback: {tagged} }}
  - {{ match: shop.erase, effect: destructive, identity: [item], target: "string(args.tag)"{erase} }}
  - {{ match: shop.ask, effect: write, readback: {tagged} }}
  - {{ match: shop.slow, effect: write, readback: {tagged} }}
  - {{ match: shop.create, effect: write, redispatch_on_absent: true, target: "string(args.tag)", readback: {tagged} }}
  - {{ match: files.file, effect: write, readback: {tagged} }}
"#
    )
}

/// The policies of the simulated operator.
///
/// # Errors
/// A policy is wrong.
pub fn policies() -> Result<[Arc<Policy>; 2]> {
    let parse = |variant| {
        let parsed = Policy::parse(&text(variant), "sim.yaml", &|_| None);
        parsed.map(Arc::new).map_err(|problems| anyhow!("{problems}"))
    };
    Ok([parse(0).context("read the first policy")?, parse(1).context("read the second policy")?])
}

/// A gateway's desk that knows all tools.
pub fn desk(policy: Arc<Policy>, settings: Settings) -> Desk {
    let desk = Desk::new(settings, policy);
    learn(&desk, 0);
    desk
}

/// The upstreams list their tools; the text changes from time to time.
pub fn learn(desk: &Desk, version: u64) {
    for upstream in ["shop", "files"] {
        desk.learn(&Name::from(upstream), &Bytes::from(list(upstream, version)));
    }
}

fn list(upstream: &str, version: u64) -> String {
    let input =
        r#"{"type":"object","properties":{"tag":{"type":"integer"},"note":{"type":"string"}},"required":["tag"]}"#;
    let mut tools: Vec<String> = Tool::MUTATIONS
        .iter()
        .chain(&[Tool::Get])
        .filter(|tool| tool.upstream() == upstream)
        .map(|tool| {
            let output = if tool.is_structured() {
                r#","outputSchema":{"type":"object","properties":{"tag":{"type":"integer"}},"required":["tag"]}"#
            } else {
                ""
            };
            let name = tool.as_str();
            format!(r#"{{"name":"{name}","description":"version {version}","inputSchema":{input}{output}}}"#)
        })
        .collect();
    for read in ["look_tag", "look_lane", "count"] {
        tools.push(format!(r#"{{"name":"{read}","inputSchema":{{"type":"object"}}}}"#));
    }
    format!(r#"{{"tools":[{}]}}"#, tools.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_of_the_simulated_operator_are_right_and_say_what_the_tools_are() {
        for policy in policies().expect("they are right") {
            for tool in Tool::MUTATIONS {
                let rules = policy.rules_unlisted(tool.upstream(), tool.as_str());
                let rules = rules.worst();
                assert_eq!(rules.effect, tool.effect(), "{tool:?}");
                assert_eq!(rules.quiescence, QUIESCENCE);
                let probed = rules.probe.is_some();
                assert_eq!(probed, tool.has_exact_probe() || matches!(tool, Tool::Set | Tool::Add), "{tool:?}");
            }
        }
    }
}
