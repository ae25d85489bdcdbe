//! A task or thread whose handle is dropped outlives the shutdown that should wait for it.
//!
//! Code that ships keeps what `spawn` gives back, or spawns on a tracker or set that does.

use crate::source::Source;
use crate::tree::Tree;

const SPAWNS: &[&str] = &["tokio::spawn(", "task::spawn(", "spawn_blocking(", "thread::spawn("];

pub fn findings(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| ships(path)) {
        let code = Source::of(text).code;
        let tests = code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len());
        for spawn in SPAWNS {
            for (at, _) in code[..tests].match_indices(spawn) {
                if is_dropped(&code, at, at + spawn.len()) {
                    let line = code[..at].matches('\n').count() + 1;
                    found.push(format!("{path}:{line}: nobody waits for what is spawned here"));
                }
            }
        }
    }
    found
}

fn ships(path: &str) -> bool {
    path.starts_with("crates/")
        && path.contains("/src/")
        && !path.starts_with("crates/testkit/")
        && !path.ends_with("tests.rs")
        && !path.contains("/tests/")
}

/// Whether the call that begins before `open` is a whole statement, so that its value is dropped at the semicolon.
fn is_dropped(code: &str, at: usize, open: usize) -> bool {
    let before = code[..at].trim_end_matches(|c: char| c.is_alphanumeric() || c == '_' || c == ':').trim_end();
    let begins = before.is_empty() || before.ends_with([';', '{', '}']);
    let thrown_away = before.ends_with("let _ =") || before.ends_with("drop(");
    let mut depth = 1_usize;
    let end = code[open..].char_indices().find_map(|(i, c)| {
        depth = match c {
            '(' => depth + 1,
            ')' => depth - 1,
            _ => depth,
        };
        (depth == 0).then_some(open + i + 1)
    });
    let ends = end.is_some_and(|end| code[end..].trim_start().starts_with(';'));
    thrown_away || begins && ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> usize {
        findings(&Tree::of(&[("crates/a/src/lib.rs", text)])).len()
    }

    #[test]
    fn a_dropped_task_is_found() {
        assert_eq!(check("fn f() { tokio::spawn(async move { g().await; }); }"), 1);
        assert_eq!(check("fn f() {\n    a();\n    std::thread::spawn(|| ());\n}"), 1);
        assert_eq!(check("fn f() { let _ = tokio::task::spawn_blocking(|| ()); }"), 1);
        assert_eq!(check("fn f() { drop(tokio::spawn(g())); }"), 1);
    }

    #[test]
    fn a_task_with_an_owner_is_not() {
        assert_eq!(check("fn f() { let task = tokio::spawn(g()); tracker.spawn(h()); }"), 0);
        assert_eq!(check("fn f() -> JoinHandle<()> { tokio::spawn(g()) }"), 0);
        assert_eq!(check("fn f() { tokio::task::spawn_blocking(g).await; }"), 0);
        assert_eq!(check("fn f() {}\n#[cfg(test)]\nmod tests {\n fn g() { tokio::spawn(h()); } }"), 0);
    }
}
