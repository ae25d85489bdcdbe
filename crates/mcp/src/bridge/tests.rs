use super::*;
use crate::envelope::{Envelope, Limits};
use crate::{Revision, code, views};
use bytes::Bytes;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn message(text: &str) -> Envelope {
    Envelope::parse(bytes(text), &Limits::default()).expect("a message")
}

fn text(bytes: &Bytes) -> &str {
    json::check(bytes, 64).expect("a bridge leaves JSON");
    std::str::from_utf8(bytes).expect("a bridge leaves UTF-8")
}

fn caller() -> Caller {
    let params = bytes(
        r#"{"protocolVersion":"2025-11-25","capabilities":{"roots":{},"tasks":{"list":{}}},"clientInfo":{"name":"c","version":"1"}}"#,
    );
    Caller::from_initialize(&params, Revision::V2026_07_28).expect("unique members")
}

#[test]
fn a_call_of_a_session_gets_what_each_stateless_request_must_say() {
    let call = message(
        r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"pay","arguments":{"n":1E5},"task":{"ttl":1},"_meta":{"progressToken":7}}}"#,
    );
    let Onward::Forward(out) = request_to_stateless(&call, &caller()).expect("unique members") else {
        unreachable!("a call goes on");
    };
    assert_eq!(
        text(&out),
        r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"pay","arguments":{"n":1E5},"_meta":{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{"roots":{}}}}}"#
    );
    let list = message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let with_level = Caller { log_level: Some(bytes("\"info\"")), ..caller() };
    let Onward::Forward(out) = request_to_stateless(&list, &with_level).expect("unique members") else {
        unreachable!("a list goes on");
    };
    assert!(text(&out).contains(r#""io.modelcontextprotocol/logLevel":"info""#));
}

#[test]
fn what_the_stateless_era_lacks_is_answered_here() {
    let local = |text: &str| request_to_stateless(&message(text), &caller()).expect("unique members");
    let answer = |one: Local| Onward::Answer(one);
    assert_eq!(local(r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#), answer(Local::Initialize));
    assert_eq!(local(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), answer(Local::Ping));
    assert_eq!(
        local(r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"info"}}"#),
        answer(Local::LogLevel(bytes("\"info\"")))
    );
    assert_eq!(
        local(r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a:\u0062"}}"#),
        answer(Local::Subscribe("a:b".into()))
    );
    assert_eq!(
        local(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"7"}}"#),
        answer(Local::Cancel(bytes("\"7\"")))
    );
    assert_eq!(local(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#), Onward::Drop);
    assert_eq!(local(r#"{"jsonrpc":"2.0","id":1,"method":"tasks/list"}"#), Onward::Unsupported);
    let vendor = r#"{"jsonrpc":"2.0","method":"vendor/x"}"#;
    assert_eq!(local(vendor), Onward::Forward(bytes(vendor)));
}

#[test]
fn a_stateless_call_loses_what_a_session_knows_already() {
    let call = message(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"big":12345678901234567890123},"requestState":"s","inputResponses":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"progressToken":1,"traceparent":"00"}}}"#,
    );
    let Onward::Forward(out) = request_to_session(&call).expect("unique members") else {
        unreachable!("a call goes on");
    };
    assert_eq!(
        text(&out),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"big":12345678901234567890123},"_meta":{"progressToken":1,"traceparent":"00"}}}"#
    );
    let local = |text: &str| request_to_session(&message(text)).expect("unique members");
    assert_eq!(local(r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#), Onward::Answer(Local::Discover));
    assert_eq!(local(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), Onward::Unsupported);
    assert_eq!(local(r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{}}"#), Onward::Unsupported);
    let listen = local(
        r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}}}"#,
    );
    assert_eq!(listen, Onward::Answer(Local::Listen(Filter { tools: true, ..Filter::default() })));
}

