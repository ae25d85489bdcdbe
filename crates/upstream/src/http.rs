//! Streamable HTTP as an upstream, in its two shapes: sessions (up to 2025-11-25) and stateless (2026-07-28).
//!
//! Each message is one POST and is sent once: no redirect, no retry, no second try on another connection. What a
//! broken exchange proves is read from how far the body got, never from hope.

mod answer;
mod body;
mod buffer;
mod classify;
mod client;
mod connection;
mod dial;
mod events;
mod exchange;
mod headers;
mod pool;
mod wire;

use crate::config::{Config, Transport};
use crate::failure::{fail, not_sent};
use crate::handshake::Settled;
use crate::pending::Pending;
use crate::session::{RequestOptions, Session, Sink};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Uri};
use mcp::{Envelope, Kind, Revision, json, views};
use secrecy::ExposeSecret;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vocab::{Failure, FailureKind};

pub use client::Client;

/// One MCP session over HTTP, or a stateless connection that looks like one.
pub struct Http {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    /// What goes with each request: configured headers, marked as secret.
    headers: HeaderMap,
    /// Of each message of a session, once it is settled.
    of_session: OnceLock<HeaderMap>,
    session_id: OnceLock<HeaderValue>,
    settled: OnceLock<Settled>,
    pending: Arc<Pending>,
    limits: crate::config::Limits,
    connect_timeout: Duration,
    sink: Sink,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Http {
    /// Prepares a session. Nothing is sent yet.
    ///
    /// # Errors
    /// The URL or a configured header cannot be used.
    pub fn new(config: &Config, sink: Sink) -> Result<Arc<Self>, Failure> {
        let Transport::Http { url, headers } = &config.transport else {
            return Err(not_sent("the upstream is not reached over HTTP"));
        };
        let uri: Uri = url.expose_secret().parse().map_err(|_| not_sent("the upstream's URL cannot be read"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(not_sent("the upstream's URL is neither http nor https"));
        }
        let shared = Shared {
            headers: headers::configured(&uri, url.expose_secret(), headers)?,
            client: config.known.client(&uri, config.connect_timeout)?,
            of_session: OnceLock::new(),
            session_id: OnceLock::new(),
            settled: OnceLock::new(),
            pending: Pending::new(config.limits.calls_max),
            limits: config.limits,
            connect_timeout: config.connect_timeout,
            sink,
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
        };
        Ok(Arc::new(Self { shared: Arc::new(shared) }))
    }

    /// Says what the handshake settled, and opens the session's own stream where there is one.
    pub fn settle(&self, settled: Settled) {
        drop(self.shared.settled.set(settled));
    }

    /// Listens to what the server sends outside requests. Stateless servers have no such stream.
    pub fn listen(&self) {
        if self.shared.revision().is_some_and(Revision::has_http_sessions) {
            self.shared.tracker.spawn(events::session_stream(self.shared.clone()));
        }
    }
}

impl Shared {
    fn revision(&self) -> Option<Revision> {
        self.settled.get().map(|settled| settled.revision)
    }

    async fn exchange(self: Arc<Self>, envelope: Envelope, options: RequestOptions) -> Result<Envelope, Failure> {
        let id = envelope.id_bytes().filter(|_| envelope.kind() == Kind::Request);
        let id = id.ok_or_else(|| not_sent("what was to be sent is no request"))?;
        let token = views::progress_token(envelope.params().unwrap_or(b"{}")).ok().flatten();
        // Taken for id and token alone: the answer comes on the exchange's own stream.
        let _place = self.pending.enter(id.clone(), token.map(Bytes::copy_from_slice))?;
        let progress = body::Progress::behind(envelope.bytes(), options.gate.clone());
        let exchanged = exchange::request(&self, &envelope, &id, &options, &progress);
        let stopped = self.stop.cancelled();
        let limit = async {
            match options.timeout {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            answered = exchanged => answered,
            () = limit => Err(progress.explain(fail(FailureKind::Timeout, "no answer in time"))),
            () = stopped => Err(progress.explain(fail(FailureKind::Eof, "the session was closed during the request"))),
        }
    }

    async fn send(self: Arc<Self>, message: Bytes) -> Result<(), Failure> {
        let envelope = read_own(message)?;
        if self.pending.is_over() {
            return Err(not_sent("the session with the upstream is over"));
        }
        let progress = body::Progress::of(envelope.bytes());
        let posted = exchange::post(&self, &envelope, &progress);
        match tokio::time::timeout(POST_MAX, posted).await {
            Ok(posted) => posted,
            Err(_) => Err(progress.explain(fail(FailureKind::Timeout, "no answer in time"))),
        }
    }

    async fn end(self: Arc<Self>) {
        let over = self.pending.is_over();
        self.stop.cancel();
        self.pending.end(&fail(FailureKind::Eof, "the session was closed"));
        if over || self.session_id.get().is_none() {
            return;
        }
        let request = headers::bare(&self, Method::DELETE);
        let progress = body::Progress::of(&Bytes::new());
        // A courtesy: the server may refuse, and forgets idle sessions anyway.
        if tokio::time::timeout(GOODBYE_MAX, self.client.send(request, &progress)).await.is_err() {
            tracing::debug!("the upstream did not answer the end of a session");
        }
    }
}

/// Longest wait for the acknowledgement of a notification.
const POST_MAX: Duration = Duration::from_secs(30);
const GOODBYE_MAX: Duration = Duration::from_secs(3);

fn read_own(message: Bytes) -> Result<Envelope, Failure> {
    let limits = mcp::Limits { bytes: usize::MAX, depth: json::DEPTH_MAX, batch: 1 };
    Envelope::parse(message, &limits).map_err(|_| not_sent("what was to be sent is no message"))
}

impl Session for Http {
    fn revision(&self) -> &str {
        self.shared.revision().map_or("", Revision::as_str)
    }

    fn is_stateless(&self) -> bool {
        self.shared.revision().is_some_and(Revision::is_stateless)
    }

    fn server(&self) -> &Bytes {
        static NOTHING: Bytes = Bytes::from_static(b"{}");
        self.shared.settled.get().map_or(&NOTHING, |settled| &settled.server)
    }

    fn request(&self, message: Bytes, options: RequestOptions) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let shared = self.shared.clone();
        Box::pin(async move { Ok(shared.exchange(read_own(message)?, options).await?.into_bytes()) })
    }

    fn exchange(&self, message: Envelope, options: RequestOptions) -> BoxFuture<'static, Result<Envelope, Failure>> {
        Box::pin(self.shared.clone().exchange(message, options))
    }

    fn post(&self, message: Bytes) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(self.shared.clone().send(message))
    }

    fn is_closed(&self) -> bool {
        self.shared.pending.is_over() || self.shared.stop.is_cancelled()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        Box::pin(self.shared.clone().end())
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // Outside a runtime there is nobody left to say goodbye.
        if !self.shared.stop.is_cancelled() && tokio::runtime::Handle::try_current().is_ok() {
            self.shared.tracker.spawn(self.shared.clone().end());
        }
    }
}

#[cfg(test)]
mod tests;
