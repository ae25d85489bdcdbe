//! The effect of a tool: who may say it, and what its name gives away.
//!
//! Operator's policy > annotations of a trusted upstream > MCP's default, destructive. Names and what an untrusted
//! upstream says can only make it worse; as a proposal for the operator, `init` uses them too.

use crate::tools::{Annotations, ToolFacts};
use alloc::string::String;
use alloc::vec::Vec;
use vocab::{Effect, EffectSource};

/// The effect of a tool about which policy says nothing.
pub(crate) fn effect(trusted: bool, facts: &ToolFacts) -> (Effect, EffectSource) {
    let hints = facts.annotations;
    if !trusted {
        // It admits the worst; what it says to its own favour does not count.
        let admits = hints.read_only != Some(true) && hints.destructive == Some(true);
        let source = if admits { EffectSource::Annotation } else { EffectSource::Guessed };
        return (Effect::Destructive, source);
    }
    let Some(stated) = annotated(hints) else { return (Effect::Destructive, EffectSource::Guessed) };
    match worse_by_name(&facts.name, stated) {
        Some(worse) => (worse, EffectSource::Name),
        None => (stated, EffectSource::TrustedAnnotation),
    }
}

/// What the annotations say; `None` when they leave MCP's default standing.
pub(crate) fn annotated(hints: Annotations) -> Option<Effect> {
    if hints.read_only == Some(true) {
        return Some(Effect::Read);
    }
    match (hints.destructive, hints.idempotent) {
        (Some(false), Some(true)) => Some(Effect::Idempotent),
        (Some(false), _) => Some(Effect::Write),
        (Some(true), _) => Some(Effect::Destructive),
        (None, _) => None,
    }
}

/// A name that contradicts what is said of the tool: `delete_order` is no read, and `create_order` is not idempotent.
fn worse_by_name(name: &str, stated: Effect) -> Option<Effect> {
    let by_name = match leading_verb(name)? {
        Verb::Delete => Effect::Destructive,
        Verb::Create | Verb::Send | Verb::Toggle => Effect::Write,
        Verb::Set | Verb::Read => return None,
    };
    (by_name > stated).then_some(by_name)
}

/// What kind of thing the verb of a name does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Read,
    /// Something new comes to be.
    Create,
    /// Something gets a state that the arguments name.
    Set,
    Delete,
    /// Leaves for good: a message, a payment.
    Send,
    /// The new state depends on the old one.
    Toggle,
}

