//! A person's word on a step of a journal that no gateway owns: the same record that a running one would make.

use crate::exit::{Exit, Failed};
use crate::gateway;
use crate::place::Place;
use admin::Act;
use journal::sqlite::Options;
use journal::{Error, Journal, Order, Postgres, Replicas, Sqlite, postgres};
use policy::Database;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vocab::{
    Cause, Event, EventKind, EvidenceClass, Instant, Outcome, Record, State, StepId, StepRow, StepStatus, Verification,
};

/// For one commit.
const COMMIT_MAX: Duration = Duration::from_secs(30);
const TICKET: journal::Ticket = 1;
/// What fits into an event.
const DETAIL_MAX: usize = 512;

/// For a gateway elsewhere to take up what a person said.
const ORDER_MAX: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Owns the journal for the time of one commit, and leaves a gap for the gateway to report. Of a journal that several
/// gateways share only the step is owned: where one of them has it, that one is asked to record it.
pub fn resolve(place: &Place, step: StepId, act: Act, who: &str, why: &str) -> Result<(), Failed> {
    if let Some(database) = &place.database {
        return resolve_shared(database, step, act, who, why);
    }
    let journal = Sqlite::open(&place.journal, Options { keep_gap: true, ..Options::default() })?;
    let recorded = record(&*journal, step, act, who, why);
    journal.close();
    recorded
}

fn resolve_shared(database: &Database, step: StepId, act: Act, who: &str, why: &str) -> Result<(), Failed> {
    let options = postgres::Options { name: format!("operator {who}"), ..gateway::options(database) };
    let journal = Postgres::open(database.url.expose(), options)?;
    let recorded = match journal.take(step)? {
        true => record(&*journal, step, act, who, why),
        false => hand_over(&journal, step, act, who, why),
    };
    journal.close();
    recorded
}

/// Another gateway owns it.
fn hand_over(journal: &Arc<Postgres>, step: StepId, act: Act, who: &str, why: &str) -> Result<(), Failed> {
    let gone = || Failed::new(Exit::NotFound, format!("find {step}: the journal has no such step"));
    let before = journal.step(step)?.ok_or_else(gone)?;
    let (act, who, why) = (act.as_str().to_owned(), who.to_owned(), why.to_owned());
    journal.order(&Order { step, act, who, why })?;
    let until = std::time::Instant::now() + ORDER_MAX;
    while std::time::Instant::now() < until {
        if journal.step(step)?.ok_or_else(gone)?.status != before.status {
            return Ok(());
        }
        std::thread::sleep(ASK_EVERY);
    }
    let state = before.status.state.as_str();
    let why = format!("record that: the gateway that owns the step ({state}) has not taken it up; look at it again");
    Err(Failed::new(Exit::Failed, why))
}

//= G6
fn record(journal: &dyn Journal, step: StepId, act: Act, who: &str, why: &str) -> Result<(), Failed> {
    let found = journal.step(step)?.filter(|row| row.intent.effect.is_mutation());
    let row = found.ok_or_else(|| {
        Failed::new(Exit::NotFound, format!("find {step}: the journal has no such step that changes something"))
    })?;
    let now = now();
    let known = row.status.outcome.map_or(String::new(), |known| format!(", with the outcome {}", known.as_str()));
    let refused = || format!("record that: the step is {}{known}", row.status.state.as_str());
    let status = said(&row, act, now).ok_or_else(|| Failed::new(Exit::Failed, refused()))?;
    let mut records = vec![event(&row, now, EventKind::Person, &format!("{} by {who}: {why}", act.as_str()))];
    if act != Act::RunAgain {
        let known = status.outcome.map_or("", |outcome| outcome.as_str());
        records.push(event(&row, now, EventKind::Closed, &format!("{known}, recorded by {who}: {why}")));
    }
    let epoch = journal.start().epoch.max(row.epoch);
    records.push(Record::Update { step, epoch, status, result: None });
    let (sender, receiver) = sync_channel(1);
    journal.on_durable(Arc::new(move |done| {
        for one in done {
            sender.try_send(one.result).ok();
        }
    }));
    journal.append(records, Some(TICKET))?;
    receiver.recv_timeout(COMMIT_MAX).unwrap_or(Err(Error::Closed))?;
    Ok(())
}

/// The status after it, or `None` where a person has nothing to say any more.
fn said(row: &StepRow, act: Act, now: Instant) -> Option<StepStatus> {
    let mut status = row.status.clone();
    let settled = status.state == State::Closed;
    // With nobody running, a step that was sent and has no outcome is as unknown as one that says so.
    let unknown = matches!(status.state, State::Dispatched | State::Resolving | State::NeedsHuman);
    let open = unknown || matches!(status.state, State::AwaitingInput | State::RemoteTask);
    let diverged = settled && status.outcome == Some(Outcome::Diverged);
    let outcome = match act {
        Act::RunAgain if (settled || unknown) && !row.expired => {
            status.run_again = true;
            return Some(status);
        }
        Act::Applied if open || diverged => Outcome::Applied,
        Act::Absent if open || diverged => Outcome::Absent,
        Act::Diverged if open => Outcome::Diverged,
        _ => return None,
    };
    status.state = State::Closed;
    (status.outcome, status.cause, status.verification) = (Some(outcome), Some(Cause::Unknown), Verification::None);
    status.closed_at = Some(now);
    status.next_action_at = None;
    Some(status)
}

fn event(row: &StepRow, at: Instant, kind: EventKind, detail: &str) -> Record {
    let mut end = detail.len().min(DETAIL_MAX);
    while !detail.is_char_boundary(end) {
        end -= 1;
    }
    let (step, attempt, class) = (row.intent.step, row.status.attempt, Some(EvidenceClass::Person));
    Record::Event(Event { step, at, kind, attempt, class, detail: detail[..end].to_owned() })
}

fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
