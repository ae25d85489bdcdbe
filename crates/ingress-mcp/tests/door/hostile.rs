//! Clients that send what no client should.

use crate::support::*;
use futures_util::StreamExt as _;
use ingress_mcp::{Kind, Origin, Refused, Scope, Settings};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const SESSION: &str = "2025-11-25";

async fn code(client: &Client, bytes: &[u8]) -> i64 {
    let mut exchange = client.conversation.receive(bytes.to_vec().into(), Origin::default());
    let out = within(exchange.next()).await.expect("an answer");
    let answer: Value = serde_json::from_slice(&out.message).expect("JSON");
    assert!(out.last && out.refusal == answer["error"]["code"].as_i64());
    answer["error"]["code"].as_i64().expect("a code")
}

//= S-07
#[tokio::test]
async fn what_is_no_message_is_answered_clearly_and_reaches_nobody() {
    let server = shop(SESSION);
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", SESSION).await;
    let before = server.received.lock().len();
    let deep =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":{}{}}}}}"#, "[".repeat(100), "]".repeat(100));
    let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(2000));
    let large =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":"{}"}}}}"#, "x".repeat(5 * 1024 * 1024));
    for (bytes, expected) in [
        (&b"{"[..], -32700),
        (b"", -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", -32700),
        (br#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, -32700),
        (deep.as_bytes(), -32700),
        (br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32600),
        (br#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        (long.as_bytes(), -32600),
        (large.as_bytes(), -32600),
    ] {
        assert_eq!(code(&client, bytes).await, expected, "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]));
    }
    assert_eq!(server.received.lock().len(), before);
    assert_eq!(client.request("ping", json!({})).await["result"], json!({}), "and the conversation goes on");
}

#[tokio::test]
async fn a_batch_is_answered_member_by_member_where_there_are_batches() {
    let server = shop("2025-03-26");
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", "2025-03-26").await;
    client.request("tools/list", json!({ "cursor": "two" })).await;
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": "ping" },
        { "jsonrpc": "2.0", "method": "notifications/roots/list_changed" },
        { "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "refund" } },
    ]);
    let origin = Origin { idempotency_key: Some("k".into()), ..Origin::default() };
    let exchange = client.conversation.receive(batch.to_string().into(), origin);
    assert!(exchange.is_batch());
    let outs: Vec<_> = within(exchange.collect()).await;
    let lasts: Vec<bool> = outs.iter().map(|out| out.last).collect();
    assert_eq!(lasts, [false, true]);
    assert_eq!(world.guard.calls.lock()[0].keys, ["k#2"]);
    server.got(|message| message["method"] == "notifications/roots/list_changed").await;
}

#[tokio::test]
async fn a_conversation_begins_with_a_handshake_and_has_one() {
    let server = shop(SESSION);
    let world = world(&[("shop", &server)]);
    let conversation = world.hub.conversation(caller("p"), Scope::One("shop".into()), Kind::Session).expect("one");
    let send = |text: &str| response(conversation.receive(text.to_owned().into(), Origin::default()));
    let early = send(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
    assert_eq!(early["error"]["code"], -32600);
    assert_eq!(send(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await["result"], json!({}));
    assert_eq!(server.opened.load(Ordering::Acquire), 0);
    let client = world.one("shop", SESSION).await;
    let params = json!({ "protocolVersion": SESSION, "capabilities": {}, "clientInfo": {} });
    assert_eq!(client.request("initialize", params).await["error"]["code"], -32600);
}

//= S-07
#[tokio::test]
async fn there_are_only_so_many_conversations_and_idle_ones_make_room() {
    let server = shop(SESSION);
    let world = world_with(&[("shop", &server)], Settings { sessions_max: 3, ..Settings::default() });
    let first = world.one("shop", SESSION).await;
    for _ in 0..50 {
        world.one("shop", SESSION).await;
    }
    assert!(first.conversation.is_closed(), "the stalest one ended");
    let busy: Vec<_> = (0..3)
        .map(|_| async {
            let client = world.one("shop", SESSION).await;
            let stream = client.conversation.own_stream();
            (client, stream)
        })
        .collect();
    let busy = futures_util::future::join_all(busy).await;
    let refused = world.hub.conversation(caller("p"), Scope::One("shop".into()), Kind::Session);
    assert_eq!(refused.err(), Some(Refused::TooMany));
    drop(busy);
    let unknown = world.hub.conversation(caller("p"), Scope::One("nobody".into()), Kind::Session);
    assert_eq!(unknown.err(), Some(Refused::UnknownUpstream));
}

#[tokio::test(start_paused = true)]
async fn an_idle_conversation_ends_and_its_upstream_session_with_it() {
    let server = shop(SESSION);
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", SESSION).await;
    tokio::time::sleep(Settings::default().idle + std::time::Duration::from_secs(60)).await;
    assert!(client.conversation.is_closed());
    assert_eq!(server.closed.load(Ordering::Acquire), 1);
    assert!(client.request("ping", json!({})).await["error"]["code"].is_i64());
}

//= S-07
#[tokio::test]
async fn requests_at_once_are_bounded_and_a_call_is_told_so_in_its_own_form() {
    let server = Server::new(SESSION, json!({}), |_, _| async { Value::Null });
    let world = world_with(&[("a", &server)], Settings { requests_max: 2, ..Settings::default() });
    let client = world.one("a", SESSION).await;
    let waiting = [client.start(json!(1), "x", json!({})), client.start(json!(2), "x", json!({}))];
    let refused = response(client.start(json!(3), "x", json!({}))).await;
    assert_eq!(refused["error"]["code"], -32011);
    let refused = response(client.start(json!(4), "tools/call", json!({ "name": "t" }))).await;
    assert_eq!(refused["result"]["_meta"]["cofferdam/guard"]["code"], "overloaded");
    drop(waiting);
    assert!(
        response(client.start(json!(5), "initialize", json!({}))).await["error"]["code"] == -32600,
        "there is room again"
    );
}

//= S-07
#[tokio::test]
async fn a_flood_of_the_upstream_is_bounded() {
    let server = shop(SESSION);
    let world = world_with(&[("shop", &server)], Settings { queue_max: 16, ..Settings::default() });
    let client = world.one("shop", SESSION).await;
    let wire = server.wire();
    for number in 0..10_000 {
        wire.notify(
            &json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "data": number } }),
            None,
        );
    }
    wire.notify(&json!({ "jsonrpc": "2.0", "id": 1, "method": "roots/list" }), None);
    let declined = server.got(|message| message["id"] == 1).await;
    assert_eq!(declined["result"], json!({ "roots": [] }), "a question that finds no room is declined");
    let mut own = client.conversation.own_stream();
    for _ in 0..16 {
        within(own.next()).await.expect("what was kept");
    }
    client.conversation.close();
    assert!(within(own.next()).await.is_none());
}

#[tokio::test]
async fn nobody_finds_the_session_of_another() {
    let server = shop(SESSION);
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", SESSION).await;
    let (scope, id) = (Scope::One("shop".into()), client.conversation.id());
    assert!(world.hub.session(&caller("p"), &scope, id).is_some());
    assert!(world.hub.session(&caller("q"), &scope, id).is_none());
    assert!(world.hub.session(&caller("p"), &Scope::All, id).is_none());
    let shared = |principal| world.hub.conversation(caller(principal), scope.clone(), Kind::Stateless).expect("one");
    assert!(Arc::ptr_eq(&shared("p"), &shared("p")) && !Arc::ptr_eq(&shared("p"), &shared("q")));
}

#[tokio::test]
async fn answers_to_nothing_are_ignored() {
    let server = shop(SESSION);
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", SESSION).await;
    let before = server.received.lock().len();
    assert!(client.send(&json!({ "jsonrpc": "2.0", "id": 99, "result": {} })).is_nothing());
    assert!(
        client
            .send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 99 } }))
            .is_nothing()
    );
    assert!(client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled" })).is_nothing());
    assert_eq!(client.request("ping", json!({})).await["result"], json!({}));
    assert_eq!(server.received.lock().len(), before + 1, "only the ping");
}

#[tokio::test]
async fn nothing_begins_while_the_gateway_shuts_down() {
    let server = shop(SESSION);
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", SESSION).await;
    within(world.hub.drain()).await;
    assert!(!world.hub.is_ready() && client.conversation.is_closed());
    let refused = world.hub.conversation(caller("p"), Scope::All, Kind::Session);
    assert_eq!(refused.err(), Some(Refused::Draining));
    assert_eq!(server.closed.load(Ordering::Acquire), 1);
}
