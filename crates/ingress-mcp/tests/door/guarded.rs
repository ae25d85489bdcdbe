//! The door in front of the real guarded step: what the agent is told is what the engine knows.

use crate::support::*;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use ingress_mcp::{Guarded, Hub, Scope};
use policy::Policy;
use runtime::{Reader, Runtime, TaskAsk};
use serde_json::{Value, json};
use std::sync::Arc;
use vocab::{Failure, FailureKind, Name};

/// The caller's session is always there in these tests.
struct NoReader;

impl Reader for NoReader {
    fn read(&self, _: Name, _: Name, _: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>> {
        Box::pin(async { Err(Failure::new(FailureKind::NotSent, "nobody reads")) })
    }

    fn task(&self, _: Name, _: TaskAsk, _: Name) -> BoxFuture<'static, Result<Bytes, Failure>> {
        Box::pin(async { Err(Failure::new(FailureKind::NotSent, "nobody reads")) })
    }
}

const POLICY: &str = r#"
upstreams:
  a: { mcp: { url: "http://127.0.0.1:9/mcp" } }
defaults: { quiescence: 1s, absent_spacing: 1s, probe_wait: 5s }
tools:
  - { match: a.look, effect: read }
  - match: a.pay
    effect: write
    readback: { read: a.look, args: '{}', expect: 'read.paid == true', absent: 'read.paid == false', consistency: strong, strength: exact }
  - { match: a.book, effect: write }
"#;

fn hub(server: &Arc<Server>) -> Arc<Hub> {
    let policy = Policy::parse(POLICY, "test.yaml", &|_| None).expect("a policy");
    let journal = journal::Memory::new();
    let runtime = Runtime::start(runtime::Settings::default(), Arc::new(policy), journal, Arc::new(NoReader));
    hub_with(&[("a", server)], Arc::new(Guarded(runtime.expect("a runtime"))))
}

async fn client(hub: &Arc<Hub>, revision: &str) -> Client {
    Client::of(hub, Scope::One("a".into()), revision, json!({ "elicitation": {} })).await
}

/// Pays, and may lose the answer.
fn bank(revision: &'static str, is_lost: bool) -> Arc<Server> {
    let paid = Arc::new(std::sync::atomic::AtomicBool::new(false));
    Server::new(revision, json!({ "tools": {} }), move |_, message| {
        let paid = Arc::clone(&paid);
        async move {
            use std::sync::atomic::Ordering;
            let schema = json!({ "type": "object" });
            match (message["method"].as_str(), message["params"]["name"].as_str()) {
                (Some("tools/list"), _) => json!({ "result": { "tools": [
                    { "name": "look", "inputSchema": schema, "outputSchema": schema },
                    { "name": "pay", "inputSchema": schema, "outputSchema": schema },
                    { "name": "book", "inputSchema": schema },
                ] } }),
                (_, Some("look")) => {
                    let structured = json!({ "paid": paid.load(Ordering::Acquire) });
                    json!({ "result": { "content": [], "structuredContent": structured } })
                }
                _ => {
                    paid.store(true, Ordering::Release);
                    if is_lost {
                        return json!("lost");
                    }
                    json!({ "result": { "content": [{ "type": "text", "text": "paid" }], "structuredContent": { "ok": true } } })
                }
            }
        }
    })
}

fn sent(server: &Server, tool: &str) -> usize {
    server.received().iter().filter(|message| message["params"]["name"] == tool).count()
}

//= S-23
//= G1
#[tokio::test]
async fn the_same_key_is_one_effect_and_the_second_answer_says_so() {
    for (ours, theirs) in [("2025-11-25", "2025-11-25"), (STATELESS, "2025-06-18"), ("2025-03-26", STATELESS)] {
        let server = bank(theirs, false);
        let hub = hub(&server);
        let client = client(&hub, ours).await;
        let params = json!({ "name": "pay", "arguments": {}, "_meta": { "idempotency-key": "k" } });
        let first = client.request("tools/call", params.clone()).await;
        assert_eq!(first["result"]["content"][0]["text"], "paid", "{ours} {theirs}: {first}");
        let second = client.request("tools/call", params).await;
        assert_eq!(second["result"]["structuredContent"], json!({ "ok": true }));
        assert_eq!(second["result"]["_meta"]["cofferdam/guard"]["replayed"], true);
        assert_eq!(sent(&server, "pay"), 1);
    }
}

//= G3
//= S-26
#[tokio::test]
async fn a_lost_reply_is_told_as_executed_in_a_form_that_clients_with_schemas_accept() {
    for ours in ["2025-11-25", STATELESS] {
        let server = bank("2025-11-25", true);
        let hub = hub(&server);
        let client = client(&hub, ours).await;
        let told = client.call("pay", json!({})).await;
        let guard = &told["result"]["_meta"]["cofferdam/guard"];
        assert_eq!((&guard["code"], &guard["executed"]), (&json!("applied_no_receipt"), &json!("yes")), "{told}");
        // TypeScript and Python demand structured content of a tool with an output schema unless it is an error.
        assert_eq!(told["result"]["isError"], true);
        assert!(told["result"].get("structuredContent").is_none());
        assert_eq!(sent(&server, "pay"), 1);
        let step = guard["step"].clone();
        let status = client.call("cofferdam__status", json!({ "step": step })).await;
        assert_eq!(status["result"]["_meta"]["cofferdam/guard"]["executed"], "yes", "{status}");
    }
}

