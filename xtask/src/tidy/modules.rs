//! A Rust file that no other file names is not compiled, and its tests do not run.

use crate::source::Source;
use crate::tree::Tree;

/// Folders whose files are targets of their own.
const TARGETS: &[&str] = &["src/bin", "tests", "benches", "examples"];

pub fn findings(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, _) in tree.rust() {
        let Some((folder, file)) = path.rsplit_once('/') else { continue };
        if file == "mod.rs" {
            found.push(format!("{path}: a module is `foo.rs` beside `foo/`"));
            continue;
        }
        if is_target(folder, file) {
            let several = folder.ends_with("/tests") && folder.starts_with("crates/");
            found.extend(several.then(|| format!("{path}: one test binary for each crate: tests/it/main.rs")));
            continue;
        }
        let stem = file.trim_end_matches(".rs");
        let included =
            parents(folder).filter_map(|parent| tree.text(&parent)).any(|text| names_module(text, stem, file));
        if !included {
            found.push(format!("{path}: no file says `mod {stem};`, so that nothing in it is compiled"));
        }
    }
    found
}

fn is_target(folder: &str, file: &str) -> bool {
    let last = |targets: &[&str]| targets.iter().any(|t| folder == *t || folder.ends_with(&format!("/{t}")));
    matches!(file, "main.rs" | "lib.rs" | "build.rs") || last(TARGETS)
}

/// Files that can name a module that lies in `folder`.
fn parents(folder: &str) -> impl Iterator<Item = String> {
    let own = format!("{folder}.rs");
    [format!("{folder}/lib.rs"), format!("{folder}/main.rs"), own].into_iter()
}

fn names_module(text: &str, stem: &str, file: &str) -> bool {
    let by_path = text.contains(&format!("#[path = \"{file}\"]"));
    let wanted = format!("mod {stem};");
    by_path || Source::of(text).code.lines().any(|line| line.trim_start().ends_with(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_nothing_includes_is_found() {
        let tree = |main| Tree::of(&[("crates/a/tests/it/main.rs", main), ("crates/a/tests/it/kill.rs", "")]);
        assert_eq!(findings(&tree("mod other;")).len(), 1);
        assert_eq!(findings(&tree("// mod kill;")).len(), 1);
        assert!(findings(&tree("mod kill;")).is_empty());
    }

    #[test]
    fn nested_modules_are_followed() {
        let tree = Tree::of(&[
            ("crates/a/src/lib.rs", "pub mod b;"),
            ("crates/a/src/b.rs", "#[cfg(test)]\nmod tests;"),
            ("crates/a/src/b/tests.rs", ""),
            ("crates/a/src/b/lost.rs", ""),
        ]);
        assert_eq!(findings(&tree).len(), 1);
    }

    #[test]
    fn a_second_test_binary_and_a_mod_rs_are_found() {
        assert_eq!(findings(&Tree::of(&[("crates/a/tests/more.rs", "")])).len(), 1);
        assert_eq!(findings(&Tree::of(&[("crates/a/src/b/mod.rs", "")])).len(), 1);
    }
}
