use super::*;
use crate::envelope::Limits;
use std::collections::HashMap;

fn message(text: &str) -> Envelope {
    Envelope::parse(bytes::Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("a message")
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay",
    "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

fn checked(text: &str, headers: &[(&'static str, &'static str)]) -> Result<(), Mismatch> {
    let headers: HashMap<_, _> = headers.iter().copied().collect();
    check(&message(text), |name| headers.get(name).copied())
}

const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const METHOD: (&str, &str) = ("mcp-method", "tools/call");

#[test]
fn headers_that_mirror_the_body_pass() {
    assert_eq!(checked(CALL, &[VERSION, METHOD, ("mcp-name", "pay")]), Ok(()));
    assert_eq!(checked(CALL, &[VERSION, METHOD, ("mcp-name", "=?base64?cGF5?=")]), Ok(()));
    assert_eq!(checked(r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#, &[]), Ok(()));
}

//= S-26
#[test]
fn headers_that_differ_or_are_missing_are_told() {
    use Mismatch::{Differs, Missing, Unreadable};
    assert_eq!(checked(CALL, &[METHOD, ("mcp-name", "pay")]), Err(Missing("MCP-Protocol-Version")));
    assert_eq!(checked(CALL, &[("mcp-protocol-version", "2025-11-25"), METHOD]), Err(Differs("MCP-Protocol-Version")));
    assert_eq!(checked(CALL, &[VERSION, ("mcp-name", "pay")]), Err(Missing("Mcp-Method")));
    assert_eq!(checked(CALL, &[VERSION, ("mcp-method", "tools/list")]), Err(Differs("Mcp-Method")));
    assert_eq!(checked(CALL, &[VERSION, ("mcp-method", "Tools/Call")]), Err(Differs("Mcp-Method")));
    assert_eq!(checked(CALL, &[VERSION, METHOD]), Err(Missing("Mcp-Name")));
    assert_eq!(checked(CALL, &[VERSION, METHOD, ("mcp-name", "read")]), Err(Differs("Mcp-Name")));
    assert_eq!(checked(CALL, &[VERSION, METHOD, ("mcp-name", "=?base64?!?=")]), Err(Unreadable("Mcp-Name")));
}

#[test]
fn the_mirrors_of_a_message_pass_their_own_check() {
    for name in ["pay", "läuft", " padded ", "line\nbreak", "=?base64?x?=", "file:///a%20b"] {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":{}}}}}"#,
            String::from_utf8_lossy(&json::quote(name))
        );
        let message = message(&text);
        let mut headers: HashMap<&str, String> = mirrors(&message).into_iter().collect();
        headers.insert("mcp-protocol-version", "2026-07-28".into());
        assert_eq!(check(&message, |name| headers.get(name).map(String::as_str)), Ok(()), "{name:?}");
    }
}

/// The examples of the specification.
#[test]
fn values_are_encoded_as_the_specification_shows() {
    for (value, encoded) in [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
    ] {
        assert_eq!(encode(value), encoded);
        assert_eq!(decode(encoded).as_deref(), Some(value));
    }
    for broken in ["=?base64?a?=", "=?base64?a===?=", "=?base64?aa==aaaa?=", "=?base64?/w==?="] {
        assert_eq!(decode(broken), None, "{broken}");
    }
}

#[test]
fn declared_arguments_are_mirrored() {
    let schema = br#"{"type":"object","properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}},
        "plain":{"type":"string"},"flag":{"x-mcp-header":"Flag","type":"boolean"}}}"#;
    let declared = Declarations::read(schema).expect("valid");
    let headers = declared.headers(br#"{"region":"us\u002dwest1","deep":{"n":42},"flag":null,"plain":"x"}"#);
    assert_eq!(headers, [("mcp-param-region".into(), "us-west1".into()), ("mcp-param-n".into(), "42".into())]);
    assert!(declared.headers(b"{}").is_empty());
    assert!(Declarations::read(br#"{"type":"object"}"#).expect("none").is_empty());
}

#[test]
fn a_declaration_that_breaks_a_rule_makes_the_tool_unusable() {
    for schema in [
        r#"{"x-mcp-header":"A","type":"string"}"#,
        r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
        r#"{"properties":{"a":{"x-mcp-header":"A"}}}"#,
        r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
        r#"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
        r#"{"properties":{"a":{"type":"string","x-mcp-header":7}}}"#,
        r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
        r#"{"properties":{"a":{"items":{"type":"string","x-mcp-header":"A"}}}}"#,
        r#"{"anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#,
        r#"{"$defs":{"d":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}}"#,
    ] {
        assert!(Declarations::read(schema.as_bytes()).is_err(), "{schema}");
    }
    let property = br#"{"properties":{"x-mcp-header":{"type":"string"},"items":{"type":"string","x-mcp-header":"I"}}}"#;
    assert!(Declarations::read(property).is_ok(), "properties may have any name");
}

//= S-26
#[test]
fn a_deeply_nested_schema_costs_no_more_than_its_size() {
    let inner = r#"{"properties":{"x-mcp-header":{"type":"string"}}}"#;
    let deep = format!("{}{inner}{}", r#"{"$defs":{"not":{"not":"#.repeat(30), "}}}".repeat(30));
    json::check(deep.as_bytes(), json::DEPTH_MAX).expect("it is JSON");
    assert!(Declarations::read(deep.as_bytes()).expect("a property may have that name").is_empty());
}

#[test]
fn mirrored_arguments_have_to_say_what_the_body_says() {
    let schema = br#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},
        "count":{"type":"integer","x-mcp-header":"Count"},"free":{"type":"string"}}}"#;
    let declared = Declarations::read(schema).expect("good declarations");
    let check = |arguments: &str, given: &[(&str, &'static str)]| {
        declared.check(arguments.as_bytes(), |name| given.iter().find(|(own, _)| *own == name).map(|(_, value)| *value))
    };
    let both = r#"{"region":"Hello","count":42,"free":"x"}"#;
    assert_eq!(check(both, &[("mcp-param-region", "Hello"), ("mcp-param-count", "42")]), Ok(()));
    assert_eq!(check(both, &[("mcp-param-region", "=?base64?SGVsbG8=?="), ("mcp-param-count", "42.0")]), Ok(()));
    assert_eq!(check("{}", &[]), Ok(()));
    assert_eq!(check(r#"{"region":null}"#, &[("mcp-param-other", "x")]), Ok(()));
    for wrong in [
        &[("mcp-param-region", "Hello")][..],
        &[("mcp-param-region", "hello"), ("mcp-param-count", "42")],
        &[("mcp-param-region", "SGVsbG8="), ("mcp-param-count", "42")],
        &[("mcp-param-region", "=?base64?SGVsbG8?="), ("mcp-param-count", "42")],
        &[("mcp-param-region", "=?base64?SGVs!!!bG8=?="), ("mcp-param-count", "42")],
        &[("mcp-param-region", "Hello"), ("mcp-param-count", "43")],
    ] {
        assert!(check(both, wrong).is_err(), "{wrong:?}");
    }
    assert!(check("{}", &[("mcp-param-region", "Hello")]).is_err(), "the body has no such argument");
}
