//! Tells code, comments and literals of a Rust file apart, as far as the rules need it.
//!
//! A rule that searches for a word must not trip over the same word in a string, or its own tests could not be
//! written.

/// A Rust file taken apart. Both texts have the lines and columns of the file; what belongs to the other is blank.
pub struct Source {
    /// Code, with strings, characters and comments blanked.
    pub code: String,
    /// Comments alone.
    pub comments: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl Source {
    pub fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut kinds = vec![Kind::Code; chars.len()];
        let mut at = 0;
        while at < chars.len() {
            let (end, kind) = token(&chars, at);
            kinds[at..end].fill(kind);
            at = end;
        }
        let only = |kept: Kind| {
            chars.iter().zip(&kinds).map(|(c, kind)| if *kind == kept || *c == '\n' { *c } else { ' ' }).collect()
        };
        Self { code: only(Kind::Code), comments: only(Kind::Comment) }
    }
}

/// End and kind of the token that begins at `at`. Plain code goes one character at a time.
fn token(chars: &[char], at: usize) -> (usize, Kind) {
    let next = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\0');
    match chars[at] {
        '/' if next(1) == '/' => (line_end(chars, at), Kind::Comment),
        '/' if next(1) == '*' => (block_end(chars, at), Kind::Comment),
        '"' => (quoted_end(chars, at + 1), Kind::Literal),
        'r' if !in_word(chars, at) || is_prefix_b(chars, at) => match raw_end(chars, at) {
            Some(end) => (end, Kind::Literal),
            None => (at + 1, Kind::Code),
        },
        '\'' => match char_end(chars, at) {
            Some(end) => (end, Kind::Literal),
            None => (at + 1, Kind::Code), // a lifetime
        },
        _ => (at + 1, Kind::Code),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn in_word(chars: &[char], at: usize) -> bool {
    at > 0 && is_word(chars[at - 1])
}

/// The `b` of `br"..."`.
fn is_prefix_b(chars: &[char], at: usize) -> bool {
    at > 0 && matches!(chars[at - 1], 'b' | 'c') && !in_word(chars, at - 1)
}

fn line_end(chars: &[char], at: usize) -> usize {
    (at..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len())
}

fn block_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                i += 1;
                continue;
            }
        }
        i += 2;
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn raw_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let mut i = at + 1 + hashes;
    if chars.get(i) != Some(&'"') {
        return None;
    }
    while i < chars.len() {
        i += 1;
        if chars.get(i) == Some(&'"') && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(i + 1 + hashes);
        }
    }
    Some(chars.len())
}

fn char_end(chars: &[char], at: usize) -> Option<usize> {
    match (chars.get(at + 1)?, chars.get(at + 2)) {
        ('\\', _) => (at + 3..chars.len()).find(|i| chars[*i] == '\'').map(|i| i + 1),
        (_, Some('\'')) => Some(at + 3),
        _ => None,
    }
}

/// Whether `word` stands in `line` on its own, not as a part of a longer name.
pub fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(is_word)
            && !line[at + word.len()..].chars().next().is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::of(text).code
    }

    #[test]
    fn strings_and_comments_are_not_code() {
        assert_eq!(code("a(\"b\\\"c\") // d"), "a(      )     ");
        assert_eq!(code("a /* b /* c */ d */ e"), "a                   e");
        assert_eq!(code("r#\"x\"y\"# z"), "         z");
        assert_eq!(code("br\"x\" z"), "b     z");
        assert_eq!(code("for r in x"), "for r in x");
    }

    #[test]
    fn a_lifetime_does_not_open_a_character() {
        assert_eq!(code("f<'a>(x: &'a str, c: 'b')").trim(), "f<'a>(x: &'a str, c:    )");
        assert_eq!(code(r"'\'' + '\u{1F600}' + 1").trim(), "+             + 1");
    }

    #[test]
    fn lines_stay_where_they_are() {
        let source = Source::of("one // 1\n\"two\n three\"\nfour");
        assert_eq!(source.code.lines().count(), 4);
        assert_eq!(source.comments.lines().next().map(str::trim), Some("// 1"));
    }

    #[test]
    fn a_word_is_not_found_inside_a_longer_one() {
        assert!(has_word("unsafe {", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe"));
    }
}
