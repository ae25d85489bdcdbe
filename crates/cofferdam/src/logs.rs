//! Logs: one line or one JSON object per event, on standard error, for answers go to standard output.

use crate::cli::{LogFormat, Logs};
use crate::exit::Failed;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Starts logging as `--log`, else `RUST_LOG`, else the default says.
pub fn start(logs: &Logs, is_service: bool) -> Result<(), Failed> {
    let default = if is_service { "info" } else { "warn" };
    let wanted = logs.log.clone().or_else(|| std::env::var("RUST_LOG").ok()).unwrap_or_else(|| default.to_owned());
    let filter = EnvFilter::try_new(&wanted).map_err(|error| Failed::because("read the log filter", error))?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_span_events(FmtSpan::NONE);
    match logs.log_format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_target(false).with_ansi(false).try_init(),
    }
    .map_err(|error| Failed::because("start the log", error))
}
