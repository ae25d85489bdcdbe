//! Text with variables, time spans, sizes and expressions.

use super::Resolver;
use crate::expr::{Expr, Purpose};
use crate::problem::Place;
use crate::raw::{Cel, Size, Span, Text};
use crate::secret::{Expanded, Secret};
use crate::words;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use vocab::Name;

/// Longer spans are mistakes, and arithmetic stays far from its limits.
const SPAN_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
const EXPANDED_MAX: usize = 64 * 1024;

impl Resolver<'_> {
    /// Replaces `${VAR}` and `${VAR:-default}`; `$$` is a dollar.
    pub(super) fn expanded(&mut self, text: &Text) -> Expanded {
        let (value, _) = self.expand(text);
        Expanded::new(value, &text.value)
    }

    pub(super) fn secret(&mut self, text: &Text) -> Secret {
        let (value, variables) = self.expand(text);
        if value.contains(['\r', '\n', '\0']) {
            self.error(text.place, "a secret must be one line");
        }
        Secret::new(value, variables.join(","))
    }

    fn expand(&mut self, text: &Text) -> (String, Vec<String>) {
        let mut value = String::new();
        let mut variables = Vec::new();
        let mut rest = text.value.as_str();
        while let Some(dollar) = rest.find('$') {
            value.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                value.push('$');
                rest = after;
                continue;
            }
            let Some(inside) = rest.strip_prefix('{') else {
                value.push('$');
                continue;
            };
            let Some(end) = inside.find('}') else {
                self.error(text.place, "`${` has no `}`").hint = Some("write `$$` for a dollar".into());
                return (value, variables);
            };
            let (name, default) = match inside[..end].split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (&inside[..end], None),
            };
            rest = &inside[end + 1..];
            if !is_variable(name) {
                let hint = "a variable is letters, digits and `_`: `${SHOP_TOKEN}` or `${SHOP_TOKEN:-default}`";
                self.error(text.place, "this is no name of a variable").hint = Some(hint.into());
                continue;
            }
            variables.push(name.into());
            match ((self.env)(name).filter(|value| !value.is_empty()), default) {
                (Some(found), _) => value.push_str(&found),
                (None, Some(default)) => value.push_str(default),
                (None, None) => {
                    let hint = format!("set {name}, or write `${{{name}:-default}}`");
                    self.error(text.place, format!("the variable `{name}` is not set")).hint = Some(hint);
                }
            }
            if value.len() > EXPANDED_MAX {
                self.error(text.place, "the text is longer than 64 KiB with its variables replaced");
                return (String::new(), variables);
            }
        }
        value.push_str(rest);
        (value, variables)
    }

    /// A text that is a name: no variables, not empty, one short line.
    pub(super) fn name(&mut self, text: &Text) -> Name {
        let value = text.value.trim();
        if value.is_empty() || value.len() > 256 || value.chars().any(char::is_control) {
            self.error(text.place, "this must be a name of 1 to 256 characters");
        }
        value.into()
    }

    pub(super) fn span(&mut self, span: &Span) -> Duration {
        match parse_span(&span.0.value) {
            Ok(duration) if duration <= SPAN_MAX => duration,
            Ok(_) => {
                self.error(span.0.place, "this is longer than ten years");
                Duration::ZERO
            }
            Err(hint) => {
                self.error(span.0.place, format!("`{}` is no time span", span.0.value.trim())).hint = Some(hint);
                Duration::ZERO
            }
        }
    }

    /// A span that must not be zero.
    pub(super) fn positive(&mut self, span: &Span) -> Duration {
        let problems = self.problems.len();
        let duration = self.span(span);
        if duration.is_zero() && self.problems.len() == problems {
            self.error(span.0.place, "this must be longer than zero");
        }
        duration
    }

    pub(super) fn size(&mut self, size: &Size) -> u64 {
        let text = size.0.value.trim();
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit: u64 = match &text[digits.len()..] {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => 0,
        };
        let bytes = digits.trim_end().parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        match bytes {
            // One message is held in memory whole.
            Some(bytes) if (1024..=1 << 30).contains(&bytes) => bytes,
            Some(bytes) if bytes > 0 => {
                self.error(size.0.place, "this must lie between 1KiB and 1GiB");
                bytes
            }
            _ => {
                let message = format!("`{text}` is no size");
                self.error(size.0.place, message).hint = Some("write a number with B, KiB, MiB or GiB: `4MiB`".into());
                1024
            }
        }
    }

    pub(super) fn expr(&mut self, cel: &Cel, purpose: Purpose) -> Option<Expr> {
        match Expr::compile_in(&self.cel, &cel.0.value, purpose) {
            Ok(expr) => Some(expr),
            Err(faults) => {
                for fault in faults {
                    let place = fault.at.map_or(cel.0.place, |at| self.inside(cel, at));
                    self.error(place, &fault.message).hint = fault.hint;
                }
                None
            }
        }
    }

    /// Where a place inside an expression stands in the file. Quoting, folding and escapes may have moved it: the
    /// place counts only if the file holds the same characters there, else the whole expression is pointed at.
    fn inside(&self, cel: &Cel, (line, column): (usize, usize)) -> Place {
        let whole = Place { length: cel.0.place.length.min(first_line(&cel.0.value)), ..cel.0.place };
        let Some(wanted) = cel.0.value.lines().nth(line.saturating_sub(1)) else { return whole };
        let Some(first) = self.source.line(cel.0.place.line) else { return whole };
        let opening = first.chars().nth(cel.0.place.column.saturating_sub(1));
        let (row, start) = match opening {
            // A block: its lines follow, indented.
            Some('|' | '>') => {
                let row = cel.0.place.line + line;
                let indent = self.source.line(row).map_or(0, |text| text.chars().take_while(|&c| c == ' ').count());
                (row, indent + 1)
            }
            Some('"' | '\'') if line == 1 => (cel.0.place.line, cel.0.place.column + 1),
            _ if line == 1 => (cel.0.place.line, cel.0.place.column),
            // The parser may say where the text of a block begins, not where its `|` stands.
            _ => (cel.0.place.line + line - 1, cel.0.place.column),
        };
        let Some(there) = self.source.line(row) else { return whole };
        let there = there.chars().skip(start.saturating_sub(1));
        let upto = column.saturating_sub(1);
        if !there.take(upto).eq(wanted.chars().take(upto)) {
            return whole;
        }
        let length = wanted.chars().skip(upto).take_while(|c| c.is_alphanumeric() || *c == '_').count();
        Place { line: row, column: start + upto, length: length.max(1) }
    }
}

fn first_line(text: &str) -> usize {
    text.lines().next().map_or(1, |line| line.chars().count() + 2)
}

fn is_variable(name: &str) -> bool {
    let starts = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    starts && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// `250ms`, `10s`, `5m`, `24h`, `30d`; the error is the hint.
fn parse_span(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_alphabetic());
    let unit = &text[digits.len()..];
    let form = || String::from("write a whole number and a unit, one of ms, s, m, h, d: `250ms`, `10s`, `5m`");
    let number = digits.trim_end().parse::<u64>().map_err(|_| form())?;
    let seconds: u64 = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "" => return Err(format!("it needs a unit: `{number}s` or `{number}ms`")),
        other => return Err(words::did_you_mean(other, ["ms", "s", "m", "h", "d"]).unwrap_or_else(form)),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(form)
}
