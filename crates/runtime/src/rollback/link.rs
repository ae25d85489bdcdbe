//! The link of a compensation: no caller stands behind it, so that it goes through the gateway's own session.

use crate::api::{Attempt, Link, Reader, TaskAsk};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use vocab::{Failure, Name};

pub(super) struct OwnLink {
    pub(super) reader: Arc<dyn Reader>,
    pub(super) upstream: Name,
    pub(super) tool: Name,
    pub(super) args: Bytes,
}

impl Link for OwnLink {
    fn send(&self, attempt: Attempt) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let args = attempt.args.clone().unwrap_or_else(|| self.args.clone());
        self.reader.send(self.upstream.clone(), self.tool.clone(), args, attempt)
    }

    fn read(&self, tool: Name, args: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>> {
        self.reader.read(self.upstream.clone(), tool, args)
    }

    fn task(&self, ask: TaskAsk, task: Name) -> BoxFuture<'static, Result<Bytes, Failure>> {
        self.reader.task(self.upstream.clone(), ask, task)
    }

    fn is_closed(&self) -> bool {
        false
    }

    fn is_left(&self) -> bool {
        true
    }

    /// Nobody cancels a compensation.
    fn cancel(&self) {}
}
