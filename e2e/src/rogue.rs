//! Upstreams that break every rule of good manners, over HTTP in this process and over pipes as a process.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does with a `tools/call`; everything else it answers properly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    Good,
    /// Never answers.
    Hangs,
    /// Sends notifications without end, and never the answer.
    Floods,
    /// One message that does not end.
    Endless,
    /// Answers, and answers again with something else.
    Twice,
    /// Answers a request that nobody made.
    WrongId,
    /// Answers with 64 MiB.
    Huge,
    /// Answers with arrays in arrays.
    Deep,
    /// Ends in the middle of the answer.
    Ends,
    /// Lists another set of tools each time, and always has `do`.
    Changes,
    /// Asks the client for things that it never offered, without end.
    Asks,
}

impl Habit {
    pub const BAD: [Self; 9] = [
        Self::Hangs,
        Self::Floods,
        Self::Endless,
        Self::Twice,
        Self::WrongId,
        Self::Huge,
        Self::Deep,
        Self::Ends,
        Self::Asks,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Hangs => "hangs",
            Self::Floods => "floods",
            Self::Endless => "endless",
            Self::Twice => "twice",
            Self::WrongId => "wrong_id",
            Self::Huge => "huge",
            Self::Deep => "deep",
            Self::Ends => "ends",
            Self::Changes => "changes",
            Self::Asks => "asks",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::BAD.into_iter().chain([Self::Good, Self::Changes]).find(|habit| habit.as_str() == text)
    }
}

/// A piece of what is sent.
enum Piece {
    /// A whole message.
    Message(String),
    /// Bytes of a message that has not ended.
    Part(Vec<u8>),
    /// The connection or the process ends.
    End,
    /// Nothing more comes, and nothing ends.
    Silence,
}

const HUGE: usize = 64 * 1024 * 1024;
const DEEP: usize = 100_000;
/// Enough to show whether somebody keeps all of it.
const FLOOD: usize = 2_000_000;
const CHUNK: usize = 64 * 1024;

struct Manners {
    habit: Habit,
    calls: AtomicUsize,
    lists: AtomicUsize,
}

impl Manners {
    fn new(habit: Habit) -> Self {
        Self { habit, calls: AtomicUsize::new(0), lists: AtomicUsize::new(0) }
    }

    /// What is sent for a message; notifications get nothing.
    fn answer(&self, message: &Value) -> Option<Box<dyn Iterator<Item = Piece> + Send>> {
        let id = message.get("id")?.clone();
        let whole =
            |result: &Value| Piece::Message(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string());
        match message["method"].as_str()? {
            "initialize" => Some(one(whole(&json!({
                "protocolVersion": "2025-11-25", "capabilities": { "tools": { "listChanged": true } },
                "serverInfo": { "name": "rogue", "version": "1" },
            })))),
            "ping" => Some(one(whole(&json!({})))),
            "tools/list" => Some(one(whole(&self.list()))),
            "tools/call" => {
                self.calls.fetch_add(1, Ordering::SeqCst);
                Some(self.call(&id))
            }
            _ => {
                let refusal = json!({ "code": -32601, "message": "method not found" });
                Some(one(Piece::Message(json!({ "jsonrpc": "2.0", "id": id, "error": refusal }).to_string())))
            }
        }
    }

    fn list(&self) -> Value {
        let listed = self.lists.fetch_add(1, Ordering::SeqCst);
        let tool = |name: String| json!({ "name": name, "inputSchema": { "type": "object" } });
        let mut tools = vec![tool("do".into())];
        if self.habit == Habit::Changes {
            tools.push(tool(format!("extra_{listed}")));
        }
        json!({ "tools": tools })
    }

