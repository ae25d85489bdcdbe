//! The project's own chores: the whole gate, the tidy rules and the pages that are generated.
//!
//! Tidy is made of plain tests, so that `cargo test` runs it; `cargo xtask tidy` prints the same findings without
//! the rest.

mod claims;
mod gate;
mod generated;
mod proof;
mod source;
mod tidy;
mod tree;

use anyhow::{Result, bail};
use std::io::Write;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <command>

  check [stage..]   the whole gate, or some stages of it (see `cargo xtask check --list`)
  tidy              the rules that no compiler knows
  proof [--quick | --nightly | --release]
                    the simulator: its figures go to target/proof.json, those of the longer runs to docs/proof.md too
  generate          rewrite the checked-in files that the code generates
";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("xtask failed to {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let root = tree::root();
    match args.split_first() {
        Some((command, stages)) if command == "check" => gate::run(&root, stages),
        Some((command, [])) if command == "tidy" => {
            let findings = tidy::all(&root)?;
            findings.iter().for_each(|finding| say(finding));
            if findings.is_empty() { Ok(()) } else { bail!("call the tree tidy: {} findings", findings.len()) }
        }
        Some((command, [mode])) if command == "proof" => proof::run(&root, mode.trim_start_matches('-')),
        Some((command, [])) if command == "generate" => generated::write(&root),
        _ => {
            say(HELP);
            if args.is_empty() { Ok(()) } else { bail!("understand the command {args:?}") }
        }
    }
}

/// A line for the person at the terminal. Nobody is left to tell when the terminal is gone.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").unwrap_or_default();
}
