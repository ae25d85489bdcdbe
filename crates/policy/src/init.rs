//! Writes a commented policy file from what upstreams and existing MCP client configurations say; the command
//! `cofferdam init` is this plus I/O.

mod import;
mod yaml;

use crate::classify;
use crate::pair::{Proposal, proposals};
use crate::resolve::bad_name;
use crate::tools::ToolFacts;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use vocab::Effect;
use yaml::{block, quoted};

pub use import::{Imported, Skipped, import};

/// How to reach one upstream, as it is to be written: secrets are `${VAR}` already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    Stdio { command: Vec<String>, env: Vec<(String, String)>, cwd: Option<String> },
    Http { url: String, headers: Vec<(String, String)> },
}

/// One upstream to write down.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub name: String,
    pub reach: Reach,
    /// `None`: it could not be asked, and this says why.
    pub tools: Result<Vec<ToolFacts>, String>,
    pub trusted: bool,
    pub local: bool,
    /// For the comment, such as the variables to set.
    pub notes: Vec<String>,
}

/// The commented policy file. `Policy::parse` accepts it once the variables it names are set.
pub fn write(upstreams: &[Found]) -> String {
    let mut text = String::from(HEAD);
    text += "upstreams:\n";
    if upstreams.is_empty() {
        text += "  # shop: { mcp: { url: \"http://127.0.0.1:9000/mcp\" } }\n";
        text = text.replace("upstreams:\n", "# upstreams:\n");
    }
    for upstream in upstreams {
        write_upstream(&mut text, upstream);
    }
    let asked = upstreams.iter().filter_map(|upstream| Some((upstream, upstream.tools.as_ref().ok()?)));
    let written = asked.map(|(upstream, tools)| rules(upstream, tools)).collect::<Vec<_>>();
    text += if written.iter().any(|rules| rules.contains("- match:")) { TOOLS } else { NO_TOOLS };
    for rules in written {
        text += &rules;
    }
    text
}

fn write_upstream(text: &mut String, upstream: &Found) {
    for note in &upstream.notes {
        block(text, 2, note);
    }
    if let Err(why) = &upstream.tools {
        block(text, 2, &format!("It could not be asked for its tools: {why}"));
    }
    *text += &format!("  {}:\n    mcp:\n", name_key(&upstream.name));
    match &upstream.reach {
        Reach::Stdio { command, env, cwd } => {
            let command = command.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(", ");
            *text += &format!("      command: [{command}]\n");
            if let Some(cwd) = cwd {
                *text += &format!("      cwd: {}\n", quoted(cwd));
            }
            write_map(text, "env", env);
        }
        Reach::Http { url, headers } => {
            *text += &format!("      url: {}\n", quoted(url));
            write_map(text, "headers", headers);
        }
    }
    if upstream.trusted {
        *text += "    trusted: true # its annotations decide effects where no rule below does\n";
    } else {
        *text += "    # trusted: true # believe its annotations where no rule below says otherwise\n";
    }
    if matches!(upstream.reach, Reach::Stdio { .. }) {
        let comment = "nothing of it lives on once the child is dead (a file server, not a web API)";
        let off = if upstream.local { "" } else { "# " };
        *text += &format!("    {off}local: true # {comment}\n");
    }
}

fn write_map(text: &mut String, name: &str, entries: &[(String, String)]) {
    if entries.is_empty() {
        return;
    }
    *text += &format!("      {name}:\n");
    for (key, value) in entries {
        *text += &format!("        {}: {}\n", quoted(key), quoted(value));
    }
}

fn rules(upstream: &Found, tools: &[ToolFacts]) -> String {
    let mut text = format!("\n  # --- {} ---\n", upstream.name);
    let proposals = proposals(tools);
    for (proposal, facts) in proposals.iter().zip(tools) {
        write_rule(&mut text, &upstream.name, proposal, facts);
    }
    text
}

