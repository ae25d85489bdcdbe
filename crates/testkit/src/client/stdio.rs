//! Lines over a child's pipes.

use super::{CallOptions, Error};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::{ExitStatus, Stdio as Pipe};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(super) struct Stdio {
    child: Child,
    input: Arc<tokio::sync::Mutex<ChildStdin>>,
    waiting: Waiting,
    reader: JoinHandle<()>,
}

/// Requests in flight by their id as JSON text; `None` once the pipe has ended.
type Waiting = Arc<Mutex<Option<HashMap<String, oneshot::Sender<Result<Value, Error>>>>>>;

/// How long a child may take to end after its input has.
const EXIT_WAIT: Duration = Duration::from_secs(10);

impl Stdio {
    pub(super) fn spawn(mut command: Command) -> Result<Self, Error> {
        let refused = |why: &str| Error::Connect(why.into());
        command.stdin(Pipe::piped()).stdout(Pipe::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| refused(&error.to_string()))?;
        let input = child.stdin.take().ok_or_else(|| refused("no pipe to the child"))?;
        let output = child.stdout.take().ok_or_else(|| refused("no pipe from the child"))?;
        let input = Arc::new(tokio::sync::Mutex::new(input));
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let reader = tokio::spawn(read(output, Arc::clone(&waiting), Arc::clone(&input)));
        Ok(Self { child, input, waiting, reader })
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) async fn send(&self, line: &[u8]) -> Result<(), Error> {
        let mut whole = line.to_vec();
        whole.push(b'\n');
        write(&self.input, &whole).await
    }

    pub(super) async fn exchange(&self, message: &str, id: &Value, options: &CallOptions) -> Result<Value, Error> {
        let (answered, answer) = oneshot::channel();
        match self.waiting.lock().as_mut() {
            Some(waiting) => drop(waiting.insert(id.to_string(), answered)),
            None => return Err(Error::Disconnected("the process has ended".into())),
        }
        self.send(message.as_bytes()).await?;
        if options.twice {
            self.send(message.as_bytes()).await?;
        }
        match tokio::time::timeout(options.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::Disconnected("the process has ended".into())),
            Err(_) => {
                if let Some(waiting) = self.waiting.lock().as_mut() {
                    waiting.remove(&id.to_string());
                }
                Err(Error::Timeout)
            }
        }
    }

    pub(super) async fn close(mut self) -> Option<ExitStatus> {
        self.reader.abort();
        // The reader holds the other end of the input; once it is gone, dropping ours ends the pipe.
        drop((&mut self.reader).await);
        drop(self.input);
        match tokio::time::timeout(EXIT_WAIT, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => None,
        }
    }
}

async fn read(output: ChildStdout, waiting: Waiting, input: Arc<tokio::sync::Mutex<ChildStdin>>) {
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let Ok(message) = serde_json::from_slice::<Value>(&line) else {
            // Half an answer names nobody; whoever waits alone is told.
            fail_only_one(&waiting);
            continue;
        };
        let Some(id) = message.get("id") else { continue };
        if message.get("method").is_some() {
            let refusal = if message["method"] == "ping" {
                json!({ "jsonrpc": "2.0", "id": id, "result": {} })
            } else {
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "method not found" } })
            };
            if write(&input, format!("{refusal}\n").as_bytes()).await.is_err() {
                break;
            }
            continue;
        }
        let asker = waiting.lock().as_mut().and_then(|waiting| waiting.remove(&id.to_string()));
        if let Some(asker) = asker {
            // The asker may have given up.
            drop(asker.send(Ok(message)));
        }
    }
    // Dropping the senders tells all who wait.
    waiting.lock().take();
}

fn fail_only_one(waiting: &Waiting) {
    let mut waiting = waiting.lock();
    if let Some(all) = waiting.as_mut().filter(|all| all.len() == 1) {
        for (_, asker) in all.drain() {
            drop(asker.send(Err(Error::Malformed("a line that is no JSON".into()))));
        }
    }
}

async fn write(input: &tokio::sync::Mutex<ChildStdin>, bytes: &[u8]) -> Result<(), Error> {
    let lost = |error: std::io::Error| Error::Disconnected(error.to_string());
    let mut input = input.lock().await;
    input.write_all(bytes).await.map_err(lost)?;
    input.flush().await.map_err(lost)
}
