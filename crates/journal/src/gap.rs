//! A journal that was restored from an older copy, or lost its tail, proves nothing about what came after: what it calls
//! unsent may have been sent since.

use vocab::{Cause, Outcome, State, StepRow, Verification};

/// Turns what was written as *not executed* before a gap into *unknown*, so that evidence or a person decides.
///
/// Whether `row` was written before the gap is the caller's to say: a file knows it by the epoch of its process, a
/// database that several write to by the epoch at which the gap was accepted.
//= G1
//= G3
pub fn doubt(row: &mut StepRow) {
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
