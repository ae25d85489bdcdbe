//! The HTTP client of one upstream: pooled connections, and nothing done twice.

use super::body::Outgoing;
use super::classify;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::Arc;
use std::time::Duration;
use vocab::Failure;

/// Node's servers close a connection that was quiet for five seconds. A request that meets the close on its way has an
/// unknown outcome, so a connection is not used again after a shorter quiet.
const IDLE_MAX: Duration = Duration::from_secs(4);
const IDLE_CONNECTIONS_MAX: usize = 64;

/// Cloning shares the connections.
#[derive(Clone)]
pub struct Client {
    inner: legacy::Client<HttpsConnector<HttpConnector>, Outgoing>,
}

impl Client {
    /// # Errors
    /// The system's certificates cannot be read.
    pub fn new(connect_timeout: Duration) -> Result<Self, ()> {
        tls().map(|tls| Self::with_tls(tls, connect_timeout))
    }

    pub fn with_tls(tls: rustls::ClientConfig, connect_timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(connect_timeout));
        connector.set_keepalive(Some(Duration::from_secs(60)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(connector);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            // It re-sends what it believes unstarted, uncounted. Whether to send again is the engine's to say.
            .retry_canceled_requests(false)
            .http1_max_headers(128)
            .http1_max_buf_size(256 * 1024)
            .http2_max_header_list_size(64 * 1024)
            .build(connector);
        Self { inner }
    }

    /// Sends a request once, and waits for the head of its answer.
    ///
    /// # Errors
    /// Classified by what the connection saw; the caller knows how far its body got.
    pub async fn send(&self, request: Request<Outgoing>) -> Result<Response<Incoming>, Failure> {
        self.inner.request(request).await.map_err(|error| classify::client(&error))
    }
}

/// ring is the one provider, named here so that no other crate's features can leave the choice open.
fn tls() -> Result<rustls::ClientConfig, ()> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(hyper_rustls::ConfigBuilderExt::with_native_roots(config.map_err(drop)?).map_err(drop)?.with_no_client_auth())
}
