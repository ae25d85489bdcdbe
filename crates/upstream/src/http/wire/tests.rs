use super::*;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, ReadBuf};

/// A peer that says these bytes, so many at a time.
struct Says<'a>(&'a [u8], usize);

impl AsyncRead for Says<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.0.split_at(self.0.len().min(self.1).min(into.remaining()));
        into.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for Says<'_> {
    fn poll_write(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Reader<'a> {
    peer: Says<'a>,
    buffer: Buffer,
    over: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], step: usize) -> Self {
        Self { peer: Says(bytes, step), buffer: Buffer::default(), over: false }
    }

    fn fill(&mut self) {
        let filled = self.buffer.poll_fill(&mut self.peer, &mut Context::from_waker(Waker::noop()));
        self.over |= matches!(filled, Poll::Ready(Ok(0)));
    }

    fn head(&mut self) -> Result<Head, Broken> {
        let mut looked = Looked::default();
        loop {
            match Head::take(&mut self.buffer, &mut looked)? {
                Some(head) => return Ok(head),
                None if self.over => return Err(Broken::Early),
                None => self.fill(),
            }
        }
    }

    fn body(&mut self, mut framing: Framing) -> Result<String, Broken> {
        let mut body = Vec::new();
        loop {
            match framing.take(&mut self.buffer, self.over)? {
                Taken::Data(piece) => body.extend_from_slice(&piece),
                Taken::End => return Ok(String::from_utf8_lossy(&body).into_owned()),
                Taken::Nothing => self.fill(),
            }
        }
    }
}

/// What an answer says, whatever the pieces in which it comes: status, body, whether the connection can be used again,
/// and what is left on it.
fn read(text: &str) -> Result<(u16, String, bool, String), Broken> {
    let once = |step: usize| -> Result<_, Broken> {
        let mut reader = Reader::new(text.as_bytes(), step);
        let head = reader.head()?;
        let body = reader.body(head.framing)?;
        while !reader.over {
            reader.fill();
        }
        let left = String::from_utf8_lossy(reader.buffer.filled()).into_owned();
        Ok((head.status.as_u16(), body, head.keeps, left))
    };
    let whole = once(usize::MAX);
    for step in [1, 2, 3, 7] {
        assert_eq!(format!("{:?}", once(step)), format!("{whole:?}"), "in pieces of {step}");
    }
    whole
}

fn good(text: &str, status: u16, body: &str, keeps: bool, left: &str) {
    assert_eq!(read(text).expect(text), (status, body.to_owned(), keeps, left.to_owned()), "{text}");
}

fn bad(text: &str) {
    let got = read(text);
    assert!(matches!(got, Err(Broken::NotHttp(_))), "{text}: {got:?}");
}

#[test]
fn a_body_ends_where_its_length_says() {
    good("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP", 200, "ok", true, "HTTP");
    good("HTTP/1.1 200 OK\ncontent-length: 2\n\nok", 200, "ok", true, "");
    good("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", 200, "ok", true, "");
    good("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", 202, "", true, "");
    good("HTTP/1.1 204 No Content\r\n\r\nnext", 204, "", true, "next");
    good("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", 304, "", true, "");
}

#[test]
fn a_body_in_chunks_ends_with_the_last_one() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    good(&format!("{head}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nnext"), 200, "abcde", true, "next");
    good(&format!("{head}0\r\nsum: 1\r\nother: 2\r\n\r\n"), 200, "", true, "");
    good(&format!("{}{}", head.replace("chunked", "gzip, Chunked"), "1\r\na\r\n0\r\n\r\n"), 200, "a", true, "");
    good(
        &format!("{}1\r\na\r\n0\r\n\r\n", head.replace("\r\n\r\n", "\r\ncontent-length: 9\r\n\r\n")),
        200,
        "a",
        true,
        "",
    );
    bad(&format!("{head}x\r\nabc\r\n"));
    bad(&format!("{head}3\r\nabcd\r\n"));
    bad(&format!("{head}{}\r\n", "f".repeat(17)));
    bad(&format!("{head}1;{}", "x".repeat(CHUNK_LINE_MAX + 16)));
    bad(&format!("{head}0\r\n{}", "a: b\r\n".repeat(TRAILER_MAX / 6 + 1)));
}

#[test]
fn a_body_without_a_length_ends_with_the_connection_which_is_spent() {
    good("HTTP/1.1 200 OK\r\n\r\nall of it", 200, "all of it", false, "");
    good("HTTP/1.0 200 OK\r\n\r\nold", 200, "old", false, "");
    good("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nodd", 200, "odd", false, "");
}

#[test]
fn whether_a_connection_stays_is_the_servers_to_say() {
    good("HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n", 200, "", false, "");
    good("HTTP/1.1 200 OK\r\nconnection: upgrade, close\r\ncontent-length: 0\r\n\r\n", 200, "", false, "");
    good("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", 200, "", false, "");
    good("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n", 200, "", true, "");
}

#[test]
fn an_end_before_the_end_is_told() {
    for early in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ] {
        assert!(matches!(read(early), Err(Broken::Early)), "{early}");
    }
}

#[test]
fn interim_answers_are_passed_over() {
    good(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
        200,
        "a",
        true,
        "",
    );
    bad("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n");
}

#[test]
fn what_two_readers_could_take_for_different_answers_is_none() {
    bad("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab");
    bad("HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\na");
    bad("HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\na");
    bad("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\na");
    bad("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    bad("HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n");
    bad("SSH-2.0-OpenSSH\r\n");
    bad("HTTP/1.1 099 Low\r\n\r\n");
}

#[test]
fn heads_are_bounded() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
    bad(&many);
    let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(HEAD_MAX));
    assert!(matches!(Reader::new(long.as_bytes(), 4096).head(), Err(Broken::NotHttp(_))));
}

#[test]
fn a_request_says_what_it_has_to() {
    let headers = HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from_static("*/*"))]);
    let host = HeaderValue::from_static("h:1");
    let text = |method, body| String::from_utf8(request(method, "/mcp?a=b", &host, &headers, body)).expect("text");
    let post = "POST /mcp?a=b HTTP/1.1\r\nhost: h:1\r\naccept: */*\r\ncontent-length: 7\r\n\r\n";
    assert_eq!(text(&Method::POST, Some(7)), post);
    assert_eq!(text(&Method::GET, None), "GET /mcp?a=b HTTP/1.1\r\nhost: h:1\r\naccept: */*\r\n\r\n");
}
