//! Two transcripts side by side, and under them what the shop's ledger holds.

use serde::Serialize;
use std::time::Duration;
use testkit::client::Answer;

/// Both sides of a demo.
#[derive(Debug, Serialize)]
pub struct Report {
    incident: &'static str,
    sides: [Side; 2],
    seconds: f64,
}

/// One agent with its shop.
#[derive(Debug, Serialize)]
pub struct Side {
    name: &'static str,
    transcript: Vec<Line>,
    /// As they are stored.
    refunds: Vec<Refund>,
}

#[derive(Debug, Serialize)]
struct Refund {
    refund_id: i64,
    order_id: i64,
    amount: f64,
}

/// What one party said.
#[derive(Debug, Serialize)]
pub struct Line {
    who: Who,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executed: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Who {
    Agent,
    Tool,
    Gateway,
    Nobody,
}

const WIDTH: usize = 56;
const INDENT: usize = 9;

impl Line {
    fn new(who: Who, text: String) -> Self {
        Self { who, text, code: None, executed: None }
    }

    pub fn agent(text: String) -> Self {
        Self::new(Who::Agent, text)
    }

    pub fn tool(text: String) -> Self {
        Self::new(Who::Tool, text)
    }

    /// The connection broke.
    pub fn broken(text: String) -> Self {
        Self::new(Who::Nobody, text)
    }

    pub fn gateway(answer: &Answer) -> Self {
        let word = |name| answer.guard_word(name).map(str::to_owned);
        Self { code: word("code"), executed: word("executed"), ..Self::new(Who::Gateway, answer.text.clone()) }
    }

    fn render(&self) -> Vec<String> {
        let who = match self.who {
            Who::Agent => "agent",
            Who::Tool => "shop",
            Who::Gateway => "gateway",
            Who::Nobody => "(lost)",
        };
        let mut lines = Vec::new();
        for (number, text) in wrap(&self.text, WIDTH - INDENT).into_iter().enumerate() {
            let who = if number == 0 { who } else { "" };
            lines.push(format!("{who:<INDENT$}{text}"));
        }
        lines
    }
}

impl Side {
    pub fn new(name: &'static str, transcript: Vec<Line>, refunds: &[(i64, i64, f64)]) -> Self {
        let stored = |&(refund_id, order_id, amount): &(i64, i64, f64)| Refund { refund_id, order_id, amount };
        Self { name, transcript, refunds: refunds.iter().map(stored).collect() }
    }

    fn ledger(&self) -> Vec<String> {
        let (many, sum) = (self.refunds.len(), self.refunds.iter().map(|refund| refund.amount).sum::<f64>());
        let mut lines = vec![format!("{many} refund{}, {sum:.2} paid back", if many == 1 { "" } else { "s" })];
        lines.extend(
            self.refunds
                .iter()
                .map(|refund| format!("#{} order {} {:.2}", refund.refund_id, refund.order_id, refund.amount)),
        );
        lines
    }
}

impl Report {
    pub fn new(alone: Side, guarded: Side, took: Duration) -> Self {
        Self { incident: "lost-reply", sides: [alone, guarded], seconds: took.as_secs_f64() }
    }

    pub fn render(&self) -> String {
        let [alone, guarded] = &self.sides;
        let mut text = String::from("The refund is paid, its reply is lost on the way, and the agent asks again.\n\n");
        let rule = "─".repeat(WIDTH);
        columns(&mut text, &[alone.name.to_uppercase()], &[guarded.name.to_uppercase()]);
        columns(&mut text, std::slice::from_ref(&rule), std::slice::from_ref(&rule));
        let transcript = |side: &Side| side.transcript.iter().flat_map(Line::render).collect::<Vec<_>>();
        columns(&mut text, &transcript(alone), &transcript(guarded));
        columns(&mut text, std::slice::from_ref(&rule), std::slice::from_ref(&rule));
        let ledger = |side: &Side| {
            let lines = side.ledger().into_iter().enumerate();
            lines
                .map(|(at, line)| format!("{:<INDENT$}{line}", if at == 0 { "ledger" } else { "" }))
                .collect::<Vec<_>>()
        };
        columns(&mut text, &ledger(alone), &ledger(guarded));
        text += &format!("\nThe shop, the agent and the calls were real, over MCP; it took {:.2} s.\n", self.seconds);
        text
    }
}

fn columns(text: &mut String, left: &[String], right: &[String]) {
    for row in 0..left.len().max(right.len()) {
        let cell = |side: &[String]| side.get(row).cloned().unwrap_or_default();
        let line = format!("{:<WIDTH$} │ {}", cell(left), cell(right));
        *text += line.trim_end();
        text.push('\n');
    }
}

/// Lines of at most `width` characters, broken between words where that is possible.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let mut rest = word.chars().filter(|letter| !letter.is_control()).collect::<Vec<_>>();
            if !line.is_empty() && line.chars().count() + 1 + rest.len() > width {
                lines.push(std::mem::take(&mut line));
            }
            while rest.len() > width {
                lines.push(rest.drain(..width).collect());
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend(rest);
        }
        lines.push(line);
    }
    if lines.is_empty() { vec![String::new()] } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_long_words_inside() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a\n\nb\u{1b}", 4), ["a", "", "b"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn both_ledgers_stand_side_by_side() {
        let side = |name, many: i64| {
            let refunds: Vec<_> = (1..=many).map(|id| (id, 2, 120.0)).collect();
            Side::new(name, vec![Line::agent("asks".into())], &refunds)
        };
        let text = Report::new(side("without", 2), side("with", 1), Duration::from_secs(1)).render();
        let ledger = text.lines().find(|line| line.starts_with("ledger")).expect("a ledger");
        assert!(ledger.contains("2 refunds, 240.00") && ledger.contains("1 refund, 120.00"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 2 * WIDTH + 3), "{text}");
    }
}
