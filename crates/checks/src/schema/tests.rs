use super::*;
extern crate std;
use serde_json::json;
use std::string::ToString;

fn compile(schema: &Value) -> Result<Schema, Unusable> {
    Schema::compile(schema.to_string().as_bytes())
}

#[test]
fn a_reference_that_leads_outside_makes_the_schema_unusable() {
    for reference in [
        "https://example.com/schema.json",
        "http://127.0.0.1:1/schema.json",
        "file:///etc/passwd",
        "other.json",
        "json-schema:///other",
    ] {
        assert!(compile(&json!({ "$ref": reference })).is_err(), "{reference}");
        let inner = json!({ "properties": { "a": { "items": { "$ref": reference } } } });
        assert!(compile(&inner).is_err(), "{reference} inside");
    }
    assert!(compile(&json!({ "$schema": "https://example.com/own-dialect" })).is_err());
}

#[test]
fn the_dialect_is_2020_12_unless_the_schema_says_otherwise() {
    let tuple = json!({ "prefixItems": [{ "type": "integer" }] });
    assert!(compile(&tuple).expect("usable").validate(&json!(["x"])).is_err());
    let old = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "items": [{ "type": "integer" }] });
    let old = compile(&old).expect("usable");
    assert!(old.validate(&json!(["x"])).is_err());
    assert!(old.validate(&json!([1, "x"])).is_ok());
}

#[test]
fn a_finding_names_the_place_and_the_rule_and_not_the_value() {
    let schema = compile(&json!({
        "type": "object",
        "properties": { "card": { "type": "object", "properties": { "number": { "type": "integer" } } } },
    }))
    .expect("usable");
    let finding = schema.validate(&json!({ "card": { "number": "4111-secret" } })).expect_err("a string");
    assert_eq!(finding.path, "/card/number");
    assert_eq!(finding.at, "/properties/card/properties/number/type");
    assert_eq!(finding.message, "value is not of type \"integer\"");
    assert!(!finding.to_string().contains("secret"));
}

#[test]
fn no_keyword_repeats_the_value() {
    for schema in [
        json!({ "const": 1 }),
        json!({ "enum": ["a", "b"] }),
        json!({ "pattern": "^[0-9]+$" }),
        json!({ "maxLength": 3 }),
        json!({ "format": "uuid", "type": "integer" }),
        json!({ "anyOf": [{ "type": "integer" }, { "type": "null" }] }),
        json!({ "oneOf": [{ "type": "integer" }, { "minLength": 100 }] }),
        json!({ "not": { "type": "string" } }),
        json!(false),
    ] {
        let finding = compile(&schema).expect("usable").validate(&json!("s3cr3t-value")).expect_err("not allowed");
        assert!(!finding.to_string().contains("s3cr3t"), "{schema}: {finding}");
        assert!(finding.message.len() <= crate::finding::TEXT_MAX);
    }
}

#[test]
fn what_is_no_schema_is_unusable_and_says_why() {
    for schema in ["", "[]", "5", "\"x\"", r#"{"type":"strnig"}"#, r#"{"type":"object","type":"string"}"#] {
        assert!(Schema::compile(schema.as_bytes()).is_err(), "{schema}");
    }
    let look_around = compile(&json!({ "pattern": "(?=a)b" })).expect_err("not linear");
    assert!(look_around.to_string().starts_with("use the schema: "), "{look_around}");
    assert!(compile(&json!({ "pattern": "(((a{1000}){1000}){1000})" })).is_err(), "a pattern that explodes");
    let mut deep = json!({});
    for _ in 0..100 {
        deep = json!({ "not": deep });
    }
    assert!(compile(&deep).is_err());
    let huge = json!({ "enum": (0..200_000).collect::<std::vec::Vec<_>>() });
    assert!(compile(&huge).is_err());
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let turning =
        json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" });
    if let Ok(schema) = compile(&turning) {
        let _judged = schema.validate(&json!({ "x": 1 }));
    }
    let own = json!({ "anyOf": [{ "$ref": "#" }, { "type": "string" }] });
    if let Ok(schema) = compile(&own) {
        let _judged = schema.validate(&json!(1));
    }
    let tree = json!({ "type": "object", "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" } } });
    let tree = compile(&tree).expect("usable");
    assert!(tree.validate(&json!({ "left": { "right": {} } })).is_ok());
    assert!(tree.validate(&json!({ "left": { "right": 5 } })).is_err());
}

#[test]
fn a_schema_that_doubles_its_work_at_each_level_ends_soon() {
    let node = json!({ "$defs": { "n": {
        "anyOf": [
            { "properties": { "c": { "$ref": "#/$defs/n" } }, "required": ["x"] },
            { "properties": { "c": { "$ref": "#/$defs/n" } }, "required": ["y"] },
            { "type": "integer" },
        ]
    } }, "$ref": "#/$defs/n" });
    let mut defs = serde_json::Map::new();
    for level in 0..40 {
        let next = std::format!("#/$defs/d{}", level + 1);
        defs.insert(std::format!("d{level}"), json!({ "anyOf": [{ "$ref": next }, { "$ref": next }] }));
    }
    defs.insert("d40".into(), json!({ "type": "null" }));
    let chain = json!({ "$defs": defs, "$ref": "#/$defs/d0" });
    let mut deep = json!("leaf");
    for _ in 0..40 {
        deep = json!({ "c": deep });
    }
    for schema in [node, chain] {
        if let Ok(schema) = compile(&schema) {
            let start = std::time::Instant::now();
            assert!(schema.validate(&deep).is_err());
            assert!(start.elapsed() < std::time::Duration::from_secs(5));
        }
    }
}
