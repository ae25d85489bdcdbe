//! POST over one kept connection; a second one while the first is busy.

use super::{CallOptions, Error};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

pub(super) struct Http {
    authority: String,
    path: String,
    headers: Vec<(String, String)>,
    session: Mutex<Option<String>>,
    pub(super) revision: Option<String>,
    idle: Mutex<Vec<Connection>>,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const IDLE_MAX: usize = 64;
/// Ends only what never ends: how much a flood carries in the seconds of a step depends on the speed of what lets it
/// through.
const BODY_MAX: usize = 1024 * 1024 * 1024;

impl Http {
    pub(super) fn new(url: &str, headers: Vec<(String, String)>) -> Result<Self, Error> {
        let rest = url.strip_prefix("http://").ok_or_else(|| Error::Connect("only http:// is spoken".into()))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Ok(Self {
            authority: authority.into(),
            path: if path.is_empty() { "/".into() } else { path.into() },
            headers,
            session: Mutex::new(None),
            revision: None,
            idle: Mutex::new(Vec::new()),
        })
    }

    pub(super) fn session(&self) -> Option<String> {
        self.session.lock().clone()
    }

    /// Sends a request and reads the answer with its id; `routed` are method and name for the stateless headers.
    pub(super) async fn exchange(
        &self,
        message: &str,
        id: &Value,
        routed: Option<(&str, Option<&str>)>,
        options: &CallOptions,
    ) -> Result<(Value, Option<u16>), Error> {
        let response = if options.twice {
            let (first, second) =
                tokio::join!(self.post(message, routed, options), self.post(message, routed, options));
            first.or(second)?
        } else {
            self.post(message, routed, options).await?
        };
        let is_stream = header_text(&response, "content-type").starts_with("text/event-stream");
        let answer =
            if is_stream { read_events(&response.body, id) } else { serde_json::from_slice(&response.body).ok() };
        match answer {
            Some(answer) if answer.get("id").is_some() || answer.get("error").is_some() => {
                Ok((answer, Some(response.status)))
            }
            _ if response.status >= 400 => {
                Err(Error::Status(response.status, String::from_utf8_lossy(&response.body).into_owned()))
            }
            _ => Err(Error::Malformed("no JSON-RPC answer".into())),
        }
    }

    pub(super) async fn post(
        &self,
        message: &str,
        routed: Option<(&str, Option<&str>)>,
        options: &CallOptions,
    ) -> Result<Response, Error> {
        let response = self.send(message.as_bytes(), routed, options).await?;
        let session = header_text(&response, "mcp-session-id");
        if !session.is_empty() {
            *self.session.lock() = Some(session.into());
        }
        Ok(response)
    }

    pub(super) async fn send(
        &self,
        body: &[u8],
        routed: Option<(&str, Option<&str>)>,
        options: &CallOptions,
    ) -> Result<Response, Error> {
        let request = self.request(Method::POST, Bytes::copy_from_slice(body), routed, options)?;
        tokio::time::timeout(options.timeout, self.round_trip(request)).await.unwrap_or(Err(Error::Timeout))
    }

    pub(super) async fn delete(&self) {
        let request = self.request(Method::DELETE, Bytes::new(), None, &CallOptions::default());
        if let (Some(_), Ok(request)) = (self.session(), request) {
            // The session ends either way.
            drop(tokio::time::timeout(super::TIMEOUT, self.round_trip(request)).await);
        }
    }

    /// Dropped before its end, it drops the connection with it: the server sees a disconnect.
    async fn round_trip(&self, request: Request<Full<Bytes>>) -> Result<Response, Error> {
        let mut connection = self.connection().await?;
        let lost = |error: hyper::Error| Error::Disconnected(error.to_string());
        let (head, body) = connection.sender.send_request(request).await.map_err(lost)?.into_parts();
        let body =
            Limited::new(body, BODY_MAX).collect().await.map_err(|error| Error::Disconnected(error.to_string()))?;
        let response = Response { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() };
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(response)
    }

    async fn connection(&self) -> Result<Connection, Error> {
        loop {
            let Some(mut kept) = self.idle.lock().pop() else { break };
            // A kept connection may have been closed meanwhile; nothing was sent on it yet.
            if kept.sender.ready().await.is_ok() {
                return Ok(kept);
            }
        }
        let refused = |error: &dyn std::fmt::Display| Error::Connect(error.to_string());
        let stream = TcpStream::connect(&self.authority).await.map_err(|error| refused(&error))?;
        stream.set_nodelay(true).map_err(|error| refused(&error))?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(|error| refused(&error))?;
        let task = tokio::spawn(async move {
            // Its error reaches the caller through the sender.
            drop(driver.await);
        });
        Ok(Connection { sender, task })
    }

    fn request(
        &self,
        method: Method,
        body: Bytes,
        routed: Option<(&str, Option<&str>)>,
        options: &CallOptions,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(&self.path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream");
        if let Some((method, name)) = routed {
            request = request.header("mcp-protocol-version", crate::server::STATELESS).header("mcp-method", method);
            if let Some(name) = name {
                request = request.header("mcp-name", name);
            }
        } else if let Some(revision) = &self.revision {
            request = request.header("mcp-protocol-version", revision);
        }
        if let Some(session) = self.session() {
            request = request.header("mcp-session-id", session);
        }
        for (name, value) in self.headers.iter().chain(&options.headers) {
            request = request.header(name, value);
        }
        request.body(Full::new(body)).map_err(|error| Error::Connect(error.to_string()))
    }
}

fn header_text<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The message with our id among the events of a whole stream.
fn read_events(body: &[u8], id: &Value) -> Option<Value> {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
    text.split("\n\n").find_map(|event| {
        let data: Vec<_> = event
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| data.trim_start_matches(' '))
            .collect();
        let message: Value = serde_json::from_str(&data.join("\n")).ok()?;
        (message.get("id") == Some(id) && message.get("method").is_none()).then_some(message)
    })
}
