/// What a step does to the world, from harmless to worst. The order is the order of caution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// An absolute write: done twice in a row it leaves the same state.
    Idempotent,
    /// The upstream honours an idempotency key inside a declared window.
    Keyed,
    /// Opaque: a second execution is a second effect.
    Write,
    /// A write that takes something away, or one about which nothing is known.
    Destructive,
}

impl Effect {
    pub const ALL: [Self; 5] = [Self::Read, Self::Idempotent, Self::Keyed, Self::Write, Self::Destructive];

    /// Any effect but `read`.
    pub const fn is_mutation(self) -> bool {
        !matches!(self, Self::Read)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Idempotent => "idempotent",
            Self::Keyed => "keyed",
            Self::Write => "write",
            Self::Destructive => "destructive",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effect| effect.as_str() == text)
    }
}

/// Who said what the effect of a tool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EffectSource {
    /// Nobody: MCP's default for a tool without annotations, destructive.
    Guessed,
    /// The tool's name; it can only make the effect worse than an untrusted annotation says.
    Name,
    /// An annotation of an upstream that policy does not trust: it can only make the effect worse.
    Annotation,
    /// An annotation of an upstream marked `trusted`.
    TrustedAnnotation,
    /// The operator's policy.
    Policy,
}

impl EffectSource {
    /// Somebody who may say so said so; guards that could stop a healthy agent rely on this.
    pub const fn is_declared(self) -> bool {
        matches!(self, Self::TrustedAnnotation | Self::Policy)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guessed => "guessed",
            Self::Name => "name",
            Self::Annotation => "annotation",
            Self::TrustedAnnotation => "trusted_annotation",
            Self::Policy => "policy",
        }
    }
}
