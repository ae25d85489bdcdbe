//! The scanner: one pass over the bytes, a flat list of nodes in document order.

use super::{DEPTH_CEILING, DIGITS_MAX, Document, EXPONENT_MAX, Error, Limits, Problem, decode};
use crate::finding::shorten;
use alloc::vec::Vec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Null,
    True,
    False,
    Number,
    String,
    Array,
    Object,
}

/// Children follow their parent; the keys of an object are string nodes before their values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub start: u32,
    pub end: u32,
    /// Index of the first node that is not inside this one.
    pub next: u32,
    pub kind: NodeKind,
    /// A string with at least one escape.
    pub escaped: bool,
}

/// Indexes of the direct children of a node.
#[derive(Clone)]
pub(crate) struct Children<'d> {
    nodes: &'d [Node],
    at: usize,
    end: usize,
}

impl<'d> Children<'d> {
    pub(crate) fn new(nodes: &'d [Node], parent: usize) -> Self {
        Self { nodes, at: parent + 1, end: nodes[parent].next as usize }
    }
}

impl Iterator for Children<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.at >= self.end {
            return None;
        }
        let child = self.at;
        self.at = self.nodes[child].next as usize;
        Some(child)
    }
}

/// Checks the whole document and remembers where its values lie.
///
/// # Errors
/// The first problem, with its byte offset.
//= S-26
pub fn scan<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Document<'a>, Error> {
    let limit = limits.bytes.min(u32::MAX as usize - 1);
    if bytes.len() > limit {
        return Err(Error { at: limit, problem: Problem::TooLarge { limit } });
    }
    if let Err(error) = core::str::from_utf8(bytes) {
        return Err(Error { at: error.valid_up_to(), problem: Problem::NotUtf8 });
    }
    let mut scanner = Scanner {
        bytes,
        at: 0,
        nodes: Vec::with_capacity(16 + bytes.len() / 16),
        depth: limits.depth.min(DEPTH_CEILING),
        values: limits.values,
    };
    scanner.blank();
    scanner.value(0)?;
    scanner.blank();
    if scanner.at < bytes.len() {
        return Err(scanner.problem(Problem::TrailingBytes));
    }
    Ok(Document { bytes, nodes: scanner.nodes })
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    depth: usize,
    values: usize,
}

