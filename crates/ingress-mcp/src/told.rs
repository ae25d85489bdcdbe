//! What the agent is told: the one place where verdicts become words of MCP.
//!
//! Text first, in a fixed order and at most 120 words, equal for equal stops; the machine form in
//! `_meta["cofferdam/guard"]`. Never `structuredContent`: clients validate it even on errors.

mod result;

use crate::message::quoted;
use runtime::Stop;
use std::fmt::Write as _;
use vocab::{Code, Executed, Retryable, StepId, Verification};

pub use result::{Released, release};

/// The gateway's own tool, as agents see it.
pub const STATUS_TOOL: &str = "cofferdam__status";

/// How it is listed.
pub const STATUS_ENTRY: &str = concat!(
    r#"{"name":"cofferdam__status","title":"Status of a guarded step","description":"Tells what is known of a tool call "#,
    r#"that the gateway guards: whether it was executed, and how that is known. Without a step: the open ones."#,
    r#"","inputSchema":{"type":"object","properties":{"step":{"type":"string","description":"The step id that "#,
    r#"a notice of the gateway names."}}},"annotations":{"readOnlyHint":true,"openWorldHint":false}}"#
);

/// Longest `why` in the text; the machine form has all of it.
const WHY_WORDS_MAX: usize = 40;
const WHY_BYTES_MAX: usize = 320;

