//! The long kill campaign: ends the gateway again and again and writes what came of it into `docs/proof.md`; also
//! serves the ledger (`kills ledger …`).

use anyhow::{Context, Result, anyhow, bail};
use e2e::kills::{Account, Long, render};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use testkit::process;

const USAGE: &str =
    "kills [--kills N] [--per-round N] [--parallel N] [--seed N] [--out FILE | --out -]\nkills ledger …";
const OUT: &str = "docs/proof.md";
const PART: &str = "kills";

fn main() -> Result<ExitCode> {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|first| first == "ledger").is_some() {
        process::run(process::Args::read(args).map_err(|error| anyhow!(error))?).map_err(|error| anyhow!(error))?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(&args.collect::<Vec<_>>()))
}

async fn run(args: &[String]) -> Result<ExitCode> {
    let mut long = Long {
        kills: 10_000,
        per_round: 200,
        parallel: 2,
        seed: 1,
        binary: e2e::binary()?.context("there is no built binary")?,
        failpoints: e2e::failpoints_binary()?.context("there is no build with failpoints")?,
        program: std::env::current_exe()?,
    };
    let mut out = Some(PathBuf::from(OUT));
    for pair in args.chunks(2) {
        let [name, value] = pair else { bail!("{} needs a value: {USAGE}", pair[0]) };
        match name.as_str() {
            "--kills" => long.kills = value.parse()?,
            "--per-round" => long.per_round = value.parse()?,
            "--parallel" => long.parallel = value.parse()?,
            "--seed" => long.seed = value.parse()?,
            "--out" => out = Some(value.into()).filter(|path: &PathBuf| path.as_os_str() != "-"),
            _ => bail!("there is no {name}: {USAGE}"),
        }
    }
    let command = format!(
        "cargo run --release -p e2e --bin kills -- --kills {} --parallel {} --seed {}",
        long.kills, long.parallel, long.seed
    );
    let began = Instant::now();
    let account = long
        .run(|account| {
            report(account, began.elapsed())?;
            // After each round: what a run that is broken off has counted is not lost.
            publish(out.as_deref(), account, &command, began.elapsed())
        })
        .await?;
    if out.is_none() {
        std::io::stdout().write_all(render(&account, &command, began.elapsed()).as_bytes())?;
    }
    Ok(if account.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn publish(out: Option<&Path>, account: &Account, command: &str, took: Duration) -> Result<()> {
    out.map_or(Ok(()), |page| e2e::page::put(page, PART, &render(account, command, took)))
}

fn report(account: &Account, took: Duration) -> Result<()> {
    let mut err = std::io::stderr();
    let (kills, intents, broken) = (account.killed(), account.intents(), account.broken.len());
    writeln!(err, "{kills} kills, {intents} intents, {broken} broken promises after {} s", took.as_secs())?;
    for broken in &account.broken {
        writeln!(err, "{:?}: {}", broken.promise, broken.case)?;
    }
    Ok(())
}
