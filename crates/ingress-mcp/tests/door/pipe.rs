//! A client on a pipe, against upstreams in memory and a real one.

use crate::support::*;
use futures_util::future::BoxFuture;
use ingress_mcp::{Guard, Hub, Scope, Settings, Upstreams, serve_pipe};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use upstream::{Config, ConnectOptions, Implementation, Limits, Session, Sink, Transport};
use vocab::{Failure, Name};

struct Pipe {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    input: Option<WriteHalf<DuplexStream>>,
    served: JoinHandle<Result<(), ingress_mcp::StdioError>>,
}

fn pipe(hub: &Arc<Hub>, upstream: &str) -> Pipe {
    let (ours, theirs) = tokio::io::duplex(1024 * 1024);
    let (input, output) = tokio::io::split(theirs);
    let scope = Scope::One(upstream.into());
    let served = tokio::spawn(serve_pipe(Arc::clone(hub), caller("p"), scope, input, output));
    let (read, write) = tokio::io::split(ours);
    Pipe { lines: BufReader::new(read).lines(), input: Some(write), served }
}

impl Pipe {
    async fn send(&mut self, text: &str) {
        let input = self.input.as_mut().expect("the pipe is open");
        within(input.write_all(text.as_bytes())).await.expect("it is read");
    }

    async fn read(&mut self) -> Value {
        let line = within(self.lines.next_line()).await.expect("the pipe holds").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }

    async fn request(&mut self, method: &str, params: Value) -> Value {
        self.send(&format!("{}\n", json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": params })))
            .await;
        loop {
            let message = self.read().await;
            if message["id"] == method && message.get("method").is_none() {
                return message;
            }
        }
    }

    async fn initialize(&mut self, revision: &str) -> Value {
        let params =
            json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } });
        let answer = self.request("initialize", params).await;
        self.send("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n").await;
        answer
    }
}

#[tokio::test]
async fn a_pipe_takes_lines_and_gives_lines_in_every_session_revision() {
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let server = shop(revision);
        let world = world(&[("shop", &server)]);
        let mut pipe = pipe(&world.hub, "shop");
        assert_eq!(pipe.initialize(revision).await["result"]["protocolVersion"], revision);
        pipe.send("\r\n  \n").await;
        let listed = pipe.request("tools/list", json!({})).await;
        assert_eq!(listed["result"]["tools"][0]["name"], "get_order", "names stay as they are");
        let called = pipe.request("tools/call", json!({ "name": "refund", "arguments": { "a": "b\nc" } })).await;
        assert_eq!(called["result"]["content"][0]["text"], r#"{"a":"b\nc"}"#);
        let calls = world.guard.calls.lock().clone();
        assert_eq!(calls[0].wire, None, "nothing comes twice on a pipe");
    }
}

#[tokio::test]
async fn what_is_written_right_behind_the_initialize_is_taken_once_that_is_answered() {
    let server = shop("2025-11-25");
    let world = world(&[("shop", &server)]);
    let mut pipe = pipe(&world.hub, "shop");
    let params =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } });
    let lines = [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "refund", "arguments": {} } }),
    ];
    pipe.send(&lines.map(|line| format!("{line}\n")).concat()).await;
    let (first, second) = (pipe.read().await, pipe.read().await);
    assert_eq!((&first["id"], &first["result"]["protocolVersion"]), (&json!(1), &json!("2025-11-25")), "{first}");
    assert_eq!((&second["id"], &second["result"]["isError"]), (&json!(2), &Value::Null), "{second}");
}

#[tokio::test]
async fn a_stateless_client_on_a_pipe_says_each_time_who_it_is() {
    let server = shop("2025-11-25");
    let world = world(&[("shop", &server)]);
    let mut pipe = pipe(&world.hub, "shop");
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": STATELESS, "io.modelcontextprotocol/clientCapabilities": {} });
    let discovered = pipe.request("server/discover", json!({ "_meta": meta })).await;
    assert_eq!(discovered["result"]["supportedVersions"][0], STATELESS);
    let called = pipe.request("tools/call", json!({ "name": "refund", "_meta": meta })).await;
    assert_eq!(called["result"]["resultType"], "complete");
}

