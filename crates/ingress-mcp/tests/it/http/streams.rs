//! Streams of events: when an answer becomes one, how it is numbered, kept alive and taken up again, and what it means
//! that a client leaves.

use super::client::{Ask, Client};
use super::fakes::{CALLED, Gateway, Setup, call, gateway, get, post, read, stateless};
use std::time::Duration;
use upstream::Related;

/// The id of an event.
fn id(event: &str) -> &str {
    event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap_or_default()
}

/// A stream on which a request has told its progress and waits.
async fn under_way(gateway: &Gateway, session: &str) -> (Client, String) {
    let mut client = gateway.client().await;
    let answer = client.ask(post(session, &read(1, "tell:a"))).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(client.event().await.as_deref(), Some("id: 1-0\nretry: 1000\ndata:"));
    let progress = client.event().await.expect("progress");
    assert!(progress.contains("notifications/progress"), "{progress}");
    (client, progress)
}

#[tokio::test]
async fn a_request_with_progress_is_answered_by_a_numbered_stream_that_ends_with_the_response() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let (mut client, progress) = under_way(&gateway, &session).await;
    assert_eq!(id(&progress), "1-1");
    gateway.world.release();
    let response = client.event().await.expect("the response");
    assert!(id(&response) == "1-2" && response.contains(r#""contents""#), "{response}");
    assert_eq!(client.event().await, None);
    assert_eq!(client.ask(post(&session, &read(2, "b"))).await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn a_stream_tells_proxies_not_to_hold_it_back() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let opened = gateway.client().await.ask(get(&session)).await;
    assert_eq!(opened.status, 200);
    assert_eq!(opened.header("content-type"), Some("text/event-stream"));
    assert_eq!(opened.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(opened.header("x-accel-buffering"), Some("no"));
}

#[tokio::test]
async fn clients_of_earlier_revisions_get_ids_but_no_event_without_a_message() {
    let gateway = gateway().await;
    let session = gateway.session_of("2025-06-18").await;
    let mut client = gateway.client().await;
    client.ask(post(&session, &read(1, "tell:a")).instead("MCP-Protocol-Version", "2025-06-18")).await;
    let progress = client.event().await.expect("progress");
    assert!(id(&progress) == "1-1" && progress.contains("notifications/progress"), "{progress}");
}

#[tokio::test]
async fn the_stateless_revision_has_no_ids() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let body = r#""uri":"tell:a""#;
    let answer = client.ask(with_token(stateless("resources/read", Some("tell:a"), body))).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"), "{answer:?}");
    let progress = client.event().await.expect("progress");
    assert!(id(&progress).is_empty() && progress.contains("notifications/progress"), "{progress}");
    gateway.world.release();
    assert!(client.event().await.is_some_and(|response| response.contains("contents")));
    assert_eq!(client.event().await, None);
}

/// With a progress token in its `_meta`.
fn with_token(ask: Ask) -> Ask {
    let length = ask.text().split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
    let token = r#""progressToken":"t","#;
    ask.body_with(r#""_meta":{"#, &format!(r#""_meta":{{{token}"#))
        .instead("Content-Length", &(length + token.len()).to_string())
}

#[tokio::test]
async fn a_slow_answer_becomes_a_stream_that_is_kept_alive() {
    let mut setup = Setup::default();
    setup.config.stream_after = Duration::from_millis(20);
    setup.config.keep_alive = Duration::from_millis(20);
    let gateway = setup.start().await;
    let session = gateway.session().await;
    let mut client = gateway.client().await;
    let answer = client.ask(post(&session, &read(1, "wait:a"))).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(client.chunk().await.as_deref(), Some("id: 1-0\nretry: 1000\ndata:"));
    assert_eq!(client.chunk().await.as_deref(), Some(":"));
    assert_eq!(client.chunk().await.as_deref(), Some(":"));
    gateway.world.release();
    assert!(client.event().await.is_some_and(|response| response.contains("contents")));
    assert_eq!(client.event().await, None);
}

fn said(number: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"u{number}"}}}}"#)
}