//= G3
#[tokio::test]
async fn a_call_whose_session_could_not_be_opened_was_not_executed_however_the_handshake_failed() {
    for kind in [FailureKind::Timeout, FailureKind::Status(500), FailureKind::Rpc { code: -32603, status: None }] {
        let server = bank("2025-11-25", false);
        let hub = hub(&server);
        let client = client(&hub, "2025-11-25").await;
        client.request("tools/list", json!({})).await;
        server.dies();
        server.comes_back();
        *server.fails.lock() = Some(kind);
        let told = client.call("book", json!({})).await;
        let guard = &told["result"]["_meta"]["cofferdam/guard"];
        assert_eq!((&guard["code"], &guard["executed"]), (&json!("upstream_unavailable"), &json!("no")), "{told}");
        assert_eq!(sent(&server, "book"), 0);
    }
}

//= S-23
//= G3
#[tokio::test]
async fn a_call_that_is_cancelled_while_its_session_is_opened_is_never_sent() {
    use std::sync::atomic::Ordering;
    let server = bank("2025-11-25", false);
    let hub = hub(&server);
    let client = client(&hub, "2025-11-25").await;
    client.request("tools/list", json!({})).await;
    server.dies();
    server.comes_back();
    server.is_hanging.store(true, Ordering::Release);
    let params = json!({ "name": "book", "arguments": {} });
    let call = response(client.start(json!(7), "tools/call", params));
    let cancel = async {
        // The answer comes at once, and says that it may have been sent.
        tokio::task::yield_now().await;
        client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } }));
    };
    let (told, ()) = tokio::join!(call, cancel);
    let step = told["result"]["_meta"]["cofferdam/guard"]["step"].clone();
    server.is_hanging.store(false, Ordering::Release);
    server.goes_on.notify_one();
    let known = async {
        loop {
            let status = client.call("cofferdam__status", json!({ "step": step })).await;
            if status["result"]["_meta"]["cofferdam/guard"]["executed"] == "no" {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    within(known).await;
    assert_eq!(sent(&server, "book"), 0, "{told}");
}

#[tokio::test]
async fn a_question_of_a_stateless_upstream_is_one_step_in_legs() {
    let server = Server::new(STATELESS, json!({ "tools": {} }), |_, message| async move {
        if message["method"] == "tools/list" {
            return json!({ "result": { "tools": [{ "name": "book", "inputSchema": { "type": "object" } }] } });
        }
        let answers = &message["params"]["inputResponses"];
        if answers.is_null() {
            let asks = json!({ "day": { "method": "elicitation/create", "params": { "message": "which?" } } });
            return json!({ "result": { "resultType": "input_required", "inputRequests": asks, "requestState": "s" } });
        }
        let text = answers["day"]["content"]["day"].to_string();
        json!({ "result": { "content": [{ "type": "text", "text": text }], "resultType": "complete" } })
    });
    let hub = hub(&server);
    let client = client(&hub, "2025-11-25").await;
    let mut exchange = client.start(json!(1), "tools/call", json!({ "name": "book", "arguments": {} }));
    let ask = next(&mut exchange).await;
    assert_eq!(ask["method"], "elicitation/create", "{ask}");
    let result = json!({ "action": "accept", "content": { "day": 3 } });
    client.send(&json!({ "jsonrpc": "2.0", "id": ask["id"], "result": result }));
    let done: Value = next(&mut exchange).await;
    assert_eq!(done["result"]["content"][0]["text"], "3", "{done}");
    assert_eq!(sent(&server, "book"), 2);
}

//= S-23
#[tokio::test]
async fn a_state_that_was_tampered_with_is_no_valid_request_and_goes_no_further() {
    let server = Server::new(STATELESS, json!({ "tools": {} }), |_, message| async move {
        if message["method"] == "tools/list" {
            return json!({ "result": { "tools": [{ "name": "book", "inputSchema": { "type": "object" } }] } });
        }
        if message["params"].get("requestState").is_some() {
            return json!({ "result": { "content": [], "resultType": "complete" } });
        }
        let asks = json!({ "day": { "method": "elicitation/create", "params": { "message": "which?" } } });
        json!({ "result": { "resultType": "input_required", "inputRequests": asks, "requestState": "s" } })
    });
    let hub = hub(&server);
    let client = client(&hub, STATELESS).await;
    let asked = client.call("book", json!({})).await;
    assert_eq!(asked["result"]["requestState"], "s", "{asked}");
    let answers = json!({ "day": { "action": "accept", "content": { "day": 3 } } });
    let again =
        |state: &str| json!({ "name": "book", "arguments": {}, "inputResponses": answers, "requestState": state });
    let refused = client.request("tools/call", again("s-tampered")).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert_eq!(refused["error"]["data"]["executed"], "no");
    assert_eq!(sent(&server, "book"), 1);
    let done = client.request("tools/call", again("s")).await;
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
    assert_eq!(sent(&server, "book"), 2);
}
