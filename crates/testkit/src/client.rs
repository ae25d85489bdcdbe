//! A scripted MCP client: it calls tools over HTTP or stdio in any revision, and misbehaves where a test wants it to.

mod http;
mod stdio;

use http::Http;
use serde_json::{Map, Value, json};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stdio::Stdio;
use tokio::process::Command;

use crate::server::STATELESS;
pub use http::Response;

/// How long a call waits when nothing else is said.
pub const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Client {
    transport: Transport,
    revision: String,
    name: String,
    next_id: AtomicU64,
    /// The result of `initialize` or `server/discover`.
    pub server: Value,
}

enum Transport {
    Http(Http),
    Stdio(Stdio),
}

/// How a client presents itself.
#[derive(Clone, Debug)]
pub struct Identity {
    pub name: String,
    pub revision: String,
    /// Sent with every HTTP request.
    pub headers: Vec<(String, String)>,
}

impl Identity {
    pub fn speaking(revision: &str) -> Self {
        Self { name: "scripted-client".into(), revision: revision.into(), headers: Vec::new() }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// How one call is made.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// The JSON-RPC id; else the next number.
    pub id: Option<Value>,
    /// Members of `_meta`.
    pub meta: Map<String, Value>,
    /// HTTP headers of this request only.
    pub headers: Vec<(String, String)>,
    /// After it the call is given up: the connection is closed, on stdio a late answer is ignored.
    pub timeout: Duration,
    /// Other members of `params`.
    pub params: Map<String, Value>,
    /// Deliver the same bytes twice, on two connections where there are any; the first answer counts.
    pub twice: bool,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self { id: None, meta: Map::new(), headers: Vec::new(), timeout: TIMEOUT, params: Map::new(), twice: false }
    }
}

impl CallOptions {
    pub fn within(timeout: Duration) -> Self {
        Self { timeout, ..Self::default() }
    }

    #[must_use]
    pub fn meta(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.meta.insert(name.into(), value.into());
        self
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    #[must_use]
    pub fn id(mut self, id: impl Into<Value>) -> Self {
        self.id = Some(id.into());
        self
    }
}

/// The result of a tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub is_error: bool,
    /// `_meta["cofferdam/guard"]`.
    pub guard: Option<Value>,
    /// The text content, joined by line breaks.
    pub text: String,
    pub structured: Option<Value>,
    /// The whole `result`.
    pub raw: Value,
}

impl Answer {
    fn read(result: Value) -> Result<Self, Error> {
        let is_complete = result["resultType"].as_str().is_none_or(|kind| kind == "complete");
        let content = result["content"].as_array();
        if !result.is_object() || is_complete && content.is_none() {
            return Err(Error::Malformed("the result of the call has no content".into()));
        }
        let text =
            content.into_iter().flatten().filter_map(|item| item["text"].as_str()).collect::<Vec<_>>().join("\n");
        Ok(Self {
            is_error: result["isError"].as_bool().unwrap_or(false),
            guard: result["_meta"].get("cofferdam/guard").cloned(),
            text,
            structured: result.get("structuredContent").cloned(),
            raw: result,
        })
    }

