//! A run is taken back: the latest change first, each once, whatever is lost or killed on the way.

use crate::bench::{Bench, result};
use crate::prompt::Prompt;
use crate::upstream::{Fault, Upstream};
use bytes::Bytes;
use journal::{Journal, RunSummary};
use runtime::rollback::{Claim, Report, RollbackError, Said, Statement};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vocab::{Name, RollbackStatus, RunId, StepId};

const POLICY: &str = r#"
upstreams:
  shop: { mcp: { url: "http://127.0.0.1:9/mcp" } }
defaults: { quiescence: 1s, absent_spacing: 1s, probe_wait: 20s }
tools:
  - { match: shop.look, effect: read }
  - match: shop.pay
    effect: write
    target: args.account
    readback:
      read: shop.look
      args: '{"account": args.account}'
      expect: 'read.paid == true'
      absent: 'read.paid == false'
      consistency: strong
      strength: exact
    compensate: { call: refund, args: '{"account": args.account}' }
  - match: shop.pay_counted
    effect: write
    target: args.account
    readback: { read: shop.look, args: '{"account": args.account}', expect: 'read.paid == true', strength: exact }
    compensate: { call: refund, args: '{"account": args.account}', only_if: read.count == 1 }
  - match: shop.refund
    effect: write
    target: args.account
    readback:
      read: shop.look
      args: '{"account": args.account}'
      expect: 'read.paid == false'
      absent: 'read.paid == true'
      consistency: strong
      strength: exact
  - { match: shop.wipe, effect: destructive, compensate: { kind: none, reason: it is gone } }
"#;

const REFUND: &str = r#"{"tools":[{"name":"refund","inputSchema":{"type":"object",
    "properties":{"account":{"type":"string"}},"required":["account"]}}]}"#;

fn bench(journal: Arc<dyn Journal>, upstream: Arc<Upstream>) -> Bench {
    let bench = Bench::with(POLICY, journal, upstream);
    bench.runtime.learn(&Name::from("shop"), &Bytes::from_static(REFUND.as_bytes()));
    bench
}

fn new() -> Bench {
    bench(Prompt::new(), Arc::default())
}

