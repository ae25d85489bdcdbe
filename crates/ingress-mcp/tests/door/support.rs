//! Upstreams and a guard in memory, and a client that reads what comes back.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use ingress_mcp::{
    Caller, Conversation, Event, Exchange, Guard, Hub, Kind, Origin, Pending, Scope, Settings, Status, Upstreams,
};
use parking_lot::Mutex;
use runtime::{Attempt, CallError, Delivery, Link, Phase, Reply, Request, TaskAsk};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use upstream::{ConnectOptions, Incoming, Related, RequestOptions, Session, Sink};
use vocab::{Failure, FailureKind, Name, StepId, Verification};

/// No test waits longer for anything.
pub const BOUND: Duration = Duration::from_secs(20);
pub const STATELESS: &str = "2026-07-28";

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.expect("it happens within the bound")
}

/// What a handler sees of the session that it answers on.
#[derive(Clone)]
pub struct Wire {
    pub sink: Sink,
    server: Arc<Server>,
}

impl Wire {
    pub fn notify(&self, message: &Value, related: Option<&Value>) {
        self.raw(message.to_string(), related);
    }

    pub fn raw(&self, message: String, related: Option<&Value>) {
        let related = related.map_or(Related::Session, |id| Related::Request(id.to_string().into()));
        (self.sink)(Incoming { message: message.into(), related });
    }

    /// Asks the client and waits for its answer.
    pub async fn ask(&self, request: &Value, related: Option<&Value>) -> Value {
        let (answer, answered) = oneshot::channel();
        self.server.asked.lock().insert(request["id"].to_string(), answer);
        self.notify(request, related);
        within(answered).await.expect("an answer")
    }
}

type Handler = Arc<dyn Fn(Wire, Value) -> BoxFuture<'static, Value> + Send + Sync>;

/// One upstream: a handshake, and a handler that gives `{"result":…}` or `{"error":…}`; `null` never answers, and the
/// answer `"lost"` is.
pub struct Server {
    pub revision: &'static str,
    pub handshake: Value,
    handler: Handler,
    pub is_dead: AtomicBool,
    /// Sessions of earlier lives are over.
    life: AtomicUsize,
    /// Opening hangs.
    pub is_hanging: AtomicBool,
    /// Lets one opening that hangs go on.
    pub goes_on: Notify,
    /// How opening fails.
    pub fails: Mutex<Option<FailureKind>>,
    pub opened: AtomicUsize,
    pub closed: AtomicUsize,
    /// All that was received, byte for byte.
    pub received: Mutex<Vec<String>>,
    pub news: Notify,
    pub options: Mutex<Vec<ConnectOptions>>,
    asked: Mutex<HashMap<String, oneshot::Sender<Value>>>,
    wires: Mutex<Vec<Wire>>,
}

impl Server {
    pub fn new<F>(
        revision: &'static str,
        capabilities: Value,
        handler: impl Fn(Wire, Value) -> F + Send + Sync + 'static,
    ) -> Arc<Self>
    where
        F: Future<Output = Value> + Send + 'static,
    {
        let info = json!({ "name": "fake", "version": "1" });
        let handshake = if revision == STATELESS {
            json!({ "supportedVersions": [STATELESS], "capabilities": capabilities, "resultType": "complete",
                    "_meta": { "io.modelcontextprotocol/serverInfo": info } })
        } else {
            json!({ "protocolVersion": revision, "capabilities": capabilities, "serverInfo": info, "vendor": 1.0 })
        };
        Arc::new(Self {
            revision,
            handshake,
            handler: Arc::new(move |wire, message| Box::pin(handler(wire, message))),
            is_dead: AtomicBool::new(false),
            life: AtomicUsize::new(0),
            is_hanging: AtomicBool::new(false),
            goes_on: Notify::new(),
            fails: Mutex::default(),
            opened: AtomicUsize::new(0),
            closed: AtomicUsize::new(0),
            received: Mutex::default(),
            news: Notify::new(),
            options: Mutex::default(),
            asked: Mutex::default(),
            wires: Mutex::default(),
        })
    }

    /// Its process ends, and with it all sessions.
    pub fn dies(&self) {
        self.is_dead.store(true, Ordering::Release);
        self.life.fetch_add(1, Ordering::AcqRel);
    }

