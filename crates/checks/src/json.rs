//! Strict JSON over the received bytes: no `Value`, no rounding, no silent choice between duplicate keys.
//!
//! Refused beyond RFC 8259: duplicate keys at any depth, lone surrogates, a byte order mark, and whatever exceeds the
//! limits. Numbers may be as large as the limits allow; nothing is converted.

mod scan;
mod text;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use serde_json::Value;

pub use scan::scan;
pub(crate) use scan::{Children, Node, NodeKind};
pub(crate) use text::decode;

/// Longest document that is looked at when nothing else is said.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Deepest nesting when nothing else is said.
pub const DEPTH_MAX: usize = 64;
/// No limit may be set deeper: walking a document recurses.
pub const DEPTH_CEILING: usize = 128;
/// Most values and keys in one document when nothing else is said.
pub const VALUES_MAX: usize = 1_000_000;
/// Most digits of one number.
pub const DIGITS_MAX: usize = 1_000;
/// Largest magnitude of a number's exponent.
pub const EXPONENT_MAX: i64 = 999_999;

/// How large a document may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub bytes: usize,
    pub depth: usize,
    pub values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: BYTES_MAX, depth: DEPTH_MAX, values: VALUES_MAX }
    }
}

impl Limits {
    #[must_use]
    pub const fn with_bytes(bytes: usize) -> Self {
        Self { bytes, depth: DEPTH_MAX, values: VALUES_MAX }
    }
}

/// What is wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub at: usize,
    pub problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    TooLarge {
        limit: usize,
    },
    TooDeep {
        limit: usize,
    },
    TooManyValues {
        limit: usize,
    },
    NotUtf8,
    /// The start of the key, without control characters.
    DuplicateKey(String),
    LoneSurrogate,
    BadEscape,
    ControlCharacter,
    BadNumber,
    NumberTooLong,
    /// Fine as JSON, but beyond what a validator can hold (`json::value` only).
    NumberOutOfRange,
    UnexpectedEnd,
    Unexpected,
    TrailingBytes,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::TooLarge { limit } => return write!(f, "larger than {limit} bytes"),
            Problem::TooDeep { limit } => write!(f, "nested deeper than {limit}"),
            Problem::TooManyValues { limit } => write!(f, "more than {limit} values"),
            Problem::NotUtf8 => f.write_str("not UTF-8"),
            Problem::DuplicateKey(key) => write!(f, "duplicate key {key:?}"),
            Problem::LoneSurrogate => f.write_str("lone surrogate in a string"),
            Problem::BadEscape => f.write_str("bad escape in a string"),
            Problem::ControlCharacter => f.write_str("control character in a string"),
            Problem::BadNumber => f.write_str("malformed number"),
            Problem::NumberTooLong => f.write_str("number with too many digits or too large an exponent"),
            Problem::NumberOutOfRange => f.write_str("number beyond the range of a double"),
            Problem::UnexpectedEnd => f.write_str("unexpected end of JSON"),
            Problem::Unexpected => f.write_str("unexpected character in JSON"),
            Problem::TrailingBytes => f.write_str("bytes after the end of JSON"),
        }?;
        write!(f, " at byte {}", self.at)
    }
}

impl core::error::Error for Error {}

/// A scanned document: the received bytes and where each value lies in them.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node>,
}

/// One value of a document.
#[derive(Clone, Copy, Debug)]
pub struct Item<'d> {
    pub(crate) document: &'d Document<'d>,
    pub(crate) node: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    Null,
    Bool(bool),
    Number,
    String,
    Array,
    Object,
}

impl<'a> Document<'a> {
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn root(&self) -> Item<'_> {
        Item { document: self, node: 0 }
    }

    pub(crate) fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    pub(crate) fn raw(&self, index: usize) -> &[u8] {
        let node = &self.nodes[index];
        &self.bytes[node.start as usize..node.end as usize]
    }

    pub(crate) fn children(&self, index: usize) -> Children<'_> {
        Children::new(&self.nodes, index)
    }
}

