//! Checked-in files that the code generates, so that a reader and an editor find them and a change of them is seen.

use crate::claims;
use crate::tree::Tree;
use anyhow::{Context, Result};
use std::path::Path;

/// Path, and what belongs there.
fn all(tree: &Tree) -> [(&'static str, String); 2] {
    [(claims::PAGE, claims::page(tree)), ("docs/policy.schema.json", policy::schema_json())]
}

pub fn write(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    for (path, text) in all(&tree) {
        std::fs::write(root.join(path), text).with_context(|| format!("write {path}"))?;
    }
    Ok(())
}

pub fn findings(tree: &Tree) -> Vec<String> {
    all(tree)
        .into_iter()
        .filter(|(path, text)| tree.text(path) != Some(text))
        .map(|(path, _)| format!("{path}: stale: run `cargo xtask generate`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_or_missing_file_is_found() {
        let empty = Tree::of(&[]);
        assert_eq!(findings(&empty).len(), 2);
        let files = all(&empty);
        let current: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        assert!(findings(&Tree::of(&current)).is_empty());
        assert_eq!(findings(&Tree::of(&[current[0], (current[1].0, "{}")])).len(), 1);
    }
}
