//! Upstreams that hang, flood, lie, die and come back.

use super::{POLICY, SESSIONS, STATELESS, Stage, program};
use anyhow::{Context, Result};
use e2e::Gateway;
use e2e::rogue::{Habit, Rogue};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::client::{CallOptions, Client, Identity};
use testkit::{Answer, Fault, faults::Bad};

const RULES: &str = "defaults:\n  timeouts: { step: 2s, attempt: 2s }\n  probe_wait: 1s\ntools:\n  \
                     - { match: rogue.do, effect: write }\n";
/// Well above the step's own time, well below a hang.
const ANSWER_WAIT: Duration = Duration::from_secs(20);
/// Resident memory in KiB that no upstream may make it exceed.
const MEMORY_MAX: u64 = 400 * 1024;

fn over_http(rogue: &Rogue) -> String {
    format!("upstreams:\n  rogue: {{ mcp: {{ url: {:?} }} }}\n{RULES}", rogue.url)
}

fn over_pipes(habit: Habit, file: &Path) -> String {
    let command = [program().display().to_string(), "rogue".into(), habit.as_str().into(), file.display().to_string()];
    format!("upstreams:\n  rogue: {{ mcp: {{ command: {command:?} }} }}\n{RULES}")
}

async fn ask(gateway: &Gateway, revision: &str) -> Result<Answer> {
    let client = Client::http(&gateway.url_of("rogue"), Identity::speaking(revision)).await.context("connect")?;
    Ok(client.call("do", json!({ "x": revision }), &CallOptions::within(ANSWER_WAIT)).await?)
}

fn memory(gateway: &Gateway) -> Result<u64> {
    let process = gateway.process().context("it runs")?;
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// What an agent may be told when the upstream misbehaves: never more than what is known.
fn assert_honest(habit: Habit, answer: &Answer) {
    match habit {
        Habit::Good | Habit::Changes | Habit::Twice => {
            assert!(!answer.is_error && answer.text.contains("done"), "{habit:?}: {answer:?}");
            assert!(!answer.text.contains("once more"), "the first answer counts: {answer:?}");
        }
        _ => {
            assert_eq!(answer.guard_word("executed"), Some("unknown"), "{habit:?}: {answer:?}");
            assert!(answer.is_error, "{habit:?}: {answer:?}");
        }
    }
}

//= G3
//= S-07
#[tokio::test(flavor = "multi_thread")]
async fn whatever_an_http_upstream_does_it_is_called_once_and_nothing_is_invented() -> Result<()> {
    for habit in Habit::BAD {
        let rogue = Rogue::start(habit).await?;
        let Some(gateway) = Gateway::start(&over_http(&rogue)).await? else { return Ok(()) };
        for (count, revision) in [SESSIONS, STATELESS].into_iter().enumerate() {
            let began = Instant::now();
            let answer = ask(&gateway, revision).await.with_context(|| format!("{habit:?}\n{}", gateway.log()))?;
            assert_honest(habit, &answer);
            assert_eq!(rogue.calls(), count + 1, "{habit:?}: a write is never sent again");
            assert!(began.elapsed() < ANSWER_WAIT, "{habit:?}");
        }
        let used = memory(&gateway)?;
        assert!(used < MEMORY_MAX, "{habit:?}: {used} KiB");
    }
    Ok(())
}

//= G3
//= S-07
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_child_process_does_it_is_called_once_and_nothing_is_invented() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for habit in Habit::BAD {
        let file = directory.path().join(habit.as_str());
        let Some(gateway) = Gateway::start(&over_pipes(habit, &file)).await? else { return Ok(()) };
        let answer = ask(&gateway, SESSIONS).await.with_context(|| format!("{habit:?}\n{}", gateway.log()))?;
        assert_honest(habit, &answer);
        let called = std::fs::read_to_string(&file)?.lines().count();
        assert_eq!(called, 1, "{habit:?}: a write is never sent again");
        let used = memory(&gateway)?;
        assert!(used < MEMORY_MAX, "{habit:?}: {used} KiB");
    }
    Ok(())
}

#[tokio::test]
async fn one_bad_upstream_does_not_disturb_another() -> Result<()> {
    let rogue = Rogue::start(Habit::Hangs).await?;
    let policy =
        POLICY.replace("upstreams:\n", &format!("upstreams:\n  rogue: {{ mcp: {{ url: {:?} }} }}\n", rogue.url));
    let Some(stage) = Stage::set(&policy).await? else { return Ok(()) };
    let hanging = Client::http(&stage.gateway.url_of("rogue"), Identity::speaking(SESSIONS)).await?;
    let options = CallOptions::within(ANSWER_WAIT);
    let (hung, well) = tokio::join!(hanging.call("do", json!({}), &options), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        stage.is_well().await?;
        anyhow::Ok(began.elapsed())
    });
    let took = well?;
    assert!(took < Duration::from_secs(3), "others went on meanwhile: {took:?}");
    assert_eq!(hung?.guard_word("executed"), Some("unknown"));
    Ok(())
}

