//! Claims and guarantees: which there are, and where the tree implements and tests them.
//!
//! A line that says `S-07` after `//=` tags what stands below it, or the code on its own line. Directly above a test
//! it names a test, anywhere else an implementation.

mod list;
mod page;
mod tags;

pub use list::{CLAIMS, GUARANTEES, known};
pub use page::page;
pub use tags::{Places, scan};

use crate::tree::Tree;
use std::collections::BTreeMap;

pub const PAGE: &str = "docs/claims.md";
pub const NOT_DUE: &str = "docs/claims-not-due.txt";

/// Claims that are not yet promised, each with a note: empty, or `partly: ...` where a part is built already.
pub fn not_due(tree: &Tree) -> BTreeMap<String, String> {
    parse_not_due(tree.text(NOT_DUE).unwrap_or_default())
}

pub fn parse_not_due(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(|line| match line.split_once(char::is_whitespace) {
            Some((id, note)) => (id.to_owned(), note.trim().to_owned()),
            None => (line.to_owned(), String::new()),
        })
        .collect()
}
