//! A stream of server-sent events: what was missed, what comes, and comments while nothing does.

use super::session::Reader;
use crate::{Exchange, Out};
use bytes::Bytes;
use futures_util::Stream;
use mcp::sse;
use runtime::Delivery;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

/// An event as it goes over the wire; with the last one comes its delivery.
type Next = (Bytes, Option<Delivery>);

pub(super) struct Events {
    /// Goes first.
    ready: VecDeque<Next>,
    source: Source,
    keep_alive: Pin<Box<Sleep>>,
    every: Duration,
    /// For streams that end only when somebody ends them.
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

enum Source {
    /// Not to be taken up again: dropping it says that the client has left.
    Plain(Exchange),
    Numbered(Reader),
    Over,
}

impl Events {
    /// Of a revision without resumption.
    pub fn plain(exchange: Exchange, every: Duration) -> Self {
        Self::new(Source::Plain(exchange), every)
    }

    pub fn numbered(reader: Option<Reader>, every: Duration) -> Self {
        Self::new(reader.map_or(Source::Over, Source::Numbered), every)
    }

    fn new(source: Source, every: Duration) -> Self {
        let keep_alive = Box::pin(tokio::time::sleep(every));
        Self { ready: VecDeque::new(), source, keep_alive, every, stop: None }
    }

    /// Puts an event in front that has no message, or was sent before.
    pub fn first(mut self, wire: impl IntoIterator<Item = Bytes>) -> Self {
        self.ready.extend(wire.into_iter().map(|wire| (wire, None)));
        self
    }

    /// Puts a message in front that was taken from the exchange before.
    pub fn taken(mut self, out: Option<Out>) -> Self {
        let Some(out) = out else { return self };
        let last = out.last;
        let next = match &self.source {
            Source::Numbered(reader) => reader.record(out),
            _ => (sse::message(None, &out.message), out.delivery),
        };
        self.ready.push_back(next);
        if last {
            self.source = Source::Over;
        }
        self
    }

    /// Ends when the gateway stops.
    pub fn until(mut self, stop: WaitForCancellationFutureOwned) -> Self {
        self.stop = Some(Box::pin(stop));
        self
    }

    pub fn is_over(&self) -> bool {
        matches!(self.source, Source::Over) && self.ready.is_empty()
    }

    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Next>> {
        if let Some(next) = self.ready.pop_front() {
            return Poll::Ready(Some(next));
        }
        if let Poll::Ready(next) = self.poll_source(context) {
            self.keep_alive.as_mut().reset(Instant::now() + self.every);
            return Poll::Ready(next);
        }
        if self.stop.as_mut().is_some_and(|stop| stop.as_mut().poll(context).is_ready()) {
            self.source = Source::Over;
            return Poll::Ready(None);
        }
        if self.keep_alive.as_mut().poll(context).is_ready() {
            self.keep_alive.as_mut().reset(Instant::now() + self.every);
            // Registers the waker for the next one; at once only if the interval is over already.
            if self.keep_alive.as_mut().poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
            return Poll::Ready(Some((sse::keep_alive(), None)));
        }
        Poll::Pending
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Next>> {
        let next = match &mut self.source {
            Source::Over => return Poll::Ready(None),
            Source::Plain(exchange) => std::task::ready!(Pin::new(exchange).poll_next(context))
                .map(|out| (sse::message(None, &out.message), out.delivery, out.last)),
            Source::Numbered(reader) => std::task::ready!(reader.poll_next(context)),
        };
        let last = next.as_ref().is_none_or(|(_, _, last)| *last);
        if last {
            self.source = Source::Over;
        }
        Poll::Ready(next.map(|(wire, delivery, _)| (wire, delivery)))
    }
}
