//! What a mutation costs by where its journal lies: SQLite or Postgres, beside the disk itself; how long a start takes
//! after a crash; what a second replica brings; and what durable engines do in the same run.
//!
//! Each part keeps what it measured in one file, so that parts can be measured at different times and told together.

mod crash;
mod database;
mod peers;
mod replicas;
mod table;

use crate::compare::{CONNECTIONS, generator, say};
use crate::load::{Kind, Measured};
use crate::process::{MEASURED, Process, free_address};
use crate::targets::{self, Target};
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The Cofferdam binary; by default the release build beside this program.
    #[arg(long)]
    pub binary: Option<PathBuf>,
    /// What to measure; by default all.
    #[arg(long, value_enum)]
    pub part: Vec<Part>,
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Of each measurement.
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// In the journal that is started on.
    #[arg(long, default_value_t = 1_000_000)]
    pub steps: u64,
    /// Of one core, for each replica.
    #[arg(long, default_value_t = 0.15)]
    pub share: f64,
    /// Where journals lie, and the file with what was measured. Postgres lies in the directory for temporary files.
    #[arg(long, default_value = "target/bench")]
    pub folder: PathBuf,
    /// Where the durable engines are installed (`bash e2e/peers/install.sh`).
    #[arg(long, default_value = "e2e/peers")]
    pub peers: PathBuf,
    /// Rewrites the figures of this page.
    #[arg(long)]
    pub write: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Rates,
    Crash,
    Replicas,
    Peers,
    /// Nothing: only tells what was measured before.
    Table,
}

/// Everything that was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Figures {
    rates: Option<Rates>,
    starts: Vec<crash::Start>,
    replicas: Option<replicas::Gain>,
    engines: Vec<peers::Rate>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Rates {
    rounds: usize,
    seconds: f64,
    /// Of four kilobytes each, by one thread.
    fdatasync_per_second: f64,
    rows: Vec<Row>,
}

/// One line of the table, at one number of callers.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    what: String,
    callers: usize,
    measured: Measured,
}

/// What every part needs.
struct Bench {
    options: Options,
    binary: PathBuf,
    folder: PathBuf,
}

pub fn run(options: &Options) -> Result<()> {
    std::fs::create_dir_all(&options.folder)?;
    let kept = options.folder.join("stores.json");
    let mut figures: Figures = match std::fs::read(&kept) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("read {}", kept.display()))?,
        Err(_) => Figures::default(),
    };
    let folder = tempfile::tempdir_in(&options.folder)?;
    let binary = targets::binary(options.binary.clone())?;
    let bench = Bench { options: options.clone(), binary, folder: folder.path().canonicalize()? };
    let is_wanted = |part| options.part.is_empty() || options.part.contains(&part);
    if is_wanted(Part::Rates) {
        figures.rates = Some(bench.rates()?);
    }
    if is_wanted(Part::Crash) {
        figures.starts = crash::measure(&bench)?;
    }
    if is_wanted(Part::Replicas) {
        figures.replicas = replicas::measure(&bench)?;
    }
    if is_wanted(Part::Peers) {
        figures.engines = peers::measure(&bench)?;
    }
    std::fs::write(&kept, serde_json::to_vec_pretty(&figures)?)?;
    let text = table::render(&figures);
    say(&text)?;
    match &options.write {
        Some(page) => table::write(page, &text),
        None => Ok(()),
    }
}

impl Bench {
    fn rates(&self) -> Result<Rates> {
        let (_mock, upstream) = targets::mock()?;
        let database = database::start()?;
        let file = self.gateway(upstream, "file", None)?;
        let shared = match &database {
            Some(database) => Some(self.gateway(upstream, "shared", Some(&database.url("postgres")))?),
            None => None,
        };
        let mut all: Vec<(&str, usize, Vec<Measured>)> = Vec::new();
        for _ in 0..self.options.rounds {
            for callers in CONNECTIONS {
                let mut took = vec![
                    ("bare program: two group commits to a file", self.bare("file", callers)?),
                    ("bare program: two group commits in SQLite", self.bare("sqlite", callers)?),
                    ("Cofferdam over SQLite", self.mutate(&file, callers)?.wait()?),
                ];
                if let Some(shared) = &shared {
                    took.push(("Cofferdam over Postgres", self.mutate(shared, callers)?.wait()?));
                }
                for (what, measured) in took {
                    match all.iter_mut().find(|(known, of, _)| (*known, *of) == (what, callers)) {
                        Some((.., list)) => list.push(measured),
                        None => all.push((what, callers, vec![measured])),
                    }
                }
            }
        }
        let rows = all.into_iter().map(|(what, callers, mut list)| {
            list.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
            let measured = list.swap_remove(list.len() / 2);
            Row { what: what.to_owned(), callers, measured }
        });
        Ok(Rates {
            rounds: self.options.rounds,
            seconds: self.options.seconds,
            fdatasync_per_second: fdatasync(&self.folder, Duration::from_secs_f64(self.options.seconds))?,
            rows: rows.collect(),
        })
    }

    /// A gateway on the measured core, over a file or a database.
    fn gateway(&self, upstream: SocketAddr, name: &str, database: Option<&str>) -> Result<Target> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let shared = database.map_or_else(String::new, |_| ", postgres: \"${JOURNAL_URL}\"".to_owned());
        let policy = format!(
            "journal: {{ path: {}{shared} }}\n\
             limits: {{ sessions_max: 1024 }}\n\
             upstreams:\n  mock:\n    mcp: {{ url: \"http://{upstream}/mcp\" }}\n    limits: {{ calls_max: 1024, \
             sessions_max: 1024 }}\n\
             tools:\n  - {{ match: mock.get, effect: read }}\n  - {{ match: mock.append, effect: write }}\n",
            folder.join("journal").display()
        );
        let at = folder.join("cofferdam.yaml");
        std::fs::write(&at, policy)?;
        let address = free_address()?;
        let command = [
            self.binary.display().to_string(),
            "up".to_owned(),
            "--config".to_owned(),
            at.display().to_string(),
            "--listen".to_owned(),
            address.to_string(),
        ];
        let environment = [("RUST_LOG", "warn"), ("JOURNAL_URL", database.unwrap_or_default())];
        let mut process = Process::start(MEASURED, &command, &environment)?;
        process.wait_for(address)?;
        Ok(Target::ours(address, process))
    }

    fn mutate(&self, target: &Target, callers: usize) -> Result<crate::compare::Generator> {
        generator(target, Kind::Write, 0, callers, 0, self.options.seconds)
    }

    fn bare(&self, store: &str, callers: usize) -> Result<Measured> {
        let out = Command::new("taskset")
            .args(["-c", &MEASURED.to_string()])
            .arg(std::env::current_exe()?)
            .args(["bare", "--store", store, "--callers", &callers.to_string()])
            .args(["--seconds", &self.options.seconds.to_string(), "--folder"])
            .arg(&self.folder)
            .output()?;
        ensure!(out.status.success(), "the bare program failed: {}", String::from_utf8_lossy(&out.stderr));
        Ok(serde_json::from_slice(&out.stdout)?)
    }
}

/// How often a second one thread can write four kilobytes and have them on the disk.
fn fdatasync(folder: &Path, span: Duration) -> Result<f64> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::create(folder.join("bare"))?;
    file.write_all_at(&vec![0; 1 << 20], 0)?;
    file.sync_all()?;
    let (began, mut count) = (Instant::now(), 0_u64);
    while began.elapsed() < span {
        file.write_all_at(&[7; 4096], count % 256 * 4096)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}
