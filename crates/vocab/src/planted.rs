//! Bugs planted on purpose, one of them chosen at run time, to see whether the tests find them.
//!
//! Without the feature `planted`, which nothing that ships has, every question is answered *no* by the compiler and
//! nothing of a bug is left in the code.

macro_rules! planted {
    ($($(#[$meta:meta])* $variant:ident = $number:literal $text:literal),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Planted { $($(#[$meta])* $variant = $number),+ }

        #[cfg(feature = "planted")]
        impl Planted {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Begins with what no other build contains.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => concat!("planted_bug:", $text)),+ }
            }
        }
    };
}

planted! {
    DispatchBeforeIntent = 1 "dispatch before the intent is durable",
    ReleaseBeforeOutcome = 2 "release before the outcome is durable",
    ResendAfterTimeout = 3 "a write is sent again when its time is over",
    AbsentWithoutQuiescence = 4 "absent is believed without quiescence",
    AttemptInUpstreamKey = 5 "the attempt's number in the upstream's key",
    FingerprintThroughDoubles = 6 "fingerprints through doubles",
    ResendAfterBadAnswer = 7 "a write is sent again after a malformed answer",
    UnknownExpires = 8 "retention takes an unknown step",
    CheckThenInsert = 9 "a claim checks first and inserts later",
    DetachClosesStream = 11 "a caller that leaves closes the upstream's stream",
    ReplayIgnoresFingerprint = 12 "a replay ignores the fingerprint",
    NotExecutedIsFinal = 14 "not_executed is replayed as a final answer",
    OrderByAddress = 15 "callers are answered in the order of addresses",
    FsyncErrorSwallowed = 16 "an fsync error is swallowed",
    DeliveredBeforeFlush = 17 "an answer counts as delivered before it is flushed",
    IdempotentResendOvertaken = 18 "an absolute write is sent again after a later one",
    TenantMissingFromKey = 19 "the tenant is missing from the key",
    IntentResumed = 20 "an intent is resumed for an agent that is gone",
    InvalidParamsAreProof = 21 "-32602 counts as proof",
    TombstoneIgnored = 22 "a tombstone does not block its key",
    TwoLegsOnOneState = 23 "one state is continued twice",
    ServerErrorIsProof = 25 "503 counts as proof",
    BadAnswerReleased = 26 "an answer that fails its checks is released",
    RestartResendsWrites = 27 "a write found dispatched at start is sent again",
}

#[cfg(feature = "planted")]
static CHOSEN: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);

/// Chooses the bug of this process, or none.
#[cfg(feature = "planted")]
pub fn choose(bug: Option<Planted>) {
    CHOSEN.store(bug.map_or(0, |bug| bug as u8), core::sync::atomic::Ordering::SeqCst);
}

/// Is this one planted here and now?
#[cfg(feature = "planted")]
#[inline]
pub fn is(bug: Planted) -> bool {
    CHOSEN.load(core::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Is this one planted here and now?
#[cfg(not(feature = "planted"))]
#[inline]
pub const fn is(_bug: Planted) -> bool {
    false
}
