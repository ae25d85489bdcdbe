//! One JSON-RPC message as a view over the bytes it came in.
//!
//! The bytes are checked whole and never rewritten: forwarding an [`Envelope`] forwards what was received.

use crate::{json, splice};
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// How large a message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub bytes: usize,
    pub depth: usize,
    /// Messages in one batch (2025-03-26 only).
    pub batch: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4 * 1024 * 1024, depth: 64, batch: 64 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("read a message: larger than {0} bytes")]
    TooLarge(usize),
    #[error(transparent)]
    Json(#[from] json::Error),
    /// JSON, but no JSON-RPC 2.0 message.
    #[error("read a message: {0}")]
    Invalid(&'static str),
}

impl Error {
    /// The JSON-RPC code that says the same.
    #[must_use]
    pub const fn code(&self) -> i64 {
        match self {
            Self::Json(json::Error::Duplicate) | Self::Invalid(_) | Self::TooLarge(_) => crate::code::INVALID_REQUEST,
            Self::Json(_) => crate::code::PARSE_ERROR,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Notification,
    /// The answer to a request: a result.
    Response,
    /// The answer to a request: an error. Its id may be missing or null when the request could not be read.
    Error,
}

/// One message, or the members of a batch in order.
#[derive(Clone, Debug)]
pub enum Incoming {
    One(Envelope),
    Batch(Vec<Envelope>),
}

/// A checked JSON-RPC message. Cloning copies a pointer.
#[derive(Clone)]
pub struct Envelope {
    bytes: Bytes,
    kind: Kind,
    /// Decoded only when the name is written with escapes.
    method: Option<Method>,
    id: Option<Span>,
    /// `params`, `result` or `error`.
    body: Option<Span>,
}

type Span = Range<u32>;

#[derive(Clone)]
enum Method {
    Plain(Span),
    Escaped(Box<str>),
}

impl Envelope {
    /// Reads one message.
    ///
    /// # Errors
    /// Too large, not JSON, or not one JSON-RPC 2.0 message.
    //= S-26
    pub fn parse(bytes: Bytes, limits: &Limits) -> Result<Self, Error> {
        Self::first(&bytes, limits)?.finish(bytes)
    }

    /// Reads one message or, as 2025-03-26 allows, a batch of them.
    ///
    /// # Errors
    /// As [`Envelope::parse`]; an empty or too long batch.
    pub fn parse_any(bytes: Bytes, limits: &Limits) -> Result<Incoming, Error> {
        let found = Self::first(&bytes, limits)?;
        let root = json::root(&bytes);
        if bytes.get(root.start) != Some(&b'[') {
            return found.finish(bytes).map(Incoming::One);
        }
        let mut batch = Vec::new();
        for range in json::elements(&bytes, root.start)? {
            if batch.len() >= limits.batch {
                return Err(Error::Invalid("the batch is too long"));
            }
            batch.push(Self::read(bytes.slice(range))?);
        }
        if batch.is_empty() {
            return Err(Error::Invalid("the batch is empty"));
        }
        Ok(Incoming::Batch(batch))
    }

    /// Checks the bytes and finds the message's members in one pass. What is wrong with the message counts only when
    /// all of it is JSON, and is told by [`Found::finish`].
    fn first(bytes: &Bytes, limits: &Limits) -> Result<Found, Error> {
        let limit = limits.bytes.min(u32::MAX as usize);
        if bytes.len() > limit {
            return Err(Error::TooLarge(limit));
        }
        let mut found = Found::default();
        json::check_members(bytes, limits.depth, |member| found.note(bytes, &member))?;
        Ok(found)
    }

    /// A member of a batch, whose bytes are checked.
    fn read(bytes: Bytes) -> Result<Self, Error> {
        let root = json::root(&bytes);
        let mut found = Found::default();
        for member in json::members(&bytes, root.start).map_err(|_| Error::Invalid("it is no object"))? {
            found.note(&bytes, &member);
        }
        found.finish(bytes)
    }

    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Is it a response, be it a result or an error?
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        matches!(self.kind, Kind::Response | Kind::Error)
    }

    /// The message as it came.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The id as JSON text: `7` and `"7"` differ.
    #[must_use]
    pub fn id(&self) -> Option<&[u8]> {
        self.id.as_ref().map(|span| self.at(span))
    }

    /// [`Envelope::id`] as bytes that can be kept; no copy is made.
    #[must_use]
    pub fn id_bytes(&self) -> Option<Bytes> {
        self.id.as_ref().map(|span| self.keep(span))
    }

    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match self.method.as_ref()? {
            Method::Plain(span) => std::str::from_utf8(self.at(span)).ok(),
            Method::Escaped(text) => Some(text),
        }
    }

    #[must_use]
    pub fn is(&self, method: &str) -> bool {
        self.method() == Some(method)
    }

    #[must_use]
    pub fn params(&self) -> Option<&[u8]> {
        self.body_of(matches!(self.kind, Kind::Request | Kind::Notification))
    }

    #[must_use]
    pub fn result(&self) -> Option<&[u8]> {
        self.body_of(self.kind == Kind::Response)
    }

    #[must_use]
    pub fn error(&self) -> Option<&[u8]> {
        self.body_of(self.kind == Kind::Error)
    }

    /// `params`, `result` or `error`, whichever the message has, as bytes that can be kept; no copy is made.
    #[must_use]
    pub fn body_bytes(&self) -> Option<Bytes> {
        self.body.as_ref().map(|span| self.keep(span))
    }

    /// The code of an error response; 0 when it has none that fits.
    #[must_use]
    pub fn error_code(&self) -> Option<i64> {
        self.error().map(crate::code::of)
    }

    /// A member inside `params`, by path.
    ///
    /// # Errors
    /// A member of the path appears twice.
    pub fn param<'a>(&'a self, path: &[&str]) -> Result<Option<&'a [u8]>, json::Error> {
        self.params().map_or(Ok(None), |params| json::get(params, path))
    }

    /// The text of a member inside `params`.
    ///
    /// # Errors
    /// As [`Envelope::param`].
    pub fn param_text<'a>(&'a self, path: &[&str]) -> Result<Option<Cow<'a, str>>, json::Error> {
        Ok(self.param(path)?.and_then(json::decode))
    }

    /// The message with another `params`, `result` or `error` in place of its own; unchanged when it has none.
    #[must_use]
    pub fn with_body(&self, body: &[u8]) -> Bytes {
        let Some(span) = &self.body else {
            return self.bytes.clone();
        };
        let range = span.start as usize..span.end as usize;
        splice::replace(&self.bytes, &range, body).unwrap_or_else(|_| self.bytes.clone())
    }

    fn body_of(&self, wanted: bool) -> Option<&[u8]> {
        self.body.as_ref().filter(|_| wanted).map(|span| self.at(span))
    }

    fn at(&self, span: &Span) -> &[u8] {
        &self.bytes[span.start as usize..span.end as usize]
    }

    fn keep(&self, span: &Span) -> Bytes {
        self.bytes.slice(span.start as usize..span.end as usize)
    }
}