#[tokio::test]
async fn tools_that_change_between_calls_are_listed_as_they_are_now() -> Result<()> {
    let rogue = Rogue::start(Habit::Changes).await?;
    let Some(gateway) = Gateway::start(&over_http(&rogue)).await? else { return Ok(()) };
    for revision in [SESSIONS, STATELESS] {
        let client = Client::http(&gateway.url_of("rogue"), Identity::speaking(revision)).await?;
        for call in 0..3 {
            let tools = client.tools().await?;
            assert!(tools.iter().any(|tool| tool["name"] == "do"), "{tools:?}");
            let answer = client.call("do", json!({ "x": call, "y": revision }), &CallOptions::default()).await?;
            assert_honest(Habit::Changes, &answer);
        }
    }
    assert_eq!(rogue.calls(), 6);
    Ok(())
}

//= G1
//= G3
#[tokio::test]
async fn an_upstream_that_dies_and_comes_back_is_used_again_and_its_ledger_holds_each_effect_once() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let ledger = directory.path().join("ledger").display().to_string();
    let Some(mut stage) = Stage::set_with(POLICY, &["--ledger", &ledger]).await? else { return Ok(()) };
    for revision in [SESSIONS, STATELESS] {
        let client = stage.client(revision).await?;
        let text = |when: &str| format!("{when}-{revision}");
        client.call("append", json!({ "text": text("first") }), &CallOptions::default()).await?;

        stage.server.kill().await?;
        let down = client.call("append", json!({ "text": text("down") }), &CallOptions::default()).await?;
        assert_eq!(down.guard_word("executed"), Some("no"), "a refused connection is proof: {down:?}");

        stage.server.restart().await?;
        let up = client.call("append", json!({ "text": text("up") }), &CallOptions::default()).await?;
        assert!(!up.is_error, "{up:?}\n{}", stage.gateway.log());
        for (when, count) in [("first", 1), ("down", 0), ("up", 1)] {
            assert_eq!(stage.effects(Some(&text(when))).await?, count, "{when}");
        }
    }
    stage.is_well().await
}

//= G3
#[tokio::test]
async fn misshapen_answers_of_a_server_that_did_the_work_are_withheld_and_never_lead_to_a_second_effect() -> Result<()>
{
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    for revision in [SESSIONS, STATELESS] {
        let client = stage.client(revision).await?;
        for bad in Bad::ALL {
            let text = format!("{bad:?}-{revision}");
            let fault = if bad == Bad::CutJson { "effect_cut_json" } else { Fault::EffectBad(bad).as_str() };
            stage.server.fault_named(Some("append"), fault).await?;
            let answer = client.call("append", json!({ "text": text }), &CallOptions::default()).await?;
            assert_eq!(answer.guard_word("executed"), Some("unknown"), "{bad:?}: {answer:?}");
            assert!(!answer.text.contains("garbage") && !answer.text.contains("It works!"), "{answer:?}");
            assert_eq!(stage.effects(Some(&text)).await?, 1, "{bad:?}");
        }
    }
    Ok(())
}

/// The same call until the gateway, which may just be starting, answers it.
async fn insist(client: &Client, tool: &str, text: &str, options: &CallOptions) -> Result<Answer> {
    let began = Instant::now();
    loop {
        match client.call(tool, json!({ "to": "ben", "text": text }), options).await {
            Ok(answer) => return Ok(answer),
            Err(error) if began.elapsed() > ANSWER_WAIT => return Err(error).context("get an answer"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// The kill campaign found it: a gateway that has just started knows no tools yet, and its upstream was away.
//= G3
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_comes_again_while_its_upstream_is_away_is_not_said_to_have_done_nothing() -> Result<()> {
    let Some(mut stage) = Stage::set(POLICY).await? else { return Ok(()) };
    let one = Client::http(&stage.gateway.url_of("ledger"), Identity::speaking(STATELESS)).await?;
    let all = Client::http(&stage.gateway.url(), Identity::speaking(STATELESS)).await?;
    for (client, tool, key) in [(&one, "send", "k-1"), (&all, "ledger__send", "k-2")] {
        let options = CallOptions::within(ANSWER_WAIT).meta("cofferdam/idempotency-key", key);
        stage.server.fault(Some("send"), Fault::EffectLost).await?;
        let first = insist(client, tool, key, &options).await?;
        assert_eq!(first.guard_word("executed"), Some("unknown"), "{first:?}");
    }
    stage.server.kill().await?;
    stage.gateway.restart().await?;
    for (client, tool, key) in [(&one, "send", "k-1"), (&all, "ledger__send", "k-2")] {
        let again = CallOptions::within(ANSWER_WAIT).meta("cofferdam/idempotency-key", key);
        let answer = insist(client, tool, key, &again).await?;
        assert_eq!(answer.guard_word("executed"), Some("unknown"), "{tool} under {key}: {answer:?}");
        // Of a call that nobody knows it is true.
        let answer = insist(client, tool, &format!("another, after {key}"), &CallOptions::within(ANSWER_WAIT)).await?;
        assert_eq!(answer.guard_word("executed"), Some("no"), "{tool}: {answer:?}");
        assert_eq!(answer.guard_word("code"), Some("upstream_unavailable"), "{tool}: {answer:?}");
    }
    Ok(())
}
