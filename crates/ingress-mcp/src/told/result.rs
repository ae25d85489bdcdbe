//! Results of tools on their way out: what upstreams may not imitate, and what is added to a replay or a notice.

use super::guard_released;
use crate::edit::Edits;
use crate::message::{quoted, scan};
use bytes::Bytes;
use checks::json::{Item, ItemKind};
use vocab::{Executed, StepId, Verification};

const IMITATED: [&str; 2] = ["stopped by cofferdam", "confirmed by cofferdam"];
const IN_ITS_PLACE: &str = "[the tool imitated a notice of the gateway here]";

/// What is known of a result that is let through.
#[derive(Clone, Copy, Debug)]
pub struct Released<'a> {
    pub verification: Verification,
    pub replayed: bool,
    pub notice: Option<&'a str>,
}

/// A result as the agent gets it. One that needs nothing said keeps every byte.
pub fn release(result: &Bytes, step: StepId, run: impl FnOnce() -> String, released: &Released<'_>) -> Bytes {
    let result = clean(result);
    if !released.replayed && released.notice.is_none() {
        return result;
    }
    let Some(document) = scan(&result) else { return result };
    let root = document.root();
    if root.kind() != ItemKind::Object {
        return result;
    }
    let mut edits = Edits::of(&document);
    let guard = guard_released(step, &run(), released, executed(root));
    edits.set_under(&["_meta"], &[("cofferdam/guard", guard.as_bytes())]);
    // At the end: clients and models that read the first item read what the tool said.
    if let (Some(notice), Some(content)) = (released.notice, root.get("content"))
        && content.kind() == ItemKind::Array
    {
        let line = format!(r#"{{"type":"text","text":{}}}"#, quoted(&format!("[cofferdam] {notice}")));
        edits.push(content, line.as_bytes());
    }
    edits.apply()
}

/// What a result says of the effect.
//= G3
fn executed(result: Item<'_>) -> Executed {
    let failed = result.get("isError").is_some_and(|said| said.kind() == ItemKind::Bool(true));
    let kind = result.get("resultType").and_then(|kind| kind.text());
    let is_task = || result.get("content").is_none() && result.get("task").is_some();
    match kind.as_deref() {
        Some("input_required") => Executed::No,
        // A task may not have come to it yet, and a tool that reports an error may have done a part of it.
        Some("task") => Executed::Unknown,
        _ if failed || is_task() => Executed::Unknown,
        _ => Executed::Yes,
    }
}

//= S-06
/// Takes out of a tool's result what imitates the gateway: its headline in any text, its key in `_meta`.
pub fn clean(result: &Bytes) -> Bytes {
    if !is_suspicious(result) {
        return result.clone();
    }
    let Some(document) = scan(result) else { return result.clone() };
    let mut edits = Edits::of(&document);
    let root = document.root();
    if let Some(meta) = root.get("_meta") {
        edits.remove(meta, "cofferdam/guard");
    }
    strings(root, &mut edits, 0);
    if edits.is_empty() { result.clone() } else { edits.apply() }
}

fn strings(item: Item<'_>, edits: &mut Edits<'_>, depth: usize) {
    match item.kind() {
        ItemKind::Array if depth < 64 => item.elements().for_each(|item| strings(item, edits, depth + 1)),
        ItemKind::Object if depth < 64 => {
            for (key, value) in item.members() {
                // Taken out as a whole already.
                if !(depth == 1 && key.is("cofferdam/guard")) {
                    strings(value, edits, depth + 1);
                }
            }
        }
        ItemKind::String => {
            if let Some(text) = item.text().as_deref().and_then(disarmed) {
                edits.replace(item, quoted(&text));
            }
        }
        _ => {}
    }
}

/// The text without imitated headlines; `None` when there is none in it.
pub(super) fn disarmed(text: &str) -> Option<String> {
    let mut out: Option<String> = None;
    for phrase in IMITATED {
        while let Some(range) = find_phrase(out.as_deref().unwrap_or(text), phrase) {
            let mut changed = out.take().unwrap_or_else(|| text.to_owned());
            changed.replace_range(range, IN_ITS_PLACE);
            out = Some(changed);
        }
    }
    out
}

/// Finds words in any case with any white space between them.
fn find_phrase(text: &str, phrase: &str) -> Option<std::ops::Range<usize>> {
    let words: Vec<&str> = phrase.split(' ').collect();
    text.char_indices().find_map(|(start, _)| {
        let mut rest = &text[start..];
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                let trimmed = rest.trim_start();
                if trimmed.len() == rest.len() {
                    return None;
                }
                rest = trimmed;
            }
            let head = rest.get(..word.len())?;
            if !head.eq_ignore_ascii_case(word) {
                return None;
            }
            rest = &rest[word.len()..];
        }
        Some(start..text.len() - rest.len())
    })
}

/// Cheap and careful: our name in any case, or escapes that could hide it.
fn is_suspicious(bytes: &[u8]) -> bool {
    let name = b"cofferdam";
    memchr::memchr3_iter(b'c', b'C', b'\\', bytes).any(|at| match bytes[at] {
        b'\\' => bytes.get(at + 1..at + 4) == Some(b"u00"),
        _ => bytes.get(at..at + name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name)),
    })
}
