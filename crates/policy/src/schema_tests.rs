//! The published schema of the file is the one that the reader goes by.

extern crate std;

const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy.schema.json");

/// `UPDATE_SCHEMA=1 cargo test -p policy` writes it anew.
#[test]
fn the_published_schema_is_the_one_of_the_reader() {
    let schema = crate::schema_json();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(CHECKED_IN, &schema).expect("docs/ can be written");
    }
    let published = std::fs::read_to_string(CHECKED_IN).expect("docs/policy.schema.json is there");
    assert!(published == schema, "docs/policy.schema.json is old: UPDATE_SCHEMA=1 cargo test -p policy");
}

#[test]
fn every_key_of_the_schema_is_described() {
    let schema: serde_json::Value = serde_json::from_str(&crate::schema_json()).expect("it is JSON");
    let definitions = schema["$defs"].as_object().into_iter().flatten().map(|(_, definition)| definition);
    let mut keys = 0;
    for definition in definitions.chain([&schema]) {
        for (name, property) in definition["properties"].as_object().into_iter().flatten() {
            keys += 1;
            assert!(property["description"].is_string(), "`{name}` has no description");
        }
    }
    assert!(keys > 60, "{keys}");
}
