//! All upstreams behind one endpoint.

use crate::support::*;
use futures_util::StreamExt as _;
use ingress_mcp::Settings;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const SESSION: &str = "2025-11-25";

/// A store of notes, of another era than the shop.
fn notes() -> Arc<Server> {
    let capabilities = json!({ "tools": {}, "resources": {}, "experimental": { "x": {} } });
    Server::new(STATELESS, capabilities, |_, message| async move {
        let params = &message["params"];
        let result = match message["method"].as_str().unwrap_or_default() {
            "tools/list" => json!({ "tools": [{ "name": "add.note", "inputSchema": { "type": "object" } }] }),
            "tools/call" => json!({ "content": [{ "type": "text", "text": "noted" }], "resultType": "complete" }),
            "resources/list" => json!({ "resources": [{ "uri": "note://1", "name": "n" }] }),
            "resources/templates/list" => json!({ "resourceTemplates": [] }),
            "resources/read" => {
                let uri = params["uri"].as_str().unwrap_or_default();
                if !uri.starts_with("note://") && uri != "hidden://1" {
                    return json!({ "error": { "code": -32602, "message": "Resource not found" } });
                }
                json!({ "contents": [{ "uri": uri, "text": "notes" }], "resultType": "complete" })
            }
            _ => return json!({ "error": { "code": -32601, "message": "Method not found" } }),
        };
        json!({ "result": result })
    })
}

