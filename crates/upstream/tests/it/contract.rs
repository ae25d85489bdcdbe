//! What holds for every transport and every revision.

use crate::child::playing;
use crate::rig::{Seen, call, http, open, parse, request};
use serde_json::json;
use std::net::SocketAddr;
use testkit::server::{self, Options, Running};
use testkit::worlds;
use upstream::{Config, ConnectOptions, RequestOptions, Session};
use vocab::FailureKind;

use mcp::Revision;

pub async fn serve(options: Options) -> Running {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let world = worlds::open("counters", None).expect("a world");
    server::serve_http(anywhere, world, options).await.expect("a free port")
}

async fn value_of(session: &dyn Session) -> i64 {
    let got = call(session, "get", "get_counter", json!({ "name": "a" }));
    let got = parse(&session.request(got, RequestOptions::default()).await.expect("an answer"));
    got["result"]["structuredContent"]["value"].as_i64().expect("a number")
}

/// Opens, lists, changes, reads, closes.
async fn whole_session(config: Config, revision: Revision) {
    let seen = Seen::default();
    let options = ConnectOptions { revision: Some(revision), ..ConnectOptions::default() };
    let session = open(config, options, &seen).await;
    let session = session.expect("a session");
    assert_eq!(session.revision(), revision.as_str());
    assert_eq!(session.is_stateless(), revision.is_stateless());
    assert!(parse(session.server())["capabilities"]["tools"].is_object(), "{revision}");
    let list = request(&*session, 7, "tools/list", json!({}));
    let list = parse(&session.request(list, RequestOptions::default()).await.expect("an answer"));
    assert_eq!(list["id"], 7);
    assert!(!list["result"]["tools"].as_array().expect("tools").is_empty());
    for id in 1..=3 {
        let increment = call(&*session, id, "increment_counter", json!({ "name": "a" }));
        session.request(increment, RequestOptions::default()).await.expect("an answer");
    }
    assert_eq!(value_of(&*session).await, 3);
    session.close().await;
    assert!(session.is_closed());
    let late = request(&*session, 8, "tools/list", json!({}));
    let late = session.request(late, RequestOptions::default()).await.expect_err("it is closed");
    assert_eq!(late.kind, FailureKind::NotSent);
}

//= S-23
#[tokio::test]
async fn every_revision_is_spoken_over_http() {
    for event_stream in [false, true] {
        for revision in Revision::ALL.into_iter().filter(|one| one.has_streamable_http()) {
            let running = serve(Options { event_stream, ..Options::default() }).await;
            whole_session(http(&running.url), revision).await;
        }
    }
}

#[tokio::test]
async fn every_revision_is_spoken_with_a_child() {
    for revision in Revision::ALL {
        whole_session(playing(&format!("world {revision}")), revision).await;
    }
}