    pub fn comes_back(&self) {
        self.is_dead.store(false, Ordering::Release);
    }

    pub fn wire(&self) -> Wire {
        self.wires.lock().last().cloned().expect("a session is open")
    }

    pub fn received(&self) -> Vec<Value> {
        self.received.lock().iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
    }

    /// Waits until a message came that fits.
    pub async fn got(&self, fits: impl Fn(&Value) -> bool) -> Value {
        within(async {
            loop {
                let news = self.news.notified();
                if let Some(found) = self.received().into_iter().find(|message| fits(message)) {
                    return found;
                }
                news.await;
            }
        })
        .await
    }

    fn take(&self, message: &Bytes) -> Value {
        let text = String::from_utf8(message.to_vec()).expect("UTF-8");
        let value = serde_json::from_str(&text).expect("JSON");
        self.received.lock().push(text);
        self.news.notify_waiters();
        value
    }
}

struct Open {
    server: Arc<Server>,
    handshake: Bytes,
    wire: Wire,
    is_closed: AtomicBool,
    life: usize,
}

impl Session for Open {
    fn revision(&self) -> &str {
        self.server.revision
    }

    fn is_stateless(&self) -> bool {
        self.server.revision == STATELESS
    }

    fn server(&self) -> &Bytes {
        &self.handshake
    }

    fn request(&self, message: Bytes, _: RequestOptions) -> BoxFuture<'static, Result<Bytes, Failure>> {
        if self.is_closed() {
            return Box::pin(async { Err(Failure::new(FailureKind::Exit, "the session is over")) });
        }
        let message = self.server.take(&message);
        let work = (self.server.handler)(self.wire.clone(), message.clone());
        Box::pin(async move {
            let mut answer = work.await;
            if answer == "lost" {
                return Err(Failure::new(
                    FailureKind::Reset,
                    "the connection was reset after the request had been sent",
                ));
            }
            if answer.is_null() {
                std::future::pending::<()>().await;
            }
            answer["jsonrpc"] = "2.0".into();
            answer["id"] = message["id"].clone();
            Ok(answer.to_string().into())
        })
    }

    fn post(&self, message: Bytes) -> BoxFuture<'static, Result<(), Failure>> {
        let message = self.server.take(&message);
        if message.get("method").is_none()
            && let Some(waiting) = self.server.asked.lock().remove(&message["id"].to_string())
        {
            waiting.send(message).ok();
        }
        Box::pin(async { Ok(()) })
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire) || self.life != self.server.life.load(Ordering::Acquire)
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        if !self.is_closed.swap(true, Ordering::AcqRel) {
            self.server.closed.fetch_add(1, Ordering::AcqRel);
            self.server.news.notify_waiters();
        }
        Box::pin(async {})
    }
}

pub struct Servers(pub Vec<(Name, Arc<Server>)>);

impl Upstreams for Servers {
    fn names(&self) -> Vec<Name> {
        self.0.iter().map(|(name, _)| Arc::clone(name)).collect()
    }

    fn open(
        &self,
        upstream: &Name,
        options: ConnectOptions,
        sink: Sink,
    ) -> BoxFuture<'static, Result<Arc<dyn Session>, Failure>> {
        let found = self.0.iter().find(|(name, _)| name == upstream);
        let server = found.map(|(_, server)| Arc::clone(server)).expect("a known upstream");
        Box::pin(async move {
            if server.is_hanging.load(Ordering::Acquire) {
                server.goes_on.notified().await;
            }
            if let Some(kind) = *server.fails.lock() {
                return Err(Failure::new(kind, "the handshake failed"));
            }
            if server.is_dead.load(Ordering::Acquire) {
                return Err(Failure::new(FailureKind::Connect, "connection refused"));
            }
            server.opened.fetch_add(1, Ordering::AcqRel);
            server.options.lock().push(options);
            let wire = Wire { sink, server: Arc::clone(&server) };
            server.wires.lock().push(wire.clone());
            let handshake = server.handshake.to_string().into();
            let life = server.life.load(Ordering::Acquire);
            Ok(Arc::new(Open { server, handshake, wire, is_closed: AtomicBool::new(false), life }) as Arc<dyn Session>)
        })
    }
}

