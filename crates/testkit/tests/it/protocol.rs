//! Handshakes, sessions and headers.

use super::{REVISION, client, effects, http, note, piped};
use serde_json::json;
use testkit::client::{CallOptions, Error};
use testkit::faults::Plan;
use testkit::server::{REVISIONS, STATELESS};

#[tokio::test]
async fn every_revision_over_http_lists_and_calls() {
    let running = http("ledger", Plan::default()).await;
    for (made, revision) in REVISIONS.iter().skip(1).enumerate() {
        let client = client(&running, revision).await;
        assert_eq!(client.revision(), *revision);
        assert_eq!(client.session().is_some(), *revision != STATELESS);
        let tools = client.tools().await.expect("a list");
        assert!(tools.iter().any(|tool| tool["name"] == "append" && tool["annotations"].is_object()), "{tools:?}");
        let answer = client.call("append", note(), &CallOptions::default()).await.expect("an answer");
        assert_eq!(answer.structured.expect("structured content")["text"], "a note");
        assert_eq!(effects(&running), made + 1);
    }
}

#[tokio::test]
async fn every_revision_over_pipes_lists_and_calls() {
    for revision in REVISIONS {
        let client = piped(&[], revision).await;
        assert_eq!(client.revision(), revision);
        assert!(!client.tools().await.expect("a list").is_empty());
        let answer = client.call("append", note(), &CallOptions::default()).await.expect("an answer");
        assert!(!answer.is_error, "{answer:?}");
        assert!(client.close().await.expect("it ends with its input").success());
    }
}

#[tokio::test]
async fn a_session_that_was_ended_is_not_known_any_more() {
    let running = http("ledger", Plan::default()).await;
    let first = client(&running, REVISION).await;
    let session = first.session().expect("a session");
    let second = client(&running, REVISION).await;
    first.close().await;
    let message = second.message(Some(&1.into()), "tools/list", json!({}));
    let other = testkit::Client::http(
        &running.url,
        testkit::client::Identity::speaking(STATELESS).header("mcp-session-id", &session),
    )
    .await
    .expect("the stateless revision has no sessions");
    let answer = other.raw(message.to_string().as_bytes(), &CallOptions::default()).await.expect("an answer");
    assert_eq!(answer.expect("over HTTP").status, 404);
    assert!(second.tools().await.is_ok(), "the other session lives on");
}

#[tokio::test]
async fn headers_that_differ_from_the_body_are_refused() {
    let running = http("ledger", Plan::default()).await;
    let client = client(&running, STATELESS).await;
    let options = CallOptions::default().header("mcp-name", "drop");
    let message = client.message(Some(&1.into()), "tools/call", json!({ "name": "append", "arguments": note() }));
    let options = options.header("mcp-method", "tools/call").header("mcp-protocol-version", STATELESS);
    let answer = client.raw(message.to_string().as_bytes(), &options).await.expect("an answer").expect("over HTTP");
    assert_eq!(answer.status, 400);
    assert_eq!(effects(&running), 0);
}

#[tokio::test]
async fn the_same_bytes_delivered_twice_are_two_effects() {
    for revision in [REVISION, STATELESS] {
        let running = http("ledger", Plan::default()).await;
        let client = client(&running, revision).await;
        let options = CallOptions { twice: true, ..CallOptions::default() };
        client.call("append", note(), &options).await.expect("an answer");
        assert_eq!(effects(&running), 2, "{revision}");
    }
}

#[tokio::test]
async fn unknown_tools_and_methods_are_errors() {
    let client = piped(&[], REVISION).await;
    for (method, code) in [("tools/call", -32602), ("no/such", -32601)] {
        let error = client.request(method, json!({ "name": "nothing" })).await.expect_err("no such thing");
        assert!(matches!(&error, Error::Rpc { code: told, .. } if *told == code), "{error:?}");
    }
}
