//! As much HTTP/1.1 as a load generator and its upstream need: whole messages out of one growing buffer.

use anyhow::{Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection with what was read ahead.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A message: its head as text, its body with the framing taken off.
pub struct Message {
    pub head: String,
    pub body: Vec<u8>,
}

const MESSAGE_MAX: usize = 4 * 1024 * 1024;

impl Connection {
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(())
    }

    /// The next message, or `None` when the peer closed between two.
    pub async fn read(&mut self) -> Result<Option<Message>> {
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await? {
                ensure!(self.buffer.is_empty(), "the peer closed inside a message's head");
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        self.buffer.drain(..head_end);
        let body = if header(&head, "transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            self.chunked().await?
        } else {
            let length = header(&head, "content-length").map_or(Ok(0), |text| text.parse())?;
            self.exactly(length).await?
        };
        Ok(Some(Message { head, body }))
    }

    async fn chunked(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    break at;
                }
                ensure!(self.fill().await?, "the peer closed inside a chunk's size");
            };
            let line = String::from_utf8_lossy(&self.buffer[..line_end]).into_owned();
            let size = usize::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16)?;
            self.buffer.drain(..line_end + 2);
            let chunk = self.exactly(size + 2).await?;
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        ensure!(length <= MESSAGE_MAX, "a message of {length} bytes");
        while self.buffer.len() < length {
            ensure!(self.fill().await?, "the peer closed inside a message's body");
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn fill(&mut self) -> Result<bool> {
        ensure!(self.buffer.len() <= MESSAGE_MAX, "a message's head has no end");
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}

/// The value of a header, its name in lower case.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The status of an answer's head.
pub fn status(head: &str) -> Result<u16> {
    match head.split(' ').nth(1).map(str::parse) {
        Some(Ok(status)) => Ok(status),
        _ => bail!("no status line: {:?}", head.lines().next()),
    }
}

/// The JSON of an answer, whether it came plain or as an event.
pub fn json(message: &Message) -> Result<&[u8]> {
    let is_stream = header(&message.head, "content-type").is_some_and(|value| value.starts_with("text/event-stream"));
    if !is_stream {
        return Ok(&message.body);
    }
    // The answer is the last event; the load generator asks for no other.
    let last = message.body.split(|byte| *byte == b'\n').rfind(|line| line.starts_with(b"data:") && line.len() > 7);
    match last {
        Some(line) => Ok(&line[5..]),
        None => bail!("an event stream without an answer"),
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    let first = what[0];
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        let at = from + at;
        if bytes[at..].starts_with(what) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_whatever_their_case() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(header(head, "content-length"), Some("12"));
        assert_eq!(status(head).ok(), Some(200));
    }

    #[test]
    fn the_answer_of_an_event_stream_is_its_last_event() {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_owned();
        let body = b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\n".to_vec();
        assert_eq!(json(&Message { head, body }).ok(), Some(&b" {\"b\":2}"[..]));
    }
}