fn names(list: &Value, member: &str) -> BTreeSet<String> {
    let entries = list["result"][member].as_array().expect("a list");
    entries.iter().map(|entry| entry["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn tools_of_all_upstreams_are_listed_and_led_to_their_own() {
    for revision in [SESSION, "2025-03-26", STATELESS] {
        let (shop, notes) = (shop(SESSION), notes());
        let world = world(&[("shop", &shop), ("notes", &notes)]);
        let client = world.all(revision).await;
        let listed = client.request("tools/list", json!({})).await;
        let listed = names(&listed, "tools");
        let note = listed.iter().find(|name| name.starts_with("notes__")).expect("its name fits the wire").clone();
        assert!(note.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'), "{note}");
        assert_eq!(listed.len(), 4, "both pages of the shop, the notes, the gateway's own: {listed:?}");
        client.call("shop__refund", json!({ "n": 1 })).await;
        let called = client.call(&note, json!({})).await;
        assert_eq!(called["result"]["content"][0]["text"], "noted");
        assert_eq!(called["result"].get("resultType").is_some(), revision == STATELESS);
        let calls = world.guard.calls.lock().clone();
        assert_eq!((calls[0].upstream.as_str(), calls[0].tool.as_str()), ("shop", "refund"));
        assert_eq!((calls[1].upstream.as_str(), calls[1].tool.as_str()), ("notes", "add.note"));
        let sent = shop.got(|message| message["method"] == "tools/call").await;
        assert_eq!(sent["params"]["name"], "refund");
        let unknown = client.call("shop__nothing", json!({})).await;
        assert_eq!(unknown["error"]["message"], "Unknown tool: shop__nothing");
    }
}

#[tokio::test]
async fn a_tool_is_found_without_a_list_and_without_asking_the_others() {
    let (shop, notes) = (shop(SESSION), notes());
    let world = world(&[("shop", &shop), ("notes", &notes)]);
    let client = world.all(SESSION).await;
    client.call("shop__refund", json!({})).await;
    assert_eq!(world.guard.calls.lock().len(), 1);
    assert!(!notes.received().iter().any(|message| message["method"] == "tools/list"));
}

#[tokio::test]
async fn the_handshake_tells_what_they_can_do_together() {
    let (shop, notes) = (shop(SESSION), notes());
    let world = world(&[("shop", &shop), ("notes", &notes)]);
    let client = world.hub.conversation(caller("p"), ingress_mcp::Scope::All, ingress_mcp::Kind::Session).expect("one");
    let params =
        json!({ "protocolVersion": SESSION, "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    let answer = response(client.receive(message.to_string().into(), ingress_mcp::Origin::default())).await;
    let result = &answer["result"];
    assert_eq!((&result["protocolVersion"], &result["serverInfo"]["name"]), (&json!(SESSION), &json!("cofferdam")));
    let capabilities = &result["capabilities"];
    assert_eq!(capabilities["resources"], json!({ "subscribe": true, "listChanged": true }));
    assert_eq!((&capabilities["experimental"], &capabilities["logging"]), (&json!({ "x": {} }), &json!({})));
}

#[tokio::test]
async fn resources_and_prompts_are_read_where_they_are() {
    let (shop, notes) = (shop(SESSION), notes());
    let world = world(&[("shop", &shop), ("notes", &notes)]);
    let client = world.all(SESSION).await;
    let listed = client.request("resources/list", json!({})).await;
    assert_eq!(names(&listed, "resources"), ["n", "one"].map(String::from).into());
    for (uri, text) in [("note://1", "notes"), ("shop://orders/7", "shop"), ("hidden://1", "notes")] {
        let read = client.request("resources/read", json!({ "uri": uri })).await;
        assert_eq!(read["result"]["contents"][0]["text"], text, "{uri}: {read}");
    }
    let missing = client.request("resources/read", json!({ "uri": "no://where" })).await;
    assert_eq!(missing["error"]["code"], -32002);
    assert_eq!(names(&client.request("prompts/list", json!({})).await, "prompts"), ["shop__greet".to_owned()].into());
    let prompt = client.request("prompts/get", json!({ "name": "shop__greet" })).await;
    assert_eq!(prompt["result"]["description"], "greet");
    let reference = json!({ "type": "ref/prompt", "name": "shop__greet" });
    let completed = client.request("completion/complete", json!({ "ref": reference })).await;
    assert_eq!(completed["result"]["completion"]["values"][0]["name"], "greet");
}

#[tokio::test]
async fn a_dead_upstream_neither_empties_nor_blocks_the_rest() {
    let (shop, notes) = (shop(SESSION), notes());
    let world = world(&[("shop", &shop), ("notes", &notes)]);
    notes.is_hanging.store(true, Ordering::Release);
    let client = world.all(SESSION).await;
    let listed = names(&client.request("tools/list", json!({})).await, "tools");
    assert!(listed.contains("shop__refund") && !listed.iter().any(|name| name.starts_with("notes__")), "{listed:?}");
    assert_eq!(client.call("shop__refund", json!({})).await["result"]["content"][0]["text"], "{}");
    shop.dies();
    let again = names(&client.request("tools/list", json!({})).await, "tools");
    assert!(again.contains("shop__refund"), "what it listed last is kept: {again:?}");
    let refused = client.call("shop__refund", json!({})).await;
    assert!(refused.get("error").is_some(), "and a call says what is the matter: {refused}");
    shop.comes_back();
    assert!(client.call("shop__refund", json!({})).await.get("result").is_some(), "it is opened again");
}

#[tokio::test]
async fn an_upstream_that_comes_late_is_announced() {
    let (shop, notes) = (shop(SESSION), notes());
    let world = world(&[("shop", &shop), ("notes", &notes)]);
    notes.is_dead.store(true, Ordering::Release);
    let client = world.all(SESSION).await;
    let mut own = client.conversation.own_stream();
    client.request("tools/list", json!({})).await;
    notes.comes_back();
    client.request("resources/read", json!({ "uri": "note://1" })).await;
    let told: Value = serde_json::from_slice(&within(own.next()).await.expect("a message")).expect("JSON");
    assert_eq!(told["method"], "notifications/tools/list_changed");
    let listed = names(&client.request("tools/list", json!({})).await, "tools");
    assert!(listed.iter().any(|name| name.starts_with("notes__")), "{listed:?}");
}

#[tokio::test]
async fn questions_of_several_upstreams_keep_their_ids_apart() {
    let (one, two) = (shop(SESSION), shop("2025-06-18"));
    let world = world(&[("one", &one), ("two", &two)]);
    let client = world.all(SESSION).await;
    let mut own = client.conversation.own_stream();
    let ask = |server: &Arc<Server>| {
        let wire = server.wire();
        tokio::spawn(async move { wire.ask(&json!({ "jsonrpc": "2.0", "id": 1, "method": "roots/list" }), None).await })
    };
    let asked = [ask(&one), ask(&two)];
    let mut ids = Vec::new();
    for _ in &asked {
        let question: Value = serde_json::from_slice(&within(own.next()).await.expect("a question")).expect("JSON");
        ids.push(question["id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    for id in &ids {
        client.send(&json!({ "jsonrpc": "2.0", "id": id, "result": { "roots": [] } }));
    }
    for answer in asked {
        assert_eq!(
            within(answer).await.expect("an answer"),
            json!({ "jsonrpc": "2.0", "id": 1, "result": { "roots": [] } })
        );
    }
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let many = Server::new(SESSION, json!({ "tools": {} }), |_, _| async {
        let tools: Vec<_> = (0..25).map(|n| json!({ "name": format!("t{n:02}") })).collect();
        json!({ "result": { "tools": tools } })
    });
    let settings = Settings { page_max: 10, status_tool: false, ..Settings::default() };
    let world = world_with(&[("m", &many)], settings);
    let client = world.all(SESSION).await;
    let mut seen = BTreeSet::new();
    let mut cursor = Value::Null;
    for expected in [10, 10, 5] {
        let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
        let page = client.request("tools/list", params).await;
        assert_eq!(page["result"]["tools"].as_array().map(Vec::len), Some(expected));
        seen.extend(names(&page, "tools"));
        cursor = page["result"]["nextCursor"].clone();
    }
    assert_eq!((seen.len(), cursor), (25, Value::Null));
    assert_eq!(client.request("tools/list", json!({ "cursor": "x" })).await["error"]["code"], -32602);
}

#[tokio::test]
async fn a_stateless_client_hears_of_all_upstreams() {
    let (shop, notes) = (shop(SESSION), notes());
    let world = world(&[("shop", &shop), ("notes", &notes)]);
    let client = world.all(STATELESS).await;
    let discovered = client.request("server/discover", json!({})).await;
    assert_eq!(discovered["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "cofferdam");
    let filter = json!({ "notifications": { "toolsListChanged": true } });
    let mut listening = client.start(json!("l"), "subscriptions/listen", filter);
    assert_eq!(next(&mut listening).await["method"], "notifications/subscriptions/acknowledged");
    shop.wire().notify(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }), None);
    let told = next(&mut listening).await;
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l");
    assert_eq!(world.guard.forgotten.lock().len(), 1);
}

#[tokio::test]
async fn the_log_level_is_told_to_all_that_log() {
    let (shop, notes) = (shop(SESSION), notes());
    let world = world(&[("shop", &shop), ("notes", &notes)]);
    let client = world.all(SESSION).await;
    assert_eq!(client.request("logging/setLevel", json!({ "level": "error" })).await["result"], json!({}));
    shop.got(|message| message["method"] == "logging/setLevel").await;
    assert_eq!(client.request("logging/setLevel", json!({ "level": "loud" })).await["error"]["code"], -32602);
    assert_eq!(client.request("vendor/x", json!({})).await["error"]["code"], -32601);
    let waited = tokio::time::Instant::now();
    assert_eq!(client.request("ping", json!({})).await["result"], json!({}));
    assert!(waited.elapsed() < Duration::from_secs(5));
}
