//! The form of the file: YAML, known keys, right types. The first error is the only one: behind it nothing is sure.

use crate::problem::{Problem, Source};
use crate::raw::{self, place};
use crate::words;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_saphyr::Error;

pub(super) fn read(text: &str, source: &Source<'_>) -> Result<raw::File, Problem> {
    // An empty file, or one of comments only, says nothing, which is legal.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(raw::File::default());
    }
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error, source))
}

fn explain(error: &Error, source: &Source<'_>) -> Problem {
    let error = error.without_snippet();
    let at = error.location().map(|location| place(&location)).unwrap_or_default();
    let problem = |message: String| source.problem(at, message);
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let cut = field.contains(['(', ')', '"', '=', '{', '}']);
            let quote = cut.then(|| "an expression inside { } stands in quotes: a comma ends it otherwise".to_owned());
            let hint = quote.or_else(|| words::did_you_mean(field, expected.iter().copied())).or_else(|| {
                let later = raw::LATER.contains(&field.as_str());
                later.then(|| format!("`{field}` is not part of this version"))
            });
            let hint = hint.or_else(|| Some(format!("known here: {}", expected.join(", "))));
            problem(format!("unknown key `{field}`")).maybe_hint(hint)
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            let hint = words::did_you_mean(variant, expected.iter().copied());
            let hint = hint.or_else(|| Some(format!("one of: {}", expected.join(", "))));
            problem(format!("`{variant}` is not a known word here")).maybe_hint(hint)
        }
        Error::SerdeMissingField { field, .. } => problem(format!("`{field}` is missing")),
        Error::SerdeInvalidType { unexpected, expected, .. } => {
            // `string "s3cret"`: the kind is enough, the value may be a secret.
            let kind = unexpected.split([' ', '`']).next().unwrap_or_default();
            problem(format!(
                "expected {}, found {}",
                plain(expected),
                if kind.is_empty() { "something else" } else { kind }
            ))
        }
        Error::SerdeInvalidValue { expected, .. } => problem(format!("expected {}", plain(expected))),
        Error::InvalidScalar { ty, .. } => problem(format!("expected {}", plain(ty))),
        Error::InvalidBooleanStrict { .. } => problem("expected true or false".to_owned()),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("a key");
            problem(format!("`{key}` is written twice"))
        }
        Error::NullIntoString { .. } => problem("expected a text, found nothing".to_owned()),
        Error::Budget { .. } => problem("the file is too large or too deeply nested".to_owned()),
        Error::Unexpected { expected, .. } => problem(format!("expected {}", plain(expected))),
        Error::AliasError { error, .. } => explain(error, source),
        other => {
            let text = other.to_string();
            // Some messages repeat their place.
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(1).collect::<Vec<_>>();
            problem(format!("YAML: {}", without_place(lines.first().copied().unwrap_or("not readable"))))
        }
    }
}

/// The reader's words for what it expected, in those of somebody who writes YAML.
fn plain(expected: &str) -> &str {
    match expected {
        "sequence start" => "a list",
        "mapping start" => "a mapping",
        "string scalar" => "a text",
        "u32" | "u64" => "a whole number",
        other if other.starts_with("struct ") => "a mapping",
        other => other,
    }
}

fn without_place(message: &str) -> &str {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    message.split(" at line ").next().unwrap_or(message)
}