/// A stop as a `tools/call` result.
pub fn stopped(stop: &Stop, run: &str, own_tools: bool) -> String {
    let mut out = String::from(r#"{"content":[{"type":"text","text":"#);
    out.push_str(&quoted(&text(stop, own_tools)));
    // Revision 2026-07-28 demands `resultType`; older clients ignore it.
    let _written =
        write!(out, r#"}}],"isError":{},"resultType":"complete","_meta":{{"cofferdam/guard":"#, !stop.success);
    out.push_str(&guard(stop, run));
    out.push_str("}}");
    out
}

/// A call that never became a step, as a result: nothing was sent.
pub fn refused(code: Code, tool: &str, upstream: &str, why: &str, own_tools: bool) -> String {
    let stop = Stop {
        code,
        executed: Executed::No,
        step: StepId::default(),
        earlier: None,
        tool: tool.into(),
        upstream: upstream.into(),
        why: why.to_owned(),
        verification: Verification::None,
        retry_after: None,
        next_probe: None,
        success: false,
    };
    let mut guard = Fields::default();
    guard.text("verdict", "refuse");
    guard.text("code", code.as_str());
    guard.text("executed", Executed::No.as_str());
    guard.text("retryable", code.retryable().as_str());
    guard.text("why", why);
    guard.text("verification", Verification::None.as_str());
    format!(
        r#"{{"content":[{{"type":"text","text":{}}}],"isError":true,"resultType":"complete","_meta":{{"cofferdam/guard":{}}}}}"#,
        quoted(&words(&stop, own_tools, false)),
        guard.finish()
    )
}

//= S-26
/// The words. Order: who stopped it, what was executed, why, what not to do, what to do, what is known.
pub fn text(stop: &Stop, own_tools: bool) -> String {
    words(stop, own_tools, true)
}

fn words(stop: &Stop, own_tools: bool, is_step: bool) -> String {
    let step = stop.step;
    let mut lines = vec![headline(stop), executed(stop)];
    let why = shortened(&stop.why);
    if !why.is_empty() {
        lines.push(format!("Why: {why}"));
    }
    lines.push(bar(stop));
    let may = may(stop, own_tools && is_step);
    if !may.is_empty() {
        let numbered: Vec<String> = may.iter().enumerate().map(|(at, way)| format!("{}) {way}", at + 1)).collect();
        lines.push(format!("You may: {}", numbered.join("  ")));
    }
    if !is_step {
        return lines.join("\n");
    }
    let mut last = format!("Step {step}. Verification: {}.", stop.verification.as_str());
    if let Some(earlier) = stop.earlier {
        let _written = write!(last, " Earlier step: {earlier}.");
    }
    if let Some(next) = stop.next_probe {
        let _written = write!(last, " Next look in {}.", span(next));
    }
    lines.push(last);
    lines.join("\n")
}

fn headline(stop: &Stop) -> String {
    if stop.success {
        format!("CONFIRMED BY COFFERDAM (the tool's own reply was lost): {}.", stop.code)
    } else {
        format!("STOPPED BY COFFERDAM (not by the tool): {}.", stop.code)
    }
}

//= G3
fn executed(stop: &Stop) -> String {
    let (tool, upstream) = (&stop.tool, &stop.upstream);
    match (stop.executed, stop.code) {
        (Executed::No, Code::NotApplied) => format!("It was sent, and {upstream} shows that it was not applied."),
        (Executed::No, _) => format!("Nothing was executed. {upstream} is unchanged by this call."),
        (Executed::Yes, Code::DuplicateSuppressed) => format!("{tool} was executed earlier, and not again now."),
        (Executed::Yes, _) => format!("{tool} was executed: {upstream} has changed."),
        (Executed::Unknown, Code::InProgress) => format!("{tool} was sent and still runs. This is not a failure."),
        (Executed::Unknown, _) => {
            format!("{tool} was sent and may have been executed; that is not known. This is not a failure.")
        }
    }
}

fn bar(stop: &Stop) -> String {
    let upstream = &stop.upstream;
    match (stop.executed, stop.code.retryable()) {
        (Executed::Unknown, _) => {
            format!(
                "Do not send it again and do not reach the same effect in {upstream} another way: it could happen twice."
            )
        }
        (Executed::Yes, _) => format!("Do not repeat it and do not reach the same effect in {upstream} another way."),
        (Executed::No, Retryable::After) => match stop.retry_after {
            Some(wait) => {
                format!("Not now: no route to {upstream} is open. Call again unchanged after {}.", span(wait))
            }
            None => format!("Not now: no route to {upstream} is open. Call again unchanged later."),
        },
        (Executed::No, Retryable::AfterChange) if stop.code == Code::NotApplied => {
            "Do not repeat it blindly: decide again whether it is still wanted; a new call is a new decision."
                .to_owned()
        }
        (Executed::No, Retryable::AfterChange) => {
            "Do not send it again unchanged: it is refused by every route until that changes.".to_owned()
        }
        (Executed::No, Retryable::AfterApproval) => {
            format!(
                "Do not repeat it and do not reach the same effect in {upstream} another way; a person must allow it."
            )
        }
        (Executed::No, Retryable::Never) => {
            format!(
                "Do not repeat it and do not reach the same effect in {upstream} another way; every route is refused."
            )
        }
    }
}

fn may(stop: &Stop, own_tools: bool) -> Vec<String> {
    let mut ways = Vec::new();
    let about = stop.earlier.filter(|_| stop.executed != Executed::Unknown).unwrap_or(stop.step);
    if own_tools && stop.code != Code::InputInvalid && stop.code != Code::Overloaded {
        ways.push(format!("{STATUS_TOOL}(step=\"{about}\")"));
    }
    match stop.code {
        Code::InputInvalid => ways.push("correct the arguments and call once more".to_owned()),
        Code::IdempotencyConflict => ways.push("use a new key for a new intent".to_owned()),
        _ => {}
    }
    ways.push("tell the user what is done and what is not".to_owned());
    ways
}

/// The machine form of a stop.
pub fn guard(stop: &Stop, run: &str) -> String {
    let mut out = Fields::default();
    out.text("verdict", verdict(stop));
    out.text("code", stop.code.as_str());
    out.text("executed", stop.executed.as_str());
    out.text("retryable", stop.code.retryable().as_str());
    if let Some(wait) = stop.retry_after {
        out.raw("retry_after_ms", &wait.as_millis().to_string());
    }
    out.text("why", &stop.why);
    out.text("step", &stop.step.to_string());
    out.text("run", run);
    if let Some(earlier) = stop.earlier {
        out.text("earlier", &earlier.to_string());
    }
    if let Some(next) = stop.next_probe {
        out.raw("probe", &format!(r#"{{"state":"looking","next_in_ms":{}}}"#, next.as_millis()));
    }
    out.text("verification", stop.verification.as_str());
    out.finish()
}

/// The machine form that goes with a result of the tool's own.
pub(crate) fn guard_released(step: StepId, run: &str, released: &Released<'_>, executed: Executed) -> String {
    let mut out = Fields::default();
    let code = released.replayed.then_some(Code::DuplicateSuppressed);
    out.text("verdict", if code.is_some() { "allow_degraded" } else { "allow" });
    if let Some(code) = code {
        out.text("code", code.as_str());
    }
    out.text("executed", executed.as_str());
    out.text("retryable", "never");
    if let Some(why) = released.notice {
        out.text("why", why);
    }
    out.text("step", &step.to_string());
    out.text("run", run);
    if released.replayed {
        out.raw("replayed", "true");
    }
    out.text("verification", released.verification.as_str());
    out.finish()
}

/// What was sent was allowed, whatever became of it.
const fn verdict(stop: &Stop) -> &'static str {
    match stop.code {
        Code::NotApplied
        | Code::OutcomeUnknown
        | Code::InProgress
        | Code::OutputRejected
        | Code::ReadbackMismatch
        | Code::AppliedNoReceipt
        | Code::DuplicateSuppressed => "allow_degraded",
        _ => "refuse",
    }
}

#[derive(Default)]
struct Fields(String);

impl Fields {
    fn text(&mut self, name: &str, value: &str) {
        self.raw(name, &quoted(value));
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(json);
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// One line, not too long, cut between words.
fn shortened(why: &str) -> String {
    let mut out = String::new();
    for (count, word) in why.split_whitespace().enumerate() {
        if count == WHY_WORDS_MAX || out.len() + word.len() > WHY_BYTES_MAX {
            out.push_str(" …");
            break;
        }
        if count > 0 {
            out.push(' ');
        }
        out.push_str(word);
    }
    if !out.is_empty() && !out.ends_with(['.', '…', '!', '?']) {
        out.push('.');
    }
    result::disarmed(&out).unwrap_or(out)
}

fn span(span: std::time::Duration) -> String {
    match span.as_secs() {
        0 => format!("{} ms", span.as_millis()),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests;
