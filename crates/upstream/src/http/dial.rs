//! New connections: TCP, TLS where the URL says so, and the version of HTTP that both sides speak.

use super::body::Outgoing;
use super::connection::{Http1, Io};
use crate::failure::fail;
use futures_util::future::poll_fn;
use http::Uri;
use hyper::client::conn::http2;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use std::error::Error;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;
use tower_service::Service;
use vocab::{Failure, FailureKind};

/// A connection that streams nothing is asked now and then whether its peer is still there.
const PING_EVERY: Duration = Duration::from_secs(30);

pub enum Dialled {
    Http1(Box<Http1>),
    Http2(http2::SendRequest<Outgoing>),
}

pub struct Dialler {
    connector: HttpConnector,
    tls: Option<TlsConnector>,
    uri: Uri,
    limit: Duration,
}

impl Dialler {
    pub fn new(uri: Uri, tls: Option<Arc<rustls::ClientConfig>>, limit: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(limit));
        // A peer that is gone without a word is noticed, also by whoever waits without a limit.
        connector.set_keepalive(Some(Duration::from_secs(60)));
        connector.set_keepalive_interval(Some(Duration::from_secs(15)));
        connector.set_keepalive_retries(Some(4));
        Self { connector, tls: tls.map(TlsConnector::from), uri, limit }
    }

    /// # Errors
    /// `Connect` or `Tls`; nothing of a request has left.
    pub async fn dial(&self, tracker: &TaskTracker) -> Result<Dialled, Failure> {
        let tcp = self.connect().await?;
        let unusable = |error: io::Error| fail(FailureKind::Connect, &format!("no usable socket: {}", error.kind()));
        let socket = tcp.as_fd().try_clone_to_owned().map_err(unusable)?;
        let written = Arc::new(AtomicU64::new(0));
        let counted = Counted { tcp, written: written.clone() };
        let (io, is_http2): (Box<dyn Io>, bool) = match &self.tls {
            None => (Box::new(counted), false),
            Some(tls) => {
                let stream = self.secure(tls, counted).await?;
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                (Box::new(stream), is_http2)
            }
        };
        if is_http2 {
            let refused = |_| fail(FailureKind::Connect, "the upstream closed the connection at once");
            let handshake = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(PING_EVERY)
                .max_header_list_size(64 * 1024)
                .handshake(TokioIo::new(io));
            let (sender, connection) = handshake.await.map_err(refused)?;
            // Ends with the last clone of the sender, or with the connection.
            tracker.spawn(connection);
            return Ok(Dialled::Http2(sender));
        }
        Ok(Dialled::Http1(Box::new(Http1::new(io, socket, written))))
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let mut connector = self.connector.clone();
        let connected = async {
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(self.uri.clone()).await
        };
        let unreachable = |why: &str| fail(FailureKind::Connect, &format!("the upstream cannot be reached: {why}"));
        match tokio::time::timeout(self.limit, connected).await {
            Ok(Ok(stream)) => Ok(stream.into_inner()),
            Ok(Err(error)) => Err(unreachable(&reason(&error))),
            Err(_) => Err(unreachable("timed out")),
        }
    }

    async fn secure(
        &self,
        tls: &TlsConnector,
        tcp: Counted,
    ) -> Result<tokio_rustls::client::TlsStream<Counted>, Failure> {
        let failed = |why: &str| fail(FailureKind::Tls, &format!("the TLS handshake with the upstream failed{why}"));
        let host = self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_| failed(": its name is in no certificate"))?;
        match tokio::time::timeout(self.limit, tls.connect(name, tcp)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(failed(tls_reason(&error))),
            Err(_) => Err(failed(": timed out")),
        }
    }
}

/// Kinds only: what a resolver or a peer says may hold anything.
fn reason(error: &(dyn Error + 'static)) -> String {
    let mut next = Some(error);
    let mut found = None;
    while let Some(error) = next {
        found = error.downcast_ref::<io::Error>().map(io::Error::kind).or(found);
        next = error.source();
    }
    found.map_or_else(|| "no address".to_owned(), |kind| kind.to_string())
}

fn tls_reason(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => ": its certificate is not trusted",
        _ => "",
    }
}

/// Counts the bytes that the kernel took: what was never handed to it has never left.
struct Counted {
    tcp: TcpStream,
    written: Arc<AtomicU64>,
}

impl Counted {
    fn count(&self, wrote: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = wrote {
            self.written.fetch_add(*count as u64, Ordering::Release);
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.count(&wrote);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.tcp).poll_write_vectored(cx, parts);
        self.count(&wrote);
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
