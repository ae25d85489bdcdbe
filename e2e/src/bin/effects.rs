//! Measures effect truth and writes `docs/effects.md`; also serves a world (`effects ledger …`) or a rogue (`effects rogue …`).

use anyhow::{Context, Result, anyhow};
use e2e::effects::{Matrix, Route, Tally, Transport, Trouble, render, run};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use testkit::process;

const USAGE: &str = "effects [--seeds N] [--parallel N] [--routes direct,readback,init,bare] [--faults WORD] \
                     [--hurried] [--explain] [--out FILE]\neffects ledger …\neffects rogue HABIT FILE";
const OUT: &str = "docs/effects.md";
const REPORT_EVERY: Duration = Duration::from_secs(10);

fn main() -> Result<ExitCode> {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|first| first == "ledger").is_some() {
        process::run(process::Args::read(args).map_err(|error| anyhow!(error))?).map_err(|error| anyhow!(error))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.next_if(|first| first == "rogue").is_some() {
        return e2e::rogue::run(args).map(|()| ExitCode::SUCCESS);
    }
    tokio::runtime::Runtime::new()?.block_on(measure(&args.collect::<Vec<_>>()))
}

async fn measure(args: &[String]) -> Result<ExitCode> {
    let mut matrix = Matrix {
        server: std::env::current_exe()?,
        gateway: e2e::binary()?,
        routes: Route::ALL.to_vec(),
        troubles: Trouble::all(),
        transports: Transport::ALL.to_vec(),
        seeds: 0..2,
        hurried: false,
        parallel: 140,
        explain: false,
    };
    let mut out = Some(PathBuf::from(OUT));
    let mut args_left = args.iter();
    while let Some(name) = args_left.next() {
        match name.as_str() {
            "--hurried" => matrix.hurried = true,
            "--explain" => matrix.explain = true,
            _ => {}
        }
        if ["--hurried", "--explain"].contains(&name.as_str()) {
            continue;
        }
        let value = args_left.next().with_context(|| format!("{name} needs a value: {USAGE}"))?;
        match name.as_str() {
            "--seeds" => matrix.seeds = 0..value.parse()?,
            "--parallel" => matrix.parallel = value.parse()?,
            "--routes" => matrix.routes.retain(|route| value.split(',').any(|word| word == route.word())),
            "--faults" => matrix.troubles.retain(|trouble| trouble.name().contains(value.as_str())),
            "--transports" => matrix.transports.retain(|over| over.name().contains(value.as_str())),
            "--out" => out = Some(value.into()).filter(|path: &PathBuf| path.as_os_str() != "-"),
            _ => anyhow::bail!("there is no {name}: {USAGE}"),
        }
    }
    if matrix.gateway.is_none() {
        matrix.routes.retain(|route| *route == Route::Direct);
    }
    let began = Instant::now();
    let told = parking_lot::Mutex::new(Instant::now());
    let scores = run(&matrix, |done, of, took| {
        let mut told = told.lock();
        if told.elapsed() > REPORT_EVERY || done == of {
            *told = Instant::now();
            writeln!(std::io::stderr(), "{done} of {of} tasks after {} s", took.as_secs()).unwrap_or_default();
        }
    })
    .await?;
    let command = format!("cargo run --release -p e2e --bin effects -- --seeds {}", matrix.seeds.end);
    let page = render(&scores, &command, matrix.seeds.end, began.elapsed());
    match &out {
        Some(path) => std::fs::write(path, page)?,
        None => std::io::stdout().write_all(page.as_bytes())?,
    }
    let mut guarded = Tally::default();
    scores.iter().filter(|(case, _)| case.route != Route::Direct).for_each(|(_, score)| guarded.add(score));
    Ok(if guarded.harm() == [0; 3] { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
