//! `Checked<T>`: a value that passed the boundary checks. Only this crate makes one, so a function that takes it cannot
//! be handed an unchecked value by accident.

use crate::finding::Finding;
use crate::json::{self, Document, Limits};
use crate::schema::Schema;
use bytes::Bytes;
use core::ops::Deref;
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked<T>(T);

impl<T> Checked<T> {
    //= G7
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    pub fn into_inner(self) -> T {
        self.0
    }
}

impl Checked<Bytes> {
    /// Bytes that were checked before the journal stored them, read back unchanged.
    pub const fn from_journal(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl<T> Deref for Checked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The arguments of a call: strict JSON, an object, valid against the tool's input schema where it has a usable one.
/// The value that was judged comes back beside the bytes, so that nobody parses twice.
///
/// Many clients send `null` for an optional argument that is left out, and the specification counts on it; such a call
/// is judged as if it were. The tool gets what was sent.
///
/// # Errors
/// The first thing that is wrong.
//= S-17
pub fn check_arguments(
    args: Bytes,
    limits: &Limits,
    schema: Option<&Schema>,
) -> Result<(Checked<Bytes>, Value), Finding> {
    let document = json::scan(&args, limits)?;
    let value = check_scanned(&document, schema)?;
    Ok((Checked::new(args), value))
}

/// The same for arguments that are scanned already.
///
/// # Errors
/// The first thing that is wrong.
//= S-17
pub fn check_scanned(document: &Document<'_>, schema: Option<&Schema>) -> Result<Value, Finding> {
    let value = json::value(document.bytes())?;
    if !value.is_object() {
        return Err(Finding::new(crate::Rule::Shape, "", "arguments must be an object"));
    }
    if let Some(schema) = schema
        && let Err(finding) = schema.validate(&value)
        && !fits_without_nulls(schema, &value)
    {
        return Err(finding);
    }
    Ok(value)
}

fn fits_without_nulls(schema: &Schema, value: &Value) -> bool {
    let Value::Object(members) = value else { return false };
    if !members.values().any(Value::is_null) {
        return false;
    }
    let rest = members.iter().filter(|(_, member)| !member.is_null());
    schema.validate(&Value::Object(rest.map(|(name, member)| (name.clone(), member.clone())).collect())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rule;

    fn check(args: &'static str, schema: &str) -> Result<(), Rule> {
        let schema = Schema::compile(schema.as_bytes()).expect("a usable schema");
        check_arguments(Bytes::from_static(args.as_bytes()), &Limits::default(), Some(&schema))
            .map(|_| ())
            .map_err(|finding| finding.rule)
    }

    const AMOUNT: &str = r#"{"type":"object","properties":{"amount":{"type":"integer"}},"required":["amount"]}"#;

    //= S-17
    #[test]
    fn arguments_must_fit_the_input_schema() {
        assert_eq!(check(r#"{"amount":5}"#, AMOUNT), Ok(()));
        assert_eq!(check(r#"{"amount":"5"}"#, AMOUNT), Err(Rule::Schema));
        assert_eq!(check("[]", AMOUNT), Err(Rule::Shape));
    }

    //= S-17
    #[test]
    fn null_for_an_argument_that_may_be_left_out_is_one_that_is_left_out() {
        const NOTED: &str = r#"{"type":"object","properties":{"amount":{"type":"integer"},"note":{"type":"string"}},
            "required":["amount"],"additionalProperties":false}"#;
        assert_eq!(check(r#"{"amount":5,"note":null}"#, NOTED), Ok(()));
        assert_eq!(check(r#"{"amount":null,"note":"x"}"#, NOTED), Err(Rule::Schema), "this one is needed");
        assert_eq!(check(r#"{"amount":"5","note":null}"#, NOTED), Err(Rule::Schema), "the rest is judged as ever");
        assert_eq!(check(r#"{"amount":5,"note":{"in":null}}"#, NOTED), Err(Rule::Schema));
    }

    //= S-26
    #[test]
    fn a_duplicate_key_cannot_show_the_validator_one_value_and_the_tool_another() {
        assert_eq!(check(r#"{"amount":5,"amount":5000}"#, AMOUNT), Err(Rule::Json));
        assert_eq!(check(r#"{"amount":5,"\u0061mount":5000}"#, AMOUNT), Err(Rule::Json));
    }
}
