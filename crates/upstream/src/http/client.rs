//! The HTTP client of one upstream: warm connections, and nothing done twice.

use super::answer::Body;
use super::body::{Outgoing, Progress};
use super::classify;
use super::dial::{Dialled, Dialler};
use super::pool::Pool;
use super::wire;
use http::{HeaderValue, Method, Request, Response, Uri};
use hyper::client::conn::http2;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use vocab::Failure;

/// Cloning shares the connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    pool: Arc<Pool>,
    dialler: Dialler,
    uri: Uri,
    /// The URL as HTTP/1.1 wants it: without scheme and authority, which go into `Host`.
    path: String,
    host: HeaderValue,
}

/// Why a client cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("the upstream's URL cannot be used")]
    Url,
    #[error("the system has no usable certificates for TLS")]
    Certificates,
}

impl Client {
    /// # Errors
    /// The URL cannot be used, or there are no certificates to trust.
    pub fn new(uri: &Uri, connect_timeout: Duration) -> Result<Self, Unusable> {
        let tls = if uri.scheme_str() == Some("https") { Some(tls()?) } else { None };
        Self::with_tls(uri, tls, connect_timeout)
    }

    pub fn with_tls(uri: &Uri, tls: Option<rustls::ClientConfig>, connect_timeout: Duration) -> Result<Self, Unusable> {
        let tls = tls.map(|mut tls| {
            tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Arc::new(tls)
        });
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let host = uri.authority().map(http::uri::Authority::as_str).ok_or(Unusable::Url)?;
        let default = if tls.is_some() { ":443" } else { ":80" };
        let inner = Inner {
            pool: Arc::default(),
            // TCP and TLS each get a share, so that their failures are told apart from a late handshake.
            dialler: Dialler::new(uri.clone(), tls, connect_timeout / 3),
            uri: uri.clone(),
            path: path.to_owned(),
            host: host.strip_suffix(default).unwrap_or(host).parse().map_err(|_| Unusable::Url)?,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Sends a request once, and waits for the head of its answer. Whoever waits drives the connection.
    ///
    /// # Errors
    /// What the connection saw, as far as the body's own way allows to say it.
    //= G1
    pub async fn send(&self, request: Request<Outgoing>, progress: &Progress) -> Result<Response<Body>, Failure> {
        if let Some(shared) = self.0.pool.shared() {
            return self.send_shared(shared, request, progress).await;
        }
        // One that is found closed before anything was written is passed over: the request is still whole.
        let mut connection = match self.0.pool.take() {
            Some(warm) => warm,
            None => match self.0.dialler.dial(self.0.pool.tracker()).await? {
                Dialled::Http1(new) => new,
                Dialled::Http2(shared) => {
                    self.0.pool.share(shared.clone());
                    return self.send_shared(shared, request, progress).await;
                }
            },
        };
        let (head, body) = request.into_parts();
        let length = (head.method == Method::POST).then(|| body.len() as u64);
        let head = wire::request(&head.method, &self.0.path, &self.0.host, &head.headers, length);
        progress.begin(Some(connection.written()))?;
        match connection.send(head, body).await {
            Ok(head) => {
                let mut response = Response::new(Body::http1(connection, head.framing, self.0.pool.clone()));
                *response.status_mut() = head.status;
                *response.headers_mut() = head.headers;
                Ok(response)
            }
            Err(error) => {
                // Nothing more leaves before it is said how far the request got.
                drop(connection);
                Err(progress.explain(classify::head(&error)))
            }
        }
    }

    async fn send_shared(
        &self,
        mut shared: http2::SendRequest<Outgoing>,
        mut request: Request<Outgoing>,
        progress: &Progress,
    ) -> Result<Response<Body>, Failure> {
        *request.uri_mut() = self.0.uri.clone();
        progress.begin(None)?;
        match shared.send_request(request).await {
            Ok(response) => Ok(response.map(|body| Body::http2(body, self.0.pool.clone()))),
            Err(error) => Err(progress.explain(classify::head(&error))),
        }
    }
}

/// Reading and parsing the system's certificates takes milliseconds of a thread that others need: once for all
/// upstreams. None found is asked again.
fn tls() -> Result<rustls::ClientConfig, Unusable> {
    static ROOTS: OnceLock<Arc<rustls::RootCertStore>> = OnceLock::new();
    let roots = match ROOTS.get() {
        Some(roots) => Arc::clone(roots),
        None => {
            let mut roots = rustls::RootCertStore::empty();
            // Some systems list certificates that are none; the others count.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(Unusable::Certificates);
            }
            Arc::clone(ROOTS.get_or_init(|| Arc::new(roots)))
        }
    };
    trusting(roots)
}

/// TLS that trusts these roots and no others. ring is the one provider, named here so that no other crate's features can
/// leave the choice open.
pub fn trusting(roots: impl Into<Arc<rustls::RootCertStore>>) -> Result<rustls::ClientConfig, Unusable> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.map_err(|_| Unusable::Certificates)?.with_root_certificates(roots).with_no_client_auth())
}
