//! The world of the kill tests: one tool for each class of effect, and an intent tag that says what the caller meant.

use super::{Applied, Model};
use crate::world::{Call, Hints, Tool, ToolError, integer, object, text};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Named values, payments with a key, a log that can be read, one that cannot.
#[derive(Clone, Default)]
pub struct Kill {
    values: BTreeMap<String, Value>,
    payments: Vec<Value>,
    paid: BTreeMap<String, Value>,
    log: Vec<Value>,
    sent: u64,
}

impl Model for Kill {
    const NAME: &'static str = "ledger";

    fn tools() -> Vec<Tool> {
        let string = || json!({ "type": "string" });
        let intent = ("intent", string());
        let tool = |name, description, hints, input, output| Tool { name, description, hints, input, output };
        let items = |name: &str| Some(object(&[(name, json!({ "type": "array" }))], &[name]));
        vec![
            tool("get", "Reads a named value.", Hints::Read, object(&[("name", string())], &["name"]), None),
            tool(
                "set",
                "Sets a named value.",
                Hints::Idempotent,
                object(&[("name", string()), ("value", json!({})), intent.clone()], &["name", "value"]),
                Some(object(&[("name", string()), ("value", json!({}))], &["name", "value"])),
            ),
            tool(
                "pay",
                "Pays an amount. Honours an idempotency key.",
                Hints::Write,
                object(
                    &[
                        ("to", string()),
                        ("amount", json!({ "type": "integer", "minimum": 1 })),
                        ("idempotency_key", string()),
                        intent.clone(),
                    ],
                    &["to", "amount"],
                ),
                Some(object(&[("payment_id", string()), ("amount", json!({ "type": "integer" }))], &["payment_id"])),
            ),
            tool("list_payments", "Lists the payments.", Hints::Read, object(&[], &[]), items("payments")),
            tool(
                "append",
                "Appends an entry to the log.",
                Hints::Write,
                object(&[("text", string()), intent.clone()], &["text"]),
                Some(object(&[("entry_id", string()), ("text", string())], &["entry_id", "text"])),
            ),
            tool("list_entries", "Lists the entries of the log.", Hints::Read, object(&[], &[]), items("entries")),
            tool(
                "send",
                "Sends a message. Nothing can read it back.",
                Hints::Write,
                object(&[("to", string()), ("text", string()), intent.clone()], &["to", "text"]),
                None,
            ),
            tool(
                "drop",
                "Removes a named value.",
                Hints::Destructive,
                object(&[("name", string()), intent.clone()], &["name"]),
                None,
            ),
            tool(
                "slow",
                "Waits, then appends an entry to the log.",
                Hints::Write,
                object(
                    &[("ms", json!({ "type": "integer", "maximum": 60000 })), ("text", string()), intent],
                    &["ms", "text"],
                ),
                None,
            ),
        ]
    }

    fn apply(&mut self, call: &Call<'_>, number: u64) -> Result<Applied, ToolError> {
        let args = call.args;
        Ok(Applied::effect(match call.tool {
            "set" => {
                let (name, value) = (text(args, "name")?, args.get("value").cloned().unwrap_or_default());
                self.values.insert(name.into(), value.clone());
                json!({ "name": name, "value": value })
            }
            "pay" => {
                if let Some(paid) = call.key.and_then(|key| self.paid.get(key)) {
                    return Ok(Applied { result: paid.clone(), is_effect: false });
                }
                let (to, amount) = (text(args, "to")?, integer(args, "amount")?);
                let payment = json!({ "payment_id": format!("pay-{number}"), "to": to, "amount": amount });
                if let Some(key) = call.key {
                    self.paid.insert(key.into(), payment.clone());
                }
                self.payments.push(payment.clone());
                payment
            }
            "append" | "slow" => {
                let mut entry = json!({ "entry_id": format!("entry-{number}"), "text": text(args, "text")? });
                if let Some(intent) = args.get("intent") {
                    entry["intent"] = intent.clone();
                }
                self.log.push(entry.clone());
                entry
            }
            "send" => {
                text(args, "to")?;
                self.sent += 1;
                json!({ "sent": true })
            }
            "drop" => {
                let name = text(args, "name")?;
                json!({ "name": name, "existed": self.values.remove(name).is_some() })
            }
            _ => return Err(ToolError::Unknown),
        }))
    }

    fn read(&self, tool: &str, args: &Map<String, Value>) -> Result<Value, ToolError> {
        Ok(match tool {
            "get" => {
                let name = text(args, "name")?;
                json!({ "name": name, "found": self.values.contains_key(name), "value": self.values.get(name) })
            }
            "list_payments" => json!({ "payments": self.payments }),
            "list_entries" => json!({ "entries": self.log }),
            _ => return Err(ToolError::Unknown),
        })
    }

    fn state(&self) -> Value {
        json!({ "values": self.values, "payments": self.payments, "log": self.log, "sent": self.sent })
    }
}

/// `slow` works before it has its effect; the caller may be gone by then.
pub(super) fn pause(call: &Call<'_>) {
    if call.tool == "slow" {
        let wait = call.args.get("ms").and_then(Value::as_u64).unwrap_or(0).min(60_000);
        std::thread::sleep(Duration::from_millis(wait));
    }
}
