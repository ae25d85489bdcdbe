//! Each way in which an exchange over HTTP can fail, by its name, and that nothing is sent twice.

use crate::rig::{Seen, bytes, call, http, open, request};
use crate::wire::{Request, Step, Wire, answer_to, chunked_events, event, events, json_answer, page, wire};
use crate::wire::{wire_that_stops_reading, with_headers};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use upstream::{Config, ConnectOptions, Gate, RequestOptions, Session};
use vocab::{Failure, FailureKind};

const REVISION: &str = "2025-11-25";

async fn session_with(config: Config) -> Arc<dyn Session> {
    open(config, ConnectOptions::default(), &Seen::default()).await.expect("a session")
}

/// Calls a tool of a server that answers calls like this.
async fn answered(steps: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> (Result<Value, Failure>, Wire) {
    let server = wire(REVISION, move |request| if request.is_call() { steps(request) } else { Vec::new() }).await;
    let session = session_with(http(&server.url)).await;
    let options = RequestOptions { timeout: Some(Duration::from_millis(1_500)), ..RequestOptions::default() };
    let got = session.request(call(&*session, 1, "pay", json!({})), options).await;
    (got.map(|answer| crate::rig::parse(&answer)), server)
}

async fn check(what: &str, expected: FailureKind, steps: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) {
    let (got, server) = answered(steps).await;
    let failure = got.expect_err(what);
    assert_eq!(failure.kind, expected, "{what}: {failure:?}");
    assert_eq!(server.calls().len(), 1, "{what}: sent once");
}

fn send(bytes: Vec<u8>) -> Vec<Step> {
    vec![Step::Send(bytes)]
}

//= G3
#[tokio::test]
async fn a_status_without_an_answer_is_a_status() {
    for status in [301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 408, 409, 413, 415, 421, 429, 500, 502, 503, 504] {
        check("a page", FailureKind::Status(status), move |_| send(page(status, "<h1>no</h1>"))).await;
    }
}

//= G1
//= G3
#[tokio::test]
async fn a_request_that_may_not_begin_once_a_connection_is_there_never_leaves() {
    let server = wire(REVISION, |_| Vec::new()).await;
    let session = session_with(http(&server.url)).await;
    let gate = Some(Gate::new(|| false));
    let options = RequestOptions { gate, timeout: Some(Duration::from_secs(60)), ..RequestOptions::default() };
    let failure = session.request(call(&*session, 1, "pay", json!({})), options).await.expect_err("it may not");
    assert_eq!((failure.kind, server.calls().len()), (FailureKind::NotSent, 0));
}

//= G1
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = wire(REVISION, |_| Vec::new()).await;
    let url = elsewhere.url.clone();
    for status in [301, 302, 303, 307, 308] {
        let location = format!("text/plain\r\nLocation: {url}");
        check("a redirect", FailureKind::Status(status), move |_| send(with_headers(status, &location, b""))).await;
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_hint_when_to_come_back_is_kept() {
    let (got, _) = answered(|_| send(with_headers(429, "text/plain\r\nRetry-After: 7", b""))).await;
    let failure = got.expect_err("too many");
    assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
}

fn error(id: Value, code: i64) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": "no" } })
}

//= G3
#[tokio::test]
async fn an_error_in_words_keeps_its_code_and_its_status() {
    let rpc = |code, status| FailureKind::Rpc { code, status: Some(status) };
    check("bad request", rpc(-32600, 400), |call| send(json_answer(400, &error(call.message["id"].clone(), -32600))))
        .await;
    check("internal", rpc(-32603, 500), |call| send(json_answer(500, &error(call.message["id"].clone(), -32603))))
        .await;
    check("no id", rpc(-32700, 200), |_| send(json_answer(200, &error(Value::Null, -32700)))).await;
    check("no id, as an event", rpc(-32700, 200), |_| {
        vec![Step::Send(events()), Step::Send(event(&error(Value::Null, -32700))), Step::Close]
    })
    .await;
    // The status says that nothing ran, whatever the words.
    check("unauthorised", FailureKind::Status(401), |_| send(json_answer(401, &error(Value::Null, -32001)))).await;
    let (got, _) = answered(|call| send(json_answer(400, &error(call.message["id"].clone(), -32600)))).await;
    let failure = got.expect_err("refused");
    assert_eq!(crate::rig::parse(&failure.rpc_error.expect("its words"))["message"], "no");
}

#[tokio::test]
async fn an_error_under_our_id_is_an_answer() {
    let (got, _) = answered(|call| send(json_answer(200, &error(call.message["id"].clone(), -32603)))).await;
    assert_eq!(got.expect("an answer")["error"]["code"], -32603);
}

//= G3
#[tokio::test]
async fn an_end_before_the_answer_is_an_end() {
    check("nothing", FailureKind::Eof, |_| vec![Step::Close]).await;
    check("half a head", FailureKind::Eof, |_| vec![Step::Send(b"HTTP/1.1 200 OK\r\nConte".to_vec()), Step::Close])
        .await;
    check("half a body", FailureKind::Eof, |call| {
        let whole = json_answer(200, &answer_to(call));
        vec![Step::Send(whole[..whole.len() - 5].to_vec()), Step::Close]
    })
    .await;
    check("no event", FailureKind::Eof, |_| vec![Step::Send(events()), Step::Close]).await;
    check("half an event", FailureKind::Eof, |call| {
        let whole = event(&answer_to(call));
        vec![Step::Send(events()), Step::Send(whole[..whole.len() - 1].to_vec()), Step::Close]
    })
    .await;
    check("a chunk less", FailureKind::Eof, |_| vec![Step::Send(chunked_events()), Step::Close]).await;
}

//= G3
#[tokio::test]
async fn a_reset_is_a_reset() {
    check("at once", FailureKind::Reset, |_| vec![Step::Reset]).await;
    check("in the body", FailureKind::Reset, |call| {
        let whole = json_answer(200, &answer_to(call));
        vec![Step::Send(whole[..whole.len() - 5].to_vec()), Step::Pause(Duration::from_millis(50)), Step::Reset]
    })
    .await;
    check("in the stream", FailureKind::Reset, |_| {
        vec![Step::Send(events()), Step::Pause(Duration::from_millis(50)), Step::Reset]
    })
    .await;
}

//= G3
#[tokio::test]
async fn silence_is_a_timeout() {
    check("no head", FailureKind::Timeout, |_| vec![Step::Hang]).await;
    check("no body", FailureKind::Timeout, |call| {
        let whole = json_answer(200, &answer_to(call));
        vec![Step::Send(whole[..whole.len() - 5].to_vec()), Step::Hang]
    })
    .await;
    check("no event", FailureKind::Timeout, |_| vec![Step::Send(events()), Step::Hang]).await;
}

//= S-26
#[tokio::test]
async fn what_is_no_answer_is_unparsable() {
    check("a page", FailureKind::Unparsable, |_| send(page(200, "<h1>It works!</h1>"))).await;
    check("half of the JSON", FailureKind::Unparsable, |call| {
        let text = answer_to(call).to_string();
        send(with_headers(200, "application/json", &text.as_bytes()[..text.len() / 2]))
    })
    .await;
    check("another id", FailureKind::Unparsable, |_| {
        send(json_answer(200, &json!({ "jsonrpc": "2.0", "id": "other", "result": {} })))
    })
    .await;
    check("an id of another type", FailureKind::Unparsable, |_| {
        send(json_answer(200, &json!({ "jsonrpc": "2.0", "id": "1", "result": {} })))
    })
    .await;
    check("no JSON-RPC", FailureKind::Unparsable, |_| send(json_answer(200, &json!({ "id": 1, "result": {} })))).await;
    check("nothing", FailureKind::Unparsable, |_| send(page(202, ""))).await;
    check("no HTTP", FailureKind::Unparsable, |_| vec![Step::Send(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()), Step::Close])
        .await;
    check("an event that is no message", FailureKind::Unparsable, |_| {
        vec![Step::Send(events()), Step::Send(b"data: {\"jsonrpc\":\n\n".to_vec()), Step::Hang]
    })
    .await;
    check("too deep", FailureKind::Unparsable, |call| {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{deep}}}"#, call.message["id"]);
        send(with_headers(200, "application/json", text.as_bytes()))
    })
    .await;
}

