//! Toggles and counters: the same call twice in a row is often exactly what is meant.

use super::{Applied, Model};
use crate::world::{Call, Hints, Tool, ToolError, integer, object, text};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[derive(Clone, Default)]
pub struct Counters {
    counters: BTreeMap<String, i64>,
    switches: BTreeMap<String, bool>,
}

impl Model for Counters {
    const NAME: &'static str = "counters";

    fn tools() -> Vec<Tool> {
        let string = || json!({ "type": "string" });
        let whole = || json!({ "type": "integer" });
        let counter = || object(&[("name", string()), ("value", whole())], &["name", "value"]);
        let named = |more: &[(&str, Value)]| {
            let mut properties = vec![("name", string())];
            properties.extend_from_slice(more);
            object(&properties, &["name"])
        };
        vec![
            Tool {
                name: "increment_counter",
                description: "Adds to a counter, 1 if nothing else is said.",
                hints: Hints::Write,
                input: named(&[("by", whole())]),
                output: Some(counter()),
            },
            Tool {
                name: "get_counter",
                description: "Reads a counter.",
                hints: Hints::Read,
                input: named(&[]),
                output: Some(counter()),
            },
            Tool {
                name: "toggle_switch",
                description: "Turns a switch over.",
                hints: Hints::Write,
                input: named(&[]),
                output: None,
            },
            Tool {
                name: "set_switch",
                description: "Turns a switch on or off.",
                hints: Hints::Idempotent,
                input: object(&[("name", string()), ("on", json!({ "type": "boolean" }))], &["name", "on"]),
                output: Some(object(&[("name", string()), ("on", json!({ "type": "boolean" }))], &["name", "on"])),
            },
            Tool {
                name: "get_switch",
                description: "Reads a switch.",
                hints: Hints::Read,
                input: named(&[]),
                output: Some(object(&[("name", string()), ("on", json!({ "type": "boolean" }))], &["name", "on"])),
            },
        ]
    }

    fn apply(&mut self, call: &Call<'_>, _number: u64) -> Result<Applied, ToolError> {
        let name = text(call.args, "name")?;
        Ok(Applied::effect(match call.tool {
            "increment_counter" => {
                let by = if call.args.contains_key("by") { integer(call.args, "by")? } else { 1 };
                let value = self.counters.entry(name.into()).or_default();
                *value = value.saturating_add(by);
                json!({ "name": name, "value": value })
            }
            "toggle_switch" => {
                let on = self.switches.entry(name.into()).or_default();
                *on = !*on;
                json!({ "name": name, "on": on })
            }
            "set_switch" => {
                let on = call.args.get("on").and_then(Value::as_bool).ok_or("on must be true or false")?;
                self.switches.insert(name.into(), on);
                json!({ "name": name, "on": on })
            }
            _ => return Err(ToolError::Unknown),
        }))
    }

    fn read(&self, tool: &str, args: &Map<String, Value>) -> Result<Value, ToolError> {
        let name = text(args, "name")?;
        match tool {
            "get_counter" => Ok(json!({ "name": name, "value": self.counters.get(name).copied().unwrap_or(0) })),
            "get_switch" => Ok(json!({ "name": name, "on": self.switches.get(name).copied().unwrap_or(false) })),
            _ => Err(ToolError::Unknown),
        }
    }

    fn state(&self) -> Value {
        json!({ "counters": self.counters, "switches": self.switches })
    }
}
