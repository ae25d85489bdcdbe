//! The bare program: callers that do nothing but wait for two group commits each, as a mutation has to.
//!
//! It is what the disk and one core allow: an append to one file and one `fdatasync` for all that wait, or the same
//! with a row in SQLite and one commit.

use crate::load::{Measured, summary};
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

#[derive(Args, Clone, Debug)]
pub struct Options {
    #[arg(long)]
    pub folder: PathBuf,
    #[arg(long, default_value_t = 64)]
    pub callers: usize,
    /// Seconds.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    #[arg(long, value_enum, default_value_t = Store::File)]
    pub store: Store,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Store {
    /// A plain file and `fdatasync`.
    File,
    /// SQLite with WAL and `synchronous=FULL`.
    Sqlite,
}

/// Makes as many records durable as callers wait for.
type Commit = Box<dyn FnMut(usize) -> Result<()> + Send>;

/// As large as the journal's record of an intent.
const RECORD: [u8; 512] = [7; 512];

pub fn run(options: &Options) -> Result<()> {
    let measured = group_commits(options)?;
    serde_json::to_writer(std::io::stdout(), &measured)?;
    writeln!(std::io::stdout())?;
    Ok(())
}

fn group_commits(options: &Options) -> Result<Measured> {
    let mut commit = committer(options)?;
    let (send, mut records) = mpsc::channel::<oneshot::Sender<()>>(options.callers.max(1));
    let writer = std::thread::spawn(move || -> Result<()> {
        let mut waiting = Vec::new();
        while let Some(first) = records.blocking_recv() {
            waiting.push(first);
            while let Ok(next) = records.try_recv() {
                waiting.push(next);
            }
            commit(waiting.len())?;
            for caller in waiting.drain(..) {
                // A caller that ended waits for nothing.
                caller.send(()).ok();
            }
        }
        Ok(())
    });
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(options.seconds);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let callers = options.callers;
    let all = runtime.block_on(async move {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let send = send.clone();
            tasks.spawn(async move {
                let mut took = Vec::new();
                while Instant::now() < until {
                    let start = Instant::now();
                    for _ in 0..2 {
                        let (told, wait) = oneshot::channel();
                        send.send(told).await?;
                        wait.await?;
                    }
                    took.push(start.elapsed().as_secs_f32() * 1e6);
                }
                Ok::<_, anyhow::Error>(took)
            });
        }
        drop(send);
        let mut all = Vec::new();
        while let Some(took) = tasks.join_next().await {
            all.extend(took??);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    match writer.join() {
        Ok(written) => written?,
        Err(_) => anyhow::bail!("the writer of the bare program failed"),
    }
    summary(all, began.elapsed().as_secs_f64())
}

fn committer(options: &Options) -> Result<Commit> {
    if options.store == Store::File {
        let mut file = File::create(options.folder.join("bare.log"))?;
        return Ok(Box::new(move |records| {
            for _ in 0..records {
                file.write_all(&RECORD)?;
            }
            Ok(file.sync_data()?)
        }));
    }
    let db = table(&options.folder.join(format!("bare-{}.db", std::process::id())))?;
    Ok(Box::new(move |records| {
        db.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..records {
            db.prepare_cached("INSERT INTO row(b) VALUES (?1)")?.execute([&RECORD[..]])?;
        }
        Ok(db.execute_batch("COMMIT")?)
    }))
}

fn table(path: &Path) -> Result<rusqlite::Connection> {
    let db = rusqlite::Connection::open(path)?;
    db.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE row(id INTEGER PRIMARY KEY, b BLOB)",
    )?;
    Ok(db)
}

/// The median of one SQLite commit on this disk, in microseconds: one row of 512 bytes, WAL, `synchronous=FULL`.
pub fn sqlite_commit(folder: &Path) -> Result<f64> {
    let db = table(&folder.join("commit.db"))?;
    let mut took = Vec::new();
    for _ in 0..400 {
        let start = Instant::now();
        db.execute("INSERT INTO row(b) VALUES (?1)", [&RECORD[..]])?;
        took.push(start.elapsed().as_secs_f32() * 1e6);
    }
    Ok(summary(took, 1.0)?.p50)
}
