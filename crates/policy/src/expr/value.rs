//! JSON to CEL values and back, with the sizes bounded.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

/// Values in one document, whatever the expression does with it.
const NODES_MAX: usize = 50_000;
/// Length of a list or object that one loop runs over, and that two nested loops run over.
const LOOP_MAX: usize = 10_000;
const NESTED_LOOP_MAX: usize = 300;
const DEPTH_MAX: usize = 64;

/// A JSON document whose integers arrive as `int`.
struct Ints<'a>(&'a Value);

impl Serialize for Ints<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => serializer.serialize_i64(value),
                // Above i64: `uint` is the only exact form; it compares with `int` as it should.
                (None, Some(value)) => serializer.serialize_u64(value),
                (None, None) => serializer.serialize_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Ints(item))?;
                }
                list.end()
            }
            Value::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, &Ints(value))?;
                }
                map.end()
            }
        }
    }
}

pub(super) fn to_cel(value: &Value) -> cel::Value {
    // The adapter emits only what JSON has, all of which CEL has too; should that ever fail, `null` makes the
    // expression fail or say no, never yes.
    cel::to_value(Ints(value)).unwrap_or(cel::Value::Null)
}

pub(super) fn step(key: &str) -> cel::Value {
    let mut members = serde_json::Map::new();
    members.insert("key".to_string(), Value::String(key.to_string()));
    to_cel(&Value::Object(members))
}

pub(super) fn to_json(value: &cel::Value) -> Result<Value, String> {
    value.json().map_err(|_| alloc::format!("the expression gave {}, which JSON does not have", kind(value)))
}

/// Is the document small enough for an expression with so many nested loops?
pub(super) fn check_size(value: &Value, loops: u8) -> Result<(), String> {
    let length_max = match loops {
        0 => NODES_MAX,
        1 => LOOP_MAX,
        _ => NESTED_LOOP_MAX,
    };
    let mut nodes = 0_usize;
    let mut open: Vec<(&Value, usize)> = Vec::new();
    open.push((value, 0));
    while let Some((value, depth)) = open.pop() {
        nodes += 1;
        let length = match value {
            Value::Array(items) => items.len(),
            Value::Object(members) => members.len(),
            _ => continue,
        };
        if depth >= DEPTH_MAX {
            return Err(alloc::format!("nested more than {DEPTH_MAX} levels deep"));
        }
        if length > length_max {
            return Err(alloc::format!(
                "too long to look at: a list of {length}, at most {length_max} are allowed here"
            ));
        }
        if nodes + open.len() + length > NODES_MAX {
            return Err(alloc::format!("too large to look at: more than {NODES_MAX} values"));
        }
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(members) => open.extend(members.values().map(|item| (item, depth + 1))),
            _ => {}
        }
    }
    Ok(())
}

/// What kind of value it is, for messages: values themselves may be secret.
pub(super) fn kind(value: &cel::Value) -> &'static str {
    match value {
        cel::Value::List(_) => "a list",
        cel::Value::Map(_) => "a map",
        cel::Value::Int(_) | cel::Value::UInt(_) | cel::Value::Float(_) => "a number",
        cel::Value::String(_) => "a text",
        cel::Value::Bool(_) => "a truth value",
        cel::Value::Null => "null",
        _ => "a value of another kind",
    }
}
