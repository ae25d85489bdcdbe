//! The two walks: one that trusts nothing and one that trusts the first.

use super::{DEPTH_MAX, Error, Member};
use std::ops::Range;

/// Checks that the bytes are exactly one JSON value in UTF-8, nested at most `depth` deep (and [`DEPTH_MAX`]).
/// Lone surrogates, numbers of any size and repeated members pass: they are not this layer's to judge.
///
/// # Errors
/// The first problem.
//= S-26
pub fn check(bytes: &[u8], depth: usize) -> Result<(), Error> {
    check_members(bytes, depth, |_| ())
}

/// Checks as [`check`] does, and hands out each member of the outermost object on the way: its key and value are
/// checked by then, what follows is not. An outermost value that is no object has none.
///
/// # Errors
/// As [`check`].
pub fn check_members(bytes: &[u8], depth: usize, each: impl FnMut(Member)) -> Result<(), Error> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(Error::NotUtf8(error.valid_up_to()));
    }
    let depth = depth.min(DEPTH_MAX);
    let (open, key) = ([0; DEPTH_MAX / 64], 0..0);
    let mut walk = Walk { bytes, at: 0, open, depth: 0, depth_max: depth, key, value: 0, each };
    walk.document()
}

/// One pass without recursion: a bit per open container says whether it is an object.
struct Walk<'a, F> {
    bytes: &'a [u8],
    at: usize,
    open: [u64; DEPTH_MAX / 64],
    depth: usize,
    depth_max: usize,
    /// The last key of the outermost object, and where its value begins.
    key: Range<usize>,
    value: usize,
    each: F,
}

impl<F: FnMut(Member)> Walk<'_, F> {
    fn document(&mut self) -> Result<(), Error> {
        loop {
            self.blank();
            if self.value()? {
                // A container was opened and is not empty: its first value (or key) comes next.
                continue;
            }
            if self.after_value()? {
                return Ok(());
            }
        }
    }

    /// Reads a scalar or an empty container, or opens one and leaves it at its first value; `true` then.
    fn value(&mut self) -> Result<bool, Error> {
        match self.bytes.get(self.at) {
            Some(b'"') => self.string()?,
            Some(b'{') => return self.open(true),
            Some(b'[') => return self.open(false),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            Some(_) => return Err(Error::Unexpected(self.at)),
            None => return Err(Error::End),
        }
        Ok(false)
    }

    fn open(&mut self, object: bool) -> Result<bool, Error> {
        if self.depth >= self.depth_max {
            return Err(Error::TooDeep(self.depth_max));
        }
        let (word, bit) = (self.depth / 64, 1_u64 << (self.depth % 64));
        if object {
            self.open[word] |= bit;
        } else {
            self.open[word] &= !bit;
        }
        self.depth += 1;
        self.at += 1;
        self.blank();
        let close = if object { b'}' } else { b']' };
        if self.bytes.get(self.at) == Some(&close) {
            self.at += 1;
            self.depth -= 1;
            return Ok(false);
        }
        if object {
            self.key()?;
        }
        Ok(true)
    }

    /// After a value: closes what ends here. `true` at the end of the document.
    fn after_value(&mut self) -> Result<bool, Error> {
        loop {
            if self.depth == 1 && self.open[0] & 1 == 1 {
                (self.each)(Member { key: self.key.clone(), value: self.value..self.at });
            }
            self.blank();
            if self.depth == 0 {
                return if self.at == self.bytes.len() { Ok(true) } else { Err(Error::Unexpected(self.at)) };
            }
            let top = self.depth - 1;
            let object = self.open[top / 64] >> (top % 64) & 1 == 1;
            match (self.bytes.get(self.at), object) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.blank();
                    self.key()?;
                    return Ok(false);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    self.depth -= 1;
                }
                (Some(_), _) => return Err(Error::Unexpected(self.at)),
                (None, _) => return Err(Error::End),
            }
        }
    }

    fn key(&mut self) -> Result<(), Error> {
        let start = self.at;
        match self.bytes.get(self.at) {
            Some(b'"') => self.string()?,
            Some(_) => return Err(Error::Unexpected(self.at)),
            None => return Err(Error::End),
        }
        let end = self.at;
        self.blank();
        match self.bytes.get(self.at) {
            Some(b':') => {
                self.at += 1;
                self.blank();
                if self.depth == 1 {
                    (self.key, self.value) = (start..end, self.at);
                }
                Ok(())
            }
            Some(_) => Err(Error::Unexpected(self.at)),
            None => Err(Error::End),
        }
    }

    fn string(&mut self) -> Result<(), Error> {
        self.at += 1;
        loop {
            self.at = plain(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(Error::Unexpected(self.at)),
                Some(_) => self.at += 1,
                None => return Err(Error::End),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Error> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6).ok_or(Error::End)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Error::Unexpected(self.at + 2));
                }
                self.at += 6;
            }
            Some(_) => return Err(Error::Unexpected(self.at + 1)),
            None => return Err(Error::End),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Error> {
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            _ if self.at > start => Ok(()),
            Some(_) => Err(Error::Unexpected(self.at)),
            None => Err(Error::End),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Error> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Error::Unexpected(self.at));
        }
        self.at += word.len();
        Ok(())
    }

    fn blank(&mut self) {
        self.at = blank(self.bytes, self.at);
    }
}

pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

pub(super) fn blank(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).copied().is_some_and(is_blank) {
        at += 1;
    }
    at
}

/// Past white space and at most one comma.
pub(super) fn separator(bytes: &[u8], at: usize) -> usize {
    let at = blank(bytes, at);
    if bytes.get(at) == Some(&b',') { blank(bytes, at + 1) } else { at }
}

/// The end of the value that starts at `at`, in bytes that passed [`check`].
pub(super) fn skip(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => skip_string(bytes, at),
        Some(b'{' | b'[') => skip_container(bytes, at),
        _ => {
            let rest = &bytes[at.min(bytes.len())..];
            let end = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']') || is_blank(*byte));
            at + end.unwrap_or(rest.len())
        }
    }
}

fn skip_string(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    loop {
        at = plain(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

fn skip_container(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = skip_string(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// The first byte from `at` on that a string cannot just contain: quote, backslash or control character. Eight bytes
/// at a time, since the text of results is most of what passes here.
fn plain(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    while let Some(chunk) = bytes.get(at..at + 8).and_then(|chunk| <[u8; 8]>::try_from(chunk).ok()) {
        let word = u64::from_le_bytes(chunk);
        let zero = |value: u64| value.wrapping_sub(ONES) & !value;
        let quote = zero(word ^ (ONES * b'"' as u64));
        let slash = zero(word ^ (ONES * b'\\' as u64));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let stops = (quote | slash | control) & HIGHS;
        if stops != 0 {
            return at + (stops.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..=0x1f) {
            break;
        }
        at += 1;
    }
    at
}
