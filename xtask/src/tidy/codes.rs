//! Every code that an agent can see has a page, and every page a code.

use crate::tree::Tree;
use vocab::Code;

const FOLDER: &str = "docs/errors/";
const HEADINGS: &[&str] = &["## Meaning", "## Effect on the world", "## What to do"];

pub fn findings(tree: &Tree) -> Vec<String> {
    let index = tree.text("docs/errors/README.md").unwrap_or_default();
    let mut found = Vec::new();
    for code in Code::ALL {
        let path = format!("{FOLDER}{code}.md");
        match tree.text(&path) {
            Some(text) => found.extend(page(*code, text).into_iter().map(|why| format!("{path}: {why}"))),
            None => found.push(format!("{path}: missing")),
        }
        if !index.contains(&format!("({code}.md)")) {
            found.push(format!("{FOLDER}README.md: does not lead to {code}"));
        }
    }
    for (path, _) in tree.ending(&[".md"]) {
        let name = path.strip_prefix(FOLDER).and_then(|name| name.strip_suffix(".md"));
        if name.is_some_and(|name| name != "README" && Code::parse(name).is_none()) {
            found.push(format!("{path}: no code has this name"));
        }
    }
    found
}

/// The page must say what the code itself says.
fn page(code: Code, text: &str) -> Vec<String> {
    let facts = format!("`executed: {}` · `retryable: {}`", code.executed().as_str(), code.retryable().as_str());
    [format!("# {code}"), facts]
        .iter()
        .map(String::as_str)
        .chain(HEADINGS.iter().copied())
        .filter(|wanted| !text.lines().any(|line| line == *wanted))
        .map(|wanted| format!("has no line `{wanted}`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> Vec<(String, String)> {
        let mut pages: Vec<(String, String)> = Code::ALL
            .iter()
            .map(|code| {
                let (executed, retryable) = (code.executed().as_str(), code.retryable().as_str());
                let head = format!("# {code}\n`executed: {executed}` · `retryable: {retryable}`\n");
                (format!("{FOLDER}{code}.md"), head + &HEADINGS.join("\n"))
            })
            .collect();
        let index: String = Code::ALL.iter().map(|code| format!("[{code}]({code}.md)")).collect();
        pages.push((format!("{FOLDER}README.md"), index));
        pages
    }

    fn check(pages: &[(String, String)]) -> usize {
        let files: Vec<(&str, &str)> = pages.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        findings(&Tree::of(&files)).len()
    }

    #[test]
    fn a_code_without_its_page_is_found() {
        assert_eq!(check(&pages()), 0);
        assert_eq!(check(&pages()[1..]), 1);
    }

    #[test]
    fn a_page_without_a_code_or_a_heading_is_found() {
        let mut more = pages();
        more.push((format!("{FOLDER}no_such_code.md"), String::new()));
        assert_eq!(check(&more), 1);
        let mut bare = pages();
        bare[0].1 = bare[0].1.replace("## What to do", "");
        assert_eq!(check(&bare), 1);
    }

    #[test]
    fn a_page_that_contradicts_its_code_is_found() {
        let mut wrong = pages();
        wrong[0].1 = wrong[0].1.replace("executed: no", "executed: yes");
        assert_eq!(check(&wrong), 1);
    }
}
