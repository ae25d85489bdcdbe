//! How often the worst schema can make a validator look at one spot of a value.
//!
//! `anyOf: [{$ref: next}, {$ref: next}]`, forty levels of it, is a kilobyte of schema and 2^40 visits. The validator
//! remembers what it judged along recursive references, but not along such ladders, and not while it explains.

use super::Unusable;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use serde_json::{Map, Value};

/// Most visits of one spot of a value; a schema beyond it is unusable.
pub const VISITS_MAX: u64 = 50_000;
/// Most visits that are spent on saying what is wrong.
const EXPLAIN_MAX: u64 = 100_000;
/// Most work that this estimate may cost itself.
const STEPS_MAX: usize = 1_000_000;
/// Longest chain of subschemas and references.
const NESTING_MAX: usize = 256;
/// Stands for a reference back to a schema that is being visited; large, so that it outweighs all plain visits.
const BACK: u64 = 1 << 32;

/// What is known of a schema that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    visits: u64,
    /// How often a recursive schema visits the next level of a value for each visit of this one.
    growth: u64,
}

impl Cost {
    /// Saying what is wrong is affordable for values of this depth.
    pub(super) fn can_explain(self, depth: usize) -> bool {
        let levels = u32::try_from(depth).unwrap_or(u32::MAX);
        self.growth.saturating_pow(levels).saturating_mul(self.visits) <= EXPLAIN_MAX
    }
}

pub(super) fn estimate(root: &Value) -> Result<Cost, Unusable> {
    let mut walk = Walk { root, known: BTreeMap::new(), anchors: BTreeMap::new(), steps: 0 };
    walk.collect_anchors(root, 0)?;
    let total = walk.schema(root, 0)?.total();
    let cost = Cost { visits: total % BACK, growth: (total / BACK).max(1) };
    if cost.visits > VISITS_MAX {
        return Err(Unusable(format!("it would look at one spot of a value more than {VISITS_MAX} times")));
    }
    Ok(cost)
}

/// Visits below one spot of a value, by what leads to the next level.
#[derive(Clone, Default)]
struct Reach<'s> {
    here: u64,
    /// By the name of a member; `other` for those that are not listed.
    members: BTreeMap<&'s str, u64>,
    other: u64,
    elements: u64,
}

impl Reach<'_> {
    /// One spot is either a member or an element, so only the worst counts.
    fn total(&self) -> u64 {
        let below = self.members.values().copied().fold(self.other.max(self.elements), u64::max);
        self.here.saturating_add(below)
    }
}

enum State<'s> {
    Visiting,
    Done(Reach<'s>),
}

struct Walk<'s> {
    root: &'s Value,
    known: BTreeMap<usize, State<'s>>,
    anchors: BTreeMap<&'s str, &'s Value>,
    steps: usize,
}

