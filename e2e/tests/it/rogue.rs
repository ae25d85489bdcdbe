//! The rogues are what they say, so that what the gateway makes of them means something.

use anyhow::Result;
use e2e::rogue::{Habit, Rogue};
use serde_json::json;
use std::time::Duration;
use testkit::Client;
use testkit::client::{CallOptions, Error, Identity};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_millis(700);

/// What a plain client sees of each.
fn assert_seen(habit: Habit, answer: &Result<testkit::Answer, Error>) {
    match (habit, answer) {
        (Habit::Good | Habit::Changes | Habit::Twice, Ok(answer)) => assert!(answer.text.contains("done")),
        (Habit::Huge, Ok(answer)) => assert!(answer.text.len() > 1024 * 1024),
        (Habit::Huge | Habit::Deep, Err(_)) => {}
        (Habit::Ends, Err(Error::Disconnected(_) | Error::Malformed(_))) => {}
        (_, Err(Error::Timeout | Error::Malformed(_) | Error::Disconnected(_))) => {}
        (habit, answer) => assert!(matches!(answer, Err(Error::Timeout)), "{habit:?}: {answer:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http() -> Result<()> {
    for habit in Habit::BAD.into_iter().chain([Habit::Good, Habit::Changes]) {
        let rogue = Rogue::start(habit).await?;
        let client = Client::http(&rogue.url, Identity::speaking("2025-11-25")).await?;
        let (first, second) = (client.tools().await?, client.tools().await?);
        assert_eq!(first != second, habit == Habit::Changes, "{habit:?}");
        assert_seen(habit, &client.call("do", json!({}), &CallOptions::within(PATIENCE)).await);
        assert_eq!(rogue.calls(), 1, "{habit:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_pipes() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for habit in Habit::BAD.into_iter().chain([Habit::Good]) {
        let file = directory.path().join(habit.as_str());
        let mut command = Command::new(env!("CARGO_BIN_EXE_effects"));
        command.args(["rogue", habit.as_str()]).arg(&file);
        let client = Client::stdio(command, Identity::speaking("2025-11-25")).await?;
        assert_seen(habit, &client.call("do", json!({}), &CallOptions::within(PATIENCE)).await);
        assert_eq!(std::fs::read_to_string(&file)?, "called\n", "{habit:?}");
    }
    Ok(())
}
