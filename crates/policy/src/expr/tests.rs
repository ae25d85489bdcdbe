//! What expressions mean, and what they refuse to say.

extern crate std;

use super::*;
use crate::{Consistency, Judgement, ReadPlan, Strength};
use alloc::string::ToString;
use core::time::Duration;
use serde_json::json;

fn judge_expr(source: &str) -> Expr {
    Expr::compile(source, Purpose::Judge).unwrap_or_else(|faults| std::panic!("{source}: {faults:?}"))
}

fn holds(source: &str, args: &Value, read: &Value) -> Result<bool, String> {
    let scope = Scope { read: Some(read), ..Scope::of_args(args) };
    judge_expr(source).holds(&scope)
}

fn fault(source: &str, purpose: Purpose) -> String {
    match Expr::compile(source, purpose) {
        Ok(_) => "accepted".to_string(),
        Err(faults) => {
            let texts = faults.iter().map(|fault| match &fault.hint {
                Some(hint) => alloc::format!("{:?} {} ({hint})", fault.at, fault.message),
                None => alloc::format!("{:?} {}", fault.at, fault.message),
            });
            texts.collect::<Vec<_>>().join("; ")
        }
    }
}

fn plan(expect: &str, absent: Option<&str>, strength: Strength) -> ReadPlan {
    ReadPlan {
        upstream: "shop".into(),
        read: "get".into(),
        can_probe: true,
        needs_preimage: true,
        strength,
        consistency: Consistency::Eventual,
        within: Duration::from_secs(10),
        args: Expr::compile("{'id': args.id}", Purpose::ReadArgs).unwrap_or_else(|_| std::unreachable!()),
        expect: judge_expr(expect),
        absent: absent.map(judge_expr),
    }
}

#[test]
fn a_json_integer_can_be_counted_with() {
    let (args, read) = (json!({"n": 2}), json!({"n": 3, "big": 18_446_744_073_709_551_615_u64, "f": 1.5}));
    assert_eq!(holds("args.n + 1 == read.n", &args, &read), Ok(true));
    assert_eq!(holds("read.n - 5 < 0", &args, &read), Ok(true));
    assert_eq!(holds("read.n in [1, 2, 3]", &args, &read), Ok(true));
    assert_eq!(holds("read.big > 9223372036854775807", &args, &read), Ok(true));
    assert_eq!(holds("read.f > 1", &args, &read), Ok(true));
    assert_eq!(holds("size(read) == 3", &args, &read), Ok(true));
}

#[test]
fn a_member_that_is_not_there_is_no_answer_rather_than_false() {
    let (args, read) = (json!({}), json!({"a": 1}));
    assert_eq!(holds("read.b == 1", &args, &read), Err("there is no member `b`".to_string()));
    assert_eq!(holds("has(read.b) && read.b == 1", &args, &read), Ok(false));
    assert_eq!(holds("read.?b.orValue(7) == 7", &args, &read), Ok(true));
    assert_eq!(holds("pre.a == 1", &args, &read), Err("`pre` is not known".to_string()));
    assert_eq!(holds("read.a", &args, &read), Err("the expression gave a number, not true or false".to_string()));
}

#[test]
fn what_an_evaluation_says_holds_none_of_the_values() {
    let (args, read) = (json!({"token": "s3cret"}), json!({"a": "s3cret", "list": ["s3cret"]}));
    for source in [
        "args.token + 1 == 2",
        "read.list[args.token] == 1",
        "read.list[7] == 1",
        "int(args.token) == 1",
        "args.token < 5",
    ] {
        let text = holds(source, &args, &read).expect_err(source);
        assert!(!text.contains("s3cret"), "{source}: {text}");
    }
}