#[tokio::test]
async fn what_was_asked_before_the_end_of_input_is_answered() {
    let server = shop("2025-11-25");
    let world = world(&[("shop", &server)]);
    let mut pipe = pipe(&world.hub, "shop");
    pipe.initialize("2025-11-25").await;
    pipe.send(r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"refund"}}"#).await;
    let mut input = pipe.input.take().expect("open");
    within(input.shutdown()).await.expect("closed");
    assert_eq!(pipe.read().await["id"], 7, "the last line may lack its break");
    within(&mut pipe.served).await.expect("no panic").expect("a clean end");
}

//= S-07
#[tokio::test]
async fn a_line_beyond_the_limit_is_refused_and_the_next_one_is_read() {
    let server = shop("2025-11-25");
    let limits = mcp::Limits { bytes: 64 * 1024, ..mcp::Limits::default() };
    let world = world_with(&[("shop", &server)], Settings { limits, ..Settings::default() });
    let mut pipe = pipe(&world.hub, "shop");
    pipe.initialize("2025-11-25").await;
    pipe.send(&format!("{}\n", "x".repeat(300 * 1024))).await;
    assert_eq!(pipe.read().await["error"]["code"], -32600);
    pipe.send("not json\n").await;
    assert_eq!(pipe.read().await["error"]["code"], -32700);
    assert_eq!(pipe.request("ping", json!({})).await["result"], json!({}));
}

/// Real upstreams, over the network.
struct Real(Arc<Config>);

impl Upstreams for Real {
    fn names(&self) -> Vec<Name> {
        vec![Arc::clone(&self.0.name)]
    }

    fn open(
        &self,
        _: &Name,
        options: ConnectOptions,
        sink: Sink,
    ) -> BoxFuture<'static, Result<Arc<dyn Session>, Failure>> {
        Box::pin(upstream::connect(Arc::clone(&self.0), options, sink))
    }
}

#[tokio::test]
async fn a_real_shop_is_reached_in_every_pair_of_revisions() {
    for theirs in ["2025-03-26", "2025-06-18", "2025-11-25", STATELESS] {
        let shop = Arc::new(testkit::shop::Shop::in_memory().expect("a shop"));
        let options = testkit::Options { revisions: vec![theirs], ..testkit::Options::default() };
        let running = testkit::server::serve_http(([127, 0, 0, 1], 0).into(), shop, options).await.expect("a server");
        let config = Arc::new(Config {
            name: "shop".into(),
            transport: Transport::Http { url: running.url.clone().into(), headers: Vec::new() },
            revision: None,
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(10),
            gateway: Implementation { name: "cofferdam".into(), version: "0".into() },
            known: upstream::Known::default(),
        });
        for ours in ["2024-11-05", "2025-06-18", "2025-11-25"] {
            let guard = Arc::new(Through::default());
            let hub = Hub::new(
                Settings::default(),
                Arc::clone(&guard) as Arc<dyn Guard>,
                Arc::new(Real(Arc::clone(&config))),
            );
            let mut pipe = pipe(&hub, "shop");
            let shaken = pipe.initialize(ours).await;
            assert_eq!(shaken["result"]["protocolVersion"], ours, "{theirs}");
            let listed = pipe.request("tools/list", json!({})).await;
            let tools = listed["result"]["tools"].as_array().expect("tools").clone();
            let reading =
                tools.iter().find(|tool| tool["annotations"]["readOnlyHint"] == true).expect("a reading tool");
            let called = pipe.request("tools/call", json!({ "name": reading["name"], "arguments": {} })).await;
            assert!(called.get("result").is_some(), "{ours} -> {theirs}: {called}");
            drop(pipe.input.take());
            within(hub.drain()).await;
        }
        within(running.shutdown()).await;
    }
}
