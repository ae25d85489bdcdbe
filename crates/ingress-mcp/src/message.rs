//! JSON-RPC messages of the gateway's own, built from parts that are JSON already.

use bytes::Bytes;
use checks::json::{self, Document, Limits};

pub const INVALID_REQUEST: i64 = -32600;
pub const METHOD_NOT_FOUND: i64 = -32601;
pub const INVALID_PARAMS: i64 = -32602;

/// Scans what was scanned before, or what we wrote or an upstream sent: deep enough for all of it.
pub fn scan(bytes: &[u8]) -> Option<Document<'_>> {
    let limits = Limits { bytes: 64 * 1024 * 1024, depth: json::DEPTH_CEILING, values: 4_000_000 };
    json::scan(bytes, &limits).ok()
}

/// A JSON string literal.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                for part in ["\\u00", if u32::from(c) < 0x10 { "0" } else { "1" }] {
                    out.push_str(part);
                }
                out.extend(char::from_digit(u32::from(c) & 0xf, 16));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `{"jsonrpc":"2.0","id":…,"result":…}`
pub fn result(id: &[u8], result: &[u8]) -> Bytes {
    let parts: [&[u8]; 5] = [br#"{"jsonrpc":"2.0","id":"#, or_null(id), br#","result":"#, result, b"}"];
    Bytes::from(parts.concat())
}

/// A response that carries an `error` member as it came.
pub fn error_member(id: &[u8], error: &[u8]) -> Bytes {
    let parts: [&[u8]; 5] = [br#"{"jsonrpc":"2.0","id":"#, or_null(id), br#","error":"#, error, b"}"];
    Bytes::from(parts.concat())
}

pub fn error(id: &[u8], code: i64, text: &str, data: Option<&str>) -> Bytes {
    let mut member = format!(r#"{{"code":{code},"message":{}"#, quoted(text));
    if let Some(data) = data {
        member.push_str(r#","data":"#);
        member.push_str(data);
    }
    member.push('}');
    error_member(id, member.as_bytes())
}

fn or_null(id: &[u8]) -> &[u8] {
    if id.is_empty() { b"null" } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_what_json_wants() {
        assert_eq!(quoted("a\"b\\\n\u{1}\u{1f}é"), "\"a\\\"b\\\\\\n\\u0001\\u001fé\"");
    }
}