impl Scanner<'_> {
    fn value(&mut self, depth: usize) -> Result<(), Error> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", NodeKind::True),
            Some(b'f') => self.word(b"false", NodeKind::False),
            Some(b'n') => self.word(b"null", NodeKind::Null),
            Some(_) => Err(self.problem(Problem::Unexpected)),
            None => Err(self.problem(Problem::UnexpectedEnd)),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Error> {
        let parent = self.open(NodeKind::Object, depth)?;
        self.blank();
        let mut keys = 0;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return self.close_object(parent, keys);
        }
        loop {
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(_) => return Err(self.problem(Problem::Unexpected)),
                None => return Err(self.problem(Problem::UnexpectedEnd)),
            }
            keys += 1;
            self.blank();
            self.expect(b':')?;
            self.blank();
            self.value(depth)?;
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return self.close_object(parent, keys);
                }
                Some(_) => return Err(self.problem(Problem::Unexpected)),
                None => return Err(self.problem(Problem::UnexpectedEnd)),
            }
            self.blank();
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Error> {
        let parent = self.open(NodeKind::Array, depth)?;
        self.blank();
        if self.peek() == Some(b']') {
            self.at += 1;
            self.close(parent);
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    self.close(parent);
                    return Ok(());
                }
                Some(_) => return Err(self.problem(Problem::Unexpected)),
                None => return Err(self.problem(Problem::UnexpectedEnd)),
            }
            self.blank();
        }
    }

    fn open(&mut self, kind: NodeKind, depth: usize) -> Result<usize, Error> {
        if depth > self.depth {
            return Err(self.problem(Problem::TooDeep { limit: self.depth }));
        }
        let start = self.at;
        self.at += 1;
        self.push(kind, start, false)?;
        Ok(self.nodes.len() - 1)
    }

    fn close(&mut self, parent: usize) {
        let next = self.nodes.len() as u32;
        let node = &mut self.nodes[parent];
        node.end = self.at as u32;
        node.next = next;
    }

    fn close_object(&mut self, parent: usize, keys: usize) -> Result<(), Error> {
        self.close(parent);
        if keys < 2 {
            return Ok(());
        }
        match self.duplicate(parent, keys) {
            None => Ok(()),
            Some(key) => {
                let document = Document { bytes: self.bytes, nodes: core::mem::take(&mut self.nodes) };
                let problem = Problem::DuplicateKey(shorten(&decode(&document, key)));
                Err(Error { at: document.node(key).start as usize, problem })
            }
        }
    }

    /// The later of two equal keys. Small objects are compared pair by pair, without an allocation.
    fn duplicate(&self, parent: usize, count: usize) -> Option<usize> {
        let keys = || Children::new(&self.nodes, parent).step_by(2);
        let raw = |key: usize| {
            let node = &self.nodes[key];
            &self.bytes[node.start as usize + 1..node.end as usize - 1]
        };
        if count <= PAIRWISE_MAX && keys().all(|key| !self.nodes[key].escaped) {
            return keys().enumerate().find_map(|(index, key)| {
                let text = raw(key);
                keys().take(index).any(|earlier| raw(earlier) == text).then_some(key)
            });
        }
        let mut sorted: Vec<_> = keys()
            .map(|key| {
                let node = &self.nodes[key];
                (super::text::decode_raw(raw(key), node.escaped), key)
            })
            .collect();
        sorted.sort_unstable();
        sorted.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1)
    }

    fn string(&mut self) -> Result<(), Error> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            self.plain();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return self.push(NodeKind::String, start, escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.problem(Problem::ControlCharacter)),
                None => return Err(self.problem(Problem::UnexpectedEnd)),
            }
        }
    }

    /// Moves to the next quote, backslash or control character, eight bytes at a time.
    fn plain(&mut self) {
        while let Some(chunk) = self.bytes.get(self.at..self.at + 8) {
            let mut eight = [0; 8];
            eight.copy_from_slice(chunk);
            let word = u64::from_le_bytes(eight);
            let stops = below_space(word) | holds(word, b'"') | holds(word, b'\\');
            if stops != 0 {
                self.at += stops.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while self.peek().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Result<(), Error> {
        let start = self.at;
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = self.unit()?;
                match unit {
                    0xD800..=0xDBFF => {
                        let low = self.bytes.get(self.at..self.at + 2) == Some(b"\\u");
                        if !low || !(0xDC00..=0xDFFF).contains(&self.unit()?) {
                            return Err(Error { at: start, problem: Problem::LoneSurrogate });
                        }
                    }
                    0xDC00..=0xDFFF => return Err(Error { at: start, problem: Problem::LoneSurrogate }),
                    _ => {}
                }
            }
            Some(_) => return Err(self.problem(Problem::BadEscape)),
            None => {
                self.at = self.bytes.len();
                return Err(self.problem(Problem::UnexpectedEnd));
            }
        }
        Ok(())
    }

    /// Reads `\uXXXX`.
    fn unit(&mut self) -> Result<u32, Error> {
        let mut unit = 0;
        for offset in 2..6 {
            let digit = match self.bytes.get(self.at + offset) {
                Some(byte) => char::from(*byte).to_digit(16),
                None => {
                    self.at = self.bytes.len();
                    return Err(self.problem(Problem::UnexpectedEnd));
                }
            };
            match digit {
                Some(digit) => unit = unit << 4 | digit,
                None => return Err(self.problem(Problem::BadEscape)),
            }
        }
        self.at += 6;
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), Error> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let mut digits = match self.peek() {
            Some(b'0') => {
                self.at += 1;
                1
            }
            _ => self.digits()?,
        };
        if self.peek() == Some(b'.') {
            self.at += 1;
            digits += self.digits()?;
        }
        if digits > DIGITS_MAX {
            return Err(Error { at: start, problem: Problem::NumberTooLong });
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            let from = self.at;
            self.digits()?;
            let too_large = self.bytes[from..self.at]
                .iter()
                .try_fold(0_i64, |sum, digit| {
                    let sum = sum * 10 + i64::from(digit - b'0');
                    (sum <= EXPONENT_MAX).then_some(sum)
                })
                .is_none();
            if too_large {
                return Err(Error { at: start, problem: Problem::NumberTooLong });
            }
        }
        // `01`, `1.2.3`: what follows a number is never part of another.
        if matches!(self.peek(), Some(b'0'..=b'9' | b'.' | b'+' | b'-')) {
            return Err(self.problem(Problem::BadNumber));
        }
        self.push(NodeKind::Number, start, false)
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<usize, Error> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        match (self.at - start, self.peek()) {
            (0, None) => Err(self.problem(Problem::UnexpectedEnd)),
            (0, Some(_)) => Err(self.problem(Problem::BadNumber)),
            (count, _) => Ok(count),
        }
    }

    fn word(&mut self, word: &[u8], kind: NodeKind) -> Result<(), Error> {
        let start = self.at;
        for expected in word {
            self.expect(*expected)?;
        }
        self.push(kind, start, false)
    }

    fn push(&mut self, kind: NodeKind, start: usize, escaped: bool) -> Result<(), Error> {
        if self.nodes.len() >= self.values {
            return Err(Error { at: start, problem: Problem::TooManyValues { limit: self.values } });
        }
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { start: start as u32, end: self.at as u32, next, kind, escaped });
        Ok(())
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.problem(Problem::Unexpected)),
            None => Err(self.problem(Problem::UnexpectedEnd)),
        }
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn problem(&self, problem: Problem) -> Error {
        Error { at: self.at, problem }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// High bit of each byte below 0x20; exact up to the first hit, which is all that is asked.
const fn below_space(word: u64) -> u64 {
    word.wrapping_sub(ONES * 0x20) & !word & HIGHS
}

/// High bit of each byte equal to `byte`; exact up to the first hit.
const fn holds(word: u64, byte: u8) -> u64 {
    let zeroed = word ^ (ONES * byte as u64);
    zeroed.wrapping_sub(ONES) & !zeroed & HIGHS
}

/// Objects of at most this many members are searched for duplicates pair by pair.
const PAIRWISE_MAX: usize = 16;
