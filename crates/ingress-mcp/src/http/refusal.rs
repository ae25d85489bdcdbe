//! What a client is told when its HTTP request is no conversation: a status, and the reason as a JSON-RPC error.

use super::body::{self, Body};
use super::link::Busy;
use crate::message;
use bytes::Bytes;
use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use mcp::{Revision, code, headers::Mismatch};

#[derive(Debug)]
pub(super) struct Refusal(Box<Told>);

#[derive(Debug)]
struct Told {
    status: StatusCode,
    code: i64,
    text: String,
    /// Of the request it answers, where that could be read.
    id: Option<Bytes>,
    data: Option<String>,
    header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        let (code, text) = (code::INVALID_REQUEST, text.into());
        Self(Box::new(Told { status, code, text, id: None, data: None, header: None }))
    }

    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub fn unreadable(error: &mcp::envelope::Error) -> Self {
        Self::bad_request(error.to_string()).coded(error.code())
    }

    pub fn mismatch(mismatch: &Mismatch) -> Self {
        Self::bad_request(mismatch.to_string()).coded(code::HEADER_MISMATCH)
    }

    /// Lists what is spoken here, so that the client can take one of them: in a session those that have sessions, else
    /// those that a request may name by itself. The others are negotiated by `initialize`.
    pub fn unsupported_version(requested: &str, in_session: bool) -> Self {
        let fits = |one: &Revision| if in_session { one.has_http_sessions() } else { one.is_stateless() };
        let spoken = Revision::ALL.into_iter().rev().filter(fits);
        let spoken: Vec<String> = spoken.map(|one| message::quoted(one.as_str())).collect();
        let data = format!(r#"{{"supported":[{}],"requested":{}}}"#, spoken.join(","), message::quoted(requested));
        let text = "speak this protocol version: it is not supported";
        let mut refusal = Self::bad_request(text).coded(code::UNSUPPORTED_VERSION);
        refusal.0.data = Some(data);
        refusal
    }

    pub fn method_not_allowed(allow: &'static str, hint: &str) -> Self {
        let text = format!("use this HTTP method here: {hint}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, text).with(ALLOW, allow)
    }

    pub fn unauthorized(text: String, challenge: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, text).with(WWW_AUTHENTICATE, challenge)
    }

    /// Come back in a moment.
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text).coded(code::INTERNAL_ERROR).with(RETRY_AFTER, "1")
    }

    pub fn of_request(mut self, id: Option<Bytes>) -> Self {
        self.0.id = id;
        self
    }

    fn coded(mut self, code: i64) -> Self {
        self.0.code = code;
        self
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.0.header = Some((name, value));
        self
    }

    #[cfg(test)]
    pub const fn status(&self) -> StatusCode {
        self.0.status
    }

    pub fn into_response(self, busy: Busy) -> Response<Body> {
        let Told { status, code, text, id, data, header } = *self.0;
        tracing::debug!(status = status.as_u16(), reason = %text, "an agent's request is refused");
        let message = message::error(&id.unwrap_or_default(), code, &text, data.as_deref());
        let mut response = body::json(status, message, None, busy);
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
