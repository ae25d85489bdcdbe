//! Habits of Rust code that hide unfinished or unchecked work.

use crate::source::{Source, has_word};
use crate::tree::Tree;

/// Files that may hold `unsafe`, each with its reason. All others do without.
const UNSAFE: &[(&str, &str)] =
    &[("crates/journal/tests/it/power/record.rs", "a test that stands in for the C library's calls that write")];

/// Longest file of code; a longer one is split by input.
const LINES_MAX: usize = 800;

/// Flat tables that may be longer, each with its reason.
const LONG: &[(&str, &str)] = &[];

const NOTES: &[&str] = &["FIXME", "TODO", "XXX", "HACK"];

pub fn findings(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.rust() {
        let source = Source::of(text);
        for (at, line) in source.code.lines().enumerate() {
            found.extend(code_line(path, line).map(|why| format!("{path}:{}: {why}", at + 1)));
        }
        for (at, line) in source.comments.lines().enumerate() {
            let note = NOTES.iter().find(|note| has_word(line, note));
            found.extend(note.map(|note| format!("{path}:{}: {note}: do it, or write down why not", at + 1)));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX && !listed(LONG, path) {
            found.push(format!("{path}: {lines} lines, more than {LINES_MAX}: split it by input"));
        }
    }
    for (path, _) in UNSAFE.iter().chain(LONG).filter(|(path, _)| tree.has("Cargo.toml") && !tree.has(path)) {
        found.push(format!("{path}: has an exception and does not exist"));
    }
    found
}

fn code_line(path: &str, line: &str) -> impl Iterator<Item = &'static str> {
    let trimmed = line.trim_start();
    let attribute = trimmed.starts_with("#[") || trimmed.starts_with("#![");
    [
        (attribute && has_word(trimmed, "allow"), "`allow` hides what changes: `expect` with a reason"),
        (attribute && has_word(trimmed, "ignore"), "an ignored test tests nothing: assert what is true today"),
        (
            has_word(line, "unsafe") && !listed(UNSAFE, path),
            "unsafe outside the files listed in xtask/src/tidy/rust.rs",
        ),
    ]
    .into_iter()
    .filter_map(|(hit, why)| hit.then_some(why))
}

fn listed(list: &[(&str, &str)], path: &str) -> bool {
    list.iter().any(|(own, _)| *own == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> usize {
        findings(&Tree::of(&[("crates/a/src/lib.rs", text)])).len()
    }

    #[test]
    fn hidden_work_is_found() {
        assert_eq!(check("// TODO later\nfn f() {}"), 1);
        assert_eq!(check("/* FIXME */"), 1);
        assert_eq!(check("#[test]\n#[ignore = \"slow\"]\nfn f() {}"), 1);
        assert_eq!(check("#![allow(dead_code)]"), 1);
        assert_eq!(check("#[cfg_attr(test, allow(dead_code))]"), 1);
        assert_eq!(check("fn f() { unsafe { g() } }"), 1);
    }

    #[test]
    fn words_in_strings_and_names_are_not() {
        assert_eq!(check("const A: &str = \"TODO #[ignore] unsafe\"; fn allow() {}"), 0);
        assert_eq!(check("#![forbid(unsafe_code)]\n#[expect(dead_code, reason = \"allow\")]"), 0);
    }

    #[test]
    fn a_file_that_grew_too_long_is_found() {
        assert_eq!(check(&"\n".repeat(LINES_MAX)), 0);
        assert_eq!(check(&"\n".repeat(LINES_MAX + 1)), 1);
    }
}
