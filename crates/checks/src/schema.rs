//! Compiled JSON Schemas of tools. They come from servers that nobody has vouched for: nothing is fetched, patterns run
//! in linear time, and one that cannot be used is reported instead of guessed at.

mod cost;

use crate::finding::{Finding, Rule, shorten};
use crate::json::{self, DEPTH_MAX, Limits};
use alloc::format;
use alloc::string::String;
use core::fmt;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Largest schema that is compiled.
pub const BYTES_MAX: usize = 1024 * 1024;
/// Most values and keys in a schema.
pub const VALUES_MAX: usize = 100_000;
/// Largest compiled pattern, and largest cache of its automaton, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// A schema that can judge values. Without `$schema` it is read as 2020-12.
pub struct Schema {
    validator: Validator,
    cost: cost::Cost,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema")
    }
}

/// Why a schema judges nothing. The call goes on without it, and the operator is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use the schema: {0}")]
pub struct Unusable(String);

impl Schema {
    /// # Errors
    /// Not strict JSON, too large, not a schema, a reference that leads outside, a pattern beyond linear time.
    pub fn compile(bytes: &[u8]) -> Result<Self, Unusable> {
        let limits = Limits { bytes: BYTES_MAX, depth: DEPTH_MAX, values: VALUES_MAX };
        json::scan(bytes, &limits).map_err(|error| Unusable(format!("{error}")))?;
        let value = json::value(bytes).map_err(|error| Unusable(format!("{error}")))?;
        Self::from_value(&value)
    }

    /// # Errors
    /// As `compile`, for a schema that is already read within those limits.
    pub fn from_value(schema: &Value) -> Result<Self, Unusable> {
        let cost = cost::estimate(schema)?;
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX);
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(patterns)
            .build(schema)
            .map_err(|error| Unusable(shorten(&format!("{}", error.masked()))))?;
        Ok(Self { validator, cost })
    }

    /// # Errors
    /// The first thing in the value that the schema does not allow.
    //= S-17
    pub fn validate(&self, value: &Value) -> Result<(), Finding> {
        // Judging is cheap and remembers what it has judged in recursive schemas. Explaining collects what every branch
        // has to say, so it is tried only where that cannot explode.
        if self.validator.is_valid(value) {
            return Ok(());
        }
        if !self.cost.can_explain(depth(value)) {
            return Err(Finding::new(Rule::Schema, "", "does not fit the schema"));
        }
        Err(match self.validator.validate(value) {
            Ok(()) => Finding::new(Rule::Schema, "", "does not fit the schema"),
            Err(error) => Finding {
                path: shorten(error.instance_path().as_str()),
                rule: Rule::Schema,
                at: shorten(error.schema_path().as_str()),
                message: shorten(&format!("{}", error.masked())),
            },
        })
    }
}

/// The caller has bounded it: values come from `json::scan`.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
