//! Rollbacks and claims as JSON.

use serde::{Deserialize, Serialize};

/// A run and how far it has been taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    pub run: String,
    /// The worst of its changes.
    pub status: String,
    pub sentence: String,
    /// Made by the journal alone: nothing was read of the world.
    pub at_rest: bool,
    /// The latest first.
    pub changes: Vec<Change>,
}

/// One change of a run, and a point to return to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub step: String,
    pub upstream: String,
    pub tool: String,
    pub effect: String,
    pub at: String,
    pub state: String,
    pub outcome: Option<String>,
    pub verification: String,
    pub status: String,
    pub why: String,
    /// The compensation that the status rests on.
    pub by: Option<String>,
    pub tries: usize,
    /// Kind, tool and arguments (as an expression) of what takes it back.
    pub way: Option<String>,
    /// Can it be taken back now? Absent: nobody looked.
    pub possible: Option<bool>,
    pub evidence: Vec<String>,
    /// What was there before is kept.
    pub preimage: bool,
    /// The first change without a way back: from here on the run can only go forward.
    pub pivot: bool,
}

/// What `POST /v1/runs/{id}/rollback` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    pub who: String,
    pub why: String,
    /// A change of the run that stays, with all before it.
    pub to: Option<String>,
}

/// What `POST /v1/runs/{id}/attest` takes: an agent's claims, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attest {
    pub claims: Vec<Claim>,
}

/// One claim. What it does not say matches anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// `done`, `not_done`, `undone` or `cannot_be_undone`.
    pub claim: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// `tool`, or `upstream.tool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Members that the arguments had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<serde_json::Value>,
}

/// Claims held against the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    pub run: String,
    pub confirmed: usize,
    pub contradicted: usize,
    /// The journal has the step, and what became of it is not known.
    pub unresolved: usize,
    pub no_record: usize,
    pub claims: Vec<Judged>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    pub claim: Claim,
    /// `confirmed`, `contradicted`, `unresolved` or `no_record`.
    pub verdict: String,
    pub why: String,
    pub step: Option<String>,
}
