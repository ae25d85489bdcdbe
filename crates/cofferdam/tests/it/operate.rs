//! A person at a running gateway: what became of a lost reply, recorded once, and heard by the agent.

use crate::Tested;
use crate::cli::Desk;
use crate::gateway::Gateway;
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::server::{Options, Running};
use testkit::shop::{self, Shop};
use testkit::{CallOptions, Fault, faults};

/// A shop that loses its first reply to `tool`.
async fn losing(tool: &str) -> Result<(Arc<Shop>, Running), Box<dyn std::error::Error>> {
    let shop = Arc::new(Shop::in_memory()?);
    let next = vec![(Some(tool.to_owned()), Fault::EffectLost)];
    let options = Options { faults: faults::Plan { next, ..faults::Plan::default() }, ..Options::default() };
    let running = shop::serve_http(([127, 0, 0, 1], 0).into(), Arc::clone(&shop), options).await?;
    Ok((shop, running))
}

fn policy(url: &str) -> String {
    format!(
        "upstreams:\n  shop: {{ mcp: {{ url: {url:?} }} }}\ntools:\n  - {{ match: \"shop.list_*\", effect: read }}\n  \
         - {{ match: shop.issue_refund, effect: destructive }}\n"
    )
}

fn refund() -> Value {
    json!({ "order_id": 2, "amount": 120 })
}

//= G6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_reply_waits_for_a_person_whose_word_the_agent_hears() -> Tested {
    let desk = Desk::new()?;
    let (shop, running) = losing("issue_refund").await?;
    desk.write("cofferdam.yaml", &policy(&running.url))?;
    let gateway = Gateway::start(&desk, &["--config", "cofferdam.yaml"], &[])?;
    let agent = gateway.agent().await?;
    let lost = agent.call("shop__issue_refund", refund(), &CallOptions::default()).await?;
    assert_eq!(lost.guard_word("code"), Some("outcome_unknown"), "{lost:?}");
    let step = lost.guard_word("step").ok_or("no step")?.to_owned();

    let doctor = desk.run(&["doctor"])?;
    assert!(doctor.out.contains("cofferdam resolve") && doctor.out.contains(&step), "{doctor:?}");
    let why = "the ledger of the shop has refund 1";
    let said = desk.run(&["resolve", &step, "--applied", "--why", why, "--json"])?;
    let resolved = said.json()?;
    assert_eq!(resolved["step"]["outcome"], "applied", "{said:?}");
    let evidence = resolved["events"].to_string();
    assert!(evidence.contains("ann") && evidence.contains(why), "{evidence}");
    let second = desk.run(&["resolve", &step, "--absent", "--why", "no"])?;
    assert_eq!(second.code, Some(1), "what is settled stays so: {second:?}");

    let status = agent.call("cofferdam__status", json!({ "step": step }), &CallOptions::default()).await?;
    assert!(status.text.contains("executed: yes"), "{status:?}");
    assert_eq!((status.guard_word("executed"), status.guard_word("step")), (Some("yes"), Some(step.as_str())));
    let open = agent.call("cofferdam__status", json!({}), &CallOptions::default()).await?;
    assert_eq!(open.guard.as_ref().map(|guard| guard["steps"].clone()), Some(json!([])), "{open:?}");
    let again = agent.call("shop__issue_refund", refund(), &CallOptions::default()).await?;
    assert_eq!(again.guard_word("executed"), Some("yes"), "{again:?}");
    assert_eq!(shop.refunds().len(), 1);
    drop(agent);
    assert!(gateway.stop()?.success());
    running.shutdown().await;
    Ok(())
}

//= G1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_persons_permission_makes_a_second_effect_and_only_one() -> Tested {
    let desk = Desk::new()?;
    let (shop, running) = losing("issue_refund").await?;
    desk.write("cofferdam.yaml", &policy(&running.url))?;
    let gateway = Gateway::start(&desk, &["--config", "cofferdam.yaml"], &[])?;
    let agent = gateway.agent().await?;
    let call = async || agent.call("shop__issue_refund", refund(), &CallOptions::default()).await;
    let step = call().await?.guard_word("step").ok_or("no step")?.to_owned();
    assert_eq!(shop.refunds().len(), 1);
    assert_eq!(desk.run(&["resolve", &step, "--run-again", "--why", "the bank lost it"])?.code, Some(0));
    assert!(!call().await?.is_error);
    assert_eq!(shop.refunds().len(), 2);
    call().await?;
    assert_eq!(shop.refunds().len(), 2, "the permission is used up");
    drop(agent);
    assert!(gateway.stop()?.success());
    running.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_of_a_json_log_is_one_object_that_names_run_and_step() -> Tested {
    let desk = Desk::new()?;
    let gateway = Gateway::start(&desk, &["--log-format", "json"], &[])?;
    let agent = gateway.agent().await?;
    let note = json!({ "order_id": 1, "note": "a \"quoted\"\nline" });
    agent.call("shop__add_note", note, &CallOptions::default()).await?;
    drop(agent);
    assert!(gateway.stop()?.success());
    let log = desk.read("gateway.log")?;
    let lines = log.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
    let sent = lines.iter().find(|line| line["message"] == "sent").ok_or("nothing was sent")?;
    assert!(sent["run"].is_string() && sent["step"].is_string() && sent["tool"] == "add_note", "{sent}");
    assert!(!log.contains("quoted"), "arguments are not logged");
    Ok(())
}
