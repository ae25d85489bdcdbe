//! Finds the binary under test; a test that cannot have it says so where nobody can overlook it.

use anyhow::{Result, bail};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// `COFFERDAM_BIN`, else the newest of `target/{debug,release}/cofferdam`. Without one: `None` and a loud word on stderr,
/// or with `COFFERDAM_E2E_REQUIRE=all` an error.
///
/// # Errors
/// It is required and not there.
pub fn binary() -> Result<Option<PathBuf>> {
    if let Some(path) = std::env::var_os("COFFERDAM_BIN").map(PathBuf::from) {
        if !path.is_file() {
            bail!("start {}: COFFERDAM_BIN names no file", path.display());
        }
        return Ok(Some(path));
    }
    let found = newest(candidates());
    if found.is_none() {
        skip("there is no built `cofferdam`: `cargo build -p cofferdam` makes one, COFFERDAM_BIN names one")?;
    }
    Ok(found)
}

/// A build that differs only by the feature `failpoints`: `COFFERDAM_FAILPOINTS_BIN`, else below `target/failpoints`.
///
/// # Errors
/// It is required and not there.
pub fn failpoints_binary() -> Result<Option<PathBuf>> {
    if let Some(path) = std::env::var_os("COFFERDAM_FAILPOINTS_BIN").map(PathBuf::from) {
        if !path.is_file() {
            bail!("start {}: COFFERDAM_FAILPOINTS_BIN names no file", path.display());
        }
        return Ok(Some(path));
    }
    let built = ["debug", "release"].map(|profile| target().join("failpoints").join(profile).join("cofferdam"));
    let found = newest(built.to_vec());
    if found.is_none() {
        skip("`cargo build -p cofferdam --features failpoints --target-dir target/failpoints` was not run")?;
    }
    Ok(found)
}

/// Says that something was not tested.
///
/// # Errors
/// With `COFFERDAM_E2E_REQUIRE=all` nothing may be skipped.
pub fn skip(why: &str) -> Result<()> {
    if std::env::var("COFFERDAM_E2E_REQUIRE").is_ok_and(|what| what == "all") {
        bail!("run the end-to-end tests: {why}");
    }
    // Past the capture of the test harness on purpose.
    writeln!(std::io::stderr(), "\n*** SKIPPED end-to-end tests: {why} ***\n").unwrap_or_default();
    Ok(())
}

fn candidates() -> Vec<PathBuf> {
    ["debug", "release"].iter().map(|profile| target().join(profile).join("cofferdam")).collect()
}

fn target() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    // …/target/debug/deps/it-0123 or …/target/release/effects
    let profile = exe.ancestors().skip(1).find(|path| path.file_name().is_some_and(|name| name != "deps"));
    profile.and_then(Path::parent).map(Path::to_owned).unwrap_or_default()
}

fn newest(paths: Vec<PathBuf>) -> Option<PathBuf> {
    let built = |path: &Path| -> Option<SystemTime> { path.metadata().ok()?.modified().ok() };
    paths.into_iter().filter(|path| path.is_file()).max_by_key(|path| built(path))
}
