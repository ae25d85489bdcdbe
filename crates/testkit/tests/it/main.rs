//! Servers and client against each other, in every revision and with every fault, over HTTP and pipes.

mod faults;
mod ledgers;
mod protocol;
mod tasks;

use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use testkit::client::Identity;
use testkit::faults::Plan;
use testkit::server::{Options, serve_http};
use testkit::{Client, Running, worlds};
use tokio::process::Command;

/// The oldest revision with structured content, and the one that most clients speak.
const REVISION: &str = "2025-11-25";

async fn http(world: &str, faults: Plan) -> Running {
    let options = Options { faults, admin: true, ..Options::default() };
    let world = worlds::open(world, None).expect("a world");
    serve_http(([127, 0, 0, 1], 0).into(), world, options).await.expect("a port")
}

async fn client(running: &Running, revision: &str) -> Client {
    Client::http(&running.url, Identity::speaking(revision)).await.expect("a handshake")
}

async fn piped(args: &[&str], revision: &str) -> Client {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
    command.arg("--stdio").args(args);
    Client::stdio(command, Identity::speaking(revision)).await.expect("a handshake")
}

fn effects(running: &Running) -> usize {
    entries(&running.world().truth())
}

fn entries(truth: &Value) -> usize {
    truth["ledger"].as_array().map_or(0, Vec::len)
}

fn note() -> Value {
    json!({ "text": "a note", "intent": "i-1" })
}

/// Waits for a condition; whoever asks fails the test if it does not come about.
async fn comes_about(mut condition: impl FnMut() -> bool) -> bool {
    for _ in 0..2_000 {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

#[tokio::test]
async fn a_shop_pays_a_refund_as_often_as_it_is_asked() {
    let shop = Arc::new(testkit::shop::Shop::in_memory().expect("a shop"));
    let running = testkit::shop::serve_http(([127, 0, 0, 1], 0).into(), Arc::clone(&shop), Options::default())
        .await
        .expect("a port");
    let client = client(&running, REVISION).await;
    for _ in 0..2 {
        let args = json!({ "order_id": 1, "amount": 5.0 });
        let answer = client.call("issue_refund", args, &Default::default()).await.expect("an answer");
        assert!(!answer.is_error, "{answer:?}");
    }
    assert_eq!(
        shop.refunds().iter().map(|(_, order, amount)| (*order, *amount)).collect::<Vec<_>>(),
        [(1, 5.0), (1, 5.0)]
    );
    let order = client.call("get_order", json!({ "order_id": 1 }), &Default::default()).await.expect("an answer");
    assert_eq!(order.structured.expect("an order")["refunded"], 10.0);
}
