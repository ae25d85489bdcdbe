//! What the end of an attempt proves about its effect: the one classifier.

use crate::input::{Answer, AnswerKind, AttemptEnd};
use policy::EvidenceRules;
use vocab::planted::{self, Planted};
use vocab::{Effect, EvidenceClass, FailureKind};

/// What an attempt showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub class: EvidenceClass,
    /// Trying again can help: time, a new session or a new connection may cure it.
    pub curable: bool,
}

impl Evidence {
    const fn new(class: EvidenceClass, curable: bool) -> Self {
        Self { class, curable }
    }

    /// Nothing was executed, and that is certain.
    pub const fn is_proof(self) -> bool {
        matches!(self.class, EvidenceClass::Structural | EvidenceClass::Attested)
    }
}

const STRUCTURAL: Evidence = Evidence::new(EvidenceClass::Structural, true);
/// The upstream would only refuse it again.
const REFUSED: Evidence = Evidence::new(EvidenceClass::Attested, false);
const REFUSED_FOR_NOW: Evidence = Evidence::new(EvidenceClass::Attested, true);
pub(crate) const AMBIGUOUS: Evidence = Evidence::new(EvidenceClass::Ambiguous, true);
const REPORTED: Evidence = Evidence::new(EvidenceClass::Reported, false);
const BAD_ANSWER: Evidence = Evidence::new(EvidenceClass::BadAnswer, true);

/// In doubt ambiguous: an unlisted status or code proves nothing.
//= G1
//= S-09
pub fn classify(end: &AttemptEnd, effect: Effect, rules: &EvidenceRules) -> Evidence {
    match end {
        AttemptEnd::Answered(answer) => of_answer(answer, effect, rules),
        AttemptEnd::Failed(failure) => of_failure(failure.kind, effect, rules),
    }
}

fn of_answer(answer: &Answer, effect: Effect, rules: &EvidenceRules) -> Evidence {
    match &answer.kind {
        AnswerKind::Done | AnswerKind::InputRequired | AnswerKind::Task(_) => {
            Evidence::new(EvidenceClass::Receipt, false)
        }
        // A second hop may have run, or may yet: for a read that means try again, for a mutation find out.
        AnswerKind::ToolError(text) if is_ambiguous(text, rules) => match effect {
            Effect::Read => Evidence::new(EvidenceClass::Reported, true),
            _ => AMBIGUOUS,
        },
        AnswerKind::ToolError(_) => REPORTED,
        AnswerKind::Bad(_) => BAD_ANSWER,
    }
}

pub(crate) fn is_ambiguous(text: &str, rules: &EvidenceRules) -> bool {
    let text = text.to_lowercase();
    rules.ambiguous_errors.iter().any(|fragment| text.contains(fragment.as_str()))
}

fn of_failure(kind: FailureKind, effect: Effect, rules: &EvidenceRules) -> Evidence {
    match kind {
        FailureKind::Connect
        | FailureKind::Tls
        | FailureKind::Spawn
        | FailureKind::Cut
        | FailureKind::StreamRefused
        | FailureKind::NotSent => STRUCTURAL,
        FailureKind::Status(status) => of_status(status, rules).unwrap_or(AMBIGUOUS),
        FailureKind::Rpc { code, status } => of_rpc(code, status, effect, rules),
        FailureKind::TooLarge => BAD_ANSWER,
        FailureKind::Timeout
        | FailureKind::Reset
        | FailureKind::Eof
        | FailureKind::Unparsable
        | FailureKind::Exit
        | FailureKind::CancelSent
        | FailureKind::TaskVanished
        | FailureKind::TaskCancelled
        | FailureKind::GatewayCrash => AMBIGUOUS,
    }
}

/// A status by which an MCP endpoint says that the request did not reach a tool.
fn of_status(status: u16, rules: &EvidenceRules) -> Option<Evidence> {
    match status {
        // A fresh token, a new handshake, another connection.
        401 | 404 | 421 => Some(REFUSED_FOR_NOW),
        403 | 405 | 413 | 415 => Some(REFUSED),
        429 if rules.rate_limit_refused => Some(REFUSED_FOR_NOW),
        503 if rules.sheds_first || planted::is(Planted::ServerErrorIsProof) => Some(REFUSED_FOR_NOW),
        _ => None,
    }
}

fn of_rpc(code: i64, status: Option<u16>, effect: Effect, rules: &EvidenceRules) -> Evidence {
    match code {
        // The official TypeScript server runs the handler and then says so when the *result* is invalid.
        -32602 if rules.invalid_params_refused || planted::is(Planted::InvalidParamsAreProof) => REFUSED,
        -32602 if effect == Effect::Read => REPORTED,
        -32602 | -32603 => AMBIGUOUS,
        _ => match status.and_then(|status| of_status(status, rules)) {
            Some(evidence) => evidence,
            None if is_attested(code) && status.is_none_or(|status| status < 500 && status != 408) => REFUSED,
            None => AMBIGUOUS,
        },
    }
}

/// Parse error, invalid request, unknown method; the three of revision 2026-07-28 about headers and versions; and
/// -32042, by which a server of 2025-11-25 says: visit a URL first, then call again.
const fn is_attested(code: i64) -> bool {
    matches!(code, -32700 | -32600 | -32601 | -32022..=-32020 | -32042)
}
