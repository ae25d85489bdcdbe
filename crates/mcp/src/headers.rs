//! Headers of 2026-07-28 that mirror the body: written for upstreams, checked for agents.
//!
//! `Mcp-Method` and `Mcp-Name` come from the message, `Mcp-Param-*` from arguments whose schema says `x-mcp-header`.

mod base64;
mod params;

use crate::envelope::{Envelope, Kind};
use crate::json;
use crate::meta::{self, header};
use std::borrow::Cow;

pub use params::{Declarations, Invalid};

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// What a header says otherwise than the body. All are `HeaderMismatch` (-32020) with HTTP 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    #[error("match the headers: {0} is missing")]
    Missing(&'static str),
    #[error("match the headers: {0} differs from the body")]
    Differs(&'static str),
    #[error("match the headers: {0} cannot be read")]
    Unreadable(&'static str),
}

/// The member of `params` that `Mcp-Name` mirrors for a method.
#[must_use]
pub fn name_member(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// The mirrors of a request: `Mcp-Method` and, where the method has one, `Mcp-Name`. Header names in lower case.
#[must_use]
pub fn mirrors(message: &Envelope) -> Vec<(&'static str, String)> {
    let Some(method) = message.method() else {
        return Vec::new();
    };
    let mut all = vec![(header::METHOD, encode(method).into_owned())];
    let name = name_member(method).and_then(|member| message.param_text(&[member]).ok().flatten());
    all.extend(name.map(|name| (header::NAME, encode(&name).into_owned())));
    all
}

/// The version that a message claims in `_meta`.
#[must_use]
pub fn claimed_version(message: &Envelope) -> Option<String> {
    message.param_text(&["_meta", meta::PROTOCOL_VERSION]).ok().flatten().map(Into::into)
}

/// Checks the mirrors of a request of 2026-07-28. `header` looks a header up by its lower-case name.
/// Notifications carry no mirrors that must be checked.
///
/// # Errors
/// The first header that is missing or differs.
pub fn check<'h>(message: &Envelope, header: impl Fn(&str) -> Option<&'h str>) -> Result<(), Mismatch> {
    if message.kind() != Kind::Request {
        return Ok(());
    }
    let version = header(header::PROTOCOL_VERSION).ok_or(Mismatch::Missing("MCP-Protocol-Version"))?;
    if claimed_version(message).is_some_and(|claimed| claimed != version.trim()) {
        return Err(Mismatch::Differs("MCP-Protocol-Version"));
    }
    let method = message.method().unwrap_or_default();
    if header(header::METHOD).ok_or(Mismatch::Missing("Mcp-Method"))?.trim() != method {
        return Err(Mismatch::Differs("Mcp-Method"));
    }
    let Some(member) = name_member(method) else {
        return Ok(());
    };
    let body = message.param_text(&[member]).ok().flatten();
    match (header(header::NAME), body) {
        (None, Some(_)) => Err(Mismatch::Missing("Mcp-Name")),
        (Some(value), body) => {
            let name = decode(value.trim()).ok_or(Mismatch::Unreadable("Mcp-Name"))?;
            if body.is_some_and(|body| body != name) { Err(Mismatch::Differs("Mcp-Name")) } else { Ok(()) }
        }
        (None, None) => Ok(()),
    }
}

/// A value as a header may hold it: plain when it is safe, else in the Base64 form of the specification.
#[must_use]
pub fn encode(value: &str) -> Cow<'_, str> {
    let plain = !value.is_empty()
        && value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
        && value.trim() == value
        && !(value.starts_with(PREFIX) && value.ends_with(SUFFIX));
    if plain {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("{PREFIX}{}{SUFFIX}", base64::encode(value.as_bytes())))
}

/// What a header value stands for; `None` when its Base64 form is broken or holds no text.
#[must_use]
pub fn decode(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    match inner {
        Some(inner) => Some(Cow::Owned(String::from_utf8(base64::decode(inner)?).ok()?)),
        None => Some(Cow::Borrowed(value)),
    }
}

/// A value of the arguments as a header says it: strings as they are, integers and booleans as text.
fn scalar(value: &[u8]) -> Option<Cow<'_, str>> {
    match value.first()? {
        b'"' => json::decode(value),
        b't' | b'f' | b'-' | b'0'..=b'9' => std::str::from_utf8(value).ok().map(Cow::Borrowed),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
