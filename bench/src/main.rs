//! Measures Cofferdam beside a bare reverse proxy and a peer, all in one run: `cargo run --release -p bench`.
//!
//! Ratios hold on a noisy machine where figures do not: every target is measured in each round, in turn, by the same
//! load generator against the same upstream. README.md of this folder says what is measured and how to read it.

mod bare;
mod compare;
mod http;
mod load;
mod long;
mod mock;
mod process;
mod report;
mod stores;
mod targets;

use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Cofferdam beside nginx and mcp-proxy, in one run")]
struct Cli {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    run: compare::Options,
}

#[derive(Subcommand)]
enum What {
    /// The fast upstream, as a process of its own.
    Mock {
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// One load against one target; prints a line of JSON.
    Load(load::Options),
    /// The bare program: callers that only wait for two group commits each.
    Bare(bare::Options),
    /// Ten minutes of mutations, and the worst waits beside those of the bare program.
    Long(long::Options),
    /// Mutations over SQLite and Postgres, a start after a crash, two replicas, and durable engines beside them.
    Stores(stores::Options),
    /// Resident memory with many sessions, and over many calls.
    Memory {
        /// The binary to measure.
        #[arg(long)]
        binary: Option<PathBuf>,
        #[arg(long, default_value_t = 1_000_000)]
        calls: u64,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.what {
        Some(What::Mock { listen }) => mock::run(listen),
        Some(What::Load(options)) => load::run(&options),
        Some(What::Bare(options)) => bare::run(&options),
        Some(What::Long(options)) => long::run(&options),
        Some(What::Stores(options)) => stores::run(&options),
        Some(What::Memory { binary, calls }) => long::memory(binary, calls),
        None => compare::run(&cli.run),
    }
}
