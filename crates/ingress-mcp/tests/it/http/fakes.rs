//! A gateway in front of one scripted upstream, `shop`, and a guard that answers when it is told to.

use super::client::{Answer, Ask, Client, LONG};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ingress_mcp::http::{Auth, ServerConfig, serve};
use ingress_mcp::{Caller, Event, Guard, Hub, Pending, Settings, Status, Upstreams};
use parking_lot::Mutex;
use policy::{Principal, Secret};
use runtime::{CallError, Delivery, Reply, Request, TaskAsk};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use upstream::{ConnectOptions, Incoming, Related, RequestOptions, Session, Sink};
use vocab::{Failure, Name, StepId, Verification};

/// What happened behind the door, in order, and whether those who wait may go on.
pub struct World {
    log: watch::Sender<Vec<String>>,
    open: watch::Sender<bool>,
    sinks: Mutex<Vec<Sink>>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self { log: watch::Sender::default(), open: watch::Sender::new(false), sinks: Mutex::default() })
    }

    fn note(&self, what: impl Into<String>) {
        self.log.send_modify(|log| log.push(what.into()));
    }

    pub fn noted(&self, what: &str) -> usize {
        self.log.borrow().iter().filter(|one| *one == what).count()
    }

    /// Is this text in anything that happened?
    pub fn mentions(&self, text: &str) -> bool {
        self.log.borrow().iter().any(|one| one.contains(text))
    }

    pub async fn until(&self, what: &str) {
        let mut log = self.log.subscribe();
        let seen = timeout(LONG, log.wait_for(|log| log.iter().any(|one| one == what))).await;
        assert!(seen.is_ok(), "never happened: {what}; but {:?}", *self.log.borrow());
    }

    /// Lets go what waits: calls, and reads of `wait:…`.
    pub fn release(&self) {
        self.open.send_replace(true);
    }

    async fn released(&self) {
        let mut open = self.open.subscribe();
        drop(open.wait_for(|open| *open).await);
    }

    /// The upstream says something by itself, on its newest session.
    pub fn say(&self, message: &str, related: Related) {
        let sink = self.sinks.lock().last().cloned().expect("a session of the upstream");
        sink(Incoming { message: Bytes::copy_from_slice(message.as_bytes()), related });
    }
}

/// Notes that it was dropped before it was done.
struct Noted(Arc<World>, String);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.note(std::mem::take(&mut self.1));
    }
}

struct Shop(Arc<World>);

impl Guard for Shop {
    fn start(&self, request: Request) -> Result<Box<dyn Pending>, CallError> {
        self.0.note(format!("call {} as {} in {}", request.tool, request.principal, request.run.name));
        let text = "paid".repeat(if request.args.windows(5).any(|part| part == b"large") { 2_000_000 } else { 1 });
        let result = format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#).into();
        let left = Some(Noted(Arc::clone(&self.0), "left".to_owned()));
        Ok(Box::new(Call { world: Arc::clone(&self.0), result, left }))
    }

    fn learn(&self, _: &Name, _: &Bytes) {}

    fn forget(&self, _: &Name) {}

    fn task_answered(&self, _: &Caller, _: &Name, _: &str, _: TaskAsk, _: &Bytes) {}

    fn status(&self, _: &Caller, _: Option<StepId>) -> BoxFuture<'static, Status> {
        let delivery = Delivery::unheeded();
        std::future::ready(Status { text: "nothing".into(), guard: "{}".into(), found: false, delivery }).boxed()
    }
}

struct Call {
    world: Arc<World>,
    result: Bytes,
    left: Option<Noted>,
}

impl Pending for Call {
    fn next(&mut self) -> BoxFuture<'_, Event> {
        Box::pin(async {
            self.world.released().await;
            if let Some(mut left) = self.left.take() {
                left.1 = "answered".to_owned();
            }
            let world = Arc::clone(&self.world);
            let delivery = Delivery::new(move |arrival| world.note(format!("{arrival:?}")));
            let reply = Reply::Result {
                step: StepId::default(),
                result: self.result.clone(),
                verification: Verification::None,
                replayed: false,
                notice: None,
                mutation: true,
            };
            Event::Reply(reply, delivery)
        })
    }

    fn cancel(&self) {
        self.world.note("cancel");
    }
}

impl Upstreams for Shop {
    fn names(&self) -> Vec<Name> {
        vec!["shop".into()]
    }

    fn open(&self, _: &Name, _: ConnectOptions, sink: Sink) -> BoxFuture<'static, Result<Arc<dyn Session>, Failure>> {
        self.0.sinks.lock().push(Arc::clone(&sink));
        let server = Bytes::from_static(
            br#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"resources":{},"logging":{}},
                "serverInfo":{"name":"shop","version":"1"}}"#,
        );
        let session: Arc<dyn Session> = Arc::new(Counter { world: Arc::clone(&self.0), sink, server });
        std::future::ready(Ok(session)).boxed()
    }
}

/// A session with the shop. `resources/read` answers its URI; `wait:…` waits, `tell:…` sends progress first and waits.
struct Counter {
    world: Arc<World>,
    sink: Sink,
    server: Bytes,
}

impl Session for Counter {
    fn revision(&self) -> &str {
        "2025-11-25"
    }

    fn is_stateless(&self) -> bool {
        false
    }

    fn server(&self) -> &Bytes {
        &self.server
    }

