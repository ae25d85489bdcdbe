//! Proposes, for each tool of an upstream, an effect and the read that confirms it. Pure heuristics for `init`.
//!
//! A proposal must be safe when nobody edits it: where names and schemas do not say enough, none is made, and every
//! expression made here gives no answer rather than a wrong one when the data is not as expected.

mod schema;
mod templates;
mod undo;

use crate::classify::{self, Verb, annotated, verb_and_noun};
use crate::tools::ToolFacts;
use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use schema::Shape;
use vocab::Effect;

/// What `init` writes about one tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub tool: String,
    /// `None`: neither name nor annotations say enough, so the tool stays destructive-but-guessed.
    pub effect: Option<Effect>,
    /// Why, for the comment.
    pub why: String,
    pub readback: Option<ReadProposal>,
    pub undo: Option<UndoProposal>,
}

/// A way back in the words of the policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoProposal {
    pub kind: &'static str,
    pub call: String,
    pub args: String,
    /// Why, for the comment.
    pub why: String,
}

/// A read-back in the words of the policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadProposal {
    pub read: String,
    pub args: String,
    pub expect: String,
    pub absent: String,
}

/// Proposals for all tools of one upstream, in their order.
pub fn proposals(tools: &[ToolFacts]) -> Vec<Proposal> {
    let readers = tools.iter().filter(|tool| proposed_effect(tool).0 == Some(Effect::Read)).collect::<Vec<_>>();
    tools.iter().map(|tool| propose(tool, tools, &readers)).collect()
}

fn propose(tool: &ToolFacts, all: &[ToolFacts], readers: &[&ToolFacts]) -> Proposal {
    let (effect, why) = proposed_effect(tool);
    let readback = match effect {
        Some(Effect::Read) => None,
        _ => best_reader(tool, readers),
    };
    let undo = match effect {
        Some(Effect::Read) | None => None,
        Some(_) => undo::way(tool, all, readback.as_ref()),
    };
    Proposal { tool: tool.name.clone(), effect, why, readback, undo }
}

/// By name, held against what the annotations say; the worse one wins.
fn proposed_effect(tool: &ToolFacts) -> (Option<Effect>, String) {
    let hints = tool.annotations;
    let stated = annotated(hints);
    let Some((verb, noun)) = verb_and_noun(&tool.name) else {
        return match stated {
            Some(effect) => (Some(effect), "its annotations say so".to_owned()),
            None => (None, "nothing says what it does".to_owned()),
        };
    };
    let by_name = match verb {
        Verb::Read => Effect::Read,
        Verb::Create | Verb::Set | Verb::Toggle => Effect::Write,
        Verb::Send if is_money(&tool.name, &noun) => Effect::Destructive,
        Verb::Send => Effect::Write,
        Verb::Delete => Effect::Destructive,
    };
    match stated {
        None if hints.read_only == Some(false) && by_name == Effect::Read => {
            (None, "its name reads, its annotations do not".to_owned())
        }
        None => (Some(by_name), "by its name".to_owned()),
        Some(stated) if stated == by_name => (Some(stated), "name and annotations agree".to_owned()),
        // An absolute write, by both: a name like `set_status` and the annotation.
        Some(Effect::Idempotent) if verb == Verb::Set => (Some(Effect::Idempotent), "by its annotations".to_owned()),
        Some(stated) => (Some(stated.max(by_name)), "name and annotations differ: the worse of the two".to_owned()),
    }
}

fn is_money(name: &str, noun: &[String]) -> bool {
    const WORDS: [&str; 12] = [
        "refund", "pay", "payment", "charge", "transfer", "withdraw", "payout", "invoice", "purchase", "buy", "money",
        "wire",
    ];
    let words = classify::words(name);
    words.iter().chain(noun).any(|word| WORDS.contains(&word.as_str()))
}

/// The best reader of what the tool changes, with expressions that use it.
fn best_reader(tool: &ToolFacts, readers: &[&ToolFacts]) -> Option<ReadProposal> {
    let (verb, noun) = verb_and_noun(&tool.name)?;
    let noun = singular(&noun);
    let writer = Shape::of_input(&tool.input_schema);
    let mut best: Option<(u32, ReadProposal)> = None;
    for reader in readers {
        let Some((_, about)) = verb_and_noun(&reader.name) else { continue };
        let kind = kind_of(&reader.name, &about);
        let about = singular(&about);
        let Some(closeness) = closeness(&noun, &about, kind) else { continue };
        let Some((fit, proposal)) =
            templates::apply((verb, classify::state_after(&tool.name)), &writer, reader, kind, closeness)
        else {
            continue;
        };
        let score = fit * 10 + closeness.score();
        if best.as_ref().is_none_or(|(other, _)| score > *other) {
            best = Some((score, proposal));
        }
    }
    best.map(|(_, proposal)| proposal)
}

/// Does a reader show one thing or many?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    One,
    Many,
}

fn kind_of(name: &str, about: &[String]) -> Kind {
    let words = classify::words(name);
    let many =
        words.iter().any(|word| MANY.contains(&word.as_str())) || about.last().is_some_and(|word| is_plural(word));
    if many { Kind::Many } else { Kind::One }
}

/// How the reader's subject relates to the writer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closeness {
    /// `create_order`, `get_order`.
    Same,
    /// `add_item_to_cart`, `get_cart`: the reader shows what holds it.
    Container,
    /// `create_entities`, `read_graph`: the reader shows everything.
    Everything,
}

impl Closeness {
    const fn score(self) -> u32 {
        match self {
            Self::Same => 3,
            Self::Container => 2,
            Self::Everything => 1,
        }
    }
}

fn closeness(noun: &[String], about: &[String], kind: Kind) -> Option<Closeness> {
    let weak = |word: &&String| !WEAK.contains(&word.as_str());
    let noun = noun.iter().filter(weak).collect::<Vec<_>>();
    let about = about.iter().filter(weak).collect::<Vec<_>>();
    if !noun.is_empty() && noun == about {
        return Some(Closeness::Same);
    }
    // `write_file`, `read_text_file`; `update_order_status`, `get_order`.
    if !about.is_empty()
        && !noun.is_empty()
        && (about.ends_with(&noun) || noun.ends_with(&about) || noun.starts_with(&about))
    {
        return Some(if noun.len() > about.len() { Closeness::Container } else { Closeness::Same });
    }
    let everything = about.is_empty() || about.iter().all(|word| EVERYTHING.contains(&word.as_str()));
    (everything && (kind == Kind::Many || !about.is_empty())).then_some(Closeness::Everything)
}

fn singular(words: &[String]) -> Vec<String> {
    words.iter().map(|word| singular_word(word)).collect()
}

fn singular_word(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return alloc::format!("{stem}y");
    }
    for ending in ["ses", "xes", "ches", "shes"] {
        if word.ends_with(ending) {
            return word[..word.len() - 2].to_string();
        }
    }
    match word.strip_suffix('s') {
        Some(stem) if is_plural(word) => stem.to_string(),
        _ => word.to_string(),
    }
}

fn is_plural(word: &str) -> bool {
    word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us") && !word.ends_with("is")
}

const MANY: [&str; 8] = ["list", "search", "find", "query", "all", "browse", "history", "tree"];
const WEAK: [&str; 14] =
    ["all", "the", "a", "an", "to", "of", "in", "for", "by", "id", "detail", "info", "new", "history"];
const EVERYTHING: [&str; 9] =
    ["graph", "everything", "state", "data", "world", "memory", "database", "inventory", "ledger"];

#[cfg(test)]
mod tests;
