//! Relative links of Markdown files lead to files that exist, and every decision can be found from its index.

use crate::tree::Tree;
use std::collections::BTreeSet;

const DECISIONS: &str = "docs/decisions/";

pub fn findings(tree: &Tree) -> Vec<String> {
    let paths: BTreeSet<&str> = tree.files.iter().map(|file| file.path.as_str()).collect();
    let mut found = Vec::new();
    let index = tree.text(&format!("{DECISIONS}README.md")).unwrap_or_default();
    for (path, text) in tree.ending(&[".md"]) {
        let decision = path.strip_prefix(DECISIONS).filter(|name| *name != "README.md");
        if decision.is_some_and(|name| !index.contains(&format!("({name})"))) {
            found.push(format!("{path}: {DECISIONS}README.md does not lead to it"));
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in links(text) {
            let full = join(folder, target);
            let inside = format!("{full}/");
            if !full.is_empty() && !paths.contains(full.as_str()) && !paths.iter().any(|path| path.starts_with(&inside))
            {
                found.push(format!("{path}: leads to {target}, which does not exist"));
            }
        }
    }
    found
}

/// Targets of `[text](target)` outside code blocks, without their anchors.
fn links(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let Some((target, _)) = line[at + 2..].split_once(')') else { continue };
            let target = target.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') && !target.contains(' ') {
                found.push(target);
            }
        }
    }
    found
}

fn join(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> usize {
        findings(&Tree::of(&[("docs/a.md", text), ("docs/b/c.md", ""), ("README.md", "")])).len()
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        assert_eq!(check("[x](gone.md)"), 1);
        assert_eq!(check("[x](b/c.md#part) [y](../README.md) [z](b/) [w](#here) [v](https://example.org)"), 0);
        assert_eq!(check("```\n[x](gone.md)\n```"), 0);
    }

    #[test]
    fn a_decision_that_the_index_does_not_name_is_found() {
        let (index, page) = (format!("{DECISIONS}README.md"), format!("{DECISIONS}a.md"));
        assert_eq!(findings(&Tree::of(&[(&index, ""), (&page, "")])).len(), 1);
        assert!(findings(&Tree::of(&[(&index, "[a](a.md)"), (&page, "")])).is_empty());
    }
}
