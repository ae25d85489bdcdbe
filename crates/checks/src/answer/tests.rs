use super::*;
extern crate std;
use alloc::string::ToString;
use serde_json::{Value, json};

fn view(result: &Value) -> Result<AnswerView, Finding> {
    look(result.to_string().as_bytes(), &Limits::default())
}

fn refused(result: &Value) -> String {
    view(result).expect_err("malformed").path
}

//= S-26
#[test]
fn a_result_of_the_wrong_shape_dies_here() {
    assert_eq!(refused(&json!([])), "");
    assert_eq!(refused(&json!({})), "");
    assert_eq!(refused(&json!({ "content": "text" })), "/content");
    assert_eq!(refused(&json!({ "content": ["text"] })), "/content/0");
    assert_eq!(refused(&json!({ "content": [{ "type": "text", "text": "a" }, { "text": "b" }] })), "/content/1");
    assert_eq!(refused(&json!({ "content": [{ "type": "text" }] })), "/content/0");
    assert_eq!(refused(&json!({ "content": [{ "type": "image", "data": "x" }] })), "/content/0");
    assert_eq!(refused(&json!({ "content": [{ "type": "resource", "resource": {} }] })), "/content/0");
    assert_eq!(refused(&json!({ "content": [], "isError": "false" })), "/isError");
    assert_eq!(refused(&json!({ "content": [], "_meta": [] })), "/_meta");
    assert_eq!(refused(&json!({ "content": [], "resultType": "surprise" })), "/resultType");
    assert_eq!(refused(&json!({ "resultType": "input_required" })), "");
    assert_eq!(refused(&json!({ "resultType": "task" })), "/taskId");
    assert_eq!(look(b"{\"content\":[]", &Limits::default()).expect_err("cut").rule, Rule::Json);
    assert_eq!(look(b"{\"content\":[],\"content\":[]}", &Limits::default()).expect_err("twice").rule, Rule::Json);
}

#[test]
fn what_a_later_revision_adds_passes() {
    let result = json!({ "content": [{ "type": "hologram", "beam": 1 }], "resultType": "complete", "later": {} });
    assert!(view(&result).expect("well-formed").is_complete());
    let structured = view(&json!({ "structuredContent": [1] })).expect("any JSON since 2026-07-28");
    assert!(structured.has_structured());
}

#[test]
fn the_head_of_the_text_is_bounded_and_joined() {
    let long = "ä".repeat(400);
    let result = json!({ "content": [
        { "type": "text", "text": long }, { "type": "image", "data": "", "mimeType": "image/png" },
        { "type": "text", "text": long }, { "type": "text", "text": "never" },
    ], "isError": true });
    let view = view(&result).expect("well-formed");
    assert!(view.is_error);
    assert_eq!(view.text_head.chars().count(), TEXT_HEAD);
    assert_eq!(view.text_head.chars().filter(|c| *c == '\n').count(), 1);
}

#[test]
fn a_wish_for_input_keeps_its_state_byte_for_byte() {
    let text = r#"{"resultType":"input_required","requestState":"a\u0062","inputRequests":{"q":{"method":"m"}}}"#;
    let view = look(text.as_bytes(), &Limits::default()).expect("well-formed");
    let Kind::InputRequired { state, requests } = view.kind else { unreachable!("asked for input") };
    assert_eq!(&text[state.expect("a state")], r#""a\u0062""#);
    assert_eq!(&text[requests.expect("requests")], r#"{"q":{"method":"m"}}"#);
}

#[test]
fn a_task_is_known_in_both_its_spellings() {
    let task = |result: Value| match view(&result).expect("well-formed").kind {
        Kind::Task(task) => task,
        other => unreachable!("{other:?}"),
    };
    let old = task(json!({ "task": { "taskId": "t1", "status": "working", "ttl": 60000, "pollInterval": 500.0 } }));
    let new = task(json!({
        "resultType": "task", "taskId": "t1", "status": "working", "ttlMs": 60000, "pollIntervalMs": 500
    }));
    assert_eq!(old, new);
    assert_eq!((old.ttl_ms, old.poll_interval_ms), (Some(60_000), Some(500)));
    assert_eq!(task(json!({ "resultType": "task", "taskId": "t", "ttlMs": null })).ttl_ms, None);
}

fn output(result: &Value, schema: Option<&Value>) -> Result<(), (Rule, String)> {
    let schema = schema.map(|schema| Schema::from_value(schema).expect("usable"));
    let bytes = Bytes::from(result.to_string());
    check_output(bytes.clone(), &Limits::default(), schema.as_ref())
        .map(|(checked, _)| assert_eq!(checked.into_inner(), bytes, "the bytes stay as they came"))
        .map_err(|finding| (finding.rule, finding.path))
}

//= S-06
//= S-17
//= G7
#[test]
fn a_success_must_keep_what_the_output_schema_promises() {
    let schema = json!({ "type": "object", "properties": { "id": { "type": "integer" } }, "required": ["id"] });
    let answer = |structured: Value| json!({ "content": [], "structuredContent": structured });
    assert_eq!(output(&answer(json!({ "id": 1 })), Some(&schema)), Ok(()));
    assert_eq!(output(&answer(json!({ "id": "1" })), None), Ok(()));
    let wrong = output(&answer(json!({ "id": "1" })), Some(&schema)).expect_err("a string");
    assert_eq!(wrong, (Rule::Schema, "/structuredContent/id".to_string()));
    let missing = output(&json!({ "content": [] }), Some(&schema)).expect_err("nothing structured");
    assert_eq!(missing.0, Rule::StructuredMissing);
    let failed = json!({ "content": [{ "type": "text", "text": "no stock" }], "isError": true });
    assert_eq!(output(&failed, Some(&schema)), Ok(()), "an error need not fit");
    let asks = json!({ "resultType": "input_required", "requestState": "s" });
    assert_eq!(output(&asks, Some(&schema)), Ok(()), "nothing is promised before it is done");
}
