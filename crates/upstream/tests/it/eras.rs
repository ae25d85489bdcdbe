//! Which era is asked first, and what is remembered.

use crate::child::{playing, script};
use crate::contract::serve;
use crate::rig::{Seen, http, open};
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
