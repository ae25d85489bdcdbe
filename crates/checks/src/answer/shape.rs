//! The shapes of a result's parts. Unknown types of content and unknown members pass: later revisions add them.

use super::{TEXT_HEAD, Task};
use crate::finding::{Finding, Rule};
use crate::json::{Item, ItemKind};
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};

/// Longest task id that is taken over.
const TASK_ID_MAX: usize = 1024;

pub(super) fn bad(path: &str, message: &str) -> Finding {
    Finding::new(Rule::Shape, path, message)
}

pub(super) fn object_or_absent(parent: Item<'_>, name: &str) -> Result<(), Finding> {
    match parent.get(name) {
        Some(item) if item.kind() != ItemKind::Object => Err(bad(&format!("/{name}"), "must be an object")),
        _ => Ok(()),
    }
}

pub(super) fn string_or_absent<'d>(parent: Item<'d>, name: &str) -> Result<Option<Cow<'d, str>>, Finding> {
    match parent.get(name) {
        Some(item) => item.text().map(Some).ok_or_else(|| bad(&format!("/{name}"), "must be a string")),
        None => Ok(None),
    }
}

pub(super) fn bool_or_absent(parent: Item<'_>, name: &str) -> Result<Option<bool>, Finding> {
    match parent.get(name).map(Item::kind) {
        Some(ItemKind::Bool(value)) => Ok(Some(value)),
        Some(_) => Err(bad(&format!("/{name}"), "must be true or false")),
        None => Ok(None),
    }
}

/// Checks each item of the content and returns the head of its text.
pub(super) fn content(content: Item<'_>) -> Result<String, Finding> {
    if content.kind() != ItemKind::Array {
        return Err(bad("/content", "must be an array"));
    }
    let mut head = Head::default();
    for (index, item) in content.elements().enumerate() {
        let wrong = |message: &str| bad(&format!("/content/{index}"), message);
        if item.kind() != ItemKind::Object {
            return Err(wrong("must be an object"));
        }
        let Some(kind) = item.get("type").and_then(Item::text) else {
            return Err(wrong("must have a type"));
        };
        let is_string = |name: &str| item.get(name).is_some_and(|member| member.kind() == ItemKind::String);
        match &*kind {
            "text" => match item.get("text").and_then(Item::text) {
                Some(text) => head.add(&text),
                None => return Err(wrong("text without its text")),
            },
            "image" | "audio" if !is_string("data") || !is_string("mimeType") => {
                return Err(wrong("media without data or type"));
            }
            "resource_link" if !is_string("uri") => return Err(wrong("a link without its address")),
            "resource" => match item.get("resource") {
                Some(resource) if resource.get("uri").is_some_and(|uri| uri.kind() == ItemKind::String) => {
                    if let Some(text) = resource.get("text").and_then(Item::text) {
                        head.add(&text);
                    }
                }
                _ => return Err(wrong("a resource without its address")),
            },
            _ => {}
        }
    }
    Ok(head.text)
}

#[derive(Default)]
struct Head {
    text: String,
    characters: usize,
}

impl Head {
    fn add(&mut self, text: &str) {
        if self.characters >= TEXT_HEAD {
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
            self.characters += 1;
        }
        let left = TEXT_HEAD.saturating_sub(self.characters);
        let end = text.char_indices().nth(left).map_or(text.len(), |(at, _)| at);
        self.text.push_str(&text[..end]);
        self.characters += text[..end].chars().count();
    }
}

/// 2025-11-25 nests the task and says `ttl`, `pollInterval`; the extension of 2026-07-28 has `ttlMs`, `pollIntervalMs`
/// in the result itself.
pub(super) fn task(item: Item<'_>, path: &str) -> Result<Task, Finding> {
    if item.kind() != ItemKind::Object {
        return Err(bad(path, "the task must be an object"));
    }
    let id = item.get("taskId").and_then(Item::text).filter(|id| !id.is_empty() && id.len() <= TASK_ID_MAX);
    let Some(id) = id else {
        return Err(bad(&format!("{path}/taskId"), "the task must have an id of bounded length"));
    };
    let number = |names: [&str; 2]| names.iter().find_map(|name| item.get(name)).and_then(milliseconds);
    Ok(Task {
        id: id.to_string(),
        status: item.get("status").and_then(Item::text).map(Cow::into_owned).unwrap_or_default(),
        ttl_ms: number(["ttlMs", "ttl"]),
        poll_interval_ms: number(["pollIntervalMs", "pollInterval"]),
    })
}

/// Whole milliseconds; servers written in Python send `5000.0`.
fn milliseconds(item: Item<'_>) -> Option<u64> {
    item.unsigned().or_else(|| {
        let text = core::str::from_utf8(item.raw()).ok()?;
        let (whole, fraction) = text.split_once('.')?;
        (!fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit())).then(|| whole.parse().ok())?
    })
}