async fn pay(bench: &Bench, account: &str) {
    result(bench.call("pay", &format!(r#"{{"account":"{account}"}}"#)).await);
}

fn run(bench: &Bench) -> RunId {
    let runs: Vec<RunSummary> = bench.runtime.journal().runs(1).expect("it can be read");
    runs.first().expect("there is a run").run
}

async fn roll(bench: &Bench) -> Report {
    let rolled = bench.runtime.rollback(run(bench), None, "ops".to_owned(), "a test".to_owned()).await;
    rolled.expect("it is rolled back")
}

fn statuses(report: &Report) -> Vec<&'static str> {
    report.changes.iter().map(|change| change.status.as_str()).collect()
}

//= S-04
//= S-05
#[tokio::test(start_paused = true)]
async fn a_run_is_taken_back_the_latest_first_and_read_back() {
    let bench = new();
    for account in ["a", "b", "c"] {
        pay(&bench, account).await;
    }
    let report = roll(&bench).await;
    assert_eq!(statuses(&report), ["reverted_verified"; 3]);
    assert_eq!(report.sentence, "3 of 3 changes reverted and read back");
    let refunds: Vec<String> = bench.upstream.attempts.lock().iter().map(|(tool, _)| tool.clone()).collect();
    assert_eq!(refunds, ["pay", "pay", "pay", "refund", "refund", "refund"]);
    assert_eq!(["a", "b", "c"].map(|account| bench.upstream.paid(account)), [0; 3]);
    // Asked once more it has nothing to do.
    assert_eq!(statuses(&roll(&bench).await), ["reverted_verified"; 3]);
    assert_eq!(bench.upstream.sends(), 6);
    // Its own steps are of the run, and no changes of it.
    assert_eq!(report.changes.len(), 3);
}

//= S-05
#[tokio::test(start_paused = true)]
async fn a_checkpoint_keeps_what_came_before_it() {
    let bench = new();
    for account in ["a", "b", "c"] {
        pay(&bench, account).await;
    }
    let plan = bench.runtime.rollback_plan(run(&bench), None).await.expect("a plan");
    let point = plan.changes.iter().map(|change| change.step).min().expect("the first");
    let report =
        bench.runtime.rollback(run(&bench), Some(point), "ops".to_owned(), "x".to_owned()).await.expect("done");
    assert_eq!(statuses(&report), ["reverted_verified"; 2]);
    assert_eq!(["a", "b", "c"].map(|account| bench.upstream.paid(account)), [1, 0, 0]);
    let elsewhere = bench.runtime.rollback_plan(run(&bench), Some(StepId([9; 16]))).await;
    assert!(matches!(elsewhere, Err(RollbackError::NoCheckpoint(_))), "{elsewhere:?}");
}

//= S-04
#[tokio::test(start_paused = true)]
async fn a_compensation_whose_reply_is_lost_is_looked_for_and_not_made_again() {
    let bench = new();
    pay(&bench, "a").await;
    bench.upstream.fault(Fault::Lost);
    let report = roll(&bench).await;
    assert_eq!(statuses(&report), ["reverted_verified"], "{report:?}");
    assert_eq!((bench.upstream.sends(), bench.upstream.paid("a")), (2, 0));
}

//= S-04
#[tokio::test(start_paused = true)]
async fn what_nobody_can_look_at_stays_unknown() {
    let bench = new();
    pay(&bench, "a").await;
    bench.upstream.fault(Fault::Vanishes);
    bench.upstream.blind.store(true, Ordering::SeqCst);
    assert_eq!(statuses(&roll(&bench).await), ["unknown"]);
    assert_eq!(statuses(&roll(&bench).await), ["unknown"], "it is not made again meanwhile");
    assert_eq!(bench.upstream.sends(), 2);
}

//= S-04
//= S-05
//= G1
#[tokio::test(start_paused = true)]
async fn a_gateway_that_ends_in_the_middle_goes_on_where_it_was() {
    let (journal, upstream) = (Prompt::new(), Arc::<Upstream>::default());
    let first = bench(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
    for account in ["a", "b", "c"] {
        pay(&first, account).await;
    }
    upstream.fault(Fault::Lost);
    upstream.blind.store(true, Ordering::SeqCst);
    let run = run(&first);
    let rolling = first.runtime.rollback(run, None, "ops".to_owned(), "x".to_owned());
    tokio::select! {
        report = rolling => unreachable!("nobody can say what became of it: {report:?}"),
        () = upstream.sent(4) => {}
    }
    first.runtime.drain(Duration::ZERO).await;
    drop(first);
    let sent = upstream.sends();
    upstream.blind.store(false, Ordering::SeqCst);
    let second = bench(journal.reopen(), Arc::clone(&upstream));
    // What was out is looked for by the second process first.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let report = roll(&second).await;
    assert_eq!(statuses(&report), ["reverted_verified"; 3], "{report:?}");
    assert_eq!(["a", "b", "c"].map(|account| upstream.paid(account)), [0; 3]);
    assert_eq!(upstream.sends(), 6, "each was refunded once ({sent} sent before the end)");
}

//= S-04
#[tokio::test(start_paused = true)]
async fn what_somebody_else_has_changed_since_is_left_alone() {
    let bench = new();
    result(bench.call("pay_counted", r#"{"account":"a"}"#).await);
    let plan = bench.runtime.rollback_plan(run(&bench), None).await.expect("a plan");
    assert_eq!(plan.changes.first().and_then(|change| change.possible), Some(true), "{plan:?}");
    bench.upstream.pay_from_elsewhere("a");
    let plan = bench.runtime.rollback_plan(run(&bench), None).await.expect("a plan");
    assert_eq!(plan.changes.first().and_then(|change| change.possible), Some(false), "{plan:?}");
    let report = roll(&bench).await;
    assert_eq!((statuses(&report), report.status), (vec!["conflict"], RollbackStatus::Conflict));
    assert_eq!((bench.upstream.sends(), bench.upstream.paid("a")), (1, 2));
}

//= S-05
#[tokio::test(start_paused = true)]
async fn what_has_no_way_back_is_the_pivot_and_stops_nothing() {
    let bench = new();
    pay(&bench, "a").await;
    result(bench.call("wipe", "{}").await);
    pay(&bench, "b").await;
    let report = roll(&bench).await;
    assert_eq!(statuses(&report), ["reverted_verified", "not_revertible", "reverted_verified"]);
    let pivots: Vec<bool> = report.changes.iter().map(|change| change.pivot).collect();
    assert_eq!(pivots, [false, true, false]);
    assert!(
        report.sentence.starts_with("2 of 3 changes reverted and read back; 1 not revertible (wipe "),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_compensator_that_is_not_there_is_said_to_be_missing() {
    let bench = Bench::with(POLICY, Prompt::new(), Arc::default());
    pay(&bench, "a").await;
    let plan = bench.runtime.rollback_plan(run(&bench), None).await.expect("a plan");
    let change = plan.changes.first().expect("one");
    assert_eq!(change.possible, Some(false));
    assert!(change.evidence.iter().any(|found| found.contains("shop.refund is not there")), "{plan:?}");
    let report = roll(&bench).await;
    let change = report.changes.first().expect("one");
    assert_eq!(change.status, RollbackStatus::NotAttempted);
    assert!(change.why.contains("nothing was sent"), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_when_whoever_asked_has_left_and_one_of_a_run_at_a_time() {
    let bench = new();
    pay(&bench, "a").await;
    bench.upstream.fault(Fault::Held);
    let run = run(&bench);
    let ask = || bench.runtime.rollback(run, None, "ops".to_owned(), "x".to_owned());
    tokio::select! {
        report = ask() => unreachable!("it is held: {report:?}"),
        () = bench.upstream.sent(2) => {}
    }
    assert!(matches!(ask().await, Err(RollbackError::Busy)));
    bench.upstream.release();
    let report = loop {
        match ask().await {
            Err(RollbackError::Busy) => tokio::time::sleep(Duration::from_millis(10)).await,
            report => break report.expect("it is rolled back"),
        }
    };
    assert_eq!((statuses(&report), bench.upstream.sends()), (vec!["reverted_verified"], 2));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_not_there_is_not_rolled_back() {
    let bench = new();
    let unknown = bench.runtime.rollback(RunId([1; 16]), None, "ops".to_owned(), "x".to_owned()).await;
    assert!(matches!(unknown, Err(RollbackError::NotFound(_))), "{unknown:?}");
}

//= S-04
#[tokio::test(start_paused = true)]
async fn what_an_agent_says_is_held_against_the_journal() {
    let bench = new();
    pay(&bench, "a").await;
    let said =
        |said, args: Option<serde_json::Value>| Statement { said, step: None, tool: Some("shop.pay".into()), args };
    let a = || Some(serde_json::json!({ "account": "a" }));
    let b = || Some(serde_json::json!({ "account": "b" }));
    let statements =
        [said(Said::Done, a()), said(Said::Done, b()), said(Said::Undone, a()), said(Said::CannotUndo, None)];
    let judged = |judged: Vec<runtime::rollback::Attested>| {
        let words = judged.iter().map(|one| match one.claim {
            Claim::Confirmed { .. } => "confirmed",
            Claim::Contradicted { .. } => "contradicted",
            Claim::Unresolved { .. } => "unresolved",
            Claim::NoRecord => "no record",
        });
        words.collect::<Vec<_>>()
    };
    let before = bench.runtime.attest(run(&bench), statements.to_vec()).await.expect("it is judged");
    assert_eq!(judged(before), ["confirmed", "no record", "contradicted", "contradicted"]);
    roll(&bench).await;
    let after = bench.runtime.attest(run(&bench), statements.to_vec()).await.expect("it is judged");
    assert_eq!(judged(after), ["confirmed", "no record", "confirmed", "contradicted"]);
}