impl<'d> Item<'d> {
    pub fn kind(self) -> ItemKind {
        match self.document.node(self.node).kind {
            NodeKind::Null => ItemKind::Null,
            NodeKind::True => ItemKind::Bool(true),
            NodeKind::False => ItemKind::Bool(false),
            NodeKind::Number => ItemKind::Number,
            NodeKind::String => ItemKind::String,
            NodeKind::Array => ItemKind::Array,
            NodeKind::Object => ItemKind::Object,
        }
    }

    /// Where the value lies in the document's bytes.
    pub fn range(self) -> Range<usize> {
        let node = self.document.node(self.node);
        node.start as usize..node.end as usize
    }

    pub fn raw(self) -> &'d [u8] {
        self.document.raw(self.node)
    }

    /// The member of an object; `None` for anything else.
    pub fn get(self, name: &str) -> Option<Item<'d>> {
        self.members().find(|(key, _)| key.is(name)).map(|(_, value)| value)
    }

    /// Follows members and, in arrays, decimal indexes.
    pub fn find<'p>(self, path: impl IntoIterator<Item = &'p str>) -> Option<Item<'d>> {
        path.into_iter().try_fold(self, |item, segment| match item.kind() {
            ItemKind::Object => item.get(segment),
            ItemKind::Array => segment.parse().ok().and_then(|index| item.elements().nth(index)),
            _ => None,
        })
    }

    pub fn members(self) -> impl Iterator<Item = (Key<'d>, Item<'d>)> {
        let document = self.document;
        let is_object = self.kind() == ItemKind::Object;
        let mut nodes = document.children(self.node);
        core::iter::from_fn(move || {
            if !is_object {
                return None;
            }
            let key = nodes.next()?;
            let value = nodes.next()?;
            Some((Key { document, node: key }, Item { document, node: value }))
        })
    }

    pub fn elements(self) -> impl Iterator<Item = Item<'d>> {
        let document = self.document;
        let nodes = (self.kind() == ItemKind::Array).then(|| document.children(self.node));
        nodes.into_iter().flatten().map(move |node| Item { document, node })
    }

    /// The decoded text of a string.
    pub fn text(self) -> Option<alloc::borrow::Cow<'d, str>> {
        (self.kind() == ItemKind::String).then(|| decode(self.document, self.node))
    }

    /// A number that is a whole number of at most 64 bits, written without fraction or exponent.
    pub fn unsigned(self) -> Option<u64> {
        core::str::from_utf8(self.raw()).ok().filter(|_| self.kind() == ItemKind::Number)?.parse().ok()
    }
}

/// The name of a member.
#[derive(Clone, Copy, Debug)]
pub struct Key<'d> {
    document: &'d Document<'d>,
    node: usize,
}

impl<'d> Key<'d> {
    pub fn is(self, name: &str) -> bool {
        let raw = self.document.raw(self.node);
        if self.document.node(self.node).escaped {
            return self.text() == name;
        }
        raw.len() == name.len() + 2 && &raw[1..raw.len() - 1] == name.as_bytes()
    }

    pub fn text(self) -> alloc::borrow::Cow<'d, str> {
        decode(self.document, self.node)
    }
}

/// For validators and expressions: numbers lose what a double cannot hold. Scan first, this is not strict.
///
/// # Errors
/// Not JSON, or a number beyond the range of a double.
pub fn value(bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        let problem = match error.classify() {
            serde_json::error::Category::Eof => Problem::UnexpectedEnd,
            _ if is_out_of_range(&error) => Problem::NumberOutOfRange,
            _ => Problem::Unexpected,
        };
        Error { at: offset(bytes, error.line(), error.column()), problem }
    })
}

/// serde_json has no public kind for it.
fn is_out_of_range(error: &serde_json::Error) -> bool {
    alloc::format!("{error}").starts_with("number out of range")
}

fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let start: usize = bytes.split(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(|line| line.len() + 1).sum();
    (start + column.saturating_sub(1)).min(bytes.len())
}

#[cfg(test)]
mod tests;
