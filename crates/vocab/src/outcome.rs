use core::fmt;

/// Where a step is. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// Waits for a person.
    Held = 10,
    /// Durable, and nothing was sent: that is proof.
    Intent = 20,
    /// The current attempt may have reached the upstream.
    Dispatched = 30,
    /// The upstream asked for input; nothing runs until it comes.
    AwaitingInput = 40,
    /// The upstream works on it as a task of its own.
    RemoteTask = 50,
    /// It may have happened; probes are looking.
    Resolving = 60,
    /// It may have happened, and probes could not tell.
    NeedsHuman = 70,
    /// The outcome is known.
    Closed = 100,
}

impl State {
    pub const ALL: [Self; 8] = [
        Self::Held,
        Self::Intent,
        Self::Dispatched,
        Self::AwaitingInput,
        Self::RemoteTask,
        Self::Resolving,
        Self::NeedsHuman,
        Self::Closed,
    ];

    pub const fn number(self) -> u8 {
        self as u8
    }

    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Closed)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Intent => "intent",
            Self::Dispatched => "dispatched",
            Self::AwaitingInput => "awaiting_input",
            Self::RemoteTask => "remote_task",
            Self::Resolving => "resolving",
            Self::NeedsHuman => "needs_human",
            Self::Closed => "closed",
        }
    }
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $number:literal $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant = $number),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stored form.
            pub const fn number(self) -> u8 { self as u8 }

            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.number() == number)
            }

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

words! {
    /// What is known of the effect of a step.
    Outcome {
        /// A well-formed answer says that it was done.
        Succeeded = 1 "succeeded",
        /// The upstream ran it and reported an error; the effect may be partial.
        Failed = 2 "failed",
        /// Proof that it did not run.
        NotExecuted = 3 "not_executed",
        /// A guard stopped it before dispatch.
        Refused = 4 "refused",
        /// It may have happened.
        Unknown = 5 "unknown",
        /// Evidence, not a receipt, says that it happened.
        Applied = 6 "applied",
        /// Evidence says that it did not happen.
        Absent = 7 "absent",
        /// The world shows neither the intent nor what was there before.
        Diverged = 8 "diverged",
    }
}

impl Outcome {
    /// What to tell about the effect.
    pub const fn executed(self) -> Executed {
        match self {
            Self::Succeeded | Self::Applied => Executed::Yes,
            Self::NotExecuted | Self::Refused | Self::Absent => Executed::No,
            // A reported failure may have left a partial effect behind.
            Self::Failed | Self::Unknown | Self::Diverged => Executed::Unknown,
        }
    }
}

words! {
    /// Did the effect happen? Told on every refusal and failure.
    Executed {
        No = 1 "no",
        Yes = 2 "yes",
        Unknown = 3 "unknown",
    }
}

words! {
    /// Why a step ended as it did; every counter is fed from it.
    Cause {
        Ok = 1 "ok",
        CallerError = 2 "caller_error",
        ToolError = 3 "tool_error",
        Transient = 4 "transient",
        UpstreamFault = 5 "upstream_fault",
        Unknown = 6 "unknown",
        Contradiction = 7 "contradiction",
        Unverified = 8 "unverified",
        NotAdmitted = 9 "not_admitted",
        GuardRefused = 10 "guard_refused",
        HumanDenied = 11 "human_denied",
        Cancelled = 12 "cancelled",
        Held = 13 "held",
        Replayed = 14 "replayed",
    }
}

words! {
    /// What an outcome rests on.
    EvidenceClass {
        /// A well-formed answer.
        Receipt = 1 "receipt",
        /// We know that nothing ran: it never left us, or was cut before its last byte.
        Structural = 2 "structural",
        /// The upstream says that it did not run it, in a way that can be believed.
        Attested = 3 "attested",
        /// It may or may not have run.
        Ambiguous = 4 "ambiguous",
        /// The upstream ran it and reported an error.
        Reported = 5 "reported",
        /// A well-formed answer that fails its schema, or no well-formed answer at all.
        BadAnswer = 6 "bad_answer",
        /// A read of the world.
        Probe = 7 "probe",
        /// What a person recorded.
        Person = 8 "person",
    }
}

words! {
    /// How far a change has been taken back. The order is from best to worst: of several the worst stands.
    RollbackStatus {
        /// It had no effect, with evidence: there is nothing to take back.
        NotNeeded = 1 "not_needed",
        /// It was taken back, and a read of the world shows it.
        RevertedVerified = 2 "reverted_verified",
        /// The upstream says that it was taken back; nobody has read it back.
        RevertedUnverified = 3 "reverted_unverified",
        /// It can be taken back, and nobody has done it.
        NotAttempted = 4 "not_attempted",
        /// The world shows neither the change nor what was there before it.
        PartiallyReverted = 5 "partially_reverted",
        /// Somebody else has changed the same thing since: taking it back would overwrite that.
        Conflict = 6 "conflict",
        /// There is no way back.
        NotRevertible = 7 "not_revertible",
        /// Taking it back was tried and failed.
        RevertFailed = 8 "revert_failed",
        /// The change, or taking it back, may have happened.
        Unknown = 9 "unknown",
    }
}

words! {
    /// Why a mutation's state was not confirmed.
    Unverified {
        /// Policy names no read-back for the tool.
        NoReadback = 1 "no_readback",
        /// The read-back could not be made.
        ReadFailed = 2 "read_failed",
        /// The read gave no clear answer.
        Inconclusive = 3 "inconclusive",
    }
}

/// Does the world match the intent? Never merged with the outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verification {
    /// Not applicable: a read, or nothing was executed.
    #[default]
    None,
    Verified,
    Mismatch,
    Unverified(Unverified),
}

impl Verification {
    /// The stored form: unverified reasons start at 10.
    pub const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Verified => 1,
            Self::Mismatch => 2,
            Self::Unverified(reason) => 10 + reason.number(),
        }
    }

    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Verified),
            2 => Some(Self::Mismatch),
            reason => Unverified::from_number(reason.checked_sub(10)?).map(Self::Unverified),
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Verified => "verified",
            Self::Mismatch => "mismatch",
            Self::Unverified(Unverified::NoReadback) => "unverified(no_readback)",
            Self::Unverified(Unverified::ReadFailed) => "unverified(read_failed)",
            Self::Unverified(Unverified::Inconclusive) => "unverified(inconclusive)",
        }
    }
}

words! {
    /// Did the caller get the answer? A crash loses it, which reads as `No`: the safe side.
    Delivered {
        No = 0 "no",
        /// The last byte was written and nothing closed the stream for two seconds.
        Flushed = 1 "flushed",
        /// The client went on from it.
        Seen = 2 "seen",
    }
}
