//! Tasks that an upstream made of a mutation: their end is the step's outcome, whoever sees it first.
//!
//! What passes the door is looked at. Besides, the gateway asks by itself, because the client may never do so.

use crate::api::{Link, TaskAsk};
use crate::shell::Shell;
use bytes::Bytes;
use engine::TaskEnd;
use mcp::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use vocab::{Failure, FailureKind, Name, State, StepId};

/// Pause between two looks where the upstream names none.
const POLL: Duration = Duration::from_secs(5);
/// An upstream that wants to be asked more often, or hardly ever, is asked like this.
const POLL_MIN: Duration = Duration::from_secs(1);
const POLL_MAX: Duration = Duration::from_secs(300);
/// The longest that one look may take.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// A task is watched for as long as the engine waits for it.
const WATCH_MAX: Duration = Duration::from_secs(24 * 3600);

/// A task that is watched until its step knows its end.
struct Watch {
    step: StepId,
    upstream: Name,
    task: Name,
    link: Option<Arc<dyn Link>>,
    poll: Duration,
    /// How long the upstream keeps it.
    kept: Duration,
}

/// What a look showed.
#[derive(Debug)]
enum Look {
    Working,
    /// It is over, and only `tasks/result` tells how.
    Over,
    Ended(TaskEnd),
    /// Nobody here can be asked.
    Blind,
}

impl Shell {
    /// Watches the task of a step, if it is one.
    pub(crate) fn watch_task(self: &Arc<Self>, step: StepId) {
        let watch = self.books.lock().watch(step);
        if let Some(watch) = watch {
            let watching = watch.run(Arc::clone(self));
            self.tasks.spawn_on(self.stop.clone().run_until_cancelled_owned(watching), &self.handle);
        }
    }

    /// An upstream's answer about a task passed on its way to a client. Another caller's task is not its to end: ids of
    /// a careless upstream may meet.
    pub(crate) fn task_answered(
        self: &Arc<Self>,
        owner: (&Name, &Name),
        of: (&Name, &str),
        ask: TaskAsk,
        result: &Bytes,
    ) {
        let (upstream, task) = of;
        let Look::Ended(end) = look(ask, result) else { return };
        let made = self.books.lock().made_task(owner, upstream, task);
        if let Some(step) = made {
            self.task_ended(step, end);
        }
    }
}

impl crate::books::Books {
    fn watch(&self, step: StepId) -> Option<Watch> {
        let view = self.engine.step(step).filter(|view| view.status().state == State::RemoteTask)?;
        let told = |names: [&[&str]; 2]| milliseconds(view.result()?, names);
        let poll = told([&["task", "pollInterval"], &["pollIntervalMs"]]).unwrap_or(POLL);
        let kept = told([&["task", "ttl"], &["ttlMs"]]).unwrap_or(WATCH_MAX);
        Some(Watch {
            step,
            upstream: view.intent().upstream.clone(),
            task: view.status().remote_task.clone()?,
            link: self.link_of(step),
            poll: poll.clamp(POLL_MIN, POLL_MAX),
            kept: kept.clamp(poll, WATCH_MAX),
        })
    }
}

impl Watch {
    async fn run(self, shell: Arc<Shell>) {
        let until = Instant::now() + self.kept;
        loop {
            tokio::time::sleep(self.poll).await;
            if !shell.books.lock().awaits_task(self.step) {
                return;
            }
            let end = match self.look(&shell).await {
                Look::Ended(end) => end,
                Look::Working | Look::Over if Instant::now() < until => continue,
                Look::Working | Look::Over => TaskEnd::Vanished,
                Look::Blind => return,
            };
            return shell.task_ended(self.step, end);
        }
    }

    /// Through the caller's session while there is one: only there an unknown id means that the task is gone.
    async fn look(&self, shell: &Shell) -> Look {
        let (shown, is_own) = self.ask(shell, TaskAsk::Get).await;
        match shown {
            Ok(result) => match look(TaskAsk::Get, &result) {
                Look::Over => self.outcome(shell).await,
                look => look,
            },
            Err(Failure { kind: FailureKind::Rpc { code: -32602, .. }, .. }) if is_own => {
                Look::Ended(TaskEnd::Vanished)
            }
            Err(Failure { kind: FailureKind::Rpc { code: -32601, .. }, .. }) => Look::Blind,
            Err(_) => Look::Working,
        }
    }

