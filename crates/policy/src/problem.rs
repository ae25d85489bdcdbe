//! What is wrong with a policy: where, what, and what to do about it; for people and for programs.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use serde::Serialize;

/// One thing that is wrong, or hardly meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub file: Arc<str>,
    /// From 1; 0 when the place is not known.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Characters to underline, at least 1.
    #[serde(skip)]
    pub length: usize,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The line itself, with what looks like a secret struck out.
    #[serde(skip)]
    pub source: Option<String>,
}

/// Why a text is no policy. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// With a caret under the place:
    ///
    /// ```text
    /// error: unknown key `readbak`
    ///   --> cofferdam.yaml:12:5
    ///    |
    /// 12 |     readbak: {}
    ///    |     ^^^^^^^
    ///    = did you mean `readback`?
    /// ```
    pub fn render(&self, severity: &str) -> String {
        let mut text = format!("{severity}: {}\n", self.message);
        let gutter = self.line.to_string().len().max(2);
        if self.line > 0 {
            text += &format!("{:gutter$}--> {}:{}:{}\n", "", self.file, self.line, self.column);
        } else {
            text += &format!("{:gutter$}--> {}\n", "", self.file);
        }
        if let (Some(source), true) = (&self.source, self.line > 0) {
            let (shown, shift) = window(source, self.column);
            let at = self.column.saturating_sub(1).saturating_sub(shift);
            let room = shown.chars().count().saturating_sub(at).max(1);
            let carets = "^".repeat(self.length.clamp(1, room));
            text +=
                &format!("{:gutter$} |\n{:>gutter$} | {shown}\n{:gutter$} | {:at$}{carets}\n", "", self.line, "", "");
        }
        if let Some(hint) = &self.hint {
            text += &format!("{:gutter$} = {hint}\n", "");
        }
        text
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl Problems {
    /// All of them with their places shown, in the order of the file.
    pub fn render(&self) -> String {
        let rendered = self.0.iter().map(|problem| problem.render("error")).collect::<Vec<_>>();
        rendered.join("\n")
    }

    /// A JSON array of objects with `file`, `line`, `column`, `message` and `hint`.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "read the policy: {one}"),
            [first, rest @ ..] => write!(f, "read the policy: {first} (and {} more)", rest.len()),
            [] => f.write_str("read the policy"),
        }
    }
}

impl core::error::Error for Problems {}

/// The text of a policy, cut into lines for the problems found in it.
pub(crate) struct Source<'a> {
    file: Arc<str>,
    lines: Vec<&'a str>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str, file: &str) -> Self {
        Self { file: printable(file).into(), lines: text.lines().collect() }
    }

    pub(crate) fn problem(&self, at: Place, message: impl AsRef<str>) -> Problem {
        let source = at.line.checked_sub(1).and_then(|index| self.lines.get(index));
        Problem {
            file: Arc::clone(&self.file),
            line: at.line,
            column: at.column,
            length: at.length.max(1),
            message: printable(message.as_ref()),
            hint: None,
            source: source.map(|line| printable(&struck_out(line))),
        }
    }

    pub(crate) fn line(&self, line: usize) -> Option<&'a str> {
        self.lines.get(line.checked_sub(1)?).copied()
    }
}

/// Where something stands in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub line: usize,
    pub column: usize,
    pub length: usize,
}

impl Problem {
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl AsRef<str>) -> Self {
        self.hint = Some(printable(hint.as_ref()));
        self
    }

    #[must_use]
    pub(crate) fn maybe_hint(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }
}

/// A line of at most 120 characters around the place, and how many were left out before it.
fn window(line: &str, column: usize) -> (String, usize) {
    const WIDTH: usize = 120;
    if line.chars().count() <= WIDTH {
        return (line.to_owned(), 0);
    }
    let shift = column.saturating_sub(WIDTH / 2);
    (line.chars().skip(shift).take(WIDTH).collect(), shift)
}

/// One character for each, so that columns stay: a terminal must not obey what a file says.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { ' ' } else { letter }).collect()
}

/// Values behind names that speak of secrets, and bearer tokens, become asterisks of the same length.
fn struck_out(line: &str) -> String {
    let letters = line.chars().collect::<Vec<_>>();
    let lower = line.to_lowercase();
    let mut hide = alloc::vec![false; letters.len()];
    for word in [
        "token",
        "authorization",
        "secret",
        "password",
        "passwd",
        "api_key",
        "api-key",
        "apikey",
        "cookie",
        "_key",
        "credential",
    ] {
        let mut from = 0;
        while let Some(found) = lower.get(from..).and_then(|rest| rest.find(word)) {
            let end = from + found + word.len();
            from = end;
            let start = lower.get(..end).map_or(0, |before| before.chars().count());
            let Some(colon) = letters.iter().skip(start).position(|letter| *letter == ':') else { continue };
            // Only the name itself may stand before the colon.
            if letters[start..start + colon]
                .iter()
                .any(|letter| !(letter.is_alphanumeric() || "\"'_- ".contains(*letter)))
            {
                continue;
            }
            hide_value(&letters, start + colon + 1, &mut hide);
        }
    }
    for (index, _) in lower.match_indices("bearer ") {
        let start = lower.get(..index).map_or(0, |before| before.chars().count()) + "bearer ".len();
        let end = letters.iter().skip(start).position(|letter| matches!(letter, '"' | '\'' | ',' | '}'));
        hide_value(&letters[..end.map_or(letters.len(), |end| start + end)], start, &mut hide);
    }
    // `https://user:password@host`
    for (index, _) in lower.match_indices("://") {
        let start = lower.get(..index).map_or(0, |before| before.chars().count()) + 3;
        let authority = letters.iter().skip(start).take_while(|letter| !matches!(letter, '/' | ' ' | '"' | '\''));
        if let Some(at) = authority.collect::<Vec<_>>().iter().rposition(|letter| **letter == '@') {
            hide_value(&letters[..start + at], start, &mut hide);
        }
    }
    letters.iter().zip(hide).map(|(letter, hide)| if hide { '*' } else { *letter }).collect()
}

/// Hides a scalar, but not a `${VAR}`, which says where the secret is and not what.
fn hide_value(letters: &[char], start: usize, hide: &mut [bool]) {
    let mut quote = None;
    let mut index = start;
    while index < letters.len() {
        let letter = letters[index];
        if letter == '$' && letters.get(index + 1) == Some(&'{') {
            // Up to a default, which may be a secret itself.
            while index < letters.len() && !matches!(letters[index], '}' | ':') {
                index += 1;
            }
        } else if quote == Some(letter) {
            return;
        } else if quote.is_none() && matches!(letter, '"' | '\'') {
            quote = Some(letter);
        } else if quote.is_none() && matches!(letter, ',' | '}' | '#') {
            return;
        } else if !letter.is_whitespace() && !matches!(letter, '{' | '[') && hide.get(index) == Some(&false) {
            hide[index] = true;
        }
        index += 1;
    }
}
