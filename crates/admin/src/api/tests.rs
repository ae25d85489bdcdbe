//! The routes, over a journal in memory and a gateway that remembers what a person recorded.

use super::*;
use crate::gateway::{BoxFuture, RollbackError};
use crate::socket;
use journal::{Journal, Memory};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use vocab::{Bytes, Effect, EffectSource, Event, EventKind, Hash, Instant, KeySource, Record, StepIntent, StepStatus};

struct Desk {
    journal: Arc<Memory>,
    recorded: Mutex<Vec<(StepId, Act, String, String)>>,
}

impl Gateway for Desk {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.journal) as Arc<dyn Journal>
    }

    fn health(&self) -> wire::Health {
        wire::Health {
            version: "0".to_owned(),
            journal: "ok".to_owned(),
            epoch: self.journal.start().epoch.0,
            gap_since: None,
            draining: false,
            policy: Hash::default().to_string(),
            listen: "127.0.0.1:7070".to_owned(),
            process: 1,
        }
    }

    fn tools(&self) -> Vec<wire::Tools> {
        Vec::new()
    }

    fn examine(&self) -> BoxFuture<Vec<wire::Check>> {
        let detail = "it answers".to_owned();
        Box::pin(async { vec![wire::Check { name: "upstream shop".to_owned(), level: wire::Level::Ok, detail }] })
    }

    fn resolve(&self, step: StepId, act: Act, who: String, why: String) -> BoxFuture<Result<(), ResolveError>> {
        let known = self.journal.step(step).ok().flatten().is_some();
        if known && let Ok(mut recorded) = self.recorded.lock() {
            recorded.push((step, act, who, why));
        }
        Box::pin(async move { if known { Ok(()) } else { Err(ResolveError::NotFound) } })
    }

    fn rollback_plan(&self, run: RunId, to: Option<StepId>) -> BoxFuture<Result<wire::Rollback, RollbackError>> {
        let said = format!("planned {run} {to:?}");
        Box::pin(async move { if run == RUN { Ok(rollback(said)) } else { Err(RollbackError::NotFound("no".into())) } })
    }

    fn rollback(
        &self,
        run: RunId,
        to: Option<StepId>,
        who: String,
        why: String,
    ) -> BoxFuture<Result<wire::Rollback, RollbackError>> {
        let said = format!("rolled back {run} {to:?} by {who}: {why}");
        let busy = why == "again";
        Box::pin(async move { if busy { Err(RollbackError::NotNow("busy".into())) } else { Ok(rollback(said)) } })
    }

    fn attest(&self, run: RunId, said: wire::Attest) -> BoxFuture<Result<wire::Attested, RollbackError>> {
        let no_record = said.claims.len();
        let (run, claims) = (run.to_string(), Vec::new());
        Box::pin(
            async move { Ok(wire::Attested { run, confirmed: 0, contradicted: 0, unresolved: 0, no_record, claims }) },
        )
    }
}

fn rollback(sentence: String) -> wire::Rollback {
    let (run, status) = (RUN.to_string(), "not_attempted".to_owned());
    wire::Rollback { run, status, sentence, at_rest: false, changes: Vec::new() }
}

const STEP: StepId = StepId([7; 16]);
const RUN: RunId = RunId([9; 16]);

