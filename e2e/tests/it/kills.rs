//! `kill -9`, at random on the release binary and at named points on a build that differs only by `failpoints`.

use anyhow::Result;
use e2e::kills::{Campaign, Findings, Upstream};
use std::path::Path;

/// Kills at random, per upstream.
const RANDOM: usize = 150;
/// Attempts to end the process at each named point, per upstream.
const PER_POINT: usize = 4;

/// Where the runtime can be made to end.
const POINTS: [&str; 9] = [
    "before_intent_commit",
    "after_intent_commit",
    "before_send",
    "after_receipt",
    "before_outcome_commit",
    "after_outcome_commit",
    "before_release",
    "during_probe",
    "during_recovery",
];

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_effects"))
}

fn hold(findings: &Findings, seed: u64) {
    assert!(findings.broken.is_empty(), "seed {seed}: {:#?}", findings.broken);
    assert!(findings.intents >= findings.kills / 2, "the agents worked meanwhile: {findings:?}");
    assert!(findings.told[0] * 2 > findings.intents, "most were done and said so: {findings:?}");
    assert!(findings.reissued > 0, "kills struck calls: {findings:?}");
}

async fn at_random(upstream: Upstream, seed: u64) -> Result<()> {
    let Some(binary) = e2e::binary()? else { return Ok(()) };
    let mut campaign = Campaign::begin(&binary, program(), upstream, seed).await?;
    campaign.kill_at_random(RANDOM).await?;
    let findings = campaign.end().await?;
    assert_eq!(findings.kills, RANDOM);
    hold(&findings, seed);
    Ok(())
}

async fn at_points(upstream: Upstream, seed: u64) -> Result<()> {
    let Some(binary) = e2e::failpoints_binary()? else { return Ok(()) };
    let mut campaign = Campaign::begin(&binary, program(), upstream, seed).await?;
    let mut passed = Vec::new();
    for point in POINTS {
        passed.push((point, campaign.kill_at(point, PER_POINT).await?));
    }
    let findings = campaign.end().await?;
    hold(&findings, seed);
    for (point, hits) in passed {
        assert!(hits > 0, "{point} is never passed");
    }
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
