//! `docs/claims.md`, made from the tags.

use super::{CLAIMS, GUARANTEES, Places, list::Claim, not_due, scan};
use crate::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};

const HEAD: &str = "\
# Claims

What must be true of Cofferdam, and where it is implemented and tested. `cargo xtask generate` writes this page from the
tags in the tree (`//= S-07` above the code and above the test); `cargo test` fails when it is stale, when a claim that
is due has no implementation or no test, and when one that has both still stands in
[claims-not-due.txt](claims-not-due.txt). That list may only shrink.

A file named here carries the tag; the lines around it are the implementation, or the test. The essay behind the claims
S-01 to S-28 and the incidents I-1 and I-2 is \"Agent Failures Are Distributed Systems Failures\".
";

pub fn page(tree: &Tree) -> String {
    let (places, _) = scan(tree);
    let waiting = not_due(tree);
    let mut page = HEAD.to_owned();
    for (title, claims) in [("Claims", CLAIMS), ("Guarantees", GUARANTEES)] {
        page.push_str(&format!("\n## {title}\n\n| | What | Code | Tests |\n|---|---|---|---|\n"));
        for claim in claims {
            page.push_str(&row(claim, places.get(claim.0), &waiting));
        }
    }
    page
}

fn row((id, words): &Claim, places: Option<&Places>, waiting: &BTreeMap<String, String>) -> String {
    let what = match waiting.get(*id).map(String::as_str) {
        Some("") => format!("{words} *Not yet promised.*"),
        Some(note) => format!("{words} *Not yet promised ({note}).*"),
        None => (*words).to_owned(),
    };
    let empty = Places::default();
    let places = places.unwrap_or(&empty);
    format!("| {id} | {what} | {} | {} |\n", links(&places.code), links(&places.tests))
}

fn links(paths: &BTreeSet<String>) -> String {
    paths.iter().map(|path| format!("[{}](../{path})", short(path))).collect::<Vec<_>>().join(", ")
}

/// The path as a reader says it: without `crates/` and `src/`.
fn short(path: &str) -> String {
    path.trim_start_matches("crates/").replace("/src/", "/")
}
