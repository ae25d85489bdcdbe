//! Every default of the policy, in one place; the reference page says why.

use core::time::Duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One attempt of a read or an idempotent step.
pub const ATTEMPT: Duration = seconds(30);
/// A whole step, all attempts and backoff included.
pub const STEP: Duration = seconds(60);
pub const DETACHED_MAX: Duration = seconds(5 * 60);
/// The TypeScript SDK gives a call up after 60 s.
pub const PROBE_WAIT: Duration = seconds(50);
pub const PROBE_BUDGET: Duration = seconds(30 * 60);
pub const PROBE_INTERVAL: (Duration, Duration) = (seconds(2), seconds(5 * 60));
/// Connect, TLS or spawn, and the handshake.
pub const CONNECT: Duration = seconds(30);
pub const QUIESCENCE: Duration = seconds(120);
pub const ABSENT_SPACING: Duration = seconds(5);
pub const REISSUE_WINDOW: Duration = seconds(10 * 60);
/// How long an eventually consistent read may take to show a write.
pub const READBACK_WITHIN: Duration = seconds(10);
/// Stripe's; only used where policy declares a key without a window, which the file refuses.
pub const KEY_WINDOW: Duration = seconds(24 * 3600);

/// Result bodies, arguments and events of closed steps.
pub const KEEP_BODIES: Duration = seconds(24 * 3600);
pub const KEEP_TOMBSTONES: Duration = seconds(30 * 24 * 3600);
pub const LEASE: Duration = seconds(15);
pub const PAUSE_MAX: Duration = seconds(60);
pub const KEEP_READS: Duration = seconds(24 * 3600);

pub const MESSAGE_MAX: u64 = 4 * 1024 * 1024;
pub const ARGS_MAX: u64 = 1024 * 1024;
pub const DEPTH_MAX: u32 = 64;
pub const SESSIONS_MAX: u32 = 1024;
pub const CALLS_MAX: u32 = 1024;
pub const UPSTREAM_CALLS_MAX: u32 = 64;

pub const LISTEN: &str = "127.0.0.1:7070";
pub const JOURNAL_PATH: &str = "./.cofferdam";
pub const TENANT: &str = "default";

/// Longest name of a lane; a longer one is no name but a payload.
pub const LANE_MAX: usize = 256;

/// In an `isError` text: the tool asked somebody else and does not know what happened there.
pub const AMBIGUOUS_ERRORS: [&str; 18] = [
    "timeout",
    "timed out",
    "time-out",
    "deadline",
    "connection reset",
    "connection aborted",
    "connection closed",
    "broken pipe",
    "econnreset",
    "socket hang up",
    "unexpected eof",
    "internal server error",
    "bad gateway",
    "service unavailable",
    "gateway time",
    "unknown error",
    "output validation",
    "structured content",
];
