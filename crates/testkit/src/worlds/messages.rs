//! Messages and payments: nothing is ever taken back, a second one is a second one.

use super::{Applied, Model};
use crate::world::{Call, Hints, Tool, ToolError, integer, object, text};
use serde_json::{Map, Value, json};

#[derive(Clone, Default)]
pub struct Messages {
    messages: Vec<Value>,
    payments: Vec<Value>,
}

impl Model for Messages {
    const NAME: &'static str = "messages";

    fn tools() -> Vec<Tool> {
        let string = || json!({ "type": "string" });
        let whole = || json!({ "type": "integer", "minimum": 1 });
        let message =
            || object(&[("message_id", string()), ("to", string()), ("text", string())], &["message_id", "to", "text"]);
        let payment = || {
            object(
                &[("payment_id", string()), ("to", string()), ("amount", whole()), ("reference", string())],
                &["payment_id", "to", "amount"],
            )
        };
        let list =
            |name: &str, item: Value| Some(object(&[(name, json!({ "type": "array", "items": item }))], &[name]));
        vec![
            Tool {
                name: "send_message",
                description: "Sends a message.",
                hints: Hints::Write,
                input: object(&[("to", string()), ("text", string())], &["to", "text"]),
                output: None,
            },
            Tool {
                name: "list_messages",
                description: "Lists the messages that were sent, to one recipient or to all.",
                hints: Hints::Read,
                input: object(&[("to", string())], &[]),
                output: list("messages", message()),
            },
            Tool {
                name: "pay",
                description: "Pays an amount.",
                hints: Hints::Destructive,
                input: object(&[("to", string()), ("amount", whole()), ("reference", string())], &["to", "amount"]),
                output: Some(payment()),
            },
            Tool {
                name: "list_payments",
                description: "Lists the payments that were made, to one recipient or to all.",
                hints: Hints::Read,
                input: object(&[("to", string())], &[]),
                output: list("payments", payment()),
            },
        ]
    }

    fn apply(&mut self, call: &Call<'_>, number: u64) -> Result<Applied, ToolError> {
        let to = text(call.args, "to")?;
        Ok(Applied::effect(match call.tool {
            "send_message" => {
                let message =
                    json!({ "message_id": format!("m-{number}"), "to": to, "text": text(call.args, "text")? });
                self.messages.push(message.clone());
                message
            }
            "pay" => {
                let amount = integer(call.args, "amount")?;
                if amount < 1 {
                    return Err("amount must be at least 1".into());
                }
                let mut payment = json!({ "payment_id": format!("p-{number}"), "to": to, "amount": amount });
                if call.args.contains_key("reference") {
                    payment["reference"] = text(call.args, "reference")?.into();
                }
                self.payments.push(payment.clone());
                payment
            }
            _ => return Err(ToolError::Unknown),
        }))
    }

    fn read(&self, tool: &str, args: &Map<String, Value>) -> Result<Value, ToolError> {
        let to = args.get("to");
        let chosen = |all: &[Value]| -> Vec<Value> {
            all.iter().filter(|one| to.is_none_or(|to| one["to"] == *to)).cloned().collect()
        };
        match tool {
            "list_messages" => Ok(json!({ "messages": chosen(&self.messages) })),
            "list_payments" => Ok(json!({ "payments": chosen(&self.payments) })),
            _ => Err(ToolError::Unknown),
        }
    }

    fn state(&self) -> Value {
        let sorted = |all: &[Value], members: [&str; 2]| {
            let mut texts: Vec<_> = all.iter().map(|one| json!(members.map(|name| &one[name])).to_string()).collect();
            texts.sort_unstable();
            texts
        };
        json!({
            "messages": sorted(&self.messages, ["to", "text"]),
            "payments": sorted(&self.payments, ["to", "amount"]),
        })
    }
}
