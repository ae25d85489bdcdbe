//! Edits in place: one member is replaced, added or removed, every other byte stays as it came.
//!
//! Paths are member names from the root of the message; array elements are edited through the ranges that
//! [`crate::json`] gives. The bytes must have passed [`crate::json::check`].

use crate::json::{self, Error};
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// What takes the place of a range.
type Edit = (Range<usize>, Vec<u8>);

/// Sets the member at `path` to a JSON value; objects on the way are made when they are missing.
///
/// # Errors
/// A member of the path appears twice, or something on the way is no object.
pub fn set(bytes: &[u8], path: &[&str], value: &[u8]) -> Result<Bytes, Error> {
    let Some((last, parents)) = path.split_last() else {
        return replace(bytes, &json::root(bytes), value);
    };
    set_all(bytes, parents, &[(last, value)])
}

/// Sets several members of the object at `path` in one pass.
///
/// # Errors
/// As [`set`].
pub fn set_all(bytes: &[u8], path: &[&str], values: &[(&str, &[u8])]) -> Result<Bytes, Error> {
    let mut range = json::root(bytes);
    for (depth, name) in path.iter().enumerate() {
        match json::member(bytes, range.start, name)? {
            // A JSON null stands for a missing object.
            Some(found) if &bytes[found.clone()] == b"null" => {
                return replace(bytes, &found, &nested(&path[depth + 1..], values));
            }
            Some(found) => range = found,
            None => {
                let value = nested(&path[depth + 1..], values);
                return apply(bytes, edits(bytes, &range, &[(name, &value)])?);
            }
        }
    }
    apply(bytes, edits(bytes, &range, values)?)
}

/// Removes the member at `path` with one of its commas; unchanged when it is not there.
///
/// # Errors
/// As [`set`].
pub fn remove(bytes: &[u8], path: &[&str]) -> Result<Bytes, Error> {
    let Some((last, parents)) = path.split_last() else {
        return Err(Error::NotAnObject);
    };
    let Some(parent) = json::find(bytes, parents)? else {
        return Ok(Bytes::copy_from_slice(bytes));
    };
    remove_all(bytes, &parent, |key| json::is_key(key, last))
}

/// Removes the members of the object at `range` whose quoted key is chosen.
///
/// # Errors
/// The range is no object.
pub fn remove_all(bytes: &[u8], range: &Range<usize>, chosen: impl Fn(&[u8]) -> bool) -> Result<Bytes, Error> {
    let mut cuts = Vec::new();
    let mut kept: Option<usize> = None;
    let members: Vec<_> = json::members(bytes, range.start)?.collect();
    for (index, member) in members.iter().enumerate() {
        let next = members.get(index + 1).map(|next| next.key.start);
        if chosen(&bytes[member.key.clone()]) {
            // With what separates it from its successor or, if it is the last, from the last one kept.
            match (next, kept) {
                (Some(next), _) => cuts.push(member.key.start..next),
                (None, Some(kept)) => {
                    cuts.retain(|cut: &Range<usize>| cut.start < kept);
                    cuts.push(kept..member.value.end);
                }
                (None, None) => {
                    cuts.clear();
                    cuts.push(range.start + 1..member.value.end);
                }
            }
        } else {
            kept = Some(member.value.end);
        }
    }
    apply(bytes, cuts.into_iter().map(|cut| (cut, Vec::new())).collect())
}

/// Replaces the bytes of a value.
///
/// # Errors
/// Never for a range that lies in the bytes.
pub fn replace(bytes: &[u8], range: &Range<usize>, value: &[u8]) -> Result<Bytes, Error> {
    if range.end > bytes.len() || range.start > range.end {
        return Err(Error::End);
    }
    let mut out = BytesMut::with_capacity(bytes.len() - range.len() + value.len());
    out.extend_from_slice(&bytes[..range.start]);
    out.extend_from_slice(value);
    out.extend_from_slice(&bytes[range.end..]);
    Ok(out.freeze())
}

/// Replaces several ranges at once; they must be in order and must not overlap.
///
/// # Errors
/// They are not.
pub fn apply(bytes: &[u8], edits: Vec<(Range<usize>, Vec<u8>)>) -> Result<Bytes, Error> {
    let added: usize = edits.iter().map(|(_, value)| value.len()).sum();
    let mut out = BytesMut::with_capacity(bytes.len() + added);
    let mut at = 0;
    for (range, value) in edits {
        if range.start < at || range.end < range.start || range.end > bytes.len() {
            return Err(Error::Unexpected(range.start));
        }
        out.extend_from_slice(&bytes[at..range.start]);
        out.extend_from_slice(&value);
        at = range.end;
    }
    out.extend_from_slice(&bytes[at..]);
    Ok(out.freeze())
}

/// The message on one line, as stdio wants it: JSON holds raw line breaks only as white space, so they become spaces.
#[must_use]
pub fn one_line(bytes: &Bytes) -> Bytes {
    if !bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return bytes.clone();
    }
    bytes.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect::<Vec<_>>().into()
}

/// The edits that set members of the object at `range`: values replaced where they are, new ones after the last.
fn edits(bytes: &[u8], range: &Range<usize>, values: &[(&str, &[u8])]) -> Result<Vec<Edit>, Error> {
    let mut edits = Vec::with_capacity(values.len());
    let mut written = vec![false; values.len()];
    let mut last = None;
    for member in json::members(bytes, range.start)? {
        let key = &bytes[member.key.clone()];
        if let Some(index) = values.iter().position(|(name, _)| json::is_key(key, name)) {
            if std::mem::replace(&mut written[index], true) {
                return Err(Error::Duplicate);
            }
            edits.push((member.value.clone(), values[index].1.to_vec()));
        }
        last = Some(member.value.end);
    }
    let mut added = Vec::new();
    for ((name, value), _) in values.iter().zip(&written).filter(|(_, written)| !**written) {
        if last.is_some() || !added.is_empty() {
            added.push(b',');
        }
        push(&mut added, name, value);
    }
    if !added.is_empty() {
        let at = last.unwrap_or(range.start + 1);
        edits.push((at..at, added));
    }
    Ok(edits)
}

fn nested(path: &[&str], values: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = vec![b'{'];
    if let Some((first, rest)) = path.split_first() {
        push(&mut out, first, &nested(rest, values));
    } else {
        for (index, (name, value)) in values.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push(&mut out, name, value);
        }
    }
    out.push(b'}');
    out
}

fn push(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(&json::quote(name));
    out.push(b':');
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests;
