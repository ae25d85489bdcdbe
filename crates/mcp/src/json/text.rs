//! Strings in and out of JSON.

use std::borrow::Cow;

/// The text of a quoted JSON string; `None` for anything else. A lone surrogate becomes U+FFFD, so compare raw bytes
/// where that matters.
#[must_use]
pub fn decode(quoted: &[u8]) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let inner = std::str::from_utf8(inner).ok()?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (one, left) = escape(&rest[at + 1..])?;
        text.push(one);
        rest = left;
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

fn escape(rest: &str) -> Option<(char, &str)> {
    let kind = rest.chars().next()?;
    let left = rest.get(kind.len_utf8()..)?;
    let one = match kind {
        '"' | '\\' | '/' => kind,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return unicode(left),
        _ => return None,
    };
    Some((one, left))
}

fn unicode(rest: &str) -> Option<(char, &str)> {
    let high = u32::from_str_radix(rest.get(..4)?, 16).ok()?;
    let left = &rest[4..];
    if let Some(one) = char::from_u32(high) {
        return Some((one, left));
    }
    let low = left.strip_prefix("\\u").and_then(|low| low.get(..4)).and_then(|low| u32::from_str_radix(low, 16).ok());
    match low {
        Some(low @ 0xdc00..=0xdfff) if high < 0xdc00 => {
            let one = char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00));
            Some((one.unwrap_or(char::REPLACEMENT_CHARACTER), &left[6..]))
        }
        _ => Some((char::REPLACEMENT_CHARACTER, left)),
    }
}

/// A JSON string with its quotes.
#[must_use]
pub fn quote(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.extend(
                    [byte >> 4, byte & 15].map(|digit| if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }),
                );
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    out
}
