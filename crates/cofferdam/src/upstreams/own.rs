//! The gateway's own session with one upstream: for lists of tools, and for reads when no caller's session is left.
//!
//! It is opened when it is needed and ends when it has been idle. Nothing is re-sent: a failure is the asker's.

use bytes::Bytes;
use mcp::bridge::Caller;
use mcp::views::Tools;
use mcp::{Envelope, Kind, Revision, json, splice};
use parking_lot::Mutex as Lock;
use policy::ToolFacts;
use runtime::Attempt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};
use tokio_util::task::TaskTracker;
use upstream::{Config, ConnectOptions, Incoming, RequestOptions, Session, Sink, connect};
use vocab::{Failure, FailureKind};

/// Pages of one list of tools.
const PAGES_MAX: usize = 64;
/// Requests of the upstream that wait for our answer.
const QUEUE: usize = 64;
/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Called when the upstream says that its tools changed.
pub type Changed = Arc<dyn Fn() + Send + Sync>;

pub struct Own {
    config: Arc<Config>,
    tasks: TaskTracker,
    changed: Changed,
    session: Mutex<Option<Arc<dyn Session>>>,
    used: Lock<Instant>,
    requests: AtomicU64,
    /// Requests under way: while there are any, the session is needed.
    asking: AtomicUsize,
}

struct Asking<'a>(&'a AtomicUsize);

