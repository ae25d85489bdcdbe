//! The database itself is lost, and a standby takes its place.

use super::{SLOW, executed, line, program, under_way};
use anyhow::{Result, ensure};
use e2e::replicas::{Fleet, PATIENCE, Plan, SHORT, named, number};
use std::time::{Duration, Instant};
use testkit::postgres::Cluster;

/// A fleet whose replicas know primary and standby.
async fn with_standby(synchronous: bool) -> Result<Option<(Fleet, Cluster)>> {
    let plan = Plan { replicas: 0, lease: SHORT, faults: SLOW, ..Plan::default() };
    let Some(mut fleet) = Fleet::start(program(), plan.clone()).await? else { return Ok(None) };
    let standby = tokio::task::block_in_place(|| fleet.cluster.standby("other"))?;
    if synchronous {
        fleet.number("SELECT 1::bigint FROM pg_stat_replication").await?;
        fleet.run("ALTER SYSTEM SET synchronous_standby_names = 'other'").await?;
        fleet.number("SELECT pg_reload_conf()::int::bigint").await?;
    }
    let (first, second) = (fleet.cluster.port(), standby.port());
    let both = move |_, _| format!("postgres://cofferdam@127.0.0.1:{first},127.0.0.1:{second}/postgres");
    fleet.add(2, plan.lease, both).await?;
    let known = if synchronous { "synchronous" } else { "NOT synchronous" };
    fleet.until(&format!("SELECT count(*) FROM cofferdam.meta WHERE {known}")).await?;
    Ok(Some((fleet, standby)))
}

//= S-01
//= G3
//= G4
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_to_a_synchronous_standby_nothing_that_was_told_is_lost() -> Result<()> {
    let Some((mut fleet, standby)) = with_standby(true).await? else { return Ok(()) };
    for intent in ["a", "b", "c"] {
        let told = fleet.client(0).await?.call("append", line(intent), &named(intent)).await?;
        ensure!(executed(&told) == "yes", "{told:?}\n{}", fleet.logs());
    }
    let call = under_way(&fleet, 0, "struck").await?;
    tokio::task::block_in_place(|| fleet.cluster.kill())?;
    tokio::task::block_in_place(|| standby.promote())?;
    let first = call.await??;
    ensure!(["yes", "unknown"].contains(&executed(&first)), "{first:?}");
    let client = fleet.client(1).await?;
    let began = Instant::now();
    loop {
        let next = client.call("append", line("after"), &named("after")).await?;
        if executed(&next) == "yes" {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "{next:?}\n{}", fleet.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for intent in ["a", "b", "c", "struck"] {
        let again = client.call("append", line(intent), &named(intent)).await?;
        ensure!(executed(&again) == "yes", "{intent}: {again:?}\n{}", fleet.logs());
    }
    for intent in ["a", "b", "c", "struck", "after"] {
        ensure!(fleet.effects(intent)? == 1, "{intent}: {:?}", fleet.entries()?);
    }
    Ok(())
}

//= S-01
//= G1
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_an_asynchronous_standby_is_refused_until_the_operator_knows_of_it() -> Result<()> {
    let Some((mut fleet, standby)) = with_standby(false).await? else { return Ok(()) };
    let told = fleet.client(0).await?.call("append", line("before"), &named("before")).await?;
    ensure!(executed(&told) == "yes", "{told:?}\n{}", fleet.logs());
    // It has that one; nobody can know whether it has all.
    let began = Instant::now();
    while number(&standby.url("postgres"), "SELECT count(*) FROM cofferdam.step WHERE state = 100").await? == 0 {
        ensure!(began.elapsed() < PATIENCE, "the standby follows");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::task::block_in_place(|| fleet.cluster.kill())?;
    tokio::task::block_in_place(|| standby.promote())?;
    let client = fleet.client(1).await?;
    let refused = client.call("append", line("refused"), &named("refused")).await?;
    ensure!(refused.guard_word("code") == Some("journal_unavailable"), "{refused:?}\n{}", fleet.logs());
    ensure!(fleet.effects("refused")? == 0);
    let why = fleet.replicas[0].restart().await.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(why.contains("--accept-journal-gap"), "{why}");
    fleet.replicas[0].set_arguments(&["--accept-journal-gap"]);
    fleet.replicas[0].restart().await?;
    let client = fleet.client(0).await?;
    let again = client.call("append", line("before"), &named("before")).await?;
    ensure!(executed(&again) == "yes" && fleet.effects("before")? == 1, "{again:?}");
    let next = client.call("append", line("refused"), &named("refused")).await?;
    ensure!(executed(&next) == "yes" && fleet.effects("refused")? == 1, "{next:?}");
    // From then on the others take up their work by themselves.
    fleet.replicas[1].restart().await?;
    Ok(())
}
