//! One client on a pipe: a message is a line, in both directions.

use crate::conversation::Conversation;
use crate::exchange::{Exchange, Out};
use crate::hub::{Caller, Hub, Kind, Origin, Refused, Scope};
use crate::message;
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use mcp::{Envelope, envelope, splice};
use runtime::{Arrival, Delivery};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Why a pipe is not served any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("serve the client on the pipe: {0}")]
    Io(#[from] io::Error),
}

/// Serves one client on this process's own stdin and stdout: see [`serve_pipe`].
///
/// # Errors
/// As [`serve_pipe`].
pub async fn serve_stdio(hub: Arc<Hub>, caller: Caller, scope: Scope) -> Result<(), Error> {
    serve_pipe(hub, caller, scope, tokio::io::stdin(), tokio::io::stdout()).await
}

/// Serves one client until its input ends, it goes away, or the gateway shuts down. Requests that are under way when the
/// input ends are answered first.
///
/// # Errors
/// There is no such upstream, or the pipe breaks.
pub async fn serve_pipe(
    hub: Arc<Hub>,
    caller: Caller,
    scope: Scope,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> Result<(), Error> {
    let conversation = hub.conversation(caller, scope, Kind::Pipe)?;
    let served = serve(&hub, &conversation, input, output).await;
    conversation.close();
    Ok(served?)
}

async fn serve(
    hub: &Hub,
    conversation: &Arc<Conversation>,
    input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut lines = Lines::of(input, hub.limits().bytes);
    let mut own = conversation.own_stream();
    let mut exchanges: SelectAll<Exchange> = SelectAll::new();
    let stop = hub.stopping();
    let mut on_their_way = OnTheirWay::default();
    let mut is_open = true;
    while is_open || !exchanges.is_empty() {
        tokio::select! {
            // A client may write on before it is answered; only with the handshake is it known who it is.
            line = lines.next(), if is_open && !conversation.is_shaking_hands() => match line? {
                Line::Message(bytes) => {
                    on_their_way.client_says(&bytes, hub.limits());
                    let exchange = conversation.receive(bytes, Origin::default());
                    if !exchange.is_nothing() {
                        exchanges.push(exchange);
                    }
                }
                Line::TooLong => {
                    let error = envelope::Error::TooLarge(hub.limits().bytes);
                    let told = message::error(b"", error.code(), &error.to_string(), None);
                    write(&mut output, &told).await?;
                }
                Line::End => is_open = false,
            },
            // The last one that ends gives `None`.
            out = exchanges.next(), if !exchanges.is_empty() => if let Some(Out { message, delivery, .. }) = out {
                write(&mut output, &message).await?;
                on_their_way.extend(delivery);
            },
            Some(message) = own.next() => write(&mut output, &message).await?,
            () = stop.cancelled(), if is_open => is_open = false,
        }
    }
    Ok(())
}

async fn write(output: &mut (impl AsyncWrite + Unpin), message: &Bytes) -> io::Result<()> {
    // A message that came over HTTP may hold line breaks between its members.
    let mut line = BytesMut::from(&splice::one_line(message)[..]);
    line.extend_from_slice(b"\n");
    output.write_all(&line).await?;
    output.flush().await
}

/// Answers that were handed to the pipe, until the client goes on from them.
#[derive(Default)]
struct OnTheirWay(VecDeque<(Instant, Delivery)>);

impl OnTheirWay {
    fn extend(&mut self, delivery: Option<Delivery>) {
        let Some(mut delivery) = delivery else { return };
        delivery.flushed();
        self.0.push_back((Instant::now(), delivery));
        while self.0.len() > ON_THEIR_WAY_MAX {
            if let Some((_, oldest)) = self.0.pop_front() {
                oldest.report(Arrival::Flushed);
            }
        }
    }

    /// A client that asks for something a while after an answer has read it. One that asks at once may have given up
    /// just before the answer came, and its request has crossed it.
    fn client_says(&mut self, bytes: &Bytes, limits: &mcp::Limits) {
        let is_old = |(at, _): &(Instant, Delivery)| at.elapsed() >= GOES_ON_AFTER;
        if !self.0.front().is_some_and(is_old) {
            return;
        }
        let asks =
            Envelope::parse(bytes.clone(), limits).is_ok_and(|message| message.kind() == envelope::Kind::Request);
        while asks && self.0.front().is_some_and(is_old) {
            if let Some((_, delivery)) = self.0.pop_front() {
                delivery.report(Arrival::Seen);
            }
        }
    }
}

const GOES_ON_AFTER: Duration = Duration::from_millis(100);
const ON_THEIR_WAY_MAX: usize = 256;

enum Line {
    Message(Bytes),
    /// Skipped to its end.
    TooLong,
    End,
}

/// Lines of a pipe, each within a limit. Dropping a read loses nothing.
struct Lines<R> {
    input: R,
    buffer: BytesMut,
    max: usize,
    /// How much of the buffer holds no line break.
    seen: usize,
    is_skipping: bool,
}

/// Beyond the limit of a message: its line break and a carriage return.
const SLACK: usize = 2;

impl<R: AsyncRead + Unpin> Lines<R> {
    fn of(input: R, max: usize) -> Self {
        Self { input, buffer: BytesMut::with_capacity(8 * 1024), max, seen: 0, is_skipping: false }
    }

    async fn next(&mut self) -> io::Result<Line> {
        loop {
            if let Some(line) = self.buffered() {
                return Ok(line);
            }
            self.buffer.reserve(8 * 1024);
            if self.input.read_buf(&mut self.buffer).await? == 0 {
                return Ok(self.rest());
            }
        }
    }

    fn buffered(&mut self) -> Option<Line> {
        loop {
            let Some(at) = self.buffer[self.seen..].iter().position(|byte| *byte == b'\n') else {
                self.seen = self.buffer.len();
                if self.seen > self.max + SLACK {
                    self.buffer.clear();
                    self.seen = 0;
                    self.is_skipping = true;
                }
                return None;
            };
            let line = self.buffer.split_to(self.seen + at).freeze();
            self.buffer.advance(1);
            self.seen = 0;
            if std::mem::take(&mut self.is_skipping) || line.len() > self.max + SLACK {
                return Some(Line::TooLong);
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Some(Line::Message(line));
            }
        }
    }

    /// The last line may lack its break.
    fn rest(&mut self) -> Line {
        let rest = self.buffer.split().freeze();
        self.seen = 0;
        if self.is_skipping || rest.iter().all(u8::is_ascii_whitespace) {
            return Line::End;
        }
        Line::Message(rest)
    }
}
