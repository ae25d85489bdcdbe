//! Writes the canonical form of a scanned document into bytes or straight into a hash.

use super::number::write_number;
use crate::json::{Document, Item, NodeKind, decode};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use vocab::planted::{self, Planted};
use vocab::{Hash, Name};

pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Gathers small pieces: the hash is fast on whole blocks only, and fastest on all of a small document.
pub(super) struct HashSink {
    /// What was too much for the buffer.
    hasher: Option<Box<blake3::Hasher>>,
    buffer: Vec<u8>,
}

impl HashSink {
    pub(super) fn new() -> Self {
        Self { hasher: None, buffer: Vec::with_capacity(512) }
    }

    pub(super) fn tag(&mut self, tag: &[u8]) {
        self.put(tag);
    }

    pub(super) fn count(&mut self, count: usize) {
        self.put(&(count as u64).to_le_bytes());
    }

    pub(super) fn part(&mut self, part: &[u8]) {
        self.count(part.len());
        self.put(part);
    }

    pub(super) fn finish(self) -> Hash {
        Hash(match self.hasher {
            None => *blake3::hash(&self.buffer).as_bytes(),
            Some(mut hasher) => *hasher.update(&self.buffer).finalize().as_bytes(),
        })
    }
}

impl Sink for HashSink {
    fn put(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > FLUSH_AT {
            let hasher = self.hasher.get_or_insert_with(Box::default);
            hasher.update(&self.buffer);
            self.buffer.clear();
            if bytes.len() > FLUSH_AT {
                hasher.update(bytes);
                return;
            }
        }
        self.buffer.extend_from_slice(bytes);
    }
}

const FLUSH_AT: usize = 16 * 1024;

impl Item<'_> {
    pub(super) fn write(self, out: &mut impl Sink) {
        write(self.document, self.node, &[], out);
    }
}

/// `without` holds what is left of the paths that lead through here and end at a member to leave out.
pub(super) fn write(document: &Document<'_>, node: usize, without: &[&[Name]], out: &mut impl Sink) {
    match document.node(node).kind {
        NodeKind::Number if planted::is(Planted::FingerprintThroughDoubles) => {
            let number = core::str::from_utf8(document.raw(node)).ok().and_then(|text| text.parse::<f64>().ok());
            out.put(&number.unwrap_or_default().to_bits().to_le_bytes());
        }
        NodeKind::Number => write_number(document.raw(node), out),
        NodeKind::String => write_string(document, node, out),
        NodeKind::Array => write_array(document, node, without, out),
        NodeKind::Object => write_object(document, node, without, out),
        NodeKind::Null | NodeKind::True | NodeKind::False => out.put(document.raw(node)),
    }
}

fn write_array(document: &Document<'_>, node: usize, without: &[&[Name]], out: &mut impl Sink) {
    out.put(b"[");
    let mut first = true;
    for (index, element) in document.children(node).enumerate() {
        let inner = follow(without, |name| name == "*" || name.parse() == Ok(index));
        if inner.iter().any(|path| path.is_empty()) {
            continue;
        }
        if !first {
            out.put(b",");
        }
        first = false;
        write(document, element, &inner, out);
    }
    out.put(b"]");
}

fn write_object(document: &Document<'_>, node: usize, without: &[&[Name]], out: &mut impl Sink) {
    out.put(b"{");
    let mut first = true;
    let mut member = |key: usize, value: usize| {
        let inner = if without.is_empty() { Vec::new() } else { follow(without, |name| decode(document, key) == name) };
        if inner.iter().any(|path| path.is_empty()) {
            return;
        }
        if !first {
            out.put(b",");
        }
        first = false;
        write_string(document, key, out);
        out.put(b":");
        write(document, value, &inner, out);
    };
    if is_sorted(document, node) {
        let mut nodes = document.children(node);
        while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
            member(key, value);
        }
    } else {
        for (_, key, value) in sorted_members(document, node) {
            member(key, value);
        }
    }
    out.put(b"}");
}

/// UTF-8 sorts by code point as it stands, so plain keys can be compared as bytes, without their quotes: a quote would
/// sort a key after a longer one that goes on with a space or `!`.
fn is_sorted(document: &Document<'_>, node: usize) -> bool {
    let mut last: Option<&[u8]> = None;
    document.children(node).step_by(2).all(|key| {
        let raw = document.raw(key);
        let text = &raw[1..raw.len() - 1];
        let in_order = !document.node(key).escaped && last.is_none_or(|last| last < text);
        last = Some(text);
        in_order
    })
}

/// (key, its node, the value's node) by code point of the key.
pub(super) fn sorted_members<'d>(document: &'d Document<'_>, node: usize) -> Vec<(Cow<'d, str>, usize, usize)> {
    let mut members = Vec::new();
    let mut nodes = document.children(node);
    while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
        members.push((decode(document, key), key, value));
    }
    members.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    members
}

fn follow<'p>(paths: &[&'p [Name]], mut matches: impl FnMut(&str) -> bool) -> Vec<&'p [Name]> {
    paths.iter().filter_map(|path| path.split_first().filter(|(name, _)| matches(name)).map(|(_, rest)| rest)).collect()
}

fn write_string(document: &Document<'_>, node: usize, out: &mut impl Sink) {
    if !document.node(node).escaped {
        out.put(document.raw(node));
        return;
    }
    let text = decode(document, node);
    out.put(b"\"");
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.put(&text.as_bytes()[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.put(b"\\\""),
            b'\\' => out.put(b"\\\\"),
            control => out.put(alloc::format!("\\u{control:04x}").as_bytes()),
        }
    }
    out.put(&text.as_bytes()[plain..]);
    out.put(b"\"");
}
