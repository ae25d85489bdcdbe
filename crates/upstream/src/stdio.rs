//! A child process as an upstream: one message a line, ids as they are given, its own process group.
//!
//! A request is queued, handed to the pipe by one writer, and answered by one reader; each step is known, so that a
//! failure says whether the request can have been received. Whether a child is started again is the pool's to decide.

mod children;
mod environment;
mod process;
mod reader;
mod writer;

use crate::config::{Config, Transport};
use crate::failure::{fail, not_sent};
use crate::handshake::Settled;
use crate::pending::Pending;
use crate::session::{Gate, RequestOptions, Session, Sink};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use mcp::{Envelope, Kind, json, splice};
use secrecy::ExposeSecret;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vocab::{Failure, FailureKind};

use process::Group;
use writer::{Line, Queue};

pub use children::end_children_of_earlier_starts;
pub use environment::Environment;

/// One child process and the conversation with it.
pub struct Stdio {
    shared: Arc<Shared>,
}

struct Shared {
    pending: Arc<Pending>,
    queue: Queue,
    settled: OnceLock<Settled>,
    /// Empty once the child and its pipes are gone.
    tracker: TaskTracker,
    /// Asks the supervisor to end the child.
    stop: CancellationToken,
}

/// How long a child may take to leave after its stdin was closed, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// Longest wait until a notification has left.
const POST_MAX: Duration = Duration::from_secs(30);
/// How long a good answer is waited for after a broken line that looked like one.
const BROKEN_GRACE: Duration = Duration::from_secs(2);
/// How long a child that closed its stdin may go on answering.
const DRAIN: Duration = Duration::from_secs(10);

impl Stdio {
    /// Starts the child. Nothing is sent yet.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(config: &Config, sink: Sink) -> Result<Arc<Self>, Failure> {
        let Transport::Stdio { command, env, cwd, environment, children } = &config.transport else {
            return Err(fail(FailureKind::Spawn, "the upstream is no child process"));
        };
        let secrets: Vec<String> = command
            .iter()
            .skip(1)
            .chain(env.iter().map(|(_, value)| value))
            .map(|secret| secret.expose_secret().to_owned())
            .collect();
        let (mut child, pipes, group) = process::start(command, env, cwd.as_deref(), *environment)?;
        let record = children.as_ref().and_then(|folder| children::record(folder, &group));
        let tracker = TaskTracker::new();
        let pending = Pending::new(config.limits.calls_max);
        let (queue, lines) = writer::queue(config.limits.calls_max);
        let shared = Arc::new(Shared {
            pending: pending.clone(),
            queue,
            settled: OnceLock::new(),
            tracker: tracker.clone(),
            stop: CancellationToken::new(),
        });
        tracker.spawn(process::log_errors(pipes.stderr, config.name.clone(), secrets));
        let written = tracker.spawn(writer::run(pipes.stdin, lines, shared.stop.clone()));
        let read = tracker.spawn(reader::run(pipes.stdout, config.limits, pending.clone(), sink));
        let stop = shared.stop.clone();
        tracker.spawn(async move {
            let failure = supervise(&mut child, &group, read, written, stop).await;
            pending.end(&failure);
            drop(record);
        });
        tracker.close();
        Ok(Arc::new(Self { shared }))
    }

    /// Says what the handshake settled. Later calls change nothing.
    pub fn settle(&self, settled: Settled) {
        drop(self.shared.settled.set(settled));
    }
}

