//! How the attempts of one call reach their upstream: over the warm session of the client that called.

use crate::conversation::channel::{Channel, parse};
use crate::conversation::flight::Flight;
use crate::conversation::{Conversation, List, read_again, result_of};
use crate::message::quoted;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use mcp::bridge::Onward;
use mcp::{Envelope, json, splice};
use parking_lot::Mutex;
use runtime::{Attempt, Link, TaskAsk};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use upstream::RequestOptions;
use vocab::{Failure, FailureKind, Name};

#[derive(Clone)]
pub struct CallLink(Arc<Call>);

struct Call {
    conversation: Arc<Conversation>,
    flight: Arc<Flight>,
    upstream: Name,
    /// The client's message, with the tool's name as the upstream knows it.
    message: Envelope,
    channel: Mutex<Option<Arc<Channel>>>,
    is_cancelled: AtomicBool,
    /// Ends what is in flight where closing the stream is how one cancels.
    cut: CancellationToken,
}

impl CallLink {
    pub fn new(conversation: &Arc<Conversation>, flight: &Arc<Flight>, upstream: &Name, message: Envelope) -> Self {
        Self(Arc::new(Call {
            conversation: Arc::clone(conversation),
            flight: Arc::clone(flight),
            upstream: Arc::clone(upstream),
            message,
            channel: Mutex::default(),
            is_cancelled: AtomicBool::new(false),
            cut: CancellationToken::new(),
        }))
    }
}

impl Call {
    async fn open(&self) -> Result<Arc<Channel>, Failure> {
        let channel = self.conversation.channel(&self.upstream, &self.flight.hello).await?;
        *self.channel.lock() = Some(Arc::clone(&channel));
        Ok(channel)
    }

    //= G1
    //= G3
    async fn send(&self, attempt: Attempt) -> Result<Bytes, Failure> {
        let channel = self.open().await.map_err(never_sent)?;
        let message = self.message_of(&channel, &attempt)?;
        let mut headers = attempt.headers;
        if channel.is_stateless() {
            let tool = self.message.param_text(&["name"]).ok().flatten().unwrap_or_default();
            let args = attempt.args.as_deref().or_else(|| self.message.param(&["arguments"]).ok().flatten());
            headers.extend(self.mirrored(&channel, &tool, args.unwrap_or(b"{}")).await);
        }
        let options = RequestOptions { headers, timeout: None, gate: attempt.gate };
        self.conversation.level_for(&self.flight, &channel).await;
        if self.is_cancelled.load(Ordering::Acquire) {
            return Err(Failure::new(FailureKind::NotSent, "its caller cancelled it before it was sent"));
        }
        let sent = channel.exchange(&self.conversation, &self.flight, message, options);
        if !channel.is_stateless() {
            // It is told of a cancel by a message.
            return result_of(&sent.await?);
        }
        let response = tokio::select! {
            response = sent => response?,
            () = self.cut.cancelled() => {
                return Err(Failure::new(FailureKind::CancelSent, "the caller cancelled it"));
            }
        };
        result_of(&response)
    }

    /// The client's message with what this attempt adds.
    fn message_of(&self, channel: &Channel, attempt: &Attempt) -> Result<Envelope, Failure> {
        let unreadable = |_: json::Error| Failure::new(FailureKind::NotSent, "the call cannot be written");
        let mut message = self.message.clone();
        if attempt.args.is_some() || !attempt.meta.is_empty() {
            let mut bytes = message.into_bytes();
            if let Some(args) = &attempt.args {
                bytes = splice::set(&bytes, &["params", "arguments"], args).map_err(unreadable)?;
            }
            let meta: Vec<(&str, &[u8])> = attempt.meta.iter().map(|(name, value)| (&**name, &value[..])).collect();
            if !meta.is_empty() {
                bytes = splice::set_all(&bytes, &["params", "_meta"], &meta).map_err(unreadable)?;
            }
            message = parse(bytes).map_err(never_sent)?;
        }
        match self.conversation.translated(&self.flight, channel, &message) {
            Ok(Onward::Forward(bytes)) => read_again(&message, &bytes)
                .map_err(|_| Failure::new(FailureKind::NotSent, "the call cannot be written")),
            Ok(_) => Err(Failure::new(FailureKind::NotSent, "the upstream's era has no such call")),
            Err(error) => Err(unreadable(error)),
        }
    }