fn write_rule(text: &mut String, upstream: &str, proposal: &Proposal, facts: &ToolFacts) {
    if let Some(description) =
        facts.description.as_deref().and_then(|text| text.lines().find(|line| !line.trim().is_empty()))
    {
        block(text, 2, &format!("{}: {description}", proposal.tool));
    }
    // A star in a name would make it a pattern.
    if proposal.tool.is_empty() || proposal.tool.contains(['*', '$']) || proposal.tool.len() > 200 {
        block(text, 2, &format!("{}: such a name cannot be matched; it stays destructive", proposal.tool));
        return;
    }
    *text += &format!("  - match: {}\n", quoted(&format!("{upstream}.{}", proposal.tool)));
    match proposal.effect {
        Some(effect) => *text += &format!("    effect: {} # {}\n", effect.as_str(), proposal.why),
        None => *text += &format!("    # effect: write # {}: treated as destructive until you say\n", proposal.why),
    }
    write_readback(text, upstream, proposal);
    if let Some(undo) = &proposal.undo {
        *text += &format!("    # compensate: # {}: uncomment it once you have seen it work\n", undo.why);
        *text += &format!("    #   kind: {}\n", undo.kind);
        *text += &format!("    #   call: {}\n", quoted(&format!("{upstream}.{}", undo.call)));
        *text += &format!("    #   args: {}\n", yaml::single(&undo.args));
    }
}

fn write_readback(text: &mut String, upstream: &str, proposal: &Proposal) {
    let Some(readback) = &proposal.readback else {
        if proposal.effect != Some(Effect::Read) {
            let toggles = matches!(classify::verb_and_noun(&proposal.tool), Some((classify::Verb::Toggle, _)));
            let why = if toggles {
                "no read-back: no reader shows its one value, so that a change could be told from none"
            } else {
                "no read-back found: after a lost reply a person is asked"
            };
            *text += &format!("    # {why}\n");
        }
        return;
    };
    *text += "    readback:\n";
    *text += &format!("      read: {}\n", quoted(&format!("{upstream}.{}", readback.read)));
    for (name, expression) in [("args", &readback.args), ("expect", &readback.expect), ("absent", &readback.absent)] {
        *text += &format!("      {name}: {}\n", yaml::single(expression));
    }
}

fn name_key(name: &str) -> String {
    if bad_name(name).is_none() && !name.starts_with(|letter: char| letter.is_ascii_digit()) {
        name.to_string()
    } else {
        quoted(name)
    }
}

/// A name of an upstream made of any text, and unlike those taken.
pub fn upstream_name(wish: &str, taken: &[String]) -> String {
    let mut name = String::new();
    for letter in wish.chars().flat_map(char::to_lowercase) {
        let letter = if letter.is_ascii_alphanumeric() { letter } else { '-' };
        if !(letter == '-' && (name.is_empty() || name.ends_with('-'))) {
            name.push(letter);
        }
    }
    name.truncate(28);
    let name = name.trim_end_matches('-');
    let name = if name.is_empty() || name == "cofferdam" { "upstream" } else { name };
    let numbered = (2..=999).map(|number| format!("{name}-{number}"));
    let mut wishes = core::iter::once(name.to_string()).chain(numbered);
    wishes.find(|wish| !taken.contains(wish)).unwrap_or_else(|| name.to_string())
}

const HEAD: &str = "\
# Policy of a Cofferdam gateway, written by `cofferdam init`. Read it before you rely on it: effects below are
# proposals, from names and annotations. `cofferdam check` shows what is effectively enforced.
# Reference: docs/policy.md. Time spans have a unit (250ms, 10s, 5m, 24h, 30d), expressions are CEL.

listen: 127.0.0.1:7070
journal: { path: ./.cofferdam }

";

const TOOLS: &str = "
# effect: read | idempotent | keyed | write | destructive. A tool without a rule is destructive.
# readback: the read after each call that confirms its effect, and that resolves a lost reply.
# compensate: how `cofferdam rollback` takes a call back. Proposals are comments: nobody has tried them.
tools:
";

const NO_TOOLS: &str = "
# tools:
#   - match: shop.place_order
#     effect: write
#     readback: { read: shop.list_orders, expect: 'found(read, args) > found(pre, args)' }
";

#[cfg(test)]
mod tests;
