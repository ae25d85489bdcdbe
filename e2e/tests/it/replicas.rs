//! Two and three gateway processes over one database: what one of them suffers, another one finds out, and no effect is
//! had twice.

mod failover;

use anyhow::{Context, Result, ensure};
use e2e::gateway::{Gateway, Setup};
use e2e::replicas::{Cut, Fleet, PATIENCE, Plan, SHORT, named};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;
use testkit::client::{Answer, CallOptions, Client, Identity};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_effects"))
}

fn line(intent: &str) -> Value {
    json!({ "text": "a line", "intent": intent })
}

fn executed(answer: &Answer) -> &str {
    answer.guard_word("executed").unwrap_or("yes")
}

const SLOW: &str = "work_ms=1,late_ms=8000";

type Call = tokio::task::JoinHandle<Result<Answer>>;

/// Begins a call at a replica that is answered late, and waits until its effect is there.
async fn under_way(fleet: &Fleet, replica: usize, intent: &str) -> Result<Call> {
    under_way_as(fleet, replica, intent, named(intent)).await
}

async fn under_way_as(fleet: &Fleet, replica: usize, intent: &str, options: CallOptions) -> Result<Call> {
    fleet.server.fault_named(Some("append"), "effect_late").await?;
    let client = fleet.client(replica).await?;
    let args = line(intent);
    let call = tokio::spawn(async move { Ok(client.call("append", args, &options).await?) });
    fleet.until_effect(intent).await?;
    Ok(call)
}

//= S-01
//= G5
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_one_replica_gave_is_replayed_by_another_one() -> Result<()> {
    let Some(fleet) = Fleet::start(program(), Plan::default()).await? else { return Ok(()) };
    let first = fleet.client(0).await?.call("append", line("one"), &named("k-1")).await?;
    let second = fleet.client(1).await?.call("append", line("one"), &named("k-1")).await?;
    ensure!(first.structured == second.structured && !second.is_error, "{first:?} {second:?}");
    let other = fleet.client(1).await?.call("append", line("two"), &named("k-1")).await?;
    ensure!(other.guard_word("code") == Some("idempotency_conflict"), "{other:?}");
    ensure!(fleet.effects("one")? == 1 && fleet.effects("two")? == 0);
    Ok(())
}

//= S-01
//= G1
#[tokio::test(flavor = "multi_thread")]
async fn one_key_at_three_replicas_at_once_has_one_effect_and_one_answer() -> Result<()> {
    let Some(fleet) = Fleet::start(program(), Plan { replicas: 3, ..Plan::default() }).await? else { return Ok(()) };
    for round in 0..8 {
        let intent = format!("race-{round}");
        let mut calls = Vec::new();
        for replica in 0..3 {
            let client = fleet.client(replica).await?;
            let (args, options) = (line(&intent), named(&intent));
            calls.push(tokio::spawn(async move { client.call("append", args, &options).await }));
        }
        for call in calls {
            let answer = call.await??;
            // Who lost the race for the claim is told that nothing ran for it, or what ran.
            ensure!(["yes", "no"].contains(&executed(&answer)), "{answer:?}\n{}", fleet.logs());
        }
        ensure!(fleet.effects(&intent)? == 1, "{intent}: {:?}", fleet.entries()?);
        let again = fleet.client(round % 3).await?.call("append", line(&intent), &named(&intent)).await?;
        ensure!(executed(&again) == "yes", "{again:?}");
    }
    Ok(())
}

//= S-01
#[tokio::test(flavor = "multi_thread")]
async fn a_call_joins_the_one_that_is_in_flight_at_another_replica() -> Result<()> {
    let plan = Plan { faults: "work_ms=1,late_ms=2000", ..Plan::default() };
    let Some(fleet) = Fleet::start(program(), plan).await? else { return Ok(()) };
    let first = under_way(&fleet, 0, "joined").await?;
    let second = fleet.client(1).await?.call("append", line("joined"), &named("joined")).await?;
    let first = first.await??;
    ensure!(first.structured == second.structured && !second.is_error, "{first:?} {second:?}");
    ensure!(fleet.effects("joined")? == 1);
    Ok(())
}

