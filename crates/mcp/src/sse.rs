//! Server-sent events: writing them, and reading them from chunks that end anywhere.
//!
//! The reader is bounded in line and event, accepts LF, CRLF and CR, and reports ids and `retry` of events without data
//! too: MCP servers of 2025-11-25 number a stream with such an event before they close it.

mod parser;

use bytes::{BufMut, Bytes, BytesMut};
use std::time::Duration;

pub use parser::{Error, Limits, Parser};

/// One event as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The id that this event set. `Some("")` resets what was known.
    pub id: Option<String>,
    /// The event's type; empty for `message`.
    pub kind: String,
    /// The data lines, joined by line feeds. Empty for an event that only carries an id or `retry`.
    pub data: Bytes,
    pub retry: Option<Duration>,
}

impl Event {
    /// Does it carry a message? Other types and empty data do not.
    #[must_use]
    pub fn is_message(&self) -> bool {
        !self.data.is_empty() && matches!(self.kind.as_str(), "" | "message")
    }
}

/// Writes an event that carries a message. Line breaks in the data become several `data` lines.
#[must_use]
pub fn message(id: Option<&str>, data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 32 + id.map_or(0, str::len));
    out.put_slice(b"event: message\n");
    put_id(&mut out, id);
    put_data(&mut out, data);
    out.put_u8(b'\n');
    out.freeze()
}

/// Writes an event without a message that numbers the stream, so that it can be resumed from its start.
#[must_use]
pub fn priming(id: &str, retry: Option<Duration>) -> Bytes {
    let mut out = BytesMut::with_capacity(64 + id.len());
    put_id(&mut out, Some(id));
    if let Some(retry) = retry {
        out.put_slice(format!("retry: {}\n", retry.as_millis()).as_bytes());
    }
    out.put_slice(b"data:\n\n");
    out.freeze()
}

/// Writes a comment: keeps intermediaries from closing a quiet stream.
#[must_use]
pub const fn keep_alive() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// A line break or NUL in an id would break the stream, so such an id is left out.
fn put_id(out: &mut BytesMut, id: Option<&str>) {
    if let Some(id) = id.filter(|id| !id.bytes().any(|byte| matches!(byte, b'\n' | b'\r' | 0))) {
        out.put_slice(b"id: ");
        out.put_slice(id.as_bytes());
        out.put_u8(b'\n');
    }
}

fn put_data(out: &mut BytesMut, data: &[u8]) {
    // A carriage return alone ends a line too; in JSON both are only white space.
    for line in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
        out.put_slice(b"data: ");
        out.put_slice(line);
        out.put_u8(b'\n');
    }
}

#[cfg(test)]
mod tests;
