//! JSON as bytes: where values lie in a message, without turning them into anything.
//!
//! A message is checked once, whole ([`check`]); everything after walks bytes that are known to be JSON. Numbers stay
//! text, strings are decoded only when asked for, and a member that appears twice where it matters is an error.

mod scan;
mod text;

use std::borrow::Cow;
use std::ops::Range;

pub use scan::{check, check_members};
pub use text::{decode, quote};

/// Deepest nesting of a message, whatever the caller allows.
pub const DEPTH_MAX: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("read JSON: unexpected byte at {0}")]
    Unexpected(usize),
    #[error("read JSON: it ends too early")]
    End,
    #[error("read JSON: not UTF-8 at byte {0}")]
    NotUtf8(usize),
    #[error("read JSON: nested deeper than {0}")]
    TooDeep(usize),
    #[error("read JSON: a member appears twice")]
    Duplicate,
    #[error("read JSON: not an object")]
    NotAnObject,
    #[error("read JSON: not an array")]
    NotAnArray,
}

/// One member of an object: ranges are positions in the bytes that were walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The key with its quotes.
    pub key: Range<usize>,
    pub value: Range<usize>,
}

/// The members of the object that starts at `at`, in order. The bytes must have passed [`check`].
///
/// # Errors
/// The value at `at` is no object.
pub fn members(bytes: &[u8], at: usize) -> Result<Members<'_>, Error> {
    if bytes.get(at) != Some(&b'{') {
        return Err(Error::NotAnObject);
    }
    Ok(Members { bytes, at: at + 1 })
}

/// The elements of the array that starts at `at`, in order. The bytes must have passed [`check`].
///
/// # Errors
/// The value at `at` is no array.
pub fn elements(bytes: &[u8], at: usize) -> Result<Elements<'_>, Error> {
    if bytes.get(at) != Some(&b'[') {
        return Err(Error::NotAnArray);
    }
    Ok(Elements { bytes, at: at + 1 })
}

/// The value of a member of the object that starts at `at`.
///
/// # Errors
/// No object, or the member appears more than once.
pub fn member(bytes: &[u8], at: usize, name: &str) -> Result<Option<Range<usize>>, Error> {
    let mut found = None;
    for one in members(bytes, at)? {
        if !is_key(&bytes[one.key.clone()], name) {
            continue;
        }
        if found.is_some() {
            return Err(Error::Duplicate);
        }
        found = Some(one.value);
    }
    Ok(found)
}

/// The values of several members of the object that starts at `at`, in one pass.
///
/// # Errors
/// No object, or one of these members appears more than once.
pub fn pick<const N: usize>(bytes: &[u8], at: usize, names: [&str; N]) -> Result<[Option<Range<usize>>; N], Error> {
    let mut found = [const { None }; N];
    for one in members(bytes, at)? {
        let key = &bytes[one.key];
        let Some(index) = names.iter().position(|name| is_key(key, name)) else {
            continue;
        };
        if found[index].replace(one.value).is_some() {
            return Err(Error::Duplicate);
        }
    }
    Ok(found)
}

/// The value at a path of members; `None` when one of them is missing or not an object.
///
/// # Errors
/// A member of the path appears more than once.
pub fn find(bytes: &[u8], path: &[&str]) -> Result<Option<Range<usize>>, Error> {
    let mut range = root(bytes);
    for name in path {
        match member(bytes, range.start, name) {
            Ok(Some(value)) => range = value,
            Ok(None) | Err(Error::NotAnObject) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(range))
}

/// Like [`find`], as the bytes of the value.
///
/// # Errors
/// As [`find`].
pub fn get<'a>(bytes: &'a [u8], path: &[&str]) -> Result<Option<&'a [u8]>, Error> {
    Ok(find(bytes, path)?.map(|range| &bytes[range]))
}

/// The decoded text at a path; `None` when there is none or it is no string.
///
/// # Errors
/// As [`find`].
pub fn text<'a>(bytes: &'a [u8], path: &[&str]) -> Result<Option<Cow<'a, str>>, Error> {
    Ok(get(bytes, path)?.and_then(decode))
}

/// The whole value without the white space around it.
#[must_use]
pub fn root(bytes: &[u8]) -> Range<usize> {
    let start = scan::blank(bytes, 0);
    let end = bytes.iter().rposition(|byte| !scan::is_blank(*byte)).map_or(start, |last| last + 1);
    start..end.max(start)
}

/// Is the quoted `key` this name? Escapes in keys are rare, so they are decoded only then.
#[must_use]
pub fn is_key(key: &[u8], name: &str) -> bool {
    let Some(inner) = key.get(1..key.len().saturating_sub(1)) else {
        return false;
    };
    inner == name.as_bytes() || (inner.contains(&b'\\') && decode(key).is_some_and(|text| text == name))
}

#[must_use]
pub fn is_object(value: &[u8]) -> bool {
    value.first() == Some(&b'{')
}

#[must_use]
pub fn is_empty_object(value: &[u8]) -> bool {
    is_object(value) && value.get(scan::blank(value, 1)) == Some(&b'}')
}

pub struct Members<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        self.at = scan::separator(self.bytes, self.at);
        if self.bytes.get(self.at) != Some(&b'"') {
            return None;
        }
        let key = self.at..scan::skip(self.bytes, self.at);
        let start = scan::blank(self.bytes, scan::blank(self.bytes, key.end) + 1);
        self.at = scan::skip(self.bytes, start);
        Some(Member { key, value: start..self.at })
    }
}

pub struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        self.at = scan::separator(self.bytes, self.at);
        if matches!(self.bytes.get(self.at), None | Some(b']')) {
            return None;
        }
        let start = self.at;
        self.at = scan::skip(self.bytes, start);
        Some(start..self.at)
    }
}

#[cfg(test)]
mod tests;
