//! What requests say in their headers, per revision.

use crate::rig::{Seen, bytes, call, config, http, open, request};
use crate::wire::{Request, Wire, wire};
use mcp::Revision;
use serde_json::json;
use std::sync::Arc;
use upstream::{ConnectOptions, RequestOptions, Session, Transport};

async fn speaking(revision: Revision) -> (Arc<dyn Session>, Wire) {
    let server = wire(revision.as_str(), |_| Vec::new()).await;
    let options = ConnectOptions { revision: Some(revision), ..ConnectOptions::default() };
    let session = open(http(&server.url), options, &Seen::default()).await.expect("a session");
    (session, server)
}

fn the_call(server: &Wire) -> Request {
    server.calls().pop().expect("a call")
}

#[tokio::test]
async fn a_session_is_named_from_its_handshake_to_its_end() {
    for revision in [Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25] {
        let (session, server) = speaking(revision).await;
        session.request(call(&*session, 1, "pay", json!({})), RequestOptions::default()).await.expect("an answer");
        session.close().await;
        let all = server.requests();
        assert_eq!(all[0].rpc_method(), "initialize");
        assert_eq!(all[0].header("mcp-session-id"), None);
        let version = revision.has_version_header().then_some(revision.as_str());
        for later in &all[1..] {
            assert_eq!(later.header("mcp-session-id"), Some("s-1"), "{later:?}");
            assert_eq!(later.header("mcp-protocol-version"), version, "{later:?}");
            assert_eq!(later.header("mcp-method"), None);
        }
        assert_eq!(all.last().expect("an end").method, "DELETE");
    }
}

#[tokio::test]
async fn each_post_takes_json_and_events() {
    let (session, server) = speaking(Revision::V2025_11_25).await;
    session.request(call(&*session, 1, "pay", json!({})), RequestOptions::default()).await.expect("an answer");
    let call = the_call(&server);
    assert_eq!(call.header("accept"), Some("application/json, text/event-stream"));
    assert_eq!(call.header("content-type"), Some("application/json"));
    assert_eq!(call.header("accept-encoding"), None, "bytes are passed on as they are");
    assert_eq!(call.header("host"), server.url.strip_prefix("http://").and_then(|url| url.strip_suffix("/mcp")));
}

#[tokio::test]
async fn the_stateless_revision_mirrors_the_message() {
    let (session, server) = speaking(Revision::V2026_07_28).await;
    session.request(call(&*session, 1, "päy", json!({})), RequestOptions::default()).await.expect("an answer");
    session
        .request(request(&*session, 2, "tools/list", json!({})), RequestOptions::default())
        .await
        .expect("an answer");
    let all = server.requests();
    let said = |one: &Request, name: &str| one.header(name).map(str::to_owned);
    assert_eq!(
        all.iter().map(|one| said(one, "mcp-method")).collect::<Vec<_>>(),
        [Some("server/discover".to_owned()), Some("tools/call".to_owned()), Some("tools/list".to_owned()),]
    );
    assert_eq!(said(&all[1], "mcp-name"), Some("=?base64?cMOkeQ==?=".to_owned()));
    assert!(all.iter().all(|one| said(one, "mcp-protocol-version").as_deref() == Some("2026-07-28")));
    assert!(all.iter().all(|one| said(one, "mcp-session-id").is_none()));
}

#[tokio::test]
async fn a_message_cannot_talk_a_session_into_another_era() {
    let (session, server) = speaking(Revision::V2025_11_25).await;
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
    let message =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "pay", "_meta": meta } });
    session.request(bytes(&message), RequestOptions::default()).await.expect("an answer");
    assert_eq!(the_call(&server).header("mcp-session-id"), Some("s-1"));
    assert_eq!(the_call(&server).header("mcp-protocol-version"), Some("2025-11-25"));
}

#[tokio::test]
async fn configured_headers_go_with_everything_and_extra_ones_with_their_call() {
    let server = wire("2025-11-25", |_| Vec::new()).await;
    let config = config(Transport::Http {
        url: format!("{}?tenant=a%20b", server.url).into(),
        headers: vec![("Authorization".into(), "Bearer t0ken".to_owned().into())],
    });
    let session = open(config, ConnectOptions::default(), &Seen::default()).await.expect("a session");
    let headers = vec![("idempotency-key".into(), "k-1".to_owned()), ("mcp-param-region".into(), "eu".to_owned())];
    let options = RequestOptions { headers, ..RequestOptions::default() };
    session.request(call(&*session, 1, "pay", json!({})), options).await.expect("an answer");
    session.close().await;
    assert!(server.requests().iter().all(|one| one.header("authorization") == Some("Bearer t0ken")));
    assert!(server.requests().iter().all(|one| one.path == "/mcp?tenant=a%20b"));
    let with_key: Vec<Request> =
        server.requests().into_iter().filter(|one| one.header("idempotency-key").is_some()).collect();
    assert_eq!(with_key.len(), 1);
    assert_eq!(with_key[0].header("mcp-param-region"), Some("eu"));
}

#[tokio::test]
async fn nothing_that_may_be_secret_is_in_a_failure() {
    for status in [401, 500] {
        let server = wire("2025-11-25", move |_| {
            // It repeats what it was given.
            vec![crate::wire::Step::Send(crate::wire::page(status, "s3cr3t"))]
        })
        .await;
        let config = config(Transport::Http {
            url: format!("{}?key=s3cr3t", server.url).into(),
            headers: vec![("x-key".into(), "s3cr3t".to_owned().into())],
        });
        let failure = open(config, ConnectOptions::default(), &Seen::default()).await.err().expect("no session");
        assert!(!format!("{failure:?}").contains("s3cr3t"));
        assert!(!server.requests().is_empty());
    }
}