    /// A member of the guard's word, such as `executed`; of an answer about the status of one step, a member of that.
    pub fn guard_word(&self, name: &str) -> Option<&str> {
        let guard = self.guard.as_ref()?;
        guard.get(name).unwrap_or(&guard["status"]["steps"][0][name]).as_str()
    }
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    Connect(String),
    Timeout,
    /// The connection, the stream or the process ended before the answer.
    Disconnected(String),
    /// An HTTP status without a JSON-RPC answer.
    Status(u16, String),
    Rpc {
        code: i64,
        message: String,
        data: Option<Value>,
        status: Option<u16>,
    },
    /// An answer that is none, or one to another request.
    Malformed(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(why) => write!(f, "connect: {why}"),
            Self::Timeout => f.write_str("get an answer in time"),
            Self::Disconnected(why) => write!(f, "get an answer: {why}"),
            Self::Status(status, body) => write!(f, "get an answer: HTTP {status} {body}"),
            Self::Rpc { code, message, .. } => write!(f, "call: {code} {message}"),
            Self::Malformed(why) => write!(f, "read the answer: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl Client {
    /// Connects and shakes hands, or asks `server/discover` in the stateless revision.
    ///
    /// # Errors
    /// No connection, or no handshake.
    pub async fn http(url: &str, identity: Identity) -> Result<Self, Error> {
        let http = Http::new(url, identity.headers)?;
        Self::shake_hands(Transport::Http(http), identity.name, identity.revision).await
    }

    /// Starts the command and shakes hands over its pipes. Its stderr is ours unless the command says otherwise.
    ///
    /// # Errors
    /// The command does not start, or does not answer.
    pub async fn stdio(command: Command, identity: Identity) -> Result<Self, Error> {
        let stdio = Stdio::spawn(command)?;
        Self::shake_hands(Transport::Stdio(stdio), identity.name, identity.revision).await
    }

    async fn shake_hands(transport: Transport, name: String, revision: String) -> Result<Self, Error> {
        let next_id = AtomicU64::new(1);
        let mut client = Self { transport, revision, name, next_id, server: Value::Null };
        if client.is_stateless() {
            client.server = client.request("server/discover", json!({})).await?;
            return Ok(client);
        }
        let params = json!({
            "protocolVersion": client.revision, "capabilities": {},
            "clientInfo": { "name": client.name, "version": "1" },
        });
        client.server = client.request("initialize", params).await?;
        if let Some(revision) = client.server["protocolVersion"].as_str() {
            client.revision = revision.into();
        }
        if let Transport::Http(http) = &mut client.transport {
            http.revision = Some(client.revision.clone());
        }
        client.notify("notifications/initialized", json!({})).await?;
        Ok(client)
    }

    /// As negotiated.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    pub fn is_stateless(&self) -> bool {
        self.revision.as_str() >= STATELESS
    }

    /// The MCP session, where there is one.
    pub fn session(&self) -> Option<String> {
        match &self.transport {
            Transport::Http(http) => http.session(),
            Transport::Stdio(_) => None,
        }
    }

    /// The process behind the pipes.
    pub fn process(&self) -> Option<u32> {
        match &self.transport {
            Transport::Http(_) => None,
            Transport::Stdio(stdio) => stdio.id(),
        }
    }

    /// # Errors
    /// No answer, or an error as answer.
    pub async fn tools(&self) -> Result<Vec<Value>, Error> {
        let listed = self.request("tools/list", json!({})).await?;
        listed["tools"].as_array().cloned().ok_or_else(|| Error::Malformed("no list of tools".into()))
    }

    /// # Errors
    /// No result; what it means for the effect is the caller's to judge.
    pub async fn call(&self, tool: &str, args: Value, options: &CallOptions) -> Result<Answer, Error> {
        let mut params = options.params.clone();
        params.insert("name".into(), tool.into());
        params.insert("arguments".into(), args);
        if !options.meta.is_empty() {
            params.insert("_meta".into(), Value::Object(options.meta.clone()));
        }
        Answer::read(self.request_with("tools/call", Value::Object(params), options).await?)
    }

    /// # Errors
    /// No result.
    pub async fn request(&self, method: &str, params: Value) -> Result<Value, Error> {
        self.request_with(method, params, &CallOptions::default()).await
    }

    /// # Errors
    /// No result.
    pub async fn request_with(&self, method: &str, params: Value, options: &CallOptions) -> Result<Value, Error> {
        let id = options.id.clone().unwrap_or_else(|| self.next_id.fetch_add(1, Ordering::Relaxed).into());
        let message = self.message(Some(&id), method, params);
        let bytes = message.to_string();
        let name = message["params"]["name"].as_str();
        let (answer, status) = match &self.transport {
            Transport::Http(http) => {
                let routed = self.is_stateless().then_some((method, name));
                http.exchange(&bytes, &id, routed, options).await?
            }
            Transport::Stdio(stdio) => (stdio.exchange(&bytes, &id, options).await?, None),
        };
        read_answer(answer, &id, status)
    }

    /// # Errors
    /// It could not be sent.
    pub async fn notify(&self, method: &str, params: Value) -> Result<(), Error> {
        let bytes = self.message(None, method, params).to_string();
        match &self.transport {
            Transport::Http(http) => {
                let routed = self.is_stateless().then_some((method, None));
                http.post(&bytes, routed, &CallOptions::default()).await.map(|_| ())
            }
            Transport::Stdio(stdio) => stdio.send(bytes.as_bytes()).await,
        }
    }

    /// Sends bytes as they are, as the body of a POST or as a line, with the usual headers.
    ///
    /// # Errors
    /// No answer at all. On stdio there is none to wait for.
    pub async fn raw(&self, bytes: &[u8], options: &CallOptions) -> Result<Option<Response>, Error> {
        match &self.transport {
            Transport::Http(http) => http.send(bytes, None, options).await.map(Some),
            Transport::Stdio(stdio) => stdio.send(bytes).await.map(|()| None),
        }
    }

    /// The whole message that a request would be, for tests that send it themselves.
    pub fn message(&self, id: Option<&Value>, method: &str, mut params: Value) -> Value {
        if self.is_stateless() {
            let meta = &mut params["_meta"];
            meta["io.modelcontextprotocol/protocolVersion"] = self.revision.as_str().into();
            meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
            meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": self.name, "version": "1" });
        }
        let mut message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        if let Some(id) = id {
            message["id"] = id.clone();
        }
        message
    }

    /// Ends the session politely: DELETE, or end of input and the process's exit.
    pub async fn close(self) -> Option<ExitStatus> {
        match self.transport {
            Transport::Http(http) => {
                http.delete().await;
                None
            }
            Transport::Stdio(stdio) => stdio.close().await,
        }
    }
}

fn read_answer(answer: Value, id: &Value, status: Option<u16>) -> Result<Value, Error> {
    if let Some(error) = answer.get("error") {
        return Err(Error::Rpc {
            code: error["code"].as_i64().unwrap_or_default(),
            message: error["message"].as_str().unwrap_or_default().into(),
            data: error.get("data").cloned(),
            status,
        });
    }
    if answer.get("id") != Some(id) {
        return Err(Error::Malformed("the answer is to another request".into()));
    }
    answer.get("result").cloned().ok_or_else(|| Error::Malformed("neither result nor error".into()))
}