#[tokio::test]
async fn what_an_upstream_says_by_itself_comes_on_the_sessions_own_stream() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    gateway.ask(post(&session, &read(1, "a"))).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(get(&session)).await.status, 200);
    assert_eq!(client.event().await.as_deref(), Some("id: 0-0\nretry: 1000\ndata:"));
    gateway.world.say(&said(1), Related::Session);
    let event = client.event().await.expect("an event");
    assert!(id(&event) == "0-1" && event.contains("u1"), "{event}");
}

#[tokio::test]
async fn a_newer_own_stream_ends_the_older_one_and_goes_on_from_the_last_event() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    gateway.ask(post(&session, &read(1, "a"))).await;
    let mut older = gateway.client().await;
    older.ask(get(&session)).await;
    older.event().await.expect("the first event");
    for number in 1..=3 {
        gateway.world.say(&said(number), Related::Session);
        assert!(older.event().await.is_some_and(|event| event.contains(&format!("u{number}"))));
    }
    let mut newer = gateway.client().await;
    assert_eq!(newer.ask(get(&session).with("Last-Event-ID", "0-1")).await.status, 200);
    assert!(newer.event().await.is_some_and(|event| id(&event) == "0-2" && event.contains("u2")));
    assert!(newer.event().await.is_some_and(|event| id(&event) == "0-3" && event.contains("u3")));
    assert_eq!(older.event().await, None);
    gateway.world.say(&said(4), Related::Session);
    assert!(newer.event().await.is_some_and(|event| id(&event) == "0-4" && event.contains("u4")));
}

#[tokio::test]
async fn a_stream_that_broke_is_taken_up_where_it_broke() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let (client, progress) = under_way(&gateway, &session).await;
    drop(client);
    let mut again = gateway.client().await;
    let resumed = again.ask(get(&session).with("Last-Event-ID", id(&progress))).await;
    assert_eq!((resumed.status, resumed.header("content-type")), (200, Some("text/event-stream")));
    gateway.world.release();
    let response = again.event().await.expect("the response");
    assert!(id(&response) == "1-2" && response.contains("contents"), "{response}");
    assert_eq!(again.event().await, None);
    assert_eq!(gateway.world.noted("gave up tell:a"), 0, "the request was never given up");
}

#[tokio::test]
async fn what_was_missed_is_sent_again_also_after_the_stream_has_ended() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let (mut client, _) = under_way(&gateway, &session).await;
    gateway.world.release();
    client.event().await.expect("the response");
    drop(client);
    let mut again = gateway.client().await;
    again.ask(get(&session).with("Last-Event-ID", "1-0")).await;
    assert!(again.event().await.is_some_and(|event| event.contains("notifications/progress")));
    assert!(again.event().await.is_some_and(|event| event.contains("contents")));
    assert_eq!(again.event().await, None);
}

#[tokio::test]
async fn a_stream_cannot_be_taken_up_by_a_made_up_id_or_when_nothing_of_it_is_kept() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    for unknown in ["nonsense", "7-1", "1-0"] {
        let refused = gateway.ask(get(&session).with("Last-Event-ID", unknown)).await;
        assert!(refused.status == 400 && refused.body.contains("take up the stream"), "{unknown}: {refused:?}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_come_back_has_left() {
    let mut setup = Setup::default();
    setup.config.resume = Duration::from_millis(50);
    let gateway = setup.start().await;
    let session = gateway.session().await;
    let (client, progress) = under_way(&gateway, &session).await;
    drop(client);
    gateway.world.until("gave up tell:a").await;
    let late = gateway.ask(get(&session).with("Last-Event-ID", id(&progress))).await;
    assert_eq!(late.status, 400);
}

#[tokio::test]
async fn a_client_that_leaves_before_its_answer_has_left_at_once_while_no_bytes_flow() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let mut client = gateway.client().await;
    client.write(post(&session, &read(1, "wait:a")).text().as_bytes()).await;
    gateway.world.until("reads wait:a").await;
    drop(client);
    gateway.world.until("gave up wait:a").await;
}

