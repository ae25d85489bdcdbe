//! A client of raw TCP: sends bytes, reads answers and events as they stand on the wire.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Generous: hit only when something hangs.
pub const LONG: Duration = Duration::from_secs(20);

pub struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// Empty for a stream.
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The code of the JSON-RPC error in the body.
    pub fn code(&self) -> i64 {
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("a JSON body");
        body["error"]["code"].as_i64().expect("an error")
    }
}

/// One request to be written.
pub struct Ask {
    head: String,
    body: String,
}

impl Ask {
    fn new(method: &str, path: &str, body: &str) -> Self {
        Self { head: format!("{method} {path} HTTP/1.1\r\n"), body: body.to_owned() }.with("Host", "localhost")
    }

    pub fn post(path: &str, body: &str) -> Self {
        let ask = Self::new("POST", path, body).with("Content-Type", "application/json");
        ask.with("Accept", "application/json, text/event-stream").with("Content-Length", &body.len().to_string())
    }

    pub fn get(path: &str) -> Self {
        Self::new("GET", path, "").with("Accept", "text/event-stream")
    }

    pub fn of(method: &str, path: &str) -> Self {
        Self::new(method, path, "")
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        let kept = self.head.split_inclusive("\r\n").filter(|line| !line.starts_with(&format!("{name}:")));
        self.head = kept.collect();
        self
    }

    pub fn instead(self, name: &str, value: &str) -> Self {
        self.without(name).with(name, value)
    }

    /// Replaces text of the body. The caller minds its length.
    pub fn body_with(mut self, old: &str, new: &str) -> Self {
        self.body = self.body.replace(old, new);
        self
    }

    pub fn text(&self) -> String {
        format!("{}\r\n{}", self.head, self.body)
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.expect("a connection"), read: Vec::new() }
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("written");
    }

    /// Sends a request and reads its answer: whole, or the head of a stream.
    pub async fn ask(&mut self, ask: Ask) -> Answer {
        self.write(ask.text().as_bytes()).await;
        self.answer().await
    }

    pub async fn answer(&mut self) -> Answer {
        let head = String::from_utf8(self.until(b"\r\n\r\n").await.expect("a head")).expect("text");
        let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status").parse().expect("a number");
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        answer.body = String::from_utf8(self.take(length).await.expect("a body")).expect("text");
        answer
    }

    /// The next event of a stream, without its blank line; `None` at its end. Comments are passed over.
    pub async fn event(&mut self) -> Option<String> {
        loop {
            let event = self.chunk().await?;
            if !event.starts_with(':') {
                return Some(event);
            }
        }
    }

    /// The next chunk: the server writes one for each event or comment.
    pub async fn chunk(&mut self) -> Option<String> {
        let size = String::from_utf8(self.until(b"\r\n").await?).expect("text");
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
        let chunk = self.take(size + 2).await?;
        (size > 0).then(|| String::from_utf8_lossy(&chunk).trim_end().to_owned())
    }

    /// Does the server close the connection, with nothing more said?
    pub async fn is_closed(&mut self) -> bool {
        self.read.is_empty() && self.more().await.is_none()
    }

    async fn until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.read.windows(mark.len()).position(|window| window == mark) {
                return Some(self.read.drain(..at + mark.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.read.len() < length {
            self.more().await?;
        }
        Some(self.read.drain(..length).collect())
    }

    async fn more(&mut self) -> Option<()> {
        let read =
            timeout(LONG, self.stream.read_buf(&mut self.read)).await.expect("the server says something in time");
        read.ok().filter(|read| *read > 0).map(drop)
    }
}
