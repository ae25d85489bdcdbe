//! The body of an answer: one message at once, or events as they come.

use super::events::Events;
use super::link::Busy;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use runtime::Delivery;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Owns the delivery until the last byte is in hyper's buffer; dropped before, the answer is lost.
pub(super) struct Body {
    content: Content,
    delivery: Option<Delivery>,
    busy: Busy,
}

enum Content {
    Whole(Option<Bytes>),
    Events(Box<Events>),
}

pub(super) fn empty(status: StatusCode, busy: Busy) -> Response<Body> {
    respond(status, Body { content: Content::Whole(None), delivery: None, busy })
}

/// A text for people and supervisors.
pub(super) fn text(status: StatusCode, text: &'static str, busy: Busy) -> Response<Body> {
    let content = Content::Whole(Some(Bytes::from_static(text.as_bytes())));
    let mut response = respond(status, Body { content, delivery: None, busy });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

pub(super) fn json(status: StatusCode, message: Bytes, delivery: Option<Delivery>, busy: Busy) -> Response<Body> {
    let mut response = respond(status, Body { content: Content::Whole(Some(message)), delivery, busy });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn events(events: Events, busy: Busy) -> Response<Body> {
    let content = Content::Events(Box::new(events));
    let mut response = respond(StatusCode::OK, Body { content, delivery: None, busy });
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // nginx would hold events back until its buffer is full.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

fn respond(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        match &mut this.content {
            Content::Whole(message) => Poll::Ready(message.take().map(|message| Ok(Frame::data(message)))),
            Content::Events(events) => {
                let next = std::task::ready!(events.poll_next(context));
                Poll::Ready(next.map(|(wire, delivery)| {
                    this.delivery = this.delivery.take().or(delivery);
                    Ok(Frame::data(wire))
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(message) => message.is_none(),
            Content::Events(events) => events.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(message) => SizeHint::with_exact(message.as_ref().map_or(0, Bytes::len) as u64),
            Content::Events(_) => SizeHint::default(),
        }
    }
}

/// hyper drops a body after it took the last frame, and when the client has left.
impl Drop for Body {
    fn drop(&mut self) {
        if self.is_end_stream()
            && let Some(delivery) = self.delivery.take()
        {
            self.busy.written(delivery);
        }
    }
}
