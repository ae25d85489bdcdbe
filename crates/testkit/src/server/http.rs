//! Streamable HTTP: POST with a JSON or event-stream answer, sessions in the older revisions, headers in the newer.

use super::protocol::{
    HEADER_MISMATCH, Handled, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, Service, UNSUPPORTED_REVISION,
    claimed_revision, error, misshape,
};
use super::{MESSAGE_MAX, STATELESS};
use crate::faults::Fault;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type Answer = Result<Response<BoxBody<Bytes, io::Error>>, Abort>;

/// Ends the connection without an answer.
#[derive(Debug)]
struct Abort;

impl std::fmt::Display for Abort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("drop the connection, as the fault plan says")
    }
}

impl std::error::Error for Abort {}

const CONNECTIONS_MAX: usize = 4_096;
const SESSIONS_MAX: usize = 20_000;

/// Session ids, the oldest forgotten first.
#[derive(Default)]
struct Sessions {
    ids: Mutex<VecDeque<String>>,
    made: AtomicU64,
}

impl Sessions {
    fn open(&self) -> String {
        let id = format!("s{:x}-{:x}", std::process::id(), self.made.fetch_add(1, Ordering::Relaxed));
        let mut ids = self.ids.lock();
        if ids.len() >= SESSIONS_MAX {
            ids.pop_front();
        }
        ids.push_back(id.clone());
        id
    }

    fn knows(&self, id: &str) -> bool {
        self.ids.lock().iter().rev().any(|known| known == id)
    }

    fn close(&self, id: &str) {
        self.ids.lock().retain(|known| known != id);
    }
}

