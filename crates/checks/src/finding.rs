//! What a check found: where, which rule, and a sentence that never repeats the value.

use crate::json;
use alloc::string::String;
use core::fmt;

/// Longest path and longest message of a finding, in bytes.
pub const TEXT_MAX: usize = 200;

/// Which check a value failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Not strict JSON, or beyond a limit.
    Json,
    /// Not the shape that MCP gives a tool's result.
    Shape,
    /// The tool's own JSON Schema.
    Schema,
    /// The tool promises structured content and gave none.
    StructuredMissing,
}

impl Rule {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Shape => "result_shape",
            Self::Schema => "schema",
            Self::StructuredMissing => "structured_content_missing",
        }
    }
}

/// One judgement against a value. Safe to log and to tell: it holds names of members, never their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// JSON pointer into the value; empty is the value itself.
    pub path: String,
    pub rule: Rule,
    /// Which part of the rule: a pointer into the schema, where there is one.
    pub at: String,
    /// A lower-case fragment of at most `TEXT_MAX` bytes.
    pub message: String,
}

impl Finding {
    pub fn new(rule: Rule, path: &str, message: &str) -> Self {
        Self { path: shorten(path), rule, at: String::new(), message: shorten(message) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl core::error::Error for Finding {}

impl From<json::Error> for Finding {
    fn from(error: json::Error) -> Self {
        Self::new(Rule::Json, "", &alloc::format!("{error}"))
    }
}

/// Cuts at a character and takes control characters out: the text ends up in logs and in front of models.
pub(crate) fn shorten(text: &str) -> String {
    let mut short = String::with_capacity(text.len().min(TEXT_MAX));
    for character in text.chars() {
        let character = if character.is_control() { ' ' } else { character };
        if short.len() + character.len_utf8() > TEXT_MAX - '…'.len_utf8() {
            short.push('…');
            break;
        }
        short.push(character);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let finding = Finding::new(Rule::Json, "", &"ä\n".repeat(300));
        assert!(finding.message.len() <= TEXT_MAX);
        assert!(finding.message.ends_with('…'));
        assert!(!finding.message.contains('\n'));
    }
}
