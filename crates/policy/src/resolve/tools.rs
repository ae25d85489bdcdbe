//! Rules for tools: patterns, effects, keys and reads, and what contradicts what.

use super::Resolver;
use super::undo::Look;
use crate::defaults;
use crate::expr::{Expr, Purpose};
use crate::policy::{Spans, Upstream};
use crate::problem::Place;
use crate::raw::{self, At, Text};
use crate::rules::{Consistency, Identity, KeyPlacement, OnDisconnect, ReadPlan, Repeat, Strength};
use crate::tools::{Entry, Pattern, Quiet, candidates};
use crate::words;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use vocab::{Effect, Name};

const ENTRIES_MAX: usize = 4096;

impl Resolver<'_> {
    pub(super) fn tools(&mut self, raw: Vec<At<raw::Tool>>, upstreams: &[Upstream]) -> Vec<Entry> {
        if raw.len() > ENTRIES_MAX {
            self.error(raw[ENTRIES_MAX].place, format!("more than {ENTRIES_MAX} rules"));
        }
        let mut places: Vec<Place> = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        let mut reads: Vec<(Place, Name, Name)> = Vec::new();
        for At { value: raw, .. } in raw.into_iter().take(ENTRIES_MAX) {
            let place = raw.pattern.place;
            for read in [&raw.readback, &raw.probe].into_iter().flatten() {
                reads.extend(split(&read.value.read, raw.pattern.value.split('.').next(), upstreams));
            }
            let Some(entry) = self.entry(raw, upstreams) else { continue };
            self.shadowed(&entry, &entries, &places, place);
            entries.push(entry);
            places.push(place);
        }
        for (place, upstream, tool) in reads {
            self.reader_reads(place, &upstream, &tool, &entries);
        }
        for site in entries.iter().filter_map(|entry| entry.site.as_ref()) {
            let Quiet((site, place)) = site;
            let effect = candidates(&entries, &site.upstream, &site.tool).into_iter().find_map(|entry| entry.effect);
            self.compensator_writes(site, *place, effect);
        }
        entries
    }

    fn entry(&mut self, raw: raw::Tool, upstreams: &[Upstream]) -> Option<Entry> {
        let pattern = self.pattern(&raw.pattern, upstreams);
        let effect = raw.effect.as_ref().map(|effect| effect.value.into());
        let key = raw.key.as_ref().and_then(|key| self.key(key, effect, pattern.as_ref(), upstreams));
        if let (Some(At { value: raw::Effect::Keyed, place }), None) = (&raw.effect, &raw.key) {
            let problem = self.error(*place, "`keyed` needs `key`: where the upstream takes its idempotency key");
            problem.hint = Some("key: { argument: idempotency_key, window: 24h }".to_owned());
        }
        let home =
            pattern.as_ref().filter(|pattern| &*pattern.upstream != "*").map(|pattern| Name::clone(&pattern.upstream));
        let mut readback = raw.readback.as_ref().map(|read| self.read(read, home.as_ref(), upstreams));
        let mut probe = raw.probe.as_ref().map(|read| self.read(read, home.as_ref(), upstreams));
        if let (Some(Some(probe)), Some(At { place, .. })) = (&probe, &raw.probe)
            && !probe.can_probe
        {
            let problem = self.error(*place, "a probe cannot use `result`: it is asked when there is none");
            problem.hint = Some("ask by what the arguments say, or use `readback`".to_owned());
        }
        if effect == Some(Effect::Read) {
            for (name, place) in [("readback", &raw.readback), ("probe", &raw.probe)] {
                if let Some(At { place, .. }) = place {
                    self.warn(*place, format!("a read has no effect to confirm: `{name}` is never used"));
                }
            }
            if let Some(At { place, .. }) = &raw.compensate {
                self.warn(*place, "a read has no effect to take back: `compensate` is never used");
            }
        }
        let way = raw.compensate.as_ref().map(|raw| self.way(raw, home.as_ref(), upstreams));
        let look = match &way {
            Some(Some(way)) => {
                let plans = (probe.as_mut().and_then(Option::as_mut), readback.as_mut().and_then(Option::as_mut));
                self.way_reads(way, plans.0, plans.1)
            }
            _ => None,
        };
        let spans = self.tool_spans(&raw);
        let redispatch_on_absent = self.redispatch(&raw, effect, probe.is_some() || readback.is_some());
        let when = raw.when.as_ref().map(|when| self.expr(when, Purpose::When));
        let target = raw.target.as_ref().map(|target| self.expr(target, Purpose::Target));
        let identity = raw.identity.as_ref().map_or(Identity::All, |identity| self.identity(identity));
        let (readback, probe) = (lift(readback)?.map(Arc::new), lift(probe)?.map(Arc::new));
        let look = look.and_then(|look| match look {
            Look::Probe => probe.clone(),
            Look::Readback => readback.clone(),
        });
        let undo = lift(way)?.map(|way| way.plan(look, self));
        let (undo, site) = undo.map_or((None, None), |(plan, site)| (Some(Arc::new(plan)), site));
        Some(Entry {
            pattern: pattern?,
            when: lift(when)?,
            effect,
            repeat: raw.repeat.map(Into::into),
            target: lift(target)?,
            identity,
            key,
            idempotency_argument: raw.idempotency_argument.as_ref().map(|argument| self.name(argument)),
            readback,
            probe,
            undo,
            site: site.map(Quiet),
            on_disconnect: raw.on_disconnect.map(Into::into),
            redispatch_on_absent,
            spans,
        })
    }

    fn pattern(&mut self, text: &Text, upstreams: &[Upstream]) -> Option<Pattern> {
        let value = text.value.trim();
        if value == "*" {
            return Some(Pattern { upstream: "*".into(), tool: "*".into() });
        }
        let Some((upstream, tool)) =
            value.split_once('.').filter(|(upstream, tool)| !upstream.is_empty() && !tool.is_empty())
        else {
            let problem = self.error(text.place, format!("`{value}` names no tool of an upstream"));
            problem.hint = Some(match value.split_once("__") {
                Some((upstream, tool)) => format!("the policy writes a dot: `{upstream}.{tool}`"),
                None => "write upstream.tool, such as shop.place_order or shop.*".to_owned(),
            });
            return None;
        };
        if upstream == "*" || self.known(text, upstream, upstreams) {
            return Some(Pattern { upstream: upstream.into(), tool: tool.into() });
        }
        None
    }

    pub(super) fn known(&mut self, text: &Text, upstream: &str, upstreams: &[Upstream]) -> bool {
        let known = upstreams.iter().any(|one| &*one.name == upstream);
        if !known {
            let names = || upstreams.iter().map(|one| &*one.name);
            let hint = words::did_you_mean(upstream, names()).unwrap_or_else(|| {
                let listed = names().take(8).collect::<Vec<_>>().join(", ");
                format!("known: {}", if listed.is_empty() { "none" } else { &listed })
            });
            let length = upstream.chars().count();
            let place = Place { length, ..quoted(self, text) };
            self.error(place, format!("there is no upstream `{upstream}`")).hint = Some(hint);
        }
        known
    }

    fn key(
        &mut self,
        At { value: raw, place }: &At<raw::Key>,
        effect: Option<Effect>,
        pattern: Option<&Pattern>,
        upstreams: &[Upstream],
    ) -> Option<(KeyPlacement, Option<Duration>)> {
        let window = raw.window.as_ref().map(|span| self.positive(span));
        if effect == Some(Effect::Keyed) && window.is_none() {
            let problem = self.error(*place, "`keyed` needs `window`: how long the upstream remembers a key");
            problem.hint =
                Some("after it a re-send is a second effect; the upstream's documentation says it".to_owned());
        }
        let placement = match (&raw.argument, &raw.meta, &raw.header) {
            (Some(argument), None, None) => KeyPlacement::Argument(self.name(argument)),
            (None, Some(meta), None) => KeyPlacement::Meta(self.name(meta)),
            (None, None, Some(header)) => {
                let owner = pattern.and_then(|pattern| upstreams.iter().find(|one| one.name == pattern.upstream));
                if owner.is_some_and(Upstream::is_stdio) {
                    self.error(header.place, "a child process takes no headers").hint =
                        Some("use `meta` or `argument`".to_owned());
                }
                KeyPlacement::Header(self.name(header))
            }
            _ => {
                self.error(*place, "`key` needs one of `argument`, `meta` and `header`");
                return None;
            }
        };
        Some((placement, window))
    }

    fn read(&mut self, at: &At<raw::Read>, home: Option<&Name>, upstreams: &[Upstream]) -> Option<ReadPlan> {
        let raw = &at.value;
        let args = match &raw.args {
            Some(args) => self.expr(args, Purpose::ReadArgs),
            None => Expr::compile_in(&self.cel, "{}", Purpose::ReadArgs).ok(),
        };
        let expect = self.expr(&raw.expect, Purpose::Judge);
        let absent = raw.absent.as_ref().map(|absent| self.expr(absent, Purpose::Judge));
        let within = raw.within.as_ref().map_or(defaults::READBACK_WITHIN, |span| self.span(span));
        let target = split(&raw.read, home.map(|home| &**home), upstreams);
        if target.is_none() {
            let value = raw.read.value.trim();
            match value.split_once('.') {
                Some((upstream, _)) => {
                    self.known(&raw.read, upstream, upstreams);
                }
                None => {
                    let problem = self.error(raw.read.place, "the upstream of this read is not told");
                    problem.hint = Some("write upstream.tool".to_owned());
                }
            }
        }
        let (args, expect, absent, (_, upstream, read)) = (args?, expect?, lift(absent)?, target?);
        let mentions_pre = expect.mentions_pre() || absent.as_ref().is_some_and(Expr::mentions_pre);
        let needs_result = args.mentions_result();
        if mentions_pre && needs_result {
            let problem =
                self.error(raw.expect.0.place, "`pre` cannot be read before the call: `args` need its `result`");
            problem.hint = Some("give `args` that use the call's arguments only".to_owned());
        }
        let judged_by_result = expect.mentions_result() || absent.as_ref().is_some_and(Expr::mentions_result);
        let strength = match raw.strength {
            Some(raw::Strength::Exact) => Strength::Exact,
            Some(raw::Strength::Inferred) | None => Strength::Inferred,
        };
        Some(ReadPlan {
            upstream,
            read,
            can_probe: !needs_result && !judged_by_result,
            needs_preimage: !needs_result && (mentions_pre || strength == Strength::Inferred),
            strength,
            consistency: match raw.consistency {
                Some(raw::Consistency::Strong) => Consistency::Strong,
                Some(raw::Consistency::Eventual) | None => Consistency::Eventual,
            },
            within,
            args,
            expect,
            absent,
        })
    }

    /// A read-back that changes something would do so once for each call, and again for each probe.
    fn reader_reads(&mut self, place: Place, upstream: &str, tool: &str, entries: &[Entry]) {
        let declared = candidates(entries, upstream, tool).into_iter().find_map(|entry| entry.effect);
        if let Some(effect) = declared.filter(|effect| effect.is_mutation()) {
            let message =
                format!("`{upstream}.{tool}` is declared `{}`: what confirms must only read", effect.as_str());
            self.error(place, message);
        }
    }

    fn redispatch(&mut self, raw: &raw::Tool, effect: Option<Effect>, can_ask: bool) -> bool {
        let Some(At { value: true, place }) = raw.redispatch_on_absent else { return false };
        if !matches!(effect, Some(Effect::Write | Effect::Idempotent | Effect::Keyed)) {
            let problem = self.error(place, "a destructive call is never sent again");
            problem.hint = Some("declare `effect: write`, if that is what it is".to_owned());
        } else if !can_ask {
            self.error(place, "there is neither `probe` nor `readback` that could tell that it is absent");
        }
        true
    }

    fn identity(&mut self, identity: &At<Vec<Text>>) -> Identity {
        if identity.value.is_empty() {
            let problem = self.error(identity.place, "without an argument all calls of the tool are the same");
            problem.hint = Some("leave `identity` out to compare all arguments".to_owned());
        }
        let path = |text: &Text| text.value.split('.').map(|part| Name::from(part.trim())).collect::<Vec<_>>();
        let paths = identity.value.iter().map(path).collect::<Vec<_>>();
        for (text, path) in identity.value.iter().zip(&paths) {
            if path.iter().any(|part| part.is_empty()) {
                self.error(text.place, format!("`{}` is no path of an argument", text.value)).hint =
                    Some("write order_id or customer.id".to_owned());
            }
        }
        Identity::Paths(paths)
    }

    fn tool_spans(&mut self, raw: &raw::Tool) -> Spans {
        let mut spans = raw.timeouts.as_ref().map_or_else(Spans::default, |raw| self.timeouts(raw));
        spans.quiescence = raw.quiescence.as_ref().map(|span| self.span(span));
        spans.absent_spacing = raw.absent_spacing.as_ref().map(|span| self.span(span));
        spans.probe_wait = raw.probe_wait.as_ref().map(|span| self.span(span));
        spans.probe_budget = raw.probe_budget.as_ref().map(|span| self.positive(span));
        spans.reissue_window = raw.reissue_window.as_ref().map(|span| self.span(span));
        spans
    }

    /// An earlier entry that is just as specific and holds whenever this one would.
    fn shadowed(&mut self, entry: &Entry, earlier: &[Entry], places: &[Place], place: Place) {
        let covers = |other: &Entry| match (&other.when, &entry.when) {
            (None, None) => true,
            (Some(other), Some(this)) => other.source() == this.source(),
            _ => false,
        };
        let cover = earlier.iter().zip(places).find(|(other, _)| other.pattern == entry.pattern && covers(other));
        if let Some((_, other)) = cover {
            let message = format!("this rule never holds: line {} says the same `match` before it", other.line);
            self.warn(place, message).hint = Some("give it a `when`, or make one rule of the two".to_owned());
        }
    }
}

