//! What only shows over time: stalls of a long run of mutations, and memory over many calls.

use crate::compare::generator;
use crate::load::{Kind, Measured};
use crate::process::MEASURED;
use crate::targets;
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(Args, Clone, Debug)]
pub struct Options {
    #[arg(long)]
    pub binary: Option<PathBuf>,
    #[arg(long, default_value_t = 600.0)]
    pub seconds: f64,
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    #[arg(long, default_value = "target/bench")]
    pub folder: PathBuf,
}

pub fn run(options: &Options) -> Result<()> {
    let binary = targets::binary(options.binary.clone())?;
    std::fs::create_dir_all(&options.folder)?;
    let folder = tempfile::tempdir_in(&options.folder)?;
    let folder = folder.path().canonicalize()?;
    let (_mock, upstream) = targets::mock()?;
    let ours = targets::cofferdam(&binary, upstream, &folder)?;
    let mutations = generator(&ours, Kind::Write, 0, options.connections, 0, options.seconds)?.wait()?;
    drop(ours);
    let bare = Command::new("taskset")
        .args(["-c", &MEASURED.to_string()])
        .arg(std::env::current_exe()?)
        .args([
            "bare",
            "--store",
            "sqlite",
            "--callers",
            &options.connections.to_string(),
            "--seconds",
            &options.seconds.to_string(),
        ])
        .arg("--folder")
        .arg(&folder)
        .output()?;
    ensure!(bare.status.success(), "the bare program failed");
    let bare: Measured = serde_json::from_slice(&bare.stdout)?;
    let mut out = std::io::stdout().lock();
    for (name, one) in [("mutations", &mutations), ("bare program", &bare)] {
        writeln!(
            out,
            "{name}: {} calls, {:.0}/s, p50 {:.0} µs, p99 {:.0} µs, worst {:.0} µs",
            one.calls, one.per_second, one.p50, one.p99, one.worst
        )?;
    }
    Ok(())
}

/// Resident memory with 256 sessions, before and after `calls`, and how long a start takes to its first answer.
pub fn memory(binary: Option<PathBuf>, calls: u64) -> Result<()> {
    let binary = targets::binary(binary)?;
    let folder = tempfile::tempdir()?;
    let (_mock, upstream) = targets::mock()?;
    let ours = targets::cofferdam(&binary, upstream, folder.path())?;
    let mut out = std::io::stdout().lock();
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    writeln!(out, "at start: {:.1} MiB", mib(ours.used()?.resident_bytes))?;
    let rounds = 10;
    for round in 1..=rounds {
        let mut load = crate::load::Options {
            address: ours.address,
            path: ours.path.to_owned(),
            connections: 256,
            seconds: 3_600.0,
            rate: 0,
            kind: if round % 2 == 0 { Kind::Write } else { Kind::Read },
            prefix: String::new(),
            pad: 0,
            calls: calls / rounds,
            linger: 0.0,
        };
        if round == rounds {
            load.linger = 1.0;
        }
        crate::load::run(&load)?;
        writeln!(out, "after {} calls: {:.1} MiB", calls / rounds * round, mib(ours.used()?.resident_bytes))?;
    }
    drop(ours);
    let took = start_up(&binary, upstream)?;
    writeln!(out, "from start to the first accepted call: {:.0} ms", took.as_secs_f64() * 1e3)?;
    Ok(())
}

/// The median of five starts, from the fork to the answer of a first tool call.
fn start_up(binary: &std::path::Path, upstream: SocketAddr) -> Result<Duration> {
    let folder = tempfile::tempdir()?;
    let mut all = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let target = targets::cofferdam(binary, upstream, folder.path())?;
        generator(&target, Kind::Read, 0, 1, 1, 0.001)?.wait()?;
        all.push(began.elapsed());
    }
    all.sort_unstable();
    all.get(all.len() / 2).copied().context("five starts were made")
}
