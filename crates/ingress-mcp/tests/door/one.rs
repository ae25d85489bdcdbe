//! One upstream behind an endpoint: a hop that changes nothing it does not have to.

use crate::support::*;
use futures_util::StreamExt as _;
use futures_util::future::poll_immediate;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const SESSIONS: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

#[tokio::test]
async fn a_handshake_is_the_upstreams_own() {
    for revision in SESSIONS {
        let server = shop(revision);
        let world = world(&[("shop", &server)]);
        let client = world.one("shop", revision).await;
        assert_eq!(client.conversation.revision(), Some(revision));
        assert_eq!(server.opened.load(Ordering::Acquire), 1);
        let presented = server.options.lock()[0].initialize.clone().expect("the client's own params");
        let presented: Value = serde_json::from_slice(&presented).expect("JSON");
        assert_eq!(presented["capabilities"]["elicitation"], json!({ "form": {}, "url": {} }));
    }
}

#[tokio::test]
async fn each_side_speaks_its_own_revision() {
    let server = shop("2025-03-26");
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", "2025-11-25").await;
    assert_eq!(client.conversation.revision(), Some("2025-11-25"));
    assert_eq!(client.call("refund", json!({})).await["result"]["content"][0]["text"], "{}");
}

#[tokio::test]
async fn messages_reach_the_upstream_byte_for_byte() {
    let server = shop("2025-11-25");
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", "2025-11-25").await;
    for message in [
        r#"{ "jsonrpc":"2.0","id":9007199254740993,"method":"prompts/get","params":{"name":"greet","x":1.0,"_meta":{"v":1E5}}}"#,
        r#"{"jsonrpc":"2.0","id":"a\u0062","method":"vendor/unknown","params":{"n":0.10}}"#,
        r#"{"id":7,"jsonrpc":"2.0","method":"resources/read","params":{"uri":"shop://one"},"extra":null}"#,
    ] {
        let answer = response(client.raw(message)).await;
        assert_eq!(server.received.lock().last().map(String::as_str), Some(message));
        let sent: Value = serde_json::from_str(message).expect("JSON");
        assert_eq!(answer["id"], sent["id"]);
    }
    let unknown = client.request("vendor/unknown", json!({})).await;
    assert_eq!(unknown["error"]["data"], "theirs", "the upstream answers for itself");
}

#[tokio::test]
async fn a_list_of_tools_loses_nothing_and_gains_the_gateways_own() {
    let server = shop("2025-11-25");
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", "2025-11-25").await;
    let mut exchange = client.start(json!(1), "tools/list", json!({}));
    let out = within(exchange.next()).await.expect("an answer");
    let text = String::from_utf8(out.message.to_vec()).expect("UTF-8");
    assert!(text.contains(r#""inputSchema":{"type":"object","x-vendor":1.0,"$defs":{}}"#), "{text}");
    assert!(text.contains(r#""nextCursor":"two""#) && text.contains("cofferdam__status"), "{text}");
    let second = client.request("tools/list", json!({ "cursor": "two" })).await;
    assert_eq!(second["result"]["tools"].as_array().map(Vec::len), Some(1), "told once, on the first page");
    assert_eq!(world.guard.learned.load(Ordering::Acquire), 2);
}

#[tokio::test]
async fn what_an_upstream_sends_reaches_its_client_as_it_came() {
    let server = shop("2025-11-25");
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", "2025-11-25").await;
    let mut own = client.conversation.own_stream();
    let wire = server.wire();
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"n":1.0}}}"#;
    wire.raw(log.into(), None);
    assert_eq!(&*within(own.next()).await.expect("a message"), log.as_bytes());
    wire.notify(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }), None);
    within(own.next()).await.expect("an announcement");
    assert_eq!(&**world.guard.forgotten.lock(), &["shop".into()]);
}

#[tokio::test]
async fn a_question_of_the_upstream_is_answered_by_its_client() {
    let server = shop("2025-11-25");
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", "2025-11-25").await;
    let mut own = client.conversation.own_stream();
    let wire = server.wire();
    let ask =
        tokio::spawn(
            async move { wire.ask(&json!({ "jsonrpc": "2.0", "id": 0, "method": "roots/list" }), None).await },
        );
    let asked: Value = serde_json::from_slice(&within(own.next()).await.expect("a question")).expect("JSON");
    assert_eq!((&asked["id"], &asked["method"]), (&json!(0), &json!("roots/list")), "ids stay as they are");
    let answer = json!({ "jsonrpc": "2.0", "id": 0, "result": { "roots": [{ "uri": "file:///a" }] } });
    assert!(client.send(&answer).is_nothing());
    assert_eq!(within(ask).await.expect("it ends"), answer);
}

