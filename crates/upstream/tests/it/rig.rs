//! What every test needs: a config, a sink that remembers, messages.

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use upstream::{Config, ConnectOptions, Implementation, Incoming, Known, Limits, Session, Sink, Transport};
use vocab::Failure;

/// Generous: a condition that is not met by then never will be.
pub const BOUND: Duration = Duration::from_secs(30);

pub fn config(transport: Transport) -> Config {
    Config {
        name: "shop".into(),
        transport,
        revision: None,
        limits: Limits::default(),
        connect_timeout: BOUND,
        gateway: Implementation { name: "gateway".into(), version: "1".into() },
        known: Known::default(),
    }
}

pub fn http(url: &str) -> Config {
    config(Transport::Http { url: url.to_owned().into(), headers: Vec::new() })
}

/// Remembers what an upstream sent on its own.
#[derive(Clone, Default)]
pub struct Seen {
    all: Arc<Mutex<Vec<Incoming>>>,
    changed: Arc<Notify>,
}

impl Seen {
    pub fn sink(&self) -> Sink {
        let seen = self.clone();
        Arc::new(move |incoming| {
            seen.all.lock().push(incoming);
            seen.changed.notify_waiters();
        })
    }

    pub fn all(&self) -> Vec<Incoming> {
        self.all.lock().clone()
    }

    pub fn methods(&self) -> Vec<String> {
        self.all().iter().map(|one| method(&one.message)).collect()
    }

    /// Waits until so many messages came.
    pub async fn at_least(&self, count: usize) -> Vec<Incoming> {
        let enough = async {
            loop {
                let changed = self.changed.notified();
                if self.all.lock().len() >= count {
                    return self.all();
                }
                changed.await;
            }
        };
        tokio::time::timeout(BOUND, enough).await.expect("the messages come")
    }
}

fn method(message: &Bytes) -> String {
    parse(message)["method"].as_str().unwrap_or_default().to_owned()
}

pub fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

pub fn bytes(message: &Value) -> Bytes {
    message.to_string().into()
}

pub fn open(
    config: Config,
    options: ConnectOptions,
    seen: &Seen,
) -> impl Future<Output = Result<Arc<dyn Session>, Failure>> + Send + use<> {
    upstream::connect(Arc::new(config), options, seen.sink())
}

/// A request as the session's revision wants it.
pub fn request(session: &dyn Session, id: impl Into<Value>, method: &str, mut params: Value) -> Bytes {
    if session.is_stateless() {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = session.revision().into();
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    }
    bytes(&json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params }))
}

pub fn call(session: &dyn Session, id: impl Into<Value>, tool: &str, arguments: Value) -> Bytes {
    request(session, id, "tools/call", json!({ "name": tool, "arguments": arguments }))
}

/// Waits for what becomes true on its own.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(BOUND, poll).await.is_ok(), "never: {what}");
}
