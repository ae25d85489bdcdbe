//! One tool: its entry as the upstream gave it, and what is made of it when it is first called.

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use checks::Schema;
use mcp::views;
use policy::{Policy, RulesFor, ToolFacts};
use std::sync::{Arc, OnceLock};
use vocab::{Hash, Name};

pub(crate) struct Tool {
    pub(crate) upstream: Name,
    pub(crate) name: Name,
    entry: Bytes,
    input: Judge,
    output: Judge,
    rules: ArcSwapOption<Resolved>,
}

/// A schema as it came, and compiled on first use.
struct Judge {
    source: Option<Bytes>,
    compiled: OnceLock<Option<Schema>>,
}

/// The rules under one policy; a reload makes them anew on the next call.
struct Resolved {
    policy: Hash,
    rules: RulesFor,
}

impl Tool {
    pub(crate) fn new(upstream: &Name, tool: views::Tool) -> Self {
        // Copies: a slice would keep the whole page alive.
        let own = |part: Bytes| Bytes::copy_from_slice(&part);
        Self {
            upstream: upstream.clone(),
            name: tool.name.into(),
            entry: own(tool.entry),
            input: Judge::of(tool.input_schema.map(own)),
            output: Judge::of(tool.output_schema.map(own).filter(|schema| schema.first() == Some(&b'{'))),
            rules: ArcSwapOption::empty(),
        }
    }

    /// One of which nothing is known but its name.
    pub(crate) fn unlisted(upstream: &Name, name: &Name) -> Self {
        Self {
            upstream: upstream.clone(),
            name: name.clone(),
            entry: Bytes::new(),
            input: Judge::of(None),
            output: Judge::of(None),
            rules: ArcSwapOption::empty(),
        }
    }

    pub(crate) fn is(&self, entry: &Bytes) -> bool {
        self.entry == entry
    }

    //= S-17
    pub(crate) fn input(&self) -> Option<&Schema> {
        self.input.get(self, "input")
    }

    //= S-06
    pub(crate) fn output(&self) -> Option<&Schema> {
        self.output.get(self, "output")
    }

    /// It promises structured content.
    pub(crate) const fn is_structured(&self) -> bool {
        self.output.source.is_some()
    }

    /// Hands the rules under `policy` to `with`.
    pub(crate) fn with_rules<T>(&self, policy: &Policy, with: impl FnOnce(&RulesFor) -> T) -> T {
        let known = self.rules.load();
        if let Some(known) = known.as_ref().filter(|known| known.policy == policy.hash()) {
            return with(&known.rules);
        }
        let rules = policy.rules(&self.upstream, &self.facts());
        let resolved = Arc::new(Resolved { policy: policy.hash(), rules });
        self.rules.store(Some(Arc::clone(&resolved)));
        with(&resolved.rules)
    }

    pub(crate) fn facts(&self) -> ToolFacts {
        let entry = serde_json::from_slice(&self.entry).ok();
        entry.as_ref().and_then(ToolFacts::from_tool).unwrap_or_else(|| ToolFacts::named(&self.name))
    }
}

impl Judge {
    const fn of(source: Option<Bytes>) -> Self {
        Self { source, compiled: OnceLock::new() }
    }

    fn get(&self, tool: &Tool, which: &str) -> Option<&Schema> {
        let source = self.source.as_ref()?;
        let compile = || match Schema::compile(source) {
            Ok(schema) => Some(schema),
            Err(error) => {
                let (upstream, tool) = (&*tool.upstream, &*tool.name);
                tracing::warn!(upstream, tool, which, %error, "calls go on without this schema");
                None
            }
        };
        self.compiled.get_or_init(compile).as_ref()
    }
}
