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

#[test]
fn the_examples_of_the_reference_page_load() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy.md")).expect("it is there");
    let mut examples = 0;
    for block in page.split("```yaml\n").skip(1) {
        let text = block.split("```").next().unwrap_or_default();
        let env = |name: &str| Some(std::format!("value-of-{name}-0123456789"));
        let policy = crate::Policy::parse(text, "docs/policy.md", &env);
        assert!(policy.is_ok(), "{}", policy.err().map(|problems| problems.render()).unwrap_or_default());
        examples += 1;
    }
    assert_eq!(examples, 3);
}

#[test]
fn the_reference_page_names_every_function_of_ours() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy.md")).expect("it is there");
    for own in &crate::expr::OWN {
        assert!(page.contains(&std::format!("`{}(", own.name)), "{} is not described", own.name);
    }
}
