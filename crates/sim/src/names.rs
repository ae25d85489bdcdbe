//! What is injected, checked and reached, by stable names: the figures of docs/proof.md are counts of these.

macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($variant:ident $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }
    };
}

names! {
    /// What the simulator does to those it simulates. A seed switches some of them on, each with an intensity.
    Fault {
        AgentLeavesEarly "agent_leaves_before_answer",
        AgentLosesAnswer "agent_disconnects_during_answer",
        ReissueNewId "reissue_under_new_id",
        FrameworkReplay "framework_replay_same_call_id",
        ReplanJitter "replan_with_other_arguments",
        ParallelIdentical "parallel_identical_calls",
        DeliberateRepeat "deliberate_repeat",
        KeyReused "key_reused_with_other_arguments",
        Cancel "cancel_at_any_point",
        RetryStorm "retry_storm",
        LegReplayed "continuation_replayed_with_other_input",
        BadArguments "arguments_that_fail_the_schema",
        ShortPatience "deadline_shorter_than_the_answer",
        DeliveredTwice "request_delivered_twice",
        RequestLost "request_dropped_before_delivery",
        AnswerLost "answer_dropped",
        AnswerSlow "answer_delayed",
        AnswerTwice "answer_delivered_twice",
        NoticeReordered "notices_reordered",
        HalfClose "half_close",
        Reset "connection_reset",
        ProxyError "proxy_made_502_504",
        Redirect "redirect_307_with_body",
        ConnectRefused "connect_refused",
        CutRequest "request_cut_before_its_last_byte",
        StreamRefused "refused_stream",
        EffectThenCrash "effect_then_crash",
        EffectThenError "effect_then_is_error",
        EffectThenMalformed "effect_then_malformed_answer",
        EffectThenSchema "effect_then_schema_invalid_result",
        EffectThen32602 "effect_then_minus_32602",
        EffectThen32603 "effect_then_minus_32603",
        EffectThen503 "effect_then_503",
        EffectThenSilence "effect_then_silence",
        Shed "attested_refusal",
        ToolFails "tool_reports_an_error",
        LateEffect "late_effect",
        LateAfterCancel "late_effect_after_cancel",
        BeyondQuiescence "late_effect_after_probe",
        StaleRead "stale_reads",
        ReadFails "reads_fail",
        ReadSilent "reads_never_answered",
        ToolsChange "tool_list_changes",
        TaskVanishes "task_vanishes",
        TaskCancelledCompletes "task_cancelled_but_completes",
        OutsideWriter "outside_writer",
        ChildOutlives "child_outlives_the_gateway",
        Kill "kill_at_any_point",
        KillInRecovery "kill_during_recovery",
        PowerLoss "power_loss",
        TornTail "torn_tail",
        FsyncError "fsync_error",
        DiskFull "disk_full",
        SlowFsync "slow_fsync",
        Reload "config_reload_in_flight",
        ClockJump "wall_clock_jump",
        ClockSkew "clock_skew",
        Expiry "expiry_racing_a_claim",
        TightBounds "tight_bounds",
        PersonWrong "person_resolves_wrongly",
        RunAgain "person_allows_another_run",
    }
}

names! {
    /// Invariants of the design, by their numbers there.
    Invariant {
        I1 "I1", I2 "I2", I3 "I3", I4 "I4", I5 "I5", I6 "I6", I7 "I7", I8 "I8", I9 "I9", I10 "I10", I12 "I12",
        I13 "I13", I14 "I14", I15 "I15", I16 "I16", I17 "I17",
    }
}

names! {
    /// States that have to be reached, or the runs prove little.
    Reached {
        AttachInFlight "attach_in_flight",
        ReplayAfterRestart "replay_after_restart",
        TombstoneHit "tombstone_hit",
        ExpiryRacesClaim "expiry_races_claim",
        ConflictRefused "conflict_refused",
        AdoptedInFlight "reissue_adopted_in_flight",
        AdoptedClosed "reissue_adopted_closed",
        FlushedNotSeen "flushed_not_seen",
        SuspectNotice "suspect_notice",
        SuspectConfirm "suspect_confirm",
        TwinsBothRun "parallel_twins_both_run",
        ForceNew "force_new",
        JitterStopped "jitter_after_unknown_stopped",
        StructuralResend "proof_structural_resend",
        AttestedResend "proof_attested_resend",
        SecondHop "second_hop",
        BadAnswerApplied "bad_answer_applied",
        Minus32602Applied "minus_32602_applied",
        LateConfirms "late_receipt_confirms",
        LateContradicts "late_receipt_contradicts_absent",
        ProbeApplied "probe_applied",
        ProbeAbsent "probe_absent_after_quiescence",
        ProbeInconclusive "probe_inconclusive",
        InferredRejected "inferred_rejected_two_matches",
        Diverged "diverged",
        NeedsHuman "needs_human",
        PersonResolves "person_resolves",
        KillIntentOnly "kill_intent_only",
        KillBeforeWrite "kill_after_commit_before_write",
        KillMidBody "kill_mid_body",
        KillAfterEffect "kill_after_effect",
        KillReceiptUnrecorded "kill_receipt_unrecorded",
        KillBeforeRelease "kill_between_T_and_release",
        KillInRecovery "kill_in_recovery",
        KeyedResend "keyed_resend_after_restart",
        TornTail "torn_tail",
        FsyncErrorExit "fsync_error_exit",
        DetachThenReissue "detach_then_reissue",
        TaskCancelledCompleted "task_cancelled_but_completed",
        LegReplayed "leg_replayed",
        LegConflict "leg_conflict",
        CancelThenApplied "cancel_then_applied",
    }
}
