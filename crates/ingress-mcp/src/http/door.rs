//! From an HTTP request to its answer: health, who calls, where to, and then the method.

use super::auth::{Auth, Denied};
use super::body::{self, Body};
use super::config::ServerConfig;
use super::link::Link;
use super::names::Names;
use super::place::Place;
use super::refusal::Refusal;
use super::sessions::Sessions;
use crate::{Caller, Hub, Scope};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(super) const ALL_METHODS: &str = "POST, GET, DELETE";

pub(super) struct Door {
    pub hub: Arc<Hub>,
    pub auth: Arc<Auth>,
    pub config: ServerConfig,
    pub names: Names,
    pub sessions: Sessions,
    /// Set when the gateway stops: streams that would never end do so then.
    pub stop: CancellationToken,
}

/// A request that may speak: whose it is, and to which endpoint.
pub(super) struct Asked {
    pub caller: Caller,
    pub upstream: Option<Box<str>>,
    pub parts: Parts,
}

impl Asked {
    pub fn scope(&self) -> Scope {
        self.upstream.as_deref().map_or(Scope::All, |name| Scope::One(name.into()))
    }
}

impl Door {
    pub async fn answer(self: Arc<Self>, link: Arc<Link>, request: Request<Incoming>) -> Response<Body> {
        let busy = link.begin(request.version());
        let (parts, incoming) = request.into_parts();
        let refused = match self.admit(parts) {
            Ok(Admitted::Mcp(asked)) => match asked.parts.method {
                Method::POST => return self.post(*asked, incoming, busy).await,
                Method::GET => match self.get(&asked) {
                    Ok(events) => return body::events(events, busy),
                    Err(refusal) => refusal,
                },
                Method::DELETE => match self.delete(&asked) {
                    Ok(()) => return body::empty(StatusCode::NO_CONTENT, busy),
                    Err(refusal) => refusal,
                },
                _ => Refusal::method_not_allowed(ALL_METHODS, "POST sends a message"),
            },
            Ok(Admitted::Health(true)) => return body::text(StatusCode::OK, "ok\n", busy),
            Ok(Admitted::Health(false)) => return body::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n", busy),
            Err(refusal) => refusal,
        };
        refused.into_response(busy)
    }

    fn admit(&self, parts: Parts) -> Result<Admitted, Refusal> {
        let place = Place::of(parts.uri.path());
        // Supervisors ask by address and without a token, and learn nothing else.
        if let Place::Live | Place::Ready = place {
            if !matches!(parts.method, Method::GET | Method::HEAD) {
                return Err(Refusal::method_not_allowed("GET, HEAD", "health is read with GET"));
            }
            return Ok(Admitted::Health(place == Place::Live || self.is_ready()));
        }
        self.names
            .check(&parts.uri, &parts.headers)
            .map_err(|foreign| Refusal::new(StatusCode::FORBIDDEN, foreign.to_string()))?;
        let upstream = match place {
            Place::Mcp { upstream } => upstream.map(Box::from),
            Place::OldTransport => return Err(Refusal::new(StatusCode::NOT_FOUND, OLD_TRANSPORT)),
            _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "find the path: MCP is at /mcp and /mcp/<upstream>")),
        };
        let caller = self.auth.caller(&parts.headers, self.names.loopback).map_err(|denied| {
            let challenge = match denied {
                Denied::Missing => r#"Bearer realm="cofferdam""#,
                Denied::Unknown => r#"Bearer realm="cofferdam", error="invalid_token""#,
            };
            Refusal::unauthorized(denied.to_string(), challenge)
        })?;
        Ok(Admitted::Mcp(Box::new(Asked { caller, upstream, parts })))
    }

    fn is_ready(&self) -> bool {
        self.hub.is_ready() && !self.stop.is_cancelled()
    }
}

enum Admitted {
    Mcp(Box<Asked>),
    Health(bool),
}

pub(super) const OLD_TRANSPORT: &str = "open an HTTP+SSE transport of 2024-11-05: it is not spoken here; \
    use streamable HTTP and send messages with POST to /mcp or /mcp/<upstream>";

/// A header that may stand there once: twice, two readers could take different ones.
pub(super) fn one<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, Refusal> {
    let mut all = headers.get_all(name).into_iter();
    let (first, second) = (all.next(), all.next());
    match (first.map(|value| value.to_str().map(str::trim)), second) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value)),
        _ => Err(Refusal::bad_request(format!("read the header {name}: it has to be one value of plain text"))),
    }
}

/// Does `Accept` take this media type? Without the header everything is taken.
pub(super) fn accepts(headers: &HeaderMap, kind: &str, subtype: &str) -> bool {
    let mut none = true;
    for value in headers.get_all(http::header::ACCEPT) {
        none = false;
        let ranges = value.to_str().unwrap_or_default().split(',');
        for range in ranges.map(|range| range.split(';').next().unwrap_or_default().trim()) {
            let (one, other) = range.split_once('/').unwrap_or_default();
            if (one == "*" || one.eq_ignore_ascii_case(kind)) && (other == "*" || other.eq_ignore_ascii_case(subtype)) {
                return true;
            }
        }
    }
    none
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::ACCEPT;

    fn accept(values: &[&'static str]) -> (bool, bool) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        (accepts(&headers, "application", "json"), accepts(&headers, "text", "event-stream"))
    }

    #[test]
    fn media_ranges_are_read_as_http_writes_them() {
        assert_eq!(accept(&["application/json, text/event-stream"]), (true, true));
        assert_eq!(accept(&["application/json;q=0.9", "Text/Event-Stream"]), (true, true));
        assert_eq!(accept(&["*/*"]), (true, true));
        assert_eq!(accept(&["application/*"]), (true, false));
        assert_eq!(accept(&["text/html"]), (false, false));
        assert_eq!(accept(&[""]), (false, false));
        assert_eq!(accept(&[]), (true, true));
    }

    #[test]
    fn a_header_that_says_two_things_is_refused() {
        let mut headers = HeaderMap::new();
        assert_eq!(one(&headers, "mcp-session-id").expect("none"), None);
        headers.append("mcp-session-id", HeaderValue::from_static(" a "));
        assert_eq!(one(&headers, "mcp-session-id").expect("one"), Some("a"));
        headers.append("mcp-session-id", HeaderValue::from_static("b"));
        assert_eq!(one(&headers, "mcp-session-id").expect_err("two").status(), StatusCode::BAD_REQUEST);
    }
}
