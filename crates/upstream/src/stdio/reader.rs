//! One task reads the child's stdout: answers go to those who wait, everything else to the sink.

use crate::config::Limits;
use crate::failure::fail;
use crate::pending::Pending;
use crate::session::{Incoming, Related, Sink};
use bytes::{Buf, Bytes, BytesMut};
use mcp::{Envelope, Kind, meta};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt};
use vocab::{Failure, FailureKind};

/// Where in a line its `jsonrpc` is looked for.
const RESEMBLES_WITHIN: usize = 256;

/// Reads lines to the end and says why it ended.
pub async fn run(mut stdout: impl AsyncRead + Unpin, limits: Limits, pending: Arc<Pending>, sink: Sink) -> Failure {
    let read = mcp::Limits { bytes: limits.message_max, depth: limits.depth_max, batch: 64 };
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    let mut seen = 0;
    loop {
        while let Some(end) = buffer[seen..].iter().position(|byte| *byte == b'\n') {
            if seen + end > limits.message_max {
                return too_large();
            }
            let line = buffer.split_to(seen + end).freeze();
            buffer.advance(1);
            seen = 0;
            take(line, &read, &pending, &sink);
            // A child that floods must not keep this thread for itself.
            tokio::task::consume_budget().await;
        }
        seen = buffer.len();
        if seen > limits.message_max {
            return too_large();
        }
        buffer.reserve(8 * 1024);
        match stdout.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    // The last line counts even without its line feed.
    take(buffer.freeze(), &read, &pending, &sink);
    fail(FailureKind::Exit, "the child process ended")
}

fn too_large() -> Failure {
    fail(FailureKind::TooLarge, "the child sent a line beyond the size limit")
}

fn take(line: Bytes, limits: &mcp::Limits, pending: &Pending, sink: &Sink) {
    if line.iter().all(u8::is_ascii_whitespace) {
        return;
    }
    match Envelope::parse_any(line.clone(), limits) {
        Ok(mcp::Incoming::One(message)) => deliver(message, pending, sink),
        Ok(mcp::Incoming::Batch(messages)) => messages.into_iter().for_each(|message| deliver(message, pending, sink)),
        // Often it is not meant to be one: some servers print to stdout what belongs to stderr.
        Err(error) => {
            tracing::debug!(%error, "a line of the child is no message");
            if resembles_a_message(&line) {
                pending.broken();
            }
        }
    }
}

fn resembles_a_message(line: &[u8]) -> bool {
    let name = b"\"jsonrpc\"";
    line.starts_with(b"{") && line.windows(name.len()).take(RESEMBLES_WITHIN).any(|part| part == name)
}

fn deliver(message: Envelope, pending: &Pending, sink: &Sink) {
    match message.kind() {
        Kind::Response | Kind::Error => {
            let id = message.id_bytes();
            pending.answer(id.as_deref(), message.into_bytes());
        }
        Kind::Request | Kind::Notification => {
            let related = related(&message, pending);
            sink(Incoming { message: message.into_bytes(), related });
        }
    }
}

/// One pipe carries everything: what a message belongs to is what it names, or the only request in flight.
fn related(message: &Envelope, pending: &Pending) -> Related {
    if let Ok(Some(id)) = message.param(&["_meta", meta::SUBSCRIPTION_ID]) {
        return if pending.waits(id) { Related::Request(Bytes::copy_from_slice(id)) } else { Related::Session };
    }
    match message.method().unwrap_or_default() {
        "notifications/progress" => {
            let token = message.param(&["progressToken"]).ok().flatten();
            pending.related(Some(token.unwrap_or_default()))
        }
        "notifications/cancelled" | "notifications/resources/updated" | "notifications/tasks/status" => {
            Related::Session
        }
        method if method.ends_with("/list_changed") => Related::Session,
        _ => pending.related(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    type Seen = Arc<Mutex<Vec<(String, Related)>>>;

    async fn read(stream: &[u8], pending: &Arc<Pending>, message_max: usize) -> (Failure, Seen) {
        let seen = Seen::default();
        let to = seen.clone();
        let sink: Sink = Arc::new(move |incoming: Incoming| {
            to.lock().push((String::from_utf8_lossy(&incoming.message).into_owned(), incoming.related));
        });
        let limits = Limits { message_max, ..Limits::default() };
        (run(stream, limits, pending.clone(), sink).await, seen)
    }

    #[tokio::test]
    async fn noise_between_messages_is_skipped() {
        let pending = Pending::new(8);
        let mut place = pending.enter(Bytes::from_static(b"1"), None).expect("free");
        let stream = b"Server ready!\n\n{\"x\":1}\r\n\xff\xfe\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\r\n";
        let (failure, _) = read(stream, &pending, 1024).await;
        assert_eq!(failure.kind, FailureKind::Exit);
        let answer = place.answer().await.expect("the answer came");
        assert_eq!(&answer[..], b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\r");
    }

    #[tokio::test]
    async fn the_last_line_counts_without_a_line_feed() {
        let pending = Pending::new(8);
        let mut place = pending.enter(Bytes::from_static(b"1"), None).expect("free");
        read(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", &pending, 1024).await;
        assert!(place.answer().await.is_ok());
    }

    //= S-26
    #[tokio::test]
    async fn a_flood_without_a_line_feed_ends_the_reading() {
        let pending = Pending::new(8);
        let flood = vec![b'x'; 100_000];
        assert_eq!(read(&flood, &pending, 1024).await.0.kind, FailureKind::TooLarge);
    }

    #[tokio::test]
    async fn messages_say_what_they_belong_to() {
        let pending = Pending::new(8);
        let _one = pending.enter(Bytes::from_static(b"1"), Some(Bytes::from_static(b"7"))).expect("free");
        let stream = concat!(
            r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}"#,
            "\n",
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7}}"#,
            "\n",
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":8}}"#,
            "\n",
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
            "\n",
        );
        let (_, seen) = read(stream.as_bytes(), &pending, 1024).await;
        let related: Vec<Related> = seen.lock().iter().map(|(_, related)| related.clone()).collect();
        let one = Related::Request(Bytes::from_static(b"1"));
        assert_eq!(related, [one.clone(), one, Related::Session, Related::Session]);
    }
}
