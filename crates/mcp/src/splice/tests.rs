use super::*;

fn after(edited: Result<Bytes, Error>) -> String {
    let bytes = edited.expect("the edit is possible");
    json::check(&bytes, 64).expect("the edit leaves JSON");
    String::from_utf8(bytes.to_vec()).expect("the edit leaves UTF-8")
}

/// Numbers, escapes and white space that no value type keeps.
const MESSAGE: &str = concat!(
    " { \"jsonrpc\" : \"2.0\",\"id\":12345678901234567890123,\n\t\"method\":\"tools/call\", \"x\" : 1e400 ,",
    "\"params\":{\"name\" :\"a\\ud800\",\"arguments\":{\"n\":1E5,\"big\":9007199254740993,\"s\":\"\\u00e9\"}, \"y\":[ 1 , 2 ]} } "
);

#[test]
fn replacing_a_member_leaves_every_other_byte() {
    let got = after(set(MESSAGE.as_bytes(), &["params", "name"], b"\"shop__a\""));
    assert_eq!(got, MESSAGE.replace("\"a\\ud800\"", "\"shop__a\""));
    let got = after(set(MESSAGE.as_bytes(), &["id"], b"\"k\""));
    assert_eq!(got, MESSAGE.replace("12345678901234567890123", "\"k\""));
    let got = after(set(MESSAGE.as_bytes(), &["params", "arguments"], b"{}"));
    assert_eq!(got, MESSAGE.replace("{\"n\":1E5,\"big\":9007199254740993,\"s\":\"\\u00e9\"}", "{}"));
}

#[test]
fn a_new_member_comes_after_the_last_one() {
    let got = after(set(MESSAGE.as_bytes(), &["params", "_meta", "k/x"], b"1"));
    assert_eq!(got, MESSAGE.replace("[ 1 , 2 ]}", "[ 1 , 2 ],\"_meta\":{\"k/x\":1}}"));
    assert_eq!(after(set(b"{}", &["a"], b"1")), r#"{"a":1}"#);
    assert_eq!(after(set(b"{ }", &["a", "b"], b"1")), r#"{"a":{"b":1} }"#);
    assert_eq!(after(set(br#"{"a":null}"#, &["a", "b"], b"1")), r#"{"a":{"b":1}}"#);
    assert_eq!(after(set(br#"{"a":1}"#, &["q\"uote"], b"1")), r#"{"a":1,"q\"uote":1}"#);
    assert_eq!(after(set(b" 1 ", &[], b"2")), " 2 ");
}

#[test]
fn several_members_are_set_at_once() {
    let values: [(&str, &[u8]); 3] = [("b", b"7"), ("x", b"8"), ("y", b"9")];
    assert_eq!(
        after(set_all(br#"{"m":{"a":1, "b":2, "c":3}}"#, &["m"], &values)),
        r#"{"m":{"a":1, "b":7, "c":3,"x":8,"y":9}}"#
    );
    assert_eq!(after(set_all(br#"{"m":{}}"#, &["m"], &values)), r#"{"m":{"b":7,"x":8,"y":9}}"#);
    assert_eq!(after(set_all(b"{}", &["m", "n"], &values)), r#"{"m":{"n":{"b":7,"x":8,"y":9}}}"#);
}

#[test]
fn an_ambiguous_or_impossible_path_is_an_error() {
    assert_eq!(set(br#"{"a":1,"a":2}"#, &["a"], b"3"), Err(Error::Duplicate));
    assert_eq!(set(br#"{"a":{},"a":{}}"#, &["a", "b"], b"3"), Err(Error::Duplicate));
    assert_eq!(set(br#"{"a":[]}"#, &["a", "b"], b"3"), Err(Error::NotAnObject));
    assert_eq!(set(b"[1]", &["a"], b"3"), Err(Error::NotAnObject));
}

#[test]
fn removing_a_member_takes_one_comma_along() {
    let check = |from: &str, path: &[&str], to: &str| assert_eq!(after(remove(from.as_bytes(), path)), to, "{from}");
    check(r#"{"a":1,"b":2,"c":3}"#, &["a"], r#"{"b":2,"c":3}"#);
    check(r#"{"a":1,"b":2,"c":3}"#, &["b"], r#"{"a":1,"c":3}"#);
    check(r#"{"a":1,"b":2,"c":3}"#, &["c"], r#"{"a":1,"b":2}"#);
    check(r#"{ "a" : 1 }"#, &["a"], r#"{ }"#);
    check(r#"{"a":{"b":1}, "c":1e400}"#, &["a", "b"], r#"{"a":{}, "c":1e400}"#);
    check(r#"{"a":1}"#, &["x"], r#"{"a":1}"#);
    check(r#"{"a":1}"#, &["x", "y"], r#"{"a":1}"#);
}

#[test]
fn removing_several_members_leaves_json_whichever_they_are() {
    let from = br#"{"a":1, "b":2 ,"c":3,"d":4}"#;
    for mask in 0_u8..16 {
        let gone = |key: &[u8]| mask >> (key[1] - b'a') & 1 == 1;
        let got = after(remove_all(from, &json::root(from), gone));
        let left: Vec<u8> =
            json::members(got.as_bytes(), 0).expect("an object").map(|one| got.as_bytes()[one.key.start + 1]).collect();
        let wanted: Vec<u8> = (b'a'..=b'd').filter(|key| mask >> (key - b'a') & 1 == 0).collect();
        assert_eq!(left, wanted, "{mask:04b}: {got}");
    }
}

#[test]
fn a_message_of_several_lines_becomes_one() {
    let pretty = Bytes::from_static(b"{\n  \"a\": \"x\\ny\",\r\n  \"b\": 1\n}");
    assert_eq!(one_line(&pretty), &b"{   \"a\": \"x\\ny\",    \"b\": 1 }"[..]);
    let flat = Bytes::from_static(b"{}");
    assert_eq!(one_line(&flat).as_ptr(), flat.as_ptr());
}

proptest::proptest! {
    #[test]
    fn what_was_set_is_what_is_found(keys in proptest::collection::vec("[a-c]{1,2}", 1..4), value in -1000_i64..1000) {
        let path: Vec<&str> = keys.iter().map(String::as_str).collect();
        let source = br#"{"a":{"b":{"c":1}},"bb":{"a":{}},"z":[1e400]}"#;
        let value = value.to_string();
        if let Ok(edited) = set(source, &path, value.as_bytes()) {
            json::check(&edited, 64).expect("the edit leaves JSON");
            proptest::prop_assert_eq!(json::get(&edited, &path), Ok(Some(value.as_bytes())));
            proptest::prop_assert_eq!(json::get(&edited, &["z"]), Ok(Some(&b"[1e400]"[..])));
        }
    }
}
