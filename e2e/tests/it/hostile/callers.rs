//! Two principals share nothing, and secrets are seen by nobody.

use super::{POLICY, SESSIONS, STATELESS, Stage, program};
use anyhow::{Context, Result};
use e2e::Server;
use e2e::gateway::{Gateway, Setup};
use serde_json::{Value, json};
use std::path::Path;
use testkit::client::{CallOptions, Client, Error, Identity};

const ANA: &str = "token-of-ana-4711";
const BEN: &str = "token-of-ben-0815";

fn auth() -> String {
    format!("auth:\n  principals:\n    - {{ name: ana, token: {ANA} }}\n    - {{ name: ben, token: {BEN} }}\n{POLICY}")
}

fn bearing(revision: &str, token: &str) -> Identity {
    Identity::speaking(revision).header("authorization", &format!("Bearer {token}"))
}

//= S-06
#[tokio::test]
async fn without_a_token_or_with_a_wrong_one_nobody_gets_in() -> Result<()> {
    let Some(stage) = Stage::set(&auth()).await? else { return Ok(()) };
    for revision in [SESSIONS, STATELESS] {
        for identity in [
            Identity::speaking(revision),
            bearing(revision, "guess"),
            bearing(revision, ""),
            Identity::speaking(revision).header("authorization", ANA),
            Identity::speaking(revision).header("authorization", &format!("Basic {ANA}")),
        ] {
            let headers = identity.headers.clone();
            let refused = stage.client_as(identity).await.err().with_context(|| format!("{headers:?} got in"))?;
            let refused = refused.downcast::<Error>()?;
            let status = match &refused {
                Error::Status(status, _) | Error::Rpc { status: Some(status), .. } => *status,
                other => anyhow::bail!("{headers:?}: {other}"),
            };
            assert_eq!(status, 401, "{headers:?}: {refused}");
        }
        stage.client_as(bearing(revision, ANA)).await?;
    }
    Ok(())
}

//= S-01
//= S-06
#[tokio::test]
async fn two_principals_share_no_key_no_result_and_no_session() -> Result<()> {
    let Some(stage) = Stage::set(&auth()).await? else { return Ok(()) };
    for revision in [SESSIONS, STATELESS] {
        let (ana, ben) =
            (stage.client_as(bearing(revision, ANA)).await?, stage.client_as(bearing(revision, BEN)).await?);
        // The same explicit key and the same content: each has an effect and an answer of its own.
        let text = format!("keyed-{revision}");
        let options = CallOptions::default().meta("cofferdam/idempotency-key", format!("k-{revision}"));
        let first = ana.call("append", json!({ "text": text }), &options).await?;
        let second = ben.call("append", json!({ "text": text }), &options).await?;
        assert_eq!(stage.effects(Some(&text)).await?, 2, "{revision}");
        let id = |answer: &testkit::Answer| answer.structured.as_ref().map(|entry| entry["entry_id"].clone());
        assert!(id(&first).is_some() && id(&first) != id(&second), "{first:?} {second:?}");
        // But each finds its own again.
        let again = ben.call("append", json!({ "text": text }), &options).await?;
        assert_eq!((id(&again), stage.effects(Some(&text)).await?), (id(&second), 2));

        // One that was not answered is adopted by its own principal only.
        let text = format!("lost-{revision}");
        let slow = json!({ "text": text, "ms": 400 });
        let gone = ana.call("slow", slow.clone(), &CallOptions::within(std::time::Duration::from_millis(100))).await;
        assert_eq!(gone, Err(Error::Timeout));
        let other = ben.call("slow", slow.clone(), &CallOptions::default()).await?;
        assert!(!other.is_error && other.guard_word("code") != Some("duplicate_suppressed"), "{other:?}");
        assert_eq!(stage.effects(Some(&text)).await?, 2);
    }
    let ana = stage.client_as(bearing(SESSIONS, ANA)).await?;
    let session = ana.session().context("a session")?;
    let thief = bearing(STATELESS, BEN).header("mcp-session-id", &session);
    let thief = stage.client_as(thief).await?;
    let listed = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} }).to_string();
    let response = thief.raw(listed.as_bytes(), &CallOptions::default()).await?.context("HTTP answers")?;
    assert!([403, 404].contains(&response.status), "a session is its principal's: {}", response.status);
    assert!(ana.tools().await.is_ok(), "and stays open");
    Ok(())
}

