//! HTTP requests with wrong headers, from wrong places, to wrong places.

use super::{POLICY, SESSIONS, STATELESS, Stage, assert_refused, body};
use anyhow::{Context, Result};
use serde_json::json;
use testkit::client::{CallOptions, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request as text; the answer's status and text.
async fn plain(stage: &Stage, head: &str, body: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(stage.gateway.address()).await?;
    let whole = format!("{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    stream.write_all(whole.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    Ok((status, answer))
}

fn discover() -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": SESSIONS, "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } } })
    .to_string()
}

const USUAL: &str = "content-type: application/json\r\naccept: application/json, text/event-stream\r\n";

//= S-06
#[tokio::test]
async fn a_page_from_elsewhere_and_a_name_that_was_bound_to_loopback_are_refused() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    let own = stage.gateway.address().to_owned();
    for (what, host, origin, is_welcome) in [
        ("no origin", own.as_str(), None, true),
        ("its own origin", own.as_str(), Some(format!("http://{own}")), true),
        ("another page", own.as_str(), Some("https://evil.example".to_owned()), false),
        ("a page that begins alike", own.as_str(), Some("http://127.0.0.1.evil.example".to_owned()), false),
        ("no page at all", own.as_str(), Some("null".to_owned()), false),
        ("a rebound name", "evil.example", None, false),
        ("a rebound name with the port", "evil.example:7070", None, false),
    ] {
        let origin = origin.map(|origin| format!("origin: {origin}\r\n")).unwrap_or_default();
        let head = format!("POST /mcp HTTP/1.1\r\nhost: {host}\r\n{origin}{USUAL}");
        let (status, answer) = plain(&stage, &head, &discover()).await?;
        assert_eq!(status == 200, is_welcome, "{what}: {answer}");
        assert!(is_welcome || (400..500).contains(&status), "{what}: {answer}");
    }
    stage.is_well().await
}

