//! Finds the tags of the tree and says for each whether a test or an implementation carries it.

use super::known;
use crate::source::Source;
use crate::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};

/// Where one claim is implemented and tested, as paths from the root.
#[derive(Default)]
pub struct Places {
    pub code: BTreeSet<String>,
    pub tests: BTreeSet<String>,
}

/// All tags by claim, and what is wrong with some of them.
pub fn scan(tree: &Tree) -> (BTreeMap<String, Places>, Vec<String>) {
    let (mut places, mut findings) = (BTreeMap::<String, Places>::new(), Vec::new());
    for (path, text) in tree.rust() {
        if !text.contains("//=") {
            continue;
        }
        let source = Source::of(text);
        let code: Vec<&str> = source.code.lines().collect();
        let tests_from = tests_from(&code);
        for (at, comment) in source.comments.lines().enumerate() {
            let Some(ids) = comment.trim_start().strip_prefix("//=") else { continue };
            let place = place(path, &code, at, at >= tests_from);
            for id in ids.split(',').map(str::trim) {
                if !known(id) {
                    findings.push(format!("{path}:{}: no claim is called {id:?}", at + 1));
                    continue;
                }
                let entry = places.entry(id.to_owned()).or_default();
                match place {
                    Place::Test => entry.tests.insert(path.to_owned()),
                    Place::Code => entry.code.insert(path.to_owned()),
                    Place::Neither => {
                        findings
                            .push(format!("{path}:{}: the tag {id} stands in a test file, but above no test", at + 1));
                        false
                    }
                };
            }
        }
    }
    (places, findings)
}

#[derive(Clone, Copy)]
enum Place {
    Code,
    Test,
    Neither,
}

fn place(path: &str, code: &[&str], at: usize, among_tests: bool) -> Place {
    let in_suite = path.starts_with("e2e/") || path.contains("/tests/") || path.contains("/contract");
    let in_tests = in_suite || among_tests || path.ends_with("tests.rs");
    // A tag at the end of a line of code names that line.
    if code.get(at).is_some_and(|line| !line.trim().is_empty()) {
        return if in_tests { Place::Neither } else { Place::Code };
    }
    for line in code.iter().skip(at + 1).map(|line| line.trim()) {
        if is_test_attribute(line) {
            return Place::Test;
        }
        if line.is_empty() || line.starts_with("#[") {
            continue;
        }
        let function = line.split_whitespace().take(4).any(|word| word == "fn");
        return match (in_suite && function, in_tests) {
            (true, _) => Place::Test,
            (false, true) => Place::Neither,
            (false, false) => Place::Code,
        };
    }
    Place::Neither
}

fn is_test_attribute(line: &str) -> bool {
    line.starts_with("#[test]") || line.starts_with("#[tokio::test]") || line.starts_with("#[tokio::test(")
}

/// First line of the module of tests at the end of a file.
fn tests_from(code: &[&str]) -> usize {
    (1..code.len())
        .find(|at| {
            code[*at].trim_start().starts_with("mod tests {") && code[at - 1].trim_start().starts_with("#[cfg(test)]")
        })
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(path: &str, text: &str) -> (bool, bool, usize) {
        let (places, findings) = scan(&Tree::of(&[(path, text)]));
        let found = places.get("S-07");
        (found.is_some_and(|p| !p.code.is_empty()), found.is_some_and(|p| !p.tests.is_empty()), findings.len())
    }

    #[test]
    fn a_tag_above_a_test_names_a_test_and_any_other_names_code() {
        assert_eq!(places("crates/a/src/lib.rs", "//= S-07\n#[test]\nfn f() {}"), (false, true, 0));
        assert_eq!(
            places("crates/a/src/lib.rs", "//= S-07\n/// Why.\n#[tokio::test(start_paused = true)]\nfn f() {}"),
            (false, true, 0)
        );
        assert_eq!(places("crates/a/src/lib.rs", "//= S-07\nfn f() {}"), (true, false, 0));
        assert_eq!(places("crates/a/src/lib.rs", "f(); //= S-07, G4\n"), (true, false, 0));
        assert_eq!(places("e2e/tests/it/a.rs", "//= S-07\npub async fn f() {}"), (false, true, 0));
    }

    #[test]
    fn a_tag_inside_a_string_is_none() {
        assert_eq!(places("crates/a/src/lib.rs", "const A: &str = \"\n//= S-07\n\";"), (false, false, 0));
    }

    #[test]
    fn a_tag_of_no_claim_or_above_no_test_is_found() {
        assert_eq!(places("crates/a/src/lib.rs", "//= S-99\nfn f() {}").2, 1);
        assert_eq!(places("crates/a/src/a/tests.rs", "//= S-07\nconst A: u8 = 1;"), (false, false, 1));
        assert_eq!(places("crates/a/src/lib.rs", "#[cfg(test)]\nmod tests {\n//= S-07\nlet x = 1;"), (false, false, 1));
    }
}
