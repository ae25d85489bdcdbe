//! What was measured, for people, and its place in a page.

use super::{Figures, Rates};
use crate::compare::CONNECTIONS;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

const BEGIN: &str = "<!-- stores: begin (cargo run --release -p bench -- stores --write docs/performance.md) -->";
const END: &str = "<!-- stores: end -->";

pub fn render(figures: &Figures) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    tables(figures, &mut out).ok();
    out
}

fn tables(figures: &Figures, out: &mut String) -> std::fmt::Result {
    if let Some(rates) = &figures.rates {
        mutations(rates, out)?;
    }
    if !figures.engines.is_empty() {
        engines(figures, out)?;
    }
    writeln!(out, "| | Measured | Target |\n|---|---|---|")?;
    let ours = figures.rates.as_ref().and_then(|rates| rate(rates, "Cofferdam over SQLite", 64));
    let restate = figures.engines.iter().find(|one| one.system.starts_with("Restate") && one.callers == 64);
    let times = ours.zip(restate).map(|(ours, restate)| format!("{:.2}", ours / restate.per_second()));
    writeln!(
        out,
        "| mutations over SQLite at 64 callers, of Restate's steps at 64 | {} | at least 3 |",
        times.as_deref().unwrap_or("not measured")
    )?;
    for start in &figures.starts {
        let list: Vec<String> = start.seconds.iter().map(|seconds| format!("{seconds:.2}")).collect();
        writeln!(
            out,
            "| {}: from the start of the process to the answer of its first mutation, killed at work with {} steps, s | {} \
             | below 1 |",
            start.what,
            start.steps,
            list.join(", ")
        )?;
    }
    match &figures.replicas {
        Some(gain) => writeln!(
            out,
            "| two replicas over one Postgres, of one, each held to {} of a core ({:.0} and {:.0} mutations a second) | {:.2} \
             | at least 1.6 |",
            gain.share,
            gain.two,
            gain.one,
            gain.two / gain.one
        ),
        None => writeln!(out, "| two replicas over one Postgres, of one | not measured | at least 1.6 |"),
    }
}

fn mutations(rates: &Rates, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "Mutations a second (p50 / p99 in ms) by callers, medians of {} rounds of {} s. The disk makes {:.0} `fdatasync` of \
         4 KiB a second, one after the other.\n",
        rates.rounds, rates.seconds, rates.fdatasync_per_second
    )?;
    writeln!(out, "| | 1 | 16 | 64 | 256 |\n|---|---|---|---|---|")?;
    let mut told = BTreeSet::new();
    for row in &rates.rows {
        if !told.insert(&row.what) {
            continue;
        }
        write!(out, "| {} |", row.what)?;
        for callers in CONNECTIONS {
            let found = rates.rows.iter().find(|other| other.what == row.what && other.callers == callers);
            match found.map(|row| &row.measured) {
                Some(one) => write!(out, " {:.0} ({:.2} / {:.2}) |", one.per_second, one.p50 / 1e3, one.p99 / 1e3)?,
                None => write!(out, " |")?,
            }
        }
        writeln!(out)?;
    }
    writeln!(out)
}

fn engines(figures: &Figures, out: &mut String) -> std::fmt::Result {
    writeln!(out, "Durable steps a second by callers, each step a function that does nothing:\n")?;
    writeln!(out, "| | 1 | 16 | 64 |\n|---|---|---|---|")?;
    let systems: BTreeSet<&str> = figures.engines.iter().map(|one| one.system.as_str()).collect();
    for system in systems {
        write!(out, "| {system} |")?;
        for callers in [1, 16, 64] {
            match figures.engines.iter().find(|one| one.system == system && one.callers == callers) {
                Some(one) => write!(out, " {:.0} |", one.per_second())?,
                None => write!(out, " |")?,
            }
        }
        writeln!(out)?;
    }
    writeln!(out)
}

fn rate(rates: &Rates, what: &str, callers: usize) -> Option<f64> {
    rates.rows.iter().find(|row| row.what == what && row.callers == callers).map(|row| row.measured.per_second)
}

/// Puts the figures between the marks of a page.
pub fn write(page: &Path, text: &str) -> Result<()> {
    let old = std::fs::read_to_string(page).with_context(|| format!("read {}", page.display()))?;
    let (head, rest) = old.split_once(BEGIN).context("the page has no mark where these figures begin")?;
    let (_, tail) = rest.split_once(END).context("the page has no mark where these figures end")?;
    std::fs::write(page, format!("{head}{BEGIN}\n\n{text}\n{END}{tail}"))?;
    Ok(())
}
