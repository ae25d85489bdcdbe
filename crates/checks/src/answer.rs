//! A look at the result of a `tools/call` without re-serialising it: what kind it is, whether it has the shape that
//! every revision of MCP gives it, and where its parts lie in the bytes.

mod shape;

use crate::checked::Checked;
use crate::finding::{Finding, Rule};
use crate::json::{self, Document, Item, ItemKind, Limits};
use crate::schema::Schema;
use alloc::string::String;
use bytes::Bytes;
use core::ops::Range;

/// Characters of the text content that are kept for matching patterns.
pub const TEXT_HEAD: usize = 500;

/// What is known of a result that has the right shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerView {
    pub is_error: bool,
    /// The first `TEXT_HEAD` characters of its text content, items joined by a line break.
    pub text_head: String,
    /// Where `structuredContent` lies.
    pub structured: Option<Range<usize>>,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The call is over.
    Complete,
    /// The upstream wants input first; nothing more happens until the call is repeated with it.
    InputRequired {
        /// The opaque `requestState` as a JSON string with its quotes.
        state: Option<Range<usize>>,
        /// The requests, an object.
        requests: Option<Range<usize>>,
    },
    /// The upstream goes on with it as a task.
    Task(Task),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub id: String,
    pub status: String,
    /// How long the upstream keeps it, in milliseconds; `None` is for ever.
    pub ttl_ms: Option<u64>,
    pub poll_interval_ms: Option<u64>,
}

impl AnswerView {
    pub const fn has_structured(&self) -> bool {
        self.structured.is_some()
    }

    pub const fn is_complete(&self) -> bool {
        matches!(self.kind, Kind::Complete)
    }
}

/// Reads the `result` member of a response to `tools/call`.
///
/// # Errors
/// It is not strict JSON within the limits, or not the shape of any result.
//= S-26
//= S-06
pub fn look(result: &[u8], limits: &Limits) -> Result<AnswerView, Finding> {
    let document = json::scan(result, limits)?;
    look_at(&document)
}

/// The same for a result that is scanned already.
///
/// # Errors
/// It is not the shape of any result.
pub fn look_at(document: &Document<'_>) -> Result<AnswerView, Finding> {
    let root = document.root();
    if root.kind() != ItemKind::Object {
        return Err(shape::bad("", "the result must be an object"));
    }
    shape::object_or_absent(root, "_meta")?;
    let result_type = shape::string_or_absent(root, "resultType")?;
    match result_type.as_deref() {
        Some("input_required") => return input_required(root),
        Some("task") => return Ok(view(Kind::Task(shape::task(root, "")?))),
        Some("complete") | None => {}
        Some(_) => return Err(shape::bad("/resultType", "unknown type of result")),
    }
    if let Some(task) = root.get("task").filter(|_| root.get("content").is_none()) {
        return Ok(view(Kind::Task(shape::task(task, "/task")?)));
    }
    let is_error = shape::bool_or_absent(root, "isError")?.unwrap_or(false);
    let structured = root.get("structuredContent").map(Item::range);
    let text_head = match root.get("content") {
        Some(content) => shape::content(content)?,
        // Required by every revision, yet left out by servers that answer with structured content only.
        None if structured.is_some() => String::new(),
        None => return Err(shape::bad("", "the result has no content")),
    };
    Ok(AnswerView { is_error, text_head, structured, kind: Kind::Complete })
}

fn input_required(root: Item<'_>) -> Result<AnswerView, Finding> {
    shape::string_or_absent(root, "requestState")?;
    shape::object_or_absent(root, "inputRequests")?;
    let state = root.get("requestState").map(Item::range);
    let requests = root.get("inputRequests").map(Item::range);
    if state.is_none() && requests.is_none() {
        return Err(shape::bad("", "asks for input, and names neither a request nor a state"));
    }
    Ok(view(Kind::InputRequired { state, requests }))
}

const fn view(kind: Kind) -> AnswerView {
    AnswerView { is_error: false, text_head: String::new(), structured: None, kind }
}

/// Lets a result through: its shape is right, and where the tool has an output schema and reports success, its
/// structured content is there and valid. The bytes stay as they came.
///
/// # Errors
/// The first thing that is wrong; the result must then be withheld.
//= S-06
//= S-17
//= S-26
//= G7
pub fn check_output(
    result: Bytes,
    limits: &Limits,
    schema: Option<&Schema>,
) -> Result<(Checked<Bytes>, AnswerView), Finding> {
    let view = look(&result, limits)?;
    if let Some(schema) = schema.filter(|_| view.is_complete() && !view.is_error) {
        let Some(range) = view.structured.clone() else {
            let text = "the tool has an output schema, and its result no structured content";
            return Err(Finding::new(Rule::StructuredMissing, "/structuredContent", text));
        };
        let structured = json::value(&result[range])?;
        schema.validate(&structured).map_err(|finding| Finding {
            path: crate::finding::shorten(&alloc::format!("/structuredContent{}", finding.path)),
            ..finding
        })?;
    }
    Ok((Checked::new(result), view))
}

#[cfg(test)]
mod tests;
