//! The end of a gateway.

use crate::bench::{Bench, answer, result, stop};
use crate::upstream::Fault;
use runtime::{Arrival, CallError};
use std::time::Duration;
use vocab::Executed;

const ARGS: &str = r#"{"account":"a"}"#;

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_calls_in_flight_and_takes_no_new_ones() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Held);
    let mut pending = bench.start(bench.request("pay", ARGS));
    bench.upstream.sent(1).await;
    let runtime = bench.runtime.clone();
    let drained = tokio::spawn(async move { runtime.drain(Duration::from_secs(60)).await });
    while !bench.runtime.health().draining {
        tokio::task::yield_now().await;
    }
    assert!(matches!(bench.refused(bench.request("look", ARGS)), CallError::Draining));
    bench.upstream.release();
    let (reply, delivery) = answer(&mut pending).await;
    delivery.report(Arrival::Seen);
    result(reply);
    drained.await.expect("it ends");
    assert!(bench.runtime.journal().health().is_err(), "the journal is closed");
}

//= G3
#[tokio::test(start_paused = true)]
async fn a_drain_that_is_over_its_bound_tells_callers_that_nobody_knows() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Held);
    let mut pending = bench.start(bench.request("pay", ARGS));
    bench.upstream.sent(1).await;
    let begun = tokio::time::Instant::now();
    let ((), (reply, delivery)) = tokio::join!(bench.runtime.drain(Duration::from_secs(3)), answer(&mut pending));
    delivery.report(Arrival::Seen);
    let stop = stop(reply);
    assert_eq!(stop.executed, Executed::Unknown);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let row = bench.runtime.journal().step(stop.step).expect("a read").expect("it was sent, so it is stored");
    assert!(row.status.state.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_drain_with_nothing_in_flight_ends_at_once() {
    let bench = Bench::new();
    result(bench.call("pay", ARGS).await);
    let begun = tokio::time::Instant::now();
    bench.runtime.drain(Duration::from_secs(60)).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
