//! One message over HTTP: a POST, and whatever answers it.

use super::answer::Body;
use super::body::Progress;
use super::events::{self, Stream};
use super::{Shared, classify, headers};
use crate::failure::{fail, rpc};
use crate::session::{Incoming, Related, RequestOptions};
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use mcp::meta::header;
use mcp::{Envelope, Kind};
use std::sync::Arc;
use std::time::Duration;
use vocab::{Failure, FailureKind};

/// Most bytes of the body of an error that are read.
const ERROR_MAX: usize = 64 * 1024;
const ERROR_LONGEST: Duration = Duration::from_secs(2);

pub async fn request(
    shared: &Arc<Shared>,
    message: &Envelope,
    id: &Bytes,
    options: &RequestOptions,
    progress: &Progress,
) -> Result<Envelope, Failure> {
    let request = headers::post(shared, message, &options.headers, progress)?;
    let response = shared.client.send(request, progress).await?;
    if !response.status().is_success() {
        return Err(refused(shared, response).await);
    }
    if message.is("initialize")
        && let Some(id) = response.headers().get(header::SESSION_ID)
    {
        drop(shared.session_id.set(id.clone()));
    }
    if is_media(response.headers(), "application/json") {
        let body = read_body(response.into_body(), shared.limits.message_max).await?;
        return answer_in(shared, body, id);
    }
    if is_media(response.headers(), "text/event-stream") {
        let stream = Stream::new(response.into_body(), shared.limits.message_max);
        return Box::pin(events::answer(shared, stream, id)).await;
    }
    Err(fail(FailureKind::Unparsable, "the upstream answered a request with neither JSON nor events"))
}

/// Sends what has no answer.
pub async fn post(shared: &Arc<Shared>, message: &Envelope, progress: &Progress) -> Result<(), Failure> {
    let request = headers::post(shared, message, &[], progress)?;
    let response = shared.client.send(request, progress).await?;
    if !response.status().is_success() {
        return Err(refused(shared, response).await);
    }
    response.into_body().finish();
    Ok(())
}

/// What a status that is no success says.
pub async fn refused(shared: &Shared, response: Response<Body>) -> Failure {
    let status = response.status();
    let retry_after = classify::retry_after(response.headers());
    let is_json = is_media(response.headers(), "application/json");
    // The status says enough; a body that does not come is not waited for.
    let body = tokio::time::timeout(ERROR_LONGEST, read_body(response.into_body(), ERROR_MAX)).await;
    let body = body.ok().and_then(Result::ok).filter(|_| is_json);
    let limits = mcp::Limits { bytes: ERROR_MAX, depth: shared.limits.depth_max, batch: 1 };
    let error = body.and_then(|body| Envelope::parse(body, &limits).ok()).filter(|body| body.kind() == Kind::Error);
    let has_session = shared.session_id.get().is_some();
    let mut failure = match error.as_ref().and_then(Envelope::error) {
        // Of a session that the server has forgotten, whatever words it chose.
        Some(error) if status == StatusCode::NOT_FOUND && has_session => {
            let kind = FailureKind::Status(404);
            Failure { kind, ..rpc(error, Some(404)) }
        }
        Some(error) => rpc(error, Some(status.as_u16())),
        None => fail(
            FailureKind::Status(status.as_u16()),
            &format!("the upstream answered with HTTP status {}", status.as_u16()),
        ),
    };
    failure.retry_after = retry_after;
    if status == StatusCode::NOT_FOUND && has_session {
        shared.pending.end(&failure);
    }
    failure
}

/// The answer in a body that holds one message, or several in 2025-03-26.
fn answer_in(shared: &Shared, body: Bytes, id: &Bytes) -> Result<Envelope, Failure> {
    let limits = mcp::Limits { bytes: shared.limits.message_max, depth: shared.limits.depth_max, batch: 64 };
    let unparsable = |detail: &str| fail(FailureKind::Unparsable, detail);
    let messages = match Envelope::parse_any(body, &limits) {
        Ok(mcp::Incoming::One(message)) if message.id() == Some(&id[..]) && message.is_answer() => return Ok(message),
        Ok(mcp::Incoming::One(message)) => vec![message],
        Ok(mcp::Incoming::Batch(messages)) => messages,
        Err(_) => return Err(unparsable("the upstream's answer is no JSON-RPC message")),
    };
    let mut answer = None;
    for message in messages {
        match take(shared, message, id) {
            Taken::Answer(message) if answer.is_none() => answer = Some(message),
            Taken::Refusal(failure) if answer.is_none() => return Err(failure),
            Taken::Answer(_) | Taken::Refusal(_) => shared.pending.stray(),
            Taken::Other => {}
        }
    }
    answer.ok_or_else(|| unparsable("the upstream answered another request than ours"))
}

pub enum Taken {
    Answer(Envelope),
    /// An error without an id: it can only mean this exchange.
    Refusal(Failure),
    Other,
}

/// Sorts one message of an exchange's stream; what is not the answer goes to the sink or is a stray.
pub fn take(shared: &Shared, message: Envelope, id: &Bytes) -> Taken {
    match message.kind() {
        Kind::Response | Kind::Error if message.id() == Some(&id[..]) => Taken::Answer(message),
        Kind::Error if message.id().is_none() => {
            Taken::Refusal(rpc(message.error().unwrap_or(b"{}"), Some(StatusCode::OK.as_u16())))
        }
        Kind::Response | Kind::Error => {
            shared.pending.stray();
            Taken::Other
        }
        Kind::Request | Kind::Notification => {
            let related = Related::Request(id.clone());
            (shared.sink)(Incoming { message: message.into_bytes(), related });
            Taken::Other
        }
    }
}

/// Reads a body to its end, within a limit.
pub async fn read_body(mut body: Body, limit: usize) -> Result<Bytes, Failure> {
    let too_large = || fail(FailureKind::TooLarge, "the upstream's answer exceeds the size limit");
    let announced = usize::try_from(body.announced()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(data) = body.piece().await {
        let data = data?;
        if first.len().max(all.len()) + data.len() > limit {
            return Err(too_large());
        }
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    // Most answers come in one piece and are passed on without a copy.
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Is this the media type, whatever its parameters?
pub fn is_media(headers: &HeaderMap, wanted: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}
