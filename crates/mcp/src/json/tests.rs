use super::*;

fn accepts(text: &str) {
    assert_eq!(check(text.as_bytes(), 64), Ok(()), "{text}");
}

fn refuses(text: &str) {
    assert!(check(text.as_bytes(), 64).is_err(), "{text}");
}

//= S-26
#[test]
fn whatever_json_allows_passes_the_check() {
    for text in [
        "0",
        "-0",
        "1E5",
        "1e400",
        "-12.50e+3",
        "12345678901234567890123",
        "\"\\ud800\"",
        "\"\\u00e9\\/\\n\"",
        "[]",
        "{}",
        " {\"a\" : [ 1 , {} , [ ] ] , \"b\":null } \r\n",
        "[true,false,null]",
        "{\"a\":1,\"a\":2}",
        "\"\"",
        "\"éàü漢字😀\"",
    ] {
        accepts(text);
    }
}

//= S-26
#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "1e",
        "+1",
        "-",
        "nul",
        "tru",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12",
        "\"\u{1}\"",
        "\"a\nb\"",
        "[1 2]",
        "{\"a\" 1}",
        "{\"a\":}",
        "1 2",
        "{} {}",
        "[1}",
        "{\"a\":1]",
        "\u{feff}{}",
        "[,1]",
        "{,}",
        "NaN",
    ] {
        refuses(text);
    }
    assert_eq!(check(b"\"\xff\"", 64), Err(Error::NotUtf8(1)));
}

//= S-26
#[test]
fn nesting_beyond_the_limit_is_refused_without_recursion() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(check(deep(64).as_bytes(), 64), Ok(()));
    assert_eq!(check(deep(65).as_bytes(), 64), Err(Error::TooDeep(64)));
    assert_eq!(check("[{\"a\":".repeat(100_000).as_bytes(), usize::MAX), Err(Error::TooDeep(DEPTH_MAX)));
}

#[test]
fn members_are_found_where_they_lie() {
    let bytes = br#" { "a" : {"b\u0063" :[1, "x,}" ,{"y":"]"}], "d" : 1e400 }, "e": "f" } "#;
    check(bytes, 64).expect("it is JSON");
    assert_eq!(get(bytes, &["a", "bc"]).expect("unique"), Some(&br#"[1, "x,}" ,{"y":"]"}]"#[..]));
    assert_eq!(get(bytes, &["a", "d"]).expect("unique"), Some(&b"1e400"[..]));
    assert_eq!(text(bytes, &["e"]).expect("unique").as_deref(), Some("f"));
    assert_eq!(get(bytes, &["e", "f"]).expect("unique"), None);
    assert_eq!(get(bytes, &["a", "x"]).expect("unique"), None);
    let array = find(bytes, &["a", "bc"]).expect("unique").expect("there");
    let all: Vec<&[u8]> = elements(bytes, array.start).expect("an array").map(|range| &bytes[range]).collect();
    assert_eq!(all, [&b"1"[..], br#""x,}""#, br#"{"y":"]"}"#]);
}

#[test]
fn a_member_that_appears_twice_is_an_error_where_it_is_looked_for() {
    let bytes = br#"{"a":1,"\u0061":2,"b":3}"#;
    assert_eq!(get(bytes, &["a"]), Err(Error::Duplicate));
    assert_eq!(get(bytes, &["b"]), Ok(Some(&b"3"[..])));
}

#[test]
fn text_survives_quoting_and_decoding() {
    for one in ["", "plain", "q\"\\/\n\r\t\u{8}\u{c}\u{1f}", "漢字 😀 é", "a\u{2028}b"] {
        assert_eq!(decode(&quote(one)).as_deref(), Some(one));
    }
    assert_eq!(decode(br#""\ud83d\ude00""#).as_deref(), Some("😀"));
    assert_eq!(decode(br#""x\ud800y""#).as_deref(), Some("x\u{fffd}y"));
    assert_eq!(decode(br#""\ud800\u0041""#).as_deref(), Some("\u{fffd}A"));
    assert_eq!(decode(b"12"), None);
    assert_eq!(decode(b"\""), None);
}

proptest::proptest! {
    #[test]
    fn the_check_agrees_with_serde_json(text in ".{0,64}") {
        let ours = check(text.as_bytes(), 64).is_ok();
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        proptest::prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn the_check_agrees_with_serde_json_on_things_like_json(
        text in "[\\[\\]{}:, \"a\\\\u0-9eE+.tfn-]{0,24}"
    ) {
        let ours = check(text.as_bytes(), 64).is_ok();
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        proptest::prop_assert_eq!(ours, theirs, "{}", text);
    }
}
