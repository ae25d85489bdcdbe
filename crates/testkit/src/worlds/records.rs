//! Records that are created, changed and archived.

use super::{Applied, Model};
use crate::world::{Call, Hints, Tool, ToolError, object, text};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[derive(Clone, Default)]
pub struct Records {
    tickets: BTreeMap<String, Value>,
}

const STATES: [&str; 3] = ["open", "waiting", "done"];

impl Model for Records {
    const NAME: &'static str = "records";

    fn tools() -> Vec<Tool> {
        let string = || json!({ "type": "string" });
        let ticket = || {
            object(
                &[
                    ("ticket_id", string()),
                    ("title", string()),
                    ("state", json!({ "enum": STATES })),
                    ("owner", string()),
                ],
                &["ticket_id", "title", "state", "owner"],
            )
        };
        vec![
            Tool {
                name: "create_ticket",
                description: "Creates a ticket.",
                hints: Hints::Write,
                input: object(&[("title", string()), ("owner", string())], &["title", "owner"]),
                output: Some(ticket()),
            },
            Tool {
                name: "update_ticket",
                description: "Changes state or owner of a ticket.",
                hints: Hints::Idempotent,
                input: object(
                    &[("ticket_id", string()), ("state", json!({ "enum": STATES })), ("owner", string())],
                    &["ticket_id"],
                ),
                output: Some(ticket()),
            },
            Tool {
                name: "get_ticket",
                description: "Reads a ticket.",
                hints: Hints::Read,
                input: object(&[("ticket_id", string())], &["ticket_id"]),
                output: Some(ticket()),
            },
            Tool {
                name: "list_tickets",
                description: "Lists all tickets.",
                hints: Hints::Read,
                input: object(&[("owner", string())], &[]),
                output: Some(object(&[("tickets", json!({ "type": "array", "items": ticket() }))], &["tickets"])),
            },
            Tool {
                name: "delete_ticket",
                description: "Deletes a ticket for good.",
                hints: Hints::Destructive,
                input: object(&[("ticket_id", string())], &["ticket_id"]),
                output: None,
            },
        ]
    }

    fn apply(&mut self, call: &Call<'_>, _number: u64) -> Result<Applied, ToolError> {
        let args = call.args;
        Ok(Applied::effect(match call.tool {
            "create_ticket" => {
                let id = format!("T-{}", self.tickets.len() + 1);
                let ticket = json!({
                    "ticket_id": id, "title": text(args, "title")?, "state": "open", "owner": text(args, "owner")?,
                });
                self.tickets.insert(id, ticket.clone());
                ticket
            }
            "update_ticket" => {
                let id = text(args, "ticket_id")?;
                let ticket = self.tickets.get_mut(id).ok_or("there is no such ticket")?;
                if let Some(state) = args.get("state") {
                    if !STATES.iter().any(|known| state == known) {
                        return Err("state must be open, waiting or done".into());
                    }
                    ticket["state"] = state.clone();
                }
                if args.contains_key("owner") {
                    ticket["owner"] = text(args, "owner")?.into();
                }
                ticket.clone()
            }
            "delete_ticket" => {
                let id = text(args, "ticket_id")?;
                self.tickets.remove(id).ok_or("there is no such ticket")?;
                json!({ "deleted": id })
            }
            _ => return Err(ToolError::Unknown),
        }))
    }

    fn read(&self, tool: &str, args: &Map<String, Value>) -> Result<Value, ToolError> {
        match tool {
            "get_ticket" => {
                let id = text(args, "ticket_id")?;
                self.tickets.get(id).cloned().ok_or_else(|| "there is no such ticket".into())
            }
            "list_tickets" => {
                let owner = args.get("owner");
                let tickets: Vec<_> = self
                    .tickets
                    .values()
                    .filter(|ticket| owner.is_none_or(|owner| ticket["owner"] == *owner))
                    .collect();
                Ok(json!({ "tickets": tickets }))
            }
            _ => Err(ToolError::Unknown),
        }
    }

    fn state(&self) -> Value {
        // By content: which of two creations came first does not matter, how many there are does.
        let mut tickets: Vec<_> = self
            .tickets
            .values()
            .map(|ticket| json!([ticket["title"], ticket["state"], ticket["owner"]]).to_string())
            .collect();
        tickets.sort_unstable();
        json!(tickets)
    }
}