    async fn read(&self, tool: Name, args: Bytes) -> Result<Bytes, Failure> {
        let channel = self.warm().await?;
        let headers = match channel.is_stateless() {
            true => self.mirrored(&channel, &tool, &args).await,
            false => Vec::new(),
        };
        let (params, options) = (call_params(&tool, &args), RequestOptions { headers, ..RequestOptions::default() });
        let response = self.conversation.ask_own(&channel, "tools/call", &params, options).await?;
        result_of(&response)
    }

    async fn task(&self, ask: TaskAsk, task: &str) -> Result<Bytes, Failure> {
        let channel = self.warm().await?;
        let params = [b"{\"taskId\":", quoted(task).as_bytes(), b"}"].concat();
        let response = self.conversation.ask_own(&channel, ask.method(), &params, RequestOptions::default()).await?;
        result_of(&response)
    }

    /// The session that the call went over, or its successor.
    async fn warm(&self) -> Result<Arc<Channel>, Failure> {
        let open = self.channel.lock().clone().filter(|channel| !channel.is_closed());
        match open {
            Some(channel) => Ok(channel),
            None => self.open().await,
        }
    }

    /// The headers that this tool of a stateless upstream wants to see its arguments in. Without them the upstream
    /// refuses the call, so its tools have to be known; a list that does not come is not waited for longer.
    async fn mirrored(&self, channel: &Arc<Channel>, tool: &str, args: &[u8]) -> Vec<(Name, String)> {
        let core = &self.conversation.core;
        if !core.known.has_tools(&self.upstream) {
            let listed = self.conversation.fetch(channel, List::Tools);
            drop(tokio::time::timeout(core.settings.upstream_wait, listed).await);
        }
        let declared = core.known.mirrored(&self.upstream, tool).unwrap_or_default();
        declared.headers(args).into_iter().map(|(name, value)| (name.into(), value)).collect()
    }
}

/// However a handshake failed, or what stands before it: nothing of the call was sent.
fn never_sent(failure: Failure) -> Failure {
    match failure.kind {
        FailureKind::Connect | FailureKind::Tls | FailureKind::Spawn => failure,
        _ => Failure { kind: FailureKind::NotSent, rpc_error: None, ..failure },
    }
}

impl Link for CallLink {
    fn send(&self, attempt: Attempt) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let call = Arc::clone(&self.0);
        Box::pin(async move { call.send(attempt).await })
    }

    fn read(&self, tool: Name, args: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let call = Arc::clone(&self.0);
        Box::pin(async move { call.read(tool, args).await })
    }

    fn task(&self, ask: TaskAsk, task: Name) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let call = Arc::clone(&self.0);
        Box::pin(async move { call.task(ask, &task).await })
    }

    fn is_closed(&self) -> bool {
        self.0.channel.lock().as_ref().map_or_else(|| self.0.conversation.is_closed(), |channel| channel.is_closed())
    }

    fn is_left(&self) -> bool {
        self.0.conversation.is_closed() || self.is_closed()
    }

    fn cancel(&self) {
        if self.0.is_cancelled.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(channel) = self.0.channel.lock().clone() else { return };
        for id in channel.ids_of(&self.0.flight) {
            channel.cancel(&id, Some(quoted("the caller cancelled it").as_bytes()));
            if channel.is_stateless() {
                channel.forget(&id);
            }
        }
        if channel.is_stateless() {
            self.0.cut.cancel();
        }
    }
}

/// The link of a call that must not be sent, because the tools of its upstream are not known: the step is looked up all
/// the same, and a new one ends as not executed, for the reason why they are not.
pub struct NeverSent {
    pub link: CallLink,
    pub failure: Failure,
}

impl Link for NeverSent {
    fn send(&self, _: Attempt) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let failure = never_sent(self.failure.clone());
        Box::pin(async move { Err(failure) })
    }

    fn read(&self, tool: Name, args: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>> {
        self.link.read(tool, args)
    }

    fn task(&self, ask: TaskAsk, task: Name) -> BoxFuture<'static, Result<Bytes, Failure>> {
        self.link.task(ask, task)
    }

    fn is_closed(&self) -> bool {
        self.link.is_closed()
    }

    fn is_left(&self) -> bool {
        self.link.is_left()
    }

    fn cancel(&self) {
        self.link.cancel();
    }
}

/// `params` of a `tools/call` of our own.
pub fn call_params(tool: &str, args: &[u8]) -> Vec<u8> {
    [b"{\"name\":", quoted(tool).as_bytes(), b",\"arguments\":", args, b"}"].concat()
}