//= S-06
#[tokio::test]
async fn a_name_and_an_origin_are_welcome_where_the_policy_names_them() -> Result<()> {
    let auth = "auth: { hosts: [gateway.example], origins: [\"https://console.example\"] }\n";
    let Some(stage) = Stage::set(&format!("{auth}{POLICY}")).await? else { return Ok(()) };
    let own = stage.gateway.address().to_owned();
    for (what, host, origin, is_welcome) in [
        ("the proxy's name", "gateway.example", None, true),
        ("the proxy's name with a port", "gateway.example:443", None, true),
        ("its own name", own.as_str(), None, true),
        ("an allowed page", "gateway.example", Some("https://console.example"), true),
        ("another page", "gateway.example", Some("https://evil.example"), false),
        ("another name", "evil.example", None, false),
    ] {
        let origin = origin.map(|origin| format!("origin: {origin}\r\n")).unwrap_or_default();
        let head = format!("POST /mcp HTTP/1.1\r\nhost: {host}\r\n{origin}{USUAL}");
        let (status, answer) = plain(&stage, &head, &discover()).await?;
        assert_eq!(status == 200, is_welcome, "{what}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn wrong_paths_methods_and_types_are_told_apart() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    let own = stage.gateway.address().to_owned();
    let json = "content-type: application/json\r\n";
    for (line, headers, allowed) in [
        ("POST /nowhere", USUAL, &[404][..]),
        ("POST /mcp/nobody", USUAL, &[404]),
        ("PUT /mcp", USUAL, &[405]),
        ("PATCH /mcp", USUAL, &[405]),
        ("POST /mcp", "content-type: text/plain\r\naccept: application/json, text/event-stream\r\n", &[400, 415]),
        ("POST /mcp", "accept: application/json, text/event-stream\r\n", &[400, 415]),
        ("GET /mcp", "accept: text/event-stream\r\n", &[400, 404, 405]),
        ("DELETE /mcp", json, &[400, 404, 405]),
        ("GET /admin", json, &[404]),
        ("GET /v1/steps", json, &[404]),
    ] {
        let head = format!("{line} HTTP/1.1\r\nhost: {own}\r\n{headers}");
        let (status, answer) = plain(&stage, &head, &discover()).await?;
        assert!(allowed.contains(&status), "{line} {headers}: {answer}");
    }
    let many = (0..2_000).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    for headers in [many, format!("x: {}\r\n", "y".repeat(1024 * 1024))] {
        let head = format!("POST /mcp HTTP/1.1\r\nhost: {own}\r\n{headers}{USUAL}");
        // It may hang up before all is sent.
        if let Ok((status, answer)) = plain(&stage, &head, &discover()).await {
            assert!((400..500).contains(&status), "{answer:.200}");
        }
    }
    stage.is_well().await
}

#[tokio::test]
async fn wrong_and_missing_sessions_and_versions_are_refused() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    let client = stage.client(STATELESS).await?;
    let listed = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} }).to_string();
    let session = stage.client(SESSIONS).await?.session().context("a session")?;
    let with = |headers: &[(&str, &str)]| {
        headers.iter().fold(CallOptions::default(), |options, (name, value)| options.header(name, value))
    };
    for (what, options, allowed) in [
        ("no session", with(&[]), &[400, 404][..]),
        ("an unknown session", with(&[("mcp-session-id", "nobody")]), &[404]),
        ("an unknown version", with(&[("mcp-session-id", &session), ("mcp-protocol-version", "1999-01-01")]), &[400]),
        ("a version that is none", with(&[("mcp-session-id", &session), ("mcp-protocol-version", "\u{1f}x")]), &[400]),
    ] {
        let Ok(Some(response)) = client.raw(listed.as_bytes(), &options).await else { continue };
        assert!(allowed.contains(&response.status), "{what}: {} {:?}", response.status, body(&response));
    }
    let initialize = discover().replace(SESSIONS, "1999-01-01");
    let response = client.raw(initialize.as_bytes(), &CallOptions::default()).await?.context("HTTP answers")?;
    let offered = body(&response)["result"]["protocolVersion"].as_str().map(str::to_owned);
    let is_known = offered.as_deref().is_some_and(|offered| testkit::server::REVISIONS.contains(&offered));
    assert!(is_known || body(&response)["error"]["code"].is_i64(), "another version is offered, or none: {offered:?}");
    stage.is_well().await
}

//= S-06
#[tokio::test]
async fn headers_of_the_stateless_revision_must_mirror_the_body() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    let client = stage.client(STATELESS).await?;
    let params = json!({ "name": "append", "arguments": { "text": "mirrored" } });
    let call = client.message(Some(&1.into()), "tools/call", params).to_string();
    let send = async |headers: [(&str, &str); 3]| -> Result<Response> {
        let options = headers.iter().filter(|(_, value)| !value.is_empty());
        let options = options.fold(CallOptions::default(), |options, (name, value)| options.header(name, value));
        client.raw(call.as_bytes(), &options).await?.context("HTTP answers")
    };
    let (version, method, name) = ("mcp-protocol-version", "mcp-method", "mcp-name");
    for headers in [
        [(version, STATELESS), (method, "tools/call"), (name, "drop")],
        [(version, STATELESS), (method, "tools/list"), (name, "append")],
        [(version, STATELESS), (method, ""), (name, "append")],
        [(version, STATELESS), (method, "tools/call"), (name, "")],
        [(version, "2025-11-25"), (method, "tools/call"), (name, "append")],
        [(version, "2099-01-01"), (method, "tools/call"), (name, "append")],
    ] {
        let response = send(headers).await?;
        assert_refused(&response, &format!("{headers:?}"));
        assert_eq!(response.status, 400, "{headers:?}");
        assert_eq!(stage.effects(Some("mirrored")).await?, 0, "{headers:?}");
    }
    let response = send([(version, STATELESS), (method, "tools/call"), (name, "append")]).await?;
    assert_eq!((response.status, stage.effects(Some("mirrored")).await?), (200, 1));
    Ok(())
}
