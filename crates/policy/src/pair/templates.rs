//! The expressions of a proposed read-back, by what the tool does and what the reader shows.

use super::schema::{Member, Shape, only_value, output_members};
use super::{Closeness, Kind, ReadProposal};
use crate::classify::{Verb, words};
use crate::tools::ToolFacts;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::Value;

/// Arguments that are about the call and not about the record.
const ABOUT_THE_CALL: [&str; 14] = [
    "idempotency_key",
    "idempotencykey",
    "request_id",
    "dry_run",
    "force",
    "confirm",
    "notify",
    "limit",
    "page",
    "cursor",
    "offset",
    "timeout",
    "verbose",
    "format",
];

/// How well it fits (more is better) and the proposal.
pub(super) fn apply(
    (verb, states): (Verb, &[&str]),
    writer: &Shape,
    reader: &ToolFacts,
    kind: Kind,
    closeness: Closeness,
) -> Option<(u32, ReadProposal)> {
    let asked = Shape::of_input(&reader.input_schema);
    let (args, addressed) = reader_args(writer, &asked)?;
    let shown = output_members(reader.output_schema.as_ref());
    let by_name = addressed.iter().any(|member| member.is_name());
    let one = kind == Kind::One && closeness != Closeness::Everything && by_name;
    let (fit, expect, absent) = match verb {
        Verb::Create | Verb::Send => match (one, closeness) {
            (true, Closeness::Same) => record(writer, &addressed, shown.as_ref())?,
            _ => appended(writer, &addressed, shown.as_ref())?,
        },
        Verb::Set | Verb::Delete if one && !states.is_empty() => stated(states),
        Verb::Set if one => record(writer, &addressed, shown.as_ref())?,
        Verb::Set => listed_record(writer, shown.as_ref())?,
        Verb::Delete if one && closeness == Closeness::Same => {
            (3, "gone(read)".to_string(), "!gone(read) && same(read, pre)".to_string())
        }
        Verb::Delete => unlisted(writer, shown.as_ref())?,
        // What it leaves behind depends on what was there, so that only a change against that can be seen.
        Verb::Toggle if one && closeness == Closeness::Same => changed(reader.output_schema.as_ref(), &addressed)?,
        Verb::Toggle | Verb::Read => return None,
    };
    Some((fit, ReadProposal { read: reader.name.clone(), args, expect, absent }))
}

/// The reader's arguments out of the writer's; `None` when it needs something that the writer does not surely have.
pub(super) fn reader_args<'a>(writer: &'a Shape, reader: &Shape) -> Option<(String, Vec<&'a Member>)> {
    let mut written = Vec::new();
    let mut used = Vec::new();
    for wanted in &reader.members {
        let source = source_of(writer, wanted);
        match source {
            Some(member) if wanted.required || wanted.is_name() => {
                written.push(format!("{}: {}", quoted(&wanted.name), access("args", &member.name)));
                used.push(member);
            }
            None if wanted.required => return None,
            // A page as large as the reader gives.
            _ if is_limit(&wanted.name) => {
                written.extend(wanted.maximum.map(|most| format!("{}: {most}", quoted(&wanted.name))));
            }
            _ => {}
        }
    }
    Some((format!("{{{}}}", written.join(", ")), used))
}

/// A required member of the writer that means what the reader asks for: the same name, or `id` for `order_id`.
fn source_of<'a>(writer: &'a Shape, wanted: &Member) -> Option<&'a Member> {
    let fits = |member: &&Member| member.required && member.kind.fits(wanted.kind) && member.kind.is_scalar();
    if let Some(member) = writer.like(&wanted.name).filter(fits) {
        return Some(member);
    }
    let wanted_words = words(&wanted.name);
    if wanted_words.last().map(String::as_str) != Some("id") {
        return None;
    }
    // Only where one of the two is plain `id`: `order_id` is not `customer_id`.
    let mut ids = writer.members.iter().filter(fits).filter(|member| {
        let name = words(&member.name);
        name.last().map(String::as_str) == Some("id") && (name.len() == 1 || wanted_words.len() == 1)
    });
    ids.next().filter(|_| ids.next().is_none())
}

/// A counter or a switch: its one value is another than before. Inferred, like all that compares with what was before:
/// it counts only while no other step of ours may explain it.
fn changed(schema: Option<&Value>, addressed: &[&Member]) -> Option<(u32, String, String)> {
    let value = only_value(schema?, addressed)?;
    let (now, before) = (access("read", &value), access("pre", &value));
    Some((2, format!("{now} != {before}"), format!("{now} == {before}")))
}

/// One record that the arguments name: it shows the rest of them.
fn record(writer: &Shape, addressed: &[&Member], shown: Option<&BTreeSet<String>>) -> Option<(u32, String, String)> {
    let needle = needle(writer, addressed, shown)?;
    let expect = format!("!has(read.isError) && found(read, {needle}) >= 1");
    Some((3, expect, "same(read, pre)".to_string()))
}

/// One record whose status says what was done to it, or that is gone.
fn stated(states: &[&str]) -> (u32, String, String) {
    let shows = states.iter().map(|state| format!("found(read, {{\"status\": {}}}) >= 1", quoted(state)));
    let expect = core::iter::once("gone(read)".to_string()).chain(shows).collect::<Vec<_>>().join(" || ");
    (2, expect, "same(read, pre)".to_string())
}