    fn call(&self, id: &Value) -> Box<dyn Iterator<Item = Piece> + Send> {
        let result = |text: &str| json!({ "content": [{ "type": "text", "text": text }] });
        let answer = |id: &Value, text: &str| json!({ "jsonrpc": "2.0", "id": id, "result": result(text) }).to_string();
        match self.habit {
            Habit::Good | Habit::Changes => one(Piece::Message(answer(id, "done"))),
            Habit::Hangs => one(Piece::Silence),
            Habit::Twice => {
                let pieces = [answer(id, "done"), answer(id, "done once more")];
                Box::new(pieces.into_iter().map(Piece::Message))
            }
            Habit::WrongId => Box::new([Piece::Message(answer(&json!("nobody"), "done")), Piece::Silence].into_iter()),
            Habit::Floods => {
                let note = json!({ "jsonrpc": "2.0", "method": "notifications/message",
                    "params": { "level": "info", "data": "x".repeat(200) } });
                let note = note.to_string();
                Box::new((0..FLOOD).map(move |_| Piece::Message(note.clone())))
            }
            Habit::Asks => Box::new((0..FLOOD).map(|number| {
                let ask = json!({ "jsonrpc": "2.0", "id": format!("ask-{number}"), "method": "roots/list" });
                Piece::Message(ask.to_string())
            })),
            Habit::Endless => {
                let begin =
                    Piece::Part(br#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":""#.to_vec());
                Box::new(std::iter::once(begin).chain((0..FLOOD).map(|_| Piece::Part(vec![b'x'; CHUNK]))))
            }
            Habit::Huge => one(Piece::Message(answer(id, &"x".repeat(HUGE)))),
            Habit::Deep => {
                let whole = answer(id, "DEEP");
                let deep = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
                one(Piece::Message(whole.replace("\"DEEP\"", &deep)))
            }
            Habit::Ends => {
                let whole = answer(id, "done").into_bytes();
                Box::new([Piece::Part(whole[..whole.len() / 2].to_vec()), Piece::End].into_iter())
            }
        }
    }
}

fn one(piece: Piece) -> Box<dyn Iterator<Item = Piece> + Send> {
    Box::new(std::iter::once(piece))
}

/// Over HTTP, with sessions in name only and answers as event streams.
pub struct Rogue {
    pub url: String,
    manners: Arc<Manners>,
    task: JoinHandle<()>,
}

impl Rogue {
    /// # Errors
    /// No port.
    pub async fn start(habit: Habit) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        let manners = Arc::new(Manners::new(habit));
        let serving = Arc::clone(&manners);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, Arc::clone(&serving)));
            }
        });
        Ok(Self { url, manners, task })
    }

    /// How many tool calls have come.
    pub fn calls(&self) -> usize {
        self.manners.calls.load(Ordering::SeqCst)
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(stream: TcpStream, manners: Arc<Manners>) {
    let mut stream = BufReader::new(stream);
    // Whoever hangs up is not missed.
    while matches!(exchange(&mut stream, &manners).await, Ok(true)) {}
}

/// One request; false when the connection has ended.
async fn exchange(stream: &mut BufReader<TcpStream>, manners: &Manners) -> Result<bool> {
    let (mut length, mut is_post, mut line) = (0, None, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(false);
        }
        is_post.get_or_insert(line.starts_with("POST"));
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    if is_post != Some(true) {
        stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n").await?;
        return Ok(true);
    }
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(pieces) = manners.answer(&message) else {
        stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await?;
        return Ok(true);
    };
    stream
        .write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nmcp-session-id: rogue\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await?;
    let mut is_open = false;
    for piece in pieces {
        let bytes = match piece {
            Piece::Message(message) => format!("event: message\ndata: {message}\n\n").into_bytes(),
            Piece::Part(part) if is_open => part,
            Piece::Part(part) => {
                is_open = true;
                [b"data: ".as_slice(), &part].concat()
            }
            Piece::End => return Ok(false),
            Piece::Silence => std::future::pending().await,
        };
        stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
        stream.write_all(&bytes).await?;
        stream.write_all(b"\r\n").await?;
    }
    stream.write_all(b"0\r\n\r\n").await?;
    Ok(true)
}

/// The process on pipes: `rogue HABIT FILE`; each call leaves a line in the file.
///
/// # Errors
/// A pipe or the file breaks.
pub fn run(mut args: impl Iterator<Item = String>) -> Result<()> {
    let habit = args.next().and_then(|habit| Habit::parse(&habit)).context("there is no such habit")?;
    let file = args.next().context("a file is needed")?;
    let manners = Manners::new(habit);
    let (input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    for line in input.lines() {
        let message: Value = serde_json::from_str(&line?).unwrap_or_default();
        if message["method"] == "tools/call" {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&file)?;
            file.write_all(b"called\n")?;
        }
        for piece in manners.answer(&message).into_iter().flatten() {
            match piece {
                Piece::Message(message) => writeln!(output, "{message}")?,
                Piece::Part(part) => output.write_all(&part)?,
                Piece::End => return Ok(output.flush()?),
                Piece::Silence => std::thread::sleep(Duration::from_secs(3600)),
            }
        }
        output.flush()?;
    }
    Ok(())
}
