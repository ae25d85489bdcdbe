//! Many requests at once, faults of whole servers, and the end of a session under way.

use crate::child::playing;
use crate::contract::serve;
use crate::rig::{BOUND, Seen, call, http, open, parse};
use crate::wire::{Step, events, wire};
use futures_util::future::join_all;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use testkit::faults::{Bad, Fault, Plan};
use testkit::server::Options;
use upstream::{Config, ConnectOptions, RequestOptions, Session};
use vocab::{Failure, FailureKind};

async fn session(config: Config) -> Arc<dyn Session> {
    open(config, ConnectOptions::default(), &Seen::default()).await.expect("a session")
}

async fn increment(session: &dyn Session, id: u64, name: &str, limit: Duration) -> Result<serde_json::Value, Failure> {
    let options = RequestOptions { timeout: Some(limit), ..RequestOptions::default() };
    let message = call(session, id, "increment_counter", json!({ "name": name }));
    session.request(message, options).await.map(|answer| parse(&answer))
}

#[tokio::test]
async fn each_of_many_at_once_gets_its_own_answer() {
    let running = serve(Options::default()).await;
    for config in [http(&running.url), playing("world 2025-11-25")] {
        let session = session(config).await;
        let all = (1..=200).map(|id| {
            let session = session.clone();
            async move { (id, increment(&*session, id, &format!("c{id}"), BOUND).await) }
        });
        for (id, answer) in join_all(all).await {
            let answer = answer.expect("an answer");
            assert_eq!(answer["id"], id);
            assert_eq!(answer["result"]["structuredContent"], json!({ "name": format!("c{id}"), "value": 1 }));
        }
        session.close().await;
    }
}

//= S-26
#[tokio::test]
async fn more_at_once_than_allowed_are_not_sent() {
    let server = wire("2025-11-25", |request| if request.is_call() { vec![Step::Hang] } else { Vec::new() }).await;
    let mut config = http(&server.url);
    config.limits.calls_max = 3;
    let session = session(config).await;
    let all = (1..=5).map(|id| increment(&*session, id, "a", Duration::from_millis(500)));
    let kinds: Vec<FailureKind> = join_all(all).await.into_iter().map(|got| got.expect_err("no answer").kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == FailureKind::Timeout).count(), 3);
    assert_eq!(kinds.iter().filter(|kind| **kind == FailureKind::NotSent).count(), 2);
    assert_eq!(server.calls().len(), 3);
}

/// How a fault of a server looks over HTTP and with a child. `None` is an answer.
fn seen_as(fault: Fault) -> [Option<FailureKind>; 2] {
    let timeout = Some(FailureKind::Timeout);
    match fault {
        Fault::Before503 => [Some(FailureKind::Status(503)), None],
        Fault::Effect504 => [Some(FailureKind::Status(504)), None],
        Fault::EffectLost => [Some(FailureKind::Eof), timeout],
        Fault::EffectLate | Fault::EffectAfter => [timeout, timeout],
        Fault::EffectBad(Bad::CutBody) => [Some(FailureKind::Eof), timeout],
        Fault::EffectBad(Bad::CutJson | Bad::NotJson | Bad::WrongId) => [Some(FailureKind::Unparsable), timeout],
        Fault::EffectBad(Bad::WrongShape | Bad::NoContent) => [None, None],
        Fault::BeforeIsError | Fault::StaleRead | Fault::Duplicate => [None, None],
    }
}

const LATE: Duration = Duration::from_secs(1);

fn effects(fault: Fault) -> i64 {
    match fault {
        Fault::Before503 | Fault::BeforeIsError => 0,
        Fault::Duplicate => 2,
        _ => 1,
    }
}

//= G1
//= G3
#[tokio::test]
async fn each_fault_of_a_server_is_named_and_never_doubled() {
    let limit = Duration::from_millis(400);
    let bad = Bad::ALL.into_iter().map(Fault::EffectBad);
    for fault in Fault::KINDS.into_iter().filter(|fault| *fault != Fault::StaleRead).chain(bad) {
        let faults = Plan { late: LATE, ..Plan::default() };
        let running = serve(Options { faults, ..Options::default() }).await;
        let word = fault.as_str();
        let over_http = session(http(&running.url)).await;
        let plan = format!("world 2025-11-25 late_ms={},next:increment_counter={word}", LATE.as_millis());
        let with_child = session(playing(&plan)).await;
        running.faults().script(Some("increment_counter"), fault);
        for (session, expected) in [over_http, with_child].into_iter().zip(seen_as(fault)) {
            let got = increment(&*session, 1, "a", limit).await;
            let kind = got.as_ref().err().map(|failure| failure.kind);
            assert_eq!(kind, expected, "{word}");
            // What happens late has happened by then.
            let settle = if matches!(fault, Fault::EffectAfter) { 2 * LATE } else { Duration::ZERO };
            tokio::time::sleep(settle).await;
            let read = call(&*session, 2, "get_counter", json!({ "name": "a" }));
            let read = parse(&session.request(read, RequestOptions::default()).await.expect("an answer"));
            assert_eq!(read["result"]["structuredContent"]["value"], effects(fault), "{word}");
            session.close().await;
        }
    }
}

#[tokio::test]
async fn a_child_that_is_killed_during_a_call_has_left() {
    let session = session(playing("world 2025-11-25 lost=exit,next:*=effect_lost")).await;
    let failure = increment(&*session, 1, "a", BOUND).await.expect_err("it is gone");
    assert_eq!(failure.kind, FailureKind::Exit);
    assert!(session.is_closed());
}

//= G3
#[tokio::test]
async fn a_session_that_is_closed_tells_those_who_wait() {
    let server = wire("2025-11-25", |request| match request.is_call() {
        true => vec![Step::Send(events()), Step::Hang],
        false => Vec::new(),
    })
    .await;
    for config in [http(&server.url), playing("puppet")] {
        let is_http = matches!(config.transport, upstream::Transport::Http { .. });
        let session = session(config).await;
        let asked = increment(&*session, 1, "a", BOUND);
        let closed = async {
            if is_http {
                crate::rig::until("the call came", || server.calls().len() == 1).await;
            } else {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            session.close().await;
        };
        let (got, ()) = tokio::join!(asked, closed);
        let expected = if is_http { FailureKind::Eof } else { FailureKind::Exit };
        assert_eq!(got.expect_err("closed").kind, expected);
    }
}

#[tokio::test]
async fn a_notification_is_not_kept_waiting_by_a_server_that_streams_nothing() {
    let server = wire("2025-11-25", |request| match request.rpc_method() {
        "notifications/initialized" => vec![Step::Send(events()), Step::Hang],
        _ => Vec::new(),
    })
    .await;
    let opened = tokio::time::timeout(Duration::from_secs(10), session(http(&server.url))).await;
    assert!(opened.is_ok());
}

#[tokio::test]
async fn a_connection_that_was_idle_for_long_is_not_used_again() {
    let server = wire("2025-11-25", |_| Vec::new()).await;
    let session = session(http(&server.url)).await;
    increment(&*session, 1, "a", BOUND).await.expect("an answer");
    increment(&*session, 2, "a", BOUND).await.expect("an answer");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    tokio::time::resume();
    increment(&*session, 3, "a", BOUND).await.expect("an answer");
    let used: Vec<usize> = server.calls().iter().map(|call| call.connection).collect();
    assert_eq!(used[0], used[1]);
    assert_ne!(used[1], used[2]);
}
