//! `proof.json`, and the tables of docs/proof.md that are made from it.

use crate::campaign::Summary;
use crate::names::{Fault, Invariant, Reached};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

const BEGIN: &str = "<!-- simulated: begin -->";
const END: &str = "<!-- simulated: end -->";

/// What one planted bug needed to be found.
#[derive(Clone, Debug)]
pub struct Found {
    pub bug: String,
    pub seeds: Vec<u64>,
    pub millis: Vec<u64>,
    /// By which invariant, and how often.
    pub by: BTreeMap<String, u64>,
    /// Starts that did not find it within their bound.
    pub missed: u64,
}

impl Found {
    pub fn to_json(&self) -> Value {
        json!({
            "bug": self.bug, "median_seeds": median(&self.seeds), "median_seconds": median(&self.millis) as f64 / 1000.0,
            "slowest_seeds": self.seeds.iter().max(), "starts": self.seeds.len() as u64 + self.missed,
            "missed": self.missed, "found_by": self.by,
        })
    }
}

fn median(of: &[u64]) -> u64 {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

/// Everything that a campaign counted.
pub fn to_json(mode: &str, from: u64, summary: &Summary, threads: usize, planted: Value, commit: &str) -> Value {
    fn counts<K: Ord + Copy>(all: &[K], name: fn(K) -> &'static str, found: &BTreeMap<K, u64>) -> Value {
        all.iter().map(|one| (name(*one).to_owned(), json!(found.get(one).copied().unwrap_or(0)))).collect()
    }
    let seconds = summary.took.as_secs_f64();
    let per_core = summary.steps as f64 / seconds.max(0.001) / threads as f64;
    json!({
        "mode": mode,
        "commit": commit,
        "machine": machine(),
        "threads": threads,
        "seeds": { "from": from, "count": summary.seeds, "run_twice": summary.twice },
        "steps": summary.steps,
        "calls": summary.calls,
        "seconds": seconds,
        "steps_per_second_per_core": per_core.round(),
        "simulated_hours": (summary.virtual_micros as f64 / 3.6e9).round(),
        "faults_injected": counts(Fault::ALL, Fault::as_str, &summary.faults),
        "states_reached": counts(Reached::ALL, Reached::as_str, &summary.reached),
        "invariants_checked": counts(Invariant::ALL, Invariant::as_str, &summary.checked),
        "planted_bugs": planted,
    })
}

fn machine() -> Value {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    json!({ "cpu": model.trim_start_matches(['\t', ' ', ':']), "cores": cores, "os": std::env::consts::OS })
}

/// Names of one group that were never counted.
pub fn missing(proof: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for group in ["faults_injected", "states_reached", "invariants_checked"] {
        let Some(counts) = proof[group].as_object() else { continue };
        found.extend(
            counts.iter().filter(|(_, count)| count.as_u64() == Some(0)).map(|(name, _)| format!("{group}: {name}")),
        );
    }
    found
}

/// Puts the tables into the page, between its marks.
///
/// # Errors
/// The page cannot be read or written, or has no marks.
pub fn write_page(page: &Path, proof: &Value) -> Result<()> {
    let text = std::fs::read_to_string(page).with_context(|| format!("read {}", page.display()))?;
    let (Some(begin), Some(end)) = (text.find(BEGIN), text.find(END)) else {
        bail!("find the marks of the figures in {}", page.display());
    };
    let new = format!("{}\n{}{}", &text[..begin + BEGIN.len()], tables(proof), &text[end..]);
    std::fs::write(page, new).with_context(|| format!("write {}", page.display()))
}

fn tables(proof: &Value) -> String {
    let mut out = String::new();
    let mut line = |text: String| writeln!(out, "{text}").unwrap_or_default();
    let number = |value: &Value| value.as_f64().map_or_else(|| "0".to_owned(), |value| grouped(value.round() as u64));
    line(format!(
        "\nRun `{}` at commit `{}` on {} ({} threads).\n",
        proof["mode"].as_str().unwrap_or_default(),
        proof["commit"].as_str().unwrap_or_default(),
        proof["machine"]["cpu"].as_str().unwrap_or_default(),
        proof["threads"]
    ));
    line("| Figure | |".to_owned());
    line("|---|---|".to_owned());
    for (what, value) in [
        ("simulated steps, second runs counted", &proof["steps"]),
        ("seeds", &proof["seeds"]["count"]),
        ("seeds run twice, traces equal", &proof["seeds"]["run_twice"]),
        ("calls of agents", &proof["calls"]),
        ("simulated hours", &proof["simulated_hours"]),
        ("seconds", &proof["seconds"]),
        ("steps per second and core", &proof["steps_per_second_per_core"]),
    ] {
        line(format!("| {what} | {} |", number(value)));
    }
    for (title, group) in [
        ("Invariant checked", "invariants_checked"),
        ("Fault injected", "faults_injected"),
        ("State reached", "states_reached"),
    ] {
        line(format!("\n| {title} | Times |\n|---|---|"));
        for (name, count) in proof[group].as_object().into_iter().flatten() {
            line(format!("| `{name}` | {} |", number(count)));
        }
    }
    if let Some(bugs) = proof["planted_bugs"].as_array().filter(|bugs| !bugs.is_empty()) {
        line(
            "\n| Planted bug | Found | Median seeds | Slowest | Median seconds | By |\n|---|---|---|---|---|---|"
                .to_owned(),
        );
        for bug in bugs {
            let by: Vec<String> = bug["found_by"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            let (starts, missed) = (bug["starts"].as_u64().unwrap_or(0), bug["missed"].as_u64().unwrap_or(0));
            line(format!(
                "| {} | {}/{starts} | {} | {} | {:.2} | {} |",
                bug["bug"].as_str().unwrap_or_default(),
                starts - missed,
                bug["median_seeds"],
                bug["slowest_seeds"],
                bug["median_seconds"].as_f64().unwrap_or_default(),
                by.join(", ")
            ));
        }
    }
    line(String::new());
    out
}

fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
