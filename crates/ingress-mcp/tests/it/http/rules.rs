//! Statuses and headers: what is let in, what is refused, and how that is told.

use super::client::Ask;
use super::fakes::{Gateway, INITIALIZE, Setup, gateway, pay, post, principal, read, stateless};
use ingress_mcp::Settings;
use ingress_mcp::http::{Auth, ServerConfig, serve};
use std::sync::Arc;
use tokio::net::TcpListener;

async fn status(gateway: &Gateway, ask: Ask) -> u16 {
    gateway.ask(ask).await.status
}

#[tokio::test]
async fn health_is_told_without_a_token_and_whatever_the_host() {
    let gateway = Setup { principals: vec!["ann"], ..Setup::default() }.start().await;
    assert_eq!(status(&gateway, Ask::get("/livez").instead("Host", "10.0.0.1")).await, 200);
    assert_eq!(status(&gateway, Ask::get("/readyz")).await, 200);
    let wrong = gateway.ask(Ask::of("DELETE", "/livez")).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn a_gateway_that_drains_lives_but_is_not_ready() {
    let gateway = gateway().await;
    gateway.hub.drain().await;
    assert_eq!(status(&gateway, Ask::get("/livez")).await, 200);
    assert_eq!(status(&gateway, Ask::get("/readyz")).await, 503);
    let begun = gateway.ask(Ask::post("/mcp", INITIALIZE)).await;
    assert_eq!((begun.status, begun.header("retry-after")), (503, Some("1")));
}

#[tokio::test]
async fn a_page_that_rebinds_its_name_to_loopback_is_refused() {
    let gateway = gateway().await;
    assert_eq!(status(&gateway, Ask::post("/mcp/shop", INITIALIZE).instead("Host", "evil.test")).await, 403);
    assert_eq!(status(&gateway, Ask::post("/mcp/shop", INITIALIZE).without("Host")).await, 403);
    assert_eq!(status(&gateway, Ask::post("/mcp/shop", INITIALIZE).with("Origin", "http://evil.test")).await, 403);
    assert_eq!(status(&gateway, Ask::post("/mcp/shop", INITIALIZE).with("Origin", "null")).await, 403);
    assert_eq!(status(&gateway, Ask::post("/mcp/shop", INITIALIZE).with("Origin", "http://localhost:6274")).await, 200);
    let config = ServerConfig {
        hosts: vec!["gateway.test".into()],
        origins: vec!["https://console.test".into()],
        ..ServerConfig::default()
    };
    let gateway = Setup { config, ..Setup::default() }.start().await;
    let ask = Ask::post("/mcp/shop", INITIALIZE).instead("Host", "gateway.test:80");
    assert_eq!(status(&gateway, ask.with("Origin", "https://console.test")).await, 200);
}

#[tokio::test]
async fn a_wrong_token_is_refused_with_a_challenge_and_never_echoed() {
    let gateway = Setup { principals: vec!["ann", "bob"], ..Setup::default() }.start().await;
    let missing = gateway.ask(Ask::post("/mcp/shop", INITIALIZE)).await;
    assert_eq!((missing.status, missing.header("www-authenticate")), (401, Some("Bearer realm=\"cofferdam\"")));
    let wrong = gateway.ask(Ask::post("/mcp/shop", INITIALIZE).with("Authorization", "Bearer sesame-open")).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.header("www-authenticate").is_some_and(|challenge| challenge.contains("invalid_token")));
    assert!(!format!("{wrong:?}").contains("sesame-open"));
    let right = Ask::post("/mcp/shop", INITIALIZE).with("Authorization", "Bearer bob-token");
    assert_eq!(status(&gateway, right).await, 200);
    gateway.auth.replace(vec![principal("ann")]);
    let gone = Ask::post("/mcp/shop", INITIALIZE).with("Authorization", "Bearer bob-token");
    assert_eq!(status(&gateway, gone).await, 401);
}