impl<'s> Walk<'s> {
    fn schema(&mut self, schema: &'s Value, nesting: usize) -> Result<Reach<'s>, Unusable> {
        self.step(1)?;
        if nesting > NESTING_MAX {
            return Err(Unusable("its subschemas and references are chained too long".into()));
        }
        let Value::Object(members) = schema else {
            return Ok(Reach { here: 1, ..Reach::default() });
        };
        let name = core::ptr::from_ref(schema).addr();
        match self.known.get(&name) {
            Some(State::Visiting) => return Ok(Reach { here: BACK + 1, ..Reach::default() }),
            Some(State::Done(reach)) => {
                let reach = reach.clone();
                self.step(reach.members.len())?;
                return Ok(reach);
            }
            None => {}
        }
        self.known.insert(name, State::Visiting);
        let reach = self.members(schema, members, nesting + 1)?;
        self.known.insert(name, State::Done(reach.clone()));
        Ok(reach)
    }

    fn members(
        &mut self,
        schema: &'s Value,
        members: &'s Map<String, Value>,
        nesting: usize,
    ) -> Result<Reach<'s>, Unusable> {
        let nested = !core::ptr::eq(schema, self.root);
        if nested && (members.get("$id").is_some_and(Value::is_string)) {
            // References inside it would lead elsewhere than this estimate thinks.
            return Err(Unusable("a subschema has an $id of its own".into()));
        }
        let mut reach = self.own(members, nesting)?;
        reach.here = reach.here.saturating_add(1);
        for keyword in ["allOf", "anyOf", "oneOf"] {
            for inner in members.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                self.merge(&mut reach, inner, nesting)?;
            }
        }
        for keyword in ["not", "if", "then", "else"] {
            if let Some(inner) = members.get(keyword) {
                self.merge(&mut reach, inner, nesting)?;
            }
        }
        for keyword in ["dependentSchemas", "dependencies"] {
            for inner in members.get(keyword).and_then(Value::as_object).into_iter().flat_map(Map::values) {
                self.merge(&mut reach, inner, nesting)?;
            }
        }
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            let Some(reference) = members.get(keyword).and_then(Value::as_str) else { continue };
            let target = self.resolve(reference)?;
            self.merge(&mut reach, target, nesting)?;
        }
        Ok(reach)
    }

    /// What the schema itself says of the next level.
    fn own(&mut self, members: &'s Map<String, Value>, nesting: usize) -> Result<Reach<'s>, Unusable> {
        let mut reach = Reach::default();
        for keyword in ["additionalProperties", "unevaluatedProperties"] {
            if let Some(inner) = members.get(keyword) {
                reach.other = reach.other.saturating_add(self.schema(inner, nesting)?.total());
            }
        }
        for (name, inner) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let total = self.schema(inner, nesting)?.total();
            reach.members.insert(name, total);
        }
        let mut every = 0_u64;
        for inner in members.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::values) {
            every = every.saturating_add(self.schema(inner, nesting)?.total());
        }
        if let Some(inner) = members.get("propertyNames") {
            every = every.saturating_add(self.schema(inner, nesting)?.total());
        }
        if every > 0 {
            reach.other = reach.other.saturating_add(every);
            self.step(reach.members.len())?;
            reach.members.values_mut().for_each(|member| *member = member.saturating_add(every));
        }
        for keyword in ["items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"] {
            match members.get(keyword) {
                // Each schema of a tuple sees another element.
                Some(Value::Array(tuple)) => {
                    let mut worst = 0;
                    for inner in tuple {
                        worst = worst.max(self.schema(inner, nesting)?.total());
                    }
                    reach.elements = reach.elements.saturating_add(worst);
                }
                Some(inner) => reach.elements = reach.elements.saturating_add(self.schema(inner, nesting)?.total()),
                None => {}
            }
        }
        Ok(reach)
    }

    /// Adds a subschema that looks at the same spot.
    fn merge(&mut self, into: &mut Reach<'s>, inner: &'s Value, nesting: usize) -> Result<(), Unusable> {
        let added = self.schema(inner, nesting)?;
        self.step(added.members.len() + if added.other > 0 { into.members.len() } else { 0 })?;
        if added.other > 0 {
            for (name, total) in &mut into.members {
                if !added.members.contains_key(name) {
                    *total = total.saturating_add(added.other);
                }
            }
        }
        let other = into.other;
        for (name, total) in added.members {
            let member = into.members.entry(name).or_insert(other);
            *member = member.saturating_add(total);
        }
        into.here = into.here.saturating_add(added.here);
        into.other = into.other.saturating_add(added.other);
        into.elements = into.elements.saturating_add(added.elements);
        Ok(())
    }

    fn resolve(&self, reference: &str) -> Result<&'s Value, Unusable> {
        let target = match reference.strip_prefix('#') {
            Some("") => Some(self.root),
            Some(pointer) if pointer.starts_with('/') => self.root.pointer(&decode_percent(pointer)),
            Some(anchor) => self.anchors.get(anchor).copied(),
            None => None,
        };
        target.ok_or_else(|| Unusable("a reference leads out of it or to nothing".into()))
    }

    fn collect_anchors(&mut self, value: &'s Value, nesting: usize) -> Result<(), Unusable> {
        self.step(1)?;
        if nesting > NESTING_MAX {
            return Err(Unusable("it is nested too deep".into()));
        }
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.collect_anchors(item, nesting + 1)),
            Value::Object(members) => {
                for keyword in ["$anchor", "$dynamicAnchor"] {
                    let Some(anchor) = members.get(keyword).and_then(Value::as_str) else { continue };
                    let earlier = self.anchors.insert(anchor, value);
                    if earlier.is_some_and(|earlier| !core::ptr::eq(earlier, value)) {
                        return Err(Unusable("two of its anchors have one name".into()));
                    }
                }
                members.values().try_for_each(|member| self.collect_anchors(member, nesting + 1))
            }
            _ => Ok(()),
        }
    }

    fn step(&mut self, steps: usize) -> Result<(), Unusable> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > STEPS_MAX { Err(Unusable("it is too intricate".into())) } else { Ok(()) }
    }
}

fn decode_percent(pointer: &str) -> String {
    let mut bytes = alloc::vec::Vec::with_capacity(pointer.len());
    let mut rest = pointer.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => {
                char::from(*high).to_digit(16).zip(char::from(*low).to_digit(16)).map(|(high, low)| high << 4 | low)
            }
            _ => None,
        };
        match escaped.and_then(|byte| u8::try_from(byte).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
