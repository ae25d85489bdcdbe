use super::*;
extern crate std;
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;
use std::string::String;

fn problem(text: &[u8]) -> (usize, Problem) {
    let error = scan(text, &Limits::default()).expect_err("it must be refused");
    (error.at, error.problem)
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

//= S-26
#[test]
fn a_duplicate_key_is_refused_at_any_depth_and_in_any_spelling() {
    assert_eq!(problem(br#"{"a":1,"a":1}"#), (7, Problem::DuplicateKey("a".into())));
    assert_eq!(problem(br#"[{"x":{"a":1,"b":2,"\u0061":3}}]"#), (19, Problem::DuplicateKey("a".into())));
    let many: Vec<String> = (0..40).map(|index| alloc::format!("\"k{}\":0", index % 39)).collect();
    let text = alloc::format!("{{{}}}", many.join(","));
    assert!(matches!(problem(text.as_bytes()).1, Problem::DuplicateKey(key) if key == "k0"));
    assert!(scan(br#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#, &Limits::default()).is_ok());
}

#[test]
fn each_refusal_names_the_byte_and_the_reason() {
    assert_eq!(problem(b""), (0, Problem::UnexpectedEnd));
    assert_eq!(problem(b"{\"a\":"), (5, Problem::UnexpectedEnd));
    assert_eq!(problem(b"[1,2"), (4, Problem::UnexpectedEnd));
    assert_eq!(problem(b"[1,]"), (3, Problem::Unexpected));
    assert_eq!(problem(b"{}x"), (2, Problem::TrailingBytes));
    assert_eq!(problem(b"nul"), (3, Problem::UnexpectedEnd));
    assert_eq!(problem(b"01"), (1, Problem::BadNumber));
    assert_eq!(problem(b"-"), (1, Problem::UnexpectedEnd));
    assert_eq!(problem(b"[1.]"), (3, Problem::BadNumber));
    assert_eq!(problem(b"\"\xff\""), (1, Problem::NotUtf8));
    assert_eq!(problem(b"\xef\xbb\xbf{}"), (0, Problem::Unexpected));
    assert_eq!(problem(b"\"a\nb\""), (2, Problem::ControlCharacter));
    assert_eq!(problem(br#""\x""#), (1, Problem::BadEscape));
    assert_eq!(problem(br#""\u12"#), (5, Problem::UnexpectedEnd));
    assert_eq!(problem(br#""a\ud800b""#), (2, Problem::LoneSurrogate));
    assert_eq!(problem(br#""\ud800\u0041""#), (1, Problem::LoneSurrogate));
    assert_eq!(problem(br#""\udc00""#), (1, Problem::LoneSurrogate));
    let error = scan(br#"{"a":1,"a":2}"#, &Limits::default()).expect_err("a duplicate");
    assert_eq!(error.to_string(), "duplicate key \"a\" at byte 7");
}

#[test]
fn limits_hold_exactly() {
    let limits = Limits { bytes: 200, depth: 5, values: 10 };
    assert!(scan(nested(5).as_bytes(), &limits).is_ok());
    assert_eq!(
        scan(nested(6).as_bytes(), &limits).map(|_| ()),
        Err(Error { at: 5, problem: Problem::TooDeep { limit: 5 } })
    );
    assert!(scan(b"[0,0,0,0,0,0,0,0,0]", &limits).is_ok());
    assert!(scan(b"[0,0,0,0,0,0,0,0,0,0]", &limits).is_err());
    assert!(scan(&vec![b' '; 201], &limits).is_err());
    let deep = Limits { depth: 1_000_000, ..Limits::default() };
    assert!(scan(nested(100_000).as_bytes(), &deep).is_err(), "no limit lets the stack overflow");
}

#[test]
fn numbers_are_bounded_and_never_rounded() {
    assert!(scan(b"[1e400,-0.0,12345678901234567890123,1E+5,1e-999999]", &Limits::default()).is_ok());
    assert_eq!(problem(b"1e1000000").1, Problem::NumberTooLong);
    assert_eq!(problem("1".repeat(DIGITS_MAX + 1).as_bytes()).1, Problem::NumberTooLong);
    assert_eq!(value(b"[1e400]").map_err(|error| error.problem), Err(Problem::NumberOutOfRange));
}

#[test]
fn a_document_is_read_without_a_copy() {
    let text = br#"{"content":[{"type":"t\u0065xt"}],"n":42,"x":{"y":[true,null]}}"#;
    let document = scan(text, &Limits::default()).expect("valid");
    let root = document.root();
    assert_eq!(root.find(["content", "0", "type"]).and_then(Item::text).as_deref(), Some("text"));
    assert_eq!(root.get("n").and_then(Item::unsigned), Some(42));
    assert_eq!(root.find(["x", "y"]).map(|item| &text[item.range()]), Some(&b"[true,null]"[..]));
    assert_eq!(root.find(["x", "y", "1"]).map(Item::kind), Some(ItemKind::Null));
    assert!(root.get("absent").is_none());
    assert_eq!(root.members().map(|(key, _)| key.text().into_owned()).collect::<Vec<_>>(), ["content", "n", "x"]);
}

/// What serde_json takes and this scanner refuses, on purpose.
fn is_strictness(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::DuplicateKey(_) | Problem::TooDeep { .. } | Problem::NumberTooLong | Problem::TooManyValues { .. }
    )
}

fn agrees_with_serde(bytes: &[u8]) -> Result<(), TestCaseError> {
    let ours = scan(bytes, &Limits::default());
    let theirs = value(bytes);
    match (&ours, &theirs) {
        (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => prop_assert!(is_strictness(&error.problem), "{error}"),
        (Ok(_), Err(error)) => prop_assert_eq!(&error.problem, &Problem::NumberOutOfRange),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        agrees_with_serde(&bytes)?;
    }

    #[test]
    fn text_that_is_nearly_json_is_judged_as_serde_json_does(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ":", ",", "\"a\"", "\"b\\n\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"",
                "1", "-0", "0.5", "1e5", "1e400", "01", ".", "true", "null", "fals", " ", "\n", "\"", "\\", "é",
            ]),
            0..12,
        )
    ) {
        agrees_with_serde(parts.concat().as_bytes())?;
    }

    #[test]
    fn strings_decode_as_serde_json_decodes_them(text in any::<String>(), ascii in any::<bool>()) {
        let mut json = serde_json::to_string(&text).expect("a string");
        if ascii {
            json = json.chars().map(|c| if c.is_ascii() { c.to_string() } else {
                c.encode_utf16(&mut [0; 2]).iter().map(|unit| alloc::format!("\\u{unit:04x}")).collect()
            }).collect();
        }
        let document = scan(json.as_bytes(), &Limits::default()).expect("valid");
        prop_assert_eq!(document.root().text().expect("a string"), text);
    }
}