fn desk() -> Arc<Desk> {
    let journal = Memory::manual();
    let intent = StepIntent {
        step: STEP,
        key: Hash([1; 32]),
        generation: 0,
        key_source: KeySource::Fresh,
        fingerprint: Hash([2; 32]),
        content: Hash([3; 32]),
        scope: Hash([4; 32]),
        tenant: "default".into(),
        principal: "bot".into(),
        run: RUN,
        upstream: "shop".into(),
        tool: "refund".into(),
        effect: Effect::Destructive,
        effect_source: EffectSource::Policy,
        policy: Hash::default(),
        lane: None,
        args: Bytes::from_static(br#"{"order_id":7,"card":"4111-s3cret"}"#),
        upstream_key: None,
        preimage: None,
        undo: None,
        created_at: Instant::from_micros(1_800_000_000_000_000),
    };
    let event = Event {
        step: STEP,
        at: intent.created_at,
        kind: EventKind::Dispatched,
        attempt: 1,
        class: None,
        detail: "sent".to_owned(),
    };
    let status = StepStatus::new(StepState::NeedsHuman);
    let insert = Record::Insert { intent: Arc::new(intent), status, epoch: journal.start().epoch };
    let appended = journal.append(vec![insert, Record::Event(event)], None);
    assert_eq!(appended, Ok(()));
    journal.pump();
    Arc::new(Desk { journal, recorded: Mutex::default() })
}

/// Serves, asks once and gives `(status, body)`.
async fn ask(desk: &Arc<Desk>, access: Access, request: &str, body: &str) -> anyhow_free::Result<(u16, String)> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("admin.sock");
    let listener = socket::bind(&path)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let gateway: Shared = Arc::clone(desk) as Shared;
    let serving = tokio::spawn(serve(listener, gateway, access, async { stopped.await.unwrap_or_default() }));
    let mut stream = UnixStream::connect(&path).await?;
    let length = body.len();
    let text = format!(
        "{request}\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    drop(stop);
    serving.await??;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}

/// Any error, for tests.
mod anyhow_free {
    pub(super) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
}

#[tokio::test]
async fn a_step_is_shown_without_its_values_unless_they_are_asked_for() -> anyhow_free::Result<()> {
    let desk = desk();
    let (status, body) = ask(&desk, Access::Socket, &format!("GET /v1/steps/{STEP} HTTP/1.1"), "").await?;
    let shown: wire::StepDetail = serde_json::from_str(&body)?;
    assert_eq!((status, shown.step.state.as_str(), shown.step.executed.as_str()), (200, "needs_human", "unknown"));
    assert_eq!(shown.bodies.args.as_deref(), Some(r#"{"order_id":"<number>","card":"<text of 11>"}"#));
    assert_eq!(shown.events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["dispatched"]);
    let (_, body) = ask(&desk, Access::Socket, &format!("GET /v1/steps/{STEP}?bodies=true HTTP/1.1"), "").await?;
    let shown: wire::StepDetail = serde_json::from_str(&body)?;
    assert_eq!(shown.bodies.args.as_deref(), Some(r#"{"order_id":7,"card":"4111-s3cret"}"#));
    Ok(())
}

#[tokio::test]
async fn a_run_lists_its_steps() -> anyhow_free::Result<()> {
    let desk = desk();
    let (_, body) = ask(&desk, Access::Socket, "GET /v1/runs HTTP/1.1", "").await?;
    let runs: wire::Runs = serde_json::from_str(&body)?;
    assert_eq!(runs.runs.iter().map(|run| run.run.clone()).collect::<Vec<_>>(), [RUN.to_string()]);
    let (_, body) = ask(&desk, Access::Socket, &format!("GET /v1/runs/{RUN} HTTP/1.1"), "").await?;
    let run: wire::RunDetail = serde_json::from_str(&body)?;
    assert_eq!(run.steps.iter().map(|step| step.step.clone()).collect::<Vec<_>>(), [STEP.to_string()]);
    let (status, _) = ask(&desk, Access::Socket, &format!("GET /v1/runs/{} HTTP/1.1", RunId([1; 16])), "").await?;
    assert_eq!(status, 404);
    Ok(())
}

//= G6
#[tokio::test]
async fn what_a_person_records_names_the_person_and_the_reason() -> anyhow_free::Result<()> {
    let desk = desk();
    let request = format!("POST /v1/steps/{STEP}/resolve HTTP/1.1");
    let said = r#"{"act":"applied","who":"ann","why":"the ledger has it"}"#;
    let (status, _) = ask(&desk, Access::Socket, &request, said).await?;
    assert_eq!(status, 200);
    let recorded = desk.recorded.lock().map(|recorded| recorded.clone()).unwrap_or_default();
    assert_eq!(recorded, [(STEP, Act::Applied, "ann".to_owned(), "the ledger has it".to_owned())]);
    for bad in [
        r#"{"act":"applied","who":"ann","why":" "}"#,
        r#"{"act":"applied","who":"","why":"x"}"#,
        r#"{"act":"maybe","who":"ann","why":"x"}"#,
    ] {
        let (status, _) = ask(&desk, Access::Socket, &request, bad).await?;
        assert_eq!(status, 400, "{bad}");
    }
    assert_eq!(desk.recorded.lock().map(|recorded| recorded.len()).unwrap_or_default(), 1);
    let other = format!("POST /v1/steps/{}/resolve HTTP/1.1", StepId([8; 16]));
    assert_eq!(ask(&desk, Access::Socket, &other, said).await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn an_address_answers_only_to_its_token() -> anyhow_free::Result<()> {
    let desk = desk();
    let access = || Access::Token(Secret::of("operator-token-0123456789".to_owned()));
    for (head, expected) in [
        ("GET /v1/health HTTP/1.1", 401),
        ("GET /v1/health HTTP/1.1\r\nauthorization: Bearer operator-token-012345678", 401),
        ("GET /v1/health HTTP/1.1\r\nauthorization: operator-token-0123456789", 401),
        ("GET /v1/nothing HTTP/1.1", 401),
        ("GET /v1/health HTTP/1.1\r\nauthorization: Bearer operator-token-0123456789", 200),
    ] {
        let (status, body) = ask(&desk, access(), head, "").await?;
        assert_eq!(status, expected, "{head}");
        assert!(!body.contains("operator-token"), "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn doctor_looks_at_the_journal_and_at_what_only_the_gateway_knows() -> anyhow_free::Result<()> {
    let (_, body) = ask(&desk(), Access::Socket, "POST /v1/doctor HTTP/1.1", r#"{"full":true}"#).await?;
    let doctor: wire::Doctor = serde_json::from_str(&body)?;
    let names = doctor.checks.iter().map(|check| (check.name.as_str(), check.level)).collect::<Vec<_>>();
    let expected = [
        ("journal, all of it", wire::Level::Ok),
        ("waiting for a person", wire::Level::Look),
        ("upstream shop", wire::Level::Ok),
    ];
    assert_eq!(names, expected);
    assert!(doctor.is_well());
    Ok(())
}
