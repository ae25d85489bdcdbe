//! Children that leave, flood, stay silent or answer strangely.

use crate::child::{playing, script};
use crate::rig::{BOUND, Seen, bytes, open, parse, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use upstream::{Config, ConnectOptions, Environment, Related, RequestOptions, Session, Transport};
use vocab::FailureKind;

async fn puppet(change: impl FnOnce(&mut Config)) -> (Arc<dyn Session>, Seen) {
    let mut config = playing("puppet");
    change(&mut config);
    let seen = Seen::default();
    (open(config, ConnectOptions::default(), &seen).await.expect("a session"), seen)
}

/// Asks the puppet for steps, under an id.
async fn ask(session: &dyn Session, id: u64, steps: Value) -> Result<Value, FailureKind> {
    ask_within(session, id, steps, BOUND).await
}

async fn ask_within(session: &dyn Session, id: u64, steps: Value, limit: Duration) -> Result<Value, FailureKind> {
    let message = bytes(&json!({ "jsonrpc": "2.0", "id": id, "method": "do", "params": { "do": steps } }));
    let options = RequestOptions { timeout: Some(limit), ..RequestOptions::default() };
    session.request(message, options).await.map(|answer| parse(&answer)).map_err(|failure| failure.kind)
}

fn say(line: &str) -> Value {
    json!({ "step": "say", "line": line })
}

fn answer() -> Value {
    json!({ "step": "answer" })
}

fn leave() -> Value {
    json!({ "step": "leave" })
}

#[tokio::test]
async fn a_program_that_is_not_there_cannot_be_started() {
    let mut config = script("");
    let Transport::Stdio { command, .. } = &mut config.transport else { unreachable!("a child") };
    *command = vec!["/nowhere/at-all".to_owned().into(), "--token=s3cr3t".to_owned().into()];
    let failure = open(config, ConnectOptions::default(), &Seen::default()).await.err().expect("no session");
    assert_eq!(failure.kind, FailureKind::Spawn);
    assert!(!failure.detail.contains("s3cr3t"));
}

//= G3
#[tokio::test]
async fn when_the_child_leaves_all_that_wait_are_told() {
    let (session, _) = puppet(|_| ()).await;
    let (first, second, third) = tokio::join!(
        ask(&*session, 1, json!([])),
        ask(&*session, 2, json!([])),
        ask(&*session, 3, json!([{ "step": "say", "line": "bye" }, leave()])),
    );
    assert_eq!([first, second, third].map(Result::err), [Some(FailureKind::Exit); 3]);
    assert!(session.is_closed());
    assert_eq!(ask(&*session, 4, json!([answer()])).await, Err(FailureKind::NotSent));
}

//= G3
#[tokio::test]
async fn an_answer_before_the_end_counts() {
    let (session, _) = puppet(|_| ()).await;
    assert!(ask(&*session, 1, json!([answer(), leave()])).await.is_ok());
}

#[tokio::test]
async fn a_child_that_left_others_behind_has_left_all_the_same() {
    let handshake = r#"read -r line; echo '{"jsonrpc":"2.0","id":"cofferdam-initialize","result":{"protocolVersion":"2025-06-18","capabilities":{}}}'; read -r line;"#;
    let config = script(&format!("sleep 600 & {handshake} read -r line"));
    let session = open(config, ConnectOptions::default(), &Seen::default()).await.expect("a session");
    assert_eq!(ask(&*session, 1, json!([])).await, Err(FailureKind::Exit));
}

//= G1
#[tokio::test]
async fn a_request_whose_last_byte_never_left_was_cut() {
    let handshake = r#"read -r line; echo '{"jsonrpc":"2.0","id":"cofferdam-initialize","result":{"protocolVersion":"2025-06-18","capabilities":{}}}'; read -r line;"#;
    let config = script(&format!("{handshake} head -c 100000 >/dev/null"));
    let session = open(config, ConnectOptions::default(), &Seen::default()).await.expect("a session");
    let long = "x".repeat(400_000);
    let message = bytes(&json!({ "jsonrpc": "2.0", "id": 1, "method": "do", "params": { "long": long } }));
    let failure = session.request(message, RequestOptions::default()).await.expect_err("it left");
    assert_eq!(failure.kind, FailureKind::Cut);
}

//= G1
#[tokio::test]
async fn a_request_behind_a_child_that_reads_nothing_is_withdrawn() {
    let handshake = r#"read -r line; echo '{"jsonrpc":"2.0","id":"cofferdam-initialize","result":{"protocolVersion":"2025-06-18","capabilities":{}}}'; read -r line;"#;
    let config = script(&format!("{handshake} sleep 600"));
    let session = open(config, ConnectOptions::default(), &Seen::default()).await.expect("a session");
    let long = json!([say(&"x".repeat(400_000))]);
    let stuck = ask_within(&*session, 1, long, Duration::from_millis(300));
    let behind = ask_within(&*session, 2, json!([]), Duration::from_millis(200));
    let (stuck, behind) = tokio::join!(stuck, behind);
    assert_eq!(stuck, Err(FailureKind::Timeout), "its last byte may still leave");
    assert_eq!(behind, Err(FailureKind::NotSent), "it was still in the queue");
    tokio::time::timeout(BOUND, session.close()).await.expect("a deaf child is ended all the same");
}

//= G3
#[tokio::test]
async fn a_late_answer_is_nobodys() {
    let (session, _) = puppet(|_| ()).await;
    let limit = Duration::from_millis(100);
    assert_eq!(ask_within(&*session, 1, json!([]), limit).await, Err(FailureKind::Timeout));
    let late = say(r#"{"jsonrpc":"2.0","id":1,"result":{"late":true}}"#);
    let next = ask(&*session, 2, json!([late, answer()])).await.expect("its own answer");
    assert_eq!(next, json!({ "jsonrpc": "2.0", "id": 2, "result": {} }));
}

//= S-26
#[tokio::test]
async fn strange_lines_disturb_nothing() {
    let (session, seen) = puppet(|_| ()).await;
    let steps = json!([
        say("starting up"),
        say(r#"{"jsonrpc":"2.0","id":"1","result":{"of":"another id"}}"#),
        say(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}"#),
        say(r#"{"jsonrpc":"2.0","id":1,"result":{"first":true}}"#),
        say(r#"{"jsonrpc":"2.0","id":1,"result":{"first":false}}"#),
        say(r#"{"jsonrpc":"2.0","id":1,"result"#),
    ]);
    let got = ask(&*session, 1, steps).await.expect("an answer");
    assert_eq!(got["result"]["first"], true);
    assert!(ask(&*session, 2, json!([answer()])).await.is_ok());
    assert!(seen.all().is_empty());
}

//= S-26
#[tokio::test]
async fn a_broken_answer_is_not_waited_for_much_longer() {
    let (session, _) = puppet(|_| ()).await;
    let began = std::time::Instant::now();
    let broken = json!([say(r#"{"jsonrpc":"2.0","id":1,"resul"#)]);
    assert_eq!(ask(&*session, 1, broken).await, Err(FailureKind::Unparsable));
    assert!(began.elapsed() < BOUND / 2);
    let deep = format!(r#"{{"jsonrpc":"2.0","id":2,"result":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    assert_eq!(ask(&*session, 2, json!([say(&deep)])).await, Err(FailureKind::Unparsable));
    let after_all = json!([say(r#"{"jsonrpc":"2.0","method":"notifications/x","par"#), answer()]);
    assert!(ask(&*session, 3, after_all).await.is_ok(), "it was not the answer");
}

//= S-26
#[tokio::test]
async fn a_flood_ends_the_session_and_not_the_memory() {
    let (session, _) = puppet(|config| config.limits.message_max = 100_000).await;
    let flood = json!([{ "step": "flood", "bytes": 5_000_000 }]);
    assert_eq!(ask(&*session, 1, flood).await, Err(FailureKind::TooLarge));
    until("the session is closed", || session.is_closed()).await;
    let (session, _) = puppet(|config| config.limits.message_max = 100_000).await;
    let line = json!([say(&"x".repeat(100_001))]);
    assert_eq!(ask(&*session, 1, line).await, Err(FailureKind::TooLarge), "with a line feed, too");
}

#[tokio::test]
async fn messages_come_before_the_answer_and_in_order() {
    let (session, seen) = puppet(|_| ()).await;
    let note = |name: &str| say(&json!({ "jsonrpc": "2.0", "method": name }).to_string());
    let steps = json!([note("notifications/a"), note("notifications/b"), note("notifications/c"), answer()]);
    ask(&*session, 1, steps).await.expect("an answer");
    assert_eq!(seen.methods(), ["notifications/a", "notifications/b", "notifications/c"]);
    assert!(seen.all().iter().all(|one| one.related == Related::Request("1".into())));
}

#[tokio::test]
async fn a_child_may_mutter_as_much_as_it_likes() {
    let (session, _) = puppet(|_| ()).await;
    let mutter = json!({ "step": "mutter", "line": "x".repeat(300_000) });
    let steps = json!([mutter, mutter, mutter, answer()]);
    assert!(ask(&*session, 1, steps).await.is_ok());
}

#[tokio::test]
async fn a_long_answer_arrives_whole() {
    let (session, _) = puppet(|_| ()).await;
    let long = "ä\\\"".repeat(1_000_000);
    let message = json!({ "jsonrpc": "2.0", "id": 1, "result": { "long": long } });
    assert_eq!(ask(&*session, 1, json!([say(&message.to_string())])).await, Ok(message));
}

#[tokio::test]
async fn a_child_sees_its_own_variables_and_none_of_ours() {
    let (session, _) = puppet(|_| ()).await;
    let names = ask(&*session, 1, json!([{ "step": "env" }])).await.expect("an answer");
    let names = names["result"]["names"].as_array().expect("names").clone();
    assert!(names.contains(&"PATH".into()) && names.contains(&"UPSTREAM_TEST_ROLE".into()), "{names:?}");
    assert!(!names.contains(&"CARGO_MANIFEST_DIR".into()), "{names:?}");
}

#[tokio::test]
async fn nothing_of_a_config_that_may_be_secret_is_shown() {
    let mut config = playing("s3cr3t");
    let Transport::Stdio { command, .. } = &mut config.transport else { unreachable!("a child") };
    command.push("--token=s3cr3t".to_owned().into());
    assert!(!format!("{config:?}").contains("s3cr3t"));
    let config = crate::rig::config(Transport::Http {
        url: "http://localhost/?key=s3cr3t".to_owned().into(),
        headers: vec![("authorization".into(), "s3cr3t".to_owned().into())],
    });
    assert!(!format!("{config:?}").contains("s3cr3t"));
}

/// A child that starts another one and does not leave when it is asked to.
fn stubborn(folder: &std::path::Path) -> Config {
    let handshake = r#"read -r line; echo '{"jsonrpc":"2.0","id":"cofferdam-initialize","result":{"protocolVersion":"2025-06-18","capabilities":{}}}'"#;
    let mut config = script(&format!(r#"trap "" TERM; sleep 600 & {handshake}; while true; do sleep 1; done"#));
    let Transport::Stdio { children, environment, .. } = &mut config.transport else { unreachable!("a child") };
    *children = Some(folder.to_owned());
    *environment = Environment::All;
    config
}

fn recorded(folder: &std::path::Path) -> Vec<i32> {
    let names = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    names.map(|name| name.to_string_lossy().parse().expect("a group")).collect()
}

fn is_alive(group: i32) -> bool {
    let group = rustix::process::Pid::from_raw(group).expect("an id");
    rustix::process::test_kill_process_group(group).is_ok()
}

#[tokio::test]
async fn closing_ends_the_child_and_whatever_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = open(stubborn(folder.path()), ConnectOptions::default(), &Seen::default()).await.expect("a session");
    let groups = recorded(folder.path());
    assert!(groups.len() == 1 && is_alive(groups[0]));
    tokio::time::timeout(BOUND, session.close()).await.expect("it ends");
    until("the group is gone", || !is_alive(groups[0])).await;
    assert!(recorded(folder.path()).is_empty());
}

#[tokio::test]
async fn a_child_that_never_answers_the_handshake_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = script("sleep 600");
    config.connect_timeout = Duration::from_millis(300);
    let Transport::Stdio { children, .. } = &mut config.transport else { unreachable!("a child") };
    *children = Some(folder.path().to_owned());
    let opening = tokio::spawn(open(config, ConnectOptions::default(), &Seen::default()));
    until("the child runs", || !recorded(folder.path()).is_empty()).await;
    let groups = recorded(folder.path());
    let failure = opening.await.expect("an end").err().expect("no session");
    assert_eq!(failure.kind, FailureKind::Timeout);
    until("the group is gone", || !is_alive(groups[0])).await;
}

#[tokio::test]
async fn a_session_that_is_dropped_ends_its_child() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = open(stubborn(folder.path()), ConnectOptions::default(), &Seen::default()).await.expect("a session");
    let groups = recorded(folder.path());
    drop(session);
    until("the group is gone", || !is_alive(groups[0])).await;
}

#[tokio::test]
async fn what_a_crash_left_behind_is_ended_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = open(stubborn(folder.path()), ConnectOptions::default(), &Seen::default()).await.expect("a session");
    let groups = recorded(folder.path());
    assert_eq!(upstream::end_children_of_earlier_starts(folder.path()).expect("readable"), 1);
    until("the group is gone", || !is_alive(groups[0])).await;
    until("the session noticed", || session.is_closed()).await;
}
