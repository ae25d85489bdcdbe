//! From the start of a process to the answer of its first mutation, on a journal with many steps that was killed.

use super::{Bench, database};
use crate::compare::{generator, say};
use crate::load::Kind;
use crate::targets::{self, Target};
use anyhow::{Context, Result};
use journal::contract::sample::{begin, end, intent};
use journal::sqlite::{Durability, Options};
use journal::{Journal, Sqlite};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

const CRASHES: usize = 3;
/// While it is killed.
const CALLERS: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    pub what: String,
    pub steps: u64,
    /// One for each crash, in order of length.
    pub seconds: Vec<f64>,
}

pub fn measure(bench: &Bench) -> Result<Vec<Start>> {
    let (_mock, upstream) = targets::mock()?;
    let mut all = Vec::new();
    let at = bench.folder.join("crashed/journal");
    std::fs::create_dir_all(&at)?;
    fill_file(&at, bench.options.steps)?;
    say("the file is filled")?;
    all.push(starts(bench, upstream, "crashed", "SQLite", None)?);
    let Some(database) = database::start()? else { return Ok(all) };
    let url = database.url("postgres");
    // The first start makes the tables, and one step to copy.
    let first = bench.gateway(upstream, "crashed-shared", Some(&url))?;
    generator(&first, Kind::Write, 0, 1, 1, 0.001)?.wait()?;
    drop(first);
    fill_database(&url, bench.options.steps)?;
    say("the database is filled")?;
    all.push(starts(bench, upstream, "crashed-shared", "Postgres", Some(&url))?);
    Ok(all)
}

fn starts(bench: &Bench, upstream: SocketAddr, name: &str, what: &str, database: Option<&str>) -> Result<Start> {
    let mut seconds = Vec::new();
    for crash in 0..=CRASHES {
        let began = Instant::now();
        let mut target = bench.gateway(upstream, name, database)?;
        first_mutation(&target)?;
        let took = began.elapsed().as_secs_f64();
        // The first start is the one after the journal was filled, in order.
        if crash > 0 {
            seconds.push(took);
        }
        let load = generator(&target, Kind::Write, 0, CALLERS, 0, 60.0)?;
        std::thread::sleep(std::time::Duration::from_millis(500));
        target.process().context("it is a process")?.kill()?;
        // Its calls broke off, which it says.
        drop(load.wait());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(Start { what: what.to_owned(), steps: bench.options.steps, seconds })
}

fn first_mutation(target: &Target) -> Result<()> {
    generator(target, Kind::Write, 0, 1, 1, 0.001)?.wait().map(drop)
}

/// As gateways leave it: one step in ten thousand is open.
fn fill_file(directory: &Path, steps: u64) -> Result<()> {
    let options = Options { durability: Durability::ProcessCrashOnly, ..Options::default() };
    let journal = Sqlite::open(directory, options)?;
    let epoch = journal.start().epoch;
    for number in 0..steps {
        let mut records = begin(intent(number), epoch);
        if number % 10_000 != 0 {
            records.extend(end(number, epoch));
        }
        while journal.append(records.clone(), None).is_err() {
            std::thread::yield_now();
        }
    }
    journal.close();
    Ok(())
}

/// Copies of the one step that is there, each under names of its own. Their events are not copied: a start reads none.
fn fill_database(url: &str, steps: u64) -> Result<()> {
    let columns = database::text(
        url,
        "SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM information_schema.columns \
         WHERE table_schema = 'cofferdam' AND table_name = 'step' AND column_name <> 'seq'",
    )?;
    let own = |column: &str| match column {
        "step_id" => "decode(md5('s' || g), 'hex')".to_owned(),
        "key" => "decode(md5('k' || g) || md5('l' || g), 'hex')".to_owned(),
        "content" => "decode(md5('c' || g) || md5('d' || g), 'hex')".to_owned(),
        "twin" => "g::bigint * 7919".to_owned(),
        "created_at" => "one.created_at - g".to_owned(),
        other => format!("one.{other}"),
    };
    let values: Vec<String> = columns.split(',').map(own).collect();
    database::run(
        url,
        &format!(
            "SET search_path = cofferdam; INSERT INTO step({columns}) SELECT {} FROM (SELECT * FROM step LIMIT 1) one, \
             generate_series(1, {steps}) g; ANALYZE step; CHECKPOINT",
            values.join(",")
        ),
    )?;
    let there = database::number(url, "SELECT count(*) FROM cofferdam.step")?;
    anyhow::ensure!(there as u64 > steps, "the database has {there} steps");
    Ok(())
}
