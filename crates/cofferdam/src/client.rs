//! The operator's client: one request to a running gateway, over its socket or at its address.

use crate::exit::{Exit, Failed};
use crate::place::AdminAt;
use admin::wire::Trouble;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Bytes of an answer.
const ANSWER_MAX: usize = 64 * 1024 * 1024;
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A full check of a large journal and a backup take their time.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30 * 60);

#[derive(Clone, Debug)]
pub struct Client {
    at: AdminAt,
}

impl Client {
    /// `None` when no gateway answers there.
    pub async fn connect(at: &AdminAt) -> Result<Option<Self>, Failed> {
        let client = Self { at: at.clone() };
        let reached = match at {
            AdminAt::Socket(path) => UnixStream::connect(path).await.map(drop),
            AdminAt::Address { address, .. } => connect_tcp(address).await.map(drop),
        };
        match reached {
            Ok(()) => Ok(Some(client)),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                io::ErrorKind::PermissionDenied => {
                    let why = format!("ask the gateway at {}: it belongs to another user", client.at);
                    Err(Failed::new(Exit::Failed, why))
                }
                _ => Err(Failed::because(&format!("ask the gateway at {}", client.at), error)),
            },
        }
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failed> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failed> {
        let body = serde_json::to_vec(body).map_err(|error| Failed::because("write the request", error))?;
        self.ask(Method::POST, path, body.into()).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, Failed> {
        let what = format!("ask the gateway at {}", self.at);
        let asked = tokio::time::timeout(ANSWER_WAIT_MAX, self.exchange(method, path, body)).await;
        let (status, answer) = match asked {
            Err(_) => return Err(Failed::because(&what, "it does not answer")),
            Ok(Err(error)) => return Err(Failed::because(&what, error)),
            Ok(Ok(answered)) => answered,
        };
        if status.is_success() {
            return serde_json::from_slice(&answer).map_err(|error| Failed::because(&what, error));
        }
        let trouble = serde_json::from_slice::<Trouble>(&answer);
        let other = |_| format!("it answered {status}; is this its operator's side (policy: admin)?");
        let why = trouble.map_or_else(other, |trouble| trouble.error);
        let exit = if status == StatusCode::NOT_FOUND { Exit::NotFound } else { Exit::Failed };
        Err(Failed::new(exit, format!("{what}: {why}")))
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "cofferdam");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        match &self.at {
            AdminAt::Socket(path) => {
                let stream = UnixStream::connect(path).await?;
                send(stream, request.body(Full::new(body))?).await
            }
            AdminAt::Address { address, token } => {
                let mut value = header::HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
                value.set_sensitive(true);
                let request = request.header(header::AUTHORIZATION, value).body(Full::new(body))?;
                send(connect_tcp(address).await?, request).await
            }
        }
    }
}

async fn connect_tcp(address: &str) -> io::Result<TcpStream> {
    match tokio::time::timeout(CONNECT_MAX, TcpStream::connect(address)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("read the answer: {error}"))?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(exchange);
    // The connection may end right behind the answer, so its end is not the exchange's.
    tokio::select! {
        answered = &mut exchange => return answered,
        ended = connection => ended?,
    }
    exchange.await
}
