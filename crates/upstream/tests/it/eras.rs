//! Which era is asked first, and what is remembered.

use crate::child::{playing, script};
use crate::contract::serve;
use crate::rig::{Seen, http, open};
use crate::wire::{Request, Step, json_answer, page, wire};
use mcp::Revision;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use testkit::server::{Options, STATELESS};
use upstream::{Config, ConnectOptions, Session};
use vocab::{Failure, FailureKind};

async fn speaking(config: &Arc<Config>, revision: Revision) -> Result<Arc<dyn Session>, Failure> {
    let options = ConnectOptions { revision: Some(revision), ..ConnectOptions::default() };
    upstream::connect(config.clone(), options, Seen::default().sink()).await
}

//= S-23
#[tokio::test]
async fn an_upstream_of_the_other_era_is_found_by_handshakes_and_remembered() {
    let old = Options { revisions: vec!["2025-06-18"], ..Options::default() };
    let new = Options { revisions: vec![STATELESS], ..Options::default() };
    for (options, theirs, callers) in
        [(old, Revision::V2025_06_18, Revision::LATEST), (new, Revision::LATEST, Revision::V2025_11_25)]
    {
        let running = serve(options).await;
        let config = Arc::new(http(&running.url));
        for _ in 0..2 {
            let session = speaking(&config, callers).await.expect("a session");
            assert_eq!(session.revision(), theirs.as_str());
        }
    }
}

#[tokio::test]
async fn the_upstreams_word_for_what_it_speaks_is_taken_once() {
    for (listed, callers, asked) in [
        ("2025-06-18", Revision::LATEST, vec!["server/discover", "initialize"]),
        ("2026-07-28", Revision::LATEST, vec!["server/discover", "server/discover", "initialize"]),
        ("1999-01-01", Revision::LATEST, vec!["server/discover", "initialize"]),
        ("2025-06-18", Revision::V2025_11_25, vec!["initialize", "initialize", "server/discover"]),
    ] {
        let server = wire("2025-11-25", move |request| {
            let data = json!({ "supported": [listed, 7], "requested": "x" });
            let error = json!({ "code": -32022, "message": "no", "data": data });
            let refusal = json!({ "jsonrpc": "2.0", "id": request.message["id"], "error": error });
            vec![Step::Send(json_answer(400, &refusal))]
        })
        .await;
        let failure = speaking(&Arc::new(http(&server.url)), callers).await.err().expect("no session");
        assert_eq!(failure.kind, FailureKind::Rpc { code: -32022, status: Some(400) });
        let requests = server.requests();
        assert_eq!(requests.iter().map(Request::rpc_method).collect::<Vec<_>>(), asked, "{listed}");
        if let Some(again) = requests.iter().filter(|one| one.rpc_method() == "initialize").nth(1) {
            assert_eq!(again.message["params"]["protocolVersion"], listed);
        }
    }
}

#[tokio::test]
async fn what_is_known_is_not_asked_again() {
    let refusal = |request: &Request| {
        let error = json!({ "code": -32601, "message": "unknown" });
        json_answer(404, &json!({ "jsonrpc": "2.0", "id": request.message["id"], "error": error }))
    };
    let server = wire("2025-06-18", move |request| match request.rpc_method() {
        "server/discover" => vec![Step::Send(refusal(request))],
        _ => Vec::new(),
    })
    .await;
    let config = Arc::new(http(&server.url));
    for _ in 0..3 {
        speaking(&config, Revision::LATEST).await.expect("a session").close().await;
    }
    let asked = |method: &str| server.requests().iter().filter(|one| one.rpc_method() == method).count();
    assert_eq!((asked("server/discover"), asked("initialize")), (1, 3));
    assert!(server.calls().is_empty(), "never with a call");
}

//= G1
#[tokio::test]
async fn an_upstream_that_is_not_well_is_not_taken_for_another_era() {
    for status in [401, 403, 429, 502, 503, 504] {
        let server = wire("2025-06-18", move |_| vec![Step::Send(page(status, "no"))]).await;
        let failure = speaking(&Arc::new(http(&server.url)), Revision::LATEST).await.err().expect("no session");
        assert_eq!(failure.kind, FailureKind::Status(status));
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_child_of_the_session_era_takes_a_stateless_caller() {
    let child = Arc::new(playing("world 2025-06-18"));
    for _ in 0..2 {
        let session = speaking(&child, Revision::LATEST).await.expect("a session");
        assert_eq!(session.revision(), "2025-06-18");
        session.close().await;
    }
}

#[tokio::test]
async fn a_configured_revision_is_the_only_one() {
    let running = serve(Options { revisions: vec!["2025-06-18"], ..Options::default() }).await;
    let mut config = http(&running.url);
    config.revision = Some(Revision::LATEST);
    let failure = open(config.clone(), ConnectOptions::default(), &Seen::default()).await.err().expect("refused");
    assert!(matches!(failure.kind, FailureKind::Rpc { .. } | FailureKind::Status(_)), "{failure:?}");
    config.revision = Some(Revision::V2025_03_26);
    let failure = open(config, ConnectOptions::default(), &Seen::default()).await.err().expect("another revision");
    assert_eq!(failure.kind, FailureKind::Unparsable);
}

#[tokio::test]
async fn the_upstream_sees_the_caller_and_not_the_gateway() {
    // Answers with what it was sent.
    let mirror = script(
        r#"read -r line; printf '{"jsonrpc":"2.0","id":"cofferdam-initialize","result":{"protocolVersion":"2025-06-18","capabilities":{},"heard":%s}}\n' "$line"; read -r line; printf '{"jsonrpc":"2.0","method":"notifications/heard","params":%s}\n' "$line"; cat >/dev/null"#,
    );
    let initialize = json!({
        "protocolVersion": "2025-06-18",
        "capabilities": { "sampling": {} },
        "clientInfo": { "name": "agent", "version": "3" },
        "other": [1.50],
    });
    let options = ConnectOptions { initialize: Some(initialize.to_string().into()), ..ConnectOptions::default() };
    let seen = Seen::default();
    let session = open(mirror, options, &seen).await.expect("a session");
    let heard = crate::rig::parse(session.server());
    assert_eq!(heard["heard"]["params"], initialize);
    let second = seen.at_least(1).await;
    assert_eq!(crate::rig::parse(&second[0].message)["params"]["method"], "notifications/initialized");
    session.close().await;
}

#[tokio::test]
async fn a_child_that_is_silent_before_a_handshake_still_gets_one() {
    let silent = script(
        r#"while read -r line; do case "$line" in *'"initialize"'*) echo '{"jsonrpc":"2.0","id":"cofferdam-initialize","result":{"protocolVersion":"2025-03-26","capabilities":{}}}';; esac; done"#,
    );
    let config = Arc::new(Config { connect_timeout: Duration::from_secs(9), ..silent });
    let session = speaking(&config, Revision::LATEST).await.expect("a session");
    assert_eq!(session.revision(), "2025-03-26");
    session.close().await;
}

#[tokio::test]
async fn a_child_that_leaves_at_an_unknown_word_is_started_again() {
    let touchy = script(
        r#"read -r line; case "$line" in *'"initialize"'*) echo '{"jsonrpc":"2.0","id":"cofferdam-initialize","result":{"protocolVersion":"2025-03-26","capabilities":{}}}'; cat >/dev/null;; esac"#,
    );
    let session = speaking(&Arc::new(touchy), Revision::LATEST).await.expect("a session");
    assert_eq!(session.revision(), "2025-03-26");
    session.close().await;
}
