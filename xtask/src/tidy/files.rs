//! Files of any kind: not too large, and with no trace of the machine they were made on.

use crate::tree::Tree;

const BYTES_MAX: u64 = 500 * 1024;

/// Folders that exist on one machine. Split, so that this file does not find itself.
const MACHINE: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/tmp", "/t/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];

/// Where a lockfile says that a package was fetched from.
const FETCHED: &str = "\"resolved\": \"http";

pub fn findings(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in &tree.files {
        if file.bytes > BYTES_MAX {
            found.push(format!("{}: {} KB, more than {}", file.path, file.bytes / 1024, BYTES_MAX / 1024));
        }
        let Some(text) = &file.text else { continue };
        for (at, line) in text.lines().enumerate() {
            if let Some(folder) = MACHINE.iter().find(|folder| line.contains(**folder)) {
                found.push(format!("{}:{}: names {folder}, a folder of one machine", file.path, at + 1));
            }
            if file.path.ends_with("package-lock.json") && line.contains(FETCHED) {
                found.push(format!("{}:{}: names a registry's host", file.path, at + 1));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::File;

    #[test]
    fn a_machine_path_is_found() {
        let text = format!("see {}main/README.md", MACHINE[0]);
        assert_eq!(findings(&Tree::of(&[("docs/a.md", &text)])).len(), 1);
        assert!(findings(&Tree::of(&[("docs/a.md", "see /usr/local/bin")])).is_empty());
    }

    #[test]
    fn a_lockfile_that_names_its_registry_is_found() {
        let text = "\"resolved\": \"https://example.org/a.tgz\"";
        assert_eq!(findings(&Tree::of(&[("e2e/node/package-lock.json", text)])).len(), 1);
    }

    #[test]
    fn a_large_file_is_found_binary_or_not() {
        let file = File { path: "a.bin".to_owned(), text: None, bytes: BYTES_MAX + 1 };
        assert_eq!(findings(&Tree { files: vec![file] }).len(), 1);
    }
}
