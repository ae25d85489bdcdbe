//! What must hold of the tree and no compiler says. Each rule is a function from data to findings, with a test that it
//! fails on a tree that breaks it; the tests at the end run every rule over this repository.

mod claims;
mod codes;
mod crates;
mod docs;
mod files;
mod kernel;
mod layers;
mod modules;
mod policies;
mod rust;
mod tasks;

use crate::tree::Tree;
use anyhow::Result;
use std::path::Path;

/// A rule over the files alone.
type Rule = fn(&Tree) -> Vec<String>;

const RULES: &[(&str, Rule)] = &[
    ("kernel crates are fenced", kernel::findings),
    ("crates inherit what the workspace decides", crates::findings),
    ("no habits that hide work", rust::findings),
    ("tasks have owners", tasks::findings),
    ("every file is a module of something", modules::findings),
    ("files are small and portable", files::findings),
    ("codes have pages", codes::findings),
    ("claims are kept", claims::findings),
    ("links lead somewhere", docs::findings),
    ("policies in the docs are accepted", policies::findings),
    ("generated files are current", crate::generated::findings),
];

/// Every finding of every rule, for a person.
pub fn all(root: &Path) -> Result<Vec<String>> {
    let tree = Tree::read(root)?;
    let mut found: Vec<String> = Vec::new();
    for (name, rule) in RULES {
        found.extend(rule(&tree).into_iter().map(|finding| format!("{name}: {finding}")));
    }
    let members = layers::members(root)?;
    found.extend(layers::findings(&members).into_iter().map(|finding| format!("layers: {finding}")));
    let (mut findings, notes) = claims::history(root);
    findings.extend(claims::not_yet_grown(root));
    notes.iter().for_each(|note| crate::say(note));
    found.extend(findings.into_iter().map(|finding| format!("claims are kept: {finding}")));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this_tree() -> Tree {
        Tree::read(&crate::tree::root()).expect("the repository can be read")
    }

    /// One rule over this repository.
    fn holds(rule: Rule) {
        let found = rule(&this_tree());
        assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
    }

    #[test]
    fn kernel_crates_are_fenced() {
        holds(kernel::findings);
    }

    #[test]
    fn crates_inherit_what_the_workspace_decides() {
        holds(crates::findings);
    }

    #[test]
    fn no_habits_that_hide_work() {
        holds(rust::findings);
    }

    #[test]
    fn tasks_have_owners() {
        holds(tasks::findings);
    }

    #[test]
    fn every_file_is_a_module_of_something() {
        holds(modules::findings);
    }

    #[test]
    fn files_are_small_and_portable() {
        holds(files::findings);
    }

    #[test]
    fn codes_have_pages() {
        holds(codes::findings);
    }

    #[test]
    fn claims_are_kept() {
        holds(claims::findings);
    }

    #[test]
    fn links_lead_somewhere() {
        holds(docs::findings);
    }

    #[test]
    fn policies_in_the_docs_are_accepted() {
        holds(policies::findings);
    }

    #[test]
    fn generated_files_are_current() {
        holds(crate::generated::findings);
    }

    #[test]
    fn crates_use_lower_layers_only() {
        let members = layers::members(&crate::tree::root()).expect("cargo metadata answers");
        let found = layers::findings(&members);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn the_list_of_claims_not_due_only_shrinks() {
        let (found, notes) = claims::history(&crate::tree::root());
        notes.iter().for_each(|note| crate::say(note));
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn every_rule_is_run_by_a_test() {
        let own = include_str!("tidy.rs");
        for (name, _) in RULES {
            let test = format!("fn {}()", name.replace(' ', "_"));
            assert!(own.contains(&test), "no test runs the rule {name:?}");
        }
    }
}
