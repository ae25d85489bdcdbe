//! The files of the repository as data, so that each rule can be shown a small tree in which it must fail.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One file: its path from the root with `/`, and its text unless it is binary.
pub struct File {
    pub path: String,
    pub text: Option<String>,
    pub bytes: u64,
}

pub struct Tree {
    /// Sorted by path.
    pub files: Vec<File>,
}

/// Folders that hold no source, for a tree without git.
const SKIPPED: &[&str] = &[".git", "target", "node_modules", "__pycache__", ".venv", ".cofferdam"];

impl Tree {
    /// What git tracks or would track; without git, every file outside the folders that hold no source.
    pub fn read(root: &Path) -> Result<Self> {
        let paths = match listed(root) {
            Some(paths) => paths,
            None => walked(root, Path::new(""))?,
        };
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let full = root.join(&path);
            // A path may be tracked and deleted, or a link to somewhere else.
            let Ok(meta) = std::fs::symlink_metadata(&full) else { continue };
            if !meta.is_file() {
                continue;
            }
            let text = std::fs::read(&full).with_context(|| format!("read {path}"))?;
            files.push(File { path, bytes: meta.len(), text: String::from_utf8(text).ok() });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let mut files: Vec<File> = files
            .iter()
            .map(|(path, text)| File {
                path: (*path).to_owned(),
                bytes: text.len() as u64,
                text: Some((*text).to_owned()),
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files }
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).and_then(|file| file.text.as_deref())
    }

    pub fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    /// Text files whose name ends with one of `ends`.
    pub fn ending<'a>(&'a self, ends: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(|file| ends.iter().any(|end| file.path.ends_with(end)))
            .filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?)))
    }

    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ending(&[".rs"])
    }
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// What a git command prints, or `None` where there is no repository or no git.
pub fn git(root: &Path, args: &[&str]) -> Option<String> {
    let out = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

fn listed(root: &Path) -> Option<Vec<String>> {
    let top = git(root, &["rev-parse", "--show-prefix"])?;
    // A copy without its own repository inside somebody else's is not what that repository lists.
    if !top.trim().is_empty() {
        return None;
    }
    let out = git(root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let mut paths: Vec<String> = out.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    paths.dedup();
    Some(paths)
}

fn walked(root: &Path, folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join(folder)).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry.context("list a folder")?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        let path = folder.join(&name);
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(walked(root, &path)?);
        } else {
            found.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(found)
}
