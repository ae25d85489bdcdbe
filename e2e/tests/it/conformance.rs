//! The official conformance suite, directly and through the gateway: what passes directly passes through. The table in
//! `docs/conformance.md` is what was measured; `COFFERDAM_E2E_BLESS=1` writes it.

mod table;

use anyhow::{Context, Result, bail, ensure};
use e2e::Gateway;
use e2e::foreign::{self, Service, file};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use table::{Run, Table};
use testkit::client::{Client, Identity};
use tokio::process::Command;

const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];
/// All scenarios of a revision; measured 4 s on an idle machine.
const SUITE_WAIT: Duration = Duration::from_secs(180);

struct Peers {
    fixture: Service,
    gateway: Gateway,
}

/// The fixture and a gateway in front of it with nothing switched off.
async fn peers(node: &Path) -> Result<Option<Peers>> {
    let mut command = Command::new(node);
    command.arg(file("conformance/fixture.mjs"));
    let fixture = Service::start(command).await?;
    let policy = format!("upstreams:\n  fixture: {{ mcp: {{ url: {:?} }} }}\n", fixture.url);
    Ok(Gateway::start(&policy).await?.map(|gateway| Peers { fixture, gateway }))
}

async fn judge(node: &Path, mode: &str, revision: &str, target: &str) -> Result<Run> {
    let mut command = Command::new(node);
    command.arg(file("conformance/judge.mjs")).args([mode, revision, target]);
    if let Some(binary) = e2e::binary()? {
        command.env("COFFERDAM_BIN", binary);
    }
    Run::read(&foreign::report(command, SUITE_WAIT).await?)
}

#[tokio::test]
async fn every_scenario_that_passes_directly_passes_through_the_gateway() -> Result<()> {
    let Some(node) = foreign::node()? else { return Ok(()) };
    let Some(peers) = peers(&node).await? else { return Ok(()) };
    let mut table = Table::default();
    for revision in REVISIONS {
        let direct = judge(&node, "server", revision, &peers.fixture.url).await?;
        let through = judge(&node, "server", revision, &peers.gateway.url_of("fixture")).await?;
        table.server.push((revision, direct, through));
        let client = |script: &str| format!("{} {}", node.display(), file(script).display());
        let direct = judge(&node, "client", revision, &client("conformance/client.mjs")).await?;
        let through = judge(&node, "client", revision, &client("conformance/through.mjs")).await?;
        table.client.push((revision, direct, through));
    }
    let page = file("../docs/conformance.md");
    if std::env::var_os("COFFERDAM_E2E_BLESS").is_some() {
        std::fs::write(&page, table.page())?;
    }
    let losses = table.losses();
    ensure!(
        losses.is_empty(),
        "the gateway loses what passes directly:\n{}\n{}",
        losses.join("\n"),
        peers.gateway.log()
    );
    let written = std::fs::read_to_string(&page).context("read docs/conformance.md")?;
    ensure!(written == table.page(), "docs/conformance.md is stale: COFFERDAM_E2E_BLESS=1 writes it anew");
    Ok(())
}

#[tokio::test]
async fn the_list_of_tools_loses_no_keyword_of_any_schema() -> Result<()> {
    let Some(node) = foreign::node()? else { return Ok(()) };
    let Some(peers) = peers(&node).await? else { return Ok(()) };
    for revision in REVISIONS {
        let direct = Client::http(&peers.fixture.url, Identity::speaking(revision)).await?.tools().await?;
        let through =
            Client::http(&peers.gateway.url_of("fixture"), Identity::speaking(revision)).await?.tools().await?;
        let all = Client::http(&peers.gateway.url(), Identity::speaking(revision)).await?.tools().await?;
        let (ours, theirs): (Vec<Value>, Vec<Value>) = through.into_iter().partition(is_ours);
        ensure!(direct.len() > 20, "the fixture lists its tools");
        ensure!(theirs == direct, "{revision}: {}", first_difference(&direct, &theirs));
        ensure!(ours.len() == 1, "{revision}: the gateway adds one tool, {ours:?}");
        let prefixed = direct.iter().map(|tool| with_prefix(tool, "fixture__")).collect::<Result<Vec<_>>>()?;
        let theirs: Vec<Value> = all.into_iter().filter(|tool| !is_ours(tool)).collect();
        ensure!(theirs == prefixed, "{revision}, all upstreams: {}", first_difference(&prefixed, &theirs));
    }
    Ok(())
}

fn is_ours(tool: &Value) -> bool {
    tool["name"].as_str().is_some_and(|name| name.starts_with("cofferdam__"))
}

fn with_prefix(tool: &Value, prefix: &str) -> Result<Value> {
    let mut tool = tool.clone();
    let Some(name) = tool["name"].as_str() else { bail!("a tool without a name") };
    tool["name"] = json!(format!("{prefix}{name}"));
    Ok(tool)
}

fn first_difference(wanted: &[Value], found: &[Value]) -> String {
    let pairs = wanted.iter().zip(found).find(|(wanted, found)| wanted != found);
    pairs.map_or_else(
        || format!("{} tools wanted, {} found", wanted.len(), found.len()),
        |(wanted, found)| format!("wanted {wanted}\nfound {found}"),
    )
}
