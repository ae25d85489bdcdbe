//! Headers of requests to an upstream.

use super::Shared;
use super::body::{Outgoing, Progress};
use crate::failure::not_sent;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use mcp::meta::header;
use mcp::{Envelope, Kind};
use secrecy::{ExposeSecret, SecretString};
use vocab::{Failure, Name};

/// What neither configuration nor a caller may set: it belongs to the connection or follows from the message.
const RESERVED: &[&str] = &[
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const JSON_OR_EVENTS: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The headers of each request to one upstream. A name and password in the URL become Basic authorization.
pub fn configured(uri: &Uri, url: &str, given: &[(String, SecretString)]) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("cofferdam/", env!("CARGO_PKG_VERSION"))));
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) || url.contains('#') {
        return Err(not_sent("the upstream's URL may hold neither user nor fragment: use a header"));
    }
    for (name, value) in given {
        let name: HeaderName = name.parse().map_err(|_| not_sent("a configured header has no usable name"))?;
        if RESERVED.contains(&name.as_str()) {
            return Err(not_sent("a configured header is one that the gateway sets itself"));
        }
        let mut value = HeaderValue::from_str(value.expose_secret())
            .map_err(|_| not_sent("a configured header has no usable value"))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// A POST that carries a message.
pub fn post(
    shared: &Shared,
    message: &Envelope,
    extra: &[(Name, String)],
    progress: &Progress,
) -> Result<Request<Outgoing>, Failure> {
    // Before the handshake is settled the message itself says in which era it speaks; afterwards it has no say.
    let is_stateless = shared.revision().map_or_else(|| !message.is("initialize"), mcp::Revision::is_stateless);
    let mut headers = match shared.revision() {
        Some(_) if !is_stateless => shared.of_session.get_or_init(|| posting(shared, false)).clone(),
        _ => posting(shared, is_stateless),
    };
    for (name, value) in extra {
        let name: HeaderName = name.parse().map_err(|_| not_sent("a header of the call has no usable name"))?;
        if RESERVED.contains(&name.as_str()) || name == AUTHORIZATION {
            return Err(not_sent("a header of the call is one that is not the call's to set"));
        }
        let value = HeaderValue::from_str(value).map_err(|_| not_sent("a header of the call has no usable value"))?;
        headers.insert(name, value);
    }
    if is_stateless {
        mirrored(message, &mut headers)?;
    }
    Ok(request(Method::POST, headers, Outgoing::new(message.bytes().clone(), progress.clone())))
}

/// What every message has in its headers.
fn posting(shared: &Shared, is_stateless: bool) -> HeaderMap {
    let mut headers = shared.headers.clone();
    headers.insert(ACCEPT, JSON_OR_EVENTS);
    headers.insert(CONTENT_TYPE, JSON);
    if !is_stateless {
        session(shared, &mut headers);
    }
    headers
}

/// What a message of the stateless era says in its headers too.
fn mirrored(message: &Envelope, headers: &mut HeaderMap) -> Result<(), Failure> {
    let claimed = mcp::headers::claimed_version(message);
    let version = claimed.as_deref().unwrap_or(mcp::Revision::LATEST.as_str());
    headers.insert(header::PROTOCOL_VERSION, text(version)?);
    if message.kind() == Kind::Request {
        for (name, value) in mcp::headers::mirrors(message) {
            headers.insert(name, text(&value)?);
        }
    }
    Ok(())
}

/// A GET that listens, from an event on if one is known.
pub fn get(shared: &Shared, last_event: Option<&str>) -> Result<Request<Outgoing>, Failure> {
    let mut headers = shared.headers.clone();
    session(shared, &mut headers);
    headers.insert(ACCEPT, EVENTS);
    if let Some(id) = last_event {
        headers.insert(header::LAST_EVENT_ID, text(id)?);
    }
    Ok(request(Method::GET, headers, Outgoing::nothing()))
}

/// A request that says no more than whose session it is about.
pub fn bare(shared: &Shared, method: Method) -> Request<Outgoing> {
    let mut headers = shared.headers.clone();
    session(shared, &mut headers);
    request(method, headers, Outgoing::nothing())
}

fn session(shared: &Shared, headers: &mut HeaderMap) {
    if let Some(id) = shared.session_id.get() {
        headers.insert(header::SESSION_ID, id.clone());
    }
    if let Some(revision) = shared.revision().filter(|revision| revision.has_version_header()) {
        headers.insert(header::PROTOCOL_VERSION, HeaderValue::from_static(revision.as_str()));
    }
}

fn request(method: Method, headers: HeaderMap, body: Outgoing) -> Request<Outgoing> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    request
}

fn text(value: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(value).map_err(|_| not_sent("a value of the message fits in no header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_headers_are_secret_and_may_not_replace_our_own() {
        let uri = Uri::from_static("http://localhost/mcp");
        let given = |name: &str| vec![(name.to_owned(), SecretString::from("Bearer s3cr3t"))];
        let headers = configured(&uri, "http://localhost/mcp", &given("Authorization")).expect("usable");
        assert!(!format!("{headers:?}").contains("s3cr3t"));
        for name in ["Host", "Mcp-Session-Id", "Content-Length", "bad name"] {
            let failure = configured(&uri, "http://localhost/mcp", &given(name)).expect_err(name);
            assert!(!failure.detail.contains("s3cr3t"));
        }
        let with_user = "http://user:pass@localhost/mcp";
        assert!(configured(&with_user.parse().expect("a URL"), with_user, &[]).is_err());
    }
}
