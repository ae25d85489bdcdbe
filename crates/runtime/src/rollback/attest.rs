//! An agent's claims about its run, given as data, held against the journal.

use super::{RollbackError, find};
use engine::rollback::{Change, Claim, Said};
use journal::Journal;
use serde_json::Value;
use vocab::{RunId, StepId};

/// One claim: what is said, and of which change. Whatever is not said matches any.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub said: Said,
    pub step: Option<StepId>,
    /// `tool`, or `upstream.tool`.
    pub tool: Option<String>,
    /// Members that the arguments had.
    pub args: Option<Value>,
}

/// A claim and what the journal says to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attested {
    pub statement: Statement,
    pub claim: Claim,
}

/// Judges claims about a run, one by one. Blocks for reads of the journal; it asks nobody else.
///
/// # Errors
/// The journal cannot be read. A run that is not there has no record of anything.
//= S-04
pub fn attest(journal: &dyn Journal, run: RunId, statements: &[Statement]) -> Result<Vec<Attested>, RollbackError> {
    let changes = match find::changes(journal, run, None) {
        Err(RollbackError::NotFound(_)) => Vec::new(),
        found => found?,
    };
    let judge = |statement: &Statement| {
        let about = changes.iter().filter(|change| is_about(statement, change));
        Attested { statement: statement.clone(), claim: engine::rollback::attest(statement.said, about, &changes) }
    };
    Ok(statements.iter().map(judge).collect())
}

fn is_about(statement: &Statement, change: &Change) -> bool {
    let intent = &change.row.intent;
    let is_step = statement.step.is_none_or(|step| step == intent.step);
    let is_tool = statement.tool.as_deref().is_none_or(|tool| {
        *tool == *intent.tool || tool.split_once('.') == Some((&intent.upstream, &intent.tool)) || is_wire(tool, change)
    });
    let has_args = statement.args.as_ref().is_none_or(|wanted| {
        let args = serde_json::from_slice::<Value>(&intent.args).unwrap_or_default();
        has(&args, wanted)
    });
    is_step && is_tool && has_args
}

/// As an agent sees it under `/mcp`: `shop__create_order`.
fn is_wire(tool: &str, change: &Change) -> bool {
    tool.split_once("__") == Some((&change.row.intent.upstream, &change.row.intent.tool))
}

/// Every member that is named has that value.
fn has(args: &Value, wanted: &Value) -> bool {
    match (args, wanted) {
        (Value::Object(args), Value::Object(wanted)) => {
            wanted.iter().all(|(name, value)| args.get(name).is_some_and(|arg| has(arg, value)))
        }
        (args, wanted) => args == wanted,
    }
}
