//! The load generator: closed loop or paced, one thread, every answer checked against its own request.

use crate::http::{self, Connection};
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

#[derive(Args, Clone, Debug)]
pub struct Options {
    #[arg(long)]
    pub address: SocketAddr,
    #[arg(long, default_value = "/mcp")]
    pub path: String,
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Seconds.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Calls a second over all connections; 0 is a closed loop.
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    #[arg(long, value_enum, default_value_t = Kind::Read)]
    pub kind: Kind,
    /// Put before the names of tools.
    #[arg(long, default_value = "")]
    pub prefix: String,
    /// Bytes of payload in the arguments besides.
    #[arg(long, default_value_t = 0)]
    pub pad: usize,
    /// Ends after so many calls, whatever the time.
    #[arg(long, default_value_t = u64::MAX)]
    pub calls: u64,
    /// Keeps its sessions open and idle for so many seconds afterwards.
    #[arg(long, default_value_t = 0.0)]
    pub linger: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A call that changes nothing.
    Read,
    /// A mutation without a read-back.
    Write,
    /// A mutation whose policy reads back.
    Put,
    /// One mutation again and again under one idempotency key.
    Replay,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    pub calls: u64,
    pub per_second: f64,
    /// Microseconds.
    pub p50: f64,
    pub p99: f64,
    pub worst: f64,
}

impl Kind {
    const fn tool(self) -> &'static str {
        match self {
            Self::Read => "get",
            Self::Write | Self::Replay => "append",
            Self::Put => "put",
        }
    }
}

/// Opens a session per connection, then runs the load and prints what it measured.
pub fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(options))?;
    serde_json::to_writer(std::io::stdout(), &measured)?;
    writeln!(std::io::stdout())?;
    Ok(())
}

async fn measure(options: &Options) -> Result<Measured> {
    let mut sessions = Vec::new();
    for index in 0..options.connections {
        sessions.push(Session::open(options.clone(), index as u64).await?);
    }
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(options.seconds);
    let mut tasks = tokio::task::JoinSet::new();
    for (index, mut session) in sessions.into_iter().enumerate() {
        let pace = (options.rate > 0).then(|| {
            let every = Duration::from_secs_f64(options.connections as f64 / options.rate as f64);
            (began + every.mul_f64(index as f64 / options.connections as f64), every)
        });
        let share = options.calls / options.connections as u64;
        tasks.spawn(async move {
            let took = session.go(until, pace, share).await?;
            Ok::<_, anyhow::Error>((session, took))
        });
    }
    let (mut all, mut open) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (session, took) = done??;
        all.extend(took);
        open.push(session);
    }
    let elapsed = began.elapsed().as_secs_f64();
    if options.linger > 0.0 {
        tokio::time::sleep(Duration::from_secs_f64(options.linger)).await;
    }
    for session in &mut open {
        session.close().await?;
    }
    summary(all, elapsed)
}

pub fn summary(mut all: Vec<f32>, elapsed: f64) -> Result<Measured> {
    ensure!(!all.is_empty(), "no call was answered");
    all.sort_unstable_by(f32::total_cmp);
    let at = |share: f64| f64::from(all[((all.len() as f64 * share) as usize).min(all.len() - 1)]);
    Ok(Measured {
        calls: all.len() as u64,
        per_second: all.len() as f64 / elapsed,
        p50: at(0.5),
        p99: at(0.99),
        worst: at(1.0),
    })
}

struct Session {
    connection: Connection,
    options: Options,
    id: Option<String>,
    /// Numbers of this connection are its own, so that no two mutations are equal.
    next: u64,
    pad: String,
    out: String,
}

#[derive(Deserialize)]
struct Answer {
    id: u64,
    result: Option<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(rename = "structuredContent")]
    structured: Option<Numbered>,
}

#[derive(Deserialize)]
struct Numbered {
    n: u64,
}

