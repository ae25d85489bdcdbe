//! Clients that come and never come back, or leave in the middle.

use super::{POLICY, SESSIONS, STATELESS, Stage};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::Client;
use testkit::client::{CallOptions, Identity};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const ABANDONED: usize = 10_000;
const AT_ONCE: usize = 16;
/// Resident memory of the process, in KiB; a debug build needs more than what is promised for the release.
const MEMORY_MAX: u64 = 300 * 1024;
const WAIT: Duration = Duration::from_secs(20);

fn memory(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

//= S-07
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_abandoned_sessions_neither_stop_it_nor_fill_it() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    let url: Arc<str> = stage.gateway.url_of("ledger").into();
    let openers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let url = Arc::clone(&url);
            tokio::spawn(async move {
                let mut opened = 0;
                for _ in 0..ABANDONED / AT_ONCE {
                    // Dropped without a word.
                    opened += usize::from(Client::http(&url, Identity::speaking(SESSIONS)).await.is_ok());
                }
                opened
            })
        })
        .collect();
    let mut opened = 0;
    for opener in openers {
        opened += opener.await?;
    }
    assert!(opened > 0, "sessions were opened");
    let used = memory(stage.gateway.process().context("it runs")?)?;
    assert!(used < MEMORY_MAX, "{used} KiB after {opened} sessions");
    // There is room for those who come now: the abandoned ones give way.
    stage.is_well().await
}

/// A whole call as bytes on a connection of its own, which a test can cut where it likes.
struct Cut {
    stream: TcpStream,
    head: String,
    body: String,
}

impl Cut {
    async fn of(stage: &Stage, client: &Client, text: &str, ms: u64) -> Result<Self> {
        let (tool, args) = ("slow", json!({ "text": text, "ms": ms }));
        let message = client.message(Some(&1.into()), "tools/call", json!({ "name": tool, "arguments": args }));
        let body = message.to_string();
        let mut head = format!(
            "POST /mcp/ledger HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nmcp-protocol-version: {}\r\ncontent-length: {}\r\n",
            stage.gateway.address(),
            client.revision(),
            body.len()
        );
        match client.session() {
            Some(session) => head += &format!("mcp-session-id: {session}\r\n"),
            None => head += "mcp-method: tools/call\r\nmcp-name: slow\r\n",
        }
        Ok(Self { stream: TcpStream::connect(stage.gateway.address()).await?, head: head + "\r\n", body })
    }
}

async fn comes_about(stage: &Stage, text: &str, count: usize) -> Result<()> {
    let began = Instant::now();
    while stage.effects(Some(text)).await? != count {
        if began.elapsed() > WAIT {
            bail!("{text}: {} effects instead of {count}\n{}", stage.effects(Some(text)).await?, stage.gateway.log());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

//= S-25
//= G1
#[tokio::test]
async fn a_client_that_leaves_before_during_or_after_has_its_effect_at_most_once_and_finds_it_again() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    for revision in [SESSIONS, STATELESS] {
        let client = stage.client(revision).await?;
        let name = |when: &str| format!("{when}-{revision}");

        let cut = Cut::of(&stage, &client, &name("before"), 0).await?;
        drop(cut.stream);

        let mut cut = Cut::of(&stage, &client, &name("half"), 0).await?;
        let half = &cut.body.as_bytes()[..cut.body.len() / 2];
        cut.stream.write_all(&[cut.head.as_bytes(), half].concat()).await?;
        drop(cut.stream);

        let mut cut = Cut::of(&stage, &client, &name("during"), 300).await?;
        cut.stream.write_all((cut.head + &cut.body).as_bytes()).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(cut.stream);
        comes_about(&stage, &name("during"), 1).await?;

        // As MCP demands: the same call again, under a new id. It is told what became of the first.
        let again = client.call("slow", json!({ "text": name("during"), "ms": 300 }), &CallOptions::default()).await?;
        assert!(!again.is_error && again.guard_word("executed") == Some("yes"), "{again:?}");
        assert_eq!(stage.effects(Some(&name("during"))).await?, 1, "{revision}");

        client.call("slow", json!({ "text": name("after"), "ms": 0 }), &CallOptions::default()).await?;
        client.close().await;
        for (when, count) in [("before", 0), ("half", 0), ("during", 1), ("after", 1)] {
            assert_eq!(stage.effects(Some(&name(when))).await?, count, "{when} {revision}");
        }
    }
    stage.is_well().await
}

//= G1
#[tokio::test]
async fn a_client_that_gives_up_and_comes_back_in_a_new_session_is_recognised() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    for revision in [SESSIONS, STATELESS] {
        let (text, args) = (format!("again-{revision}"), |text: &str| json!({ "text": text, "ms": 500 }));
        let first = stage.client(revision).await?;
        let gone = first.call("slow", args(&text), &CallOptions::within(Duration::from_millis(150))).await;
        assert_eq!(gone, Err(testkit::client::Error::Timeout));
        drop(first);
        let answer = stage.client(revision).await?.call("slow", args(&text), &CallOptions::default()).await?;
        assert!(!answer.is_error, "{answer:?}");
        assert_eq!(answer.guard.as_ref().map(|guard| &guard["executed"]), Some(&Value::from("yes")));
        assert_eq!(stage.effects(Some(&text)).await?, 1, "{revision}");
    }
    Ok(())
}
