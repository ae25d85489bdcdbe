//! Many callers on many threads: nothing is done twice, nothing is left behind.

use crate::bench::{Bench, answer, result};
use crate::upstream::Upstream;
use journal::Memory;
use runtime::{Arrival, Request};
use std::sync::Arc;
use std::time::{Duration, Instant};

const KEYS: usize = 24;
const CALLERS: usize = 10;

async fn one(bench: Arc<Bench>, key: usize, caller: usize) {
    let args = format!(r#"{{"account":"a{key}"}}"#);
    let request = Request { explicit_keys: vec![format!("k{key}")], ..bench.request("pay", &args) };
    let mut pending = bench.start(request);
    if caller.is_multiple_of(3) {
        // Leaves at some moment of the step's life.
        for _ in 0..(key * CALLERS + caller) % 17 {
            tokio::task::yield_now().await;
        }
        return;
    }
    let (reply, delivery) = answer(&mut pending).await;
    let (bytes, _, _) = result(reply);
    assert!(bytes.contains(r#""paid":true"#), "{bytes}");
    delivery.report(if caller.is_multiple_of(2) { Arrival::Seen } else { Arrival::Lost });
}

//= S-23
//= G1
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_share_keys_come_and_go_and_each_key_is_paid_once() {
    let upstream = Arc::<Upstream>::default();
    let bench = Arc::new(Bench::on(Memory::new(), Arc::clone(&upstream)));
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        for key in 0..KEYS {
            tasks.spawn(one(Arc::clone(&bench), key, caller));
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no caller fails");
    }
    for key in 0..KEYS {
        assert_eq!(upstream.paid(&format!("a{key}")), 1, "key {key}");
    }
    let until = Instant::now() + Duration::from_secs(30);
    while bench.runtime.health().steps > 0 || bench.runtime.health().callers > 0 {
        assert!(Instant::now() < until, "{:?}", bench.runtime.health());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_and_mutations_of_many_callers_are_each_answered_with_their_own() {
    let upstream = Arc::<Upstream>::default();
    let bench = Arc::new(Bench::on(Memory::new(), upstream));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let bench = Arc::clone(&bench);
        tasks.spawn(async move {
            let args = format!(r#"{{"account":"n{number}"}}"#);
            let tool = if number % 4 == 0 { "pay" } else { "look" };
            let (bytes, ..) = result(bench.call(tool, &args).await);
            let own = if tool == "pay" { r#""paid":true"#.to_owned() } else { format!(r#""account":"n{number}""#) };
            assert!(bytes.contains(&own), "{bytes}");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no caller fails");
    }
}
