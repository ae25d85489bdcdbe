//! The JSON of the operator's side. Times are RFC 3339, ids are text, words are those of `VOCABULARY.md`.

mod rollback;

pub use rollback::{Attest, Attested, Change, Claim, Judged, RollBack, Rollback};

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub version: String,
    /// `ok`, or why mutations are refused.
    pub journal: String,
    pub epoch: u64,
    /// The journal is an older copy: it proves nothing about what came after this time.
    pub gap_since: Option<String>,
    pub draining: bool,
    /// Names the meaning of the policy in force.
    pub policy: String,
    /// Where agents call; `stdio` for a wrap.
    pub listen: String,
    pub process: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    pub runs: Vec<Run>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub run: String,
    pub principal: String,
    pub first_at: String,
    pub last_at: String,
    pub reads: u64,
    pub mutations: u64,
    pub open: u64,
    pub unknown: u64,
    pub unverified: u64,
}

/// One run and its steps, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDetail {
    pub run: Run,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub step: String,
    pub run: String,
    pub tenant: String,
    pub principal: String,
    pub upstream: String,
    pub tool: String,
    pub effect: String,
    pub effect_source: String,
    pub state: String,
    pub outcome: Option<String>,
    /// `no`, `yes` or `unknown`.
    pub executed: String,
    pub cause: Option<String>,
    pub verification: String,
    /// The code of the last answer that was not the upstream's own.
    pub told: Option<String>,
    pub delivered: String,
    pub attempts: u32,
    pub run_again: bool,
    pub generation: u32,
    pub key: String,
    pub key_source: String,
    pub upstream_key: Option<String>,
    pub lane: Option<String>,
    pub remote_task: Option<String>,
    /// Its bodies are gone; nothing runs under its key.
    pub expired: bool,
    pub created_at: String,
    pub first_sent_at: Option<String>,
    pub last_sent_at: Option<String>,
    pub closed_at: Option<String>,
    pub next_probe_at: Option<String>,
}

/// One step with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDetail {
    pub step: Step,
    pub bodies: Bodies,
    pub events: Vec<Event>,
}

/// Arguments, result and pre-image: JSON as text, byte for byte, or with every value struck out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bodies {
    pub redacted: bool,
    pub args: Option<String>,
    pub result: Option<String>,
    pub preimage: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub lsn: u64,
    pub at: String,
    pub kind: String,
    pub attempt: u32,
    pub class: Option<String>,
    pub detail: String,
    pub epoch: u64,
}

/// What `POST /v1/steps/{id}/resolve` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// `applied`, `absent`, `diverged` or `run_again`.
    pub act: String,
    pub who: String,
    pub why: String,
}

/// What `POST /v1/journal/backup` takes: a file that does not exist yet, on the gateway's machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupTo {
    pub to: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    pub to: String,
    pub bytes: u64,
    pub steps: u64,
    pub last: u64,
}

/// What `POST /v1/doctor` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examine {
    /// The whole chain and every stored body.
    #[serde(default)]
    pub full: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    pub checks: Vec<Check>,
}

impl Doctor {
    pub fn is_well(&self) -> bool {
        self.checks.iter().all(|check| check.level != Level::Bad)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub level: Level,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// A person should look, nothing is wrong.
    Look,
    Bad,
}

/// The tools of one upstream and what holds for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    pub upstream: String,
    /// Why nothing is known of its tools.
    pub trouble: Option<String>,
    pub tools: Vec<Tool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    pub tool: String,
    pub wire_name: String,
    pub effect: String,
    pub cases: Vec<Case>,
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub when: Option<String>,
    pub effect: String,
    pub source: String,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub name: String,
    pub value: String,
}

impl From<policy::effective::ToolReport> for Tool {
    fn from(report: policy::effective::ToolReport) -> Self {
        let rule = |(name, value): (&str, String)| Rule { name: name.to_owned(), value };
        let case = |case: policy::effective::Case| Case {
            when: case.when,
            effect: case.effect.to_owned(),
            source: case.source.to_owned(),
            rules: case.lines.into_iter().map(rule).collect(),
        };
        Self {
            tool: report.tool,
            wire_name: report.wire_name,
            effect: report.effect.to_owned(),
            cases: report.cases.into_iter().map(case).collect(),
            warnings: report.warnings,
        }
    }
}

/// Every answer that is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// `not_found`, `not_now`, `bad_request`, `unauthorized` or `journal`.
    pub code: String,
    pub error: String,
}
