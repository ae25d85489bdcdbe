//! A claim that is due has an implementation and a test; the list of those that are not only shrinks.

use crate::claims::{CLAIMS, GUARANTEES, NOT_DUE, known, not_due, parse_not_due, scan};
use crate::tree::{Tree, git};
use std::collections::BTreeSet;
use std::path::Path;

pub fn findings(tree: &Tree) -> Vec<String> {
    let (places, mut found) = scan(tree);
    let waiting = not_due(tree);
    for (id, _) in CLAIMS.iter().chain(GUARANTEES) {
        let code = places.get(*id).is_some_and(|places| !places.code.is_empty());
        let test = places.get(*id).is_some_and(|places| !places.tests.is_empty());
        match (waiting.get(*id), code, test) {
            (None, false, _) => found.push(format!("{id}: no implementation carries its tag")),
            (Some(note), true, true) if !note.starts_with("partly: ") => {
                found.push(format!("{id}: has an implementation and a test, and still stands in {NOT_DUE}"));
            }
            _ => {}
        }
        if !waiting.contains_key(*id) && !test {
            found.push(format!("{id}: no test carries its tag"));
        }
    }
    found.extend(waiting.keys().filter(|id| !known(id)).map(|id| format!("{NOT_DUE}: no claim is called {id}")));
    found
}

/// What the simulator does not do yet, which may only shrink too.
const NOT_YET: &str = "crates/sim/not-yet.txt";

/// Lines of that list that were not there in the last commit that changed it.
pub fn not_yet_grown(root: &Path) -> Vec<String> {
    let names = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        lines.map(|line| line.split(" # ").next().unwrap_or(line).trim().to_owned()).collect()
    };
    let now = names(&std::fs::read_to_string(root.join(NOT_YET)).unwrap_or_default());
    let before = git(root, &["log", "-n", "2", "--format=%H", "--", NOT_YET]).unwrap_or_default();
    let earlier = before.lines().filter_map(|commit| git(root, &["show", &format!("{commit}:{NOT_YET}")]));
    let earlier: Vec<_> = earlier.map(|text| names(&text)).filter(|names| !names.is_empty()).collect();
    let grown = earlier.iter().flat_map(|then| now.difference(then));
    let found: BTreeSet<String> = grown.map(|name| format!("{NOT_YET}: grew by {name}")).collect();
    found.into_iter().collect()
}

/// Compares the list with the last commit, and the last commit that changed it with the one before. The notes say what
/// could not be compared.
pub fn history(root: &Path) -> (Vec<String>, Vec<String>) {
    let now = std::fs::read_to_string(root.join(NOT_DUE)).unwrap_or_default();
    let Some(changes) = git(root, &["log", "-n", "2", "--format=%H", "--", NOT_DUE]) else {
        return (Vec::new(), vec![format!("note: no repository here, so nobody checks that {NOT_DUE} only shrank")]);
    };
    let mut versions = vec![now];
    versions.extend(changes.lines().filter_map(|commit| git(root, &["show", &format!("{commit}:{NOT_DUE}")])));
    let mut notes = Vec::new();
    if versions.len() == 1 {
        notes.push(format!("note: {NOT_DUE} has no history yet, so nobody checks that it only shrank"));
    }
    (versions.windows(2).flat_map(|pair| grown(&pair[1], &pair[0])).collect(), notes)
}

/// What the list has now and had not before.
fn grown(before: &str, now: &str) -> Vec<String> {
    let before: BTreeSet<String> = parse_not_due(before).into_keys().collect();
    parse_not_due(now)
        .into_keys()
        .filter(|id| !before.contains(id))
        .map(|id| format!("{NOT_DUE}: grew by {id}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree in which every claim waits but S-06, which `code` implements.
    fn tree(code: &str, more: &str) -> Tree {
        let waiting: String = CLAIMS
            .iter()
            .chain(GUARANTEES)
            .filter(|(id, _)| *id != "S-06")
            .map(|(id, _)| format!("{id}\n"))
            .collect::<String>()
            + more;
        Tree::of(&[("crates/a/src/lib.rs", code), (NOT_DUE, waiting.as_str())])
    }

    const BOTH: &str = "//= S-06\nfn f() {}\n//= S-06\n#[test]\nfn g() {}\n";

    #[test]
    fn a_claim_that_is_due_needs_code_and_test() {
        assert!(findings(&tree(BOTH, "")).is_empty());
        assert_eq!(findings(&tree("//= S-06\nfn f() {}", "")), ["S-06: no test carries its tag"]);
        assert_eq!(findings(&tree("//= S-06\n#[test]\nfn g() {}", "")), ["S-06: no implementation carries its tag"]);
    }

    #[test]
    fn an_implemented_claim_may_not_wait() {
        let both = BOTH.replace("S-06", "S-06, S-07");
        assert_eq!(findings(&tree(&both, "")).len(), 1);
        assert!(findings(&tree(&both, "S-07 partly: one half of it\n")).is_empty());
    }

    #[test]
    fn a_list_that_grew_is_found() {
        assert_eq!(grown("S-01\nS-02 # why\n", "S-02\nS-03\n"), [format!("{NOT_DUE}: grew by S-03")]);
        assert!(grown("S-01\nS-02\n", "S-02 partly: half\n").is_empty());
    }
}
