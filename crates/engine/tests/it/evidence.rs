//! What the end of an attempt proves.

use engine::{Answer, AnswerKind, AttemptEnd, classify};
use policy::EvidenceRules;
use vocab::{Bytes, Effect, EvidenceClass, Failure, FailureKind};

fn failed(kind: FailureKind, effect: Effect, rules: &EvidenceRules) -> (EvidenceClass, bool) {
    let evidence = classify(&AttemptEnd::Failed(Failure::new(kind, "")), effect, rules);
    (evidence.class, evidence.curable)
}

fn class(kind: FailureKind) -> EvidenceClass {
    failed(kind, Effect::Write, &EvidenceRules::default()).0
}

fn rpc(code: i64) -> FailureKind {
    FailureKind::Rpc { code, status: None }
}

fn error(text: &str, effect: Effect) -> EvidenceClass {
    let end = AttemptEnd::Answered(Answer { result: Bytes::new(), kind: AnswerKind::ToolError(text.into()) });
    classify(&end, effect, &EvidenceRules::default()).class
}

//= G1
#[test]
fn what_never_left_us_is_structural_proof() {
    use FailureKind::{Connect, Cut, NotSent, Spawn, StreamRefused, Tls};
    for kind in [Connect, Tls, Spawn, Cut, StreamRefused, NotSent] {
        assert_eq!(class(kind), EvidenceClass::Structural, "{kind:?}");
    }
}

//= G1
#[test]
fn everything_that_may_have_reached_the_tool_is_ambiguous() {
    use FailureKind::{
        CancelSent, Eof, Exit, GatewayCrash, Reset, Status, TaskCancelled, TaskVanished, Timeout, Unparsable,
    };
    for kind in [Timeout, Reset, Eof, Unparsable, Exit, CancelSent, TaskVanished, TaskCancelled, GatewayCrash] {
        assert_eq!(class(kind), EvidenceClass::Ambiguous, "{kind:?}");
    }
    for status in [200, 302, 400, 408, 409, 410, 422, 500, 502, 503, 504] {
        assert_eq!(class(Status(status)), EvidenceClass::Ambiguous, "{status}");
    }
    for code in [-32602, -32603, -32000, -32002, -32023, 1, i64::MIN] {
        assert_eq!(class(rpc(code)), EvidenceClass::Ambiguous, "{code}");
    }
}

//= G1
#[test]
fn an_upstream_attests_that_nothing_ran_by_status_or_code() {
    for status in [401, 403, 404, 405, 413, 415, 421, 429] {
        assert_eq!(class(FailureKind::Status(status)), EvidenceClass::Attested, "{status}");
    }
    for code in [-32700, -32600, -32601, -32020, -32021, -32022, -32042] {
        assert_eq!(class(rpc(code)), EvidenceClass::Attested, "{code}");
        let inside_400 = FailureKind::Rpc { code, status: Some(400) };
        assert_eq!(class(inside_400), EvidenceClass::Attested, "{code} inside a 400");
        let inside_500 = FailureKind::Rpc { code, status: Some(500) };
        assert_eq!(class(inside_500), EvidenceClass::Ambiguous, "{code} inside a 500");
    }
    // A session that has expired, as the TypeScript SDK says it.
    let expired = FailureKind::Rpc { code: -32001, status: Some(404) };
    assert_eq!(failed(expired, Effect::Write, &EvidenceRules::default()), (EvidenceClass::Attested, true));
}

#[test]
fn only_what_time_or_a_new_session_cures_is_tried_again() {
    let curable = |status| failed(FailureKind::Status(status), Effect::Read, &EvidenceRules::default()).1;
    assert!([401, 404, 421, 429].into_iter().all(curable));
    assert!(![403, 405, 413, 415].into_iter().any(curable));
}

#[test]
fn switches_of_an_upstream_change_what_its_answers_prove() {
    let strict = EvidenceRules { rate_limit_refused: false, ..EvidenceRules::default() };
    assert_eq!(failed(FailureKind::Status(429), Effect::Write, &strict).0, EvidenceClass::Ambiguous);
    let sheds = EvidenceRules { sheds_first: true, ..EvidenceRules::default() };
    assert_eq!(failed(FailureKind::Status(503), Effect::Write, &sheds), (EvidenceClass::Attested, true));
    let honest = EvidenceRules { invalid_params_refused: true, ..EvidenceRules::default() };
    assert_eq!(failed(rpc(-32602), Effect::Write, &honest), (EvidenceClass::Attested, false));
}

#[test]
fn invalid_params_to_a_read_are_the_callers_mistake() {
    assert_eq!(failed(rpc(-32602), Effect::Read, &EvidenceRules::default()), (EvidenceClass::Reported, false));
}

//= G3
#[test]
fn a_tool_error_that_may_hide_a_second_hop_is_ambiguous_for_a_mutation_only() {
    assert_eq!(error("Timeout calling Stripe", Effect::Write), EvidenceClass::Ambiguous);
    assert_eq!(error("upstream said 502 Bad Gateway", Effect::Keyed), EvidenceClass::Ambiguous);
    assert_eq!(error("Timeout calling Stripe", Effect::Read), EvidenceClass::Reported);
    assert_eq!(error("no such order", Effect::Write), EvidenceClass::Reported);
}
