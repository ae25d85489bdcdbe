//! Peers that others wrote, as `e2e/install.sh` puts them into `e2e/node_modules` and `e2e/.venv`, run as processes that
//! say what they saw as JSON.

pub mod client;

use crate::binary::skip;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long a script that serves may take to say where.
const START_WAIT: Duration = Duration::from_secs(30);
/// How much of what a failed script wrote is shown.
const SHOWN: usize = 4000;

/// A file below `e2e/`.
pub fn file(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Node 22, or `None` after a loud word.
///
/// # Errors
/// It is required and not there.
pub fn node() -> Result<Option<PathBuf>> {
    installed("node_modules/node/bin/node", "node_modules/.pins")
}

/// Python with the MCP clients, or `None` after a loud word.
///
/// # Errors
/// It is required and not there.
pub fn python() -> Result<Option<PathBuf>> {
    installed(".venv/bin/python", ".venv/.pins")
}

fn installed(program: &str, complete: &str) -> Result<Option<PathBuf>> {
    let program = file(program);
    if program.is_file() && file(complete).is_file() {
        return Ok(Some(program));
    }
    skip("there are no foreign peers: `bash e2e/install.sh` installs them")?;
    Ok(None)
}

/// Runs a program to its end and reads the last line it wrote as JSON.
///
/// # Errors
/// It goes on after `within`, fails, or writes something else; the error holds the end of what it wrote.
pub async fn report(mut command: Command, within: Duration) -> Result<Value> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let shown = format!("{:?}", command.as_std());
    let child = command.spawn().with_context(|| format!("start {shown}"))?;
    let Ok(ended) = tokio::time::timeout(within, child.wait_with_output()).await else {
        bail!("run {shown}: it goes on after {within:?}");
    };
    let ended = ended?;
    let said = String::from_utf8_lossy(&ended.stdout);
    let last = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
    match last {
        Some(report) if ended.status.success() => Ok(report),
        _ => bail!("run {shown}: {}\n{}\n{}", ended.status, end(&said), end(&String::from_utf8_lossy(&ended.stderr))),
    }
}

fn end(text: &str) -> &str {
    let from = text.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
    &text[from..]
}

/// A script that serves until it is dropped; its first line is `{"url": …}`.
pub struct Service {
    pub url: String,
    _child: Child,
}

impl Service {
    /// # Errors
    /// It does not start, or does not say where it serves.
    pub async fn start(mut command: Command) -> Result<Self> {
        let shown = format!("{:?}", command.as_std());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("start {shown}"))?;
        let output = child.stdout.take().context("there is no pipe from the service")?;
        let mut lines = BufReader::new(output).lines();
        let first = tokio::time::timeout(START_WAIT, lines.next_line()).await;
        let Ok(Ok(Some(line))) = first else { bail!("start {shown}: it did not say where it serves") };
        // What it says later is read, so that its pipe never fills.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let word: Value = serde_json::from_str(&line).with_context(|| format!("start {shown}: {line}"))?;
        let url = word["url"].as_str().with_context(|| format!("start {shown}: {line}"))?.to_owned();
        Ok(Self { url, _child: child })
    }
}
