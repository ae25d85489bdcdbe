//! What a second process makes of what the first one left.

use crate::bench::{Bench, answer, result, stop};
use crate::prompt::Prompt;
use crate::upstream::{Fault, Upstream};
use journal::crash::Tail;
use journal::{Crash, Journal};
use runtime::{Continuation, Reply, Request};
use std::sync::Arc;
use std::time::Duration;
use vocab::{Code, Executed, State};

const ARGS: &str = r#"{"account":"a"}"#;

fn keyed(bench: &Bench, tool: &str) -> Request {
    Request { explicit_keys: vec!["k".to_owned()], ..bench.request(tool, ARGS) }
}

//= S-09
//= G5
#[tokio::test(start_paused = true)]
async fn an_answer_is_replayed_after_a_restart() {
    let (journal, upstream) = (Prompt::new(), Arc::<Upstream>::default());
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    let first = result(bench.ask(keyed(&bench, "pay")).await);
    bench.runtime.drain(Duration::from_secs(5)).await;
    drop(bench);
    let bench = Bench::on(journal.reopen(), Arc::clone(&upstream));
    let again = result(bench.ask(keyed(&bench, "pay")).await);
    assert_eq!(first.0, again.0);
    assert!(again.2);
    assert_eq!(upstream.paid("a"), 1);
}

/// Pumps a journal until an answer is there.
async fn pumped(journal: &Crash, bench: &Bench, request: Request) -> runtime::Reply {
    let mut pending = bench.start(request);
    let pump = async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            journal.pump();
        }
    };
    tokio::select! {
        (reply, delivery) = answer(&mut pending) => {
            delivery.report(runtime::Arrival::Seen);
            reply
        }
        () = pump => unreachable!("it goes on for ever"),
    }
}

/// A call that was sent and whose process then died.
async fn sent_and_crashed(upstream: &Arc<Upstream>, tool: &str, tail: Tail) -> Arc<Crash> {
    let journal = Crash::new();
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(upstream));
    upstream.fault(Fault::Held);
    let pending = bench.start(keyed(&bench, tool));
    journal.pump();
    upstream.sent(1).await;
    let next = journal.crash(tail);
    drop(pending);
    next
}

//= S-09
//= S-23
//= G1
//= G6
#[tokio::test(start_paused = true)]
async fn a_call_that_was_out_when_the_gateway_died_is_looked_for_and_never_sent_again() {
    let upstream = Arc::<Upstream>::default();
    let journal = sent_and_crashed(&upstream, "pay", Tail::Lost).await;
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    upstream.release();
    let stop = stop(pumped(&journal, &bench, keyed(&bench, "pay")).await);
    assert_eq!(stop.code, if upstream.paid("a") > 0 { Code::AppliedNoReceipt } else { Code::NotApplied });
    assert_eq!(upstream.sends(), 1);
    assert!(upstream.reads() > 0);
}

//= G1
//= G6
#[tokio::test(start_paused = true)]
async fn without_a_probe_it_stays_unknown_over_restarts() {
    let upstream = Arc::<Upstream>::default();
    let mut journal = sent_and_crashed(&upstream, "wipe", Tail::Lost).await;
    for _ in 0..3 {
        let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
        let stop = stop(pumped(&journal, &bench, keyed(&bench, "wipe")).await);
        assert_eq!((stop.code, stop.executed), (Code::OutcomeUnknown, Executed::Unknown));
        journal = journal.crash(Tail::Kept);
    }
    assert_eq!(upstream.sends(), 1);
}