#[tokio::test]
async fn one_principal_cannot_ask_for_the_status_of_anothers_step() -> Result<()> {
    let Some(stage) = Stage::set(&auth()).await? else { return Ok(()) };
    let (ana, ben) = (stage.client_as(bearing(SESSIONS, ANA)).await?, stage.client_as(bearing(SESSIONS, BEN)).await?);
    stage.server.fault(Some("send"), testkit::Fault::Effect504).await?;
    let lost = ana.call("send", json!({ "to": "x", "text": "private words" }), &CallOptions::default()).await?;
    let step = lost.guard_word("step").context("a step")?;
    let args = json!({ "step": step });
    let own = ana.call("cofferdam__status", args.clone(), &CallOptions::default()).await?;
    assert_eq!(own.guard_word("executed"), Some("unknown"), "{own:?}");
    let foreign = ben.call("cofferdam__status", args, &CallOptions::default()).await;
    let told = foreign.map_or_else(|error| error.to_string(), |answer| answer.raw.to_string());
    assert!(!told.contains("\"executed\":\"unknown\"") && !told.contains("\"send\""), "{told}");
    Ok(())
}

/// Everything that the gateway says to anybody, on any way.
async fn all_it_says(gateway: &mut Gateway, url: &str) -> Result<String> {
    let mut said = String::new();
    let client =
        Client::http(url, Identity::speaking(SESSIONS).header("authorization", &format!("Bearer {ANA}"))).await?;
    said += &client.server.to_string();
    said += &Value::from(client.tools().await?).to_string();
    for text in ["works", "fails"] {
        let answer = client.call("append", json!({ "text": text }), &CallOptions::default()).await;
        said += &format!("{answer:?}");
    }
    for command in [&["runs"][..], &["doctor"], &["runs", "--json"], &["doctor", "--json"]] {
        let output = gateway.cli(command).await?;
        said += &String::from_utf8_lossy(&output.stdout);
        said += &String::from_utf8_lossy(&output.stderr);
    }
    for command in [&["check"][..], &["check", "--json"]] {
        let output = gateway.cli(command).await?;
        said += &String::from_utf8_lossy(&output.stdout);
        said += &String::from_utf8_lossy(&output.stderr);
    }
    gateway.terminate()?;
    gateway.wait().await?;
    said += &contents(&gateway.journal())?;
    Ok(said + &gateway.log())
}

fn contents(directory: &Path) -> Result<String> {
    let mut all = String::new();
    for file in std::fs::read_dir(directory)? {
        let path = file?.path();
        all +=
            &if path.is_dir() { contents(&path)? } else { String::from_utf8_lossy(&std::fs::read(path)?).into_owned() };
    }
    Ok(all)
}

//= S-06
#[tokio::test]
async fn secrets_of_headers_environment_and_tokens_appear_in_no_output() -> Result<()> {
    const HEADER: &str = "header-secret-9f2c71";
    const CHILD: &str = "child-secret-77ab01";
    let Some(binary) = e2e::binary()? else { return Ok(()) };
    let mut server = Server::start(program(), &["--world", "ledger"]).await?;
    let child = e2e::server::command(program(), &["--world", "counters"]);
    let policy = format!(
        "auth: {{ principals: [ {{ name: ana, token: \"${{ANA_TOKEN}}\" }} ] }}\ndefaults: {{ timeouts: {{ step: 2s }} }}\nupstreams:\n  ledger:\n    mcp:\n      \
         url: {:?}\n      headers: {{ X-Api-Key: \"${{HEADER_SECRET}}\" }}\n  counters:\n    mcp:\n      \
         command: {child:?}\n      env: {{ CHILD_SECRET: \"${{CHILD_SECRET}}\" }}\n",
        server.url
    );
    let variables = [("ANA_TOKEN", ANA), ("HEADER_SECRET", HEADER), ("CHILD_SECRET", CHILD)];
    let mut environment: Vec<_> = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    environment.push(("RUST_LOG".into(), "trace".into()));
    let mut gateway = Gateway::start_binary(&binary, Setup { policy, environment }).await?;
    let url = gateway.url_of("ledger");
    server.fault(Some("append"), testkit::Fault::Effect504).await?;
    let said = all_it_says(&mut gateway, &url).await?;
    server.kill().await?;
    assert!(said.contains("append") && said.contains("ledger"), "it says something");
    for secret in [ANA, HEADER, CHILD] {
        let at = said.find(secret);
        let around = at.map(|at| said[at.saturating_sub(200)..].chars().take(400).collect::<String>());
        assert_eq!(around, None, "a secret is seen");
    }
    Ok(())
}