/// What the guard does with a call.
pub type Script = Arc<dyn Fn(&Request) -> Option<Vec<Event>> + Send + Sync>;

/// Lets calls through, one attempt each, and remembers how they were named.
#[derive(Default)]
pub struct Through {
    tools: Mutex<HashSet<(Name, String)>>,
    pub learned: AtomicUsize,
    pub forgotten: Mutex<Vec<Name>>,
    pub calls: Mutex<Vec<Seen>>,
    /// What was answered about tasks: to whom, of which, to which question.
    pub tasks: Mutex<Vec<String>>,
    /// Gives the events instead of sending.
    pub script: Mutex<Option<Script>>,
    pub arrivals: Arc<Mutex<Vec<runtime::Arrival>>>,
    pub cancels: Arc<AtomicUsize>,
    pub left: Arc<AtomicUsize>,
    pub news: Arc<Notify>,
}

#[derive(Clone, Debug)]
pub struct Seen {
    pub upstream: String,
    pub tool: String,
    pub args: String,
    pub keys: Vec<String>,
    pub model_call: Option<String>,
    pub run: String,
    pub explicit: bool,
    pub wire: Option<String>,
    pub continuation: Option<(Option<String>, String)>,
    pub task: bool,
}

struct Waiting {
    events: Vec<Event>,
    send: Option<BoxFuture<'static, Result<Bytes, Failure>>>,
    link: Arc<dyn Link>,
    cancels: Arc<AtomicUsize>,
    left: Arc<AtomicUsize>,
    arrivals: Arc<Mutex<Vec<runtime::Arrival>>>,
    news: Arc<Notify>,
    is_over: bool,
}

/// Notes what became of an answer.
fn delivery(arrivals: &Arc<Mutex<Vec<runtime::Arrival>>>, news: &Arc<Notify>) -> Delivery {
    let (arrivals, news) = (Arc::clone(arrivals), Arc::clone(news));
    Delivery::new(move |arrival| {
        arrivals.lock().push(arrival);
        news.notify_waiters();
    })
}

impl Pending for Waiting {
    fn next(&mut self) -> BoxFuture<'_, Event> {
        Box::pin(async move {
            if !self.events.is_empty() {
                let event = self.events.remove(0);
                self.is_over = matches!(event, Event::Reply(..));
                return event;
            }
            let Some(send) = &mut self.send else { std::future::pending().await };
            let sent = send.await;
            self.is_over = true;
            let step = StepId([7; 16]);
            let reply = match sent {
                Ok(result) => Reply::Result {
                    step,
                    result,
                    verification: Verification::None,
                    replayed: false,
                    notice: None,
                    mutation: true,
                },
                Err(failure) => {
                    let told = json!({ "code": -32603, "message": failure.detail }).to_string();
                    Reply::Error { step, error: failure.rpc_error.unwrap_or_else(|| told.into()) }
                }
            };
            Event::Reply(reply, delivery(&self.arrivals, &self.news))
        })
    }

    fn cancel(&self) {
        self.cancels.fetch_add(1, Ordering::AcqRel);
        self.link.cancel();
        self.news.notify_waiters();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_over {
            self.left.fetch_add(1, Ordering::AcqRel);
            self.news.notify_waiters();
        }
    }
}

impl Guard for Through {
    fn start(&self, request: Request) -> Result<Box<dyn Pending>, CallError> {
        let key = (Arc::clone(&request.upstream), request.tool.to_string());
        if !self.tools.lock().contains(&key) {
            return Err(CallError::UnknownTool(request.tool.to_string()));
        }
        if !request.args.starts_with(b"{") {
            return Err(CallError::Malformed("the arguments are no object".into()));
        }
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        self.calls.lock().push(Seen {
            upstream: request.upstream.to_string(),
            tool: request.tool.to_string(),
            args: text(&request.args),
            keys: request.explicit_keys.clone(),
            model_call: request.model_call.clone(),
            run: request.run.name.clone(),
            explicit: request.run.explicit,
            wire: request.wire.clone(),
            continuation: request.continuation.as_ref().map(|leg| (leg.state.as_ref().map(text), text(&leg.responses))),
            task: request.task,
        });
        let scripted = self.script.lock().as_ref().and_then(|script| script(&request));
        let send = match &scripted {
            Some(events) if events.iter().any(|event| matches!(event, Event::Reply(..))) => None,
            _ => Some(request.link.send(Attempt { number: 1, ..Attempt::default() })),
        };
        Ok(Box::new(Waiting {
            events: scripted.unwrap_or_default(),
            send,
            link: request.link,
            cancels: Arc::clone(&self.cancels),
            left: Arc::clone(&self.left),
            arrivals: Arc::clone(&self.arrivals),
            news: Arc::clone(&self.news),
            is_over: false,
        }))
    }

