//! What a person records about a step: durable before anybody is told that it is.

use crate::jobs::Jobs;
use crate::recovery;
use crate::shell::Shell;
use engine::{Act, Input};
use std::sync::Arc;
use vocab::{StepId, StepRow};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    #[error("find the step {0}")]
    NotFound(StepId),
    /// It is settled already, or still under way.
    #[error("record that: {0}")]
    NotNow(String),
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl Shell {
    pub(crate) async fn resolve(
        self: Arc<Self>,
        step: StepId,
        act: Act,
        who: String,
        why: String,
    ) -> Result<StepRow, ResolveError> {
        if self.books.lock().engine.step(step).is_none() {
            if let Some(found) = self.look(step).await? {
                let seen = found.ok_or(ResolveError::NotFound(step))?;
                if seen.elsewhere {
                    return self.order(seen.row, act, who, why).await;
                }
                recovery::take_over(&self, seen.row);
            } else {
                // Closed, and long out of memory: a person may still allow it to run again.
                let row = self.stored(step).await?.ok_or(ResolveError::NotFound(step))?;
                recovery::load(&self, row);
            }
        }
        let mut jobs = Jobs { watching: true, ..Jobs::default() };
        self.feed_with([Input::Person { step, act, who, why }], &mut jobs);
        let commits = std::mem::take(&mut jobs.commits);
        self.perform(jobs);
        if commits.is_empty() {
            return match self.stored(step).await? {
                Some(row) => Err(ResolveError::NotNow(not_now(&row))),
                None => Err(ResolveError::NotFound(step)),
            };
        }
        for commit in commits {
            commit.await.unwrap_or(Err(journal::Error::Closed))?;
        }
        self.stored(step).await?.ok_or(ResolveError::NotFound(step))
    }

    pub(crate) async fn stored(&self, step: StepId) -> Result<Option<StepRow>, journal::Error> {
        let journal = Arc::clone(&self.journal);
        let row = tokio::task::spawn_blocking(move || journal.step(step)).await;
        row.unwrap_or_else(|error| Err(journal::Error::Read(error.to_string())))
    }
}

/// Why a person's word is not taken.
fn not_now(row: &StepRow) -> String {
    let state = row.status.state.as_str();
    match row.status.outcome {
        Some(outcome) => format!("the step is {state}, with the outcome {}", outcome.as_str()),
        None => format!("the step is {state}"),
    }
}
