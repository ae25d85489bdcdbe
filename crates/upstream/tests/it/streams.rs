//! Event streams: what comes before the answer, streams that are taken up again, and the session's own.

use crate::rig::{Seen, bytes, call, http, open, parse, request, until};
use crate::wire::{Request, Step, answer_to, chunk, chunked_events, event, events, json_answer, page, wire};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use upstream::{ConnectOptions, Related, RequestOptions, Session};
use vocab::FailureKind;

const REVISION: &str = "2025-11-25";

async fn session(url: &str) -> (Arc<dyn Session>, Seen) {
    let seen = Seen::default();
    (open(http(url), ConnectOptions::default(), &seen).await.expect("a session"), seen)
}

async fn pay(session: &dyn Session, id: u64) -> Result<Value, FailureKind> {
    let got = session.request(call(session, id, "pay", json!({})), RequestOptions::default()).await;
    got.map(|answer| parse(&answer)).map_err(|failure| failure.kind)
}

fn note(name: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": name })
}

fn primed(id: &str, retry: u64) -> Vec<u8> {
    format!("id: {id}\nretry: {retry}\ndata:\n\n").into_bytes()
}

fn numbered(id: &str, message: &Value) -> Vec<u8> {
    format!("id: {id}\ndata: {message}\n\n").into_bytes()
}

fn last_event(request: &Request) -> Option<&str> {
    request.header("last-event-id")
}

