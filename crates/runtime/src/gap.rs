//! What a journal with a gap is still believed.

use engine::{Input, Recalled};
use journal::{Error, Start};
use vocab::{CallId, StepRow};

/// Of what an earlier process wrote, *not executed* is believed no longer.
pub(crate) fn doubt(row: &mut StepRow, start: &Start) {
    if start.gap_since.is_some() && row.epoch < start.epoch {
        journal::doubt(row);
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
