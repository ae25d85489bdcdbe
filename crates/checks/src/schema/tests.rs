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

/// A value in which `c` leads down `depth` times.
fn ladder(depth: usize) -> Value {
    (0..depth).fold(json!("leaf"), |below, _| json!({ "c": below }))
}

/// `levels` definitions, each of which refers twice to the next.
fn doubling(levels: usize, step: impl Fn(Value) -> Value) -> Value {
    let mut defs = serde_json::Map::new();
    for level in 0..levels {
        let next = json!({ "$ref": std::format!("#/$defs/d{}", level + 1) });
        defs.insert(std::format!("d{level}"), step(next));
    }
    defs.insert(std::format!("d{levels}"), json!({ "type": "null" }));
    json!({ "$defs": defs, "$ref": "#/$defs/d0" })
}

#[test]
fn a_ladder_of_references_that_doubles_its_work_is_unusable() {
    let same_spot = |next: Value| json!({ "anyOf": [next.clone(), next] });
    let below =
        |next: Value| json!({ "allOf": [{ "properties": { "c": next.clone() } }, { "properties": { "c": next } }] });
    assert!(compile(&doubling(40, same_spot)).is_err());
    assert!(compile(&doubling(40, below)).is_err());
    assert!(compile(&doubling(8, same_spot)).expect("small").validate(&json!(1)).is_err());
    let apart = |next: Value| json!({ "properties": { "c": next.clone(), "d": next } });
    assert!(compile(&doubling(40, apart)).is_ok(), "two members are two spots");
}

#[test]
fn a_recursive_schema_that_doubles_its_work_judges_and_does_not_explain() {
    let again = json!({ "properties": { "c": { "$ref": "#" } } });
    let schema = compile(&json!({ "allOf": [again, again], "type": "object" })).expect("usable");
    let finding = schema.validate(&ladder(50)).expect_err("a string at the bottom");
    assert_eq!(finding.message, "does not fit the schema");
    assert_eq!(schema.validate(&ladder(2)).expect_err("a string at the bottom").path, "/c/c");
    let plain = compile(&json!({ "properties": { "c": { "$ref": "#" } }, "type": "object" })).expect("usable");
    assert_eq!(plain.validate(&ladder(20)).expect_err("a string at the bottom").path, "/c".repeat(20));
}

#[test]
fn schemas_as_generators_write_them_are_usable() {
    for schema in [
        json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/tool",
            "$defs": { "a%b": { "type": "string" } }, "properties": { "x": { "$ref": "#/$defs/a%25b" } } }),
        json!({ "definitions": { "n": { "$anchor": "node", "items": { "$ref": "#node" } } }, "$ref": "#node" }),
        json!({ "anyOf": [{ "type": "string" }, { "items": { "$ref": "#" } }, { "additionalProperties": { "$ref": "#" } }] }),
        json!({ "properties": { "$id": { "type": "string" }, "$ref": { "type": "string" } } }),
        json!({ "$dynamicAnchor": "tree", "properties": { "kids": { "items": { "$dynamicRef": "#tree" } } } }),
        json!(true),
    ] {
        assert!(compile(&schema).is_ok(), "{schema}: {:?}", compile(&schema).err());
    }
    assert!(compile(&json!({ "properties": { "x": { "$id": "inner", "$ref": "#/a" } } })).is_err());
}
