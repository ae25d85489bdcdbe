use super::*;

fn read(stream: &[u8], chunk: usize) -> Result<Vec<Event>, Error> {
    let mut parser = Parser::new(Limits { line: 256, event: 256 });
    let mut events = Vec::new();
    for piece in stream.chunks(chunk) {
        parser.push(piece);
        while let Some(event) = parser.next_event()? {
            events.push(event);
        }
    }
    Ok(events)
}

fn check(stream: &str, expected: &[&str]) {
    for chunk in [1, 2, 3, 7, 1024] {
        let events = read(stream.as_bytes(), chunk).expect("within the limits");
        let data: Vec<&str> =
            events.iter().map(|event| std::str::from_utf8(&event.data).expect("UTF-8 survives chunks")).collect();
        assert_eq!(data, expected, "chunks of {chunk}");
    }
}

#[test]
fn lines_end_with_lf_crlf_or_cr() {
    check("data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\r\n", &["a", "b", "c", "d"]);
}

#[test]
fn data_lines_are_joined_and_comments_ignored() {
    check(": hello\ndata: {\n: in between\ndata:  \"a\": 1\ndata\ndata:}\n\n:\n\n", &["{\n \"a\": 1\n\n}"]);
}

#[test]
fn characters_survive_chunks_that_split_them() {
    check("data: 漢字 😀 é\n\n", &["漢字 😀 é"]);
}

#[test]
fn an_event_that_is_not_finished_is_not_an_event() {
    check("data: a\n\ndata: b\n", &["a"]);
    check("data: a", &[]);
}

#[test]
fn a_byte_order_mark_at_the_start_is_skipped() {
    check("\u{feff}data: a\n\n", &["a"]);
}

#[test]
fn ids_and_retry_are_seen_without_data_too() {
    let events = read(
        b"id: 7\nretry: 1500\ndata:\n\nid: 8\nevent: message\ndata: {}\n\nevent: ping\ndata: {}\n\nretry: x\nid\n\n",
        4,
    )
    .expect("within the limits");
    assert_eq!(events.len(), 4);
    assert_eq!((events[0].id.as_deref(), events[0].retry), (Some("7"), Some(Duration::from_millis(1500))));
    assert!(!events[0].is_message());
    assert!(events[1].is_message() && events[1].id.as_deref() == Some("8"));
    assert!(!events[2].is_message());
    assert_eq!((events[3].id.as_deref(), events[3].retry), (Some(""), None));
}

//= S-26
#[test]
fn lines_and_events_are_bounded() {
    assert_eq!(read(&[b'x'; 1000], 10), Err(Error::LineTooLong(256)));
    let long = format!("data: {}\n", "x".repeat(200)).repeat(2);
    assert_eq!(read(long.as_bytes(), 10), Err(Error::EventTooLarge(256)));
}

#[test]
fn what_is_written_is_what_is_read() {
    let mut stream = Vec::new();
    stream.extend_from_slice(&priming("s/0", Some(Duration::from_secs(1))));
    stream.extend_from_slice(&keep_alive());
    stream.extend_from_slice(&message(Some("s/1"), b"{\"a\":\n 1}"));
    stream.extend_from_slice(&message(Some("bad\nid"), b"{}"));
    let events = read(&stream, 5).expect("within the limits");
    let seen: Vec<_> = events.iter().map(|event| (event.id.as_deref(), &event.data[..])).collect();
    assert_eq!(seen, [(Some("s/0"), &b""[..]), (Some("s/1"), b"{\"a\":\n 1}"), (None, b"{}")]);
    assert!(events[1].is_message());
}

proptest::proptest! {
    #[test]
    fn chunks_never_matter(stream in "(data|id|retry|event|x)?[: a0\n\r]{0,40}", chunk in 1_usize..9) {
        proptest::prop_assert_eq!(read(stream.as_bytes(), chunk), read(stream.as_bytes(), 1024));
    }
}
