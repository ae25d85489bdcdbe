//! Manifests: every crate inherits the workspace's lints, versions and edition, and adds no rules of its own.

use crate::tree::Tree;

const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

pub fn findings(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(&["/Cargo.toml"]) {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        if !lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"]) {
            found.push(format!("{path}: does not inherit the workspace's lints"));
        }
        for key in INHERITED {
            if !lines.contains(&format!("{key}.workspace = true").as_str()) {
                found.push(format!("{path}: `{key}` is not the workspace's"));
            }
        }
        found.extend(versions(&lines).map(|line| format!("{path}: `{line}`: versions stand in the root's Cargo.toml")));
    }
    for file in &tree.files {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if matches!(name, "clippy.toml" | ".clippy.toml") && file.path != "clippy.toml" {
            found.push(format!("{}: replaces the root's bans instead of adding to them", file.path));
        }
    }
    found
}

/// Lines of dependency tables that do not inherit.
fn versions<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let mut inside = false;
    lines.iter().copied().filter(move |line| {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            return false;
        }
        inside && line.contains('=') && !line.starts_with('#') && !line.contains("workspace = true")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\n\
        [lints]\nworkspace = true\n\n[dependencies]\nvocab.workspace = true\n";

    fn check(text: &str) -> usize {
        findings(&Tree::of(&[("crates/a/Cargo.toml", text)])).len()
    }

    #[test]
    fn a_crate_that_does_not_inherit_is_found() {
        assert_eq!(check(GOOD), 0);
        assert_eq!(check(&GOOD.replace("[lints]\nworkspace = true", "")), 1);
        assert_eq!(check(&GOOD.replace("edition.workspace = true", "edition = \"2021\"")), 1);
        assert_eq!(check(&format!("{GOOD}serde = \"1\"\n")), 1);
    }

    #[test]
    fn bans_of_its_own_are_found() {
        assert_eq!(findings(&Tree::of(&[("clippy.toml", ""), ("crates/a/clippy.toml", "")])).len(), 1);
    }
}
