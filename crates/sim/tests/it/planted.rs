//! A build with planted bugs is told apart from one without.

#[test]
fn bugs_are_planted_only_where_that_was_asked_for() {
    let planted = vocab::planted::is(vocab::Planted::DispatchBeforeIntent);
    assert!(!planted, "none is chosen unless somebody chooses it");
}

/// Some of the bugs that show quickly; `cargo xtask proof --nightly` plants all of them.
#[cfg(feature = "planted")]
#[test]
fn a_planted_bug_is_found() {
    use vocab::Planted;
    for bug in [Planted::DispatchBeforeIntent, Planted::ReleaseBeforeOutcome, Planted::InvalidParamsAreProof] {
        let found = sim::hunt(bug, 1, 2_000, 1).expect("the policy is right");
        assert_eq!(found.missed, 0, "{}", found.bug);
    }
}
