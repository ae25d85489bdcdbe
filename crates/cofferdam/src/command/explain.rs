//! `cofferdam explain`: the pages of the codes, as `docs/errors` has them.

use crate::cli::Explain;
use crate::exit::{Exit, Failed};
use crate::output::{Out, Table};
use serde::Serialize;
use vocab::Code;

#[derive(Serialize)]
struct Explained {
    code: &'static str,
    executed: &'static str,
    retryable: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'static str>,
}

pub fn run(wanted: &Explain, out: Out) -> Result<Exit, Failed> {
    let Some(name) = &wanted.code else { return list(out) };
    let Some(code) = Code::parse(name.trim()) else {
        let known = Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Failed::new(Exit::NotFound, format!("explain {name}: there is no such code; there are {known}")));
    };
    out.show(&explained(code, Some(page(code))), || page(code).to_owned())?;
    Ok(Exit::Done)
}

fn list(out: Out) -> Result<Exit, Failed> {
    let all = Code::ALL.iter().map(|code| explained(*code, None)).collect::<Vec<_>>();
    out.show(&all, || {
        let mut table = Table::new(&["code", "executed", "again"]);
        for one in &all {
            table.row([one.code, one.executed, one.retryable]);
        }
        table.render(0)
    })?;
    Ok(Exit::Done)
}

const fn explained(code: Code, page: Option<&'static str>) -> Explained {
    Explained { code: code.as_str(), executed: code.executed().as_str(), retryable: code.retryable().as_str(), page }
}

/// The match is complete, so a code without a page does not compile.
const fn page(code: Code) -> &'static str {
    match code {
        Code::InputInvalid => include_str!("../../../../docs/errors/input_invalid.md"),
        Code::IdempotencyConflict => include_str!("../../../../docs/errors/idempotency_conflict.md"),
        Code::RepeatUnconfirmed => include_str!("../../../../docs/errors/repeat_unconfirmed.md"),
        Code::NotApplied => include_str!("../../../../docs/errors/not_applied.md"),
        Code::UpstreamUnavailable => include_str!("../../../../docs/errors/upstream_unavailable.md"),
        Code::Overloaded => include_str!("../../../../docs/errors/overloaded.md"),
        Code::PreimageUnavailable => include_str!("../../../../docs/errors/preimage_unavailable.md"),
        Code::RollbackConflict => include_str!("../../../../docs/errors/rollback_conflict.md"),
        Code::JournalUnavailable => include_str!("../../../../docs/errors/journal_unavailable.md"),
        Code::Deadline => include_str!("../../../../docs/errors/deadline.md"),
        Code::Cancelled => include_str!("../../../../docs/errors/cancelled.md"),
        Code::OutcomeUnknown => include_str!("../../../../docs/errors/outcome_unknown.md"),
        Code::InProgress => include_str!("../../../../docs/errors/in_progress.md"),
        Code::OutputRejected => include_str!("../../../../docs/errors/output_rejected.md"),
        Code::ReadbackMismatch => include_str!("../../../../docs/errors/readback_mismatch.md"),
        Code::AppliedNoReceipt => include_str!("../../../../docs/errors/applied_no_receipt.md"),
        Code::DuplicateSuppressed => include_str!("../../../../docs/errors/duplicate_suppressed.md"),
    }
}
