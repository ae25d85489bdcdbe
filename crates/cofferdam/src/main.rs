//! The binary: arguments, files, signals and wiring. Each command is a module of its own.
#![forbid(unsafe_code)]

mod cli;
mod client;
mod command;
mod demo;
mod desk;
mod exit;
mod gateway;
mod logs;
mod output;
mod place;
mod undo;
mod upstreams;

use clap::Parser;
use cli::Cli;
use exit::{Exit, Failed};
use output::Out;
use std::process::ExitCode;
use std::time::Duration;

/// For what still runs on other threads when everything is over.
const ENDING: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out::new(cli.json);
    // A second provider in the tree would make TLS ambiguous; it was installed already only if something else did.
    rustls::crypto::ring::default_provider().install_default().ok();
    match run(cli, out) {
        Ok(exit) => exit.into(),
        Err(failed) => out.failed(&failed).into(),
    }
}

fn run(cli: Cli, out: Out) -> Result<Exit, Failed> {
    logs::start(&cli.logs, cli.command.is_service())?;
    let workers = cli.command.workers();
    let runtime = match workers {
        None => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        Some(count) => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            if let Some(count) = count {
                builder.worker_threads(count.get());
            }
            builder.enable_all().build()
        }
    }
    .map_err(|error| Failed::because("start the runtime", error))?;
    let ended = runtime.block_on(command::run(cli.command, out));
    // A thread that waits for standard input comes back only with the next byte.
    runtime.shutdown_timeout(ENDING);
    ended
}
