//! What upstreams send without a request of the client: the GET stream, or lines between answers on stdio.

use crate::mailbox::Mailbox;
use bytes::Bytes;
use futures_util::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Messages of the servers. The newest one of a conversation gets them; an older one ends.
pub struct OwnStream {
    mailbox: Arc<Mailbox>,
    reader: u64,
}

impl OwnStream {
    pub(crate) fn of(mailbox: &Arc<Mailbox>) -> Self {
        Self { reader: mailbox.take_over(), mailbox: Arc::clone(mailbox) }
    }
}

impl Stream for OwnStream {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.mailbox.poll(self.reader, context)
    }
}

impl Drop for OwnStream {
    fn drop(&mut self) {
        self.mailbox.leave(self.reader);
    }
}
