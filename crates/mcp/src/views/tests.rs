use super::*;

const fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn a_tool_call_is_seen_part_by_part() {
    let params = bytes(r#"{"name":"pay","arguments":{"n":1E5},"_meta":{"progressToken":7},"task":{"ttl":1},"x":1}"#);
    let call = ToolCall::read(&params).expect("a call");
    assert_eq!(call.name.as_deref(), Some("pay"));
    assert_eq!(call.arguments.as_deref(), Some(&br#"{"n":1E5}"#[..]));
    assert_eq!(call.task.as_deref(), Some(&br#"{"ttl":1}"#[..]));
    assert_eq!(progress_token(&params), Ok(Some(&b"7"[..])));
    assert!(call.input_responses.is_none());
}

//= S-26
#[test]
fn a_call_that_says_a_thing_twice_is_not_guessed_at() {
    for params in [
        r#"{"name":"read","name":"pay"}"#,
        r#"{"name":"read","n\u0061me":"pay"}"#,
        r#"{"name":"pay","arguments":{},"arguments":{"n":1}}"#,
    ] {
        assert_eq!(ToolCall::read(&bytes(params)).err(), Some(Error::Duplicate), "{params}");
    }
}

#[test]
fn a_list_of_tools_keeps_where_each_name_lies() {
    let result = bytes(
        r#"{"tools":[{"name":"a","inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"}}, {"title":"x"},
           {"description":"d","outputSchema":true,"annotations":{"readOnlyHint":true},"name":"b"}],"nextCursor":"n"}"#,
    );
    let list = Tools::read(&result).expect("a list");
    assert_eq!(list.next_cursor.as_deref(), Some("n"));
    assert_eq!(list.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(&result[list.tools[1].name_range.clone()], br#""b""#);
    assert_eq!(list.tools[1].description.as_deref(), Some("d"));
    assert!(list.tools[0].execution.is_some() && list.tools[1].annotations.is_some());
    assert!(Tools::read(&bytes(r#"{"tools":{}}"#)).is_err());
    assert!(Tools::read(&bytes("{}")).is_err());
}

#[test]
fn a_server_is_read_from_either_handshake() {
    let old = bytes(
        r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"s"}}"#,
    );
    let old = Server::read(&old).expect("a result");
    assert_eq!(old.protocol_version.as_deref(), Some("2025-06-18"));
    assert!(old.has(&["tools", "listChanged"]) && old.has(&["tools"]) && !old.has(&["prompts"]));
    let new = bytes(
        r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":false}},"resultType":"complete",
           "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}"#,
    );
    let new = Server::read(&new).expect("a result");
    assert_eq!(new.supported_versions, ["2026-07-28"]);
    assert_eq!(new.info.as_deref(), Some(&br#"{"name":"s"}"#[..]));
    assert!(!new.has(&["tools", "listChanged"]));
}

#[test]
fn only_a_request_that_claims_a_version_tells_its_caller() {
    assert!(Caller::read(&bytes(r#"{"_meta":{"progressToken":1}}"#)).expect("unique").is_none());
    assert!(Caller::read(&bytes("{}")).expect("unique").is_none());
    let params = bytes(
        r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
           "io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}}"#,
    );
    let caller = Caller::read(&params).expect("unique").expect("a claim");
    assert_eq!(caller.protocol_version.as_deref(), Some("2026-07-28"));
    assert!(caller.has(&["elicitation"]) && !caller.has(&["sampling"]));
    assert!(caller.client_info.is_none());
}

#[test]
fn a_result_without_a_type_is_complete() {
    assert_eq!(result_type(b"{}").as_deref(), Ok("complete"));
    assert_eq!(result_type(br#"{"resultType":"input_required"}"#).as_deref(), Ok("input_required"));
}

#[test]
fn a_related_task_is_found() {
    let body = br#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t1"}}}"#;
    assert_eq!(related_task(body).expect("unique").as_deref(), Some("t1"));
    assert_eq!(related_task(b"{}").expect("unique"), None);
}