#[test]
fn an_expression_is_checked_before_it_meets_data() {
    insta::assert_snapshot!(fault("args.a ==", Purpose::When), @"Some((1, 10)) CEL: the expression is not finished");
    insta::assert_snapshot!(fault("arg.a == 1", Purpose::When), @"Some((1, 1)) there is no variable `arg` (did you mean `args`?)");
    insta::assert_snapshot!(fault("read.a == 1", Purpose::When), @"Some((1, 1)) `read` is not known yet where this is evaluated (known here: args)");
    insta::assert_snapshot!(fault("foud(read, args) >= 1", Purpose::Judge), @"Some((1, 1)) there is no function `foud` (did you mean `found`?)");
    insta::assert_snapshot!(fault("found(read) >= 1", Purpose::Judge), @"Some((1, 1)) `found` takes 2 argument(s) (write found(haystack, needle))");
    insta::assert_snapshot!(fault("found(read, args)", Purpose::Judge), @"None this is a number, but must be true or false (compare it: `… == …` or `… >= 1`)");
    insta::assert_snapshot!(fault("true", Purpose::Judge), @"None this is constant, so it decides nothing");
    insta::assert_snapshot!(fault("1 + 1", Purpose::Judge), @"None this is a number or text, but must be true or false (compare it: `… == …` or `… >= 1`)");
    insta::assert_snapshot!(fault("'x'", Purpose::ReadArgs), @r#"None this is a text, but the arguments of a tool are an object (write '{"name": args.name}')"#);
    insta::assert_snapshot!(fault("args.a == 1", Purpose::Target), @"None this is a truth value, but a target is named by a text or number");
    insta::assert_snapshot!(fault("", Purpose::When), @"None the expression is empty");
    insta::assert_snapshot!(fault(&"a".repeat(5000), Purpose::When), @"None the expression has 5000 bytes, at most 4096 are allowed");
    insta::assert_snapshot!(fault(&alloc::format!("{}1{} == 1", "(".repeat(60), ")".repeat(60)), Purpose::When), @"Some((1, 51)) brackets are nested more than 50 deep");
    insta::assert_snapshot!(fault(&alloc::format!("{}args.a", "!".repeat(4000)), Purpose::When), @"Some((1, 51)) brackets are nested more than 50 deep");
    insta::assert_snapshot!(
        fault("args.a.all(x, args.b.all(y, args.c.all(z, x == y && y == z)))", Purpose::When),
        @"Some((1, 39)) loops are nested more than 2 deep (`found` is a loop too)"
    );
    insta::assert_snapshot!(fault("args.a.all(x, args.b.exists(y, found(read, y) > 0))", Purpose::Judge), @"Some((1, 37)) loops are nested more than 2 deep (`found` is a loop too)");
    assert_eq!(fault("args.a.all(x, x.y == 1) && args.b.exists(x, x == 2)", Purpose::When), "accepted");
    assert_eq!(fault("args.items.all(e, found(read, e) >= 1)", Purpose::Judge), "accepted");
}

#[test]
fn a_long_list_is_not_looped_over() {
    let args = json!({});
    let long = Value::Array((0..20_000).map(Value::from).collect());
    let short = Value::Array((0..500).map(Value::from).collect());
    assert_eq!(holds("size(read) == 20000", &args, &long), Ok(true));
    let text = holds("read.all(x, x >= 0)", &args, &long).expect_err("too long");
    assert!(text.contains("at most 10000"), "{text}");
    assert_eq!(holds("read.all(x, x >= 0)", &args, &short), Ok(true));
    let text = holds("read.all(x, read.exists(y, y == x))", &args, &short).expect_err("nested");
    assert!(text.contains("at most 300"), "{text}");
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    assert!(holds("size(read) == 1", &args, &deep).is_err());
}

#[test]
fn found_counts_the_objects_that_agree() {
    let args = json!({"customer": "c1", "amount": 5, "note": null, "tags": ["x"]});
    let count = |read: Value| {
        let scope = Scope { read: Some(&read), ..Scope::of_args(&args) };
        judge_expr("found(read, args) >= 0").run(&scope).map(|_| ()).and_then(|()| {
            (0..10)
                .find(|n| holds(&alloc::format!("found(read, args) == {n}"), &args, &read) == Ok(true))
                .ok_or_else(String::new)
        })
    };
    assert_eq!(count(json!([{"customer": "c1", "amount": 5, "id": 1}])), Ok(1));
    assert_eq!(count(json!({"a": {"b": [{"customer": "c1", "amount": 5}, {"customer": "c1", "amount": 5.0}]}})), Ok(2));
    // Disagrees in one member; agrees in the one it has; shares nothing.
    assert_eq!(count(json!([{"customer": "c1", "amount": 6}, {"customer": "c1"}, {"x": 1}])), Ok(1));
    // Absence shown by an empty collection counts; an answer in other words does not.
    assert_eq!(count(json!([])), Ok(0));
    assert_eq!(count(json!({"orders": [], "total": 0})), Ok(0));
    assert!(count(json!({"orders": [{"cust": "c1", "tags": []}]})).is_err());
    assert!(count(json!({"text": "Order of c1: 5 EUR"})).is_err());
    assert!(count(json!({"status": "ok"})).is_err());
    // Nothing to look for.
    assert!(holds("found(read, {'a': [1]}) == 0", &args, &json!([])).is_err());
    assert!(holds("found(read, 'a') == 0", &args, &json!([])).is_err());
}

#[test]
fn without_leaves_members_out() {
    let args = json!({"order_id": "o1", "status": "sent"});
    let read = json!({"id": "o1", "status": "sent"});
    assert_eq!(holds("found(read, without(args, ['order_id'])) == 1", &args, &read), Ok(true));
    assert!(holds("found(read, without(args, ['order_id', 'status'])) == 1", &args, &read).is_err());
}

#[test]
fn a_result_is_shown_as_the_data_it_means() {
    let see = |result: Value| view(result.to_string().as_bytes());
    let text = |text: &str| json!({"type": "text", "text": text});
    assert_eq!(see(json!({"content": [text("{\"a\": 2}")], "structuredContent": {"a": 1}})), Some(json!({"a": 1})));
    assert_eq!(see(json!({"content": [text("Here it is:"), text("{\"a\": 2}")]})), Some(json!({"a": 2})));
    assert_eq!(see(json!({"content": [text("{\"a\": 1}"), text("{\"a\": 2}")]})), Some(json!([{"a": 1}, {"a": 2}])));
    assert_eq!(see(json!({"content": [text("5")]})), Some(json!({"text": "5"})));
    assert_eq!(see(json!({"content": []})), Some(json!([])));
    assert_eq!(
        see(json!({"content": [text("{\"a\": 1}")], "structuredContent": {"a": 1}, "isError": true})),
        Some(json!({"isError": true, "text": "{\"a\": 1}"}))
    );
    assert_eq!(view(b"not json"), None);
    assert_eq!(view(b"[1]"), None);
}

#[test]
fn a_read_back_is_compared_with_the_intent() {
    let plan = plan("found(read, without(args, ['id'])) >= 1", None, Strength::Inferred);
    let args = json!({"id": 7, "status": "sent"});
    let (old, new, other) = (json!({"status": "open"}), json!({"status": "sent"}), json!({"status": "lost"}));
    let result = json!({"ok": true});
    let judge =
        |pre, read| plan.judge(&Scope { result: Some(&result), pre, read: Some(read), ..Scope::of_args(&args) });
    assert_eq!(plan.args(&Scope::of_args(&args)), Ok(json!({"id": 7})));
    assert_eq!(judge(Some(&old), &new), Judgement::Applied);
    assert_eq!(judge(Some(&new), &new), Judgement::Applied);
    assert_eq!(judge(Some(&old), &old), Judgement::Absent);
    assert_eq!(judge(Some(&old), &other), Judgement::Different);
    assert_eq!(judge(None, &other), Judgement::Different);
}

//= S-25
#[test]
fn a_probe_believes_only_what_the_call_can_have_made() {
    let plan = plan("found(read, without(args, ['id'])) >= 1", None, Strength::Inferred);
    let args = json!({"id": 7, "status": "sent"});
    let (old, new, other) = (json!({"status": "open"}), json!({"status": "sent"}), json!({"status": "lost"}));
    let error = json!({"isError": true, "text": "no such order"});
    let judge = |pre, read| match plan.judge(&Scope { pre, read: Some(read), ..Scope::of_args(&args) }) {
        Judgement::Inconclusive(_) => None,
        clear => Some(clear),
    };
    assert_eq!(judge(Some(&old), &new), Some(Judgement::Applied));
    assert_eq!(judge(Some(&old), &old), Some(Judgement::Absent));
    assert_eq!(judge(Some(&old), &other), Some(Judgement::Different));
    // It was so before; nothing is known of before; the read failed; the read before failed.
    assert_eq!(judge(Some(&new), &new), None);
    assert_eq!(judge(None, &new), None);
    assert_eq!(judge(None, &other), None);
    assert_eq!(judge(Some(&old), &error), None);
    assert_eq!(judge(Some(&error), &new), None);
}

#[test]
fn an_exact_probe_needs_no_pre_image() {
    let plan = plan("found(read, args) >= 1", Some("size(read) == 0"), Strength::Exact);
    let args = json!({"id": "client-made"});
    let (there, none) = (json!([{"id": "client-made"}]), json!([]));
    let judge = |read| plan.judge(&Scope { read: Some(read), ..Scope::of_args(&args) });
    assert_eq!(judge(&there), Judgement::Applied);
    assert_eq!(judge(&none), Judgement::Absent);
}

#[test]
fn a_count_tells_a_repeat_from_its_earlier_twin() {
    let plan =
        plan("found(read, args) > found(pre, args)", Some("found(read, args) == found(pre, args)"), Strength::Inferred);
    let args = json!({"id": 1, "text": "hi"});
    let (one, two) = (json!([{"text": "hi"}]), json!([{"text": "hi"}, {"text": "hi"}]));
    let (none, gone) = (json!([]), json!([{"text": "yo"}]));
    let judge = |pre, read| plan.judge(&Scope { pre: Some(pre), read: Some(read), ..Scope::of_args(&args) });
    assert_eq!(judge(&one, &two), Judgement::Applied);
    assert_eq!(judge(&none, &one), Judgement::Applied);
    assert_eq!(judge(&one, &one), Judgement::Absent);
    assert_eq!(judge(&one, &gone), Judgement::Different);
}

#[test]
fn what_one_page_does_not_show_is_not_absent() {
    let plan =
        plan("found(read, args) > found(pre, args)", Some("found(read, args) == found(pre, args)"), Strength::Inferred);
    let args = json!({"id": 1, "text": "hi"});
    let page = |next: Value| json!({"items": [{"text": "yo"}], "nextCursor": next});
    let judge = |read: &Value| plan.judge(&Scope { pre: Some(read), read: Some(read), ..Scope::of_args(&args) });
    assert_eq!(judge(&page(Value::Null)), Judgement::Absent);
    assert_eq!(judge(&page(json!("p2"))), Judgement::Inconclusive("the read shows only a part".to_string()));
}

#[test]
fn a_policy_may_say_what_an_error_of_the_read_means() {
    let gone = "has(read.isError) && read.text.contains('not found')";
    let plan = plan(gone, Some("!has(read.isError)"), Strength::Inferred);
    let args = json!({"id": 1});
    let (there, error) = (json!({"id": 1}), json!({"isError": true, "text": "order not found"}));
    let judge = |read| plan.judge(&Scope { pre: Some(&there), read: Some(read), ..Scope::of_args(&args) });
    assert_eq!(judge(&error), Judgement::Applied);
    assert_eq!(judge(&there), Judgement::Absent);
}

#[test]
fn the_key_sent_upstream_can_be_asked_for() {
    let expr = Expr::compile("{'key': step.key}", Purpose::ReadArgs).unwrap_or_else(|_| std::unreachable!());
    let args = json!({});
    assert_eq!(expr.value(&Scope { key: Some("k1"), ..Scope::of_args(&args) }), Ok(json!({"key": "k1"})));
    assert!(expr.value(&Scope::of_args(&args)).is_err());
}

#[test]
fn compiled_expressions_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Expr>();
    shared::<ReadPlan>();
}

