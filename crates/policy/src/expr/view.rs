//! What an expression sees of a tool's result.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Value};

/// Shows the result of a `tools/call` as the data it means: `structuredContent`, else the JSON that its text holds (a
/// list when several texts hold JSON), else `{"text": …}`. An `isError` result shows `{"isError": true, "text": …}`
/// whatever else it holds, so that no expression takes an error for data. `None`: these bytes are no result.
pub fn view(result: &[u8]) -> Option<Value> {
    let Value::Object(mut result) = serde_json::from_slice(result).ok()? else { return None };
    let content = match result.remove("content") {
        Some(Value::Array(content)) => content,
        _ => Vec::new(),
    };
    let texts = content.iter().filter_map(|part| part.get("text")?.as_str()).collect::<Vec<_>>();
    if result.get("isError").and_then(Value::as_bool) == Some(true) {
        let mut error = Map::new();
        error.insert("isError".to_string(), Value::Bool(true));
        error.insert("text".to_string(), Value::String(texts.join("\n")));
        return Some(Value::Object(error));
    }
    match result.remove("structuredContent") {
        Some(Value::Null) | None => {}
        Some(structured) => return Some(structured),
    }
    if content.is_empty() {
        return Some(Value::Array(Vec::new()));
    }
    let mut parsed = texts.iter().filter_map(|text| structured_text(text)).collect::<Vec<_>>();
    match parsed.len() {
        0 => Some(plain(texts.join("\n"))),
        1 => parsed.pop(),
        // Some servers answer a list with one text per element.
        _ => Some(Value::Array(parsed)),
    }
}

/// Only objects and lists: a text like `5` or `"x"` is a text.
fn structured_text(text: &str) -> Option<Value> {
    text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str(text).ok()).flatten()
}

fn plain(text: String) -> Value {
    let mut view = Map::new();
    view.insert("text".to_string(), Value::String(text));
    Value::Object(view)
}
