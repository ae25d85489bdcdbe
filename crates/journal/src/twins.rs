//! Which steps a look-up by content is about: the rule that every backend follows.

use vocab::{Outcome, State, StepRow};

/// Outcomes that say for certain that a step had no effect. Such a step stands in nobody's way, and it must not hide an
/// earlier one that does.
pub(crate) const VOID: [Outcome; 3] = [Outcome::NotExecuted, Outcome::Refused, Outcome::Absent];

/// It may have had an effect, or a person allowed it to run again.
pub(crate) fn counts(row: &StepRow) -> bool {
    row.status.run_again || row.status.outcome.is_none_or(|outcome| !VOID.contains(&outcome))
}

/// Whoever holds a key decides, but for a step that did not run: what ran under another key meanwhile counts then.
pub(crate) fn decides(row: &StepRow) -> bool {
    let is_open = row.status.state != State::Closed;
    let has_run = !matches!(row.status.outcome, Some(Outcome::NotExecuted | Outcome::Refused));
    is_open || has_run || row.expired
}