//= S-01
//= G1
//= G3
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_replica_had_sent_is_found_out_by_another_one() -> Result<()> {
    let Some(mut fleet) = Fleet::start(program(), Plan { lease: SHORT, faults: SLOW, ..Plan::default() }).await? else {
        return Ok(());
    };
    let call = under_way(&fleet, 0, "killed").await?;
    fleet.replicas[0].kill().await?;
    ensure!(call.await?.is_err(), "its connection broke");
    // As MCP demands: again, elsewhere, under a new id.
    let again = fleet.client(1).await?.call("append", line("killed"), &named("killed")).await?;
    ensure!(executed(&again) == "yes", "{again:?}\n{}", fleet.logs());
    ensure!(fleet.effects("killed")? == 1);
    // The same without a key of its own: by its content.
    let call = {
        fleet.replicas[0].restart().await?;
        under_way_as(&fleet, 0, "unnamed", CallOptions::within(PATIENCE)).await?
    };
    fleet.replicas[0].kill().await?;
    ensure!(call.await?.is_err(), "its connection broke");
    let again = fleet.client(1).await?.call("append", line("unnamed"), &CallOptions::within(PATIENCE)).await?;
    ensure!(executed(&again) == "yes", "{again:?}\n{}", fleet.logs());
    ensure!(fleet.effects("unnamed")? == 1, "{again:?} {:?}\n{}", fleet.entries()?, fleet.logs());
    Ok(())
}

//= S-01
//= G1
//= G3
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_wakes_after_its_lease_is_fenced_and_nobody_is_told_an_untruth() -> Result<()> {
    let Some(fleet) = Fleet::start(program(), Plan { lease: SHORT, faults: SLOW, ..Plan::default() }).await? else {
        return Ok(());
    };
    let call = under_way(&fleet, 0, "asleep").await?;
    fleet.replicas[0].signal(Signal::STOP)?;
    fleet.until("SELECT count(*) FROM cofferdam.replica WHERE fenced").await?;
    let again = fleet.client(1).await?.call("append", line("asleep"), &named("asleep")).await?;
    ensure!(executed(&again) == "yes", "{again:?}\n{}", fleet.logs());
    fleet.replicas[0].signal(Signal::CONT)?;
    // It was sent once, and whatever its first caller hears is true.
    let first = call.await??;
    ensure!(["yes", "unknown"].contains(&executed(&first)), "{first:?}\n{}", fleet.logs());
    ensure!(fleet.effects("asleep")? == 1);
    // It has begun anew: new calls are taken there, and old answers given.
    fleet
        .until("SELECT count(*) / 2 FROM cofferdam.replica WHERE NOT fenced AND lease_until > clock_timestamp()")
        .await?;
    let woken = fleet.client(0).await?;
    let next = woken.call("append", line("awake"), &named("awake")).await?;
    ensure!(executed(&next) == "yes" && fleet.effects("awake")? == 1, "{next:?}\n{}", fleet.logs());
    let old = woken.call("append", line("asleep"), &named("asleep")).await?;
    ensure!(executed(&old) == "yes" && fleet.effects("asleep")? == 1, "{old:?}\n{}", fleet.logs());
    Ok(())
}

//= S-01
//= G4
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_its_database_refuses_changes_answers_reads_and_comes_back() -> Result<()> {
    let cut = Cut::new().await?;
    let port = cut.port();
    let through = |number: usize, url: String| {
        let Some((server, _)) = url.rsplit_once(':').filter(|_| number == 0) else { return url };
        format!("{server}:{port}/postgres")
    };
    // The way has to lead somewhere before the first replica starts.
    let plan = Plan { lease: SHORT, faults: SLOW, replicas: 0, ..Plan::default() };
    let Some(fleet) = Fleet::start_through(program(), plan.clone(), through).await? else { return Ok(()) };
    cut.lead(fleet.cluster.port());
    let mut fleet = fleet;
    fleet.add(2, plan.lease, through).await?;
    let call = under_way(&fleet, 0, "cut off").await?;
    cut.cut();
    fleet.until("SELECT count(*) FROM cofferdam.replica WHERE fenced").await?;
    let alone = fleet.client(0).await?;
    let refused = alone.call("append", line("refused"), &named("refused")).await?;
    ensure!(refused.guard_word("code") == Some("journal_unavailable"), "{refused:?}");
    ensure!(executed(&refused) == "no" && fleet.effects("refused")? == 0);
    let read = alone.call("list_entries", json!({}), &named("a read")).await?;
    ensure!(!read.is_error, "reads go on: {read:?}");
    let first = call.await??;
    ensure!(["yes", "unknown"].contains(&executed(&first)), "{first:?}");
    let again = fleet.client(1).await?.call("append", line("cut off"), &named("cut off")).await?;
    ensure!(executed(&again) == "yes", "{again:?}\n{}", fleet.logs());
    cut.mend();
    fleet
        .until("SELECT count(*) / 2 FROM cofferdam.replica WHERE NOT fenced AND lease_until > clock_timestamp()")
        .await?;
    let began = Instant::now();
    loop {
        let next = alone.call("append", line("refused"), &named("refused")).await?;
        if executed(&next) == "yes" {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "{next:?}\n{}", fleet.logs());
    }
    ensure!(fleet.effects("cut off")? == 1 && fleet.effects("refused")? == 1);
    Ok(())
}

