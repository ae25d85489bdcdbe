//! Lost replies, bad answers, and how they are resolved.

use crate::bench::{Bench, phases, result, stop};
use crate::upstream::Fault;
use bytes::Bytes;
use runtime::{Act, Arrival, Phase, Reply, ResolveError, TaskAsk, TaskEnd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vocab::{Code, Executed, Outcome, State, StepId, Verification};

//= S-23
//= S-25
//= G3
#[tokio::test(start_paused = true)]
async fn after_a_lost_reply_the_world_is_read_and_the_caller_hears_that_it_was_applied() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Lost);
    let mut pending = bench.start(bench.request("pay", r#"{"account":"a"}"#));
    let (phases, (reply, delivery)) = phases(&mut pending).await;
    delivery.report(Arrival::Seen);
    let stop = stop(reply);
    assert_eq!((stop.code, stop.executed), (Code::AppliedNoReceipt, Executed::Yes));
    assert!(phases.iter().any(|phase| matches!(phase, Phase::Probing { .. })), "{phases:?}");
    assert_eq!((bench.upstream.paid("a"), bench.upstream.sends()), (1, 1));
}

//= G3
#[tokio::test(start_paused = true)]
async fn what_never_arrived_is_told_as_not_applied_only_after_quiescence() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Vanishes);
    let begun = tokio::time::Instant::now();
    let stop = stop(bench.call("pay", r#"{"account":"a"}"#).await);
    assert_eq!((stop.code, stop.executed), (Code::NotApplied, Executed::No));
    assert!(begun.elapsed() >= std::time::Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!((bench.upstream.paid("a"), bench.upstream.sends()), (0, 1));
}

//= S-06
//= S-17
//= G7
#[tokio::test(start_paused = true)]
async fn a_garbled_answer_to_a_mutation_is_withheld_and_probed() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Answers(r#"{"content":[{"type":"text","text":"garbled"}],"structuredContent":{}}"#));
    let stop = stop(bench.call("pay", r#"{"account":"a"}"#).await);
    assert_eq!((stop.code, stop.executed), (Code::AppliedNoReceipt, Executed::Yes));
    assert!(!stop.why.contains("garbled"), "{}", stop.why);
    assert_eq!((bench.upstream.paid("a"), bench.upstream.sends()), (1, 1));
}

//= S-06
//= S-26
#[tokio::test(start_paused = true)]
async fn a_read_whose_answers_stay_bad_is_refused_without_its_payload() {
    let bench = Bench::new();
    for _ in 0..2 {
        bench.upstream.fault(Fault::Answers(r#"{"content":"garbage"}"#));
    }
    let stop = stop(bench.call("lookup_strict", r#"{"account":"a"}"#).await);
    assert_eq!(stop.code, Code::OutputRejected);
    assert!(!stop.why.contains("garbage"), "{}", stop.why);
    assert_eq!(bench.upstream.sends(), 2);
}

async fn unknown(bench: &Bench) -> StepId {
    bench.upstream.fault(Fault::Lost);
    let stop = stop(bench.call("wipe", r#"{"account":"a"}"#).await);
    assert_eq!((stop.code, stop.executed), (Code::OutcomeUnknown, Executed::Unknown));
    stop.step
}

//= G6
#[tokio::test(start_paused = true)]
async fn what_a_person_records_is_durable_when_it_is_confirmed() {
    let bench = Bench::new();
    let step = unknown(&bench).await;
    let row = bench.runtime.resolve(step, Act::Applied, "ann".to_owned(), "saw it".to_owned()).await;
    let row = row.expect("it is open");
    assert_eq!((row.status.state, row.status.outcome), (State::Closed, Some(Outcome::Applied)));
    let stored = bench.runtime.journal().step(step).expect("a read").expect("stored");
    assert_eq!(stored.status.outcome, Some(Outcome::Applied));
    let events = bench.runtime.journal().events(step).expect("a read");
    assert!(events.iter().any(|event| event.event.kind == vocab::EventKind::Person), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_nobody_knows_cannot_be_resolved() {
    let bench = Bench::new();
    let missing = StepId([9; 16]);
    let error = bench.runtime.resolve(missing, Act::Applied, "ann".to_owned(), String::new()).await;
    assert!(matches!(error, Err(ResolveError::NotFound(step)) if step == missing), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_is_shown_to_its_own_caller_and_to_nobody_else() {
    let bench = Bench::new();
    let step = unknown(&bench).await;
    let (tenant, ann, bob) = ("t".into(), "ann".into(), "bob".into());
    let seen = bench.runtime.status(&tenant, &ann, Some(step)).await.0;
    assert_eq!(seen.steps[0].executed, Executed::Unknown);
    assert_eq!(bench.runtime.status(&tenant, &ann, None).await.0.steps.len(), 1);
    assert!(!bench.runtime.status(&tenant, &bob, Some(step)).await.0.found());
    assert!(!bench.runtime.status(&tenant, &bob, None).await.0.found());
    bench.runtime.resolve(step, Act::Absent, "op".to_owned(), String::new()).await.expect("it is open");
    let seen = bench.runtime.status(&tenant, &ann, Some(step)).await.0;
    assert_eq!((seen.steps[0].state, seen.steps[0].executed), (State::Closed, Executed::No));
    assert!(!bench.runtime.status(&tenant, &bob, Some(step)).await.0.found());
    assert!(!bench.runtime.status(&tenant, &ann, None).await.0.found());
}

//= S-15
#[tokio::test(start_paused = true)]
async fn a_read_back_that_cannot_be_made_leaves_the_receipt_unverified() {
    let bench = Bench::new();
    bench.upstream.blind.store(true, Ordering::SeqCst);
    let (_, verification, _) = result(bench.call("pay", r#"{"account":"a"}"#).await);
    assert!(matches!(verification, Verification::Unverified(_)), "{verification:?}");
}

//= G1
//= G6
#[tokio::test(start_paused = true)]
async fn a_person_may_let_a_closed_step_run_once_more_long_after_it_left_memory() {
    let bench = Bench::new();
    let pay = || bench.keyed("k", "pay", r#"{"account":"a"}"#);
    result(pay().await);
    let rows = bench.runtime.journal().steps(&journal::Filter { limit: 9, ..journal::Filter::default() });
    let step = rows.expect("a read")[0].intent.step;
    while bench.runtime.health().steps > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let row = bench.runtime.resolve(step, Act::RunAgain, "ann".to_owned(), "the goods came back".to_owned()).await;
    assert!(row.expect("it is closed").status.run_again);
    assert!(!result(pay().await).2);
    assert!(result(pay().await).2, "once, and no more");
    assert_eq!(bench.upstream.paid("a"), 2);
    let error = bench.runtime.resolve(step, Act::Applied, "ann".to_owned(), String::new()).await;
    assert!(matches!(error, Err(ResolveError::NotNow(_))), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_an_unknown_step_hears_what_a_probe_shows_now() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Lost);
    bench.upstream.blind.store(true, Ordering::SeqCst);
    let step = stop(bench.call("pay", r#"{"account":"a"}"#).await).step;
    tokio::time::sleep(Duration::from_secs(3)).await;
    bench.upstream.blind.store(false, Ordering::SeqCst);
    let seen = bench.runtime.status(&"t".into(), &"ann".into(), Some(step)).await.0;
    assert_eq!((seen.steps[0].outcome, seen.steps[0].executed), (Some(Outcome::Applied), Executed::Yes));
}

//= S-23
//= G1
#[tokio::test(start_paused = true)]
async fn whoever_got_the_outcome_by_asking_means_it_when_it_calls_again() {
    for (arrival, sends) in [(Arrival::Lost, 1), (Arrival::Seen, 2)] {
        let bench = Bench::new();
        bench.upstream.fault(Fault::Lost);
        bench.upstream.blind.store(true, Ordering::SeqCst);
        let told = stop(bench.call("pay", r#"{"account":"a"}"#).await);
        assert_eq!(told.code, Code::OutcomeUnknown);
        tokio::time::sleep(Duration::from_secs(3)).await;
        bench.upstream.blind.store(false, Ordering::SeqCst);
        let (tenant, ann) = ("t".into(), "ann".into());
        let (seen, delivery) = bench.runtime.status(&tenant, &ann, Some(told.step)).await;
        assert_eq!(seen.steps[0].executed, Executed::Yes);
        delivery.report(arrival);
        tokio::time::sleep(Duration::from_secs(3)).await;
        bench.call("pay", r#"{"account":"a"}"#).await;
        assert_eq!(bench.upstream.sends(), sends, "{arrival:?}");
        let (seen, _) = bench.runtime.status(&tenant, &ann, Some(told.step)).await;
        assert_eq!(seen.steps[0].outcome, Some(Outcome::Applied));
    }
}

//= S-25
#[tokio::test(start_paused = true)]
async fn what_was_there_before_is_read_first_where_the_comparison_needs_it() {
    let bench = Bench::new();
    let (_, verification, _) = result(bench.call("pay_counted", r#"{"account":"a"}"#).await);
    assert_eq!((verification, bench.upstream.reads()), (Verification::Verified, 2));
    bench.upstream.fault(Fault::Lost);
    let applied = stop(bench.call("pay_counted", r#"{"account":"a","n":2}"#).await);
    assert_eq!((applied.code, applied.executed), (Code::AppliedNoReceipt, Executed::Yes));
    bench.upstream.fault(Fault::Vanishes);
    let absent = stop(bench.call("pay_counted", r#"{"account":"a","n":3}"#).await);
    assert_eq!((absent.code, absent.executed), (Code::NotApplied, Executed::No));
    assert_eq!(bench.upstream.paid("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_closed_session_is_read_past_through_the_gateways_own() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Lost);
    let (request, session) = bench.request_on("pay", r#"{"account":"a"}"#);
    session.closed.store(true, Ordering::SeqCst);
    let stop = stop(bench.ask(request).await);
    assert_eq!(stop.code, Code::AppliedNoReceipt);
    assert_eq!(bench.upstream.service_reads.load(Ordering::SeqCst), bench.upstream.reads());
}

const TASK: &str = r#"{"task":{"taskId":"t1","status":"working","ttl":60000,"createdAt":"2026-01-01T00:00:00Z",
    "lastUpdatedAt":"2026-01-01T00:00:00Z"}}"#;

async fn task(bench: &Bench) -> StepId {
    bench.upstream.fault(Fault::Answers(TASK));
    let Reply::Result { step, result, .. } = bench.keyed("k", "pay", r#"{"account":"a"}"#).await else {
        unreachable!("the task is the answer");
    };
    assert!(String::from_utf8_lossy(&result).contains("t1"));
    step
}

async fn state(bench: &Bench, step: StepId) -> (State, Option<Outcome>) {
    let seen = bench.runtime.status(&"t".into(), &"ann".into(), Some(step)).await.0;
    (seen.steps[0].state, seen.steps[0].outcome)
}

#[tokio::test(start_paused = true)]
async fn a_task_of_the_upstream_ends_its_step_when_it_is_seen_to_end() {
    let bench = Bench::new();
    let step = task(&bench).await;
    assert_eq!(state(&bench, step).await, (State::RemoteTask, None));
    let result = r#"{"content":[{"type":"text","text":"done"}],"structuredContent":{"paid":true}}"#;
    bench.runtime.task_ended(step, TaskEnd::Completed(Bytes::from_static(result.as_bytes())));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(state(&bench, step).await, (State::Closed, Some(Outcome::Succeeded)));
}

//= S-06
//= G7
#[tokio::test(start_paused = true)]
async fn the_end_of_a_task_passes_the_same_checks_as_an_answer() {
    let bench = Bench::new();
    bench.upstream.blind.store(true, Ordering::SeqCst);
    let step = task(&bench).await;
    let result = r#"{"content":[],"structuredContent":{"no":"such"}}"#;
    bench.runtime.task_ended(step, TaskEnd::Completed(Bytes::from_static(result.as_bytes())));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(state(&bench, step).await, (State::Resolving, Some(Outcome::Unknown)));
}

const WORKING: &str = r#"{"taskId":"t1","status":"working"}"#;
const PAID: &str = r#"{"content":[{"type":"text","text":"done"}],"structuredContent":{"paid":true}}"#;

fn says(bench: &Bench, words: &[&'static str]) {
    bench.upstream.words.lock().extend(words);
}

/// The states of a step over time, until it is closed or a day has passed.
async fn end(bench: &Bench, step: StepId) -> (State, Option<Outcome>) {
    for _ in 0..3600 {
        let state = state(bench, step).await;
        if state.0 != State::RemoteTask {
            return state;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    state(bench, step).await
}

//= G6
#[tokio::test(start_paused = true)]
async fn a_task_that_its_client_never_asks_about_is_asked_about_until_it_ends() {
    let bench = Bench::new();
    let step = task(&bench).await;
    says(&bench, &[WORKING, r#"{"taskId":"t1","status":"completed"}"#, PAID]);
    assert_eq!(end(&bench, step).await, (State::Closed, Some(Outcome::Succeeded)));
    assert_eq!(*bench.upstream.asked.lock(), ["tasks/get t1", "tasks/get t1", "tasks/result t1"]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.upstream.asked.lock().len(), 3, "nothing is asked about what is known");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_tells_its_end_itself_needs_no_second_question() {
    let bench = Bench::new();
    let step = task(&bench).await;
    says(
        &bench,
        &[r#"{"taskId":"t1","status":"completed","result":{"content":[],"structuredContent":{"paid":true}}}"#],
    );
    assert_eq!(end(&bench, step).await, (State::Closed, Some(Outcome::Succeeded)));
    assert_eq!(*bench.upstream.asked.lock(), ["tasks/get t1"]);
}

//= G3
#[tokio::test(start_paused = true)]
async fn a_task_that_was_cancelled_or_is_not_known_any_more_is_unknown() {
    for words in [&[r#"{"taskId":"t1","status":"cancelled"}"#][..], &[]] {
        let bench = Bench::new();
        bench.upstream.blind.store(true, Ordering::SeqCst);
        let step = task(&bench).await;
        says(&bench, words);
        assert_eq!(end(&bench, step).await, (State::Resolving, Some(Outcome::Unknown)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_that_another_session_does_not_know_says_nothing_before_the_task_would_be_gone() {
    let bench = Bench::new();
    bench.upstream.blind.store(true, Ordering::SeqCst);
    bench.upstream.fault(Fault::Answers(TASK));
    let (request, session) = bench.request_on("pay", r#"{"account":"a"}"#);
    let Reply::Result { step, .. } = bench.ask(request).await else { unreachable!("the task is the answer") };
    session.closed.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(state(&bench, step).await, (State::RemoteTask, None));
    assert_eq!(end(&bench, step).await, (State::Resolving, Some(Outcome::Unknown)));
}

//= G3
#[tokio::test(start_paused = true)]
async fn the_end_that_its_own_client_sees_is_the_outcome_and_what_another_sees_is_not() {
    let bench = Bench::new();
    let step = task(&bench).await;
    let seen = |who: &str, ask, text: &'static str| {
        let result = Bytes::from_static(text.as_bytes());
        bench.runtime.task_answered(&"t".into(), &who.into(), (&"shop".into(), "t1"), ask, &result);
    };
    seen("eve", TaskAsk::Result, PAID);
    seen("ann", TaskAsk::Get, WORKING);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(state(&bench, step).await, (State::RemoteTask, None));
    seen("ann", TaskAsk::Result, PAID);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(state(&bench, step).await, (State::Closed, Some(Outcome::Succeeded)));
    assert!(bench.upstream.asked.lock().is_empty(), "its client asked first");
}

//= G3
#[tokio::test(start_paused = true)]
async fn two_tasks_of_one_id_in_two_sessions_end_each_their_own_step() {
    let bench = Bench::new();
    bench.upstream.blind.store(true, Ordering::SeqCst);
    let first = task(&bench).await;
    bench.upstream.fault(Fault::Answers(TASK));
    let Reply::Result { step: second, .. } = bench.keyed("other", "pay", r#"{"account":"b"}"#).await else {
        unreachable!("the task is the answer");
    };
    let seen = |who: &str| {
        let result = Bytes::from_static(PAID.as_bytes());
        bench.runtime.task_answered(&"t".into(), &who.into(), (&"shop".into(), "t1"), TaskAsk::Result, &result);
    };
    seen("ann");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(state(&bench, first).await.0, State::RemoteTask, "nobody can say which of the two it was");
    assert_eq!(state(&bench, second).await.0, State::RemoteTask);
    // Whoever watches the first asks first, on its own session.
    says(&bench, &[r#"{"taskId":"t1","status":"completed"}"#, PAID, WORKING]);
    assert_eq!(end(&bench, first).await, (State::Closed, Some(Outcome::Succeeded)));
    assert_eq!(state(&bench, second).await.0, State::RemoteTask);
}

//= G3
#[tokio::test(start_paused = true)]
async fn an_error_of_the_protocol_in_place_of_a_tasks_result_is_unknown_and_not_failed() {
    let failed = r#"{"taskId":"t1","status":"failed","error":{"code":-32603,"message":"no such order"}}"#;
    // Of the second the result is not known any more: the upstream answers that question with an error.
    for words in [failed, r#"{"taskId":"t1","status":"completed"}"#] {
        let bench = Bench::new();
        bench.upstream.blind.store(true, Ordering::SeqCst);
        let step = task(&bench).await;
        says(&bench, &[words]);
        assert_eq!(end(&bench, step).await, (State::Resolving, Some(Outcome::Unknown)), "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_has_left_is_not_held_for_a_step_that_waits_for_a_person() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Lost);
    let (request, session) = bench.request_on("wipe", "{}");
    let stop = stop(bench.ask(request).await);
    assert_eq!(state(&bench, stop.step).await, (State::NeedsHuman, Some(Outcome::Unknown)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(Arc::strong_count(&session) > 1, "its client may still be there, and ask");
    session.closed.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(Arc::strong_count(&session), 1);
    assert_eq!(state(&bench, stop.step).await, (State::NeedsHuman, Some(Outcome::Unknown)));
}
