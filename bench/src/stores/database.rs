//! A throwaway Postgres on the measured core.

use crate::compare::say;
use crate::process::MEASURED;
use anyhow::{Context, Result, ensure};
use std::process::Command;
use testkit::postgres::Cluster;
use tokio_postgres::NoTls;

/// With its own defaults for what a commit means. `None`: it is not installed.
pub fn start() -> Result<Option<Cluster>> {
    // It inherits the core of whoever starts it.
    pin(&MEASURED.to_string())?;
    let started = Cluster::start(&["shared_buffers = 256MB", "max_wal_size = 4GB"]);
    pin("0-1023")?;
    let started = started.context("start Postgres")?;
    if started.is_none() {
        say("SKIPPED: Postgres is not installed (Debian: postgresql)")?;
    }
    Ok(started)
}

fn pin(cores: &str) -> Result<()> {
    let own = std::process::id().to_string();
    let out = Command::new("taskset").args(["-cp", cores, &own]).output().context("start taskset")?;
    ensure!(out.status.success(), "taskset: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

/// The first column of the only row, as a number.
pub fn number(url: &str, sql: &str) -> Result<i64> {
    ask(url, async |client| Ok(client.query_one(sql, &[]).await?.try_get(0)?))
}

pub fn text(url: &str, sql: &str) -> Result<String> {
    ask(url, async |client| Ok(client.query_one(sql, &[]).await?.try_get(0)?))
}

pub fn run(url: &str, sql: &str) -> Result<()> {
    ask(url, async |client| Ok(client.batch_execute(sql).await?))
}

fn ask<T>(url: &str, question: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let driver = tokio::spawn(connection);
        let answer = question(&client).await;
        drop(client);
        driver.await??;
        answer
    })
}
