//! The process: SIGTERM during calls, a second one on the same journal, an address that anybody can reach.

use super::{POLICY, SESSIONS, STATELESS, Stage};
use anyhow::{Context, Result, bail};
use e2e::gateway::{Gateway, Setup};
use serde_json::json;
use std::time::Duration;
use testkit::client::CallOptions;

//= S-26
#[tokio::test]
async fn on_sigterm_calls_in_flight_are_answered_and_new_ones_are_not_begun() -> Result<()> {
    let Some(mut stage) = Stage::set(POLICY).await? else { return Ok(()) };
    let (first, second) = (stage.client(SESSIONS).await?, stage.client(STATELESS).await?);
    let slow = |text: &str| json!({ "text": text, "ms": 700 });
    let options = CallOptions::default();
    let terminate = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        stage.gateway.terminate()?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let late = stage.client(SESSIONS).await;
        let late = match late {
            Ok(client) => client.call("append", json!({ "text": "late" }), &CallOptions::default()).await.is_ok(),
            Err(_) => false,
        };
        anyhow::Ok(late)
    };
    let (one, two, late) =
        tokio::join!(first.call("slow", slow("one"), &options), second.call("slow", slow("two"), &options), terminate);
    for (answer, text) in [(one, "one"), (two, "two")] {
        let answer = answer.with_context(|| format!("{text}\n{}", stage.gateway.log()))?;
        assert!(!answer.is_error && answer.text.contains(text), "{answer:?}");
        assert_eq!(stage.effects(Some(text)).await?, 1);
    }
    assert!(!late?, "it drains");
    assert_eq!(stage.effects(Some("late")).await?, 0);
    let status = stage.gateway.wait().await?;
    assert!(status.success(), "{status}\n{}", stage.gateway.log());
    stage.gateway.restart().await?;
    stage.is_well().await
}

#[tokio::test]
async fn a_second_gateway_on_the_same_journal_is_refused_and_names_the_first() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    let journal = stage.gateway.journal();
    let policy = format!("journal: {{ path: {journal:?} }}\n{}", POLICY.replace("{url}", &stage.server.url));
    let Some(binary) = e2e::binary()? else { return Ok(()) };
    let mut second = Gateway::prepare(&binary, Setup { policy, ..Setup::default() })?;
    second.spawn(&[])?;
    let status = second.wait().await?;
    let (log, first) = (second.log(), stage.gateway.process().context("it runs")?);
    assert!(!status.success(), "{log}");
    assert!(log.contains(&first.to_string()), "it names the process that holds the journal: {log}");
    stage.is_well().await
}

//= S-06
#[tokio::test]
async fn an_address_that_is_not_loopback_demands_a_token() -> Result<()> {
    let Some(binary) = e2e::binary()? else { return Ok(()) };
    for address in ["0.0.0.0:0", "[::]:0"] {
        let setup = Setup { policy: format!("listen: \"{address}\"\n"), ..Setup::default() };
        let mut gateway = Gateway::prepare(&binary, setup)?;
        gateway.spawn(&[])?;
        let status = gateway.wait().await?;
        let log = gateway.log();
        if status.success() {
            bail!("it listens to everybody on {address}");
        }
        assert!(log.contains("principal") || log.contains("token"), "it says what is missing: {log}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_word_about_it_it_listens_on_loopback_only() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    let process = stage.gateway.process().context("it runs")?;
    let port =
        stage.gateway.address().rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).context("a port")?;
    for table in ["tcp", "tcp6"] {
        // Local address and port in hexadecimal, state 0A is listening.
        let listed = std::fs::read_to_string(format!("/proc/{process}/net/{table}"))?;
        for line in listed.lines().filter(|line| line.contains(&format!(":{port:04X} ")) && line.contains(" 0A ")) {
            assert!(line.contains("0100007F:"), "it listens beyond loopback: {line}");
        }
    }
    Ok(())
}
