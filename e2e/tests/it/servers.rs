//! Every client package uses every reference server through every door, and what it wrote is where it should be.

use anyhow::{Context, Result, ensure};
use e2e::Gateway;
use e2e::foreign::client::{self, Foreign, Report, reference_server};
use e2e::foreign::{self, Service};
use e2e::gateway::wrap;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

const SERVERS: [&str; 3] = ["everything", "filesystem", "memory"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Door {
    /// `/mcp`: all upstreams, names prefixed.
    All,
    /// `/mcp/<upstream>`.
    One,
    /// A child process in front of a child process.
    Wrap,
}

#[tokio::test]
async fn npm_sdk_1_uses_every_server_through_every_door() -> Result<()> {
    through_every_door(client::NPM_SDK_1).await
}

#[tokio::test]
async fn npm_client_2_uses_every_server_through_every_door() -> Result<()> {
    through_every_door(client::NPM_CLIENT_2).await
}

#[tokio::test]
async fn npm_client_2_with_the_older_handshake_uses_every_server_through_every_door() -> Result<()> {
    through_every_door(client::NPM_CLIENT_2_OLDER).await
}

#[tokio::test]
async fn pypi_mcp_uses_every_server_through_every_door() -> Result<()> {
    through_every_door(client::PYPI_MCP).await
}

#[tokio::test]
async fn pypi_mcp_with_the_older_handshake_uses_every_server_through_every_door() -> Result<()> {
    through_every_door(client::PYPI_MCP_OLDER).await
}

#[tokio::test]
async fn pypi_fastmcp_uses_every_server_through_every_door() -> Result<()> {
    through_every_door(client::PYPI_FASTMCP).await
}

#[tokio::test]
async fn pypi_fastmcp_with_the_older_handshake_uses_every_server_through_every_door() -> Result<()> {
    through_every_door(client::PYPI_FASTMCP_OLDER).await
}

#[tokio::test]
async fn a_server_over_http_is_used_as_one_over_pipes_is() -> Result<()> {
    let Some(node) = foreign::node()? else { return Ok(()) };
    let mut command = Command::new(node);
    command.arg(foreign::file("node/everything-http.mjs")).stderr(Stdio::null());
    let server = Service::start(command).await?;
    let policy =
        format!("upstreams:\n  web: {{ mcp: {{ url: {:?} }} }}\ntools:\n  - {{ match: web.{CANCELLED}", server.url);
    let Some(gateway) = Gateway::start(&policy).await? else { return Ok(()) };
    let mut failures = Vec::new();
    for client in [client::NPM_SDK_1, client::NPM_CLIENT_2, client::PYPI_MCP] {
        let wish = json!({ "server": "everything", "folder": "/tmp", "url": gateway.url_of("web") });
        let Some(report) = client.play(wish, &[]).await? else { return Ok(()) };
        failures.extend(report.failures().into_iter().map(|why| format!("{}: {why}", client.name)));
    }
    ensure!(failures.is_empty(), "{}\n{}", failures.join("\n"), gateway.log());
    Ok(())
}

async fn through_every_door(client: Foreign) -> Result<()> {
    let mut failures = Vec::new();
    for door in [Door::All, Door::One, Door::Wrap] {
        let place = tempfile::tempdir()?;
        let Some(commands) = commands(place.path())? else { return Ok(()) };
        let gateway = if door == Door::Wrap {
            std::fs::write(place.path().join("cofferdam.yaml"), policy(&commands, place.path()))?;
            None
        } else {
            let Some(gateway) = Gateway::start(&policy(&commands, place.path())).await? else { return Ok(()) };
            Some(gateway)
        };
        for (server, command) in SERVERS.iter().zip(&commands) {
            let Some(wish) = wish(door, server, command, place.path(), gateway.as_ref())? else { return Ok(()) };
            let environment = environment(place.path());
            let environment: Vec<(&str, &str)> =
                environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let Some(report) = client.play(wish, &environment).await? else { return Ok(()) };
            let at = format!("{} → {server} at {door:?} ({})", client.name, report.revision);
            failures.extend(
                judge(client, door, server, &report, place.path()).into_iter().map(|why| format!("{at}: {why}")),
            );
        }
        if let Some(gateway) = gateway.filter(|_| !failures.is_empty()) {
            failures.push(format!("the gateway at {door:?} wrote:\n{}", gateway.log()));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// What is wrong with the report, and with what the servers have on disk afterwards.
fn judge(client: Foreign, door: Door, server: &str, report: &Report, place: &Path) -> Vec<String> {
    let mut failures = report.failures();
    if report.checks.len() < 6 {
        failures.push(format!("only {} checks were made", report.checks.len()));
    }
    if door != Door::Wrap && report.revision != client.revision {
        failures.push(format!("agreed on {}, not {}", report.revision, client.revision));
    }
    let truth = match server {
        "filesystem" => written_file(place),
        "memory" => written_graph(place),
        _ => Ok(()),
    };
    failures.extend(truth.err().map(|error| format!("{error:#}")));
    failures
}

fn written_file(place: &Path) -> Result<()> {
    let note = std::fs::read_to_string(folder(place).join("kept/note.txt")).context("read the file that was moved")?;
    // The server's own edit_file makes one line ending of two.
    ensure!(note == "first line\n2nd \u{1F980} line\n", "the file holds {note:?}");
    Ok(())
}

fn written_graph(place: &Path) -> Result<()> {
    let graph = std::fs::read_to_string(graph(place)).context("read the graph that was written")?;
    let lines = graph.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = lines.iter().filter_map(|line| line["name"].as_str()).collect();
    ensure!(names == ["dam"], "the graph holds {graph}");
    Ok(())
}

fn folder(place: &Path) -> PathBuf {
    place.join("folder")
}

fn graph(place: &Path) -> PathBuf {
    place.join("graph.jsonl")
}

/// For the servers that a script or a wrap starts; a gateway's own are told by its policy.
fn environment(place: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("MEMORY_FILE_PATH", graph(place).display().to_string()),
        ("XDG_STATE_HOME", place.join("state").display().to_string()),
    ]
}

/// The command line of each server.
fn commands(place: &Path) -> Result<Option<Vec<Vec<String>>>> {
    std::fs::create_dir_all(folder(place))?;
    let folder = folder(place).display().to_string();
    let commands = SERVERS.iter().map(|server| match *server {
        "everything" => reference_server(server, &["stdio"]),
        "filesystem" => reference_server(server, &[&folder]),
        _ => reference_server(server, &[]),
    });
    commands.collect()
}

/// Everything as it is by default, but for the tool that is cancelled: what a mutation did before that would be unknown,
/// which holds up the rest of its run.
const CANCELLED: &str = "trigger-long-running-operation, effect: read }\n";

fn policy(commands: &[Vec<String>], place: &Path) -> String {
    let mut policy = String::from("upstreams:\n");
    for (server, command) in SERVERS.iter().zip(commands) {
        let env = if *server == "memory" { json!({ "MEMORY_FILE_PATH": graph(place) }) } else { json!({}) };
        let command = json!(command);
        policy += &format!("  {server}: {{ local: true, mcp: {{ command: {command}, env: {env} }} }}\n");
    }
    policy + "tools:\n  - { match: everything." + CANCELLED
}

/// What a client is asked to do at this door.
fn wish(
    door: Door,
    server: &str,
    command: &[String],
    place: &Path,
    gateway: Option<&Gateway>,
) -> Result<Option<Value>> {
    let mut wish = json!({ "server": server, "folder": folder(place) });
    match (door, gateway) {
        (Door::All, Some(gateway)) => {
            wish["url"] = gateway.url().into();
            wish["prefix"] = format!("{server}__").into();
        }
        (Door::One, Some(gateway)) => wish["url"] = gateway.url_of(server).into(),
        _ => {
            // As a client's configuration has it: without a policy, where that is enough.
            let config = place.join("cofferdam.yaml").display().to_string();
            let options: &[&str] = if server == "everything" { &["--config", &config] } else { &[] };
            let Some(wrapped) = wrap(place, options, command)? else { return Ok(None) };
            // Within 100 ms a pipe cannot tell a repeat from a re-issue that crossed the answer.
            wish["pace"] = 150.into();
            let wrapped = wrapped.as_std();
            let line = std::iter::once(wrapped.get_program()).chain(wrapped.get_args());
            wish["command"] = line.map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().into();
        }
    }
    Ok(Some(wish))
}
