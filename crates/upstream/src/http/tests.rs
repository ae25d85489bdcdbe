//! TLS and HTTP/2: what a client with its own certificates sees.

use super::body::{Outgoing, Progress};
use super::client::{Client, trusting};
use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use vocab::{Failure, FailureKind};

/// A listener with a certificate of its own, and a client that trusts it.
struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    client: Client,
    uri: Uri,
}

const PATIENCE: Duration = Duration::from_secs(20);

async fn secure(protocol: &[u8]) -> Secure {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a key that fits");
    server.alpn_protocols = vec![protocol.to_vec()];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let uri: Uri = format!("https://localhost:{port}/mcp").parse().expect("a URL");
    let client = Client::with_tls(&uri, Some(trusting(roots).expect("ring")), PATIENCE).expect("a client");
    Secure { listener, acceptor: TlsAcceptor::from(Arc::new(server)), client, uri }
}

async fn accept(secure: &Secure) -> TlsStream<TcpStream> {
    let (stream, _) = secure.listener.accept().await.expect("a client");
    secure.acceptor.accept(stream).await.expect("it trusts us")
}

async fn post(client: &Client, length: usize) -> Result<Bytes, Failure> {
    let body = Bytes::from(vec![b' '; length]);
    let progress = Progress::of(&body);
    let mut request = Request::new(Outgoing::new(body, progress.clone()));
    *request.method_mut() = Method::POST;
    let sent = async {
        let response = client.send(request, &progress).await?;
        super::exchange::read_body(response.into_body(), 1_000_000).await
    };
    tokio::time::timeout(PATIENCE, sent).await.expect("an end")
}

#[tokio::test]
async fn answers_come_over_tls_in_both_versions_of_http() {
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let secure = secure(protocol).await;
        let (client, connections) = (secure.client.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = connections.clone();
        let serving = tokio::spawn(async move {
            let mut all = JoinSet::new();
            loop {
                let stream = TokioIo::new(accept(&secure).await);
                counted.fetch_add(1, Ordering::Relaxed);
                all.spawn(async move {
                    let echo = service_fn(|request: Request<hyper::body::Incoming>| async move {
                        let said =
                            format!("{:?} {} {:?}", request.version(), request.uri().path(), request.uri().host());
                        Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(said))))
                    });
                    hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                        .serve_connection(stream, echo)
                        .await
                        .unwrap_or(());
                });
            }
        });
        let first = post(&client, 10).await.expect("an answer");
        let expected = if protocol == b"h2" { r#"HTTP/2.0 /mcp Some("localhost")"# } else { "HTTP/1.1 /mcp None" };
        assert_eq!(first, expected);
        for _ in 0..3 {
            assert_eq!(post(&client, 10).await.expect("an answer"), expected);
        }
        assert_eq!(connections.load(Ordering::Relaxed), 1, "one connection for all");
        serving.abort();
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_ends_the_handshake() {
    let secure = secure(b"h2").await;
    let stranger = trusting(rustls::RootCertStore::empty()).expect("ring");
    let stranger = Client::with_tls(&secure.uri, Some(stranger), PATIENCE).expect("a client");
    let serving = tokio::spawn(async move {
        let (stream, _) = secure.listener.accept().await.expect("a client");
        secure.acceptor.accept(stream).await.is_err()
    });
    let failure = post(&stranger, 10).await.expect_err("not trusted");
    assert_eq!(failure.kind, FailureKind::Tls);
    assert_eq!(failure.detail, "the TLS handshake with the upstream failed: its certificate is not trusted");
    assert!(serving.await.expect("served"));
}

const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const END_STREAM: u8 = 1;
const FIRST_STREAM: u32 = 1;
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;

fn goaway(last: u32, code: u32) -> Vec<u8> {
    [&[0, 0, 8, 7, 0, 0, 0, 0, 0][..], &last.to_be_bytes(), &code.to_be_bytes()].concat()
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    [&[0, 0, 4, 3, 0][..], &stream.to_be_bytes(), &code.to_be_bytes()].concat()
}

/// The type and flags of the next frame.
async fn frame(stream: &mut TlsStream<TcpStream>) -> Option<(u8, u8)> {
    let mut head = [0_u8; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    Some((head[3], head[4]))
}

/// Posts to a server that reads the request, or only its head, sends these frames and closes. Says how the post failed
/// and how many requests came.
async fn after(frames: Vec<u8>, reads_all: bool, length: usize) -> (FailureKind, usize) {
    let secure = secure(b"h2").await;
    let (client, requests) = (secure.client.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = requests.clone();
    let serving = tokio::spawn(async move {
        loop {
            let mut stream = accept(&secure).await;
            stream.read_exact(&mut [0; 24]).await.expect("a preface");
            stream.write_all(SETTINGS).await.expect("it reads");
            while let Some((kind, flags)) = frame(&mut stream).await {
                let is_head = kind == HEADERS;
                counted.fetch_add(usize::from(is_head), Ordering::Relaxed);
                if (is_head && !reads_all) || (kind == DATA && flags & END_STREAM != 0) {
                    stream.write_all(&frames).await.expect("it reads");
                    stream.shutdown().await.unwrap_or(());
                    break;
                }
            }
        }
    });
    let failure = post(&client, length).await.expect_err("no answer");
    serving.abort();
    (failure.kind, requests.load(Ordering::Relaxed))
}

//= G1
#[tokio::test]
async fn a_refused_stream_is_proof_and_is_not_sent_again() {
    assert_eq!(after(reset(FIRST_STREAM, REFUSED_STREAM), true, 10).await, (FailureKind::StreamRefused, 1));
}

//= G1
#[tokio::test]
async fn a_goaway_is_proof_only_for_streams_above_its_last_one() {
    assert_eq!(after(goaway(0, NO_ERROR), true, 10).await, (FailureKind::StreamRefused, 1));
    let (kind, requests) = after(goaway(FIRST_STREAM, NO_ERROR), true, 10).await;
    assert!(matches!(kind, FailureKind::Reset | FailureKind::Eof), "{kind:?}");
    assert_eq!(requests, 1);
    let (kind, _) = after(goaway(FIRST_STREAM, INTERNAL_ERROR), true, 10).await;
    assert!(matches!(kind, FailureKind::Reset | FailureKind::Eof), "{kind:?}");
}

//= G3
#[tokio::test]
async fn a_stream_that_is_reset_for_another_reason_proves_nothing() {
    assert_eq!(after(reset(FIRST_STREAM, INTERNAL_ERROR), true, 10).await, (FailureKind::Reset, 1));
}

//= G1
#[tokio::test]
async fn a_body_that_never_got_room_was_cut() {
    // Without a window update no more than 64 KiB may leave.
    assert_eq!(after(reset(FIRST_STREAM, INTERNAL_ERROR), false, 1_000_000).await, (FailureKind::Cut, 1));
}