#[test]
fn what_did_not_change_is_told_apart_from_what_changed_otherwise() {
    let holds = |source: &str, pre: &Value, read: &Value| {
        let args = json!({"id": "o1"});
        let scope = Scope { pre: Some(pre), read: Some(read), ..Scope::of_args(&args) };
        judge_expr(source).holds(&scope).ok()
    };
    let record = |status: &str| json!({"status": status});
    let error = |text: &str| json!({"isError": true, "text": text});
    assert_eq!(holds("same(read, pre)", &record("open"), &record("open")), Some(true));
    assert_eq!(holds("same(read, pre)", &record("open"), &record("sent")), None);
    assert_eq!(holds("same(read, pre)", &error("order not found"), &error("order not found")), Some(true));
    assert_eq!(holds("same(read, pre)", &error("timed out"), &error("timed out")), None);
    let list = |length: usize| Value::Array((0..length).map(|n| json!({"n": n})).collect());
    assert_eq!(holds("same_count(read, pre)", &list(3), &list(3)), Some(true));
    assert_eq!(holds("same_count(read, pre)", &list(3), &list(4)), None);
    // As long as a page: what is missing may stand on the next one.
    assert_eq!(holds("same_count(read, pre)", &list(10), &list(10)), None);
    assert_eq!(holds("complete(read)", &list(0), &json!({"items": list(20)})), None);
    assert_eq!(holds("complete(read)", &list(0), &json!([{"items": list(20)}])), Some(true));
    assert_eq!(holds("gone(read)", &list(0), &error("ENOENT: no such file")), Some(true));
    assert_eq!(holds("gone(read)", &list(0), &error("timed out")), None);
    assert_eq!(holds("gone(read)", &list(0), &json!({"order": null})), Some(true));
    assert_eq!(holds("gone(read)", &list(0), &record("open")), Some(false));
    assert_eq!(holds("unclear('why')", &list(0), &list(0)), None);
}

