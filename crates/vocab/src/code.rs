use crate::Executed;
use core::fmt;

/// When the same call may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retryable {
    Never,
    /// Later, unchanged.
    After,
    /// Only with other arguments or in another state of the world.
    AfterChange,
    AfterApproval,
}

impl Retryable {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::After => "after",
            Self::AfterChange => "after_change",
            Self::AfterApproval => "after_approval",
        }
    }
}

macro_rules! codes {
    ($($(#[$meta:meta])* $variant:ident $text:literal $executed:ident $retryable:ident),+ $(,)?) => {
        /// Why an answer is not the upstream's own. Stable words: each has a page under `docs/errors/`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$meta])* $variant),+ }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// What the code says about the effect, unless the answer itself knows better.
            pub const fn executed(self) -> Executed {
                match self { $(Self::$variant => Executed::$executed),+ }
            }

            pub const fn retryable(self) -> Retryable {
                match self { $(Self::$variant => Retryable::$retryable),+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }
        }
    };
}

codes! {
    /// The arguments fail the tool's schema or a rule of the policy.
    InputInvalid "input_invalid" No AfterChange,
    /// The key was used before with other arguments.
    IdempotencyConflict "idempotency_conflict" No AfterChange,
    /// The same content was just done; policy wants a person to confirm the repeat.
    RepeatUnconfirmed "repeat_unconfirmed" No AfterApproval,
    /// It was sent, and evidence says that it did not happen.
    NotApplied "not_applied" No AfterChange,
    /// It never reached the tool, with proof.
    UpstreamUnavailable "upstream_unavailable" No After,
    /// Too much is waiting.
    Overloaded "overloaded" No After,
    /// What was there before could not be read, and without it this destructive call could not be undone.
    PreimageUnavailable "preimage_unavailable" No After,
    /// The world no longer shows what the step wrote, so that undoing it would overwrite somebody else's change.
    RollbackConflict "rollback_conflict" No AfterChange,
    /// The journal cannot be written: mutations stop.
    JournalUnavailable "journal_unavailable" No After,
    /// The caller's deadline had passed before anything was sent.
    Deadline "deadline" No Never,
    /// The call was cancelled before anything was sent.
    Cancelled "cancelled" No AfterChange,
    /// It was sent and may have happened.
    OutcomeUnknown "outcome_unknown" Unknown Never,
    /// The same step still runs.
    InProgress "in_progress" Unknown Never,
    /// The tool's answer failed its checks and was withheld.
    OutputRejected "output_rejected" Unknown Never,
    /// The tool said done; the read-back disagrees.
    ReadbackMismatch "readback_mismatch" Yes Never,
    /// Evidence says that it happened; the reply itself was lost.
    AppliedNoReceipt "applied_no_receipt" Yes Never,
    /// It was done before and was not done again.
    DuplicateSuppressed "duplicate_suppressed" Yes Never,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
