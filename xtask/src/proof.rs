//! The simulator's campaigns. Built for release, because a seed that takes long is a seed that is not tried.

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How often each planted bug is looked for, and in how many seeds at most each time.
const STARTS: &str = "20";
const BOUND: &str = "100000";

pub fn run(root: &Path, mode: &str) -> Result<()> {
    ensure!(["quick", "nightly", "release"].contains(&mode), "find the mode {mode:?}: --quick, --nightly or --release");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let figures = target.join("proof.json");
    if mode == "quick" {
        build(root, &[])?;
        return call(root, &target.join("release/sim"), &[mode_of(mode)?, &text(&figures)?]);
    }
    let planted = target.join("planted.json");
    build(root, &["--features", "planted"])?;
    // The next build takes its place.
    let hunter = target.join("sim-planted");
    std::fs::copy(target.join("release/sim"), &hunter).context("keep the build with planted bugs")?;
    run_program(root, &hunter, &["planted", &text(&planted)?, STARTS, BOUND])?;
    build(root, &[])?;
    let sim = target.join("release/sim");
    call(root, &sim, &[mode_of(mode)?, &text(&figures)?, &text(&planted)?])?;
    run_program(root, &sim, &["page", &text(&figures)?, "docs/proof.md"])
}

fn mode_of(mode: &str) -> Result<&'static str> {
    match mode {
        "quick" => Ok("quick"),
        "nightly" => Ok("nightly"),
        "release" => Ok("release"),
        _ => bail!("find the mode {mode:?}"),
    }
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("write the path {} as text", path.display()))
}

fn build(root: &Path, more: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--quiet", "--package", "sim"])
        .args(more)
        .current_dir(root)
        .status()
        .context("start cargo")?;
    ensure!(status.success(), "build the simulator");
    Ok(())
}

fn call(root: &Path, sim: &Path, args: &[&str]) -> Result<()> {
    run_program(root, sim, &[&["proof"], args].concat())
}

fn run_program(root: &Path, program: &Path, args: &[&str]) -> Result<()> {
    let status = Command::new(program).args(args).current_dir(root).status().context("start the simulator")?;
    ensure!(status.success(), "pass `sim {}`", args.join(" "));
    Ok(())
}
