//! Durable engines, each with steps that do nothing.

use super::{Bench, database};
use crate::compare::say;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::process::Command;

const CALLERS: [usize; 3] = [1, 16, 64];

/// What one engine did, as `steps.py` prints it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rate {
    pub system: String,
    pub callers: usize,
    pub steps: u64,
    pub seconds: f64,
}

impl Rate {
    pub fn per_second(&self) -> f64 {
        self.steps as f64 / self.seconds
    }
}

pub fn measure(bench: &Bench) -> Result<Vec<Rate>> {
    let peers = &bench.options.peers;
    let python = peers.join(".venv/bin/python");
    if !python.is_file() {
        say("SKIPPED: the durable engines are not installed (bash e2e/peers/install.sh)")?;
        return Ok(Vec::new());
    }
    let database = database::start()?;
    let mut all = Vec::new();
    for callers in CALLERS {
        let mut command = Command::new(&python);
        command.arg(peers.join("steps.py")).args(["--callers", &callers.to_string(), "--folder"]).arg(&bench.folder);
        if let Some(database) = &database {
            let url = database.url("postgres").replace("postgres://", "postgresql://");
            command.args(["--postgres", &url]);
        }
        let out = command.output().context("start steps.py")?;
        ensure!(out.status.success(), "steps.py: {}", String::from_utf8_lossy(&out.stderr));
        for line in String::from_utf8_lossy(&out.stdout).lines().filter(|line| line.starts_with('{')) {
            all.push(serde_json::from_str(line)?);
        }
    }
    Ok(all)
}
