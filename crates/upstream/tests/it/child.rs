//! Children: this test binary again, as a server that behaves as it is told.

use crate::rig::config;
use serde_json::{Value, json};
use std::io::Write;
use testkit::faults::Plan;
use testkit::server::{self, Options};
use testkit::worlds;
use upstream::{Config, Environment, Transport};

const ROLE: &str = "UPSTREAM_TEST_ROLE";

/// Not a test of its own: what the children run.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, rest) = role.split_once(' ').unwrap_or((&role, ""));
    match role {
        "world" => world(rest),
        "puppet" => puppet(),
        other => unreachable!("no role {other}"),
    }
}

/// Revisions, then faults.
fn world(words: &str) {
    let (revisions, faults) = words.split_once(' ').unwrap_or((words, ""));
    let options = Options {
        faults: faults.parse::<Plan>().expect("a plan"),
        revisions: server::REVISIONS.into_iter().filter(|known| revisions.contains(known)).collect(),
        ..Options::default()
    };
    let world = worlds::open("counters", None).expect("a world");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(server::serve_stdio(world, options)).expect("the parent reads");
    // Its thread that reads stdin would keep a child that is to be lost.
    runtime.shutdown_background();
}

/// Shakes hands, and then does what the params of each message say, and nothing else.
fn puppet() {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lines() {
        let message: Value = serde_json::from_str(&line.expect("the parent writes")).expect("JSON");
        if message["method"] == "initialize" {
            let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
            let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
            writeln!(out, "{answer}").expect("the parent reads");
        }
        for step in message["params"]["do"].as_array().into_iter().flatten() {
            match step["step"].as_str().expect("a step") {
                "say" => writeln!(out, "{}", step["line"].as_str().expect("a line")).expect("the parent reads"),
                "answer" => writeln!(out, r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, message["id"])
                    .expect("the parent reads"),
                "flood" => out.write_all(&vec![b'x'; step["bytes"].as_u64().expect("bytes") as usize]).unwrap_or(()),
                "mutter" => writeln!(std::io::stderr(), "{}", step["line"]).expect("the parent reads"),
                "env" => {
                    let names: Vec<_> = std::env::vars().map(|(name, _)| name).collect();
                    let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": { "names": names } });
                    writeln!(out, "{answer}").expect("the parent reads");
                }
                "leave" => return,
                other => unreachable!("no step {other}"),
            }
            out.flush().unwrap_or(());
        }
    }
}

/// The config of a child with a role.
pub fn playing(role: &str) -> Config {
    let program = std::env::current_exe().expect("a test binary").to_string_lossy().into_owned();
    config(Transport::Stdio {
        command: [&program, "--exact", "child::child", "--nocapture"].map(|word| word.to_owned().into()).into(),
        env: vec![(ROLE.into(), role.to_owned().into())],
        cwd: None,
        environment: Environment::Minimal,
        children: None,
    })
}

/// A child that is a shell script.
pub fn script(text: &str) -> Config {
    config(Transport::Stdio {
        command: ["sh", "-c", text].map(|word| word.to_owned().into()).into(),
        env: Vec::new(),
        cwd: None,
        environment: Environment::Minimal,
        children: None,
    })
}