//= S-26
#[tokio::test]
async fn what_is_too_large_is_not_taken_in() {
    let small = |url: &str| {
        let mut config = http(url);
        config.limits.message_max = 10_000;
        config
    };
    let megabyte = "x".repeat(1_000_000);
    let whole =
        |call: &Request, text: &str| json!({ "jsonrpc": "2.0", "id": call.message["id"], "result": { "t": text } });
    let as_json = megabyte.clone();
    let as_event = megabyte.clone();
    type Handler = Box<dyn Fn(&Request) -> Vec<Step> + Send + Sync>;
    let handlers: [Handler; 3] = [
        Box::new(move |call| send(json_answer(200, &whole(call, &as_json)))),
        Box::new(move |call| vec![Step::Send(events()), Step::Send(event(&whole(call, &as_event)))]),
        // Without an end, and without a line break.
        Box::new(move |_| [vec![Step::Send(events())], vec![Step::Send(megabyte.clone().into()); 50]].concat()),
    ];
    for handler in handlers {
        let server = wire(REVISION, move |request| if request.is_call() { handler(request) } else { Vec::new() }).await;
        let session = session_with(small(&server.url)).await;
        let got = session.request(call(&*session, 1, "pay", json!({})), RequestOptions::default()).await;
        assert_eq!(got.expect_err("too large").kind, FailureKind::TooLarge);
        assert_eq!(server.calls().len(), 1);
    }
}