/// Sees the conversation to its end and the child out. Says what became of requests that still wait.
async fn supervise(
    child: &mut Child,
    group: &Group,
    mut read: JoinHandle<Failure>,
    mut written: JoinHandle<()>,
    stop: CancellationToken,
) -> Failure {
    let mut ended = None;
    let mut is_written = false;
    let mut drain = None;
    tokio::select! {
        failure = &mut read => ended = Some(failure),
        () = stop.cancelled() => {}
        // A child that takes nothing more may still have answers in its pipe.
        _ = &mut written => {
            is_written = true;
            drain = Some(DRAIN);
        }
        // What it started may hold the pipe open for ever; what it said itself is there already.
        _ = child.wait() => drain = Some(GRACE),
    }
    if let Some(drain) = drain.filter(|_| !stop.is_cancelled()) {
        tokio::select! {
            failure = &mut read => ended = Some(failure),
            () = stop.cancelled() => {}
            () = tokio::time::sleep(drain) => {}
        }
    }
    stop.cancel();
    // The writer lets go of stdin, which is what asks a well-behaved server to leave.
    if !is_written {
        drop(written.await);
    }
    let status = process::end(child, group, GRACE).await;
    tracing::debug!(status, "a child process ended");
    let ended = match ended {
        Some(ended) => ended,
        // What it said last is read before those who wait are told that nothing more comes.
        None => match tokio::time::timeout(GRACE, &mut read).await {
            Ok(ended) => ended,
            Err(_) => {
                read.abort();
                read.await
            }
        },
    };
    ended.unwrap_or_else(|_| fail(FailureKind::Exit, "the child process was ended"))
}

impl Shared {
    async fn exchange(self: Arc<Self>, message: Bytes, options: RequestOptions) -> Result<Bytes, Failure> {
        let limits = mcp::Limits { bytes: usize::MAX, depth: json::DEPTH_MAX, batch: 1 };
        let envelope = Envelope::parse(message, &limits).map_err(|_| not_sent("what was to be sent is no message"))?;
        let id = envelope.id_bytes().filter(|_| envelope.kind() == Kind::Request);
        let id = id.ok_or_else(|| not_sent("what was to be sent is no request"))?;
        let params = envelope.params().unwrap_or(b"{}");
        let token = mcp::views::progress_token(params).ok().flatten().map(Bytes::copy_from_slice);
        let mut place = self.pending.enter(id, token)?;
        let line = Line::new(splice::one_line(envelope.bytes()));
        // Dropping the guard withdraws the line if the writer has not taken it.
        let guard = line.guard();
        let broken = async {
            self.pending.suspected().await;
            tokio::time::sleep(BROKEN_GRACE).await;
        };
        let exchanged = async {
            Gate::pass(options.gate.as_ref())?;
            self.queue.put(line).await?;
            tokio::select! {
                biased;
                answer = place.answer() => answer,
                () = broken => Err(fail(FailureKind::Unparsable, "the child's answer is no JSON-RPC message")),
            }
        };
        let answered = match options.timeout {
            None => exchanged.await,
            Some(limit) => match tokio::time::timeout(limit, exchanged).await {
                Ok(answered) => answered,
                Err(_) => place.ready().unwrap_or_else(|| Err(fail(FailureKind::Timeout, "no answer in time"))),
            },
        };
        answered.map_err(|failure| guard.explain(failure))
    }

    async fn send(self: Arc<Self>, message: Bytes) -> Result<(), Failure> {
        if self.pending.is_over() {
            return Err(not_sent("the session with the upstream is over"));
        }
        let line = Line::new(splice::one_line(&message));
        let guard = line.guard();
        let sent = async {
            self.queue.put(line).await?;
            guard.written().await
        };
        match tokio::time::timeout(POST_MAX, sent).await {
            Ok(sent) => sent,
            Err(_) => Err(guard.explain(fail(FailureKind::Timeout, "the child did not take the message in time"))),
        }
    }
}

impl Session for Stdio {
    fn revision(&self) -> &str {
        self.shared.settled.get().map_or("", |settled| settled.revision.as_str())
    }

    fn is_stateless(&self) -> bool {
        self.shared.settled.get().is_some_and(|settled| settled.revision.is_stateless())
    }

    fn server(&self) -> &Bytes {
        static NOTHING: Bytes = Bytes::from_static(b"{}");
        self.shared.settled.get().map_or(&NOTHING, |settled| &settled.server)
    }

    fn request(&self, message: Bytes, options: RequestOptions) -> BoxFuture<'static, Result<Bytes, Failure>> {
        Box::pin(self.shared.clone().exchange(message, options))
    }

    fn post(&self, message: Bytes) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(self.shared.clone().send(message))
    }

    fn is_closed(&self) -> bool {
        self.shared.pending.is_over() || self.shared.stop.is_cancelled()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let shared = self.shared.clone();
        Box::pin(async move {
            shared.stop.cancel();
            shared.tracker.wait().await;
        })
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
