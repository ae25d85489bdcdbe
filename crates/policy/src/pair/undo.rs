//! The way back of a proposed tool: its opposite, or itself with what was there before. Only where schemas say that all
//! that the call needs is known; `init` writes it as a comment, because nobody has tried it.

use super::schema::{Member, Shape, top_members};
use super::templates::{access, quoted, reader_args};
use super::{ReadProposal, UndoProposal, singular};
use crate::classify::{Verb, verb_and_noun, words};
use crate::tools::ToolFacts;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

//= S-05
pub(super) fn way(tool: &ToolFacts, all: &[ToolFacts], readback: Option<&ReadProposal>) -> Option<UndoProposal> {
    let (verb, noun) = verb_and_noun(&tool.name)?;
    match verb {
        Verb::Create => all.iter().find_map(|other| inverse(tool, &singular(&noun), other)),
        Verb::Set => {
            let readback = readback?;
            restore(tool, all.iter().find(|other| other.name == readback.read)?)
        }
        Verb::Delete | Verb::Send | Verb::Toggle | Verb::Read => None,
    }
}

/// `create_order`, `cancel_order`: what the one needs, the receipt of the other or its arguments have.
fn inverse(tool: &ToolFacts, noun: &[String], other: &ToolFacts) -> Option<UndoProposal> {
    let (verb, about) = verb_and_noun(&other.name)?;
    if verb != Verb::Delete || noun.is_empty() || singular(&about) != noun {
        return None;
    }
    let (writer, wanted) = (Shape::of_input(&tool.input_schema), Shape::of_input(&other.input_schema));
    let receipt = top_members(tool.output_schema.as_ref());
    let mut named = false;
    let mut written = Vec::new();
    for member in wanted.members.iter().filter(|member| member.required) {
        let source = match from_receipt(member, &receipt) {
            Some(name) => access("result", name),
            None => {
                let given = writer.like(&member.name).filter(|one| one.required && one.kind.fits(member.kind));
                access("args", &given?.name)
            }
        };
        named |= member.is_name();
        written.push(format!("{}: {source}", quoted(&member.name)));
    }
    named.then(|| UndoProposal {
        kind: "inverse",
        call: other.name.clone(),
        args: format!("{{{}}}", written.join(", ")),
        why: "the opposite, by its name".to_owned(),
    })
}

/// The member of the receipt that a compensator asks for by the same name, or by `id` for `order_id` and the reverse.
fn from_receipt<'a>(wanted: &Member, receipt: &'a BTreeSet<String>) -> Option<&'a String> {
    if let Some(name) = receipt.iter().find(|name| words(name) == words(&wanted.name)) {
        return Some(name);
    }
    let is_id = |name: &str| words(name).last().map(String::as_str) == Some("id");
    if !is_id(&wanted.name) {
        return None;
    }
    let plain = |name: &str| words(name).len() == 1;
    let mut ids = receipt.iter().filter(|name| is_id(name) && (plain(name) || plain(&wanted.name)));
    ids.next().filter(|_| ids.next().is_none())
}

/// `set_address`, `get_customer`: the reader shows every member that the writer writes.
fn restore(tool: &ToolFacts, reader: &ToolFacts) -> Option<UndoProposal> {
    let writer = Shape::of_input(&tool.input_schema);
    let (_, addressed) = reader_args(&writer, &Shape::of_input(&reader.input_schema))?;
    let shown = top_members(reader.output_schema.as_ref());
    let mut values = 0;
    let mut written = Vec::new();
    for member in &writer.members {
        let is_address = addressed.iter().any(|one| one.name == member.name);
        let source = if is_address {
            access("args", &member.name)
        } else if shown.contains(&member.name) && member.required {
            values += 1;
            access("pre", &member.name)
        } else {
            // It would stay as the call left it.
            return None;
        };
        written.push(format!("{}: {source}", quoted(&member.name)));
    }
    (values > 0 && !addressed.is_empty()).then(|| UndoProposal {
        kind: "restore",
        call: tool.name.clone(),
        args: format!("{{{}}}", written.join(", ")),
        why: "the same call, with what was there before".to_owned(),
    })
}
