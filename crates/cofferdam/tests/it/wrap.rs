//! `cofferdam wrap`: one stdio server guarded, two windows, and where their journals lie.

use crate::Tested;
use crate::cli::Desk;
use crate::gateway::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use testkit::client::Identity;
use testkit::faults::Plan;
use testkit::server::{self, Options};
use testkit::shop::Shop;
use testkit::{CallOptions, Client};

/// The shop's file; that it is set makes this test binary a server.
const SHOP: &str = "COFFERDAM_TEST_SHOP";
/// How many milliseconds it takes for a call.
const WORK: &str = "COFFERDAM_TEST_SHOP_WORK";

/// Not a test of its own: what the wrapped children run.
#[test]
fn child() -> Tested {
    let Some(file) = std::env::var_os(SHOP) else { return Ok(()) };
    let shop = Arc::new(Shop::open(&PathBuf::from(file))?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = std::env::var(WORK).ok().and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let faults = Plan { work: work.unwrap_or_default(), ..Plan::default() };
    runtime.block_on(server::serve_stdio(shop, Options { faults, ..Options::default() }))?;
    Ok(())
}

async fn client(desk: &Desk, options: &[&str]) -> Result<Client, Box<dyn Error>> {
    client_of(desk, options, Duration::ZERO).await
}

async fn client_of(desk: &Desk, options: &[&str], work: Duration) -> Result<Client, Box<dyn Error>> {
    let program = std::env::current_exe()?.display().to_string();
    let server = ["--", &program, "--exact", "wrap::child", "--nocapture", "--quiet"];
    let mut command = desk.command(&[&["wrap"], options, &server].concat());
    command.env(SHOP, desk.path("shop.db")).env("XDG_STATE_HOME", desk.path("state"));
    command.env(WORK, work.as_millis().to_string());
    let log = std::fs::OpenOptions::new().create(true).append(true).open(desk.path("wrap.log"))?;
    command.stderr(log);
    Ok(Client::stdio(command.into(), Identity::speaking("2025-11-25")).await?)
}

fn journals(desk: &Desk) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let wraps = std::fs::read_dir(desk.path("state/cofferdam/wrap"))?.collect::<Result<Vec<_>, _>>()?;
    let mut slots = Vec::new();
    for wrap in wraps {
        for slot in std::fs::read_dir(wrap.path())? {
            slots.push(slot?.path());
        }
    }
    slots.sort();
    Ok(slots)
}

