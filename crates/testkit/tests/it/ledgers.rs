//! What was done survives the server.

use super::{REVISION, note, piped};
use serde_json::json;
use std::fs::OpenOptions;
use std::io::Write;
use testkit::client::CallOptions;
use testkit::ledger::Ledger;

#[tokio::test]
async fn a_killed_server_comes_back_with_exactly_what_it_had_done() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ledger");
    let args = ["--ledger", path.to_str().expect("a path")];
    let client = piped(&args, REVISION).await;
    client.call("append", note(), &CallOptions::default()).await.expect("an answer");
    // Dropping the client kills the process.
    drop(client);
    OpenOptions::new().append(true).open(&path).expect("the ledger").write_all(b"{\"n\":2,").expect("half a line");
    let client = piped(&args, REVISION).await;
    let listed = client.call("list_entries", json!({}), &CallOptions::default()).await.expect("a list");
    assert_eq!(listed.structured.expect("entries")["entries"].as_array().map(Vec::len), Some(1));
    client.call("append", note(), &CallOptions::default()).await.expect("an answer");
    let numbers: Vec<_> = Ledger::read(&path).expect("whole lines").iter().map(|entry| entry.n).collect();
    assert_eq!(numbers, [1, 2], "the torn line was cut off");
}

#[tokio::test]
async fn a_key_that_is_honoured_pays_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ledger");
    let args = ["--ledger", path.to_str().expect("a path")];
    let pay = json!({ "to": "ana", "amount": 3, "idempotency_key": "k" });
    for _ in 0..2 {
        // The second time by a process that has only read about the first.
        let client = piped(&args, REVISION).await;
        let paid = client.call("pay", pay.clone(), &CallOptions::default()).await.expect("an answer");
        assert_eq!(paid.structured.expect("a payment")["payment_id"], "pay-1");
    }
    let entries = Ledger::read(&path).expect("whole lines");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].key.as_deref(), Some("k"));
}
