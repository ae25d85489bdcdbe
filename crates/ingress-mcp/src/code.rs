//! JSON-RPC codes of the gateway's own, on methods that have no `isError`.

/// The upstream cannot be reached, or gave no answer.
pub const UPSTREAM: i64 = -32010;
/// Too much is under way.
pub const OVERLOADED: i64 = -32011;
/// The gateway is shutting down, or the conversation is over.
pub const DRAINING: i64 = -32012;
