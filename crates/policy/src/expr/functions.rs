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
pub(crate) const OWN: [Own; 7] = [
    Own { name: "found", arguments: 2, form: "found(haystack, needle)" },
    Own { name: "without", arguments: 2, form: "without(object, [\"member\"])" },
    Own { name: "same", arguments: 2, form: "same(read, pre)" },
    Own { name: "same_count", arguments: 2, form: "same_count(read, pre)" },
    Own { name: "complete", arguments: 1, form: "complete(read)" },
    Own { name: "gone", arguments: 1, form: "gone(read)" },
    Own { name: "unclear", arguments: 1, form: "unclear(\"reason\")" },
];

/// One function of ours.
pub(crate) struct Own {
    pub name: &'static str,
    pub arguments: usize,
    pub form: &'static str,
}

pub(super) fn add_to(context: &mut cel::Context<'_, '_>) {
    // Adding fails only for a name that the library has itself; then `check` has refused the expression at load.
    let added = [
        context.add_function("found", |haystack: cel::Value, needle: cel::Value| found(&haystack, &needle)),
        context.add_function("without", |object: cel::Value, names: cel::Value| without(&object, &names)),
        context.add_function("same", |read: cel::Value, pre: cel::Value| same(&read, &pre)),
        context.add_function("same_count", |read: cel::Value, pre: cel::Value| same_count(&read, &pre)),
        context.add_function("complete", |read: cel::Value| complete("complete", &read)),
        context.add_function("gone", |read: cel::Value| gone(&read)),
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

/// The read shows exactly what it showed before: true, or no clear answer. An error counts only where it says that
/// the thing is not there; two equal time-outs say nothing of the world.
fn same(read: &cel::Value, pre: &cel::Value) -> Result<bool, ExecutionError> {
    if read != pre {
        return Err(ExecutionError::function_error("same", "the read changed in another way"));
    }
    match error_text(read) {
        Some(text) if !says_not_found(text) => Err(ExecutionError::function_error("same", "both reads failed")),
        _ => Ok(true),
    }
}

/// The read shows as many objects as before, and all there are: true, or no clear answer.
fn same_count(read: &cel::Value, pre: &cel::Value) -> Result<bool, ExecutionError> {
    complete("same_count", read)?;
    complete("same_count", pre)?;
    if count_objects(read) == count_objects(pre) {
        Ok(true)
    } else {
        Err(ExecutionError::function_error("same_count", "the read changed in another way"))
    }
}

/// The read shows all there is, as far as can be seen: true, or no clear answer. An outer list as long as a usual
/// page may go on.
fn complete(function: &str, read: &cel::Value) -> Result<bool, ExecutionError> {
    const PAGES: [usize; 10] = [10, 20, 25, 30, 50, 100, 200, 250, 500, 1000];
    let mut open = Vec::from([read]);
    while let Some(value) = open.pop() {
        match value {
            cel::Value::List(items) if PAGES.contains(&items.len()) => {
                return Err(ExecutionError::function_error(function, "the read may be cut off at a page"));
            }
            cel::Value::Map(object) => open.extend(object.map.values()),
            _ => {}
        }
    }
    Ok(true)
}

/// The read says that the thing is not there: an error that says so, `null`, or nothing at all.
fn gone(read: &cel::Value) -> Result<bool, ExecutionError> {
    match (error_text(read), read) {
        (Some(text), _) if says_not_found(text) => Ok(true),
        (Some(_), _) => Err(ExecutionError::function_error("gone", "the read failed")),
        (None, cel::Value::Null) => Ok(true),
        (None, cel::Value::Map(object)) => {
            Ok(object.map.is_empty() || object.map.values().all(|value| *value == cel::Value::Null))
        }
        (None, cel::Value::List(items)) => Ok(items.is_empty()),
        _ => Ok(false),
    }
}

fn error_text(read: &cel::Value) -> Option<&str> {
    let cel::Value::Map(object) = read else { return None };
    let member = |name: &str| {
        object.map.iter().find_map(|(key, value)| matches!(key, Key::String(key) if **key == name).then_some(value))
    };
    match (member("isError"), member("text")) {
        (Some(cel::Value::Bool(true)), Some(cel::Value::String(text))) => Some(text.as_str()),
        _ => None,
    }
}

fn says_not_found(text: &str) -> bool {
    const WORDS: [&str; 9] = [
        "not found",
        "no such",
        "does not exist",
        "doesn't exist",
        "unknown",
        "not_found",
        "notfound",
        "404",
        "no longer",
    ];
    let text = text.chars().take(2000).collect::<String>().to_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

fn count_objects(value: &cel::Value) -> usize {
    let (mut count, mut open) = (0, Vec::from([value]));
    while let Some(value) = open.pop() {
        match value {
            cel::Value::List(items) => open.extend(items.iter()),
            cel::Value::Map(object) => {
                count += 1;
                open.extend(object.map.values());
            }
            _ => {}
        }
    }
    count
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
        ExecutionError::FunctionError { function, message } if OWN.iter().any(|own| own.name == function) => {
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
