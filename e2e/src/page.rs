//! Pages that several programs write: each owns the part between its two marks and leaves the rest as it is.

use anyhow::{Context, Result, bail};
use std::io::ErrorKind;
use std::path::Path;

/// Puts `text` between `<!-- name: begin -->` and `<!-- name: end -->`; a page without the marks gets them at its end,
/// and a page that does not exist is made.
///
/// # Errors
/// The page cannot be read or written, or has one of the marks only.
pub fn put(page: &Path, name: &str, text: &str) -> Result<()> {
    let old = match std::fs::read_to_string(page) {
        Ok(old) => old,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("read {}", page.display())),
    };
    let new = with_part(&old, name, text).with_context(|| format!("write a part of {}", page.display()))?;
    std::fs::write(page, new).with_context(|| format!("write {}", page.display()))
}

fn with_part(page: &str, name: &str, text: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let part = format!("{begin}\n\n{}\n\n{end}", text.trim());
    match (page.find(&begin), page.find(&end)) {
        (Some(from), Some(to)) if from < to => Ok(format!("{}{part}{}", &page[..from], &page[to + end.len()..])),
        (None, None) if page.is_empty() => Ok(format!("{part}\n")),
        (None, None) => Ok(format!("{}\n\n{part}\n", page.trim_end())),
        _ => bail!("of {begin} and {end} one is missing, or they stand the wrong way round"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_the_rest_stays() {
        let page = "# Proof\n\n<!-- a: begin -->\nold\n<!-- a: end -->\n\nmore\n";
        let expected = "# Proof\n\n<!-- a: begin -->\n\nnew\n\n<!-- a: end -->\n\nmore\n";
        assert_eq!(with_part(page, "a", "new").expect("both marks"), expected);
        assert_eq!(
            with_part(expected, "a", "new\n").expect("both marks"),
            expected,
            "writing it again changes nothing"
        );
    }

    #[test]
    fn a_page_without_the_marks_gets_them() {
        let expected = "# Proof\n\n<!-- a: begin -->\n\nnew\n\n<!-- a: end -->\n";
        assert_eq!(with_part("# Proof\n", "a", "new").expect("no marks"), expected);
        assert_eq!(with_part("", "a", "new").expect("no page"), "<!-- a: begin -->\n\nnew\n\n<!-- a: end -->\n");
    }

    #[test]
    fn a_page_with_half_a_part_is_not_touched() {
        assert!(with_part("<!-- a: begin -->\nold\n", "a", "new").is_err());
        assert!(with_part("<!-- a: end -->\n<!-- a: begin -->\n", "a", "new").is_err());
    }
}
