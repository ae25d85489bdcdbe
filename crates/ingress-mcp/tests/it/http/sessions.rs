//! Sessions over HTTP: how they begin and end, and whose they are.

use super::client::{Ask, LONG};
use super::fakes::{Gateway, INITIALIZE, Setup, gateway, get, pay, post, read};
use ingress_mcp::Settings;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn a_session_begins_with_initialize_and_its_id_is_wanted_from_then_on() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    assert!(session.len() >= 32 && session.bytes().all(|byte| byte.is_ascii_graphic()), "{session}");
    let answered = gateway.ask(post(&session, &read(1, "a"))).await;
    assert_eq!((answered.status, answered.header("content-type")), (200, Some("application/json")));
    assert_eq!(answered.header("mcp-session-id"), None);
    for without in [read(1, "a"), r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned()] {
        let refused = gateway.ask(Ask::post("/mcp/shop", &without)).await;
        assert!(refused.status == 400 && refused.body.contains("Mcp-Session-Id"), "{refused:?}");
    }
}

#[tokio::test]
async fn notifications_and_responses_are_accepted_without_a_body() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    for body in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}"#,
    ] {
        let accepted = gateway.ask(post(&session, body)).await;
        assert_eq!((accepted.status, accepted.body.as_str()), (202, ""), "{body}");
    }
}

