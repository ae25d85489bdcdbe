//! What a JSON Schema says about the members of an object, as far as pairing needs it.

use crate::classify::words;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::Value;

/// Deeper and larger schemas are not looked into.
const DEPTH_MAX: usize = 8;
const MEMBERS_MAX: usize = 512;

/// The members of an input.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    pub members: Vec<Member>,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub name: String,
    pub kind: Type,
    pub required: bool,
    /// Member names of the objects in it, when it is a list of objects.
    pub items: Vec<String>,
    /// Largest number allowed.
    pub maximum: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Number,
    Truth,
    List,
    Object,
    Unknown,
}

impl Shape {
    pub(super) fn of_input(schema: &Value) -> Self {
        let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let is_required = |name: &str| required.iter().any(|one| one.as_str() == Some(name));
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Self::default() };
        let members = properties.iter().take(MEMBERS_MAX).map(|(name, property)| Member {
            name: name.clone(),
            kind: kind(property),
            required: is_required(name),
            items: property.get("items").map(scalars).unwrap_or_default(),
            maximum: property.get("maximum").and_then(Value::as_u64),
        });
        Self { members: members.collect() }
    }

    /// The member of the same name, however it is spelled (`orderId`, `order_id`).
    pub(super) fn like(&self, name: &str) -> Option<&Member> {
        let exact = self.members.iter().find(|member| member.name == name);
        exact.or_else(|| self.members.iter().find(|member| words(&member.name) == words(name)))
    }

    pub(super) fn scalars(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.kind.is_scalar())
    }
}

impl Type {
    pub(super) const fn is_scalar(self) -> bool {
        matches!(self, Self::Text | Self::Number | Self::Truth)
    }

    pub(super) fn fits(self, other: Self) -> bool {
        self == other || self == Self::Unknown || other == Self::Unknown
    }
}

impl Member {
    /// It names one thing: what a reader can be asked by.
    pub(super) fn is_name(&self) -> bool {
        const NAMES: [&str; 16] = [
            "id", "key", "uuid", "path", "name", "slug", "email", "number", "sku", "channel", "account", "customer",
            "user", "repo", "owner", "project",
        ];
        matches!(self.kind, Type::Text | Type::Number)
            && words(&self.name).last().is_some_and(|word| NAMES.contains(&word.as_str()))
    }
}

fn kind(schema: &Value) -> Type {
    let stated = match schema.get("type") {
        Some(Value::String(text)) => text.as_str(),
        // `["string", "null"]`
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).find(|text| *text != "null").unwrap_or(""),
        _ => {
            // pydantic writes an optional as `anyOf: [{type: …}, {type: null}]`.
            let any = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
            let some =
                any.and_then(|any| any.iter().find(|one| one.get("type").and_then(Value::as_str) != Some("null")));
            return match some {
                Some(one) if one.get("anyOf").is_none() && one.get("oneOf").is_none() => kind(one),
                _ if schema.get("enum").is_some() => Type::Text,
                _ => Type::Unknown,
            };
        }
    };
    match stated {
        "string" => Type::Text,
        "number" | "integer" => Type::Number,
        "boolean" => Type::Truth,
        "array" => Type::List,
        "object" => Type::Object,
        _ => Type::Unknown,
    }
}

fn scalars(schema: &Value) -> Vec<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let members = properties.into_iter().flatten().filter(|(_, property)| kind(property).is_scalar());
    members.map(|(name, _)| name.clone()).take(MEMBERS_MAX).collect()
}

/// The one number or truth value that a flat record surely shows beside what addresses it; `None` when it shows anything
/// else, or when its name speaks of time or versions, which move by themselves.
pub(super) fn only_value(schema: &Value, addressed: &[&Member]) -> Option<String> {
    const MOVING: [&str; 12] = [
        "at",
        "time",
        "timestamp",
        "date",
        "updated",
        "modified",
        "seen",
        "version",
        "revision",
        "seq",
        "uptime",
        "age",
    ];
    let required = schema.get("required").and_then(Value::as_array)?;
    let members = schema.get("properties").and_then(Value::as_object)?;
    let mut others = members.iter().filter(|(name, _)| !addressed.iter().any(|one| one.name == **name));
    let (name, property) = others.next().filter(|_| others.next().is_none())?;
    let is_value = matches!(kind(property), Type::Number | Type::Truth);
    let is_sure = required.iter().any(|one| one.as_str() == Some(name));
    let is_moving = words(name).iter().any(|word| MOVING.contains(&word.as_str()));
    (is_value && is_sure && !is_moving).then(|| name.clone())
}

/// The names of the scalar members of an output itself, which `result.name` and `pre.name` reach.
pub(super) fn top_members(schema: Option<&Value>) -> BTreeSet<String> {
    let properties = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    let members = properties.into_iter().flatten().filter(|(_, property)| kind(property).is_scalar());
    members.map(|(name, _)| name.clone()).take(MEMBERS_MAX).collect()
}

/// The names of all scalar members of all objects in an output schema; `None` when it tells none.
pub(super) fn output_members(schema: Option<&Value>) -> Option<BTreeSet<String>> {
    let root = schema?;
    let mut names = BTreeSet::new();
    let mut open = Vec::from([(root, 0_usize)]);
    while let Some((schema, depth)) = open.pop() {
        if depth > DEPTH_MAX || names.len() > MEMBERS_MAX {
            continue;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#')) {
            open.extend(root.pointer(target).map(|schema| (schema, depth + 1)));
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if kind(property).is_scalar() {
                names.insert(name.to_string());
            }
            open.push((property, depth + 1));
        }
        open.extend(schema.get("items").map(|items| (items, depth + 1)));
        for any in ["anyOf", "oneOf", "allOf"] {
            let branches = schema.get(any).and_then(Value::as_array);
            open.extend(branches.into_iter().flatten().map(|branch| (branch, depth + 1)));
        }
    }
    (!names.is_empty()).then_some(names)
}
