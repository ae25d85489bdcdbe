//! The output boundary: what an upstream's answer is, before anybody hears of it.

use crate::tools::Tool;
use bytes::Bytes;
use checks::{Kind, Limits, check_output, json};
use engine::{Answer, AnswerKind};
use policy::Policy;
use std::ops::Range;
use vocab::planted::{self, Planted};

/// An answer, and where in it the state of an `input_required` lies.
pub(crate) struct Judged {
    pub(crate) answer: Answer,
    pub(crate) state: Option<Range<usize>>,
}

/// Judges shape and schema. What fails comes back as `Bad`: the engine withholds its bytes.
//= S-06
//= S-17
//= S-26
//= G7
pub(crate) fn judge(result: Bytes, tool: Option<&Tool>, limits: &Limits) -> Judged {
    let (kind, state) = match check_output(result.clone(), limits, tool.and_then(Tool::output)) {
        Err(_) if planted::is(Planted::BadAnswerReleased) => (AnswerKind::Done, None),
        Err(finding) => (AnswerKind::Bad(finding.to_string()), None),
        Ok((_, view)) => match view.kind {
            Kind::InputRequired { state, .. } => (AnswerKind::InputRequired, Some(state.unwrap_or(0..0))),
            Kind::Task(task) => (AnswerKind::Task(task.id.into()), None),
            Kind::Complete if view.is_error => (AnswerKind::ToolError(view.text_head), None),
            Kind::Complete => (AnswerKind::Done, None),
        },
    };
    Judged { answer: Answer { result, kind }, state }
}

/// How large an answer of an upstream may be.
pub(crate) fn limits(policy: &Policy, upstream: &str) -> Limits {
    let bytes = policy.upstream(upstream).map_or(policy.limits.message_max, |upstream| upstream.limits.message_max);
    Limits {
        bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        // Deeper than what an agent may send: refusing what a server answers would break a healthy call.
        depth: json::DEPTH_CEILING,
        values: json::VALUES_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::Tools;
    use vocab::Name;

    fn kind(result: &'static str) -> AnswerKind {
        let tools = Tools::default();
        let page = r#"{"tools":[{"name":"pay","outputSchema":{"type":"object","required":["id"]}}]}"#;
        tools.learn(&Name::from("shop"), &Bytes::from_static(page.as_bytes()));
        let tool = tools.get("shop", "pay").expect("known");
        judge(Bytes::from_static(result.as_bytes()), Some(&tool), &Limits::default()).answer.kind
    }

    //= S-06
    //= S-17
    //= G7
    #[test]
    fn an_answer_that_fails_its_schema_is_bad_and_says_why() {
        let AnswerKind::Bad(why) = kind(r#"{"content":[],"structuredContent":{"no":1}}"#) else {
            unreachable!("it lacks a required member");
        };
        assert!(why.contains("/structuredContent"), "{why}");
        assert!(matches!(kind(r#"{"content":[],"structuredContent":{"id":1}}"#), AnswerKind::Done));
        assert!(matches!(kind(r#"{"content":[]}"#), AnswerKind::Bad(_)));
    }

    //= S-26
    #[test]
    fn garbage_is_bad_whatever_its_form() {
        for garbage in ["", "{", "[]", r#"{"content":[],"content":[]}"#, r#"{"content":"text"}"#] {
            assert!(matches!(kind(garbage), AnswerKind::Bad(_)), "{garbage}");
        }
    }

    #[test]
    fn an_error_of_the_tool_a_wish_for_input_and_a_task_are_told_apart() {
        let text = r#"{"isError":true,"content":[{"type":"text","text":"no such order"}]}"#;
        assert!(matches!(kind(text), AnswerKind::ToolError(text) if text == "no such order"));
        let wish = r#"{"resultType":"input_required","requestState":"s","inputRequests":{}}"#;
        assert!(matches!(kind(wish), AnswerKind::InputRequired));
        let task = r#"{"task":{"taskId":"t1","status":"working","ttl":1000,"createdAt":"2026-01-01T00:00:00Z",
            "lastUpdatedAt":"2026-01-01T00:00:00Z"}}"#;
        assert!(matches!(kind(task), AnswerKind::Task(id) if &*id == "t1"));
    }
}
