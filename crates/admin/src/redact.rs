//! The shape of a JSON body without its values.

use serde_json::{Map, Value};

/// Elements of an array that are shown; the rest is a count.
const ELEMENTS_MAX: usize = 3;
const MEMBERS_MAX: usize = 64;
/// Names of members that are longer are data, not names.
const NAME_MAX: usize = 64;

/// The body with each value replaced by what kind of value it is; what is no JSON is only counted.
pub(crate) fn shape(bytes: &[u8]) -> String {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => redacted(&value).to_string(),
        Err(_) => format!("<{} bytes>", bytes.len()),
    }
}

fn redacted(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => "<boolean>".into(),
        Value::Number(_) => "<number>".into(),
        Value::String(text) => format!("<text of {}>", text.chars().count()).into(),
        Value::Array(elements) => {
            let mut shown = elements.iter().take(ELEMENTS_MAX).map(redacted).collect::<Vec<_>>();
            if elements.len() > ELEMENTS_MAX {
                shown.push(format!("<{} more>", elements.len() - ELEMENTS_MAX).into());
            }
            Value::Array(shown)
        }
        Value::Object(members) => Value::Object(object(members)),
    }
}

fn object(members: &Map<String, Value>) -> Map<String, Value> {
    let name = |name: &str| {
        if name.chars().count() > NAME_MAX { "<a long name>".to_owned() } else { name.to_owned() }
    };
    let mut shown =
        members.iter().take(MEMBERS_MAX).map(|(member, value)| (name(member), redacted(value))).collect::<Map<_, _>>();
    if members.len() > MEMBERS_MAX {
        shown.insert("<more>".to_owned(), (members.len() - MEMBERS_MAX).into());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_and_values_go() {
        let body = br#"{"order_id": 7, "card": "4111-1111", "ok": true, "lines": [1, 2, 3, 4, 5], "note": null}"#;
        assert_eq!(
            shape(body),
            r#"{"order_id":"<number>","card":"<text of 9>","ok":"<boolean>","lines":["<number>","<number>","<number>","<2 more>"],"note":null}"#
        );
    }

    #[test]
    fn what_is_no_json_is_only_counted() {
        assert_eq!(shape(b"secret"), "<6 bytes>");
    }
}