//= S-01
//= G6
#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_records_at_one_replica_reaches_a_caller_at_another_one() -> Result<()> {
    let plan = Plan { faults: SLOW, ..Plan::default() };
    let Some(fleet) = Fleet::start(program(), plan).await? else { return Ok(()) };
    // `send` has no read-back: nobody but a person can find out.
    fleet.server.fault_named(Some("send"), "effect_lost").await?;
    let args = json!({ "to": "ben", "text": "hello", "intent": "person" });
    let told = fleet.client(0).await?.call("send", args.clone(), &named("person")).await?;
    ensure!(executed(&told) == "unknown", "{told:?}");
    let step = told.guard_word("step").context("the stop names its step")?.to_owned();
    let shown = fleet.replicas[1].cli(&["show", &step, "--json"]).await?;
    ensure!(shown.status.success(), "{shown:?}");
    // It is owned by the first replica; the word is given at the second one.
    let began = Instant::now();
    let said =
        fleet.replicas[1].cli(&["resolve", &step, "--applied", "--who", "ops", "--why", "seen in the ledger"]).await?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    for replica in [0, 1] {
        let again = fleet.client(replica).await?.call("send", args.clone(), &named("person")).await?;
        ensure!(executed(&again) == "yes", "{again:?}\n{}", fleet.logs());
    }
    ensure!(began.elapsed() < PATIENCE && fleet.effects("person")? == 1);
    Ok(())
}

//= S-01
//= G6
#[tokio::test(flavor = "multi_thread")]
async fn a_persons_word_wakes_those_who_wait_at_every_replica() -> Result<()> {
    // Quiescence is as long as this lease: nobody but a person can say that it is there or not.
    let Some(fleet) = Fleet::start(program(), Plan { replicas: 3, ..Plan::default() }).await? else { return Ok(()) };
    fleet.server.fault_named(Some("append"), "before_503").await?;
    let mut calls = Vec::new();
    for replica in 0..3 {
        let client = fleet.client(replica).await?;
        calls.push(tokio::spawn(async move { client.call("append", line("waited for"), &named("waited")).await }));
        // The first one owns the step; the others join it.
        fleet.until("SELECT count(*) FROM cofferdam.step WHERE state = 60").await?;
    }
    let url = fleet.cluster.url("postgres");
    let step = e2e::replicas::text(&url, "SELECT encode(step_id, 'hex') FROM cofferdam.step").await?;
    let said =
        fleet.replicas[2].cli(&["resolve", &step, "--applied", "--who", "ops", "--why", "seen in the ledger"]).await?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    // Once it is said, each answers by it, without a second try; and whoever waited hears of it. Without being woken they
    // would be told that nobody knows.
    for replica in 0..3 {
        let asked = fleet.client(replica).await?.call("append", line("waited for"), &named("waited")).await?;
        ensure!(asked.guard_word("code") == Some("applied_no_receipt"), "{replica}: {asked:?}\n{}", fleet.logs());
    }
    for call in calls {
        let told = call.await??;
        ensure!(told.guard_word("code") == Some("applied_no_receipt"), "{told:?}\n{}", fleet.logs());
    }
    Ok(())
}

//= S-01
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_started_again_finds_out_at_once_what_it_had_sent() -> Result<()> {
    // With this lease nobody would look before the patience of the test is over.
    let plan = Plan { replicas: 1, lease: "300s", faults: SLOW, ..Plan::default() };
    let Some(mut fleet) = Fleet::start(program(), plan).await? else { return Ok(()) };
    let call = under_way(&fleet, 0, "restarted").await?;
    fleet.replicas[0].kill().await?;
    ensure!(call.await?.is_err(), "its connection broke");
    fleet.replicas[0].restart().await?;
    let again = fleet.client(0).await?.call("append", line("restarted"), &named("restarted")).await?;
    ensure!(executed(&again) == "yes" && fleet.effects("restarted")? == 1, "{again:?}\n{}", fleet.logs());
    let doctor = fleet.replicas[0].cli(&["doctor", "--full", "--json"]).await?;
    ensure!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
    fleet.replicas[0].terminate()?;
    fleet.replicas[0].wait().await?;
    for command in [&["runs", "--json"][..], &["doctor", "--full", "--json"]] {
        let at_rest = fleet.replicas[0].cli(command).await?;
        ensure!(at_rest.status.success(), "{command:?}: {}", String::from_utf8_lossy(&at_rest.stderr));
    }
    Ok(())
}

