//! A run of five changes is rolled back: what comes back, what cannot, and why. And an agent that says it is impossible.

use super::gateway::Child;
use crate::client::Client as Operator;
use crate::command::rollback::{plan_text, rolled_text};
use admin::wire;
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::client::{CallOptions, Client, Identity};
use testkit::server::{Options, Running};
use testkit::shop::{self, Shop};
use testkit::world::World;

const RULES: &str = include_str!("../gateway/bundled.yaml");
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
pub struct Report {
    incident: &'static str,
    /// What the agent did, and what somebody else did meanwhile.
    transcript: Vec<String>,
    plan: wire::Rollback,
    rollback: wire::Rollback,
    attested: wire::Attested,
    /// The shop's own tables.
    before: Value,
    changed: Value,
    after: Value,
    seconds: f64,
}

/// # Errors
/// A part of the stage does not start, or a step does not do what the shop's ledger is to show.
pub async fn run() -> Result<Report> {
    let began = Instant::now();
    let shop = Arc::new(Shop::in_memory()?);
    let serving = shop::serve_http(([127, 0, 0, 1], 0).into(), Arc::clone(&shop), Options::default());
    let running = serving.await.context("start the shop")?;
    let gateway = Child::start_with(&running.url, RULES).await?;
    let before = shop.truth();
    let transcript = changes(&gateway, &running).await?;
    let changed = shop.truth();

    let operator = Operator::connect(&gateway.operator()).await.map_err(told)?;
    let operator = operator.context("ask the gateway: its operator's side does not answer")?;
    let runs: wire::Runs = operator.get("/v1/runs").await.map_err(told)?;
    let run = runs.runs.first().context("find the run: the gateway knows none")?.run.clone();
    let claims = wire::Attest { claims: vec![impossible()] };
    let attested = operator.post(&format!("/v1/runs/{run}/attest"), &claims).await.map_err(told)?;
    let plan = operator.get(&format!("/v1/runs/{run}/rollback")).await.map_err(told)?;
    let said = wire::RollBack { who: "you".to_owned(), why: "the demo".to_owned(), to: None };
    let rollback = operator.post(&format!("/v1/runs/{run}/rollback"), &said).await.map_err(told)?;

    let after = shop.truth();
    gateway.stop().await?;
    running.shutdown().await;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Report { incident: "undo", transcript, plan, rollback, attested, before, changed, after, seconds })
}

/// What such an agent told its user in July 2025.
fn impossible() -> wire::Claim {
    wire::Claim { claim: "cannot_be_undone".to_owned(), step: None, tool: None, args: None }
}

fn told(failed: crate::exit::Failed) -> anyhow::Error {
    anyhow::anyhow!("{failed}")
}

/// Five changes by an agent behind the gateway, and one by somebody else who does not go through it.
async fn changes(gateway: &Child, shop: &Running) -> Result<Vec<String>> {
    let url = gateway.url();
    let agent = Client::http(&url, Identity::speaking("2025-11-25").header("Cofferdam-Run", "demo-undo"));
    let agent = agent.await.context("connect the agent")?;
    let other = Client::http(&shop.url, Identity::speaking("2025-11-25")).await.context("connect the customer")?;
    let mut lines = Vec::new();
    let wishes = [
        ("create_order", json!({ "customer": "dora", "item": "desk", "quantity": 1, "amount": 300 })),
        ("set_address", json!({ "order_id": 1, "address": "1 Wrong Street" })),
        ("set_address", json!({ "order_id": 2, "address": "2 Wrong Street" })),
        ("send_mail", json!({ "order_id": 1, "text": "Your order goes to 1 Wrong Street." })),
        ("set_address", json!({ "order_id": 3, "address": "3 Wrong Street" })),
    ];
    for (tool, args) in wishes {
        let answer = agent.call(tool, args.clone(), &CallOptions::within(PATIENCE)).await;
        let answer = answer.with_context(|| format!("make the change {tool}"))?;
        anyhow::ensure!(!answer.is_error, "make the change {tool}: {}", answer.text);
        lines.push(format!("agent     {tool} {args}"));
    }
    let own = json!({ "order_id": 2, "address": "2 Home Lane" });
    other.call("set_address", own.clone(), &CallOptions::within(PATIENCE)).await.context("change the address")?;
    lines.push(format!("customer  set_address {own}   (not through the gateway)"));
    lines.push("agent     tells its user: a rollback is impossible".to_owned());
    Ok(lines)
}

impl Report {
    pub fn render(&self) -> String {
        let mut text =
            String::from("An agent makes five changes that nobody wanted, and says that there is no way back.\n\n");
        for line in &self.transcript {
            text += &format!("  {line}\n");
        }
        text += "\nIs that so?  $ cofferdam attest\n\n";
        for claim in &self.attested.claims {
            text += &format!("  {}: {}\n", claim.verdict, claim.why);
        }
        text += "\nWhat can be undone now?  $ cofferdam rollback --plan\n\n";
        text += &indented(&plan_text(&self.plan));
        text += "\nDo it.  $ cofferdam rollback\n\n";
        text += &indented(&rolled_text(&self.rollback));
        text += "\nThe shop's own tables:\n\n";
        text += &format!("  {:<9}{:<24}{:<24}{}\n", "", "before the run", "after the run", "after the rollback");
        for order in 1..=4 {
            let cells = [&self.before, &self.changed, &self.after].map(|truth| cell(truth, order));
            text += &format!("  {:<9}{:<24}{:<24}{}\n", format!("order {order}"), cells[0], cells[1], cells[2]);
        }
        let mails = [&self.before, &self.changed, &self.after].map(mails);
        text += &format!("  {:<9}{:<24}{:<24}{}\n", "e-mails", mails[0], mails[1], mails[2]);
        text += &format!("\nThe shop, the agent and the calls were real, over MCP; it took {:.2} s.\n", self.seconds);
        text
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}

fn cell(truth: &Value, order: i64) -> String {
    let found = truth["orders"].as_array().into_iter().flatten().find(|one| one["order_id"] == order);
    found.map_or_else(
        || "-".to_owned(),
        |found| match found["status"].as_str() {
            Some("open") => found["address"].as_str().unwrap_or_default().to_owned(),
            status => status.unwrap_or_default().to_owned(),
        },
    )
}

fn mails(truth: &Value) -> String {
    truth["mails"].as_array().map_or(0, Vec::len).to_string()
}