#[tokio::test]
async fn a_handshake_that_fails_begins_nothing() {
    let gateway = gateway().await;
    let failed =
        gateway.ask(Ask::post("/mcp/shop", r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":7}"#)).await;
    assert_eq!((failed.status, failed.header("mcp-session-id")), (400, None));
}

#[tokio::test]
async fn a_session_that_is_unknown_or_has_ended_is_not_found() {
    let gateway = gateway().await;
    let session = gateway.session().await;
    assert_eq!(gateway.ask(post("11111111111111111111111111111111", &read(1, "a"))).await.status, 404);
    assert_eq!(gateway.ask(get("nonsense")).await.status, 404);
    assert_eq!(gateway.ask(Ask::of("DELETE", "/mcp/shop").with("Mcp-Session-Id", &session)).await.status, 204);
    assert_eq!(gateway.ask(post(&session, &read(1, "a"))).await.status, 404);
    assert_eq!(gateway.ask(Ask::of("DELETE", "/mcp/shop").with("Mcp-Session-Id", &session)).await.status, 404);
    assert_eq!(gateway.ask(Ask::of("DELETE", "/mcp/shop")).await.status, 400);
}

#[tokio::test]
async fn a_session_belongs_to_its_principal_and_its_endpoint() {
    let gateway = Setup { principals: vec!["ann", "bob"], ..Setup::default() }.start().await;
    let begun = gateway.ask(Ask::post("/mcp/shop", INITIALIZE).with("Authorization", "Bearer ann-token")).await;
    let session = begun.header("mcp-session-id").expect("a session").to_owned();
    let asked = |path: &str, token: &str| {
        Ask::post(path, &read(1, "a"))
            .with("Mcp-Session-Id", &session)
            .with("Authorization", &format!("Bearer {token}"))
    };
    assert_eq!(gateway.ask(asked("/mcp/shop", "ann-token")).await.status, 200);
    assert_eq!(gateway.ask(asked("/mcp/shop", "bob-token")).await.status, 404);
    assert_eq!(gateway.ask(asked("/mcp", "ann-token")).await.status, 404);
    let ended = Ask::of("DELETE", "/mcp/shop").with("Mcp-Session-Id", &session);
    assert_eq!(gateway.ask(ended.with("Authorization", "Bearer bob-token")).await.status, 404);
    assert_eq!(gateway.ask(asked("/mcp/shop", "ann-token")).await.status, 200);
}

#[tokio::test]
async fn a_call_is_made_as_the_principal_and_in_the_run_that_the_header_names() {
    let gateway = Setup { principals: vec!["ann"], ..Setup::default() }.start().await;
    let begun = gateway.ask(Ask::post("/mcp/shop", INITIALIZE).with("Authorization", "Bearer ann-token")).await;
    let session = begun.header("mcp-session-id").expect("a session").to_owned();
    gateway.world.release();
    let paid = post(&session, &pay(1)).with("Authorization", "Bearer ann-token").with("Cofferdam-Run", "nightly");
    let paid = gateway.ask(paid).await;
    assert!(paid.status == 200 && paid.body.contains("paid"), "{paid:?}");
    gateway.world.until("call pay as ann in nightly").await;
}

#[tokio::test]
async fn thousands_of_abandoned_sessions_push_each_other_out_and_never_one_that_is_used() {
    let settings = Settings { sessions_max: 100, ..Settings::default() };
    let gateway = Setup { settings, ..Setup::default() }.start().await;
    let used = gateway.session().await;
    let mut stream = gateway.client().await;
    assert_eq!(stream.ask(post(&used, &read(1, "tell:a"))).await.status, 200, "under way from here on");
    let mut client = gateway.client().await;
    let mut ids = HashSet::new();
    for _ in 0..1000 {
        let begun = client.ask(Ask::post("/mcp/shop", INITIALIZE)).await;
        assert_eq!(begun.status, 200);
        ids.insert(begun.header("mcp-session-id").expect("a session").to_owned());
    }
    assert_eq!(ids.len(), 1000);
    assert_eq!(gateway.ask(post(&used, &read(2, "b"))).await.status, 200);
    gateway.world.release();
    assert!(stream.event().await.is_some());
}

#[tokio::test]
async fn a_principal_that_floods_pushes_out_its_own_sessions_only() {
    let settings = Settings { sessions_max: 20, ..Settings::default() };
    let gateway = Setup { settings, principals: vec!["ann", "bob"], ..Setup::default() }.start().await;
    let token = |name: &str| format!("Bearer {name}-token");
    let begun = gateway.ask(Ask::post("/mcp/shop", INITIALIZE).with("Authorization", &token("ann"))).await;
    let quiet = begun.header("mcp-session-id").expect("a session").to_owned();
    let mut client = gateway.client().await;
    for _ in 0..100 {
        let begun = client.ask(Ask::post("/mcp/shop", INITIALIZE).with("Authorization", &token("bob"))).await;
        assert_eq!(begun.status, 200);
    }
    let answered = gateway.ask(post(&quiet, &read(1, "a")).with("Authorization", &token("ann"))).await;
    assert_eq!(answered.status, 200, "it was idle for longest, but is not one too many");
}

#[tokio::test]
async fn a_session_that_is_idle_for_too_long_ends() {
    let settings = Settings { idle: Duration::from_millis(50), ..Settings::default() };
    let gateway = Setup { settings, ..Setup::default() }.start().await;
    let session = gateway.session().await;
    ends(&gateway, &session).await;
}

/// Waits until a session is gone. Asking for its stream with a wrong `Accept` does not count as use.
async fn ends(gateway: &Gateway, session: &str) {
    let gone = timeout(LONG, async {
        while gateway.ask(get(session).instead("Accept", "text/html")).await.status != 404 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(gone.await.is_ok(), "the session never ends");
}

#[tokio::test]
async fn a_session_whose_own_stream_is_open_is_not_idle() {
    let settings = Settings { idle: Duration::from_secs(1), ..Settings::default() };
    let gateway = Setup { settings, ..Setup::default() }.start().await;
    let used = gateway.session().await;
    let mut stream = gateway.client().await;
    assert_eq!(stream.ask(get(&used)).await.status, 200);
    stream.event().await.expect("the first event");
    let idle = gateway.session().await;
    ends(&gateway, &idle).await;
    let used = gateway.ask(get(&used).instead("Accept", "text/html")).await;
    assert_eq!(used.status, 406, "it is still there");
}
