//! Medians and ratios as a table for people, and its place in a page.

use crate::compare::{CONNECTIONS, Line, Load, PACED, Sample, Samples};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::Path;

pub struct Report {
    pub samples: Samples,
    pub sqlite_commit_us: f64,
    pub binary_bytes: u64,
    pub rounds: usize,
    pub seconds: f64,
}

const BEGIN: &str = "<!-- figures: begin (cargo run --release -p bench -- --write docs/performance.md) -->";
const END: &str = "<!-- figures: end -->";

impl Report {
    fn median(&self, line: Line, load: Load, pick: impl Fn(&Sample) -> f64) -> Option<f64> {
        let mut values: Vec<f64> = self.samples.get(&(line, load))?.iter().map(pick).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    fn rate(&self, line: Line, connections: usize) -> Option<f64> {
        self.median(line, Load::Closed(connections), |sample| sample.measured.per_second)
    }

    fn p50(&self, line: Line, load: Load) -> Option<f64> {
        self.median(line, load, |sample| sample.measured.p50)
    }

    fn p99(&self, line: Line, load: Load) -> Option<f64> {
        self.median(line, load, |sample| sample.measured.p99)
    }
}

pub fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    tables(report, &mut out).ok();
    ratios(report, &mut out).ok();
    out
}

fn tables(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "Medians of {} interleaved rounds of {} s each.\n", report.rounds, report.seconds)?;
    writeln!(out, "Closed loop, calls a second (p50 / p99 in µs):\n")?;
    writeln!(out, "| | 1 | 16 | 64 | 256 | CPU per call at 64, µs | resident at 256, MiB |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for line in LINES {
        if !report.samples.keys().any(|(one, _)| one == &line) {
            continue;
        }
        write!(out, "| {} |", label(line))?;
        for connections in CONNECTIONS {
            let load = Load::Closed(connections);
            match (report.rate(line, connections), report.p50(line, load), report.p99(line, load)) {
                (Some(rate), Some(p50), Some(p99)) => write!(out, " {rate:.0} ({p50:.0} / {p99:.0}) |")?,
                _ => write!(out, " |")?,
            }
        }
        let cpu = report.median(line, Load::Closed(64), |sample| sample.cpu_per_call_us);
        let resident = report.median(line, Load::Closed(256), |sample| sample.resident_mib);
        writeln!(out, " {} | {} |", figure(cpu, 1), figure(resident, 1))?;
    }
    writeln!(out, "\nPaced at {PACED} calls a second over 16 connections, µs:\n")?;
    writeln!(out, "| | p50 | p99 | worst |\n|---|---|---|---|")?;
    for (line, load) in LINES.into_iter().flat_map(|line| [(line, Load::Paced), (line, Load::PacedBesideWriters)]) {
        let Some(p50) = report.p50(line, load) else { continue };
        let beside = if load == Load::Paced { "" } else { ", while 16 connections mutate" };
        let worst = report.median(line, load, |sample| sample.measured.worst);
        let p99 = figure(report.p99(line, load), 0);
        writeln!(out, "| {}{beside} | {p50:.0} | {p99} | {} |", label(line), figure(worst, 0))?;
    }
    writeln!(out)
}