/// Nothing stays nothing, something wrong stops the entry (its problem is noted).
#[expect(clippy::option_option, reason = "not said, said and wrong, said and right")]
pub(super) fn lift<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(None) => None,
        Some(some) => Some(some),
    }
}

/// `upstream.tool`, or `tool` of the upstream at home. Tool names may hold dots, names of upstreams do not.
pub(super) fn split(text: &Text, home: Option<&str>, upstreams: &[Upstream]) -> Option<(Place, Name, Name)> {
    let value = text.value.trim();
    if let Some((upstream, tool)) = value.split_once('.')
        && upstreams.iter().any(|one| &*one.name == upstream)
        && !tool.is_empty()
    {
        return Some((text.place, upstream.into(), tool.into()));
    }
    if value.contains('.') || value.is_empty() {
        return None;
    }
    home.filter(|home| *home != "*").map(|home| (text.place, home.into(), value.into()))
}

/// The place of a text behind its quote.
fn quoted(resolver: &Resolver<'_>, text: &Text) -> Place {
    let letter =
        resolver.source.line(text.place.line).and_then(|line| line.chars().nth(text.place.column.saturating_sub(1)));
    let shift = usize::from(matches!(letter, Some('"' | '\'')));
    Place { column: text.place.column + shift, ..text.place }
}

impl From<raw::Effect> for Effect {
    fn from(raw: raw::Effect) -> Self {
        match raw {
            raw::Effect::Read => Self::Read,
            raw::Effect::Idempotent => Self::Idempotent,
            raw::Effect::Keyed => Self::Keyed,
            raw::Effect::Write => Self::Write,
            raw::Effect::Destructive => Self::Destructive,
        }
    }
}

impl From<raw::Repeat> for Repeat {
    fn from(raw: raw::Repeat) -> Self {
        match raw {
            raw::Repeat::Allow => Self::Allow,
            raw::Repeat::Notice => Self::Notice,
            raw::Repeat::Confirm => Self::Confirm,
            raw::Repeat::Deny => Self::Deny,
        }
    }
}

impl From<raw::OnDisconnect> for OnDisconnect {
    fn from(raw: raw::OnDisconnect) -> Self {
        match raw {
            raw::OnDisconnect::Detach => Self::Detach,
            raw::OnDisconnect::Cancel => Self::Cancel,
        }
    }
}
