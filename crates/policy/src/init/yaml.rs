//! Text into YAML, whatever it holds: names and descriptions come from upstreams.

use alloc::format;
use alloc::string::String;

/// A double-quoted scalar.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            letter if needs_escape(letter) => quoted.push_str(&format!("\\U{:08x}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A single-quoted scalar, for expressions: they hold double quotes and backslashes. One line.
pub(super) fn single(text: &str) -> String {
    if text.chars().any(needs_escape) {
        return quoted(text);
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// A comment of lines of at most 120 characters; nothing in it can end it.
pub(super) fn block(text: &mut String, indent: usize, comment: &str) {
    let mut line = String::new();
    let flat =
        comment.chars().map(|letter| if needs_escape(letter) { ' ' } else { letter }).take(600).collect::<String>();
    for word in flat.split_whitespace() {
        if !line.is_empty() && indent + line.chars().count() + word.chars().count() + 3 > 116 {
            text.push_str(&format!("{:indent$}# {line}\n", ""));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    text.push_str(&format!("{:indent$}# {line}\n", ""));
}

/// Control characters, and those that some readers take for line breaks or that turn the direction of text.
fn needs_escape(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{85}' | '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
