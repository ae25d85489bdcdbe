//! The kernel reads no clock and does no I/O: its crates are `no_std`, so that their code cannot name either.
//!
//! What a crate could still do through a dependency is held by the list of pure crates in `layers`.

use super::layers;
use crate::source::Source;
use crate::tree::Tree;

const FENCE: &[&str] = &["#![no_std]", "#![forbid(unsafe_code)]"];

pub fn findings(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for name in layers::kernel() {
        let (folder, root) = (format!("crates/{name}/"), format!("crates/{name}/src/lib.rs"));
        let Some(text) = tree.text(&root) else {
            found.push(format!("{root}: missing"));
            continue;
        };
        if !begins_with_fence(text) {
            found.push(format!("{root}: does not begin with `{}`", FENCE.join(" ")));
        }
        for (path, text) in tree.rust().filter(|(path, _)| path.starts_with(&folder)) {
            found.extend(std_lines(path, text).map(|line| format!("{path}:{line}: takes std outside tests")));
        }
        if tree.has(&format!("{folder}build.rs")) {
            found.push(format!("{folder}build.rs: a build script may read anything"));
        }
    }
    found
}

/// After the header and inner attributes, nothing comes before the fence.
fn begins_with_fence(text: &str) -> bool {
    let code = Source::of(text).code;
    let mut lines = code.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut left = FENCE.iter();
    let mut wanted = left.next();
    while let Some(fence) = wanted {
        match lines.next() {
            Some(line) if line == *fence => wanted = left.next(),
            Some(line) if line.starts_with("#![") => {}
            _ => return false,
        }
    }
    true
}

/// Lines that take `std` in code that is not only compiled for tests.
fn std_lines(path: &str, text: &str) -> impl Iterator<Item = usize> {
    let code = Source::of(text).code;
    let mut found = Vec::new();
    let test_file = path.ends_with("tests.rs") || path.contains("/tests/");
    let (mut in_tests, mut gated) = (test_file, false);
    for (at, line) in code.lines().map(str::trim).enumerate() {
        let is_gate = line.starts_with("#[cfg(test)]");
        in_tests |= gated && line.starts_with("mod ") && line.ends_with('{');
        if line.contains("extern crate std") && !in_tests && !gated && !is_gate {
            found.push(at + 1);
        }
        gated = is_gate || gated && line.starts_with("#[");
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    const GOOD: &str = "//! Words.\n#![no_std]\n#![forbid(unsafe_code)]\n\nextern crate alloc;\n";

    fn check(lib: &str) -> usize {
        let names: Vec<String> = layers::kernel().map(|name| format!("crates/{name}/src/lib.rs")).collect();
        let files: Vec<(&str, &str)> =
            names.iter().map(|path| (path.as_str(), if path.contains("engine") { lib } else { GOOD })).collect();
        findings(&Tree::of(&files)).len()
    }

    #[test]
    fn a_kernel_crate_without_its_fence_is_found() {
        assert_eq!(check(GOOD), 0);
        assert_eq!(check("//! `#![no_std]` in words only.\nuse std::time::Instant;\n"), 1);
        assert_eq!(check("#![no_std]\nextern crate alloc;\n"), 1);
        assert_eq!(check("extern crate std;\n#![no_std]\n#![forbid(unsafe_code)]\nextern crate alloc;\n"), 2);
    }

    #[test]
    fn std_is_for_tests_only() {
        assert_eq!(check(&format!("{GOOD}extern crate std;\n")), 1);
        assert_eq!(check(&format!("{GOOD}#[cfg(test)]\nextern crate std;\n")), 0);
        assert_eq!(check(&format!("{GOOD}#[cfg(test)]\nmod tests {{\n    extern crate std;\n}}\n")), 0);
    }

    /// What the fence is worth: the compiler refuses a clock, a file and a thread behind it.
    #[test]
    fn code_behind_the_fence_cannot_name_a_clock_or_a_file() {
        for line in [
            "pub fn f() { let _ = std::time::Instant::now(); }",
            "pub fn f() { let _ = std::fs::read(\"a\"); }",
            "pub fn f() { std::thread::yield_now(); }",
        ] {
            assert!(!compiles(&format!("{GOOD}{line}")), "{line}");
        }
        assert!(compiles(&format!("{GOOD}pub fn f() -> alloc::string::String {{ alloc::string::String::new() }}")));
    }

    fn compiles(text: &str) -> bool {
        let folder = std::env::temp_dir().join(format!("xtask-kernel-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the compiler's output");
        let mut child = Command::new("rustc")
            .args(["--edition=2024", "--crate-type=lib", "--crate-name=fenced", "--emit=metadata", "-", "-o"])
            .arg(folder.join("fenced.rmeta"))
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("rustc starts: it has just built this test");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("rustc reads its input");
        child.wait().expect("rustc ends").success()
    }
}