    fn request(&self, message: Bytes, options: RequestOptions) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let (world, sink) = (Arc::clone(&self.world), Arc::clone(&self.sink));
        world.note(format!("sent {} {:?}", String::from_utf8_lossy(&message), options.headers));
        Box::pin(async move {
            let asked: serde_json::Value = serde_json::from_slice(&message).expect("a message");
            let (id, uri) = (&asked["id"], asked["params"]["uri"].as_str().unwrap_or_default());
            let mut gone = Noted(Arc::clone(&world), format!("gave up {uri}"));
            if uri.starts_with("tell:") {
                let token = &asked["params"]["_meta"]["progressToken"];
                let params = serde_json::json!({"progressToken": token, "progress": 1});
                let told = serde_json::json!({"jsonrpc":"2.0","method":"notifications/progress","params": params});
                let related = Related::Request(id.to_string().into());
                sink(Incoming { message: told.to_string().into(), related });
            }
            if uri.starts_with("wait:") || uri.starts_with("tell:") {
                world.note(format!("reads {uri}"));
                world.released().await;
            }
            gone.1 = format!("read {uri}");
            if asked["method"] == "unknown/method" {
                let error = serde_json::json!({"code": -32601, "message": "Method not found"});
                let answer = serde_json::json!({"jsonrpc": "2.0", "id": id, "error": error});
                return Ok(Bytes::from(answer.to_string()));
            }
            let result = match asked["method"].as_str() {
                Some("tools/list") => serde_json::json!({"tools": [{"name": "pay", "inputSchema": {
                    "type": "object",
                    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
                }}]}),
                Some("resources/read") => serde_json::json!({"contents": [{"uri": uri, "text": uri}]}),
                _ => serde_json::json!({}),
            };
            Ok(Bytes::from(serde_json::json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()))
        })
    }

    fn post(&self, _: Bytes) -> BoxFuture<'static, Result<(), Failure>> {
        std::future::ready(Ok(())).boxed()
    }

    fn is_closed(&self) -> bool {
        false
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

pub struct Gateway {
    pub address: SocketAddr,
    pub world: Arc<World>,
    pub hub: Arc<Hub>,
    pub auth: Arc<Auth>,
    pub stop: CancellationToken,
    served: JoinHandle<io::Result<()>>,
}

/// What differs from the defaults.
#[derive(Default)]
pub struct Setup {
    pub config: ServerConfig,
    pub settings: Settings,
    pub principals: Vec<&'static str>,
}

impl Setup {
    pub async fn start(self) -> Gateway {
        let world = World::new();
        let (guard, upstreams) = (Arc::new(Shop(Arc::clone(&world))), Arc::new(Shop(Arc::clone(&world))));
        let hub = Hub::new(self.settings, guard, upstreams);
        let auth = Arc::new(Auth::new(self.principals.into_iter().map(principal).collect()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, Arc::clone(&hub), Arc::clone(&auth), self.config, stop.clone()));
        Gateway { address, world, hub, auth, stop, served }
    }
}

/// Its token is `<name>-token`.
pub fn principal(name: &str) -> Principal {
    Principal { name: name.into(), tenant: "default".into(), token: Secret::of(format!("{name}-token")) }
}

pub async fn gateway() -> Gateway {
    Setup::default().start().await
}

pub const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25",
    "capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;

pub fn read(id: u32, uri: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"resources/read",
            "params":{{"uri":"{uri}","_meta":{{"progressToken":"t{id}"}}}}}}"#
    )
}

pub fn pay(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"pay","arguments":{{}}}}}}"#)
}

/// A call in the run `r`.
pub fn call(session: &str, id: u32) -> Ask {
    post(session, &pay(id)).with("Cofferdam-Run", "r")
}

pub const CALLED: &str = "call pay as local in r";

pub const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
    "io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"}}"#;

/// A request of 2026-07-28, with the headers that mirror it.
pub fn stateless(method: &str, name: Option<&str>, params: &str) -> Ask {
    let comma = if params.is_empty() { "" } else { "," };
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{META}{comma}{params}}}}}"#);
    let ask = Ask::post("/mcp/shop", &body).with("MCP-Protocol-Version", "2026-07-28").with("Mcp-Method", method);
    match name {
        Some(name) => ask.with("Mcp-Name", name),
        None => ask,
    }
}

impl Gateway {
    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, ask: Ask) -> Answer {
        self.client().await.ask(ask).await
    }

    /// Begins a session with `shop` and gives its id.
    pub async fn session(&self) -> String {
        self.session_of("2025-11-25").await
    }

    pub async fn session_of(&self, revision: &str) -> String {
        let begun = self.ask(Ask::post("/mcp/shop", &INITIALIZE.replace("2025-11-25", revision))).await;
        assert_eq!(begun.status, 200, "{begun:?}");
        begun.header("mcp-session-id").expect("a session").to_owned()
    }

    /// Stops it and waits until everything has ended.
    pub async fn end(self) {
        self.stop.cancel();
        timeout(LONG, self.served).await.expect("it ends in time").expect("no panic").expect("no error");
    }
}

/// A message of a session.
pub fn post(session: &str, body: &str) -> Ask {
    Ask::post("/mcp/shop", body).with("Mcp-Session-Id", session).with("MCP-Protocol-Version", "2025-11-25")
}

pub fn get(session: &str) -> Ask {
    Ask::get("/mcp/shop").with("Mcp-Session-Id", session).with("MCP-Protocol-Version", "2025-11-25")
}