#[tokio::test]
async fn a_clients_token_goes_no_further_than_the_door() {
    let gateway = Setup { principals: vec!["ann"], ..Setup::default() }.start().await;
    let ask = stateless("resources/read", Some("a"), r#""uri":"a""#).with("Authorization", "Bearer ann-token");
    assert_eq!(status(&gateway, ask).await, 200);
    gateway.world.until("read a").await;
    assert!(gateway.world.mentions("sent") && !gateway.world.mentions("ann-token"));
}

#[tokio::test]
async fn listening_beyond_loopback_demands_a_principal() {
    let gateway = gateway().await;
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
    let open = Arc::new(Auth::new(Vec::new()));
    let served = serve(listener, Arc::clone(&gateway.hub), open, ServerConfig::default(), gateway.stop.clone()).await;
    assert_eq!(served.expect_err("refused").kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn unknown_paths_upstreams_and_the_old_transport_are_told_where_to_go() {
    let gateway = gateway().await;
    let unknown = gateway.ask(Ask::post("/mcp/shoe", INITIALIZE)).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("/mcp reaches all of them") && unknown.body.contains(r#""id":0"#), "{unknown:?}");
    let nowhere = gateway.ask(Ask::post("/", INITIALIZE)).await;
    assert!(nowhere.status == 404 && nowhere.body.contains("/mcp/<upstream>"), "{nowhere:?}");
    let old = gateway.ask(Ask::get("/sse")).await;
    assert!(old.status == 404 && old.body.contains("2024-11-05"), "{old:?}");
    let old = gateway.ask(Ask::get("/mcp")).await;
    assert!(old.status == 400 && old.body.contains("2024-11-05"), "{old:?}");
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_are_allowed() {
    let gateway = gateway().await;
    for method in ["PUT", "PATCH", "OPTIONS"] {
        let refused = gateway.ask(Ask::of(method, "/mcp")).await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some("POST, GET, DELETE")), "{method}");
    }
    for method in ["GET", "DELETE"] {
        let refused = gateway.ask(Ask::of(method, "/mcp").with("MCP-Protocol-Version", "2026-07-28")).await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")), "{method} has no meaning there");
    }
}

#[tokio::test]
async fn only_json_is_read_and_both_kinds_of_answers_have_to_be_accepted() {
    let gateway = gateway().await;
    let ask = || Ask::post("/mcp/shop", INITIALIZE);
    assert_eq!(status(&gateway, ask().instead("Content-Type", "text/plain")).await, 415);
    assert_eq!(status(&gateway, ask().without("Content-Type")).await, 415);
    assert_eq!(status(&gateway, ask().instead("Accept", "application/json")).await, 406);
    assert_eq!(status(&gateway, ask().instead("Accept", "text/html")).await, 406);
    assert_eq!(status(&gateway, ask().instead("Content-Type", "Application/JSON; charset=utf-8")).await, 200);
    assert_eq!(status(&gateway, ask().instead("Accept", "*/*")).await, 200);
    let session = gateway.session().await;
    let refused = Ask::get("/mcp/shop").instead("Accept", "application/json").with("Mcp-Session-Id", &session);
    assert_eq!(status(&gateway, refused).await, 406);
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused_with_the_code_that_says_why() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let deep =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":{}{}}}}}"#, "[".repeat(90), "]".repeat(90));
    for (body, code) in [
        ("{", -32700),
        ("", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, -32700),
        (deep.as_str(), -32700),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        ("[]", -32600),
    ] {
        for ask in [post(&session, body), Ask::post("/mcp/shop", body)] {
            let refused = gateway.ask(ask).await;
            assert_eq!((refused.status, refused.code()), (400, code), "{body}");
        }
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_before_it_is_read() {
    let limits = mcp::Limits { bytes: 1000, ..mcp::Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    let gateway = Setup { settings, ..Setup::default() }.start().await;
    let mut client = gateway.client().await;
    let head = Ask::post("/mcp/shop", "").instead("Content-Length", "1001");
    assert_eq!(client.ask(head).await.status, 413, "nothing of the body was sent");
    let mut client = gateway.client().await;
    let head = Ask::post("/mcp/shop", "").without("Content-Length").with("Transfer-Encoding", "chunked");
    client.write(head.text().as_bytes()).await;
    client.write(format!("3e9\r\n{}\r\n", " ".repeat(1001)).as_bytes()).await;
    assert_eq!(client.answer().await.status, 413, "it did not say how large it is");
}

#[tokio::test]
async fn a_version_that_is_not_spoken_is_refused_with_those_that_are() {
    let gateway = gateway().await;
    let refused = gateway.ask(Ask::post("/mcp/shop", &read(9, "a")).with("MCP-Protocol-Version", "2020-01-01")).await;
    assert_eq!((refused.status, refused.code()), (400, -32022));
    let body: serde_json::Value = serde_json::from_str(&refused.body).expect("JSON");
    assert_eq!(body["id"], 9);
    assert_eq!(body["error"]["data"]["requested"], "2020-01-01");
    assert_eq!(body["error"]["data"]["supported"], serde_json::json!(["2026-07-28"]), "what a request may name");
    let session = gateway.session().await;
    let refused = gateway.ask(post(&session, &read(9, "a")).instead("MCP-Protocol-Version", "2020-01-01")).await;
    let body: serde_json::Value = serde_json::from_str(&refused.body).expect("JSON");
    let supported = serde_json::json!(["2025-11-25", "2025-06-18", "2025-03-26"]);
    assert_eq!((refused.status, &body["error"]["data"]["supported"]), (400, &supported), "what a session may speak");
    let wrong = Ask::get("/mcp/shop").with("Mcp-Session-Id", &session).with("MCP-Protocol-Version", "x");
    assert_eq!(status(&gateway, wrong).await, 400);
}

#[tokio::test]
async fn a_header_that_stands_there_twice_is_refused() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    for name in ["Mcp-Session-Id", "MCP-Protocol-Version"] {
        assert_eq!(status(&gateway, post(&session, &read(1, "a")).with(name, "2025-11-25")).await, 400, "{name}");
    }
    let ask = stateless("resources/read", Some("a"), r#""uri":"a""#).with("Mcp-Name", "b");
    assert_eq!(status(&gateway, ask).await, 400);
}

#[tokio::test]
async fn headers_of_the_stateless_revision_have_to_say_what_the_body_says() {
    let gateway = gateway().await;
    let ask = || stateless("resources/read", Some("a"), r#""uri":"a""#);
    let answered = gateway.ask(ask()).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(answered.header("mcp-session-id"), None);
    for wrong in [
        ask().without("Mcp-Method"),
        ask().without("Mcp-Name"),
        ask().without("MCP-Protocol-Version"),
        ask().instead("Mcp-Method", "resources/READ"),
        ask().instead("Mcp-Name", "b"),
        ask().instead("Mcp-Name", "=?base64?%%?="),
        ask().instead("MCP-Protocol-Version", "2025-11-25"),
    ] {
        let text = wrong.text();
        let refused = gateway.ask(wrong).await;
        assert_eq!((refused.status, refused.code()), (400, -32020), "{text}");
        assert!(refused.body.contains(r#""id":7"#), "{refused:?}");
    }
    assert_eq!(status(&gateway, ask().instead("Mcp-Name", "=?base64?YQ==?=")).await, 200);
}

#[tokio::test]
async fn headers_that_mirror_arguments_have_to_say_what_the_body_says() {
    let gateway = gateway().await;
    gateway.world.release();
    assert_eq!(status(&gateway, stateless("tools/list", None, "")).await, 200);
    let ask = || stateless("tools/call", Some("pay"), r#""name":"pay","arguments":{"region":"Hello"}"#);
    for wrong in [ask(), ask().with("Mcp-Param-Region", "hello"), ask().with("Mcp-Param-Region", "=?base64?SGVsbG8?=")]
    {
        let refused = gateway.ask(wrong).await;
        assert_eq!((refused.status, refused.code()), (400, -32020), "{refused:?}");
    }
    assert_eq!(status(&gateway, ask().with("Mcp-Param-Region", "Hello")).await, 200);
    assert_eq!(status(&gateway, ask().with("MCP-PARAM-REGION", "=?base64?SGVsbG8=?=")).await, 200);
    let session = gateway.session().await;
    assert_eq!(status(&gateway, post(&session, &pay(1))).await, 200, "earlier revisions mirror nothing");
}

#[tokio::test]
async fn errors_of_the_stateless_revision_have_their_own_status() {
    let gateway = gateway().await;
    let unknown = gateway.ask(stateless("initialize", None, "")).await;
    assert_eq!((unknown.status, unknown.code()), (404, -32601));
    let unknown = gateway.ask(stateless("unknown/method", None, "")).await;
    assert_eq!((unknown.status, unknown.code()), (404, -32601), "the upstream said so");
    let nobody = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{}}"#;
    let nobody = Ask::post("/mcp/shop", nobody).with("MCP-Protocol-Version", "2026-07-28");
    let nobody = gateway.ask(nobody.with("Mcp-Method", "tools/list")).await;
    assert_eq!((nobody.status, nobody.code()), (400, -32602));
    let response = Ask::post("/mcp/shop", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    assert_eq!(status(&gateway, response.with("MCP-Protocol-Version", "2026-07-28")).await, 400);
    let batch = Ask::post("/mcp/shop", "[]").with("MCP-Protocol-Version", "2026-07-28");
    assert_eq!(status(&gateway, batch).await, 400);
}

#[tokio::test]
async fn errors_of_earlier_revisions_come_with_the_status_of_an_answer() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    let unknown = gateway.ask(post(&session, r#"{"jsonrpc":"2.0","id":1,"method":"unknown/method"}"#)).await;
    assert_eq!((unknown.status, unknown.code()), (200, -32601));
}

#[tokio::test]
async fn the_run_of_the_query_has_to_be_readable() {
    let gateway = gateway().await;
    let refused = gateway.ask(Ask::post("/mcp/shop?run=%00", INITIALIZE)).await;
    assert!(refused.status == 400 && refused.body.contains("`run`"), "{refused:?}");
    assert_eq!(status(&gateway, Ask::post("/mcp/shop?run=nightly", INITIALIZE)).await, 200);
}
