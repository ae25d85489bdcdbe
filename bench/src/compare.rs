//! The comparison: each round measures every target at every concurrency, in turn; medians over the rounds are kept.

use crate::load::{Kind, Measured};
use crate::process::{MEASURED, RIG};
use crate::report::Report;
use crate::targets::{self, Target};
use crate::{bare, report};
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The Cofferdam binary; by default the release build beside this program.
    #[arg(long)]
    pub binary: Option<PathBuf>,
    /// The peer's binary; by default `mcp-proxy` on the PATH.
    #[arg(long)]
    pub peer: Option<PathBuf>,
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Of each measurement.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Where journals and logs of the run lie: their disk is what mutations wait for.
    #[arg(long, default_value = "target/bench")]
    pub folder: PathBuf,
    /// Rewrites the figures of this page.
    #[arg(long)]
    pub write: Option<PathBuf>,
}

/// What is measured of one target: `connections` at once, or `PACED` calls a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    Closed(usize),
    Paced,
    /// Paced reads while sixteen other connections mutate.
    PacedBesideWriters,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    Direct,
    Nginx,
    Read,
    Replay,
    Write,
    WriteLarge,
    WriteReadback,
    Peer,
    Bare,
    BareSqlite,
}

/// One measurement with what the target used meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub measured: Measured,
    pub cpu_per_call_us: f64,
    pub resident_mib: f64,
}

pub type Samples = BTreeMap<(Line, Load), Vec<Sample>>;

pub const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
pub const PACED: u64 = 1_000;
const PACED_CONNECTIONS: usize = 16;
const WRITERS: usize = 16;
const LARGE: usize = 8 * 1024;

pub fn run(options: &Options) -> Result<()> {
    let binary = targets::binary(options.binary.clone())?;
    std::fs::create_dir_all(&options.folder)?;
    let folder = tempfile::tempdir_in(&options.folder)?;
    let folder = folder.path().canonicalize()?;
    let (mock, upstream) = targets::mock()?;
    let direct = targets::direct(upstream);
    let nginx = targets::nginx(upstream, &folder)?;
    let ours = targets::cofferdam(&binary, upstream, &folder)?;
    let peer = targets::mcp_proxy(options.peer.clone(), upstream, &folder)?;
    if nginx.is_none() {
        say("SKIPPED: nginx is not installed (Debian: nginx-light), so there is no ratio to a bare hop")?;
    }
    if peer.is_none() {
        say("SKIPPED: mcp-proxy is not installed (cargo install mcp-proxy --version 0.6.0 --root …, then --peer)")?;
    }
    let mut plan: Vec<(Line, &Target, Kind, usize)> = vec![(Line::Direct, &direct, Kind::Read, 0)];
    plan.extend(nginx.as_ref().map(|nginx| (Line::Nginx, nginx, Kind::Read, 0)));
    plan.extend([
        (Line::Read, &ours, Kind::Read, 0),
        (Line::Replay, &ours, Kind::Replay, 0),
        (Line::Write, &ours, Kind::Write, 0),
        (Line::WriteLarge, &ours, Kind::Write, LARGE),
        (Line::WriteReadback, &ours, Kind::Put, 0),
    ]);
    plan.extend(peer.as_ref().map(|peer| (Line::Peer, peer, Kind::Read, 0)));
    let mut samples = Samples::new();
    for round in 1..=options.rounds {
        for &(line, target, kind, pad) in &plan {
            for load in CONNECTIONS.map(Load::Closed).into_iter().chain([Load::Paced]) {
                let sample = measure(target, kind, pad, load, options.seconds)
                    .with_context(|| format!("measure {line:?} at {load:?}"))?;
                samples.entry((line, load)).or_default().push(sample);
            }
        }
        let mut beside = vec![(Line::Read, &ours)];
        beside.extend(nginx.as_ref().map(|nginx| (Line::Nginx, nginx)));
        for (line, target) in beside {
            let sample = beside_writers(target, options.seconds)?;
            samples.entry((line, Load::PacedBesideWriters)).or_default().push(sample);
        }
        for callers in CONNECTIONS {
            for (line, store) in [(Line::Bare, "file"), (Line::BareSqlite, "sqlite")] {
                let sample = bare_program(&folder, store, callers, options.seconds)?;
                samples.entry((line, Load::Closed(callers))).or_default().push(sample);
            }
        }
        say(&format!("round {round} of {}", options.rounds))?;
    }
    let report = Report {
        samples,
        sqlite_commit_us: bare::sqlite_commit(&folder)?,
        binary_bytes: std::fs::metadata(&binary)?.len(),
        rounds: options.rounds,
        seconds: options.seconds,
    };
    drop(mock);
    let text = report::render(&report);
    std::io::stdout().write_all(text.as_bytes())?;
    match &options.write {
        Some(page) => report::write(page, &text),
        None => Ok(()),
    }
}