pub(super) async fn accept(
    listener: TcpListener,
    service: Arc<Service>,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    let sessions = Arc::new(Sessions::default());
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        // Small messages in both directions: waiting to fill a packet only adds latency.
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let (service, sessions, stop) = (Arc::clone(&service), Arc::clone(&sessions), stop.clone());
        connections.spawn(async move {
            let _place = place;
            let answers = hyper::service::service_fn(move |request| {
                let (service, sessions) = (Arc::clone(&service), Arc::clone(&sessions));
                async move { respond(&service, &sessions, request).await }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answers);
            tokio::select! {
                // Errors are the fault plan's or the client's doing; neither concerns the server.
                _ended = connection => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn respond(service: &Service, sessions: &Sessions, request: Request<Incoming>) -> Answer {
    match (request.method().clone(), request.uri().path()) {
        (Method::POST, "/mcp") => {}
        (Method::DELETE, "/mcp") => {
            if let Some(id) = text(request.headers(), "mcp-session-id") {
                sessions.close(id);
            }
            return empty(StatusCode::NO_CONTENT);
        }
        (_, "/mcp") => return empty(StatusCode::METHOD_NOT_ALLOWED),
        (_, path) if service.options.admin && path.starts_with("/admin/") => return admin(service, request).await,
        _ => return empty(StatusCode::NOT_FOUND),
    }
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MESSAGE_MAX).collect().await else {
        return empty(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let Ok(message) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
        return rpc(StatusCode::BAD_REQUEST, &error(&Value::Null, PARSE_ERROR, "not JSON"));
    };
    match &message {
        Value::Array(batch) => answer_batch(service, sessions, &head.headers, batch).await,
        Value::Object(_) if claimed_revision(&message).is_some() => stateless(service, &head.headers, &message).await,
        Value::Object(_) if text(&head.headers, "mcp-protocol-version") == Some(STATELESS) && has_id(&message) => rpc(
            StatusCode::BAD_REQUEST,
            &error(&message["id"], super::protocol::INVALID_PARAMS, "no protocol version in _meta"),
        ),
        Value::Object(_) => in_session(service, sessions, &head.headers, &message).await,
        _ => rpc(StatusCode::BAD_REQUEST, &error(&Value::Null, INVALID_REQUEST, "not a message")),
    }
}

async fn stateless(service: &Service, headers: &HeaderMap, message: &Value) -> Answer {
    if has_id(message)
        && let Some(why) = header_mismatch(headers, message)
    {
        return rpc(StatusCode::BAD_REQUEST, &error(&message["id"], HEADER_MISMATCH, why));
    }
    let handled = service.handle(message, text(headers, "idempotency-key")).await;
    let status = match &handled {
        Handled::Answer(answer) => match answer["error"]["code"].as_i64() {
            Some(UNSUPPORTED_REVISION) => StatusCode::BAD_REQUEST,
            Some(METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        },
        _ => StatusCode::OK,
    };
    answer(service, status, handled, None)
}

fn header_mismatch(headers: &HeaderMap, message: &Value) -> Option<&'static str> {
    if text(headers, "mcp-protocol-version") != claimed_revision(message) {
        return Some("MCP-Protocol-Version differs from the body");
    }
    if text(headers, "mcp-method") != message["method"].as_str() {
        return Some("Mcp-Method differs from the body");
    }
    let name = (message["method"] == "tools/call").then(|| message["params"]["name"].as_str()).flatten();
    (name.is_some() && text(headers, "mcp-name") != name).then_some("Mcp-Name differs from the body")
}

async fn in_session(service: &Service, sessions: &Sessions, headers: &HeaderMap, message: &Value) -> Answer {
    let has_sessions = service.options.revisions.iter().any(|revision| *revision != STATELESS);
    if !has_sessions {
        return rpc(
            StatusCode::BAD_REQUEST,
            &error(&message["id"], UNSUPPORTED_REVISION, "only the stateless revision is spoken here"),
        );
    }
    let opened = (message["method"] == "initialize").then(|| sessions.open());
    if opened.is_none()
        && let Some(status) = bad_session(service, sessions, headers)
    {
        return rpc(status, &error(&message["id"], INVALID_REQUEST, "no such session or revision"));
    }
    let handled = service.handle(message, text(headers, "idempotency-key")).await;
    answer(service, StatusCode::OK, handled, opened.as_deref())
}

fn bad_session(service: &Service, sessions: &Sessions, headers: &HeaderMap) -> Option<StatusCode> {
    match text(headers, "mcp-session-id") {
        None => return Some(StatusCode::BAD_REQUEST),
        Some(id) if !sessions.knows(id) => return Some(StatusCode::NOT_FOUND),
        Some(_) => {}
    }
    let revision = text(headers, "mcp-protocol-version");
    revision.is_some_and(|revision| !service.speaks(revision)).then_some(StatusCode::BAD_REQUEST)
}

/// Batches, which 2025-03-26 had and later revisions dropped. Faults of members strike the whole answer.
async fn answer_batch(service: &Service, sessions: &Sessions, headers: &HeaderMap, batch: &[Value]) -> Answer {
    if batch.is_empty() || batch.iter().any(|message| claimed_revision(message).is_some()) {
        return rpc(StatusCode::BAD_REQUEST, &error(&Value::Null, INVALID_REQUEST, "no such batch"));
    }
    if let Some(status) = bad_session(service, sessions, headers) {
        return rpc(status, &error(&Value::Null, INVALID_REQUEST, "no such session or revision"));
    }
    let mut answers = Vec::new();
    for message in batch {
        match service.handle(message, None).await {
            Handled::Nothing => {}
            Handled::Answer(answer) => answers.push(answer),
            faulty => return answer(service, StatusCode::OK, faulty, None),
        }
    }
    if answers.is_empty() { empty(StatusCode::ACCEPTED) } else { rpc(StatusCode::OK, &Value::Array(answers)) }
}

fn answer(service: &Service, status: StatusCode, handled: Handled, session: Option<&str>) -> Answer {
    let mut response = match handled {
        Handled::Nothing => return empty(StatusCode::ACCEPTED),
        Handled::Lost => return Err(Abort),
        Handled::Unavailable => return page(StatusCode::SERVICE_UNAVAILABLE, "the service is busy"),
        Handled::GatewayTimeout => return page(StatusCode::GATEWAY_TIMEOUT, "the upstream did not answer in time"),
        Handled::Bad(bad, good) => {
            let (bytes, claimed) = misshape(bad, good);
            return Response::builder()
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::CONTENT_LENGTH, claimed)
                .body(Cut::of(Bytes::from(bytes), claimed))
                .map_err(|_| Abort);
        }
        Handled::Answer(message) if service.options.event_stream && status == StatusCode::OK => {
            let event = format!("event: message\ndata: {message}\n\n");
            let response = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
            response.body(full(event.into())).map_err(|_| Abort)?
        }
        Handled::Answer(message) => rpc(status, &message)?,
    };
    if let Some(value) = session.and_then(|id| id.parse().ok()) {
        response.headers_mut().insert("mcp-session-id", value);
    }
    Ok(response)
}

async fn admin(service: &Service, request: Request<Incoming>) -> Answer {
    match (request.method().clone(), request.uri().path()) {
        (Method::GET, "/admin/truth") => rpc(StatusCode::OK, &service.world.truth()),
        (Method::GET, "/admin/busy") => rpc(StatusCode::OK, &json!(service.calls.len())),
        (Method::GET, "/admin/struck") => rpc(StatusCode::OK, &json!(service.faults.struck())),
        (Method::POST, "/admin/fault") => {
            let Ok(body) = Limited::new(request.into_body(), MESSAGE_MAX).collect().await else {
                return empty(StatusCode::PAYLOAD_TOO_LARGE);
            };
            let wish: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
            match wish["fault"].as_str().and_then(Fault::parse) {
                Some(fault) => {
                    service.faults.script(wish["tool"].as_str(), fault);
                    empty(StatusCode::NO_CONTENT)
                }
                None => empty(StatusCode::BAD_REQUEST),
            }
        }
        _ => empty(StatusCode::NOT_FOUND),
    }
}

fn has_id(message: &Value) -> bool {
    message.get("id").is_some()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn full(bytes: Bytes) -> BoxBody<Bytes, io::Error> {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed()
}

fn rpc(status: StatusCode, message: &Value) -> Answer {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    response.body(full(message.to_string().into())).map_err(|_| Abort)
}

fn page(status: StatusCode, text: &'static str) -> Answer {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "text/plain");
    response.body(full(Bytes::from_static(text.as_bytes()))).map_err(|_| Abort)
}

fn empty(status: StatusCode) -> Answer {
    Response::builder().status(status).body(full(Bytes::new())).map_err(|_| Abort)
}

/// A body that may break off before the length that it claims.
struct Cut {
    bytes: Option<Bytes>,
    breaks: bool,
}

impl Cut {
    fn of(bytes: Bytes, claimed: usize) -> BoxBody<Bytes, io::Error> {
        let breaks = bytes.len() < claimed;
        Self { bytes: Some(bytes), breaks }.boxed()
    }
}

impl Body for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(match self.bytes.take() {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None if self.breaks => Some(Err(io::ErrorKind::ConnectionAborted.into())),
            None => None,
        })
    }
}
