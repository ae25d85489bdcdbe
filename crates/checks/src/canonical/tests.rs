use super::*;
extern crate std;
use alloc::string::{String, ToString};
use alloc::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn text(json: &str) -> String {
    String::from_utf8(canonical(json.as_bytes()).expect("valid")).expect("UTF-8")
}

fn print(json: &str) -> Hash {
    fingerprint(json.as_bytes()).expect("valid")
}

//= S-23
#[test]
fn ids_that_a_double_cannot_tell_apart_stay_two() {
    assert_ne!(print("9007199254740992"), print("9007199254740993"));
    assert_ne!(print("0.1"), print("0.1000000000000000055511151231257827"));
}

#[test]
fn one_value_has_one_text() {
    for (json, expected) in [
        ("1", "1"),
        ("1.0", "1"),
        ("10e-1", "1"),
        ("1e0", "1"),
        ("-0", "0"),
        ("0.0e5", "0"),
        ("100", "100"),
        ("1E2", "100"),
        ("1.50", "1.5"),
        ("15e-1", "1.5"),
        ("0.0015", "0.0015"),
        ("1.5e-3", "0.0015"),
        ("-12.30", "-12.3"),
        ("0.5", "0.5"),
        ("5e-1", "0.5"),
        ("1e400", "1e400"),
        ("10e399", "1e400"),
        ("1e-400", "1e-400"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e21"),
        ("1000000000000000000000", "1e21"),
    ] {
        assert_eq!(text(json), expected, "{json}");
    }
}

#[test]
fn keys_go_by_code_point_and_strings_by_their_characters() {
    assert_eq!(text(r#"{"b":1,"a":{"d":null,"c":[]}}"#), r#"{"a":{"c":[],"d":null},"b":1}"#);
    // UTF-16 order, as of RFC 8785, would turn these two round.
    assert_eq!(text("{\"\u{1F600}\":1,\"\u{FB33}\":2}"), "{\"\u{FB33}\":2,\"\u{1F600}\":1}");
    assert_eq!(text(r#""\u00e9\/\n\u0022\\""#), "\"é/\\u000a\\\"\\\\\"");
    assert_eq!(text(r#"{"a!":1,"a":2,"a ":3}"#), r#"{"a":2,"a ":3,"a!":1}"#);
    assert_ne!(print("\"\u{e9}\""), print("\"e\u{301}\""), "no Unicode normalisation");
    assert_ne!(print(r#"{"a":null}"#), print("{}"), "null is not absent");
}

#[test]
fn volatile_members_count_as_absent() {
    let volatile = [path("trace"), path("order.stamp"), path("/items/*/at")];
    let of =
        |json: &str| json::scan(json.as_bytes(), &Limits::default()).expect("valid").fingerprint_without(&volatile);
    let left = r#"{"order":{"id":1,"stamp":5},"items":[{"at":1,"sku":"x"},{"sku":"y"}],"trace":"a"}"#;
    let right = r#"{"items":[{"sku":"x"},{"at":9,"sku":"y"}],"order":{"id":1}}"#;
    assert_eq!(of(left), of(right));
    assert_eq!(of(left), print(r#"{"items":[{"sku":"x"},{"sku":"y"}],"order":{"id":1}}"#));
    assert_ne!(of(left), of(r#"{"items":[],"order":{"id":1}}"#));
}

#[test]
fn identity_members_alone_decide_when_policy_names_them() {
    let identity = [path("order.id"), path("amount")];
    let of = |json: &str| json::scan(json.as_bytes(), &Limits::default()).expect("valid").fingerprint_of(&identity);
    assert_eq!(of(r#"{"order":{"id":7},"amount":5,"note":"a"}"#), of(r#"{"amount":5.0,"order":{"id":7,"x":1}}"#));
    assert_ne!(of(r#"{"order":{"id":7},"amount":5}"#), of(r#"{"order":{"id":7},"amount":6}"#));
    assert_ne!(of(r#"{"order":{"id":7},"amount":null}"#), of(r#"{"order":{"id":7}}"#));
    assert_ne!(of(r#"{"note":"a"}"#), of(r#"{"note":"b"}"#), "nothing named is there, so everything counts");
}

#[test]
fn a_conflict_names_the_paths_and_never_the_values() {
    let paths = |left: &str, right: &str| differing_paths(left.as_bytes(), right.as_bytes()).expect("valid");
    assert_eq!(paths(r#"{"a":1,"b":[1,2]}"#, r#"{"b":[1.0,2],"a":1}"#), Vec::<String>::new());
    assert_eq!(
        paths(
            r#"{"a":{"x/y":1},"b":[1,2],"c":1,"secret":"s3cr3t"}"#,
            r#"{"a":{"x/y":2},"b":[1],"d":1,"secret":"other"}"#
        ),
        ["/a/x~1y", "/b/1", "/c", "/d", "/secret"]
    );
    assert_eq!(paths("1", "[]"), [""]);
    let many = |of: i32| Value::Array((0..100).map(|n| json!(n * of)).collect()).to_string();
    assert_eq!(paths(&many(1), &many(2)).len(), PATHS_MAX);
}

/// Stored with every step: they must never change.
#[test]
fn golden_fingerprints() {
    for (json, expected) in [
        ("{}", "6e46dd10defc9b56c29a6ec56b508c21f54c08192194e4df25bf36f0c9c3c279"),
        (r#"{"b":[1.50,null],"a":"\u00e9"}"#, "287608161bd474cdbb628519b1f935c424a4127cb31f865ec3ca86b48afc1c42"),
    ] {
        assert_eq!(print(json).to_string(), expected, "{json}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        "[a-z\"\\\\\n\u{e9}\u{1F600}]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-c!\"\u{e9}]{0,3}", inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// The same value with its members turned round and blanks between.
fn rewrite(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            alloc::format!("[ {} ]", items.iter().map(rewrite).collect::<Vec<_>>().join("\n,"))
        }
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .rev()
                .map(|(key, value)| alloc::format!("{} :\t{}", Value::from(key.clone()), rewrite(value)))
                .collect();
            alloc::format!("{{ {} }}", members.join(" , "))
        }
        Value::Number(number) if number.is_i64() => alloc::format!("{number}0e-1"),
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn canonical_is_a_fixed_point_and_means_the_same(value in any_json()) {
        let json = value.to_string();
        let once = canonical(json.as_bytes()).expect("valid");
        prop_assert_eq!(&canonical(&once).expect("valid"), &once);
        prop_assert_eq!(print(&json), Hash(*blake3::hash(&once).as_bytes()));
        let back: Value = serde_json::from_slice(&once).expect("canonical is JSON");
        prop_assert_eq!(canonical(back.to_string().as_bytes()).expect("valid"), once);
    }

    #[test]
    fn order_blanks_and_spelling_of_numbers_do_not_count(value in any_json()) {
        let (json, other) = (value.to_string(), rewrite(&value));
        prop_assert_eq!(print(&json), print(&other), "{} {}", json, other);
        prop_assert_eq!(differing_paths(json.as_bytes(), other.as_bytes()).expect("valid"), Vec::<String>::new());
    }

    #[test]
    fn different_values_have_different_texts(left in any_json(), right in any_json()) {
        let (one, other) = (left.to_string(), right.to_string());
        let differ = differing_paths(one.as_bytes(), other.as_bytes()).expect("valid");
        prop_assert_eq!(text(&one) == text(&other), differ.is_empty());
    }

    #[test]
    fn different_numbers_have_different_texts(
        one in -100_000_i64..100_000, other in -100_000_i64..100_000, left in -5_i32..5, right in -5_i32..5,
    ) {
        let scaled = |digits: i64, exponent: i32| i128::from(digits) * 10_i128.pow((exponent + 5) as u32);
        let same = scaled(one, left) == scaled(other, right);
        let texts = (text(&alloc::format!("{one}e{left}")), text(&alloc::format!("{other}e{right}")));
        prop_assert_eq!(texts.0 == texts.1, same, "{:?}", texts);
    }

    #[test]
    fn bytes_that_are_not_json_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(canonical(&bytes).is_ok(), differing_paths(&bytes, b"{}").is_ok());
    }
}

#[test]
fn a_large_document_hashes_as_its_canonical_bytes() {
    let long = "x".repeat(40_000);
    let value = json!({ "z": long, "a": vec![long.clone(); 3], "n": (0..5_000).collect::<Vec<_>>() });
    let json = value.to_string();
    assert_eq!(print(&json), Hash(*blake3::hash(&canonical(json.as_bytes()).expect("valid")).as_bytes()));
}
