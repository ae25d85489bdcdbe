//! `x-mcp-header`: arguments that a tool wants mirrored into `Mcp-Param-*` headers.

use super::{Mismatch, decode, encode, scalar};
use crate::json;
use crate::meta::header;
use std::collections::HashSet;

/// Keywords whose subschemas may hold no `x-mcp-header`: what lies under them is not always there.
const ELSEWHERE: &[&str] = &[
    "items",
    "prefixItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "propertyNames",
    "patternProperties",
    "dependentSchemas",
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "$defs",
    "definitions",
];

/// Those whose value is a map from names to subschemas.
const MAPS: &[&str] = &["patternProperties", "dependentSchemas", "$defs", "definitions"];

/// The mirrored arguments of one tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declarations(Vec<Declaration>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Declaration {
    path: Vec<String>,
    /// In lower case, with the prefix.
    header: String,
}

/// The schema's `x-mcp-header` breaks a rule of the specification; such a tool has to be left out over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read x-mcp-header: {0}")]
pub struct Invalid(pub &'static str);

impl Declarations {
    /// Reads them from an input schema that passed [`json::check`].
    ///
    /// # Errors
    /// A declaration breaks a rule.
    pub fn read(schema: &[u8]) -> Result<Self, Invalid> {
        // Most schemas have none: a search over the text is far cheaper than a walk.
        if !contains(schema, b"x-mcp-header") && !contains(schema, b"\\u") {
            return Ok(Self::default());
        }
        let mut found = Self::default();
        let mut seen = HashSet::new();
        walk(schema, json::root(schema).start, &mut Vec::new(), true, &mut found, &mut seen)?;
        Ok(found)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The headers for these arguments. Absent and null arguments have none.
    #[must_use]
    pub fn headers(&self, arguments: &[u8]) -> Vec<(String, String)> {
        let one = |declared: &Declaration| {
            let value = scalar(declared.value(arguments)?)?;
            Some((declared.header.clone(), encode(&value).into_owned()))
        };
        self.0.iter().filter_map(one).collect()
    }

    /// Checks the headers of a call with these arguments. `header` looks a header up by its lower-case name.
    ///
    /// # Errors
    /// The first header that is missing, differs or cannot be read.
    pub fn check<'h>(&self, arguments: &[u8], header: impl Fn(&str) -> Option<&'h str>) -> Result<(), Mismatch> {
        const NAME: &str = "an Mcp-Param header";
        for declared in &self.0 {
            let value = declared.value(arguments).and_then(scalar);
            match (value, header(&declared.header)) {
                (None, None) => {}
                (Some(_), None) => return Err(Mismatch::Missing(NAME)),
                (value, Some(given)) => {
                    let given = decode(given.trim()).ok_or(Mismatch::Unreadable(NAME))?;
                    if !value.is_some_and(|value| is_same(&value, &given)) {
                        return Err(Mismatch::Differs(NAME));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Declaration {
    fn value<'a>(&self, arguments: &'a [u8]) -> Option<&'a [u8]> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        json::get(arguments, &path).ok().flatten()
    }
}

/// Integers are the same in every spelling: `42`, `42.0`.
fn is_same(value: &str, given: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    value == given || number(value).is_some_and(|value| number(given) == Some(value))
}

fn walk(
    schema: &[u8],
    at: usize,
    path: &mut Vec<String>,
    reachable: bool,
    found: &mut Declarations,
    seen: &mut HashSet<String>,
) -> Result<(), Invalid> {
    let Ok(members) = json::members(schema, at) else {
        return Ok(());
    };
    for member in members {
        let value = &schema[member.value.clone()];
        let key = json::decode(&schema[member.key]).unwrap_or_default();
        if key == "x-mcp-header" {
            if !reachable || path.is_empty() {
                return Err(Invalid("it is only for properties that are always reachable"));
            }
            let name = json::decode(value).filter(|name| is_token(name)).ok_or(Invalid("it is no header name"))?;
            if !matches!(json::text(&schema[at..], &["type"]), Ok(Some(kind)) if matches!(&*kind, "string" | "integer" | "boolean"))
            {
                return Err(Invalid("it is only for strings, integers and booleans"));
            }
            let name = name.to_ascii_lowercase();
            if !seen.insert(name.clone()) {
                return Err(Invalid("two properties have the same one"));
            }
            found.0.push(Declaration { path: path.clone(), header: format!("{}{name}", header::PARAM_PREFIX) });
        } else if key == "properties" {
            let Ok(properties) = json::members(schema, member.value.start) else {
                continue;
            };
            for property in properties {
                path.push(json::decode(&schema[property.key]).unwrap_or_default().into_owned());
                walk(schema, property.value.start, path, reachable, found, seen)?;
                path.pop();
            }
        } else if ELSEWHERE.contains(&&*key) && (contains(value, b"x-mcp-header") || contains(value, b"\\u")) {
            elsewhere(schema, member.value.start, MAPS.contains(&&*key), found, seen)?;
        }
    }
    Ok(())
}

/// A subschema or a list of them; under [`MAPS`], a map of them. Each is walked once, so that nesting costs nothing more.
fn elsewhere(
    schema: &[u8],
    at: usize,
    is_map: bool,
    found: &mut Declarations,
    seen: &mut HashSet<String>,
) -> Result<(), Invalid> {
    let mut each = |at: usize| walk(schema, at, &mut Vec::new(), false, found, seen);
    if let Ok(mut list) = json::elements(schema, at) {
        return list.try_for_each(|one| each(one.start));
    }
    match json::members(schema, at) {
        Ok(mut map) if is_map => map.try_for_each(|one| each(one.value.start)),
        _ => each(at),
    }
}

/// A token of RFC 9110.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
