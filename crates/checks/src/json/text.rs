//! Decoding of strings that the scanner has accepted.

use super::Document;
use alloc::borrow::Cow;
use alloc::string::String;

/// The text of a string or key node.
pub(crate) fn decode<'d>(document: &'d Document<'_>, node: usize) -> Cow<'d, str> {
    let raw = document.raw(node);
    decode_raw(&raw[1..raw.len() - 1], document.node(node).escaped)
}

/// `inner` is what stands between the quotes.
pub(crate) fn decode_raw(inner: &[u8], escaped: bool) -> Cow<'_, str> {
    // The scanner has proven UTF-8; lossy only because nothing here may panic.
    let text = String::from_utf8_lossy(inner);
    if escaped { Cow::Owned(unescape(&text)) } else { text }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = &rest[at..];
        let (character, length) = one(escape);
        out.push(character);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The character that `escape` begins with, and the length of its escape.
fn one(escape: &str) -> (char, usize) {
    match escape.as_bytes().get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => {
            let high = unit(escape, 2);
            if !(0xD800..0xDC00).contains(&high) {
                return (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6);
            }
            let low = unit(escape, 8);
            let scalar = 0x10000 + ((high - 0xD800) << 10) + (low.wrapping_sub(0xDC00) & 0x3FF);
            (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        Some(plain) => (char::from(*plain), 2),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}

fn unit(escape: &str, at: usize) -> u32 {
    escape.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0)
}