fn names(tools: &[Value]) -> Vec<&str> {
    tools.iter().filter_map(|tool| tool["name"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_stay_as_they_are_and_what_is_done_is_journaled_under_the_state_directory() -> Tested {
    let desk = Desk::new()?;
    let window = client(&desk, &[]).await?;
    let tools = window.tools().await?;
    assert!(names(&tools).contains(&"issue_refund"), "{tools:?}");
    let refund = json!({ "order_id": 1, "amount": 5 });
    let answer = window.call("issue_refund", refund, &CallOptions::default()).await?;
    assert!(!answer.is_error, "{answer:?}");
    let slots = journals(&desk)?;
    let place = slots.first().ok_or("no journal")?.display().to_string();
    assert!(place.ends_with("/0"), "{place}");
    let runs = desk.run(&["runs", "--json", "--journal", &place])?.json()?;
    assert_eq!(runs["runs"][0]["mutations"], 1, "asked of the running wrap: {runs}");
    assert!(desk.path("shop.db").exists() && !desk.path(".cofferdam").exists());
    let status = window.close().await.ok_or("it goes on")?;
    assert!(status.success(), "{status}");
    let runs = desk.run(&["runs", "--json", "--journal", &place])?.json()?;
    assert_eq!(runs["runs"][0]["mutations"], 1, "and of the journal at rest: {runs}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_window_takes_the_next_slot_and_neither_hears_of_the_other() -> Tested {
    let desk = Desk::new()?;
    let (first, second) = (client(&desk, &[]).await?, client(&desk, &[]).await?);
    assert_eq!(journals(&desk)?.len(), 2);
    // One key, two windows: two agents, two scopes of identity.
    let options = CallOptions::default().meta("cofferdam/idempotency-key", "same");
    for window in [&first, &second] {
        let args = json!({ "customer": "ann", "item": "lamp", "quantity": 1, "amount": 10 });
        let answer = window.call("create_order", args, &options).await?;
        assert!(!answer.is_error, "{answer:?}");
    }
    let listed = first.call("list_orders", json!({ "customer": "ann" }), &CallOptions::default()).await?;
    let orders = listed.structured.as_ref().and_then(|shown| shown["orders"].as_array()).map(Vec::len);
    assert_eq!(orders, Some(2), "{listed:?}");
    first.close().await;
    second.close().await;
    let third = client(&desk, &[]).await?;
    assert_eq!(journals(&desk)?.len(), 2, "the lowest free slot is taken again");
    third.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_speaks_of_the_wrapped_server_by_its_name() -> Tested {
    let desk = Desk::new()?;
    let policy = "upstreams:\n  shop: { mcp: { command: [elsewhere] } }\ntools:\n  - match: shop.issue_refund\n    effect: destructive\n    target: string(args.order_id)\n    \
                  readback:\n      read: shop.list_refunds\n      args: '{\"order_id\": args.order_id}'\n      \
                  expect: 'found(read, args) > found(pre, args)'\n";
    desk.write("wrap.yaml", policy)?;
    let config = desk.path("wrap.yaml").display().to_string();
    // The only upstream of the file is meant, and what runs is what the command line says.
    let window = client(&desk, &["--config", &config]).await?;
    window.tools().await?;
    window.call("issue_refund", json!({ "order_id": 1, "amount": 5 }), &CallOptions::default()).await?;
    let place = journals(&desk)?.first().ok_or("no journal")?.display().to_string();
    let mut verified = false;
    wait_for("the refund is shown as verified", || {
        let runs = desk.run(&["runs", "--json", "--journal", &place])?.json()?;
        let run = runs["runs"][0]["run"].as_str().ok_or("no run")?.to_owned();
        let shown = desk.run(&["show", &run, "--json", "--journal", &place])?.json()?;
        verified = shown["steps"].as_array().into_iter().flatten().any(|step| step["verification"] == "verified");
        Ok(verified)
    })?;
    window.close().await;
    Ok(())
}

#[test]
fn without_a_command_there_is_nothing_to_wrap() -> Tested {
    let desk = Desk::new()?;
    assert_eq!(desk.run(&["wrap"])?.code, Some(2));
    let said = desk.run(&["wrap", "--config", "none.yaml", "--", "true"])?;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.out, "", "standard output is the client's");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_in_flight_is_answered_when_the_wrap_is_told_to_end() -> Tested {
    let desk = Desk::new()?;
    let window = Arc::new(client_of(&desk, &[], Duration::from_secs(2)).await?);
    window.tools().await?;
    let caller = Arc::clone(&window);
    let refund = json!({ "order_id": 1, "amount": 5 });
    let call = tokio::spawn(async move { caller.call("issue_refund", refund, &CallOptions::default()).await });
    let place = journals(&desk)?.first().ok_or("no journal")?.display().to_string();
    wait_for("the call is in flight", || {
        let runs = desk.run(&["runs", "--json", "--journal", &place])?.json()?;
        Ok(runs["runs"][0]["mutations"] == 1)
    })?;
    assert!(!call.is_finished(), "it ends while the call is out");
    let id = window.process().and_then(|id| Pid::from_raw(id.cast_signed())).ok_or("no process")?;
    kill_process(id, Signal::TERM)?;
    let answer = call.await??;
    assert!(!answer.is_error, "{answer:?}");
    let status = Arc::into_inner(window).ok_or("the call has ended")?.close().await.ok_or("it goes on")?;
    assert!(status.success(), "{status}");
    Ok(())
}
