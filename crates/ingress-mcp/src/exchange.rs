//! What one message of a client brings about: messages that belong to it, then its response.

use crate::mailbox::Mailbox;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use runtime::Delivery;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One message for the client.
pub struct Out {
    pub message: Bytes,
    /// Nothing follows.
    pub last: bool,
    /// To be told when the last byte was written; dropping it says that the message was lost.
    pub delivery: Option<Delivery>,
    /// It is an error with this JSON-RPC code, of the gateway itself or one that has its own HTTP status whoever
    /// answers it.
    pub refusal: Option<i64>,
}

/// The response to one request.
pub(crate) struct Answer {
    pub message: Bytes,
    pub delivery: Option<Delivery>,
    pub refusal: Option<i64>,
}

impl Answer {
    pub const fn plain(message: Bytes) -> Self {
        Self { message, delivery: None, refusal: None }
    }

    pub const fn refused(message: Bytes, code: i64) -> Self {
        Self { message, delivery: None, refusal: Some(code) }
    }
}

/// `None`: the request was cancelled, it has no response.
pub(crate) type Answering = BoxFuture<'static, Option<Answer>>;

/// Messages that belong to one message of the client, the response last. Nothing comes for a notification or a
/// response. Dropping it says that the client has left.
pub struct Exchange {
    parts: Vec<Part>,
    batch: bool,
}

struct Part {
    mailbox: Option<(Arc<Mailbox>, u64)>,
    answering: Option<Answering>,
    answer: Option<Answer>,
}

impl Exchange {
    pub(crate) const fn nothing() -> Self {
        Self { parts: Vec::new(), batch: false }
    }

    pub(crate) fn answered(answer: Answer) -> Self {
        Self { parts: vec![Part { mailbox: None, answering: None, answer: Some(answer) }], batch: false }
    }

    pub(crate) fn request(mailbox: Arc<Mailbox>, answering: Answering) -> Self {
        let reader = mailbox.take_over();
        Self {
            parts: vec![Part { mailbox: Some((mailbox, reader)), answering: Some(answering), answer: None }],
            batch: false,
        }
    }

    /// The members of a batch, all at once.
    pub(crate) fn batch(members: impl IntoIterator<Item = Self>) -> Self {
        Self { parts: members.into_iter().flat_map(|member| member.parts).collect(), batch: true }
    }

    /// Is no response expected? Over HTTP: 202.
    pub fn is_nothing(&self) -> bool {
        self.parts.is_empty()
    }

    /// Did the client send a batch? Responses in one JSON body belong into an array then.
    pub const fn is_batch(&self) -> bool {
        self.batch
    }
}

impl Part {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<(Bytes, Option<Answer>)>> {
        if let Some(answering) = &mut self.answering
            && let Poll::Ready(answer) = answering.as_mut().poll(context)
        {
            self.answering = None;
            self.answer = answer;
        }
        // After the answer was made, so that what came before it goes out before it.
        if let Some((mailbox, reader)) = &self.mailbox {
            match mailbox.poll(*reader, context) {
                Poll::Ready(Some(message)) => return Poll::Ready(Some((message, None))),
                Poll::Ready(None) => self.mailbox = None,
                Poll::Pending if self.answering.is_none() => {
                    // Nothing comes behind the answer: who finds it closed looks for another way.
                    if !mailbox.close_if_empty() {
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    self.mailbox = None;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        match self.answer.take() {
            Some(answer) => Poll::Ready(Some((Bytes::new(), Some(answer)))),
            None if self.answering.is_some() => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

impl Stream for Exchange {
    type Item = Out;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Out>> {
        let mut at = 0;
        while at < self.parts.len() {
            match self.parts[at].poll(context) {
                Poll::Ready(Some((message, None))) => {
                    return Poll::Ready(Some(Out { message, last: false, delivery: None, refusal: None }));
                }
                Poll::Ready(Some((_, Some(answer)))) => {
                    self.parts.swap_remove(at);
                    let Answer { message, delivery, refusal } = answer;
                    return Poll::Ready(Some(Out { message, last: self.parts.is_empty(), delivery, refusal }));
                }
                Poll::Ready(None) => {
                    self.parts.swap_remove(at);
                }
                Poll::Pending => at += 1,
            }
        }
        if self.parts.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }
}