#[tokio::test]
async fn messages_before_the_answer_come_first_and_in_order() {
    let server = wire(REVISION, |request| match request.is_call() {
        true => {
            let ask = json!({ "jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {} });
            let all = [note("notifications/a"), ask, note("notifications/b"), answer_to(request)];
            let mut stream = events();
            all.iter().for_each(|message| stream.extend(event(message)));
            // In pieces that end anywhere.
            let mut steps: Vec<Step> = stream.chunks(7).map(|piece| Step::Send(piece.to_vec())).collect();
            steps.push(Step::Close);
            steps
        }
        false => Vec::new(),
    })
    .await;
    let (session, seen) = session(&server.url).await;
    let got = pay(&*session, 5).await.expect("an answer");
    assert_eq!(got["id"], 5);
    assert_eq!(seen.methods(), ["notifications/a", "elicitation/create", "notifications/b"]);
    assert!(seen.all().iter().all(|one| one.related == Related::Request("5".into())));
    session.post(bytes(&json!({ "jsonrpc": "2.0", "id": "q", "result": {} }))).await.expect("taken");
    assert_eq!(server.requests().last().expect("it came").message["id"], "q");
}

#[tokio::test]
async fn a_batch_of_2025_03_26_holds_the_answer_and_what_goes_before_it() {
    let server = wire("2025-03-26", |request| match request.is_call() {
        true => vec![Step::Send(json_answer(200, &json!([note("notifications/a"), answer_to(request)])))],
        false => Vec::new(),
    })
    .await;
    let (session, seen) = session(&server.url).await;
    assert!(pay(&*session, 1).await.is_ok());
    assert_eq!(seen.methods(), ["notifications/a"]);
}

//= G3
#[tokio::test]
async fn a_stream_that_ends_is_taken_up_where_it_was_when_the_server_says() {
    let server = wire(REVISION, |request| match (request.method.as_str(), last_event(request)) {
        ("POST", _) if request.is_call() => {
            vec![Step::Send(events()), Step::Send(primed("e-1", 300)), Step::Close]
        }
        ("GET", Some("e-1")) => {
            let stream = [events(), numbered("e-2", &note("notifications/a"))].concat();
            vec![Step::Send(stream), Step::Reset]
        }
        ("GET", Some("e-2")) => {
            let answer = json!({ "jsonrpc": "2.0", "id": 9, "result": { "after": "all" } });
            vec![Step::Send([events(), event(&answer)].concat()), Step::Close]
        }
        _ => Vec::new(),
    })
    .await;
    let (session, seen) = session(&server.url).await;
    let began = Instant::now();
    let got = pay(&*session, 9).await.expect("an answer");
    assert_eq!(got["result"]["after"], "all");
    assert!(began.elapsed() >= Duration::from_millis(600), "twice the pause that the server asked for");
    assert_eq!(seen.methods(), ["notifications/a"]);
    assert_eq!(seen.all()[0].related, Related::Request("9".into()));
    assert_eq!(server.calls().len(), 1, "the call itself was sent once");
    let resumed: Vec<Request> = server.of_method("GET").into_iter().filter(|one| last_event(one).is_some()).collect();
    assert!(resumed.iter().all(|one| one.header("mcp-session-id") == Some("s-1")));
    assert!(resumed.iter().all(|one| one.header("mcp-protocol-version") == Some(REVISION)));
}

//= G3
#[tokio::test]
async fn a_stream_that_cannot_be_taken_up_again_ended() {
    // The server has no such stream, or one that never brings anything.
    for (refusal, opened) in [(page(405, ""), 1), ([events(), b":\n\n".to_vec()].concat(), 5)] {
        let server = wire(REVISION, move |request| match (request.method.as_str(), last_event(request)) {
            ("POST", _) if request.is_call() => {
                vec![Step::Send(events()), Step::Send(primed("e-1", 1)), Step::Close]
            }
            ("GET", Some(_)) => vec![Step::Send(refusal.clone()), Step::Close],
            _ => Vec::new(),
        })
        .await;
        let (session, _) = session(&server.url).await;
        assert_eq!(pay(&*session, 1).await, Err(FailureKind::Eof));
        assert_eq!(server.of_method("GET").iter().filter(|one| last_event(one).is_some()).count(), opened);
        assert_eq!(server.calls().len(), 1);
    }
}

//= G1
#[tokio::test]
async fn the_stateless_revision_takes_no_stream_up_again() {
    let server = wire("2026-07-28", |request| match request.is_call() {
        true => vec![Step::Send(events()), Step::Send(primed("e-1", 1)), Step::Close],
        false => Vec::new(),
    })
    .await;
    let options = ConnectOptions { revision: Some(mcp::Revision::LATEST), ..ConnectOptions::default() };
    let session = open(http(&server.url), options, &Seen::default()).await.expect("a session");
    assert_eq!(pay(&*session, 1).await, Err(FailureKind::Eof));
    session.close().await;
    assert!(server.of_method("GET").is_empty());
    assert!(server.of_method("DELETE").is_empty());
}

#[tokio::test]
async fn the_sessions_own_stream_is_listened_to_and_taken_up_again() {
    let opened = AtomicUsize::new(0);
    let server = wire(REVISION, move |request| match request.method.as_str() {
        "GET" => match opened.fetch_add(1, Ordering::Relaxed) {
            0 => {
                let stream = [events(), primed("e-1", 20), numbered("e-2", &note("notifications/a"))].concat();
                vec![Step::Send(stream), Step::Close]
            }
            1 => vec![Step::Send([events(), event(&note("notifications/b"))].concat()), Step::Hang],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    })
    .await;
    let (session, seen) = session(&server.url).await;
    let all = seen.at_least(2).await;
    assert_eq!(seen.methods(), ["notifications/a", "notifications/b"]);
    assert!(all.iter().all(|one| one.related == Related::Session));
    let asked: Vec<Option<String>> =
        server.of_method("GET").iter().map(|request| last_event(request).map(str::to_owned)).collect();
    assert_eq!(asked, [None, Some("e-2".to_owned())]);
    session.close().await;
}

#[tokio::test]
async fn a_server_that_forgot_a_session_whose_stream_it_had_ends_it() {
    let opened = AtomicUsize::new(0);
    let server = wire(REVISION, move |request| match request.method.as_str() {
        "GET" if opened.fetch_add(1, Ordering::Relaxed) == 0 => {
            vec![Step::Send([events(), primed("e-1", 20)].concat()), Step::Close]
        }
        "GET" => vec![Step::Send(page(404, ""))],
        _ => Vec::new(),
    })
    .await;
    let (session, _) = session(&server.url).await;
    until("the session is closed", || session.is_closed()).await;
    assert_eq!(pay(&*session, 1).await, Err(FailureKind::NotSent));
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn a_server_that_has_no_stream_of_its_own_is_not_asked_again() {
    for status in [404, 405, 400] {
        let server = wire(REVISION, move |request| match request.method.as_str() {
            "GET" => vec![Step::Send(page(status, ""))],
            _ => Vec::new(),
        })
        .await;
        let (session, _) = session(&server.url).await;
        until("it was asked", || !server.of_method("GET").is_empty()).await;
        assert!(pay(&*session, 1).await.is_ok());
        assert!(!session.is_closed());
        assert_eq!(server.of_method("GET").len(), 1);
    }
}

#[tokio::test]
async fn a_long_answer_arrives_whole() {
    let text = "ä\\\"".repeat(1_000_000);
    let long = move |request: &Request| json!({ "jsonrpc": "2.0", "id": request.message["id"], "result": text });
    let expected = long.clone();
    let server = wire(REVISION, move |request| match request.is_call() {
        true if request.message["id"] == 1 => vec![Step::Send(json_answer(200, &long(request)))],
        true => vec![Step::Send([events(), event(&long(request))].concat()), Step::Close],
        false => Vec::new(),
    })
    .await;
    let (session, _) = session(&server.url).await;
    for id in 1..=2 {
        let got = pay(&*session, id).await.expect("an answer");
        assert_eq!(got, expected(&server.calls()[usize::try_from(id).expect("small") - 1]));
    }
}

#[tokio::test]
async fn an_interim_answer_is_passed_over() {
    let server = wire(REVISION, |request| match request.is_call() {
        true => {
            let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec();
            vec![Step::Send(interim), Step::Send(json_answer(200, &answer_to(request)))]
        }
        false => Vec::new(),
    })
    .await;
    let (session, _) = session(&server.url).await;
    assert!(pay(&*session, 1).await.is_ok());
}

#[tokio::test]
async fn progress_on_the_sessions_own_stream_belongs_to_the_call_whose_token_it_names() {
    let server = wire(REVISION, |request| match request.method.as_str() {
        "GET" => {
            let progress = |token: &str| json!({ "progressToken": token, "progress": 1 });
            let named =
                |token| json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": progress(token) });
            let stream = [events(), event(&named("t-1")), event(&named("t-2"))].concat();
            // The call is under way by then.
            vec![Step::Pause(Duration::from_millis(300)), Step::Send(stream), Step::Hang]
        }
        _ if request.is_call() => {
            vec![Step::Pause(Duration::from_secs(1)), Step::Send(json_answer(200, &answer_to(request)))]
        }
        _ => Vec::new(),
    })
    .await;
    let (session, seen) = session(&server.url).await;
    let params = json!({ "name": "pay", "arguments": {}, "_meta": { "progressToken": "t-1" } });
    let asked = session.request(request(&*session, 1, "tools/call", params), RequestOptions::default());
    let (got, all) = tokio::join!(asked, seen.at_least(2));
    assert!(got.is_ok());
    assert_eq!(all[0].related, Related::Request("1".into()));
    assert_eq!(all[1].related, Related::Session);
}

#[tokio::test]
async fn calls_one_after_the_other_share_one_warm_connection() {
    let as_json = wire(REVISION, |_| Vec::new()).await;
    let as_events = wire(REVISION, |request| match request.is_call() {
        true => {
            // The end of the stream comes a little later than the answer.
            let answer = [chunked_events(), chunk(&event(&answer_to(request)))].concat();
            vec![Step::Send(answer), Step::Pause(Duration::from_millis(2)), Step::Send(b"0\r\n\r\n".to_vec())]
        }
        false => Vec::new(),
    })
    .await;
    // Under load the end of a stream may come after the next call.
    for (server, at_most) in [(as_json, 1), (as_events, 3)] {
        let (session, _) = session(&server.url).await;
        for id in 1..=10 {
            assert!(pay(&*session, id).await.is_ok());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let used: Vec<usize> = server.calls().iter().map(|call| call.connection).collect();
        let distinct: HashSet<usize> = used.iter().copied().collect();
        assert!(distinct.len() <= at_most, "{used:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_closes_its_stream() {
    let server = wire(REVISION, |request| match request.is_call() {
        true => vec![Step::Send(events()), Step::Hang],
        false => Vec::new(),
    })
    .await;
    let (session, _) = session(&server.url).await;
    let options = RequestOptions { timeout: Some(Duration::from_millis(100)), ..RequestOptions::default() };
    let got = session.request(call(&*session, 1, "pay", json!({})), options).await;
    assert_eq!(got.expect_err("nothing came").kind, FailureKind::Timeout);
    // `Hang` ends when the other side closes; the server then has nobody on that connection.
    assert!(pay_with_timeout(&*session).await);
    assert_eq!(server.calls().len(), 2);
    assert_ne!(server.calls()[0].connection, server.calls()[1].connection);
}

async fn pay_with_timeout(session: &dyn Session) -> bool {
    let options = RequestOptions { timeout: Some(Duration::from_millis(100)), ..RequestOptions::default() };
    let got = session.request(call(session, 1, "pay", json!({})), options).await;
    got.is_err_and(|failure| failure.kind == FailureKind::Timeout)
}