fn measure(target: &Target, kind: Kind, pad: usize, load: Load, seconds: f64) -> Result<Sample> {
    let before = target.used()?;
    let (connections, rate) = match load {
        Load::Closed(connections) => (connections, 0),
        _ => (PACED_CONNECTIONS, PACED),
    };
    let measured = generator(target, kind, pad, connections, rate, seconds)?.wait()?;
    let after = target.used()?;
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6;
    Ok(Sample {
        cpu_per_call_us: cpu / measured.calls as f64,
        resident_mib: after.resident_bytes as f64 / 1_048_576.0,
        measured,
    })
}

fn beside_writers(target: &Target, seconds: f64) -> Result<Sample> {
    let writers = generator(target, Kind::Write, 0, WRITERS, 0, seconds)?;
    let sample = measure(target, Kind::Read, 0, Load::Paced, seconds)?;
    writers.wait()?;
    Ok(sample)
}

pub struct Generator {
    child: std::process::Child,
}

/// Starts the load generator on the rig's core.
pub fn generator(
    target: &Target,
    kind: Kind,
    pad: usize,
    connections: usize,
    rate: u64,
    seconds: f64,
) -> Result<Generator> {
    let kind = match kind {
        Kind::Read => "read",
        Kind::Write => "write",
        Kind::Put => "put",
        Kind::Replay => "replay",
    };
    let mut command = Command::new("taskset");
    command.args(["-c", &RIG.to_string()]).arg(std::env::current_exe()?).args(["load", "--kind", kind]);
    command.args(["--address", &target.address.to_string(), "--path", target.path, "--prefix", target.prefix]);
    command.args(["--connections", &connections.to_string(), "--rate", &rate.to_string()]);
    command.args(["--seconds", &seconds.to_string(), "--pad", &pad.to_string()]);
    Ok(Generator { child: command.stdout(Stdio::piped()).spawn()? })
}

impl Generator {
    pub fn wait(self) -> Result<Measured> {
        let out = self.child.wait_with_output()?;
        ensure!(out.status.success(), "the load generator failed");
        serde_json::from_slice(&out.stdout).context("read what the load generator measured")
    }
}

fn bare_program(folder: &std::path::Path, store: &str, callers: usize, seconds: f64) -> Result<Sample> {
    let out = Command::new("taskset")
        .args(["-c", &MEASURED.to_string()])
        .arg(std::env::current_exe()?)
        .args(["bare", "--store", store, "--callers", &callers.to_string(), "--seconds", &seconds.to_string()])
        .arg("--folder")
        .arg(folder)
        .output()?;
    ensure!(out.status.success(), "the bare program failed: {}", String::from_utf8_lossy(&out.stderr));
    Ok(Sample { measured: serde_json::from_slice(&out.stdout)?, ..Sample::default() })
}

pub fn say(line: &str) -> Result<()> {
    writeln!(std::io::stderr(), "{line}")?;
    Ok(())
}