#[test]
fn results_change_only_in_what_the_eras_differ() {
    let check = |method: &str, stateless: &str, session: &str| {
        assert_eq!(text(&result_to_session(method, &bytes(stateless)).expect("unique members")), session);
    };
    check("tools/call", r#"{"content":[],"resultType":"complete","x":1E5}"#, r#"{"content":[],"x":1E5}"#);
    check(
        "resources/read",
        r#"{"resultType":"complete","ttlMs":5,"cacheScope":"public","contents":[]}"#,
        r#"{"contents":[]}"#,
    );
    check(
        "tools/call",
        r#"{"content":[],"structuredContent":[1]}"#,
        r#"{"content":[],"structuredContent":{"result":[1]}}"#,
    );
    check("tools/call", r#"{"structuredContent":{"a":1e400}}"#, r#"{"structuredContent":{"a":1e400}}"#);
    check(
        "tools/list",
        r#"{"tools":[{"name":"a","outputSchema":{"type":"array"}}, {"name":"b","outputSchema":{"type":"object"}}]}"#,
        r#"{"tools":[{"name":"a"}, {"name":"b","outputSchema":{"type":"object"}}]}"#,
    );

    let check = |method: &str, session: &str, stateless: &str| {
        let out = result_to_stateless(method, &bytes(session), None).expect("unique members");
        assert_eq!(text(&out), stateless);
    };
    check("tools/call", r#"{"content":[]}"#, r#"{"content":[],"resultType":"complete"}"#);
    check("ping", "{}", r#"{"resultType":"complete"}"#);
    check(
        "tools/list",
        r#"{"tools":[{"name":"a","execution":{"taskSupport":"optional"},"x":1}]}"#,
        r#"{"tools":[{"name":"a","x":1}],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#,
    );
    let named =
        result_to_stateless("tools/call", &bytes(r#"{"content":[],"_meta":{"a":1}}"#), Some(br#"{"name":"s"}"#));
    assert_eq!(
        text(&named.expect("unique members")),
        r#"{"content":[],"_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{"name":"s"}},"resultType":"complete"}"#
    );
}

#[test]
fn the_code_for_a_missing_resource_follows_the_era() {
    let error = bytes(r#"{"code":-32002,"message":"m","data":{"uri":"a"}}"#);
    let out = error_to_stateless(&error).expect("unique members");
    assert_eq!(text(&out), r#"{"code":-32602,"message":"m","data":{"uri":"a"}}"#);
    assert_eq!(code::of(&out), code::INVALID_PARAMS);
    let other = bytes(r#"{"code":-32603,"message":"m"}"#);
    assert_eq!(error_to_stateless(&other), Ok(other));
}

#[test]
fn each_handshake_is_told_in_the_words_of_the_other() {
    let discover = bytes(
        r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"instructions":"i","resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}"#,
    );
    let initialize = initialize_result(&discover, Revision::V2025_06_18).expect("unique members");
    assert_eq!(
        text(&initialize),
        r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"},"instructions":"i"}"#
    );
    let back = discover_result(&initialize, &[Revision::V2026_07_28]).expect("unique members");
    let server = views::Server::read(&back).expect("a result");
    assert_eq!(server.supported_versions, ["2026-07-28"]);
    assert_eq!(server.info.as_deref(), Some(&br#"{"name":"s","version":"1"}"#[..]));
    let tasks = discover_result(&bytes(r#"{"capabilities":{"tasks":{},"tools":{}}}"#), &[]).expect("unique members");
    assert!(text(&tasks).contains(r#""capabilities":{"tools":{}}"#));
    let params = initialize_params(Revision::V2025_11_25, br#"{"name":"c"}"#, b"{}");
    assert_eq!(text(&params), r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c"}}"#);
}

#[test]
fn what_a_stateless_server_asks_is_asked_in_requests_and_answered_in_a_retry() {
    let result = bytes(
        r#"{"resultType":"input_required","inputRequests":{"who":{"method":"elicitation/create","params":{"mode":"url","url":"https://x","message":"m"}},"r":{"method":"roots/list"}},"requestState":"opaque\u0041"}"#,
    );
    let asked = InputRequired::read(&result).expect("unique members").expect("input is required");
    assert_eq!(asked.asks.iter().map(|ask| ask.key.as_str()).collect::<Vec<_>>(), ["who", "r"]);
    let request = asked.asks[0].to_request(b"\"q1\"", "e1").expect("unique members");
    assert_eq!(
        text(&request),
        r#"{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"mode":"url","url":"https://x","message":"m","elicitationId":"e1"}}"#
    );
    assert_eq!(
        text(&asked.asks[1].to_request(b"2", "e").expect("unique")),
        r#"{"jsonrpc":"2.0","id":2,"method":"roots/list"}"#
    );
    assert_eq!(asked.asks[0].declined().as_deref(), Some(&br#"{"action":"cancel"}"#[..]));

    let original =
        message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"n":1E5}}}"#);
    let answers = vec![("who".to_owned(), bytes(r#"{"action":"accept"}"#)), ("r".to_owned(), bytes(r#"{"roots":[]}"#))];
    let again = retry(&original, b"\"k2\"", &answers, asked.state.as_deref()).expect("unique members");
    assert_eq!(
        text(&again),
        r#"{"jsonrpc":"2.0","id":"k2","method":"tools/call","params":{"name":"pay","arguments":{"n":1E5},"inputResponses":{"who":{"action":"accept"},"r":{"roots":[]}},"requestState":"opaque\u0041"}}"#
    );
    let third = retry(&message(text(&again)), b"3", &[], None).expect("unique members");
    assert_eq!(
        text(&third),
        r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"pay","arguments":{"n":1E5}}}"#
    );
    assert_eq!(InputRequired::read(&bytes(r#"{"content":[]}"#)), Ok(None));
}

#[test]
fn what_a_session_server_asks_during_a_call_becomes_a_result() {
    let ask = message(
        r#"{"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{"message":"m","requestedSchema":{},"_meta":{"progressToken":1},"elicitationId":"e"}}"#,
    );
    let result = input_required(&[("a", &ask)], "call-7").expect("unique members");
    assert_eq!(
        text(&result),
        r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{"message":"m","requestedSchema":{}}}},"requestState":"call-7"}"#
    );
    let read = InputRequired::read(&result).expect("unique members").expect("input is required");
    assert_eq!(read.state.as_deref(), Some(&b"\"call-7\""[..]));
    assert_eq!(
        text(&answer(b"0", br#"{"action":"accept"}"#)),
        r#"{"jsonrpc":"2.0","id":0,"result":{"action":"accept"}}"#
    );
}

#[test]
fn a_caller_is_asked_only_for_what_it_declared() {
    let with =
        |capabilities: &str| views::Caller { capabilities: Some(bytes(capabilities)), ..views::Caller::default() };
    let form = message(r#"{"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{"message":"m"}}"#);
    let url = message(r#"{"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{"mode":"url"}}"#);
    let sampling = message(r#"{"jsonrpc":"2.0","id":0,"method":"sampling/createMessage","params":{}}"#);
    assert!(can_ask(&form, &with(r#"{"elicitation":{}}"#)) && !can_ask(&url, &with(r#"{"elicitation":{}}"#)));
    assert!(
        can_ask(&url, &with(r#"{"elicitation":{"url":{}}}"#))
            && !can_ask(&form, &with(r#"{"elicitation":{"url":{}}}"#))
    );
    assert!(can_ask(&sampling, &with(r#"{"sampling":{}}"#)) && !can_ask(&sampling, &with("{}")));
}

#[test]
fn urls_to_visit_become_input_that_is_required() {
    let error = bytes(
        r#"{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://x","message":"m"}]}}"#,
    );
    let result = url_elicitation(&error).expect("unique members").expect("URLs");
    assert_eq!(
        text(&result),
        r#"{"resultType":"input_required","inputRequests":{"url-0":{"method":"elicitation/create","params":{"mode":"url","url":"https://x","message":"m"}}}}"#
    );
    assert_eq!(url_elicitation(&bytes(r#"{"code":-32603,"message":"m"}"#)), Ok(None));
}

#[test]
fn changes_reach_listeners_that_asked_for_them() {
    let server = views::Server::read(&bytes(
        r#"{"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true}}}"#,
    ));
    let server = server.expect("a server");
    let wanted = Filter { tools: true, prompts: true, resources: false, uris: vec!["a:b".into()] };
    let honoured = wanted.honoured(&server);
    assert_eq!(text(&honoured.to_json()), r#"{"toolsListChanged":true,"resourceSubscriptions":["a:b"]}"#);
    let tools = message(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    let prompts = message(r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#);
    let other = message(r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:c"}}"#);
    assert!(honoured.accepts(&tools) && !honoured.accepts(&prompts) && !honoured.accepts(&other));
    let tag = tagged(&tools, b"\"l1\"").expect("unique members");
    assert_eq!(
        text(&tag),
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"l1"}}}"#
    );
    let plain = notification_to_session(&message(text(&tag))).expect("unique members").expect("it goes on");
    assert_eq!(text(&plain), r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{}}}"#);
    let first = message(text(&acknowledged(b"\"l1\"", &honoured)));
    assert_eq!(notification_to_session(&first), Ok(None));
    assert_eq!(
        text(&closed(b"1")),
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#
    );
    let listen = message(text(&listen_request(b"\"g\"", &honoured, &caller()).expect("JSON")));
    assert_eq!(Filter::read(&listen.body_bytes().expect("params")), Ok(honoured));
    assert!(Filter::everything(&server).tools && Filter::read(&bytes("{}")).is_err());
}

#[test]
fn log_messages_reach_only_those_who_asked() {
    let log = message(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}"#);
    assert_eq!(notification_to_stateless(&log, None), Ok(None));
    assert_eq!(notification_to_stateless(&log, Some(Level::Warning)), Ok(None));
    assert!(notification_to_stateless(&log, Some(Level::Debug)).expect("unique members").is_some());
    let progress = message(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1}}"#);
    assert!(notification_to_stateless(&progress, None).expect("unique members").is_some());
    let changed = message(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    assert_eq!(notification_to_stateless(&changed, Some(Level::Debug)), Ok(None));
}
