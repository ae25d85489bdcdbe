//! Is it the same step?

use crate::bench::{Bench, result, stop};
use crate::upstream::Fault;
use runtime::{Continuation, Request, Run};
use vocab::{Code, Executed};

const ARGS: &str = r#"{"account":"a"}"#;

//= S-23
//= G5
#[tokio::test(start_paused = true)]
async fn the_same_key_is_answered_from_the_journal_whatever_the_order_of_its_arguments() {
    let bench = Bench::new();
    let first = result(bench.keyed("k", "pay", r#"{"account":"a","n":1.0}"#).await);
    let second = result(bench.keyed("k", "pay", r#"{ "n": 1, "account":"a" }"#).await);
    assert_eq!(first.0, second.0);
    assert!(!first.2 && second.2);
    assert_eq!(bench.upstream.paid("a"), 1);
    let conflict = stop(bench.keyed("k", "pay", r#"{"account":"a","n":2}"#).await);
    assert_eq!(conflict.code, Code::IdempotencyConflict);
    assert_eq!(bench.upstream.paid("a"), 1);
}

//= S-09
#[tokio::test(start_paused = true)]
async fn two_principals_never_share_a_key_or_a_result() {
    let bench = Bench::new();
    result(bench.keyed("k", "pay", ARGS).await);
    let other = Request { principal: "bob".into(), explicit_keys: vec!["k".to_owned()], ..bench.request("pay", ARGS) };
    assert!(!result(bench.ask(other).await).2);
    assert_eq!(bench.upstream.paid("a"), 2);
}

//= S-23
#[tokio::test(start_paused = true)]
async fn two_keys_that_differ_name_nothing_and_nothing_runs() {
    let bench = Bench::new();
    let request = Request { explicit_keys: vec!["k1".to_owned(), "k2".to_owned()], ..bench.request("pay", ARGS) };
    assert_eq!(stop(bench.ask(request).await).code, Code::InputInvalid);
    assert_eq!(bench.upstream.sends(), 0);
}

//= S-23
#[tokio::test(start_paused = true)]
async fn a_replay_of_a_framework_is_known_by_the_models_call_id_under_another_run() {
    let bench = Bench::new();
    let call = |run: &str, id: &str| Request {
        run: Run { name: run.to_owned(), explicit: true, client: String::new() },
        model_call: Some(id.to_owned()),
        ..bench.request("pay", ARGS)
    };
    let id = "toolu_01A09q90qw90lq917835lq9";
    assert!(!result(bench.ask(call("one", id)).await).2);
    assert!(result(bench.ask(call("two", id)).await).2);
    assert_eq!(bench.upstream.paid("a"), 1);
    // A counted id begins again with every run.
    assert!(!result(bench.ask(call("three", "call_0")).await).2);
    assert!(!result(bench.ask(call("four", "call_0")).await).2);
    assert!(result(bench.ask(call("four", "call_0")).await).2);
    assert_eq!(bench.upstream.paid("a"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_counted_id_in_a_guessed_run_names_nothing() {
    let bench = Bench::new();
    let call = || Request {
        run: Run { name: "guess".to_owned(), explicit: false, client: "c".to_owned() },
        model_call: Some("call_0".to_owned()),
        ..bench.request("pay", ARGS)
    };
    assert!(!result(bench.ask(call()).await).2);
    assert!(!result(bench.ask(call()).await).2);
    assert_eq!(bench.upstream.paid("a"), 2);
}

//= S-23
#[tokio::test(start_paused = true)]
async fn a_call_that_comes_again_after_its_answer_was_lost_is_not_done_again() {
    let bench = Bench::new();
    let (first, delivery) = bench.undelivered(bench.request("pay", ARGS)).await;
    drop(delivery);
    let (bytes, _, replayed) = result(bench.call("pay", ARGS).await);
    assert_eq!(result(first).0, bytes);
    assert!(replayed);
    assert_eq!(bench.upstream.paid("a"), 1);
    // The model repeats what it has seen done: that is meant.
    assert!(!result(bench.call("pay", ARGS).await).2);
    assert_eq!(bench.upstream.paid("a"), 2);
}

//= G2
#[tokio::test(start_paused = true)]
async fn a_keyed_call_is_sent_again_with_the_same_key_and_the_same_bytes() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Vanishes);
    bench.upstream.fault(Fault::Vanishes);
    result(bench.call("pay_keyed", r#"{"account":"a", "n":1E2}"#).await);
    let attempts = bench.upstream.attempts.lock().clone();
    let sent: Vec<_> = attempts.iter().map(|(_, attempt)| attempt.args.clone().expect("a key was placed")).collect();
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|args| *args == sent[0]));
    let text = String::from_utf8(sent[0].to_vec()).expect("text");
    assert!(text.starts_with(r#"{"account":"a", "n":1E2,"idem":""#), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_key_in_meta_leaves_the_arguments_alone() {
    let bench = Bench::new();
    result(bench.call("note", "{}").await);
    let attempts = bench.upstream.attempts.lock().clone();
    assert_eq!(attempts[0].1.args, None);
    assert_eq!(&*attempts[0].1.meta[0].0, "x/key");
}

const WISH: &str = r#"{"resultType":"input_required","requestState":"s1","inputRequests":{"q":{}}}"#;

fn leg(bench: &Bench, responses: &'static str) -> Request {
    let continuation = Continuation {
        state: Some(bytes::Bytes::from_static(br#""s1""#)),
        responses: bytes::Bytes::from_static(responses.as_bytes()),
    };
    Request { continuation: Some(continuation), ..bench.request("pay", ARGS) }
}

//= S-23
#[tokio::test(start_paused = true)]
async fn a_state_is_continued_once_and_the_same_responses_again_are_the_same_leg() {
    let bench = Bench::new();
    bench.upstream.fault(Fault::Answers(WISH));
    assert!(result(bench.call("pay", ARGS).await).0.contains("input_required"));
    let before = bench.upstream.paid("a");
    assert!(!result(bench.ask(leg(&bench, r#"{"q":{"a":1}}"#)).await).2);
    assert!(result(bench.ask(leg(&bench, r#"{"q":{"a":1.0}}"#)).await).2);
    assert_eq!(stop(bench.ask(leg(&bench, r#"{"q":{"a":2}}"#)).await).code, Code::IdempotencyConflict);
    assert_eq!(bench.upstream.paid("a"), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_another_call_is_given_too_belongs_to_that_call_from_then_on() {
    let bench = Bench::new();
    for _ in 0..2 {
        bench.upstream.fault(Fault::Answers(WISH));
        assert!(result(bench.call("pay", ARGS).await).0.contains("input_required"));
        let before = bench.upstream.paid("a");
        assert!(!result(bench.ask(leg(&bench, r#"{"q":{"a":1}}"#)).await).2);
        assert_eq!(bench.upstream.paid("a"), before + 1);
    }
}

const QUESTION: &str = r#"{"resultType":"input_required","inputRequests":{"q":{}}}"#;

fn stateless(bench: &Bench, responses: &'static str) -> Request {
    let continuation = Continuation { state: None, responses: bytes::Bytes::from_static(responses.as_bytes()) };
    Request { continuation: Some(continuation), ..bench.request("pay", ARGS) }
}

//= S-23
#[tokio::test(start_paused = true)]
async fn a_state_that_was_never_handed_out_to_this_caller_is_refused_before_anything_is_sent() {
    let bench = Bench::new();
    let refused = stop(bench.ask(leg(&bench, r#"{"q":{"a":1}}"#)).await);
    assert_eq!((refused.code, refused.executed), (Code::InputInvalid, Executed::No));
    bench.upstream.fault(Fault::Answers(WISH));
    assert!(result(bench.call("pay", ARGS).await).0.contains("input_required"));
    let sent = bench.upstream.attempts.lock().len();
    let other = Request { principal: "eve".into(), ..leg(&bench, r#"{"q":{"a":1}}"#) };
    assert_eq!(stop(bench.ask(other).await).code, Code::InputInvalid);
    assert_eq!(bench.upstream.attempts.lock().len(), sent);
}

#[tokio::test(start_paused = true)]
async fn without_a_state_every_other_input_is_another_leg_and_input_unasked_for_is_passed_on() {
    let bench = Bench::new();
    assert!(!result(bench.ask(stateless(&bench, r#"{"q":{"a":0}}"#)).await).2);
    bench.upstream.fault(Fault::Answers(QUESTION));
    assert!(result(bench.call("pay", ARGS).await).0.contains("input_required"));
    assert!(!result(bench.ask(stateless(&bench, r#"{"q":{"a":1}}"#)).await).2);
    assert!(!result(bench.ask(stateless(&bench, r#"{"q":{"a":2}}"#)).await).2);
    assert!(result(bench.ask(stateless(&bench, r#"{"q":{"a":1}}"#)).await).2);
}