    /// Of a task that is over.
    async fn outcome(&self, shell: &Shell) -> Look {
        match self.ask(shell, TaskAsk::Result).await.0 {
            Ok(result) => look(TaskAsk::Result, &result),
            // An error of the protocol proves as little as it does in answer to the call itself: it may mean that the
            // call failed, that its result is not kept any more, or that it is invalid.
            Err(Failure { rpc_error: Some(_), .. }) => Look::Ended(TaskEnd::Vanished),
            Err(_) => Look::Over,
        }
    }

    /// The answer, and whether the caller's own session gave it.
    async fn ask(&self, shell: &Shell, ask: TaskAsk) -> (Result<Bytes, Failure>, bool) {
        let link = self.link.as_ref().filter(|link| !link.is_closed());
        let is_own = link.is_some();
        let asking = match link {
            Some(link) => link.task(ask, self.task.clone()),
            None => shell.reader.task(self.upstream.clone(), ask, self.task.clone()),
        };
        let slow = |_| Err(Failure::new(FailureKind::Timeout, "the upstream does not say in time how its task is"));
        (tokio::time::timeout(LOOK_MAX, asking).await.unwrap_or_else(slow), is_own)
    }
}

/// What an answer says of a task. 2025-11-25 keeps the result for `tasks/result`; the extension of 2026-07-28 has result
/// or error within.
fn look(ask: TaskAsk, result: &Bytes) -> Look {
    if ask == TaskAsk::Result {
        return Look::Ended(TaskEnd::Completed(result.clone()));
    }
    match &*text(result, &["status"]) {
        "completed" => match json::find(result, &["result"]).ok().flatten() {
            Some(at) => Look::Ended(TaskEnd::Completed(result.slice(at))),
            None => Look::Over,
        },
        "failed" if json::find(result, &["error"]).ok().flatten().is_some() => Look::Ended(TaskEnd::Vanished),
        "failed" => Look::Over,
        "cancelled" => Look::Ended(TaskEnd::Vanished),
        _ => Look::Working,
    }
}

fn text(json: &[u8], path: &[&str]) -> String {
    json::text(json, path).ok().flatten().unwrap_or_default().into_owned()
}

/// Whole milliseconds; servers written in Python send `5000.0`.
fn milliseconds(json: &[u8], paths: [&[&str]; 2]) -> Option<Duration> {
    let value = paths.into_iter().find_map(|path| json::get(json, path).ok().flatten())?;
    let whole = std::str::from_utf8(value).ok()?.split('.').next()?.parse().ok()?;
    Some(Duration::from_millis(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_task_is_read_in_the_words_of_both_revisions() {
        let get = |text: &'static str| format!("{:?}", look(TaskAsk::Get, &Bytes::from_static(text.as_bytes())));
        assert_eq!(get(r#"{"taskId":"t","status":"working"}"#), "Working");
        assert_eq!(get(r#"{"taskId":"t","status":"input_required"}"#), "Working");
        assert_eq!(get(r#"{"taskId":"t","status":"completed"}"#), "Over");
        assert_eq!(get(r#"{"taskId":"t","status":"failed","statusMessage":"no"}"#), "Over");
        assert_eq!(get(r#"{"taskId":"t","status":"cancelled"}"#), "Ended(Vanished)");
        let inline = get(r#"{"resultType":"complete","taskId":"t","status":"completed","result":{"content":[]}}"#);
        assert_eq!(inline, r#"Ended(Completed(b"{\"content\":[]}"))"#);
        let failed = get(r#"{"taskId":"t","status":"failed","error":{"code":-32603,"message":"no such order"}}"#);
        assert_eq!(failed, "Ended(Vanished)", "what the tool says of a failure is a result");
        assert_eq!(get("garbage"), "Working");
    }

    #[test]
    fn a_pause_is_read_with_and_without_a_fraction() {
        let paths: [&[&str]; 2] = [&["task", "pollInterval"], &["pollIntervalMs"]];
        let read = |text: &str| milliseconds(text.as_bytes(), paths);
        assert_eq!(read(r#"{"task":{"pollInterval":500.0}}"#), Some(Duration::from_millis(500)));
        assert_eq!(read(r#"{"pollIntervalMs":750}"#), Some(Duration::from_millis(750)));
        assert_eq!(read(r#"{"pollIntervalMs":null}"#), None);
    }
}