#[tokio::test]
async fn closing_a_stream_of_the_stateless_revision_cancels_its_request_at_once() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.ask(with_token(stateless("resources/read", Some("tell:a"), r#""uri":"tell:a""#))).await;
    client.event().await.expect("progress");
    drop(client);
    gateway.world.until("gave up tell:a").await;
}

#[tokio::test]
async fn a_session_that_is_ended_gives_up_the_streams_that_were_left() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let (client, _) = under_way(&gateway, &session).await;
    drop(client);
    assert_eq!(gateway.ask(Ask::of("DELETE", "/mcp/shop").with("Mcp-Session-Id", &session)).await.status, 204);
    gateway.world.until("gave up tell:a").await;
}

#[tokio::test]
async fn a_request_that_is_cancelled_is_answered_by_nothing() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let mut client = gateway.client().await;
    client.write(post(&session, &read(1, "wait:a")).text().as_bytes()).await;
    gateway.world.until("reads wait:a").await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(gateway.ask(post(&session, cancel)).await.status, 202);
    let nothing = client.answer().await;
    assert_eq!((nothing.status, nothing.body.as_str()), (202, ""));
    gateway.world.until("gave up wait:a").await;
}

#[tokio::test]
async fn an_answer_is_reported_as_flushed_once_its_last_byte_is_written() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    gateway.world.release();
    let paid = gateway.ask(call(&session, 1)).await;
    assert!(paid.status == 200 && paid.body.contains("paid"), "{paid:?}");
    gateway.world.until("Flushed").await;
    assert_eq!(gateway.world.noted("Lost"), 0);
}

#[tokio::test]
async fn an_answer_on_a_stream_is_reported_as_flushed_too() {
    let mut setup = Setup::default();
    setup.config.stream_after = Duration::from_millis(20);
    let gateway = setup.start().await;
    let session = gateway.session().await;
    let mut client = gateway.client().await;
    let answer = client.ask(call(&session, 1)).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    gateway.world.release();
    client.event().await.expect("the first event");
    assert!(client.event().await.is_some_and(|response| response.contains("paid")));
    gateway.world.until("Flushed").await;
    assert_eq!(gateway.world.noted("Lost"), 0);
}

#[tokio::test]
async fn a_client_that_leaves_during_a_call_is_told_to_the_guard() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let mut client = gateway.client().await;
    client.write(call(&session, 1).text().as_bytes()).await;
    gateway.world.until(CALLED).await;
    drop(client);
    gateway.world.until("left").await;
    assert_eq!(gateway.world.noted("Flushed"), 0);
}

#[tokio::test]
async fn a_batch_is_answered_by_an_array_or_by_a_stream() {
    let gateway = gateway().await;
    let session = gateway.session_of("2025-03-26").await;
    let batch = |members: &[String]| {
        Ask::post("/mcp/shop", &format!("[{}]", members.join(","))).with("Mcp-Session-Id", &session)
    };
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned();
    let accepted = gateway.ask(batch(&[note.clone(), note.clone()])).await;
    assert_eq!((accepted.status, accepted.body.as_str()), (202, ""));
    let one = gateway.ask(batch(&[note, read(1, "a")])).await;
    assert!(one.status == 200 && one.body.starts_with('[') && one.body.ends_with(']'), "{one:?}");
    let mut client = gateway.client().await;
    let several = client.ask(batch(&[read(1, "a"), read(2, "b")])).await;
    assert_eq!(several.header("content-type"), Some("text/event-stream"));
    let both = [client.event().await.expect("one"), client.event().await.expect("other")].concat();
    assert!(both.contains(r#""id":1"#) && both.contains(r#""id":2"#), "{both}");
    assert_eq!(client.event().await, None);
}

#[tokio::test]
async fn later_revisions_have_no_batches() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let refused = gateway.ask(post(&session, &format!("[{}]", read(1, "a")))).await;
    assert_eq!((refused.status, refused.code()), (400, -32600));
}