/// The proposals of `init` against worlds that behave, that lose the call, and that answer in other words.
#[test]
fn a_proposed_read_back_never_says_something_wrong() {
    let appended = plan(
        "found(read, args) > found(pre, args)",
        Some("found(read, args) == found(pre, args) && same_count(read, pre)"),
        Strength::Inferred,
    );
    let args = json!({"id": "o1", "amount": 5});
    let entry = |amount: i64| json!({"order": "o1", "amount": amount});
    let judge = |plan: &ReadPlan, pre: &Value, read: &Value| {
        plan.judge(&Scope { pre: Some(pre), read: Some(read), ..Scope::of_args(&args) })
    };
    let (none, five, twice) = (json!([]), json!([entry(5)]), json!([entry(5), entry(5)]));
    let cents = json!([entry(500)]);
    assert_eq!(judge(&appended, &none, &five), Judgement::Applied);
    assert_eq!(judge(&appended, &five, &twice), Judgement::Applied);
    assert_eq!(judge(&appended, &five, &five), Judgement::Absent);
    // The server keeps cents: something came, and it cannot be told what.
    assert!(matches!(judge(&appended, &none, &cents), Judgement::Inconclusive(_)));
    // Plain text, and an error.
    assert!(matches!(
        judge(&appended, &json!({"text": "none"}), &json!({"text": "1 refund"})),
        Judgement::Inconclusive(_)
    ));
    assert!(matches!(judge(&appended, &none, &json!({"isError": true, "text": "x"})), Judgement::Inconclusive(_)));

    let record = plan(
        "!has(read.isError) && found(read, without(args, ['id'])) >= 1",
        Some("same(read, pre)"),
        Strength::Inferred,
    );
    let missing = json!({"isError": true, "text": "no such order"});
    let (old, new, other) = (json!({"amount": 1}), json!({"amount": 5}), json!({"amount": 9}));
    assert_eq!(judge(&record, &old, &new), Judgement::Applied);
    assert_eq!(judge(&record, &missing, &new), Judgement::Applied);
    assert_eq!(judge(&record, &old, &old), Judgement::Absent);
    assert_eq!(judge(&record, &missing, &missing), Judgement::Absent);
    assert!(matches!(judge(&record, &new, &new), Judgement::Inconclusive(_)));
    assert!(matches!(judge(&record, &old, &other), Judgement::Inconclusive(_)));

    let deleted = plan("gone(read)", Some("!gone(read) && same(read, pre)"), Strength::Inferred);
    assert_eq!(judge(&deleted, &old, &missing), Judgement::Applied);
    assert_eq!(judge(&deleted, &old, &old), Judgement::Absent);
    assert!(matches!(judge(&deleted, &missing, &missing), Judgement::Inconclusive(_)));
}