    fn learn(&self, upstream: &Name, result: &Bytes) {
        self.learned.fetch_add(1, Ordering::AcqRel);
        let list: Value = serde_json::from_slice(result).expect("JSON");
        let mut tools = self.tools.lock();
        for tool in list["tools"].as_array().expect("a list") {
            tools.insert((Arc::clone(upstream), tool["name"].as_str().expect("a name").to_owned()));
        }
    }

    fn forget(&self, upstream: &Name) {
        self.forgotten.lock().push(Arc::clone(upstream));
    }

    fn task_answered(&self, caller: &Caller, upstream: &Name, task: &str, ask: TaskAsk, _: &Bytes) {
        self.tasks.lock().push(format!("{} {upstream} {task} {}", caller.principal, ask.method()));
    }

    fn status(&self, caller: &Caller, step: Option<StepId>) -> BoxFuture<'static, Status> {
        let text = format!("{} {}", caller.principal, step.map_or_else(|| "all".into(), |step| step.to_string()));
        let delivery = delivery(&self.arrivals, &self.news);
        Box::pin(async move { Status { text, guard: r#"{"steps":[]}"#.into(), found: step.is_some(), delivery } })
    }
}

/// A hub over some upstreams.
pub struct World {
    pub hub: Arc<Hub>,
    pub guard: Arc<Through>,
}

/// A hub with a guard of the test's own.
pub fn hub_with(servers: &[(&str, &Arc<Server>)], guard: Arc<dyn Guard>) -> Arc<Hub> {
    let servers = servers.iter().map(|(name, server)| (Name::from(*name), Arc::clone(server))).collect();
    Hub::new(Settings::default(), guard, Arc::new(Servers(servers)))
}

pub fn world(servers: &[(&str, &Arc<Server>)]) -> World {
    world_with(servers, Settings { upstream_wait: Duration::from_millis(300), ..Settings::default() })
}

pub fn world_with(servers: &[(&str, &Arc<Server>)], settings: Settings) -> World {
    let servers = servers.iter().map(|(name, server)| (Name::from(*name), Arc::clone(server))).collect();
    let guard = Arc::new(Through::default());
    let hub = Hub::new(settings, Arc::clone(&guard) as Arc<dyn Guard>, Arc::new(Servers(servers)));
    World { hub, guard }
}

pub fn caller(principal: &str) -> Caller {
    Caller { tenant: "t".into(), principal: principal.into() }
}

/// One client of a hub.
pub struct Client {
    pub conversation: Arc<Conversation>,
    stateless: Option<Value>,
}

impl World {
    pub async fn client(&self, scope: Scope, revision: &str, capabilities: Value) -> Client {
        Client::of(&self.hub, scope, revision, capabilities).await
    }

    pub async fn one(&self, upstream: &str, revision: &str) -> Client {
        let capabilities = json!({ "sampling": {}, "elicitation": { "form": {}, "url": {} }, "roots": {} });
        self.client(Scope::One(upstream.into()), revision, capabilities).await
    }

    pub async fn all(&self, revision: &str) -> Client {
        self.client(Scope::All, revision, json!({ "elicitation": {} })).await
    }
}

impl Client {
    pub async fn of(hub: &Arc<Hub>, scope: Scope, revision: &str, capabilities: Value) -> Self {
        let kind = if revision == STATELESS { Kind::Stateless } else { Kind::Session };
        let conversation = hub.conversation(caller("p"), scope, kind).expect("a conversation");
        let stateless = (kind == Kind::Stateless).then(|| capabilities.clone());
        let client = Self { conversation, stateless };
        if kind == Kind::Session {
            let params = json!({ "protocolVersion": revision, "capabilities": capabilities,
                                 "clientInfo": { "name": "c", "version": "1" } });
            client.request("initialize", params).await;
            client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        }
        client
    }

    pub fn message(&self, id: Value, method: &str, mut params: Value) -> Value {
        if let Some(capabilities) = &self.stateless {
            let meta = &mut params["_meta"];
            meta["io.modelcontextprotocol/protocolVersion"] = STATELESS.into();
            meta["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
            meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "c", "version": "1" });
        }
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    }

    pub fn send(&self, message: &Value) -> Exchange {
        self.raw(&message.to_string())
    }

    pub fn raw(&self, message: &str) -> Exchange {
        self.conversation.receive(Bytes::copy_from_slice(message.as_bytes()), Origin::default())
    }

    pub fn start(&self, id: Value, method: &str, params: Value) -> Exchange {
        self.send(&self.message(id, method, params))
    }

    /// The response alone.
    pub async fn request(&self, method: &str, params: Value) -> Value {
        response(self.start(json!(1), method, params)).await
    }

    pub async fn call(&self, tool: &str, args: Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": args })).await
    }
}

/// The next message of an exchange.
pub async fn next(exchange: &mut Exchange) -> Value {
    let out = within(exchange.next()).await.expect("a message");
    serde_json::from_slice(&out.message).expect("JSON")
}

/// The last message of an exchange.
pub async fn response(mut exchange: Exchange) -> Value {
    within(async {
        while let Some(out) = exchange.next().await {
            if out.last {
                if let Some(delivery) = out.delivery {
                    delivery.report(runtime::Arrival::Flushed);
                }
                return serde_json::from_slice(&out.message).expect("JSON");
            }
        }
        Value::Null
    })
    .await
}

pub fn reply(events: Vec<Phase>, reply: impl Fn() -> Reply + Send + Sync + 'static) -> Script {
    Arc::new(move |_| {
        let mut all: Vec<Event> = events.iter().cloned().map(Event::Phase).collect();
        all.push(Event::Reply(reply(), Delivery::new(|_| ())));
        Some(all)
    })
}

/// A shop with two tools on two pages, a prompt, resources, logging.
pub fn shop(revision: &'static str) -> Arc<Server> {
    let capabilities = json!({
        "tools": { "listChanged": true }, "prompts": { "listChanged": true }, "logging": {}, "completions": {},
        "resources": { "subscribe": true, "listChanged": true },
    });
    Server::new(revision, capabilities, |_, message| async move {
        let params = &message["params"];
        let result = match message["method"].as_str().unwrap_or_default() {
            "tools/list" if params["cursor"].is_null() => json!({
                "tools": [{ "name": "get_order", "inputSchema": { "type": "object", "x-vendor": 1.0, "$defs": {} } }],
                "nextCursor": "two",
            }),
            "tools/list" => json!({ "tools": [{ "name": "refund", "inputSchema": { "type": "object" } }] }),
            "tools/call" if params["name"] == "slow" => Value::Null,
            "tools/call" => json!({ "content": [{ "type": "text", "text": params["arguments"].to_string() }] }),
            "prompts/list" => json!({ "prompts": [{ "name": "greet" }] }),
            "prompts/get" => json!({ "messages": [], "description": params["name"] }),
            "resources/list" => json!({ "resources": [{ "uri": "shop://one", "name": "one" }] }),
            "resources/templates/list" => {
                json!({ "resourceTemplates": [{ "uriTemplate": "shop://orders/{id}", "name": "orders" }] })
            }
            "resources/read" => {
                let uri = params["uri"].as_str().unwrap_or_default();
                if !uri.starts_with("shop://") {
                    return json!({ "error": { "code": -32002, "message": "Resource not found" } });
                }
                json!({ "contents": [{ "uri": uri, "text": "shop" }] })
            }
            "completion/complete" => json!({ "completion": { "values": [params["ref"]] } }),
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => json!({}),
            _ => return json!({ "error": { "code": -32601, "message": "Method not found", "data": "theirs" } }),
        };
        if result.is_null() { Value::Null } else { json!({ "result": result }) }
    })
}