//= S-01
//= G5
#[tokio::test(flavor = "multi_thread")]
async fn replicas_go_on_over_a_newer_form_that_they_may_write_and_refuse_one_that_they_may_not() -> Result<()> {
    let Some(mut fleet) = Fleet::start(program(), Plan::default()).await? else { return Ok(()) };
    let before = fleet.client(0).await?.call("append", line("before"), &named("before")).await?;
    ensure!(executed(&before) == "yes", "{before:?}");
    // As a later version would leave it that is rolled out first: more to each row, and a table that nobody here knows.
    fleet
        .run(
            "SET search_path = cofferdam; ALTER TABLE step ADD COLUMN shade TEXT NOT NULL DEFAULT 'new'; \
             ALTER TABLE event ADD COLUMN shade TEXT; CREATE TABLE shades(name TEXT); \
             UPDATE meta SET form = form + 1, written_by = '99.0.0'",
        )
        .await?;
    // One that was running goes on, and one that starts takes part.
    fleet.replicas[1].terminate()?;
    fleet.replicas[1].wait().await?;
    fleet.replicas[1].restart().await?;
    for (replica, intent) in [(0, "running"), (1, "started")] {
        let told = fleet.client(replica).await?.call("append", line(intent), &named(intent)).await?;
        ensure!(executed(&told) == "yes", "{told:?}\n{}", fleet.logs());
        let other = fleet.client(1 - replica).await?.call("append", line(intent), &named(intent)).await?;
        ensure!(other.structured == told.structured, "{other:?}\n{}", fleet.logs());
        let old = fleet.client(replica).await?.call("append", line("before"), &named("before")).await?;
        ensure!(old.structured == before.structured, "{old:?}\n{}", fleet.logs());
    }
    for intent in ["before", "running", "started"] {
        ensure!(fleet.effects(intent)? == 1, "{intent}: {:?}", fleet.entries()?);
    }
    fleet.run("UPDATE cofferdam.meta SET writable_from = form").await?;
    fleet.replicas[1].terminate()?;
    fleet.replicas[1].wait().await?;
    ensure!(fleet.replicas[1].restart().await.is_err(), "it started over a form that it cannot write");
    let began = Instant::now();
    while !fleet.replicas[1].log().contains("99.0.0 or later reads it") {
        ensure!(began.elapsed() < PATIENCE, "{}", fleet.replicas[1].log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(())
}

//= G5
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_moved_into_a_database_answers_there_what_was_done_before() -> Result<()> {
    let Some(binary) = e2e::binary()? else { return Ok(()) };
    let plan = Plan { replicas: 0, ..Plan::default() };
    let Some(fleet) = Fleet::start(program(), plan.clone()).await? else { return Ok(()) };
    let shared = fleet.policy(plan.lease);
    let alone = shared.lines().filter(|line| !line.starts_with("journal:")).collect::<Vec<_>>().join("\n");
    let environment = vec![("JOURNAL_URL".to_owned(), fleet.cluster.url("postgres"))];
    let mut gateway = Gateway::prepare(&binary, Setup { policy: alone, environment })?;
    gateway.restart().await?;
    let client = Client::http(&gateway.url_of("ledger"), Identity::speaking("2025-11-25")).await?;
    let first = client.call("append", line("moved"), &named("moved")).await?;
    ensure!(executed(&first) == "yes", "{first:?}");
    gateway.terminate()?;
    gateway.wait().await?;
    gateway.write_policy(&shared)?;
    let from = gateway.journal().display().to_string();
    for brought in [1, 0] {
        let moved = gateway.cli(&["journal", "migrate", "--from", &from, "--json"]).await?;
        ensure!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
        let moved: Value = serde_json::from_slice(&moved.stdout)?;
        ensure!(moved["steps"] == 1 && moved["brought"] == brought, "{moved}");
    }
    gateway.restart().await?;
    let client = Client::http(&gateway.url_of("ledger"), Identity::speaking("2025-11-25")).await?;
    let again = client.call("append", line("moved"), &named("moved")).await?;
    ensure!(again.structured == first.structured && fleet.effects("moved")? == 1, "{again:?}\n{}", gateway.log());
    Ok(())
}