/// The words of a tool's name: `createOrder`, `create_order`, `create-order` and `orders.create` are two words each.
pub fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut previous_lower = false;
    let letters = name.chars().take(128).collect::<Vec<_>>();
    for (index, letter) in letters.iter().enumerate() {
        let next_lower = letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        let starts = letter.is_uppercase() && (previous_lower || (next_lower && !word.is_empty()));
        if (starts || !letter.is_alphanumeric()) && !word.is_empty() {
            words.push(core::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
        previous_lower = letter.is_lowercase() || letter.is_numeric();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The verb with which the name starts.
fn leading_verb(name: &str) -> Option<Verb> {
    words(name).first().and_then(|word| verb(word))
}

/// The verb of a name wherever it stands, and the words around it: `slack_post_message` posts a `message` (of `slack`).
pub(crate) fn verb_and_noun(name: &str) -> Option<(Verb, Vec<String>)> {
    let mut words = words(name);
    let index = words.iter().position(|word| verb(word).is_some())?;
    let verb = verb(&words[index])?;
    // `issue_refund`, `process_transfer`: the last word is the thing here, and what stands before it does it.
    if index > 0 && index + 1 == words.len() && verb == Verb::Send && NOUNS_TOO.contains(&words[index].as_str()) {
        return Some((verb, words.split_off(index)));
    }
    let alone = words.remove(index);
    if words.is_empty() {
        words.extend(LONE.iter().find(|(verb, _)| *verb == alone).map(|(_, noun)| String::from(*noun)));
    }
    Some((verb, words))
}

/// The state that a verb leaves a thing in, where a record would show it as its status.
pub(crate) fn state_after(name: &str) -> &'static [&'static str] {
    const STATES: [(&str, &[&str]); 11] = [
        ("cancel", &["cancelled", "canceled"]),
        ("revoke", &["revoked"]),
        ("terminate", &["terminated"]),
        ("archive", &["archived"]),
        ("approve", &["approved"]),
        ("reject", &["rejected"]),
        ("complete", &["completed", "done"]),
        ("resolve", &["resolved"]),
        ("publish", &["published"]),
        ("enable", &["enabled"]),
        ("disable", &["disabled"]),
    ];
    let words = words(name);
    let state = STATES.iter().find(|(verb, _)| words.iter().any(|word| word == verb));
    state.map(|(_, states)| *states).unwrap_or_default()
}

pub(crate) fn verb(word: &str) -> Option<Verb> {
    VERBS.iter().find(|(_, words)| words.contains(&word)).map(|(verb, _)| *verb)
}

const NOUNS_TOO: [&str; 8] = ["refund", "charge", "transfer", "post", "deposit", "purchase", "checkout", "push"];

/// Verbs that stand alone, and what comes of them: `pay`, `list_payments`.
const LONE: [(&str, &str); 7] = [
    ("pay", "payment"),
    ("refund", "refund"),
    ("charge", "charge"),
    ("transfer", "transfer"),
    ("deposit", "deposit"),
    ("purchase", "purchase"),
    ("withdraw", "withdrawal"),
];

// Words that are nouns as often as verbs (`order`, `message`, `issue`, `log`) are left out: a proposal that says nothing
// is better than a wrong one.
const VERBS: [(Verb, &[&str]); 6] = [
    (
        Verb::Read,
        &[
            "get",
            "read",
            "list",
            "search",
            "find",
            "fetch",
            "show",
            "describe",
            "lookup",
            "query",
            "view",
            "count",
            "browse",
            "inspect",
            "stat",
            "tree",
            "ls",
            "cat",
            "head",
            "tail",
            "grep",
            "ping",
            "echo",
            "validate",
            "preview",
            "retrieve",
            "summarize",
            "explain",
            "diff",
            "calculate",
            "compute",
            "compare",
        ],
    ),
    (
        Verb::Create,
        &[
            "create",
            "add",
            "insert",
            "new",
            "make",
            "append",
            "place",
            "register",
            "upload",
            "reserve",
            "start",
            "launch",
            "generate",
            "clone",
            "copy",
            "fork",
            "duplicate",
            "import",
            "attach",
            "comment",
            "reply",
            "invite",
            "provision",
        ],
    ),
    (
        Verb::Set,
        &[
            "set",
            "update",
            "edit",
            "modify",
            "change",
            "rename",
            "move",
            "put",
            "write",
            "patch",
            "assign",
            "replace",
            "save",
            "store",
            "upsert",
            "configure",
            "enable",
            "disable",
            "mark",
            "approve",
            "reject",
            "complete",
            "resolve",
            "archive",
            "unarchive",
            "unpublish",
            "lock",
            "unlock",
        ],
    ),
    (
        Verb::Delete,
        &[
            "delete",
            "remove",
            "drop",
            "destroy",
            "purge",
            "clear",
            "wipe",
            "erase",
            "truncate",
            "kill",
            "terminate",
            "cancel",
            "revoke",
            "reset",
            "uninstall",
            "unlink",
            "rm",
            "detach",
            "ban",
            "prune",
            "flush",
            "revert",
            "rollback",
            "discard",
        ],
    ),
    (
        Verb::Send,
        &[
            "send",
            "post",
            "pay",
            "charge",
            "refund",
            "transfer",
            "notify",
            "publish",
            "submit",
            "broadcast",
            "dispatch",
            "forward",
            "withdraw",
            "deposit",
            "buy",
            "purchase",
            "checkout",
            "execute",
            "exec",
            "run",
            "call",
            "invoke",
            "trigger",
            "deploy",
            "apply",
            "merge",
            "push",
            "commit",
        ],
    ),
    (
        Verb::Toggle,
        &["toggle", "increment", "decrement", "inc", "dec", "bump", "flip", "switch", "adjust", "rotate", "swap"],
    ),
];

#[cfg(test)]
mod tests;
