//! The binary as a process starts, ends and starts again.

use crate::hostile::{POLICY, SESSIONS, STATELESS, Stage};
use anyhow::{Result, bail};
use e2e::Gateway;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::Client;
use testkit::client::{CallOptions, Error};

/// Until a changed policy is in force.
const RELOAD_WAIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_policy_that_cannot_be_read_ends_the_start_with_file_line_and_column() -> Result<()> {
    let Some(binary) = e2e::binary()? else { return Ok(()) };
    let setup = e2e::gateway::Setup { policy: "upstreams:\n  shop: { mpc: {} }\n".into(), ..Default::default() };
    let Err(error) = Gateway::start_binary(&binary, setup).await else { anyhow::bail!("it started") };
    let text = error.to_string();
    assert!(text.contains("cofferdam.yaml"), "names the file: {text}");
    assert!(text.contains("mpc"), "names the key: {text}");
    Ok(())
}

/// Calls until one is done, or not; each with a text of its own.
async fn until(client: &Client, stage: &Stage, prefix: &str, is_done: bool) -> Result<String> {
    let began = Instant::now();
    loop {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let text = format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let answer = match client.call("append", json!({ "text": text }), &CallOptions::default()).await {
            // Without a session there is nobody to tell but by an error.
            Err(Error::Rpc { message, .. }) if !is_done && message.contains("find the upstream") => return Ok(text),
            answer => answer?,
        };
        if if is_done { !answer.is_error } else { answer.guard_word("executed") == Some("no") } {
            return Ok(text);
        }
        if began.elapsed() > RELOAD_WAIT {
            bail!("no answer says that it is done ({is_done}): {answer:?}\n{}", stage.gateway.log());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//= G8
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_a_reload_removed_is_called_by_nobody_until_it_is_back() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    let with = POLICY.replace("{url}", &stage.server.url);
    let without = "upstreams:\n  other: { mcp: { url: \"http://127.0.0.1:9/mcp\" } }\n";
    let clients = [stage.client(SESSIONS).await?, stage.client(STATELESS).await?];
    for client in &clients {
        until(client, &stage, "before", true).await?;
    }
    stage.gateway.write_policy(without)?;
    for client in &clients {
        let refused = until(client, &stage, "removed", false).await?;
        assert_eq!(stage.effects(Some(&refused)).await?, 0, "{refused}\n{}", stage.gateway.log());
    }
    stage.gateway.write_policy(&with)?;
    for client in &clients {
        let back = until(client, &stage, "back", true).await?;
        assert_eq!(stage.effects(Some(&back)).await?, 1);
    }
    Ok(())
}
