//! Event streams of an upstream: the stream of a request, taken up again when it breaks, and the session's own.

use super::answer::Body;
use super::body::Progress;
use super::exchange::{Taken, is_media, take};
use super::{Shared, headers};
use crate::failure::fail;
use crate::session::{Incoming, Related};
use bytes::Bytes;
use http::StatusCode;
use mcp::sse::{self, Parser};
use mcp::{Envelope, Kind, Revision};
use std::sync::Arc;
use std::time::Duration;
use vocab::{Failure, FailureKind};

/// What is waited before a stream is taken up again, when the server does not say.
const RETRY_DEFAULT: Duration = Duration::from_secs(1);
/// No server is asked more often than this, whatever it says.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// A server may ask for long pauses; a request's own timeout comes first anyway.
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);
/// Resumptions in a row that bring nothing new.
const RESUMED_MAX: u32 = 5;
/// Longest pause between attempts to open the session's own stream, unless the server asks for more.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Longest id that is remembered; it goes back in a header.
const EVENT_ID_MAX: usize = 1024;

/// One stream of events, and where to take it up again.
pub struct Stream {
    body: Body,
    parser: Parser,
    position: Position,
}

#[derive(Clone, Debug, Default)]
struct Position {
    last_event: Option<String>,
    retry: Option<Duration>,
    /// Did this stream bring anything?
    moved: bool,
}

impl Position {
    fn pause(&self) -> Duration {
        self.retry.unwrap_or(RETRY_DEFAULT).clamp(RETRY_MIN, RETRY_MAX)
    }
}

impl Stream {
    pub fn new(body: Body, message_max: usize) -> Self {
        Self { body, parser: Parser::new(sse::Limits::for_messages(message_max)), position: Position::default() }
    }

    /// The data of the next event that carries a message; `None` at the end of the stream.
    async fn next_message(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let event = self.parser.next_event().map_err(|error| fail(FailureKind::TooLarge, &error.to_string()))?;
            if let Some(event) = event {
                self.position.moved = true;
                if let Some(id) = &event.id {
                    // One that cannot be sent back leaves nowhere to take the stream up.
                    let is_usable = (1..=EVENT_ID_MAX).contains(&id.len());
                    self.position.last_event = is_usable.then(|| id.clone());
                }
                self.position.retry = event.retry.or(self.position.retry);
                if event.is_message() {
                    return Ok(Some(event.data));
                }
                continue;
            }
            match self.body.piece().await {
                None => return Ok(None),
                Some(data) => self.parser.push(&data?),
            }
        }
    }
}

/// Reads the stream of a request until its answer. A stream that breaks is taken up again where the revision and the
/// server's event ids allow it; only then is its end an end.
//= G3
pub async fn answer(shared: &Arc<Shared>, mut stream: Stream, id: &Bytes) -> Result<Envelope, Failure> {
    let mut idle = 0;
    loop {
        let broken = match read_answer(shared, &mut stream, id).await {
            Ok(answer) => {
                stream.body.finish();
                return Ok(answer);
            }
            // What came cannot be read: asking for the rest would not help.
            Err(failure) if !matches!(failure.kind, FailureKind::Eof | FailureKind::Reset) => return Err(failure),
            Err(failure) => failure,
        };
        let can_resume = shared.revision().is_some_and(Revision::has_resumption);
        if !can_resume || stream.position.last_event.is_none() {
            return Err(broken);
        }
        idle = if std::mem::take(&mut stream.position.moved) { 0 } else { idle + 1 };
        let mut position = stream.position.clone();
        stream = loop {
            if idle >= RESUMED_MAX {
                return Err(broken);
            }
            tokio::time::sleep(position.pause()).await;
            match open(shared, position.last_event.as_deref()).await {
                Opened::Stream(mut next) => {
                    position.moved = false;
                    next.position = position;
                    break *next;
                }
                Opened::Refused(status) => {
                    forget(shared, status);
                    return Err(broken);
                }
                Opened::Failed => idle += 1,
            }
        };
    }
}