/// Shapes, never payload.
impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("kind", &self.kind)
            .field("method", &self.method())
            .field("id", &self.id().map(String::from_utf8_lossy))
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Found {
    version: bool,
    id: Option<Span>,
    method: Option<Method>,
    params: Option<Span>,
    result: Option<Span>,
    error: Option<Span>,
    /// The first thing that is wrong with a member.
    wrong: Option<Error>,
}

impl Found {
    fn note(&mut self, bytes: &Bytes, member: &json::Member) {
        if self.wrong.is_none() {
            self.wrong = self.take(bytes, member).err();
        }
    }

    fn take(&mut self, bytes: &Bytes, member: &json::Member) -> Result<(), Error> {
        let key = &bytes[member.key.clone()];
        let value = &bytes[member.value.clone()];
        let span = to_u32(member.value.start)?..to_u32(member.value.end)?;
        let twice = if json::is_key(key, "jsonrpc") {
            if json::decode(value).as_deref() != Some("2.0") {
                return Err(Error::Invalid("it is not JSON-RPC 2.0"));
            }
            std::mem::replace(&mut self.version, true)
        } else if json::is_key(key, "id") {
            self.id.replace(span).is_some()
        } else if json::is_key(key, "method") {
            let text = json::decode(value).ok_or(Error::Invalid("the method is no string"))?;
            let method = match text {
                Cow::Borrowed(_) => Method::Plain(span.start + 1..span.end - 1),
                Cow::Owned(text) => Method::Escaped(text.into()),
            };
            self.method.replace(method).is_some()
        } else if json::is_key(key, "params") {
            self.params.replace(span).is_some()
        } else if json::is_key(key, "result") {
            self.result.replace(span).is_some()
        } else if json::is_key(key, "error") {
            self.error.replace(span).is_some()
        } else {
            false
        };
        if twice { Err(json::Error::Duplicate.into()) } else { Ok(()) }
    }

    fn finish(self, bytes: Bytes) -> Result<Envelope, Error> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        if bytes.get(json::root(&bytes).start) != Some(&b'{') {
            return Err(Error::Invalid("it is no object"));
        }
        if !self.version {
            return Err(Error::Invalid("it is not JSON-RPC 2.0"));
        }
        let first = |span: &Option<Span>| span.as_ref().map(|span| bytes[span.start as usize]);
        let usable_id = matches!(first(&self.id), Some(b'"' | b'-' | b'0'..=b'9'));
        let (kind, body) = match (self.method.is_some(), self.result, self.error) {
            (true, None, None) => {
                if !matches!(first(&self.params), None | Some(b'{' | b'[')) {
                    return Err(Error::Invalid("the params are no object"));
                }
                let kind = if self.id.is_some() { Kind::Request } else { Kind::Notification };
                (kind, self.params)
            }
            (false, Some(result), None) => (Kind::Response, Some(result)),
            (false, None, Some(error)) => {
                if first(&Some(error.clone())) != Some(b'{') {
                    return Err(Error::Invalid("the error is no object"));
                }
                (Kind::Error, Some(error))
            }
            _ => return Err(Error::Invalid("it is neither request, notification nor response")),
        };
        let id = match kind {
            // An error may answer a request whose id could not be read.
            Kind::Error if first(&self.id) == Some(b'n') => None,
            Kind::Error if self.id.is_none() => None,
            Kind::Notification => None,
            _ if usable_id => self.id,
            _ => return Err(Error::Invalid("the id is neither a string nor a number")),
        };
        Ok(Envelope { bytes, kind, method: self.method, id, body })
    }
}

fn to_u32(at: usize) -> Result<u32, Error> {
    u32::try_from(at).map_err(|_| Error::TooLarge(u32::MAX as usize))
}

#[cfg(test)]
mod tests;
