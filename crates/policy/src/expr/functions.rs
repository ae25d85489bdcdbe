//! Functions of our own, and errors of evaluation in words that hold no values.

use super::value;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use cel::ExecutionError;
use cel::objects::Key;

/// Name and how it is called, for hints and the reference page.
pub(crate) const OWN: [(&str, &str); 3] = [
    ("found", "found(haystack, needle)"),
    ("without", "without(object, [\"member\", …])"),
    ("unclear", "unclear(\"reason\")"),
];

pub(super) fn add_to(context: &mut cel::Context<'_, '_>) {
    // Adding fails only for a name that the library has itself; then `check` has refused the expression at load.
    let added = [
        context.add_function("found", |haystack: cel::Value, needle: cel::Value| found(&haystack, &needle)),
        context.add_function("without", |object: cel::Value, names: cel::Value| without(&object, &names)),
        context.add_function("unclear", |reason: Arc<String>| unclear(&reason)),
    ];
    debug_assert!(added.iter().all(Result::is_ok), "our functions have names of their own");
}

/// How many objects anywhere in `haystack` agree with `needle` on every scalar member that both have, sharing at
/// least one.
///
/// It is an error, not zero, when nothing in the haystack could be compared at all: a read that names things in other
/// words proves neither presence nor absence.
fn found(haystack: &cel::Value, needle: &cel::Value) -> Result<i64, ExecutionError> {
    let cel::Value::Map(needle) = needle else {
        return Err(ExecutionError::function_error("found", "the second argument is not an object"));
    };
    let wanted = needle.map.iter().filter(|(_, value)| is_scalar(value)).collect::<Vec<_>>();
    if wanted.is_empty() {
        return Err(ExecutionError::function_error("found", "the object looked for has no plain member"));
    }
    let mut seen = Seen::default();
    let mut open = Vec::from([(haystack, 0_usize)]);
    while let Some((value, lists)) = open.pop() {
        match value {
            cel::Value::List(items) => {
                seen.empty_list |= items.is_empty() && lists == 0;
                open.extend(items.iter().map(|item| (item, lists + 1)));
            }
            cel::Value::Map(object) => {
                seen.listed_object |= lists > 0;
                seen.look(object, &wanted);
                open.extend(object.map.values().map(|item| (item, lists)));
            }
            _ => {}
        }
    }
    if seen.comparable || (seen.empty_list && !seen.listed_object) {
        return Ok(seen.agreeing);
    }
    Err(ExecutionError::function_error("found", "the read shows nothing that could be compared"))
}

#[derive(Default)]
struct Seen {
    agreeing: i64,
    /// Some object shares a member name with the needle.
    comparable: bool,
    /// There is an empty list that is not inside another list: a collection without members.
    empty_list: bool,
    listed_object: bool,
}

impl Seen {
    fn look(&mut self, object: &cel::objects::Map, wanted: &[(&Key, &cel::Value)]) {
        let mut shared = 0_usize;
        for (name, value) in wanted {
            let Some(there) = object.map.get(*name).filter(|there| is_scalar(there)) else { continue };
            self.comparable = true;
            if there != *value {
                return;
            }
            shared += 1;
        }
        if shared > 0 {
            self.agreeing += 1;
        }
    }
}

/// `null` is no statement: an optional argument sent as `null` need not appear in the record.
const fn is_scalar(value: &cel::Value) -> bool {
    matches!(
        value,
        cel::Value::Int(_) | cel::Value::UInt(_) | cel::Value::Float(_) | cel::Value::String(_) | cel::Value::Bool(_)
    )
}

fn without(object: &cel::Value, names: &cel::Value) -> Result<cel::Value, ExecutionError> {
    let (cel::Value::Map(object), cel::Value::List(names)) = (object, names) else {
        return Err(ExecutionError::function_error("without", "it takes an object and a list of names"));
    };
    let dropped = |key: &Key| {
        names.iter().any(|name| matches!((key, name), (Key::String(key), cel::Value::String(name)) if key == name))
    };
    let kept = object.map.iter().filter(|(key, _)| !dropped(key)).map(|(key, value)| (key.clone(), value.clone()));
    Ok(cel::Value::Map(cel::objects::Map { map: Arc::new(kept.collect()) }))
}

fn unclear(reason: &str) -> Result<bool, ExecutionError> {
    Err(ExecutionError::function_error("unclear", reason))
}

/// The error without the values that the library puts into its own text: they may be secret.
pub(super) fn explain(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no member `{}`", short(key)),
        ExecutionError::UndeclaredReference(name) => format!("`{name}` is not known"),
        ExecutionError::NoSuchOverload(overload) => {
            format!("`{}` does not apply to {}", overload.function(), overload.argument_types().join(" and "))
        }
        ExecutionError::FunctionError { function, message } if OWN.iter().any(|(name, _)| name == function) => {
            format!("{function}: {}", short(message))
        }
        ExecutionError::FunctionError { function, .. } => format!("`{function}` failed"),
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            format!("`{operator}` does not apply to {} and {}", value::kind(left), value::kind(right))
        }
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} and {} cannot be compared", value::kind(left), value::kind(right))
        }
        ExecutionError::IndexOutOfBounds(_) => "an index lies outside its list".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "a division by zero".to_owned(),
        ExecutionError::Overflow(..) => "a number overflows".to_owned(),
        _ => "the expression does not apply to these values".to_owned(),
    }
}

fn short(text: &str) -> String {
    if text.chars().count() <= 80 { text.to_string() } else { text.chars().take(79).chain(['…']).collect() }
}