//= S-26
#[tokio::test]
async fn a_head_without_end_is_not_taken_in() {
    let line = b"X-Filler: 0123456789012345678901234567890123456789\r\n".repeat(20_000);
    check("a head of a megabyte", FailureKind::Unparsable, move |_| {
        vec![Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Step::Send(line.clone()), Step::Hang]
    })
    .await;
}

#[tokio::test]
async fn nobody_there_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/mcp?key=s3cr3t", listener.local_addr().expect("an address"));
    drop(listener);
    let failure = open(http(&url), ConnectOptions::default(), &Seen::default()).await.err().expect("nobody");
    assert_eq!(failure.kind, FailureKind::Connect);
    assert!(!format!("{failure:?}").contains("s3cr3t"));
    let failure = open(http("http://nowhere.invalid/mcp"), ConnectOptions::default(), &Seen::default()).await.err();
    assert_eq!(failure.expect("no such name").kind, FailureKind::Connect);
}

#[tokio::test]
async fn a_server_without_tls_fails_at_the_handshake() {
    for words in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"", b"\x15\x03\x03\x00\x02\x02\x28"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("https://{}/mcp", listener.local_addr().expect("an address"));
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.read_buf(&mut Vec::new()).await.expect("its hello");
            stream.write_all(words).await.expect("it reads");
            // Closed to others too: one attempt is all there is.
        });
        let failure = open(http(&url), ConnectOptions::default(), &Seen::default()).await.err().expect("no TLS");
        assert_eq!(failure.kind, FailureKind::Tls, "{failure:?}");
        served.await.expect("served");
    }
}

#[tokio::test]
async fn a_server_that_is_silent_during_the_tls_handshake_fails_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut config = http(&format!("https://{}/mcp", listener.local_addr().expect("an address")));
    // A third of it is the handshake's; the rest has room for reading the system's certificates on a busy machine.
    config.connect_timeout = Duration::from_secs(15);
    let failure = open(config, ConnectOptions::default(), &Seen::default()).await.err().expect("no TLS");
    assert_eq!(failure.kind, FailureKind::Tls);
}

//= G1
//= G3
#[tokio::test]
async fn a_request_that_breaks_off_before_its_last_byte_is_cut() {
    for last in [Step::Reset, Step::Close, Step::Hang] {
        let server = wire_that_stops_reading(REVISION, last.clone()).await;
        let session = session_with(http(&server.url)).await;
        let long = request(&*session, 1, "tools/call", json!({ "name": "pay", "long": "x".repeat(16_000_000) }));
        let options = RequestOptions { timeout: Some(Duration::from_millis(1_500)), ..RequestOptions::default() };
        let failure = session.request(long, options).await.expect_err("nobody read it");
        assert_eq!(failure.kind, FailureKind::Cut, "{last:?}: {failure:?}");
    }
}

