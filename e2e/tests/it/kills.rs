//! `kill -9`, at random on the release binary and at named points on a build that differs only by `failpoints`.

use anyhow::Result;
use e2e::kills::{Account, Belief, Campaign, POINTS, Shared, Upstream};
use std::path::Path;
use testkit::postgres::Cluster;

/// Kills at random, per upstream.
const RANDOM: usize = 150;
/// Kills of one or both of two gateways over one database.
const RANDOM_SHARED: usize = 50;
/// Kills that are followed by kills of the next starts, and kills as soon as an effect took place, per upstream.
const STARTS: usize = 12;
/// Attempts to end the process at each named point, per upstream.
const PER_POINT: usize = 4;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_effects"))
}

fn hold(account: &Account, seed: u64) {
    assert!(account.broken.is_empty(), "seed {seed}: {:#?}", account.broken);
    let intents = account.intents();
    assert!(intents >= account.killed() / 2, "the agents worked meanwhile: {account:?}");
    assert!(account.told(Belief::Yes) * 2 > intents, "most were done and said so: {account:?}");
    assert!(account.reissued > 0, "kills struck calls: {account:?}");
}

async fn at_random(upstream: Upstream, seed: u64) -> Result<()> {
    let Some(binary) = e2e::binary()? else { return Ok(()) };
    let mut campaign = Campaign::begin(&binary, program(), upstream, seed).await?;
    campaign.kill_at_random(RANDOM).await?;
    let account = campaign.end().await?;
    assert_eq!(account.killed(), RANDOM);
    hold(&account, seed);
    Ok(())
}

async fn at_points(upstream: Upstream, seed: u64) -> Result<()> {
    let Some(binary) = e2e::failpoints_binary()? else { return Ok(()) };
    let mut campaign = Campaign::begin(&binary, program(), upstream, seed).await?;
    let mut passed = Vec::new();
    for point in POINTS {
        passed.push((point, campaign.kill_at(point, PER_POINT).await?));
    }
    hold(&campaign.end().await?, seed);
    for (point, hits) in passed {
        assert!(hits > 0, "{point} is never passed");
    }
    Ok(())
}

async fn in_starts_and_after_effects(upstream: Upstream, seed: u64) -> Result<()> {
    let Some(binary) = e2e::binary()? else { return Ok(()) };
    let mut campaign = Campaign::begin(&binary, program(), upstream, seed).await?;
    for _ in 0..STARTS {
        campaign.kill_in_starts(1).await?;
        campaign.kill_after_effects(1).await?;
    }
    hold(&campaign.end().await?, seed);
    Ok(())
}

//= S-23
//= G1
//= G3
//= G4
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_in_front_of_an_http_server_it_has_no_effect_twice_and_forgets_nothing_it_told() -> Result<()>
{
    at_random(Upstream::Http, 11).await
}

//= G1
//= G4
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_in_front_of_a_child_process_it_has_no_effect_twice_and_forgets_nothing_it_told() -> Result<()>
{
    at_random(Upstream::Stdio, 12).await
}

//= G1
//= G4
#[tokio::test(flavor = "multi_thread")]
async fn ended_at_each_named_point_in_front_of_an_http_server_it_has_no_effect_twice() -> Result<()> {
    at_points(Upstream::Http, 13).await
}

//= G1
//= G4
#[tokio::test(flavor = "multi_thread")]
async fn ended_at_each_named_point_in_front_of_a_child_process_it_has_no_effect_twice() -> Result<()> {
    at_points(Upstream::Stdio, 14).await
}

//= G1
//= G3
#[tokio::test(flavor = "multi_thread")]
async fn killed_in_its_starts_and_right_after_effects_of_an_http_server_it_has_no_effect_twice() -> Result<()> {
    in_starts_and_after_effects(Upstream::Http, 15).await
}

//= G1
//= G3
#[tokio::test(flavor = "multi_thread")]
async fn killed_in_its_starts_and_right_after_effects_of_a_child_process_it_has_no_effect_twice() -> Result<()> {
    in_starts_and_after_effects(Upstream::Stdio, 16).await
}

//= G1
//= G3
//= G4
#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_over_one_database_killed_at_random_have_no_effect_twice_and_forget_nothing_they_told()
-> Result<()> {
    let Some(binary) = e2e::binary()? else { return Ok(()) };
    let Some(cluster) = tokio::task::spawn_blocking(|| Cluster::start(&[])).await?? else {
        return e2e::skip("there is no Postgres: Debian's package `postgresql` has it");
    };
    let seed = 17;
    let mut campaign = Shared::begin(&binary, program(), cluster, seed).await?;
    campaign.kill_at_random(RANDOM_SHARED).await?;
    let account = campaign.end().await?;
    assert_eq!(account.killed(), RANDOM_SHARED);
    hold(&account, seed);
    Ok(())
}