async fn read_answer(shared: &Shared, stream: &mut Stream, id: &Bytes) -> Result<Envelope, Failure> {
    let limits = mcp::Limits { bytes: shared.limits.message_max, depth: shared.limits.depth_max, batch: 64 };
    while let Some(data) = stream.next_message().await? {
        // A buffer may hold thousands of messages: an upstream that floods must not keep this thread for itself.
        tokio::task::consume_budget().await;
        let messages = match Envelope::parse_any(data, &limits) {
            Ok(mcp::Incoming::One(message)) => vec![message],
            Ok(mcp::Incoming::Batch(messages)) => messages,
            Err(_) => return Err(fail(FailureKind::Unparsable, "an event of the upstream is no JSON-RPC message")),
        };
        let mut answer = None;
        for message in messages {
            match take(shared, message, id) {
                Taken::Answer(message) if answer.is_none() => answer = Some(message),
                Taken::Refusal(failure) if answer.is_none() => return Err(failure),
                Taken::Answer(_) | Taken::Refusal(_) => shared.pending.stray(),
                Taken::Other => {}
            }
        }
        if let Some(answer) = answer {
            return Ok(answer);
        }
    }
    Err(fail(FailureKind::Eof, "the upstream's stream ended before the answer"))
}

enum Opened {
    Stream(Box<Stream>),
    /// There is no such stream, or no longer: so says this status, if any.
    Refused(Option<StatusCode>),
    /// It may work later.
    Failed,
}

async fn open(shared: &Shared, last_event: Option<&str>) -> Opened {
    let Ok(request) = headers::get(shared, last_event) else {
        return Opened::Refused(None);
    };
    let progress = Progress::of(&Bytes::new());
    let sent = shared.client.send(request, &progress);
    let Ok(Ok(response)) = tokio::time::timeout(shared.connect_timeout, sent).await else {
        return Opened::Failed;
    };
    let status = response.status();
    if status == StatusCode::OK && is_media(response.headers(), "text/event-stream") {
        return Opened::Stream(Box::new(Stream::new(response.into_body(), shared.limits.message_max)));
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Opened::Failed;
    }
    Opened::Refused(Some(status))
}

/// Listens to the session's own stream for as long as the session lives. Servers may have none.
pub async fn session_stream(shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        () = listen(&shared) => {}
    }
}

async fn listen(shared: &Shared) {
    let mut position = Position::default();
    let mut failures = 0_u32;
    let mut was_open = false;
    while !shared.pending.is_over() {
        match open(shared, position.last_event.as_deref()).await {
            // Servers without such a stream say 404 too; one that had it has forgotten the session.
            Opened::Refused(status) => {
                return if was_open {
                    forget(shared, status)
                };
            }
            Opened::Failed => failures += 1,
            Opened::Stream(mut stream) => {
                was_open = true;
                stream.position = Position { moved: false, ..position };
                while let Ok(Some(data)) = stream.next_message().await {
                    tokio::task::consume_budget().await;
                    deliver(shared, data);
                }
                position = stream.position;
                failures = if position.moved { 0 } else { failures + 1 };
            }
        }
        let pause = position.pause();
        tokio::time::sleep(pause.saturating_mul(1 << failures.min(6)).min(pause.max(PAUSE_MAX))).await;
    }
}

/// Ends a session that the server no longer knows.
fn forget(shared: &Shared, status: Option<StatusCode>) {
    if status == Some(StatusCode::NOT_FOUND) && shared.session_id.get().is_some() {
        shared.pending.end(&fail(FailureKind::Status(404), "the upstream has forgotten the session"));
    }
}

fn deliver(shared: &Shared, data: Bytes) {
    let limits = mcp::Limits { bytes: shared.limits.message_max, depth: shared.limits.depth_max, batch: 64 };
    let messages = match Envelope::parse_any(data, &limits) {
        Ok(mcp::Incoming::One(message)) => vec![message],
        Ok(mcp::Incoming::Batch(messages)) => messages,
        Err(error) => {
            tracing::debug!(%error, "an event of the session's stream is no message");
            return;
        }
    };
    for message in messages {
        match message.kind() {
            // Answers belong on the stream of their request.
            Kind::Response | Kind::Error => shared.pending.stray(),
            Kind::Request | Kind::Notification => {
                let related = match message.param(&["progressToken"]) {
                    Ok(Some(token)) if message.is("notifications/progress") => shared.pending.related(Some(token)),
                    _ => Related::Session,
                };
                (shared.sink)(Incoming { message: message.into_bytes(), related });
            }
        }
    }
}
