//! Hostile bytes: readers of what comes from outside, fed with texts that nearly are right. None may panic or run away.

mod file;

use crate::rng::Rng;
use bytes::Bytes;
use mcp::sse;
use std::time::{Duration, Instant};

/// A reader of bytes from outside.
pub type Target = fn(&[u8]);

/// Bytes to begin from.
pub type Beginnings = fn() -> Vec<Vec<u8>>;

/// By name.
pub const TARGETS: &[(&str, Target, Beginnings)] = &[
    ("messages", messages, || {
        texts(&[
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"a":[1,2.5e3,"ü\u00e9"]},"_meta":{"progressToken":"t"}}}"#,
            r#"[{"jsonrpc":"2.0","id":"x","result":{"tools":[{"name":"a","inputSchema":{"type":"object"}}],"nextCursor":"c"}}]"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"no","data":{}}}"#,
        ])
    }),
    ("events", events, || {
        texts(&[
            "id: 7\nevent: message\ndata: {\"jsonrpc\":\"2.0\"}\n\n",
            ": comment\r\nretry: 30\r\ndata: a\r\ndata: b\r\n\r\n",
        ])
    }),
    ("policy", policy_text, || {
        texts(&[
            "listen: 127.0.0.1:7070\nupstreams:\n  shop:\n    mcp: { url: \"http://127.0.0.1:1/\" }\ntools:\n  - { match: shop.pay, effect: keyed, key: { argument: k, window: 24h } }\n",
            "upstreams: { a: { local: true, mcp: { command: [x] } } }\ntools:\n  - match: a.b\n    when: 'args.x == \"y\" && size(args.l) > 2'\n    effect: write\n    readback: { read: a.c, expect: 'found(read, args) > 0' }\n",
        ])
    }),
    ("stored records", stored, journal::hostile::stored),
    ("journal file", file::read, file::damages),
];

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub fn messages(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let limits = mcp::Limits::default();
    if let Ok(envelope) = mcp::Envelope::parse(bytes.clone(), &limits) {
        let body = envelope.body_bytes().unwrap_or_default();
        drop((mcp::views::ToolCall::read(&body), mcp::views::Tools::read(&body), mcp::views::Initialize::read(&body)));
        drop((envelope.id_bytes(), envelope.param_text(&["name"]).ok().flatten().map(std::borrow::Cow::into_owned)));
    }
    drop(mcp::Envelope::parse_any(bytes, &limits));
}

pub fn events(bytes: &[u8]) {
    let mut parser = sse::Parser::new(sse::Limits::for_messages(64 * 1024));
    for chunk in bytes.chunks(7) {
        parser.push(chunk);
        // At most one event for each byte: else it would never end.
        for _ in 0..=bytes.len() {
            match parser.next_event() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

pub fn policy_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    drop(policy::Policy::parse(text, "fuzz.yaml", &|_| None).map_err(|problems| problems.to_string()));
}

/// # Panics
/// What was read does not survive being written anew.
pub fn stored(bytes: &[u8]) {
    let read = journal::hostile::read_all(bytes);
    assert_eq!(read, Ok(()), "{bytes:02x?}");
}

/// Feeds a target for a while; returns how many texts it was given. A panic of the target is a panic here.
pub fn run(seed: u64, target: Target, beginnings: &[Vec<u8>], time: Duration) -> u64 {
    let mut rng = Rng::of(seed, "fuzz");
    let mut corpus = beginnings.to_vec();
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < time {
        let mut text = corpus[rng.index(corpus.len())].clone();
        for _ in 0..rng.between(1, 6) {
            mutate(&mut rng, &mut text, beginnings);
        }
        text.truncate(4096);
        target(&text);
        count += 1;
        if rng.chance(5) && corpus.len() < 256 {
            corpus.push(text);
        }
    }
    count
}

fn mutate(rng: &mut Rng, text: &mut Vec<u8>, beginnings: &[Vec<u8>]) {
    const PIECES: &[&str] = &[
        "{", "}", "[", "]", "\"", "\\u", ":", ",", "\n", "\r\n", "0", "-1e999", "null", "\0", "data:", "ü", "{{",
        "  - ", "&a *a", "!!", "args.", "(", ")",
    ];
    let at = rng.index(text.len() + 1);
    match rng.below(6) {
        0 if !text.is_empty() => {
            let at = rng.index(text.len());
            text[at] ^= 1 << rng.below(8);
        }
        1 if !text.is_empty() => {
            let from = rng.index(text.len());
            let to = (from + rng.index(16)).min(text.len());
            text.drain(from..to);
        }
        2 => {
            let piece = PIECES[rng.index(PIECES.len())];
            let many = if rng.chance(50) { 200 } else { 1 };
            let insert = piece.repeat(many);
            text.splice(at..at, insert.bytes());
        }
        3 => {
            let other = &beginnings[rng.index(beginnings.len())];
            let from = rng.index(other.len());
            text.splice(at..at, other[from..].iter().copied());
        }
        4 => {
            let part: Vec<u8> = text[at..].iter().copied().take(64).collect();
            text.splice(at..at, part);
        }
        _ => text.truncate(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_of_what_comes_from_outside_bear_hostile_bytes() {
        for (name, target, beginnings) in TARGETS {
            let count = run(1, *target, &beginnings(), Duration::from_millis(300));
            assert!(count > 0, "{name}");
        }
    }
}
