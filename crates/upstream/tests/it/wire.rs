//! An HTTP server that answers with exactly the bytes that a test names, and remembers every request.

use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[derive(Clone, Debug)]
pub struct Request {
    /// Counted from 1.
    pub connection: usize,
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub message: Value,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn rpc_method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    /// Neither handshake nor notification nor end: what a test is about.
    pub fn is_call(&self) -> bool {
        self.rpc_method() == "tools/call"
    }
}

/// What is done with a connection after a request.
#[derive(Clone, Debug)]
pub enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    /// An orderly end.
    Close,
    /// An end that the other side sees as a reset.
    Reset,
    /// Neither answer nor end.
    Hang,
}

type Handler = dyn Fn(&Request) -> Vec<Step> + Send + Sync;

pub struct Wire {
    pub url: String,
    log: Arc<Mutex<Vec<Request>>>,
    connections: Arc<Mutex<usize>>,
    _tasks: JoinSet<()>,
}

impl Wire {
    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().clone()
    }

    pub fn calls(&self) -> Vec<Request> {
        self.requests().into_iter().filter(Request::is_call).collect()
    }

    pub fn of_method(&self, method: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.method == method).collect()
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock()
    }
}

/// Answers handshakes in the revision, and everything else as the handler says. What it says nothing about is accepted
/// or, for GET, does not exist.
pub async fn wire(revision: &'static str, handler: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Wire {
    start(revision, handler, None).await
}

/// The same, but of a message that is large only the beginning is read; then comes the step.
pub async fn wire_that_stops_reading(revision: &'static str, last: Step) -> Wire {
    start(revision, |_| Vec::new(), Some(last)).await
}

/// What counts as large, and how much of it is read.
const LARGE: usize = 1_000_000;
const READ: usize = 100_000;

async fn start(
    revision: &'static str,
    handler: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static,
    at_large: Option<Step>,
) -> Wire {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    let (log, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
    let handler: Arc<Handler> = Arc::new(move |request| match handler(request) {
        steps if steps.is_empty() => usual(request, revision),
        steps => steps,
    });
    let mut tasks = JoinSet::new();
    let (kept, counted) = (log.clone(), connections.clone());
    tasks.spawn(async move {
        let mut serving = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let connection = {
                let mut counted = counted.lock();
                *counted += 1;
                *counted
            };
            serving.spawn(serve(stream, connection, handler.clone(), kept.clone(), at_large.clone()));
        }
    });
    Wire { url, log, connections, _tasks: tasks }
}

fn usual(request: &Request, revision: &str) -> Vec<Step> {
    let id = &request.message["id"];
    let answer = match (request.method.as_str(), request.rpc_method()) {
        ("GET", _) => page(405, ""),
        (_, "initialize") => {
            let result = json!({ "protocolVersion": revision, "capabilities": { "tools": {} } });
            let message = json!({ "jsonrpc": "2.0", "id": id, "result": result });
            with_headers(200, "application/json\r\nMcp-Session-Id: s-1", message.to_string().as_bytes())
        }
        (_, "server/discover") => {
            let result = json!({ "supportedVersions": [revision], "capabilities": {}, "resultType": "complete" });
            json_answer(200, &json!({ "jsonrpc": "2.0", "id": id, "result": result }))
        }
        (_, method) if !method.is_empty() && !id.is_null() => {
            json_answer(200, &json!({ "jsonrpc": "2.0", "id": id, "result": {} }))
        }
        _ => page(202, ""),
    };
    vec![Step::Send(answer)]
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    handler: Arc<Handler>,
    log: Arc<Mutex<Vec<Request>>>,
    at_large: Option<Step>,
) {
    while let Some((request, is_whole)) = read(&mut stream, connection, at_large.is_some()).await {
        log.lock().push(request.clone());
        let steps = if is_whole { handler(&request) } else { at_large.iter().cloned().collect() };
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Step::Pause(time) => tokio::time::sleep(time).await,
                Step::Close => return,
                Step::Reset => {
                    stream.set_zero_linger().expect("a socket");
                    return;
                }
                Step::Hang if !is_whole => std::future::pending().await,
                Step::Hang => {
                    // Until the other side leaves.
                    let mut rest = [0; 1024];
                    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
                    return;
                }
            }
        }
    }
}

async fn read(stream: &mut TcpStream, connection: usize, stops: bool) -> Option<(Request, bool)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in ASCII");
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ').map(str::to_owned);
    let (method, path) = (first.next()?, first.next()?);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
    let length: usize = length.parse().expect("a length");
    let is_whole = !stops || length < LARGE;
    while bytes.len() < end + if is_whole { length } else { READ } {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let message = serde_json::from_slice(&bytes[end..]).unwrap_or_default();
    Some((Request { connection, method, path, headers, message }, is_whole))
}

pub fn with_headers(status: u16, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

pub fn json_answer(status: u16, message: &Value) -> Vec<u8> {
    with_headers(status, "application/json", message.to_string().as_bytes())
}

pub fn page(status: u16, text: &str) -> Vec<u8> {
    with_headers(status, "text/html", text.as_bytes())
}

/// The head of an event stream that ends with its connection.
pub fn events() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n".to_vec()
}

/// The head of an event stream that leaves the connection open.
pub fn chunked_events() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()
}

pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub fn event(message: &Value) -> Vec<u8> {
    format!("event: message\ndata: {message}\n\n").into_bytes()
}

pub fn answer_to(request: &Request) -> Value {
    json!({ "jsonrpc": "2.0", "id": request.message["id"], "result": { "content": [] } })
}
