//! What the operator's side needs from a running gateway.

use crate::wire;
use journal::Journal;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use vocab::{RunId, StepId};

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A running gateway, as its operator sees it.
pub trait Gateway: Send + Sync + 'static {
    fn journal(&self) -> Arc<dyn Journal>;

    fn health(&self) -> wire::Health;

    /// What is effectively enforced for the tools that are known by now.
    fn tools(&self) -> Vec<wire::Tools>;

    /// What only a running gateway can look at: whether its upstreams answer.
    fn examine(&self) -> BoxFuture<Vec<wire::Check>>;

    /// Records what a person says about a step.
    fn resolve(&self, step: StepId, act: Act, who: String, why: String) -> BoxFuture<Result<(), ResolveError>>;

    /// What of a run, or of what came after the step `to`, can be taken back now.
    fn rollback_plan(&self, run: RunId, to: Option<StepId>) -> BoxFuture<Result<wire::Rollback, RollbackError>>;

    /// Takes it back, to its end, whether or not whoever asked still waits.
    fn rollback(
        &self,
        run: RunId,
        to: Option<StepId>,
        who: String,
        why: String,
    ) -> BoxFuture<Result<wire::Rollback, RollbackError>>;

    /// Holds claims about a run against the journal.
    fn attest(&self, run: RunId, said: wire::Attest) -> BoxFuture<Result<wire::Attested, RollbackError>>;
}

/// What a person records about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Applied,
    Absent,
    Diverged,
    /// The next call of equal key or content may run once more.
    RunAgain,
}

impl Act {
    pub const ALL: [Self; 4] = [Self::Applied, Self::Absent, Self::Diverged, Self::RunAgain];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Absent => "absent",
            Self::Diverged => "diverged",
            Self::RunAgain => "run_again",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == text)
    }
}

/// Why nothing was recorded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("find the step: the journal has none of this name")]
    NotFound,
    /// Its state does not allow it, and this says why.
    #[error("record it: {0}")]
    NotNow(String),
    #[error("record it: {0}")]
    Journal(String),
}

/// Why nothing was rolled back, or judged.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RollbackError {
    #[error("{0}")]
    NotFound(String),
    #[error("read the request: {0}")]
    Bad(String),
    #[error("{0}")]
    NotNow(String),
    #[error("{0}")]
    Journal(String),
}
