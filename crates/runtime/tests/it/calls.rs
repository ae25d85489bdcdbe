//! Calls that go well, and callers that leave.

use crate::bench::{Bench, answer, phases, result, stop};
use crate::upstream::Fault;
use runtime::{Arrival, Phase, Request};
use std::sync::atomic::Ordering;
use std::time::Duration;
use vocab::{Code, Executed, Verification};

#[tokio::test(start_paused = true)]
async fn a_read_is_answered_with_the_bytes_of_its_upstream() {
    let bench = Bench::new();
    let (bytes, verification, replayed) = result(bench.call("look", r#"{"account":"a"}"#).await);
    assert!(bytes.contains(r#""paid":false"#), "{bytes}");
    assert_eq!((verification, replayed), (Verification::None, false));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_meets_a_fault_is_tried_again() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Vanishes);
    bench.upstream.fault(Fault::Refused);
    let mut pending = bench.start(bench.request("look", r#"{"account":"a"}"#));
    let (phases, (reply, delivery)) = phases(&mut pending).await;
    delivery.report(Arrival::Seen);
    assert!(result(reply).0.contains("paid"));
    assert!(phases.iter().any(|phase| matches!(phase, Phase::Retrying { .. })), "{phases:?}");
    assert_eq!(bench.upstream.sends(), 3);
}

//= S-15
//= S-25
#[tokio::test(start_paused = true)]
async fn a_mutation_is_done_once_and_read_back() {
    let bench = Bench::new();
    let (_, verification, _) = result(bench.call("pay", r#"{"account":"a"}"#).await);
    assert_eq!(verification, Verification::Verified);
    assert_eq!((bench.upstream.paid("a"), bench.upstream.reads()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_read_whose_caller_leaves_is_given_up() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Held);
    let mut pending = bench.start(bench.request("look", r#"{"account":"a"}"#));
    tokio::select! {
        _ = answer(&mut pending) => unreachable!("it is held"),
        () = bench.upstream.sent(1) => {}
    }
    drop(pending);
    assert_eq!(bench.upstream.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(bench.runtime.health().callers, 0);
}

//= S-23
#[tokio::test(start_paused = true)]
async fn a_mutation_goes_on_when_its_caller_leaves_and_its_answer_waits_for_the_next_one() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Held);
    let request =
        |bench: &Bench| Request { explicit_keys: vec!["k1".to_owned()], ..bench.request("pay", r#"{"account":"a"}"#) };
    let pending = bench.start(request(&bench));
    bench.upstream.sent(1).await;
    drop(pending);
    bench.upstream.release();
    let (_, verification, replayed) = result(bench.ask(request(&bench)).await);
    assert_eq!(verification, Verification::Verified);
    assert!(replayed || bench.upstream.sends() == 1, "it was attached or replayed");
    assert_eq!((bench.upstream.paid("a"), bench.upstream.dropped.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_second_caller_of_the_same_step_is_attached_to_it() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Held);
    let request =
        |bench: &Bench| Request { explicit_keys: vec!["k1".to_owned()], ..bench.request("pay", r#"{"account":"a"}"#) };
    let mut first = bench.start(request(&bench));
    bench.upstream.sent(1).await;
    let mut second = bench.start(request(&bench));
    bench.upstream.release();
    let ((one, first_told), (phases, (two, second_told))) = tokio::join!(answer(&mut first), phases(&mut second));
    assert_eq!(result(one).0, result(two).0);
    assert!(phases.contains(&Phase::Attached), "{phases:?}");
    first_told.report(Arrival::Seen);
    second_told.report(Arrival::Seen);
    assert_eq!(bench.upstream.paid("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_forwarded_once_and_answered() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Held);
    let mut pending = bench.start(bench.request("wipe", r#"{"account":"a"}"#));
    bench.upstream.sent(1).await;
    pending.cancel();
    pending.cancel();
    let (reply, delivery) = answer(&mut pending).await;
    delivery.report(Arrival::Seen);
    let stop = stop(reply);
    assert_eq!((stop.code, stop.executed), (Code::OutcomeUnknown, Executed::Unknown));
    assert_eq!(bench.upstream.cancels.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_hears_by_its_own_patience_that_the_step_still_runs() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Held);
    let begun = tokio::time::Instant::now();
    let patience = Some(Duration::from_secs(3));
    let stop = stop(bench.ask(Request { patience, ..bench.request("pay", r#"{"account":"a"}"#) }).await);
    assert_eq!(stop.executed, Executed::Unknown);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_are_refused_at_once_and_nothing_is_sent() {
    let text = crate::bench::POLICY.to_owned() + "\nlimits: { calls_max: 1 }\n";
    let bench = Bench::with(&text, crate::prompt::Prompt::new(), std::sync::Arc::default());
    bench.upstream.fault(Fault::Held);
    let first = bench.start(bench.request("pay", r#"{"account":"a"}"#));
    bench.upstream.sent(1).await;
    let refused = stop(bench.call("look", r#"{"account":"a"}"#).await);
    assert_eq!((refused.code, refused.executed), (Code::Overloaded, Executed::No));
    assert_eq!(bench.upstream.sends(), 1);
    drop(first);
    assert!(result(bench.call("look", r#"{"account":"a"}"#).await).0.contains("paid"));
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_leaves_the_outcome_unknown_and_the_gateway_alive() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Panics);
    let stop = stop(bench.call("wipe", r#"{"account":"a"}"#).await);
    assert_eq!((stop.code, stop.executed), (Code::OutcomeUnknown, Executed::Unknown));
    assert!(result(bench.call("look", r#"{"account":"a"}"#).await).0.contains("paid"));
}

#[tokio::test(start_paused = true)]
async fn where_the_policy_says_so_a_caller_that_leaves_cancels_its_mutation() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Held);
    let pending = bench.start(bench.request("drop_me", "{}"));
    bench.upstream.sent(1).await;
    drop(pending);
    assert_eq!(bench.upstream.cancels.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_cancelled_is_answered_and_leaves_nothing_behind() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Held);
    let mut pending = bench.start(bench.request("look", r#"{"account":"a"}"#));
    tokio::select! {
        _ = answer(&mut pending) => unreachable!("it is held"),
        () = bench.upstream.sent(1) => {}
    }
    pending.cancel();
    let (reply, delivery) = answer(&mut pending).await;
    delivery.report(Arrival::Seen);
    assert_eq!(stop(reply).code, Code::Cancelled);
    drop(pending);
    let begun = tokio::time::Instant::now();
    bench.runtime.drain(Duration::from_secs(60)).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "something was still out");
}

#[tokio::test(start_paused = true)]
async fn the_same_request_delivered_twice_by_the_network_runs_once() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Held);
    let request = || Request { wire: Some("session 1, id 7".to_owned()), ..bench.request("wipe", "{}") };
    let mut first = bench.start(request());
    bench.upstream.sent(1).await;
    let mut second = bench.start(request());
    bench.upstream.release();
    let ((one, first_told), (two, second_told)) = tokio::join!(answer(&mut first), answer(&mut second));
    assert_eq!(result(one).0, result(two).0);
    first_told.report(Arrival::Seen);
    second_told.report(Arrival::Seen);
    assert_eq!(bench.upstream.sends(), 1);
}

#[tokio::test(start_paused = true)]
async fn retention_comes_back_by_itself() {
    let journal = crate::prompt::Prompt::new();
    let bench = Bench::on(std::sync::Arc::clone(&journal) as std::sync::Arc<dyn journal::Journal>, Default::default());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(journal.maintained.load(Ordering::SeqCst) >= 2);
    drop(bench);
}

#[tokio::test(start_paused = true)]
async fn a_read_goes_on_through_another_caller_when_the_one_that_made_it_leaves() {
    let bench = Bench::new();
    let request = || Request { explicit_keys: vec!["k".to_owned()], ..bench.request("look", r#"{"account":"a"}"#) };
    let begun = tokio::time::Instant::now();
    // Leaves before its task has done anything at all.
    let (first, mut second) = (bench.start(request()), bench.start(request()));
    drop(first);
    let (reply, delivery) = answer(&mut second).await;
    delivery.report(Arrival::Seen);
    assert!(result(reply).0.contains("paid"));
    // Leaves while its attempt is out.
    bench.upstream.fault(Fault::Held);
    let (mut first, mut second) = (bench.start(request()), bench.start(request()));
    tokio::select! {
        _ = answer(&mut first) => unreachable!("it is held"),
        () = bench.upstream.sent(2) => {}
    }
    drop(first);
    let (reply, delivery) = answer(&mut second).await;
    delivery.report(Arrival::Seen);
    assert!(result(reply).0.contains("paid"));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

//= G3
#[tokio::test(start_paused = true)]
async fn a_caller_that_names_no_patience_hears_before_the_usual_client_gives_up() {
    let bench = Bench::new();
    for tool in ["wipe", "lookup_strict"] {
        for _ in 0..3 {
            bench.upstream.fault(Fault::Held);
        }
        let begun = tokio::time::Instant::now();
        stop(bench.call(tool, "{}").await);
        assert!(begun.elapsed() < Duration::from_secs(58), "{tool}: {:?}", begun.elapsed());
    }
}

/// Every way in which a call can end, one for each number.
async fn end(bench: &Bench, request: Request, way: usize) {
    match way {
        0 => drop(bench.ask(request).await),
        1 => drop(bench.undelivered(request).await),
        2 => drop(bench.start(request)),
        3 => {
            let mut pending = bench.start(request);
            pending.cancel();
            drop(answer(&mut pending).await);
        }
        4 => {
            let mut pending = bench.start(request);
            drop(tokio::time::timeout(Duration::from_millis(1), answer(&mut pending)).await);
        }
        _ => {
            let (_, delivery) = bench.undelivered(request).await;
            delivery.report(Arrival::Flushed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn however_a_call_ends_its_session_is_let_go() {
    let bench = Bench::new();
    for tool in ["look", "pay", "note", "pay_counted"] {
        for way in 0..6 {
            let (request, session) = bench.request_on(tool, &format!(r#"{{"account":"{tool}{way}"}}"#));
            let session = {
                let weak = std::sync::Arc::downgrade(&session);
                drop(session);
                weak
            };
            end(&bench, request, way).await;
            tokio::time::sleep(Duration::from_secs(180)).await;
            assert_eq!(session.strong_count(), 0, "{tool}, way {way}");
        }
    }
    assert_eq!(bench.runtime.health().steps, 0);
}
