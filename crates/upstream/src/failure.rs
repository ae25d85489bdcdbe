//! Failures in the words of `vocab`: short, without payload, without secrets.

use mcp::code;
use vocab::{Failure, FailureKind};

pub fn fail(kind: FailureKind, detail: &str) -> Failure {
    Failure::new(kind, detail)
}

pub fn not_sent(detail: &str) -> Failure {
    fail(FailureKind::NotSent, detail)
}

/// A JSON-RPC error that came instead of an answer, or with a status that is no success.
pub fn rpc(error: &[u8], status: Option<u16>) -> Failure {
    let code = code::telling(error);
    let kind = match status {
        // These say that nothing ran whatever the body says; a code that says so too is more telling.
        Some(status @ (401 | 403 | 404 | 405 | 413 | 415 | 421 | 429)) if !code::is_refusal(code) => {
            FailureKind::Status(status)
        }
        _ => FailureKind::Rpc { code, status },
    };
    let said = code::of(error);
    let detail = match status {
        Some(status) => format!("the upstream answered with error {said} and HTTP status {status}"),
        None => format!("the upstream answered with error {said}"),
    };
    Failure { rpc_error: Some(bytes::Bytes::copy_from_slice(error)), ..Failure::new(kind, detail) }
}