/// A collection that gets one more.
fn appended(writer: &Shape, addressed: &[&Member], shown: Option<&BTreeSet<String>>) -> Option<(u32, String, String)> {
    if let Some(list) = batch(writer, shown) {
        let each = format!("{}.all(e, found(read, e) >= 1)", access("args", &list));
        return Some((1, each, "same(read, pre)".to_string()));
    }
    let needle = needle(writer, &names_only(addressed, shown), shown)?;
    let expect = format!("found(read, {needle}) > found(pre, {needle})");
    let absent = format!("found(read, {needle}) == found(pre, {needle}) && same_count(read, pre)");
    Some((2, expect, absent))
}

/// A record inside a list, named by an id that the list shows.
fn listed_record(writer: &Shape, shown: Option<&BTreeSet<String>>) -> Option<(u32, String, String)> {
    let shown = shown?;
    let named = writer.scalars().any(|member| member.required && member.is_name() && shown.contains(&member.name));
    let changed = writer.scalars().filter(|member| !member.is_name()).any(|member| shown.contains(&member.name));
    if !named || !changed {
        return None;
    }
    let needle = needle(writer, &[], Some(shown))?;
    Some((2, format!("found(read, {needle}) >= 1"), "same(read, pre)".to_string()))
}

/// A collection that no longer shows what the arguments name.
fn unlisted(writer: &Shape, shown: Option<&BTreeSet<String>>) -> Option<(u32, String, String)> {
    let name = writer.scalars().find(|member| member.required && member.is_name())?;
    let key = match shown {
        Some(shown) if shown.contains(&name.name) => name.name.as_str(),
        Some(shown) if shown.contains("id") && words(&name.name).last().map(String::as_str) == Some("id") => "id",
        Some(_) => return None,
        None => name.name.as_str(),
    };
    let needle = format!("{{{}: {}}}", quoted(key), access("args", &name.name));
    let expect = format!("found(pre, {needle}) > found(read, {needle}) && complete(pre)");
    let absent = format!("found(read, {needle}) == found(pre, {needle}) && same_count(read, pre)");
    Some((2, expect, absent))
}

/// What the record is compared with: the arguments without those that address it or speak of the call itself.
fn needle(writer: &Shape, without: &[&Member], shown: Option<&BTreeSet<String>>) -> Option<String> {
    let left_out = |member: &Member| {
        ABOUT_THE_CALL.contains(&member.name.to_lowercase().as_str())
            || without.iter().any(|one| one.name == member.name)
    };
    let mut comparable = writer.scalars().filter(|member| member.required && !left_out(member));
    let told = |member: &Member| shown.is_none_or(|shown| shown.contains(&member.name));
    // Something has to be comparable in every call, and shown by the reader as far as that is known.
    comparable.any(told).then_some(())?;
    let dropped =
        writer.members.iter().filter(|member| left_out(member)).map(|member| quoted(&member.name)).collect::<Vec<_>>();
    Some(if dropped.is_empty() { "args".to_string() } else { format!("without(args, [{}])", dropped.join(", ")) })
}

/// The arguments that ask a collection are left out of the comparison only if its members are known not to show them:
/// a message list asked by channel need not repeat the channel, and then nothing would agree or disagree by it.
fn names_only<'a>(addressed: &[&'a Member], shown: Option<&BTreeSet<String>>) -> Vec<&'a Member> {
    let hidden = |member: &&&Member| shown.is_some_and(|shown| !shown.contains(&member.name));
    addressed.iter().filter(hidden).copied().collect()
}

/// The one required list of objects that is all the writer takes: `create_entities(entities: [{name, …}])`.
fn batch(writer: &Shape, shown: Option<&BTreeSet<String>>) -> Option<String> {
    if writer.scalars().any(|member| member.required) {
        return None;
    }
    let mut lists = writer.members.iter().filter(|member| member.required && !member.items.is_empty());
    let list = lists.next().filter(|_| lists.next().is_none())?;
    let told = shown.is_none_or(|shown| list.items.iter().all(|name| shown.contains(name)));
    told.then(|| list.name.clone())
}

fn is_limit(name: &str) -> bool {
    matches!(
        words(name).iter().map(String::as_str).collect::<Vec<_>>().as_slice(),
        ["limit"] | ["page", "size"] | ["per", "page"] | ["max", "results"] | ["max"] | ["first"] | ["count"] | ["top"]
    )
}

/// Member access in CEL: `args.order_id`, or `args["order-id"]` where the name is no identifier.
pub(super) fn access(object: &str, name: &str) -> String {
    const RESERVED: [&str; 22] = [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
        "size",
    ];
    let starts = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    let plain = starts && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if plain && !RESERVED.contains(&name) { format!("{object}.{name}") } else { format!("{object}[{}]", quoted(name)) }
}

/// A CEL string. Names come from upstreams: whatever they hold, they stay inside the quotes.
pub(super) fn quoted(name: &str) -> String {
    let mut text = String::from("\"");
    for letter in name.chars().take(256) {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            letter if letter.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}
