//! The agent of the demo: a script that pays a refund and asks once more when it gets no receipt.

use super::report::Line;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::client::{Answer, CallOptions, Client, Error, Identity};

pub const TOOL: &str = "issue_refund";
const ORDER: i64 = 2;
const PATIENCE: Duration = Duration::from_secs(6);
/// The first time, and once more.
const TRIES: usize = 2;

/// # Errors
/// There is no shop at the address.
pub async fn refund(url: &str) -> Result<Vec<Line>> {
    let client = Client::http(url, Identity::speaking("2025-11-25")).await.context("connect the agent")?;
    let order = client.call("get_order", json!({ "order_id": ORDER }), &CallOptions::default()).await?;
    let order = order.structured.context("read the order: the shop shows none")?;
    let amount = order["amount"].as_f64().context("read the order: it has no amount")?;
    let mut lines = vec![Line::tool(format!(
        "order {ORDER}: {}, paid {amount:.2}, refunded {:.2}",
        order["item"].as_str().unwrap_or_default(),
        order["refunded"].as_f64().unwrap_or_default()
    ))];
    let args = json!({ "order_id": ORDER, "amount": amount, "reason": "arrived broken" });
    for attempt in 0..TRIES {
        let again = if attempt == 0 { "" } else { "  (no receipt, so once more)" };
        lines.push(Line::agent(format!("{TOOL} order={ORDER} amount={amount:.2}{again}")));
        let answer = client.call(TOOL, args.clone(), &CallOptions::within(PATIENCE)).await;
        lines.push(heard(&answer));
        if let Some(receipt) = answer.as_ref().ok().and_then(receipt) {
            lines.push(Line::agent(format!("tells its user: refunded, receipt {receipt}")));
            return Ok(lines);
        }
    }
    lines.push(Line::agent("tells its user what it was told".into()));
    Ok(lines)
}

/// The number of the refund, which only the shop's own answer has.
fn receipt(answer: &Answer) -> Option<i64> {
    let stated = answer.structured.as_ref().filter(|_| !answer.is_error)?;
    stated.get("refund_id").and_then(Value::as_i64)
}

fn heard(answer: &Result<Answer, Error>) -> Line {
    match answer {
        Ok(answer) if answer.guard.is_some() => Line::gateway(answer),
        Ok(answer) => Line::tool(answer.text.clone()),
        Err(error) => Line::broken(format!("no answer: failed to {error}")),
    }
}
