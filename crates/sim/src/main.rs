//! Runs worlds from the command line; `sim help` says how.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sim::{Campaign, Plan, Stage, report, shrink};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
sim <command>

  seed N                      the story of one world
  scenario FILE               the story of the world of a scenario
  survey FROM COUNT           how each of these seeds fails
  proof MODE JSON [PLANTED]   a campaign (quick, nightly, release) and its figures; PLANTED holds those of `planted`
  page JSON PAGE              the tables of a page from the figures
  fuzz SECONDS                hostile bytes for each reader of what comes from outside
  planted JSON STARTS BOUND   how long it takes to find each planted bug; only in a build with the feature `planted`
";

/// Where seeds of a campaign begin: the same in each run, so that two commits can be compared.
const QUICK_FROM: u64 = 0;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("sim failed to {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["seed", seed] => tell(&Plan::of(seed.parse()?)),
        ["scenario", file] => tell(&Plan::parse(&std::fs::read_to_string(file).context("read the scenario")?)?),
        ["survey", from, count] => survey(from.parse()?, count.parse()?),
        ["proof", mode, json] => proof(mode, json, None),
        ["proof", mode, json, planted] => proof(mode, json, Some(planted)),
        ["page", json, page] => report::write_page(Path::new(page), &read(json)?),
        ["planted", json, starts, bound] => hunt(json, starts.parse()?, bound.parse()?),
        ["fuzz", seconds] => fuzz(seconds.parse()?),
        ["help"] => {
            say(HELP);
            Ok(())
        }
        _ => bail!("understand {args:?}\n\n{HELP}"),
    }
}

fn read(json: &str) -> Result<Value> {
    let text = std::fs::read_to_string(json).with_context(|| format!("read {json}"))?;
    serde_json::from_str(&text).with_context(|| format!("understand {json}"))
}

fn survey(from: u64, count: u64) -> Result<()> {
    let stage = Stage::new()?;
    for seed in from..from + count {
        if let (_, Some(violation)) = once(&stage, seed) {
            say(&format!("{seed} {} {}", violation.invariant.as_str(), violation.what));
        }
    }
    Ok(())
}

fn once(stage: &Stage, seed: u64) -> (u64, Option<sim::Violation>) {
    let outcome = stage.run(&Plan::of(seed), false);
    (outcome.steps, outcome.violation)
}

fn fuzz(seconds: u64) -> Result<()> {
    for (name, target, beginnings) in sim::fuzz::TARGETS {
        let count = sim::fuzz::run(seconds, *target, &beginnings(), Duration::from_secs(seconds));
        say(&format!("{name}: {count} texts in {seconds} s"));
    }
    Ok(())
}

fn tell(plan: &Plan) -> Result<()> {
    let outcome = Stage::new()?.run(plan, true);
    say(&plan.to_text());
    say(&outcome.story);
    say(&format!("{:?} after {} events", outcome.violation, outcome.steps));
    Ok(())
}

fn proof(mode: &str, json: &str, planted: Option<&str>) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(16);
    let campaign = |steps, minutes: u64, twice| Campaign {
        from: QUICK_FROM,
        seeds: u64::MAX,
        steps,
        time: Duration::from_secs(minutes * 60),
        twice,
        threads,
    };
    let campaign = match mode {
        // The steps are what is promised; the time only ends a run that would never reach them.
        "quick" => campaign(1_050_000, 20, 10),
        "nightly" => campaign(60_000_000, 240, 1),
        "release" => campaign(1_000_000_000, 24 * 60, 1),
        _ => bail!("find the mode {mode:?}: quick, nightly or release"),
    };
    let summary = campaign.run()?;
    if let Some((plan, violation)) = &summary.failure {
        return Err(failed(plan, violation));
    }
    let bugs = planted.map(read).transpose()?.unwrap_or(Value::Array(Vec::new()));
    let figures = report::to_json(mode, QUICK_FROM, &summary, threads, bugs, &commit());
    std::fs::write(json, format!("{figures:#}\n")).with_context(|| format!("write {json}"))?;
    say(&format!(
        "{} seeds, {} steps in {:.1} s, {} per second and core, {} simulated hours",
        summary.seeds,
        summary.steps,
        summary.took.as_secs_f64(),
        figures["steps_per_second_per_core"],
        figures["simulated_hours"]
    ));
    let mut missing = report::missing(&figures);
    if mode == "quick" {
        // A million steps do not come by the rarest states each time; a night's run does.
        missing.iter().filter(|name| name.starts_with("states")).for_each(|name| say(&format!("not reached: {name}")));
        missing.retain(|name| !name.starts_with("states"));
    }
    if !missing.is_empty() {
        bail!("inject, check and reach everything: {}", missing.join(", "));
    }
    if summary.steps < 1_000_000 {
        bail!("make a million steps in time: {}", summary.steps);
    }
    Ok(())
}

/// Seed, commit and a shrunk plan, written where every later run tries it.
fn failed(plan: &Plan, violation: &sim::Violation) -> anyhow::Error {
    let small = Stage::new().map(|stage| shrink(&stage, plan, violation.invariant));
    let small = small.unwrap_or_else(|_| plan.clone());
    let name = format!("crates/sim/corpus/{}-{}.scenario", violation.invariant.as_str().to_lowercase(), plan.seed);
    let commit = commit();
    let text = format!("# {}\n# commit {commit}\n{}", violation.what, small.to_text());
    let kept = if Path::new("crates/sim/corpus").is_dir() { std::fs::write(&name, &text) } else { Ok(()) };
    let place = kept.map_or_else(|error| format!("(not kept: {error})"), |()| name);
    anyhow::anyhow!(
        "keep {}: {}\nseed {} at commit {commit}; the shrunk plan is in {place}:\n{text}",
        violation.invariant.as_str(),
        violation.what,
        plan.seed
    )
}

fn commit() -> String {
    let git = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    git.map_or_else(|_| "unknown".to_owned(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

#[cfg(feature = "planted")]
fn hunt(json: &str, starts: u64, bound: u64) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(16);
    let mut all = Vec::new();
    let mut missed = Vec::new();
    for bug in vocab::Planted::ALL {
        let found = sim::hunt(*bug, starts, bound, threads)?;
        say(&format!("{}", found.to_json()));
        if found.missed > 0 {
            missed.push(found.bug.clone());
        }
        all.push(found.to_json());
    }
    std::fs::write(json, format!("{:#}\n", Value::Array(all))).with_context(|| format!("write {json}"))?;
    if !missed.is_empty() {
        bail!("find every planted bug: {}", missed.join("; "));
    }
    Ok(())
}

#[cfg(not(feature = "planted"))]
fn hunt(_json: &str, _starts: u64, _bound: u64) -> Result<()> {
    bail!("plant bugs: this build has none; build it with `--features planted`")
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").unwrap_or_default();
}
