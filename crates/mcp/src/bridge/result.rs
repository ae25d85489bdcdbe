//! Results and errors of servers.

use crate::json::{self, Error};
use crate::{code, meta, splice};
use bytes::Bytes;

use super::object;

/// Methods whose stateless results must say how long they may be kept.
const CACHEABLE: &[&str] =
    &["tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read", "server/discover"];

/// A `result` member of a stateless server, for a client of the session era. An `input_required` result is not for
/// this: see [`super::InputRequired`].
///
/// Such clients refuse an output schema that is not an object's and structured content that is no object, so the
/// schema is left out and the content wrapped as `{"result": …}`.
///
/// # Errors
/// A member that has to be changed appears twice.
pub fn result_to_session(method: &str, result: &Bytes) -> Result<Bytes, Error> {
    let root = json::root(result);
    let only_here = |key: &[u8]| ["resultType", "ttlMs", "cacheScope"].iter().any(|name| json::is_key(key, name));
    let mut out = splice::remove_all(result, &root, only_here)?;
    match method {
        "tools/list" => out = without_in_tools(&out, "outputSchema", |schema| !is_object_schema(schema))?,
        "tools/call" => {
            if let Some(at) = json::find(&out, &["structuredContent"])?.filter(|at| !json::is_object(&out[at.clone()]))
            {
                let wrapped = object(&[("result", &out[at.clone()])]);
                out = splice::replace(&out, &at, &wrapped)?;
            }
        }
        _ => {}
    }
    Ok(out)
}

/// A `result` member of a server of the session era, for a stateless client. `server_info` names the server, as JSON.
///
/// # Errors
/// As [`result_to_session`].
pub fn result_to_stateless(method: &str, result: &Bytes, server_info: Option<&[u8]>) -> Result<Bytes, Error> {
    let mut out = result.clone();
    if method == "tools/list" {
        out = without_in_tools(&out, "execution", |_| true)?;
    }
    let mut added: Vec<(&str, &[u8])> = Vec::new();
    if json::get(&out, &["resultType"])?.is_none() {
        added.push(("resultType", b"\"complete\""));
    }
    if CACHEABLE.contains(&method) {
        // Nothing is known about how long it stays true.
        for (name, value) in [("ttlMs", &b"0"[..]), ("cacheScope", b"\"private\"")] {
            if json::get(&out, &[name])?.is_none() {
                added.push((name, value));
            }
        }
    }
    if !added.is_empty() {
        out = splice::set_all(&out, &[], &added)?;
    }
    match server_info {
        Some(info) if json::get(&out, &["_meta", meta::SERVER_INFO])?.is_none() => {
            splice::set(&out, &["_meta", meta::SERVER_INFO], info)
        }
        _ => Ok(out),
    }
}

/// An `error` member of a server of the session era, for a stateless client.
///
/// # Errors
/// The code appears twice.
pub fn error_to_stateless(error: &Bytes) -> Result<Bytes, Error> {
    if code::of(error) == code::RESOURCE_NOT_FOUND {
        return splice::set(error, &["code"], code::INVALID_PARAMS.to_string().as_bytes());
    }
    Ok(error.clone())
}

/// A `tools/list` result without one member of its entries, where its value is chosen.
fn without_in_tools(result: &Bytes, name: &str, chosen: impl Fn(&[u8]) -> bool) -> Result<Bytes, Error> {
    let Some(tools) = json::find(result, &["tools"])? else {
        return Ok(result.clone());
    };
    let Ok(entries) = json::elements(result, tools.start) else {
        return Ok(result.clone());
    };
    let mut edits = Vec::new();
    for entry in entries.filter(|entry| json::is_object(&result[entry.clone()])) {
        let value = json::member(result, entry.start, name)?;
        if value.is_some_and(|value| chosen(&result[value])) {
            edits.push((entry.clone(), splice::remove(&result[entry], &[name])?.to_vec()));
        }
    }
    if edits.is_empty() { Ok(result.clone()) } else { splice::apply(result, edits) }
}

fn is_object_schema(schema: &[u8]) -> bool {
    matches!(json::text(schema, &["type"]), Ok(Some(kind)) if kind == "object")
}