//= S-07
#[tokio::test]
async fn a_client_that_leaves_accepts_nothing() {
    let server = shop("2025-11-25");
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", "2025-11-25").await;
    let wire = server.wire();
    wire.notify(&json!({ "jsonrpc": "2.0", "id": 5, "method": "elicitation/create", "params": {} }), None);
    client.conversation.close();
    let answer = server.got(|message| message["id"] == 5).await;
    assert_eq!(answer["result"], json!({ "action": "cancel" }));
    within(async {
        while server.closed.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_ended_is_opened_again_and_told_what_its_client_wanted() {
    let server = shop("2025-11-25");
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", "2025-11-25").await;
    client.request("logging/setLevel", json!({ "level": "warning" })).await;
    client.request("resources/subscribe", json!({ "uri": "shop://one" })).await;
    server.dies();
    let refused = client.request("prompts/list", json!({})).await;
    assert_eq!(refused["error"]["code"], -32010, "{refused}");
    server.received.lock().clear();
    server.comes_back();
    assert_eq!(client.request("prompts/list", json!({})).await["result"]["prompts"][0]["name"], "greet");
    let level = server.got(|message| message["method"] == "logging/setLevel").await;
    assert_eq!(level["params"]["level"], "warning");
    let uri = server.got(|message| message["method"] == "resources/subscribe").await;
    assert_eq!(uri["params"]["uri"], "shop://one");
}

#[tokio::test]
async fn a_cancelled_request_ends_and_the_upstream_hears_of_it() {
    let server = Server::new("2025-11-25", json!({ "prompts": {} }), |_, _| async { Value::Null });
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", "2025-11-25").await;
    let exchange = client.start(json!(41), "prompts/get", json!({ "name": "x" }));
    let waiting = tokio::spawn(response(exchange));
    server.got(|message| message["method"] == "prompts/get").await;
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 41, "reason": "r" } });
    client.send(&cancel);
    assert_eq!(within(waiting).await.expect("it ends"), Value::Null, "no response");
    assert_eq!(server.got(|message| message["method"] == "notifications/cancelled").await, cancel);
}

#[tokio::test]
async fn a_request_that_is_dropped_is_cancelled_upstream() {
    let server = Server::new("2025-11-25", json!({}), |_, _| async { Value::Null });
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", STATELESS).await;
    let waiting = tokio::spawn(response(client.start(json!(3), "prompts/get", json!({ "name": "x" }))));
    let sent = server.got(|message| message["method"] == "prompts/get").await;
    assert_ne!(sent["id"], json!(3), "clients that share a session keep their ids apart");
    waiting.abort();
    let told = server.got(|message| message["method"] == "notifications/cancelled").await;
    assert_eq!(told["params"]["requestId"], sent["id"]);
}

#[tokio::test]
async fn a_question_on_a_stream_that_was_left_is_declined_and_a_later_one_takes_the_own_stream() {
    let server = Server::new("2025-11-25", json!({ "prompts": {} }), |_, _| async { Value::Null });
    let world = world(&[("a", &server)]);
    let client = world.one("a", "2025-11-25").await;
    let mut exchange = client.start(json!(1), "prompts/get", json!({}));
    let wire = server.wire();
    let ask = |id: i64| json!({ "jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": {} });
    assert!(poll_immediate(exchange.next()).await.is_none(), "the upstream does not answer");
    wire.notify(&ask(70), Some(&json!(1)));
    assert_eq!(next(&mut exchange).await["id"], 70, "it comes on the stream of its request");
    drop(exchange);
    let declined = server.got(|message| message["id"] == 70).await;
    assert_eq!(declined["result"], json!({ "action": "cancel" }));
    let mut own = client.conversation.own_stream();
    wire.notify(&ask(71), Some(&json!(1)));
    let asked: Value = serde_json::from_slice(&within(own.next()).await.expect("a question")).expect("JSON");
    assert_eq!(asked["id"], 71);
}
