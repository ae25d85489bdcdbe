//! Clients and upstreams of different eras, in both directions.

use crate::support::*;
use futures_util::StreamExt as _;
use ingress_mcp::Scope;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const SESSION: &str = "2025-11-25";

#[tokio::test]
async fn a_client_of_a_session_uses_a_stateless_upstream() {
    let server = shop(STATELESS);
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", SESSION).await;
    assert_eq!(client.request("ping", json!({})).await["result"], json!({}));
    let listed = client.request("tools/list", json!({})).await;
    assert_eq!(listed["result"]["tools"][0]["inputSchema"]["x-vendor"], 1.0);
    client.call("refund", json!({ "n": 1 })).await;
    let sent = server.got(|message| message["method"] == "tools/call").await;
    let meta = &sent["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], STATELESS);
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "c");
    client.request("logging/setLevel", json!({ "level": "error" })).await;
    client.request("prompts/list", json!({})).await;
    let sent = server.got(|message| message["method"] == "prompts/list").await;
    assert_eq!(sent["params"]["_meta"]["io.modelcontextprotocol/logLevel"], "error");
    assert!(!server.received().iter().any(|message| message["method"] == "logging/setLevel"));
}

#[tokio::test]
async fn a_stateless_client_uses_an_upstream_with_sessions() {
    let server = shop(SESSION);
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", STATELESS).await;
    let discovered = client.request("server/discover", json!({})).await;
    assert_eq!(discovered["result"]["supportedVersions"][0], STATELESS);
    assert_eq!(discovered["result"]["resultType"], "complete");
    let listed = client.request("tools/list", json!({})).await;
    assert_eq!((&listed["result"]["ttlMs"], &listed["result"]["cacheScope"]), (&json!(0), &json!("private")));
    let called = client.call("refund", json!({})).await;
    assert_eq!(called["result"]["resultType"], "complete");
    assert_eq!(called["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "fake");
    let sent = server.got(|message| message["method"] == "tools/call").await;
    assert!(sent["params"]["_meta"].get("io.modelcontextprotocol/protocolVersion").is_none(), "{sent}");
    for _ in 0..5 {
        client.call("refund", json!({})).await;
    }
    assert_eq!(server.opened.load(Ordering::Acquire), 1, "one warm session, not one for each call");
    let missing = client.request("resources/read", json!({ "uri": "x:y" })).await;
    assert_eq!(missing["error"]["code"], -32602, "the era's own code");
}

#[tokio::test]
async fn a_version_that_nobody_speaks_is_refused_with_those_that_are() {
    let server = shop(SESSION);
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", STATELESS).await;
    let mut message = client.message(json!(1), "tools/list", json!({}));
    message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2031-01-01".into();
    let mut exchange = client.send(&message);
    let out = within(exchange.next()).await.expect("an answer");
    assert_eq!(out.refusal, Some(-32022));
    let answer: Value = serde_json::from_slice(&out.message).expect("JSON");
    assert_eq!(answer["error"]["data"]["requested"], "2031-01-01");
    assert!(answer["error"]["data"]["supported"].as_array().is_some_and(|all| all.contains(&json!(STATELESS))));
    let unnamed = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    assert_eq!(response(client.send(&unnamed)).await["error"]["code"], -32602);
}

/// Asks its client during a call, in the way of its era.
fn curious(revision: &'static str) -> Arc<Server> {
    Server::new(revision, json!({ "tools": {} }), |wire, message| async move {
        if message["method"] == "tools/list" {
            return json!({ "result": { "tools": [{ "name": "book" }] } });
        }
        let params = json!({ "message": "which day?", "requestedSchema": { "type": "object" } });
        let is_stateless = message["params"]["_meta"].get("io.modelcontextprotocol/protocolVersion").is_some();
        let given = if is_stateless {
            let answers = &message["params"]["inputResponses"];
            if answers.is_null() {
                let asks = json!({ "day": { "method": "elicitation/create", "params": params } });
                return json!({ "result": { "resultType": "input_required", "inputRequests": asks, "requestState": "s1" } });
            }
            assert_eq!(message["params"]["requestState"], "s1");
            answers["day"].clone()
        } else {
            let ask = json!({ "jsonrpc": "2.0", "id": "u1", "method": "elicitation/create", "params": params });
            wire.ask(&ask, Some(&message["id"])).await["result"].clone()
        };
        json!({ "result": { "content": [{ "type": "text", "text": given.to_string() }] } })
    })
}

#[tokio::test]
async fn a_stateless_upstreams_question_is_a_request_to_a_session() {
    let server = curious(STATELESS);
    let world = world(&[("a", &server)]);
    let client = world.one("a", SESSION).await;
    let mut exchange = client.start(json!(1), "tools/call", json!({ "name": "book", "arguments": { "x": 1 } }));
    let ask = next(&mut exchange).await;
    assert_eq!((&ask["method"], &ask["params"]["message"]), (&json!("elicitation/create"), &json!("which day?")));
    let answer =
        json!({ "jsonrpc": "2.0", "id": ask["id"], "result": { "action": "accept", "content": { "day": 1 } } });
    client.send(&answer);
    let done = next(&mut exchange).await;
    assert_eq!(done["result"]["content"][0]["text"], r#"{"action":"accept","content":{"day":1}}"#);
    let legs: Vec<_> = world.guard.calls.lock().iter().map(|seen| seen.continuation.clone()).collect();
    let responses = r#"{"day":{"action":"accept","content":{"day":1}}}"#.to_owned();
    assert_eq!(legs, [None, Some((Some("\"s1\"".into()), responses))]);
}

#[tokio::test]
async fn a_sessions_question_is_a_result_that_a_stateless_client_comes_back_from() {
    let server = curious(SESSION);
    let world = world(&[("a", &server)]);
    let client = world.one("a", STATELESS).await;
    let call = json!({ "name": "book", "arguments": { "x": 1 } });
    let asked = response(client.start(json!(1), "tools/call", call.clone())).await;
    assert_eq!((&asked["id"], &asked["result"]["resultType"]), (&json!(1), &json!("input_required")));
    let state = asked["result"]["requestState"].clone();
    let (key, ask) =
        asked["result"]["inputRequests"].as_object().and_then(|all| all.iter().next()).expect("a question");
    assert_eq!(ask["method"], "elicitation/create");
    let again = |arguments: Value| {
        let responses = json!({ key: { "action": "accept" } });
        json!({ "name": "book", "arguments": arguments, "requestState": state, "inputResponses": responses })
    };
    let other = client.request("tools/call", again(json!({ "x": 2 }))).await;
    assert_eq!(other["error"]["code"], -32602, "a state belongs to its own call");
    let done = response(client.start(json!(2), "tools/call", again(json!({ "x": 1 })))).await;
    assert_eq!((&done["id"], &done["result"]["content"][0]["text"]), (&json!(2), &json!(r#"{"action":"accept"}"#)));
    let replayed = client.request("tools/call", again(json!({ "x": 1 }))).await;
    assert_eq!(replayed["error"]["code"], -32602, "good for once: {replayed}");
    assert_eq!(world.guard.calls.lock().len(), 1, "one call, whatever was asked between");
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_not_asked() {
    let server = curious(SESSION);
    let world = world(&[("a", &server)]);
    let client = world.client(Scope::One("a".into()), STATELESS, json!({})).await;
    let answered = client.call("book", json!({})).await;
    assert_eq!(answered["result"]["content"][0]["text"], "null", "the upstream got an error");
}

#[tokio::test]
async fn a_stateless_client_listens_to_an_upstream_with_sessions() {
    let server = shop(SESSION);
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", STATELESS).await;
    let filter = json!({ "toolsListChanged": true, "resourceSubscriptions": ["shop://one"] });
    let mut listening = client.start(json!("l"), "subscriptions/listen", json!({ "notifications": filter }));
    let acknowledged = next(&mut listening).await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["notifications"], filter);
    server.got(|message| message["method"] == "resources/subscribe").await;
    let wire = server.wire();
    let changed = |method: &str, params: Value| json!({ "jsonrpc": "2.0", "method": method, "params": params });
    wire.notify(&changed("notifications/prompts/list_changed", json!({})), None);
    wire.notify(&changed("notifications/resources/updated", json!({ "uri": "shop://one" })), None);
    let told = next(&mut listening).await;
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l");
    assert_eq!(told["params"]["uri"], "shop://one");
    let drained = tokio::spawn({
        let hub = Arc::clone(&world.hub);
        async move { hub.drain().await }
    });
    assert_eq!(next(&mut listening).await["id"], "l", "it ends in good order");
    drop(listening);
    within(drained).await.expect("it ends");
}

#[tokio::test]
async fn a_session_hears_what_a_stateless_upstream_announces() {
    let server = Server::new(
        STATELESS,
        json!({ "tools": { "listChanged": true }, "resources": { "subscribe": true } }),
        |wire, message| async move {
            if message["method"] == "subscriptions/listen" {
                let id = &message["id"];
                let uris = &message["params"]["notifications"]["resourceSubscriptions"];
                let meta = json!({ "io.modelcontextprotocol/subscriptionId": id });
                let told =
                    |method: &str, params: Value| json!({ "jsonrpc": "2.0", "method": method, "params": params });
                wire.notify(&told("notifications/subscriptions/acknowledged", json!({ "_meta": meta })), Some(id));
                let change = match uris[0].as_str() {
                    Some(uri) => told("notifications/resources/updated", json!({ "uri": uri, "_meta": meta })),
                    None => told("notifications/tools/list_changed", json!({ "_meta": meta })),
                };
                wire.notify(&change, Some(id));
                return Value::Null;
            }
            json!({ "result": {} })
        },
    );
    let world = world(&[("a", &server)]);
    let client = world.one("a", SESSION).await;
    let mut own = client.conversation.own_stream();
    let mut heard =
        async || -> Value { serde_json::from_slice(&within(own.next()).await.expect("a message")).expect("JSON") };
    let changed = heard().await;
    assert_eq!(changed["method"], "notifications/tools/list_changed");
    assert!(changed["params"]["_meta"].get("io.modelcontextprotocol/subscriptionId").is_none());
    assert_eq!(client.request("resources/subscribe", json!({ "uri": "a:b" })).await["result"], json!({}));
    assert_eq!(heard().await["params"]["uri"], "a:b");
}

#[tokio::test]
async fn log_messages_reach_only_the_stateless_requests_that_asked() {
    let server = Server::new(SESSION, json!({ "logging": {}, "prompts": {} }), |wire, message| async move {
        if message["method"] == "prompts/get" {
            for level in ["debug", "error"] {
                let log = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": level, "data": 1 } });
                wire.notify(&log, Some(&message["id"]));
            }
        }
        json!({ "result": {} })
    });
    let world = world(&[("a", &server)]);
    let client = world.one("a", STATELESS).await;
    assert!(next(&mut client.start(json!(1), "prompts/get", json!({}))).await.get("result").is_some());
    let params = json!({ "_meta": { "io.modelcontextprotocol/logLevel": "warning" } });
    let mut exchange = client.start(json!(2), "prompts/get", params);
    assert_eq!(next(&mut exchange).await["params"]["level"], "error");
    assert!(next(&mut exchange).await.get("result").is_some());
    assert!(server.received().iter().any(|message| message["method"] == "logging/setLevel"));
}

#[tokio::test]
async fn a_stateless_hop_changes_nothing_but_ids() {
    let server = shop(STATELESS);
    let world = world(&[("shop", &server)]);
    let client = world.one("shop", STATELESS).await;
    let message = client.message(json!(77), "prompts/get", json!({ "name": "greet", "x": { "y": 1.0 } }));
    let answer = response(client.send(&message)).await;
    assert_eq!(answer["id"], 77);
    let mut sent = server.got(|message| message["method"] == "prompts/get").await;
    sent["id"] = json!(77);
    assert_eq!(sent, message);
    let other = client.request("vendor/x", json!({})).await;
    assert_eq!(other["error"]["data"], "theirs");
}

//= S-26
#[tokio::test]
async fn a_question_to_a_stateless_client_that_left_is_declined() {
    let server = Server::new(SESSION, json!({ "tools": {} }), |_, message| async move {
        match message["method"].as_str() {
            Some("tools/list") => json!({ "result": { "tools": [{ "name": "book" }] } }),
            _ => Value::Null,
        }
    });
    let world = world(&[("a", &server)]);
    let client = world.one("a", STATELESS).await;
    let waiting = tokio::spawn(response(client.start(json!(1), "tools/call", json!({ "name": "book" }))));
    let sent = server.got(|message| message["method"] == "tools/call").await;
    let wire = server.wire();
    let ask = |id: &str| json!({ "jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": {} });
    wire.notify(&ask("first"), Some(&sent["id"]));
    let asked = within(waiting).await.expect("it is asked");
    assert_eq!(asked["result"]["resultType"], "input_required");
    client.conversation.close();
    let declined = server.got(|message| message["id"] == "first").await;
    assert_eq!(declined["result"], json!({ "action": "cancel" }));
}