fn ratios(report: &Report, out: &mut String) -> std::fmt::Result {
    let at = |line, load| report.p50(line, load);
    let paced = |line| at(line, Load::Paced);
    let over = |line, base, load| Some(at(line, load)? - at(base, load)?);
    let rates = |line, base| Some(report.rate(line, 64)? / report.rate(base, 64)?);
    let tails = |line, load, base, other| Some(report.p99(line, load)? / report.p99(base, other)?);
    let one = Load::Closed(1);
    let commits = |line| over(line, Line::Nginx, one).map(|added| added / (3.0 * report.sqlite_commit_us + 100.0));
    writeln!(out, "| Ratio | Measured | Target |\n|---|---|---|")?;
    let rows: [(&str, Option<f64>, &str); 15] = [
        (
            "read: added p50 over what nginx adds, paced",
            over(Line::Read, Line::Direct, Load::Paced)
                .zip(over(Line::Nginx, Line::Direct, Load::Paced))
                .map(|(ours, hop)| ours / hop),
            "at most 1.5",
        ),
        ("read: calls a second at 64, of nginx's", rates(Line::Read, Line::Nginx), "at least 0.5"),
        ("read: calls a second at 64, of mcp-proxy's", rates(Line::Read, Line::Peer), "at least 3"),
        (
            "read: CPU per call at 64, µs",
            report.median(Line::Read, Load::Closed(64), |sample| sample.cpu_per_call_us),
            "at most 30",
        ),
        ("read: p99 paced, of nginx's", tails(Line::Read, Load::Paced, Line::Nginx, Load::Paced), "at most 3"),
        (
            "read: p99 paced beside 16 writers, of nginx's alone",
            tails(Line::Read, Load::PacedBesideWriters, Line::Nginx, Load::Paced),
            "at most 3",
        ),
        ("mutation: calls a second at 64, of nginx's", rates(Line::Write, Line::Nginx), "at least 0.35"),
        (
            "mutation: calls a second at 64, of the bare program's in SQLite",
            rates(Line::Write, Line::BareSqlite),
            "at least 0.5",
        ),
        ("mutation: calls a second at 64, of the bare program's to a file", rates(Line::Write, Line::Bare), ""),
        ("mutation: added p50 at 1 over (3 SQLite commits + 100 µs)", commits(Line::Write), "at most 1"),
        (
            "mutation: p99 at 64, of the bare program's in SQLite",
            tails(Line::Write, Load::Closed(64), Line::BareSqlite, Load::Closed(64)),
            "at most 2",
        ),
        (
            "replay: p50 paced, of a read's",
            paced(Line::Replay).zip(paced(Line::Read)).map(|(ours, read)| ours / read),
            "at most 1.5",
        ),
        (
            "resident with 256 sessions, MiB",
            report.median(Line::Read, Load::Closed(256), |sample| sample.resident_mib),
            "at most 40",
        ),
        ("release binary, MiB", Some(report.binary_bytes as f64 / 1_048_576.0), "below 40"),
        ("one SQLite commit on this disk, p50 in µs", Some(report.sqlite_commit_us), ""),
    ];
    for (what, measured, target) in rows {
        writeln!(out, "| {what} | {} | {target} |", figure(measured, 2))?;
    }
    Ok(())
}

fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "not measured".into(), |value| format!("{value:.digits$}"))
}

const LINES: [Line; 10] = [
    Line::Direct,
    Line::Nginx,
    Line::Read,
    Line::Replay,
    Line::Write,
    Line::WriteLarge,
    Line::WriteReadback,
    Line::Peer,
    Line::Bare,
    Line::BareSqlite,
];

const fn label(line: Line) -> &'static str {
    match line {
        Line::Direct => "upstream itself",
        Line::Nginx => "nginx, a bare hop",
        Line::Read => "Cofferdam: read",
        Line::Replay => "Cofferdam: replayed answer",
        Line::Write => "Cofferdam: mutation",
        Line::WriteLarge => "Cofferdam: mutation of 8 KiB",
        Line::WriteReadback => "Cofferdam: mutation with read-back",
        Line::Peer => "mcp-proxy 0.6: read",
        Line::Bare => "bare program: two group commits to a file",
        Line::BareSqlite => "bare program: two group commits in SQLite",
    }
}

/// Puts the figures between the marks of a page.
pub fn write(page: &Path, text: &str) -> Result<()> {
    let old = std::fs::read_to_string(page).with_context(|| format!("read {}", page.display()))?;
    let (head, rest) = old.split_once(BEGIN).context("the page has no mark where figures begin")?;
    let (_, tail) = rest.split_once(END).context("the page has no mark where figures end")?;
    std::fs::write(page, format!("{head}{BEGIN}\n\n{text}\n{END}{tail}"))?;
    Ok(())
}
