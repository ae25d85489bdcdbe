//! What one call costs in here, without doors and sockets: `cargo run -p runtime --release --example path [calls]`.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use journal::sqlite::Options;
use journal::{Journal, Memory, Sqlite};
use policy::Policy;
use runtime::{Arrival, Attempt, Event, Link, Reader, Request, Run, Runtime, Settings, TaskAsk};
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;
use vocab::{Failure, Name};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const POLICY: &str = r#"
upstreams: { u: { mcp: { url: "http://127.0.0.1:9/mcp" } } }
tools: [{ match: u.get, effect: read }, { match: u.set, effect: write, repeat: allow }]
"#;
const TOOLS: &str = r#"{"tools":[
  {"name":"get","inputSchema":{"type":"object","properties":{"id":{"type":"string"}}}},
  {"name":"set","inputSchema":{"type":"object","properties":{"id":{"type":"string"}}}}]}"#;
const ANSWER: &str = r#"{"content":[{"type":"text","text":"a short answer of a tool"}]}"#;

/// Answers at once.
struct Ready;

impl Link for Ready {
    fn send(&self, _attempt: Attempt) -> BoxFuture<'static, Result<Bytes, Failure>> {
        std::future::ready(Ok(Bytes::from_static(ANSWER.as_bytes()))).boxed()
    }

    fn read(&self, _tool: Name, _args: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>> {
        std::future::ready(Ok(Bytes::from_static(ANSWER.as_bytes()))).boxed()
    }

    fn task(&self, _ask: TaskAsk, _task: Name) -> BoxFuture<'static, Result<Bytes, Failure>> {
        std::future::ready(Ok(Bytes::from_static(ANSWER.as_bytes()))).boxed()
    }

    fn is_closed(&self) -> bool {
        false
    }

    fn cancel(&self) {}
}

impl Reader for Ready {
    fn read(&self, _upstream: Name, _tool: Name, _args: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>> {
        std::future::ready(Ok(Bytes::from_static(ANSWER.as_bytes()))).boxed()
    }

    fn task(&self, _upstream: Name, _ask: TaskAsk, _task: Name) -> BoxFuture<'static, Result<Bytes, Failure>> {
        std::future::ready(Ok(Bytes::from_static(ANSWER.as_bytes()))).boxed()
    }
}

fn main() -> Outcome {
    let calls: usize = std::env::args().nth(1).map_or(Ok(20_000), |text| text.parse())?;
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let directory = std::env::temp_dir().join(format!("runtime-path-{}", std::process::id()));
    let measured = tokio.block_on(tokio.spawn(measure(directory.clone(), calls)));
    std::fs::remove_dir_all(&directory)?;
    Ok(measured??)
}

async fn measure(directory: std::path::PathBuf, calls: usize) -> Result<(), String> {
    let sqlite: Arc<dyn Journal> = Sqlite::open(&directory, Options::default()).map_err(|error| error.to_string())?;
    for (name, journal, mutations) in [("memory", Memory::new() as Arc<dyn Journal>, calls), ("sqlite", sqlite, 200)] {
        let policy = Policy::parse(POLICY, "path.yaml", &|_| None).map_err(|problems| format!("{problems:?}"))?;
        let runtime = Runtime::start(Settings::default(), Arc::new(policy), journal, Arc::new(Ready))
            .map_err(|error| error.to_string())?;
        runtime.learn(&"u".into(), &Bytes::from_static(TOOLS.as_bytes()));
        timed(&runtime, name, "read", calls, |_| request("get", None)).await;
        timed(&runtime, name, "mutation", mutations, |_| request("set", None)).await;
        timed(&runtime, name, "replay", calls, |_| request("set", Some("k"))).await;
        runtime.drain(std::time::Duration::from_secs(5)).await;
    }
    Ok(())
}

async fn timed(runtime: &Runtime, journal: &str, what: &str, calls: usize, request: impl Fn(usize) -> Request) {
    let began = Instant::now();
    for number in 0..calls {
        let Ok(mut pending) = runtime.call(request(number)) else { return };
        loop {
            if let Event::Reply(_, delivery) = pending.next().await {
                delivery.report(Arrival::Seen);
                break;
            }
        }
    }
    let each = began.elapsed() / u32::try_from(calls).unwrap_or(u32::MAX);
    drop(writeln!(std::io::stdout(), "{journal}: {what}: {each:.2?} each"));
}

fn request(tool: &str, key: Option<&str>) -> Request {
    Request {
        tenant: "t".into(),
        principal: "p".into(),
        upstream: "u".into(),
        tool: tool.into(),
        args: Bytes::from_static(br#"{"id":"order-4711","fields":["state","amount"]}"#),
        run: Run { name: "run".to_owned(), explicit: true, client: "example".to_owned() },
        explicit_keys: key.map(str::to_owned).into_iter().collect(),
        model_call: None,
        wire: None,
        continuation: None,
        task: false,
        patience: None,
        link: Arc::new(Ready),
    }
}
