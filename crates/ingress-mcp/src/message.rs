//! One JSON-RPC message of a client, as borrowed positions over the bytes it came in.
//!
//! Strict where a second reader could read something else (duplicate keys, lone surrogates, no UTF-8), and blind to
//! everything that a door does not need.

use bytes::Bytes;
use checks::json::{self, Document, Item, ItemKind, Limits};
use std::ops::Range;

/// Most messages in one batch of revision 2025-03-26.
pub const BATCH_MAX: usize = 100;

pub const PARSE_ERROR: i64 = -32700;
pub const INVALID_REQUEST: i64 = -32600;
pub const METHOD_NOT_FOUND: i64 = -32601;
pub const INVALID_PARAMS: i64 = -32602;
pub const INTERNAL_ERROR: i64 = -32603;

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read the message: {0}")]
    Json(#[from] json::Error),
    #[error("read the message: {0}")]
    Shape(&'static str),
}

impl Error {
    pub const fn code(&self) -> i64 {
        match self {
            Self::Json(_) => PARSE_ERROR,
            Self::Shape(_) => INVALID_REQUEST,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Notification,
    Response,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub bytes: Bytes,
    pub kind: Kind,
    /// Empty for a response.
    pub method: String,
    id: Range<usize>,
    params: Option<Range<usize>>,
    meta: Option<Range<usize>>,
    progress_token: Option<Range<usize>>,
}

/// What a body holds.
#[derive(Debug)]
pub enum Inbound {
    One(Message),
    Batch(Vec<Message>),
}

/// # Errors
/// No JSON within the limits, or no JSON-RPC 2.0.
pub fn read(bytes: &Bytes, limits: &Limits) -> Result<Inbound, Error> {
    let document = json::scan(bytes, limits)?;
    let root = document.root();
    match root.kind() {
        ItemKind::Object => Ok(Inbound::One(message(bytes, root)?)),
        ItemKind::Array => {
            let mut members = Vec::new();
            for element in root.elements() {
                if members.len() == BATCH_MAX {
                    return Err(Error::Shape("a batch of more than 100 messages"));
                }
                let range = element.range();
                let own = bytes.slice(range);
                // Scanned again so that positions count from the member's own first byte.
                let document = json::scan(&own, limits)?;
                members.push(message(&own, document.root())?);
            }
            if members.is_empty() { Err(Error::Shape("an empty batch")) } else { Ok(Inbound::Batch(members)) }
        }
        _ => Err(Error::Shape("neither an object nor a batch")),
    }
}

fn message(bytes: &Bytes, root: Item<'_>) -> Result<Message, Error> {
    if root.kind() != ItemKind::Object {
        return Err(Error::Shape("a message is an object"));
    }
    if root.get("jsonrpc").and_then(Item::text).as_deref() != Some("2.0") {
        return Err(Error::Shape("`jsonrpc` is not \"2.0\""));
    }
    let id = root.get("id");
    if let Some(id) = id
        && !is_id(id)
    {
        return Err(Error::Shape("`id` is neither a string nor an integer"));
    }
    let method = root.get("method");
    let params = root.get("params");
    if params.is_some_and(|params| !matches!(params.kind(), ItemKind::Object | ItemKind::Array | ItemKind::Null)) {
        return Err(Error::Shape("`params` is no object"));
    }
    let kind = match (method, id) {
        (Some(_), Some(_)) => Kind::Request,
        (Some(_), None) => Kind::Notification,
        (None, Some(_)) if root.get("result").is_some() != root.get("error").is_some() => Kind::Response,
        _ => return Err(Error::Shape("neither a request nor a notification nor a response")),
    };
    let method = match method {
        None => String::new(),
        Some(method) => method.text().ok_or(Error::Shape("`method` is no string"))?.into_owned(),
    };
    let meta = params.and_then(|params| params.get("_meta")).filter(|meta| meta.kind() == ItemKind::Object);
    let token = meta.and_then(|meta| meta.get("progressToken")).filter(|token| is_id(*token));
    Ok(Message {
        bytes: bytes.clone(),
        kind,
        method,
        id: id.map(Item::range).unwrap_or_default(),
        params: params.filter(|params| params.kind() == ItemKind::Object).map(Item::range),
        meta: meta.map(Item::range),
        progress_token: token.map(Item::range),
    })
}

fn is_id(item: Item<'_>) -> bool {
    match item.kind() {
        ItemKind::String => item.raw().len() <= 1024,
        ItemKind::Number => item.raw().len() <= 64,
        _ => false,
    }
}

impl Message {
    /// The id as JSON text; empty for a notification.
    pub fn id(&self) -> Bytes {
        self.bytes.slice(self.id.clone())
    }

    pub fn id_range(&self) -> Range<usize> {
        self.id.clone()
    }

    pub fn params(&self) -> Option<Bytes> {
        self.params.clone().map(|range| self.bytes.slice(range))
    }

    pub fn meta(&self) -> Option<Bytes> {
        self.meta.clone().map(|range| self.bytes.slice(range))
    }

    pub fn progress_token(&self) -> Option<Bytes> {
        self.progress_token.clone().map(|range| self.bytes.slice(range))
    }

    pub fn progress_token_range(&self) -> Option<Range<usize>> {
        self.progress_token.clone()
    }

    /// The text of a member of `params`.
    pub fn param_text(&self, name: &str) -> Option<String> {
        let params = self.params()?;
        let document = scan(&params)?;
        document.root().get(name)?.text().map(std::borrow::Cow::into_owned)
    }
}

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

/// What an upstream sent: which member it answers with, where.
#[derive(Debug)]
pub struct Answer {
    pub result: Option<Range<usize>>,
    pub error: Option<Range<usize>>,
    pub id: Option<Range<usize>>,
}

/// Finds the members of a response without looking into them.
pub fn answer(bytes: &[u8]) -> Option<Answer> {
    let document = scan(bytes)?;
    let root = document.root();
    let range = |name| root.get(name).map(Item::range);
    Some(Answer { result: range("result"), error: range("error"), id: range("id") })
}

pub fn error_code(member: &[u8]) -> Option<i64> {
    let document = scan(member)?;
    std::str::from_utf8(document.root().get("code")?.raw()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Message {
        match read(&Bytes::copy_from_slice(text.as_bytes()), &Limits::default()) {
            Ok(Inbound::One(message)) => message,
            other => unreachable!("{other:?}"),
        }
    }

    fn refused(text: &[u8]) -> i64 {
        read(&Bytes::copy_from_slice(text), &Limits::default()).map_or_else(|error| error.code(), |_| 0)
    }

    #[test]
    fn ids_and_tokens_keep_their_spelling() {
        let message = one(r#"{"jsonrpc":"2.0","id":1e2,"method":"x","params":{"_meta":{"progressToken":"a\u0062"}}}"#);
        assert_eq!((&*message.id(), message.kind), (&b"1e2"[..], Kind::Request));
        assert_eq!(message.progress_token().as_deref(), Some(&br#""a\u0062""#[..]));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let deep = format!(r#"{{"jsonrpc":"2.0","method":"x","params":{}{}}}"#, "[".repeat(80), "]".repeat(80));
        for (text, code) in [
            (&br#"{"jsonrpc":"2.0","id":1,"method":"x","method":"y"}"#[..], PARSE_ERROR),
            (b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}", PARSE_ERROR),
            (br#"{"jsonrpc":"2.0","id":1,"method":"x""#, PARSE_ERROR),
            (deep.as_bytes(), PARSE_ERROR),
            (br#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, INVALID_REQUEST),
            (br#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, INVALID_REQUEST),
            (br#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, INVALID_REQUEST),
            (br#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST),
            (br#"{"jsonrpc":"2.0","id":1,"method":"x","params":3}"#, INVALID_REQUEST),
            (b"[]", INVALID_REQUEST),
            (b"3", INVALID_REQUEST),
        ] {
            assert_eq!(refused(text), code, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn members_of_a_batch_are_messages_of_their_own() {
        let text = br#"[{"jsonrpc":"2.0","id":1,"method":"a"}, {"jsonrpc":"2.0","method":"b"}]"#;
        let Ok(Inbound::Batch(members)) = read(&Bytes::from_static(text), &Limits::default()) else { unreachable!() };
        assert_eq!(&*members[0].bytes, br#"{"jsonrpc":"2.0","id":1,"method":"a"}"#);
        assert_eq!((members[1].kind, members[1].method.as_str()), (Kind::Notification, "b"));
    }

    #[test]
    fn quoting_is_what_json_wants() {
        assert_eq!(quoted("a\"b\\\n\u{1}\u{1f}é"), "\"a\\\"b\\\\\\n\\u0001\\u001fé\"");
    }
}
