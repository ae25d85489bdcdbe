//! Which hosts and origins a request may name, so that a web page cannot reach the gateway through its own DNS name.
//!
//! A loopback listener answers to loopback names only, whatever the port: a forwarded port is a neighbour too.

use http::HeaderMap;
use http::Uri;
use http::header::{HOST, HeaderName, ORIGIN};
use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Clone, Debug)]
pub(super) struct Names {
    pub loopback: bool,
    pub hosts: Vec<String>,
    pub origins: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Foreign {
    #[error(
        "accept the Host: it names none of this gateway's hosts; a proxy's name has to be allowed (policy: auth.hosts)"
    )]
    Host,
    #[error("accept the Origin: pages from there may not call this gateway")]
    Origin,
}

impl Names {
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
        let (mut known, mut named) = (true, false);
        let values = headers.get_all(HOST).into_iter().map(|value| value.to_str().unwrap_or_default());
        // HTTP/2 names the host in the URI.
        for host in values.chain(uri.authority().map(http::uri::Authority::as_str)) {
            named = true;
            known &= self.is_host(without_port(host));
        }
        if !known || !named && self.loopback {
            return Err(Foreign::Host);
        }
        let mut origins = texts(headers, ORIGIN);
        if origins.all(|origin| self.is_origin(origin)) { Ok(()) } else { Err(Foreign::Origin) }
    }

    fn is_host(&self, host: &str) -> bool {
        let listed = self.hosts.iter().any(|one| one.eq_ignore_ascii_case(host));
        listed || if self.loopback { is_loopback(host) } else { self.hosts.is_empty() }
    }

    fn is_origin(&self, origin: &str) -> bool {
        if self.origins.iter().any(|one| one.eq_ignore_ascii_case(origin)) {
            return true;
        }
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        self.loopback && host.is_some_and(|host| is_loopback(without_port(host)))
    }
}

fn texts(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    // One that is no text is no name of ours.
    headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or_default())
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    }
}

fn is_loopback(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    host.eq_ignore_ascii_case("localhost") || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(names: &Names, host: &'static str, origin: &'static str) -> Result<(), Foreign> {
        let mut headers = HeaderMap::new();
        if !host.is_empty() {
            headers.insert(HOST, HeaderValue::from_static(host));
        }
        if !origin.is_empty() {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        names.check(&Uri::from_static("/mcp"), &headers)
    }

    fn loopback() -> Names {
        Names { loopback: true, hosts: vec!["gateway.test".into()], origins: vec!["https://console.test".into()] }
    }

    #[test]
    fn a_loopback_listener_answers_to_loopback_names_and_those_that_are_allowed() {
        for host in
            ["localhost", "LOCALHOST:7070", "127.0.0.1:80", "127.9.9.9", "[::1]:7070", "[::1]", "gateway.test:1"]
        {
            assert_eq!(check(&loopback(), host, ""), Ok(()), "{host}");
        }
        for host in ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test:7070", "10.0.0.1", "0.0.0.0", "", "::1:"]
        {
            assert_eq!(check(&loopback(), host, ""), Err(Foreign::Host), "{host}");
        }
    }

    #[test]
    fn the_host_of_http_2_and_a_second_host_header_count_too() {
        let mut headers = HeaderMap::new();
        let foreign = Uri::from_static("http://evil.test/mcp");
        assert_eq!(loopback().check(&foreign, &headers), Err(Foreign::Host));
        assert_eq!(loopback().check(&Uri::from_static("http://localhost/mcp"), &headers), Ok(()));
        headers.append(HOST, HeaderValue::from_static("localhost"));
        headers.append(HOST, HeaderValue::from_static("evil.test"));
        assert_eq!(loopback().check(&Uri::from_static("/mcp"), &headers), Err(Foreign::Host));
    }

    #[test]
    fn pages_may_call_from_loopback_and_from_allowed_origins_only() {
        for origin in ["http://localhost:6274", "https://127.0.0.1", "http://[::1]:1", "https://console.test"] {
            assert_eq!(check(&loopback(), "localhost", origin), Ok(()), "{origin}");
        }
        for origin in ["http://evil.test", "null", "https://console.test.evil", "http://localhost.evil.test", "file://"]
        {
            assert_eq!(check(&loopback(), "localhost", origin), Err(Foreign::Origin), "{origin}");
        }
    }

    #[test]
    fn beyond_loopback_every_host_will_do_unless_some_are_listed_but_no_origin() {
        let mut names = Names { loopback: false, hosts: Vec::new(), origins: Vec::new() };
        assert_eq!(check(&names, "gateway.corp", ""), Ok(()));
        assert_eq!(check(&names, "gateway.corp", "http://localhost:3000"), Err(Foreign::Origin));
        names.hosts.push("gateway.corp".into());
        assert_eq!(check(&names, "gateway.corp:7070", ""), Ok(()));
        assert_eq!(check(&names, "localhost", ""), Err(Foreign::Host));
    }
}
