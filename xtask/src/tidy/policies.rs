//! Each `yaml` block of a page is a policy that the gateway accepts: an example that does not load is worse than none.

use crate::tree::Tree;
use policy::Policy;

pub fn findings(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(&[".md"]) {
        for (line, block) in blocks(text) {
            if let Err(problems) = Policy::parse(&block, path, &environment) {
                found.push(format!("{path}:{line}: {}", problems.render()));
            }
        }
    }
    for (path, text) in tree.ending(&[".yaml"]).filter(|(path, _)| path.starts_with("examples/")) {
        if let Err(problems) = Policy::parse(text, path, &environment) {
            found.push(format!("{path}: {}", problems.render()));
        }
    }
    found
}

/// Every variable is set, and long enough for a token.
fn environment(name: &str) -> Option<String> {
    Some(format!("value-of-{name}-0123456789abcdef"))
}

/// Line and text of each block fenced as `yaml`.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, line) in text.lines().enumerate() {
        match &mut open {
            Some(_) if line.trim_end() == "```" => found.extend(open.take()),
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
            None if line.trim_end() == "```yaml" => open = Some((at + 1, String::new())),
            None => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(block: &str) -> usize {
        findings(&Tree::of(&[("docs/a.md", &format!("Text.\n\n```yaml\n{block}\n```\n"))])).len()
    }

    #[test]
    fn an_example_that_does_not_load_is_found() {
        assert_eq!(check("listen: 127.0.0.1:7070"), 0);
        assert_eq!(check("lisden: 127.0.0.1:7070"), 1);
    }
}
