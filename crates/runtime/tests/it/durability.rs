//! Durable before it is sent, durable before it is told.

use crate::bench::{Bench, answer, result, stop};
use crate::upstream::Upstream;
use bytes::Bytes;
use journal::{Crash, Journal};
use runtime::Arrival;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vocab::{Code, Executed};

const ARGS: &str = r#"{"account":"a"}"#;

/// Lets every task that can run do so.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

//= G4
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_intent_is_durable_and_nothing_told_before_the_outcome_is() {
    let (journal, upstream) = (Crash::new(), Arc::<Upstream>::default());
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    let mut pending = bench.start(bench.request("pay", ARGS));
    settle().await;
    journal.write();
    settle().await;
    assert_eq!(upstream.sends(), 0, "written is not durable");
    journal.sync();
    upstream.sent(1).await;
    settle().await;
    let told = tokio::time::timeout(std::time::Duration::from_millis(1), answer(&mut pending)).await;
    assert!(told.is_err(), "the outcome is not durable yet");
    journal.pump();
    let (reply, delivery) = answer(&mut pending).await;
    delivery.report(Arrival::Seen);
    result(reply);
    assert_eq!(upstream.paid("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_for_no_commit_and_a_mutation_for_two() {
    let journal = crate::prompt::Prompt::new();
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::default());
    let barriers = || journal.barriers.load(Ordering::SeqCst);
    assert!(result(bench.call("look", ARGS).await).0.contains("paid"));
    assert_eq!(barriers(), 0);
    result(bench.call("pay", ARGS).await);
    assert_eq!(barriers(), 2);
}

//= G1
//= G3
#[tokio::test]
async fn what_was_made_durable_before_the_gateway_was_fenced_is_not_sent_once_it_begins_anew() {
    let journal = crate::prompt::Prompt::new();
    journal.shared.store(true, Ordering::SeqCst);
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::default());
    result(bench.call("pay", ARGS).await);
    assert_eq!(bench.upstream.sends(), 1, "nobody took it for dead");
    journal.fenced.store(true, Ordering::SeqCst);
    let stop = stop(bench.call("pay", r#"{"account":"b"}"#).await);
    assert_eq!((stop.executed, bench.upstream.sends()), (Executed::No, 1), "{stop:?}");
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_takes_nothing_stops_mutations_and_lets_reads_go_on() {
    let journal = Crash::new();
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::default());
    journal.disk_full(true);
    let mut pending = bench.start(bench.request("pay", ARGS));
    settle().await;
    journal.pump();
    let (reply, delivery) = answer(&mut pending).await;
    delivery.report(Arrival::Seen);
    let stop = stop(reply);
    assert_eq!((stop.code, stop.executed), (Code::JournalUnavailable, Executed::No));
    assert_eq!(bench.upstream.sends(), 0);
    assert!(!bench.runtime.health().is_ready());
    assert!(result(bench.call("look", ARGS).await).0.contains("paid"));
}

#[tokio::test(start_paused = true)]
async fn an_fsync_error_is_told_to_whoever_can_end_the_process() {
    let journal = Crash::new();
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::default());
    journal.fail_next_sync();
    let mut pending = bench.start(bench.request("pay", ARGS));
    settle().await;
    journal.pump();
    let error = bench.runtime.poisoned().await;
    assert!(matches!(error, journal::Error::Poisoned(_)), "{error}");
    let (reply, delivery) = answer(&mut pending).await;
    delivery.report(Arrival::Seen);
    assert_eq!(stop(reply).code, Code::JournalUnavailable);
    assert_eq!(bench.upstream.sends(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_the_journal_is_what_was_answered() {
    let journal = crate::prompt::Prompt::new();
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::default());
    let (reply, delivery) = bench.undelivered(bench.request("pay", ARGS)).await;
    let runtime::Reply::Result { step, result, .. } = &reply else { unreachable!("{reply:?}") };
    let row = journal.step(*step).expect("a read").expect("stored");
    assert_eq!(row.result.as_ref(), Some(result));
    assert_eq!(row.intent.args, Bytes::from_static(ARGS.as_bytes()));
    delivery.report(Arrival::Seen);
}

//= G4
#[tokio::test(start_paused = true)]
async fn a_question_about_a_step_is_not_answered_with_an_outcome_that_is_not_durable() {
    let (journal, upstream) = (Crash::new(), Arc::<Upstream>::default());
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    let pending = bench.start(bench.request("wipe", ARGS));
    let step = pending.step();
    settle().await;
    journal.pump();
    upstream.sent(1).await;
    settle().await;
    let status = || bench.runtime.status(&"t".into(), &"ann".into(), Some(step));
    let before = status().await.0.steps[0].clone();
    assert_eq!((before.outcome, before.executed), (None, Executed::Unknown));
    journal.pump();
    let after = status().await.0.steps[0].clone();
    assert_eq!((after.outcome, after.executed), (Some(vocab::Outcome::Succeeded), Executed::Yes));
}

//= G1
#[tokio::test(start_paused = true)]
async fn a_journal_that_is_overfull_or_cannot_be_read_stops_mutations_until_it_can_again() {
    let journal = crate::prompt::Prompt::new();
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::default());
    for broken in [&journal.overfull, &journal.unreadable] {
        broken.store(true, Ordering::SeqCst);
        let stop = stop(bench.call("pay", ARGS).await);
        assert_eq!((stop.code, stop.executed), (Code::JournalUnavailable, Executed::No));
        assert!(result(bench.call("look", ARGS).await).0.contains("paid"));
        broken.store(false, Ordering::SeqCst);
    }
    assert_eq!(bench.upstream.paid("a"), 0);
    result(bench.call("pay", ARGS).await);
    assert_eq!(bench.upstream.paid("a"), 1);
}

//= G4
#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_written_is_not_told_and_is_written_when_that_is_possible_again() {
    let (journal, upstream) = (crate::prompt::Prompt::new(), Arc::<Upstream>::default());
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    upstream.fault(crate::upstream::Fault::Held);
    let mut pending = bench.start(bench.request("wipe", ARGS));
    let step = pending.step();
    upstream.sent(1).await;
    journal.overfull.store(true, Ordering::SeqCst);
    upstream.release();
    let stop = stop(answer(&mut pending).await.0);
    assert_eq!((stop.code, stop.executed), (Code::OutcomeUnknown, Executed::Unknown));
    journal.overfull.store(false, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    let row = journal.step(step).expect("a read").expect("stored");
    assert_eq!(row.status.outcome, Some(vocab::Outcome::Succeeded));
}
