//! JSON-RPC error codes of the protocol, and error members built and read.

use crate::json;

pub const PARSE_ERROR: i64 = -32700;
pub const INVALID_REQUEST: i64 = -32600;
pub const METHOD_NOT_FOUND: i64 = -32601;
pub const INVALID_PARAMS: i64 = -32602;
pub const INTERNAL_ERROR: i64 = -32603;
/// 2025-11-25 and earlier; 2026-07-28 says `INVALID_PARAMS`.
pub const RESOURCE_NOT_FOUND: i64 = -32002;
/// 2026-07-28: headers and body differ, or a required header is missing.
pub const HEADER_MISMATCH: i64 = -32020;
/// 2026-07-28: `data.requiredCapabilities` names what the client did not declare.
pub const MISSING_CAPABILITY: i64 = -32021;
/// 2026-07-28: `data.supported` lists the versions.
pub const UNSUPPORTED_VERSION: i64 = -32022;
/// 2025-11-25 only: visit a URL, then call again.
pub const URL_ELICITATION_REQUIRED: i64 = -32042;

/// The `code` of an `error` member; 0 when there is none that fits.
#[must_use]
pub fn of(error: &[u8]) -> i64 {
    let code = json::get(error, &["code"]).ok().flatten();
    code.and_then(|code| std::str::from_utf8(code).ok()).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// The code that tells what an error proves: `of`, except where the error itself says more than its code.
///
/// Official servers refuse a `requestState` that they did not hand out, before the tool runs, with the code that they
/// also have for results that fail their schema; `data.reason` tells the two apart.
#[must_use]
pub fn telling(error: &[u8]) -> i64 {
    let code = of(error);
    let reason = || json::text(error, &["data", "reason"]).ok().flatten();
    if code == INVALID_PARAMS && reason().is_some_and(|reason| reason == "invalid_request_state") {
        return INVALID_REQUEST;
    }
    code
}

/// Is the request known not to have been executed, on the word of this code alone?
/// `INVALID_PARAMS` is not among them: servers answer it for results that fail their schema too.
#[must_use]
pub const fn is_refusal(code: i64) -> bool {
    matches!(code, PARSE_ERROR | INVALID_REQUEST | METHOD_NOT_FOUND)
        || matches!(code, HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_state_that_was_refused_proves_more_than_its_code_does() {
        let refused =
            br#"{"code":-32602,"message":"Invalid or expired requestState","data":{"reason":"invalid_request_state"}}"#;
        assert_eq!((of(refused), telling(refused)), (INVALID_PARAMS, INVALID_REQUEST));
        assert!(is_refusal(telling(refused)));
        for other in [
            &br#"{"code":-32602,"message":"invalid_request_state"}"#[..],
            br#"{"code":-32602,"data":{"reason":"output"}}"#,
            br#"{"code":-32602,"data":{"reason":["invalid_request_state"]}}"#,
            br#"{"code":-32603,"data":{"reason":"invalid_request_state"}}"#,
            b"null",
        ] {
            assert!(!is_refusal(telling(other)), "{}", String::from_utf8_lossy(other));
        }
    }
}
