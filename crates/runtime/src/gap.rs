//! A journal that was restored from an older copy proves nothing about what came after the copy: what it calls unsent
//! may have been sent since.

use engine::{Input, Recalled};
use journal::{Error, Start};
use vocab::{CallId, Cause, Outcome, State, StepRow, Verification};

/// Turns what an earlier process wrote as *not executed* into *unknown*, so that evidence or a person decides.
//= G1
//= G3
pub(crate) fn doubt(row: &mut StepRow, start: &Start) {
    if start.gap_since.is_none() || row.epoch >= start.epoch {
        return;
    }
    let status = &mut row.status;
    match (status.state, status.outcome) {
        (State::Held | State::Intent, _) => status.state = State::Dispatched,
        (State::Closed, Some(Outcome::NotExecuted | Outcome::Refused)) => {
            status.state = State::Resolving;
            status.outcome = Some(Outcome::Unknown);
            status.cause = Some(Cause::Unknown);
            status.verification = Verification::None;
            status.closed_at = None;
        }
        _ => {}
    }
}

/// What a look into the journal tells the engine.
pub(crate) fn recalled(call: CallId, found: Result<journal::Recalled, Error>, start: &Start) -> Input {
    match found {
        Ok(journal::Recalled { mut by_key, mut by_content }) => {
            for row in by_key.iter_mut().chain(by_content.iter_mut()) {
                doubt(row, start);
            }
            Input::Recalled { call, recalled: Box::new(Recalled { by_key, by_content }) }
        }
        Err(_) => Input::RecallFailed { call },
    }
}
