use super::*;

fn parse(text: &str) -> Result<Envelope, Error> {
    Envelope::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
}

#[test]
fn each_kind_of_message_is_told_by_its_members() {
    let check = |text: &str, kind: Kind| assert_eq!(parse(text).expect("a message").kind(), kind, "{text}");
    check(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Kind::Request);
    check(r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":{}}"#, Kind::Notification);
    check(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#, Kind::Response);
    check(r#"{"jsonrpc":"2.0","id":"a","result":null}"#, Kind::Response);
    check(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"m"}}"#, Kind::Error);
    check(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#, Kind::Error);
    check(r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"m"}}"#, Kind::Error);
}

//= S-26
#[test]
fn what_is_no_message_is_refused() {
    for text in [
        "[]",
        "1",
        "{}",
        r#"{"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":{},"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":7}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","result":{}}"#,
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.code(), crate::code::INVALID_REQUEST, "{text}");
    }
    assert_eq!(parse("{").expect_err("cut").code(), crate::code::PARSE_ERROR);
}

//= S-26
#[test]
fn a_member_written_twice_is_refused_even_when_one_is_escaped() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","\u006dethod":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}"#,
    ] {
        assert_eq!(parse(text).err(), Some(Error::Json(json::Error::Duplicate)), "{text}");
    }
}

#[test]
fn the_bytes_are_the_bytes_that_came() {
    let text = " { \"jsonrpc\":\"2.0\", \"x\":1e400, \"id\" : 12345678901234567890123 ,\"method\":\"tools\\/call\",\n\
                 \"params\":{\"n\":1E5,\"s\":\"\\ud800\"} } ";
    let envelope = parse(text).expect("a message");
    assert_eq!(envelope.bytes(), text.as_bytes());
    assert_eq!(envelope.id(), Some(&b"12345678901234567890123"[..]));
    assert_eq!(envelope.method(), Some("tools/call"));
    assert_eq!(envelope.param(&["s"]).expect("unique"), Some(&br#""\ud800""#[..]));
    assert_eq!(envelope.into_bytes(), text.as_bytes());
}

#[test]
fn parts_are_kept_without_a_copy() {
    let envelope = parse(r#"{"jsonrpc":"2.0","id":"a","result":{"content":[]}}"#).expect("a message");
    let result = envelope.body_bytes().expect("a result");
    assert_eq!(&result[..], br#"{"content":[]}"#);
    assert!(envelope.bytes().as_ptr_range().contains(&result.as_ptr()));
    assert_eq!(envelope.id_bytes().as_deref(), Some(&br#""a""#[..]));
}

#[test]
fn a_batch_is_read_member_by_member() {
    let limits = Limits { batch: 2, ..Limits::default() };
    let read = |text: &'static str| Envelope::parse_any(Bytes::from_static(text.as_bytes()), &limits);
    let Ok(Incoming::Batch(batch)) =
        read(r#" [ {"jsonrpc":"2.0","id":1,"method":"ping"} , {"jsonrpc":"2.0","method":"notifications/x"} ] "#)
    else {
        unreachable!("two messages are a batch");
    };
    assert_eq!(batch.iter().map(Envelope::kind).collect::<Vec<_>>(), [Kind::Request, Kind::Notification]);
    assert_eq!(batch[0].bytes(), &br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#[..]);
    assert!(read("[]").is_err());
    assert!(read("[1]").is_err());
    let m = r#"{"jsonrpc":"2.0","method":"m"}"#;
    let three = format!("[{m},{m},{m}]");
    assert!(Envelope::parse_any(three.into(), &limits).is_err());
    assert!(matches!(read(r#"{"jsonrpc":"2.0","method":"m"}"#), Ok(Incoming::One(_))));
}

//= S-26
#[test]
fn size_and_depth_are_bounded() {
    let limits = Limits { bytes: 64, depth: 3, batch: 1 };
    let read = |text: String| Envelope::parse(text.into(), &limits);
    assert_eq!(read(" ".repeat(65)).err(), Some(Error::TooLarge(64)));
    assert!(read(r#"{"jsonrpc":"2.0","method":"m","params":[[1]]}"#.into()).is_ok());
    assert!(read(r#"{"jsonrpc":"2.0","method":"m","params":[[[1]]]}"#.into()).is_err());
}

#[test]
fn debug_output_holds_no_payload() {
    let envelope = parse(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"secret":"s3cr3t"}}"#);
    assert!(!format!("{envelope:?}").contains("s3cr3t"));
}

#[test]
fn what_is_wrong_with_a_member_counts_only_when_all_of_it_is_json() {
    let limits = Limits::default();
    let code = |text: &'static str| Envelope::parse(Bytes::from_static(text.as_bytes()), &limits).map_err(|e| e.code());
    assert_eq!(code(r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#).err(), Some(crate::code::INVALID_REQUEST));
    assert_eq!(code(r#"{"jsonrpc":"1.0","id":1,"method":"a","#).err(), Some(crate::code::PARSE_ERROR));
    assert_eq!(code(r#"{"jsonrpc":"2.0","id":1,"id":1,"method":"a""#).err(), Some(crate::code::PARSE_ERROR));
    assert_eq!(code(" [1] ").err(), Some(crate::code::INVALID_REQUEST));
    assert_eq!(code("1").err(), Some(crate::code::INVALID_REQUEST));
}

#[test]
fn only_members_of_the_message_itself_are_its_own() {
    let text = r#" { "params" : {"id":9,"x":[{"method":"no"}]} , "method":"a/b","jsonrpc":"2.0", "id" : {} } "#;
    assert!(Envelope::parse(Bytes::from_static(text.as_bytes()), &Limits::default()).is_err());
    let text = r#" { "params" : {"id":9,"x":[{"method":"no"}]} , "method":"a/b","jsonrpc":"2.0", "id" : "7" } "#;
    let message = Envelope::parse(Bytes::from_static(text.as_bytes()), &Limits::default()).expect("a request");
    assert_eq!((message.method(), message.id()), (Some("a/b"), Some(&b"\"7\""[..])));
    assert_eq!(message.params(), Some(&br#"{"id":9,"x":[{"method":"no"}]}"#[..]));
}