//= G3
#[tokio::test]
async fn an_answer_before_the_last_byte_of_the_request_counts() {
    let server = wire_that_stops_reading(REVISION, Step::Send(page(413, ""))).await;
    let session = session_with(http(&server.url)).await;
    let long = request(&*session, 1, "tools/call", json!({ "name": "pay", "long": "x".repeat(16_000_000) }));
    let failure = session.request(long, RequestOptions::default()).await.expect_err("it is too large for it");
    assert_eq!(failure.kind, FailureKind::Status(413), "{failure:?}");
    // What was left of the request does not go out in front of the next one.
    let got = session.request(call(&*session, 2, "pay", json!({})), RequestOptions::default()).await;
    assert!(got.is_ok(), "{got:?}");
}

//= G1
#[tokio::test]
async fn a_request_that_meets_the_end_of_a_warm_connection_is_not_sent_again() {
    // The connection of the handshake is closed when the call comes: after it was read, or together with its answer.
    for steps in [vec![Step::Close], vec![Step::Reset]] {
        let server = wire(REVISION, move |request| if request.is_call() { steps.clone() } else { Vec::new() }).await;
        let session = session_with(http(&server.url)).await;
        let got = session.request(call(&*session, 1, "pay", json!({})), RequestOptions::default()).await;
        let kind = got.expect_err("it was closed").kind;
        assert!(matches!(kind, FailureKind::Eof | FailureKind::Reset), "{kind:?}");
        assert_eq!(server.calls().len(), 1);
        assert_eq!(server.calls()[0].connection, 1, "the warm one");
    }
}

//= G1
#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_not_used() {
    for last in [Step::Close, Step::Reset] {
        let end = last.clone();
        let server = wire(REVISION, move |request| match request.rpc_method() {
            "notifications/initialized" => vec![Step::Send(page(202, "")), end.clone()],
            _ => Vec::new(),
        })
        .await;
        let session = session_with(http(&server.url)).await;
        // The end of the connection arrives some time after the answer.
        tokio::time::sleep(Duration::from_millis(100)).await;
        for id in 1..=2 {
            session.request(call(&*session, id, "pay", json!({})), RequestOptions::default()).await.expect("an answer");
        }
        assert_eq!(server.calls().len(), 2);
    }
}

//= G3
#[tokio::test]
async fn a_session_that_the_server_forgot_is_over() {
    let server = wire(REVISION, |request| match request.is_call() {
        true => send(json_answer(404, &error(Value::Null, -32001))),
        false => Vec::new(),
    })
    .await;
    let session = session_with(http(&server.url)).await;
    let got = session.request(call(&*session, 1, "pay", json!({})), RequestOptions::default()).await;
    assert_eq!(got.expect_err("forgotten").kind, FailureKind::Status(404));
    assert!(session.is_closed());
    let got = session.request(call(&*session, 2, "pay", json!({})), RequestOptions::default()).await;
    assert_eq!(got.expect_err("over").kind, FailureKind::NotSent);
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn what_is_no_request_is_not_sent() {
    let server = wire(REVISION, |_| Vec::new()).await;
    let session = session_with(http(&server.url)).await;
    let before = server.requests().len();
    for strange in ["", "{}", "[]", r#"{"jsonrpc":"2.0","method":"notifications/x"}"#, "\u{0}"] {
        let got = session.request(strange.to_owned().into(), RequestOptions::default()).await;
        assert_eq!(got.expect_err(strange).kind, FailureKind::NotSent);
    }
    let headers = vec![("mcp-session-id".into(), "mine".to_owned())];
    let options = RequestOptions { headers, ..RequestOptions::default() };
    let got = session.request(call(&*session, 1, "pay", json!({})), options).await;
    assert_eq!(got.expect_err("not the call's to set").kind, FailureKind::NotSent);
    assert_eq!(server.requests().iter().filter(|one| one.method == "POST").count(), before);
    assert!(session.post(bytes(&json!({ "jsonrpc": "2.0", "method": "notifications/x" }))).await.is_ok());
}
