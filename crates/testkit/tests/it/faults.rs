//! Each fault has the effect that its name says, and shows the caller what its name says.

use super::{REVISION, client, comes_about, effects, entries, http, note, piped};
use serde_json::json;
use std::time::Duration;
use testkit::Fault;
use testkit::client::{CallOptions, Error};
use testkit::faults::{Bad, Plan};
use testkit::server::STATELESS;

/// What the caller of a faulty call sees: a word for each kind.
fn seen(result: &Result<testkit::Answer, Error>) -> &'static str {
    match result {
        Ok(answer) if answer.is_error => "is_error",
        Ok(_) => "answer",
        Err(Error::Timeout) => "timeout",
        Err(Error::Disconnected(_)) => "disconnected",
        Err(Error::Status(503, _)) => "503",
        Err(Error::Status(504, _)) => "504",
        Err(Error::Status(..)) => "status",
        Err(Error::Rpc { .. }) => "error",
        Err(Error::Malformed(_)) => "malformed",
        Err(Error::Connect(_)) => "connect",
    }
}

/// The fault, effects when the caller has heard, effects in the end, over HTTP, over pipes.
const EXPECTED: [(Fault, usize, usize, &str, &str); 14] = [
    (Fault::Before503, 0, 0, "503", "error"),
    (Fault::BeforeIsError, 0, 0, "is_error", "is_error"),
    (Fault::EffectLost, 1, 1, "disconnected", "timeout"),
    (Fault::Effect504, 1, 1, "504", "error"),
    (Fault::EffectLate, 1, 1, "timeout", "timeout"),
    (Fault::EffectAfter, 0, 1, "timeout", "timeout"),
    (Fault::StaleRead, 1, 1, "answer", "answer"),
    (Fault::Duplicate, 2, 2, "answer", "answer"),
    (Fault::EffectBad(Bad::CutJson), 1, 1, "malformed", "malformed"),
    (Fault::EffectBad(Bad::CutBody), 1, 1, "disconnected", "malformed"),
    (Fault::EffectBad(Bad::WrongId), 1, 1, "malformed", "timeout"),
    (Fault::EffectBad(Bad::WrongShape), 1, 1, "answer", "answer"),
    (Fault::EffectBad(Bad::NotJson), 1, 1, "malformed", "malformed"),
    (Fault::EffectBad(Bad::NoContent), 1, 1, "malformed", "malformed"),
];

const LATE: Duration = Duration::from_millis(900);
const PATIENCE: Duration = Duration::from_millis(300);

fn plan(fault: Fault) -> Plan {
    Plan { late: LATE, next: vec![(Some("append".into()), fault)], ..Plan::default() }
}

#[tokio::test]
async fn every_fault_over_http_does_what_it_says() {
    for revision in [REVISION, STATELESS] {
        for (fault, at_once, in_the_end, expected, _) in EXPECTED {
            let running = http("ledger", plan(fault)).await;
            let client = client(&running, revision).await;
            let answer = client.call("append", note(), &CallOptions::within(PATIENCE)).await;
            assert_eq!(seen(&answer), expected, "{} {answer:?}", fault.as_str());
            assert_eq!(effects(&running), at_once, "{}", fault.as_str());
            assert!(comes_about(|| effects(&running) == in_the_end).await, "{}", fault.as_str());
            assert_eq!(running.faults().struck(), 1);
        }
    }
}

#[tokio::test]
async fn every_fault_over_pipes_does_what_it_says() {
    for (fault, _, in_the_end, _, expected) in EXPECTED {
        let client = piped(&["--faults", &format!("late_ms=900,next:append={}", name(fault))], REVISION).await;
        let answer = client.call("append", note(), &CallOptions::within(PATIENCE)).await;
        assert_eq!(seen(&answer), expected, "{} {answer:?}", fault.as_str());
        let mut had = 0;
        for _ in 0..400 {
            let listed = client.call("list_entries", json!({}), &CallOptions::default()).await.expect("a list");
            had = listed.structured.expect("entries")["entries"].as_array().map_or(0, Vec::len);
            if had == in_the_end {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(had, in_the_end, "{}", fault.as_str());
    }
}

fn name(fault: Fault) -> &'static str {
    if fault == Fault::EffectBad(Bad::CutJson) { "effect_cut_json" } else { fault.as_str() }
}

#[tokio::test]
async fn a_lost_reply_can_end_the_process() {
    let client = piped(&["--faults", "lost=exit,next:append=effect_lost"], REVISION).await;
    let answer = client.call("append", note(), &CallOptions::default()).await;
    assert_eq!(seen(&answer), "disconnected");
}

#[tokio::test]
async fn an_effect_comes_although_the_caller_has_left_with_its_connection() {
    let running = http("ledger", plan(Fault::EffectAfter)).await;
    let client = client(&running, STATELESS).await;
    let answer = client.call("append", note(), &CallOptions::within(PATIENCE)).await;
    assert_eq!(seen(&answer), "timeout");
    drop(client);
    assert!(comes_about(|| effects(&running) == 1).await);
}

#[tokio::test]
async fn a_stale_read_shows_the_world_before_the_last_change() {
    let running = http("counters", Plan::default()).await;
    let client = client(&running, REVISION).await;
    let value = async |fault: bool| {
        if fault {
            running.faults().script(Some("get_counter"), Fault::StaleRead);
        }
        let answer = client.call("get_counter", json!({ "name": "red" }), &CallOptions::default()).await;
        answer.expect("an answer").structured.expect("a counter")["value"].clone()
    };
    let answer = client.call("increment_counter", json!({ "name": "red" }), &CallOptions::default()).await;
    assert_eq!(seen(&answer), "answer");
    assert_eq!((value(true).await, value(false).await), (json!(0), json!(1)));
}

#[tokio::test]
async fn faults_are_scripted_and_the_truth_is_told_beside_mcp() {
    let running = http("ledger", Plan::default()).await;
    let client = client(&running, REVISION).await;
    running.faults().script(Some("append"), Fault::Effect504);
    assert_eq!(seen(&client.call("append", note(), &CallOptions::default()).await), "504");
    assert_eq!(seen(&client.call("append", note(), &CallOptions::default()).await), "answer");
    let truth = running.world().truth();
    assert_eq!(entries(&truth), 2);
    assert_eq!(truth["ledger"][0]["hash"], truth["ledger"][1]["hash"], "equal calls have equal hashes");
    assert_eq!(truth["ledger"][0]["intent"], "i-1");
}