impl<'a> Asking<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Own {
    pub fn new(config: Arc<Config>, tasks: TaskTracker, changed: Changed) -> Self {
        let (session, used) = (Mutex::new(None), Lock::new(Instant::now()));
        Self { config, tasks, changed, session, used, requests: AtomicU64::new(0), asking: AtomicUsize::new(0) }
    }

    /// Every page of `tools/list`, as results.
    pub async fn tools(&self) -> Result<Vec<Bytes>, Failure> {
        let mut pages = Vec::new();
        let mut params = Bytes::from_static(b"{}");
        while pages.len() < PAGES_MAX {
            let page = self.ask("tools/list", &params).await?;
            let cursor = Tools::read(&page).map_err(|_| unusable("the list of tools cannot be read"))?.next_cursor;
            pages.push(page);
            let Some(cursor) = cursor else { break };
            params = [b"{\"cursor\":", &json::quote(&cursor)[..], b"}"].concat().into();
        }
        Ok(pages)
    }

    /// A tool that changes nothing. The answer is the JSON-RPC result.
    pub async fn read(&self, tool: &str, args: &[u8]) -> Result<Bytes, Failure> {
        let params = [b"{\"name\":", &json::quote(tool)[..], b",\"arguments\":", args, b"}"].concat();
        self.ask("tools/call", &params).await
    }

    /// One attempt of a change on the gateway's own behalf. It is waited for as long as whoever asked waits.
    //= G1
    pub async fn send(&self, tool: &str, args: &[u8], attempt: &Attempt) -> Result<Bytes, Failure> {
        let params = [b"{\"name\":", &json::quote(tool)[..], b",\"arguments\":", args, b"}"].concat();
        let mut params = Bytes::from(params);
        if !attempt.meta.is_empty() {
            let members = attempt.meta.iter().map(|(name, value)| (&**name, &value[..])).collect::<Vec<_>>();
            params = splice::set_all(&params, &["_meta"], &members)
                .map_err(|_| Failure::new(FailureKind::NotSent, "the request cannot be written"))?;
        }
        let options = RequestOptions { headers: attempt.headers.clone(), timeout: None, gate: attempt.gate.clone() };
        self.ask_with("tools/call", &params, options).await
    }

    /// How a task is, or how it ended. The answer is the JSON-RPC result.
    pub async fn task(&self, method: &str, task: &str) -> Result<Bytes, Failure> {
        let params = [b"{\"taskId\":", &json::quote(task)[..], b"}"].concat();
        self.ask(method, &params).await
    }

    /// Ends the session if nobody has needed it for `idle`; one that is just being opened is needed.
    pub async fn sweep(&self, idle: Duration) {
        let session = match self.session.try_lock() {
            Ok(mut held) if self.asking.load(Ordering::Acquire) == 0 && self.used.lock().elapsed() >= idle => {
                held.take()
            }
            _ => None,
        };
        if let Some(session) = session {
            session.close().await;
        }
    }

    pub async fn close(&self) {
        let session = self.session.lock().await.take();
        if let Some(session) = session {
            session.close().await;
        }
    }

    async fn ask(&self, method: &str, params: &[u8]) -> Result<Bytes, Failure> {
        let options = RequestOptions { timeout: Some(ANSWER_MAX), ..RequestOptions::default() };
        self.ask_with(method, params, options).await
    }

    async fn ask_with(&self, method: &str, params: &[u8], options: RequestOptions) -> Result<Bytes, Failure> {
        let _asking = Asking::begin(&self.asking);
        let session = self.open().await?;
        *self.used.lock() = Instant::now();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let head = format!(r#"{{"jsonrpc":"2.0","id":"cofferdam-{number}","method":"{method}","params":"#);
        let mut message = Bytes::from([head.as_bytes(), params, b"}"].concat());
        if session.is_stateless() {
            message = self.with_caller(&message)?;
        }
        let answer = session.request(message, options).await;
        *self.used.lock() = Instant::now();
        self.result(answer?)
    }

    async fn open(&self) -> Result<Arc<dyn Session>, Failure> {
        let mut held = self.session.lock().await;
        if let Some(session) = held.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let session = connect(Arc::clone(&self.config), ConnectOptions::default(), self.sink(sender)).await?;
        self.tasks.spawn(refuse(receiver, Arc::downgrade(&session)));
        *held = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Nobody stands behind this session, so what the upstream asks is refused; what it says is mostly noise.
    fn sink(&self, questions: mpsc::Sender<Envelope>) -> Sink {
        let (changed, limits) = (Arc::clone(&self.changed), self.limits());
        Arc::new(move |incoming: Incoming| {
            let Ok(message) = Envelope::parse(incoming.message, &limits) else { return };
            if message.is("notifications/tools/list_changed") {
                changed();
            } else if message.kind() == Kind::Request {
                // A full queue means that it asks more than it listens.
                questions.try_send(message).ok();
            }
        })
    }

    fn with_caller(&self, message: &Bytes) -> Result<Bytes, Failure> {
        let gateway = &self.config.gateway;
        let (name, version) = (json::quote(&gateway.name), json::quote(&gateway.version));
        let info = [br#"{"name":"#, &name[..], br#","version":"#, &version[..], b"}"].concat();
        let caller = Caller {
            revision: Revision::LATEST,
            client_info: info.into(),
            capabilities: Bytes::from_static(b"{}"),
            log_level: None,
        };
        let members = caller.meta();
        let members = members.iter().map(|(name, value)| (*name, &value[..])).collect::<Vec<_>>();
        splice::set_all(message, &["params", "_meta"], &members)
            .map_err(|_| Failure::new(FailureKind::NotSent, "the request cannot be written"))
    }

    fn result(&self, answer: Bytes) -> Result<Bytes, Failure> {
        let answer = Envelope::parse(answer, &self.limits()).map_err(|_| unusable("the answer is no message"))?;
        match (answer.kind(), answer.body_bytes()) {
            (Kind::Response, Some(result)) => Ok(result),
            (_, error) => {
                let code = answer.error_code().unwrap_or_default();
                let mut failure = Failure::new(FailureKind::Rpc { code, status: None }, format!("it answered {code}"));
                failure.rpc_error = error;
                Err(failure)
            }
        }
    }

    fn limits(&self) -> mcp::Limits {
        let limits = &self.config.limits;
        mcp::Limits { bytes: limits.message_max, depth: limits.depth_max, batch: 1 }
    }
}

/// What the pages of a list say about the tools.
pub fn facts(pages: &[Bytes]) -> Vec<ToolFacts> {
    let mut facts = Vec::new();
    for page in pages {
        let page = serde_json::from_slice::<serde_json::Value>(page).unwrap_or_default();
        let tools = page.get("tools").and_then(serde_json::Value::as_array);
        facts.extend(tools.into_iter().flatten().filter_map(ToolFacts::from_tool));
    }
    facts
}

/// Answers what the upstream asks: `ping` with nothing, the rest with "no such method".
async fn refuse(mut questions: mpsc::Receiver<Envelope>, session: std::sync::Weak<dyn Session>) {
    while let Some(question) = questions.recv().await {
        let Some(session) = session.upgrade() else { return };
        let Some(id) = question.id() else { continue };
        let body: &[u8] = if question.is("ping") {
            br#""result":{}"#
        } else {
            br#""error":{"code":-32601,"message":"the gateway's own session has nobody to ask"}"#
        };
        let answer = [br#"{"jsonrpc":"2.0","id":"#, id, b",", body, b"}"].concat();
        if session.post(answer.into()).await.is_err() {
            return;
        }
    }
}

fn unusable(detail: &str) -> Failure {
    Failure::new(FailureKind::Unparsable, detail)
}