//= G4
#[tokio::test(start_paused = true)]
async fn an_intent_that_was_lost_with_the_power_was_never_sent_and_may_run() {
    let (journal, upstream) = (Crash::new(), Arc::<Upstream>::default());
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    let pending = bench.start(keyed(&bench, "pay"));
    journal.write();
    let journal = journal.crash(Tail::Lost);
    drop(pending);
    assert_eq!(upstream.sends(), 0);
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    result(pumped(&journal, &bench, keyed(&bench, "pay")).await);
    assert_eq!(upstream.paid("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_left_open_is_shown_to_its_caller_after_a_restart() {
    let upstream = Arc::<Upstream>::default();
    let journal = sent_and_crashed(&upstream, "wipe", Tail::Lost).await;
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    journal.pump();
    let open = bench.runtime.status(&"t".into(), &"ann".into(), None).await.0;
    assert_eq!(open.steps.len(), 1);
    assert_ne!(open.steps[0].state, State::Closed);
    assert!(!bench.runtime.status(&"t".into(), &"bob".into(), None).await.0.found());
}

//= S-09
//= G5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_file_an_answer_is_replayed_after_the_process_was_gone_without_a_word() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || journal::Sqlite::open(directory.path(), journal::sqlite::Options::default()).expect("it opens");
    let upstream = Arc::<Upstream>::default();
    let journal = open();
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    let first = result(bench.ask(keyed(&bench, "pay")).await);
    // What is answered is durable; nothing else is needed from the old process.
    journal.close();
    drop((bench, journal));
    let bench = Bench::on(open(), Arc::clone(&upstream));
    let again = result(bench.ask(keyed(&bench, "pay")).await);
    assert_eq!((first.0, true), (again.0, again.2));
    assert_eq!(upstream.paid("a"), 1);
    bench.runtime.drain(Duration::from_secs(5)).await;
}

//= G1
//= G3
#[tokio::test(start_paused = true)]
async fn a_restored_older_journal_is_no_proof_that_a_later_attempt_was_not_made() {
    let (journal, upstream) = (Crash::new(), Arc::<Upstream>::default());
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    for _ in 0..2 {
        upstream.fault(Fault::Refused);
    }
    let refused = stop(pumped(&journal, &bench, keyed(&bench, "wipe")).await);
    assert_eq!((refused.code, refused.executed), (Code::UpstreamUnavailable, Executed::No));
    journal.pump();
    let copy = journal.backup_image();
    result(pumped(&journal, &bench, keyed(&bench, "wipe")).await);
    let sends = upstream.sends();
    drop((bench, journal));
    let journal = Crash::open(copy);
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    let doubted = stop(pumped(&journal, &bench, keyed(&bench, "wipe")).await);
    assert_eq!((doubted.code, doubted.executed), (Code::OutcomeUnknown, Executed::Unknown));
    assert_eq!(upstream.sends(), sends, "it is not sent once more");
}

const WISH: &str = r#"{"resultType":"input_required","requestState":"s1","inputRequests":{"q":{}}}"#;

fn leg(bench: &Bench) -> Request {
    let continuation = Continuation {
        state: Some(bytes::Bytes::from_static(br#""s1""#)),
        responses: bytes::Bytes::from_static(br#"{"q":{"a":1}}"#),
    };
    Request { continuation: Some(continuation), ..bench.request("pay", ARGS) }
}

//= S-23
//= G5
#[tokio::test(start_paused = true)]
async fn a_state_handed_out_before_a_restart_is_continued_after_it_and_after_another_one_its_leg_is_found() {
    let (journal, upstream) = (Prompt::new(), Arc::<Upstream>::default());
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    upstream.fault(Fault::Answers(WISH));
    let Reply::Result { step: asked, .. } = bench.call("pay", ARGS).await else { unreachable!("the wish") };
    bench.runtime.drain(Duration::from_secs(5)).await;
    drop(bench);
    let journal = journal.reopen();
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    let before = upstream.paid("a");
    let first = result(bench.ask(leg(&bench)).await);
    assert_eq!((first.2, upstream.paid("a")), (false, before + 1));
    let seen = bench.runtime.status(&"t".into(), &"ann".into(), Some(asked)).await.0;
    assert_eq!((seen.steps[0].state, seen.steps[0].executed), (State::Closed, Executed::No));
    bench.runtime.drain(Duration::from_secs(5)).await;
    drop(bench);
    let bench = Bench::on(journal.reopen(), Arc::clone(&upstream));
    let again = result(bench.ask(leg(&bench)).await);
    assert_eq!((again.0, again.2, upstream.paid("a")), (first.0, true, before + 1));
}

const TASK: &str = r#"{"task":{"taskId":"t1","status":"working","ttl":null,"pollInterval":2000.0,
    "createdAt":"2026-01-01T00:00:00Z","lastUpdatedAt":"2026-01-01T00:00:00Z"}}"#;

//= G6
#[tokio::test(start_paused = true)]
async fn a_task_of_the_upstream_is_asked_about_again_after_a_restart() {
    let (journal, upstream) = (Prompt::new(), Arc::<Upstream>::default());
    let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    upstream.fault(Fault::Answers(TASK));
    let Reply::Result { step, .. } = bench.call("pay", ARGS).await else { unreachable!("the task") };
    bench.runtime.drain(Duration::from_secs(5)).await;
    drop(bench);
    let ended = r#"{"taskId":"t1","status":"completed","result":{"content":[],"structuredContent":{"paid":true}}}"#;
    upstream.words.lock().push_back(ended);
    let bench = Bench::on(journal.reopen(), Arc::clone(&upstream));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let seen = bench.runtime.status(&"t".into(), &"ann".into(), Some(step)).await.0;
    assert_eq!((seen.steps[0].state, seen.steps[0].executed), (State::Closed, Executed::Yes));
}
