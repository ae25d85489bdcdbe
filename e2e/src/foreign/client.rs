//! The MCP clients that others wrote: which there are, how each is run against a door, and what it reports.

use super::{file, node, python, report};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Command;

/// A client package in one way of negotiating.
#[derive(Clone, Copy, Debug)]
pub struct Foreign {
    pub name: &'static str,
    script: &'static str,
    mode: &'static str,
    /// What it agrees on with a peer that speaks every revision.
    pub revision: &'static str,
}

const fn foreign(name: &'static str, script: &'static str, mode: &'static str, revision: &'static str) -> Foreign {
    Foreign { name, script, mode, revision }
}

const SESSIONS: &str = "2025-11-25";
const STATELESS: &str = "2026-07-28";

pub const NPM_SDK_1: Foreign = foreign("npm sdk 1.x", "node/sdk1.mjs", "", SESSIONS);
pub const NPM_CLIENT_2: Foreign = foreign("npm client 2.x", "node/client2.mjs", "auto", STATELESS);
pub const NPM_CLIENT_2_OLDER: Foreign = foreign("npm client 2.x, older", "node/client2.mjs", "legacy", SESSIONS);
pub const PYPI_MCP: Foreign = foreign("PyPI mcp", "python/mcp_client.py", "auto", STATELESS);
pub const PYPI_MCP_OLDER: Foreign = foreign("PyPI mcp, older", "python/mcp_client.py", "legacy", SESSIONS);
pub const PYPI_FASTMCP: Foreign = foreign("PyPI fastmcp", "python/fastmcp_client.py", "auto", STATELESS);
pub const PYPI_FASTMCP_OLDER: Foreign = foreign("PyPI fastmcp, older", "python/fastmcp_client.py", "legacy", SESSIONS);

pub const ALL: [Foreign; 7] =
    [NPM_SDK_1, NPM_CLIENT_2, NPM_CLIENT_2_OLDER, PYPI_MCP, PYPI_MCP_OLDER, PYPI_FASTMCP, PYPI_FASTMCP_OLDER];

/// A whole script; measured 8 s for the longest on an idle machine.
const SCRIPT_WAIT: Duration = Duration::from_secs(180);

/// What a script found.
#[derive(Debug)]
pub struct Report {
    pub revision: String,
    /// Per check `ok`, or what was wrong.
    pub checks: BTreeMap<String, String>,
    /// Answers that were kept for the test.
    pub results: Value,
}

impl Report {
    fn read(report: &Value) -> Result<Self> {
        let checks = report["checks"].as_object().context("a report without checks")?;
        Ok(Self {
            revision: report["revision"].as_str().unwrap_or_default().to_owned(),
            checks: checks.iter().map(|(name, found)| (name.clone(), text(found))).collect(),
            results: report["results"].clone(),
        })
    }

    pub fn failures(&self) -> Vec<String> {
        let failed = self.checks.iter().filter(|(_, found)| *found != "ok");
        failed.map(|(name, found)| format!("{name}: {found}")).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Foreign {
    fn program(&self) -> Result<Option<PathBuf>> {
        if self.script.starts_with("node/") { node() } else { python() }
    }

    /// Plays the script that the wish names; `None` if this client is not installed.
    ///
    /// # Errors
    /// The script does not end, or ends without a report.
    pub async fn play(&self, mut wish: Value, environment: &[(&str, &str)]) -> Result<Option<Report>> {
        let Some(program) = self.program()? else { return Ok(None) };
        wish["mode"] = self.mode.into();
        let mut command = Command::new(program);
        command.arg(file(self.script)).arg(wish.to_string()).envs(environment.iter().copied());
        Report::read(&report(command, SCRIPT_WAIT).await?).map(Some)
    }
}

/// A reference server of npm as a command line, with what follows its name.
///
/// # Errors
/// Node is required and not there.
pub fn reference_server(name: &str, args: &[&str]) -> Result<Option<Vec<String>>> {
    let Some(node) = node()? else { return Ok(None) };
    let script = file(&format!("node_modules/@modelcontextprotocol/server-{name}/dist/index.js"));
    let mut command = vec![node.display().to_string(), script.display().to_string()];
    command.extend(args.iter().map(ToString::to_string));
    Ok(Some(command))
}