impl Session {
    async fn open(options: Options, index: u64) -> Result<Self> {
        let stream = TcpStream::connect(options.address).await.context("connect to the target")?;
        let pad = "x".repeat(options.pad);
        // Another run of the generator must not repeat the numbers of this one.
        let start = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_millis() as u64 % 1_000_000_000;
        let next = (start * 1_000 + index % 1_000) * 1_000_000;
        let connection = Connection::new(stream)?;
        let mut session = Self { connection, options, id: None, next, pad, out: String::new() };
        let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
        session.post(hello, "").await?;
        let answer = session.answer().await?;
        session.id = http::header(&answer.head, "mcp-session-id").map(str::to_owned);
        session.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "").await?;
        session.answer().await?;
        session.post(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}"#, "").await?;
        session.answer().await?;
        Ok(session)
    }

    async fn go(&mut self, until: Instant, pace: Option<(Instant, Duration)>, calls_max: u64) -> Result<Vec<f32>> {
        let mut took = Vec::new();
        let mut due = pace.map(|(first, _)| first);
        while (took.len() as u64) < calls_max {
            let start = match (&mut due, pace) {
                (Some(due), Some((_, every))) => {
                    // A call that had to wait for the one before counts from when it was due, so that a stall cannot
                    // hide what waited behind it; one that was waited for counts from when the timer fired, because
                    // the timer's own slack of a millisecond is not the target's.
                    if *due >= until {
                        break;
                    }
                    let is_late = *due <= Instant::now();
                    tokio::time::sleep_until((*due).into()).await;
                    let start = if is_late { *due } else { Instant::now() };
                    *due += every;
                    start
                }
                _ => Instant::now(),
            };
            if start >= until {
                break;
            }
            self.call().await?;
            took.push(start.elapsed().as_secs_f32() * 1e6);
        }
        Ok(took)
    }

    async fn call(&mut self) -> Result<()> {
        self.next += 1;
        let id = self.next;
        let kind = self.options.kind;
        let number = if kind == Kind::Replay { id / 1_000_000 } else { id };
        let key = if kind == Kind::Replay { format!("idempotency-key: replay-{number}\r\n") } else { String::new() };
        let pad = if self.pad.is_empty() { String::new() } else { format!(r#","pad":"{}""#, self.pad) };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{}{}","arguments":{{"n":{number}{pad}}}}}}}"#,
            self.options.prefix,
            kind.tool(),
        );
        self.post(&body, &key).await?;
        let message = self.answer().await?;
        let json = http::json(&message)?;
        let answer: Answer = serde_json::from_slice(json)
            .with_context(|| format!("read the answer {}", String::from_utf8_lossy(json)))?;
        let got = answer.result.and_then(|result| result.structured).map(|structured| structured.n);
        if answer.id != id || got != Some(number) {
            bail!("call {id} got another's answer: {}", String::from_utf8_lossy(json));
        }
        Ok(())
    }

    async fn post(&mut self, body: &str, more: &str) -> Result<()> {
        self.out.clear();
        write!(
            self.out,
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\n",
            self.options.path, self.options.address
        )?;
        if let Some(id) = &self.id {
            write!(self.out, "mcp-session-id: {id}\r\nmcp-protocol-version: 2025-11-25\r\n")?;
        }
        write!(self.out, "{more}content-length: {}\r\n\r\n{body}", body.len())?;
        self.connection.write(self.out.as_bytes()).await
    }

    async fn answer(&mut self) -> Result<http::Message> {
        let message = self.connection.read().await?.context("the target closed the connection")?;
        let status = http::status(&message.head)?;
        ensure!(
            (200..300).contains(&status),
            "the target answered {status}: {}",
            String::from_utf8_lossy(&message.body)
        );
        Ok(message)
    }

    async fn close(&mut self) -> Result<()> {
        let Some(id) = self.id.clone() else { return Ok(()) };
        let (path, address) = (&self.options.path, self.options.address);
        let end = format!("DELETE {path} HTTP/1.1\r\nhost: {address}\r\nmcp-session-id: {id}\r\n\r\n");
        self.connection.write(end.as_bytes()).await?;
        // Some targets end sessions in their own way; only that it answered matters.
        self.connection.read().await?;
        Ok(())
    }
}
