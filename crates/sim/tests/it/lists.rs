//! What the design names is built, or stands in the list of what is not yet: no third thing.

use sim::names::{Fault, Invariant, Reached};
use std::collections::BTreeSet;

/// The states of the design that have to be reached.
const STATES: &[&str] = &[
    "attach_in_flight",
    "attach_across_replicas",
    "replay_after_restart",
    "tombstone_hit",
    "expiry_races_claim",
    "conflict_refused",
    "reissue_adopted_in_flight",
    "reissue_adopted_closed",
    "flushed_not_seen",
    "call_id_bound",
    "binding_refused_two_runs",
    "suspect_notice",
    "suspect_confirm",
    "parallel_twins_both_run",
    "force_new",
    "jitter_after_unknown_stopped",
    "proof_structural_resend",
    "proof_attested_resend",
    "second_hop",
    "bad_answer_applied",
    "minus_32602_applied",
    "late_receipt_confirms",
    "late_receipt_contradicts_absent",
    "probe_applied",
    "probe_absent_after_quiescence",
    "probe_inconclusive",
    "inferred_rejected_two_matches",
    "diverged",
    "needs_human",
    "person_resolves",
    "kill_intent_only",
    "kill_after_commit_before_write",
    "kill_mid_body",
    "kill_after_effect",
    "kill_receipt_unrecorded",
    "kill_between_T_and_release",
    "kill_in_recovery",
    "kill_in_compensation",
    "keyed_resend_after_restart",
    "keyed_window_over",
    "idempotent_resend_blocked_by_lane",
    "torn_tail",
    "fsync_error_exit",
    "takeover_intent",
    "takeover_dispatched",
    "takeover_resolving",
    "fenced_transition",
    "fenced_claim",
    "send_stopped_by_local_lease",
    "wake_after_absent",
    "journal_gap_marked",
    "detach_then_reissue",
    "sse_resumed",
    "task_cancelled_but_completed",
    "leg_replayed",
    "leg_conflict",
    "cancel_then_applied",
    "compensation_waits_for_resolve",
    "restore_conflict",
    "compensation_unknown",
    "pivot_crossed_with_approval",
    "plan_says_impossible",
    "attest_contradicts_agent",
];

fn not_yet(kind: &str) -> BTreeSet<String> {
    let text = include_str!("../../not-yet.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let pairs = lines.filter_map(|line| line.split_once(' '));
    pairs
        .filter(|(of, _)| *of == kind)
        .map(|(_, rest)| rest.split(" # ").next().unwrap_or(rest).trim().to_owned())
        .collect()
}

#[test]
fn every_state_of_the_design_is_counted_or_not_yet_built() {
    let built: BTreeSet<String> = Reached::ALL.iter().map(|state| state.as_str().to_owned()).collect();
    let waiting = not_yet("state");
    let designed: BTreeSet<String> = STATES.iter().map(|state| (*state).to_owned()).collect();
    assert_eq!(designed.len(), 63);
    assert_eq!(built.union(&waiting).cloned().collect::<BTreeSet<_>>(), designed);
    assert_eq!(built.intersection(&waiting).count(), 0, "what is built may not wait");
}

#[test]
fn every_invariant_of_the_design_is_checked_or_not_yet_built() {
    let built: BTreeSet<String> = Invariant::ALL.iter().map(|one| one.as_str().to_owned()).collect();
    let waiting = not_yet("invariant");
    let designed: BTreeSet<String> = (1..=18).map(|number| format!("I{number}")).collect();
    assert_eq!(built.union(&waiting).cloned().collect::<BTreeSet<_>>(), designed);
    assert_eq!(built.intersection(&waiting).count(), 0, "what is checked may not wait");
}

#[test]
fn a_fault_that_is_injected_does_not_wait() {
    let waiting = not_yet("fault");
    assert!(!waiting.is_empty());
    assert_eq!(Fault::ALL.iter().filter(|fault| waiting.contains(fault.as_str())).count(), 0);
}
