//! Views of a journal, for a running gateway and for one at rest. Each call reads the disk and may block.

use crate::redact::shape;
use crate::wire::{self, Check, Level};
use journal::{Error, Filter, Journal, RunSummary, StoredEvent};
use std::path::Path;
use vocab::{Bytes, Executed, Instant, KeySource, RunId, State, StepId, StepRow};

/// Most entries of a list.
pub(crate) const LIST_MAX: usize = 1_000;

/// The runs with the latest activity.
///
/// # Errors
/// The journal cannot be read.
pub fn runs(journal: &dyn Journal, limit: usize) -> Result<wire::Runs, Error> {
    let runs = journal.runs(limit.min(LIST_MAX))?;
    Ok(wire::Runs { runs: runs.iter().map(summary).collect() })
}

/// One run, `None` when nothing of it is left.
///
/// # Errors
/// The journal cannot be read.
pub fn run(journal: &dyn Journal, id: RunId, limit: usize) -> Result<Option<wire::RunDetail>, Error> {
    let filter = Filter { run: Some(id), reads: true, limit: limit.min(LIST_MAX), ..Filter::default() };
    let rows = journal.steps(&filter)?;
    let Some(run) = journal.runs(LIST_MAX)?.into_iter().find(|run| run.run == id).or_else(|| counted(id, &rows)) else {
        return Ok(None);
    };
    Ok(Some(wire::RunDetail { run: summary(&run), steps: rows.iter().map(one).collect() }))
}

/// The newest steps that the filter lets through.
///
/// # Errors
/// The journal cannot be read.
pub fn steps(journal: &dyn Journal, filter: &Filter) -> Result<wire::Steps, Error> {
    let filter = Filter { limit: filter.limit.min(LIST_MAX), ..filter.clone() };
    Ok(wire::Steps { steps: journal.steps(&filter)?.iter().map(one).collect() })
}

/// One step with its evidence; `bodies` shows arguments and results as they are.
///
/// # Errors
/// The journal cannot be read.
pub fn step(journal: &dyn Journal, id: StepId, bodies: bool) -> Result<Option<wire::StepDetail>, Error> {
    let Some(row) = journal.step(id)? else { return Ok(None) };
    let show = |bytes: &Bytes| if bodies { String::from_utf8_lossy(bytes).into_owned() } else { shape(bytes) };
    let args = Some(&row.intent.args).filter(|args| !args.is_empty()).map(show);
    let bodies = wire::Bodies {
        redacted: !bodies,
        args,
        result: row.result.as_ref().map(show),
        preimage: row.intent.preimage.as_ref().map(show),
    };
    let events = journal.events(id)?.iter().map(event).collect();
    Ok(Some(wire::StepDetail { step: one(&row), bodies, events }))
}

/// A consistent copy at `to`, which must not exist.
///
/// # Errors
/// The copy cannot be made; nothing is left of it.
pub fn backup(journal: &dyn Journal, to: &Path) -> Result<wire::Backup, Error> {
    let made = journal.backup(to)?;
    Ok(wire::Backup { to: to.display().to_string(), bytes: made.bytes, steps: made.steps, last: made.last.0 })
}

/// What the journal says about its own health.
pub fn doctor(journal: &dyn Journal, full: bool) -> Vec<Check> {
    let mut checks = vec![chain(journal, full)];
    if let Some(since) = journal.start().gap_since {
        let detail = format!("an older copy was restored: nothing in it tells what was done after {}", time(since));
        checks.push(Check { name: "gap".to_owned(), level: Level::Look, detail });
    }
    checks.push(waiting(journal));
    checks
}

fn chain(journal: &dyn Journal, full: bool) -> Check {
    let name = if full { "journal, all of it" } else { "journal" }.to_owned();
    match journal.verify(full) {
        Err(error) => Check { name, level: Level::Bad, detail: error.to_string() },
        Ok(verified) if verified.findings.is_empty() => {
            let detail = format!("{} events hold, up to {}", verified.events, verified.to.0);
            Check { name, level: Level::Ok, detail }
        }
        Ok(verified) => Check { name, level: Level::Bad, detail: verified.findings.join("; ") },
    }
}

fn waiting(journal: &dyn Journal) -> Check {
    let name = "waiting for a person".to_owned();
    let filter = Filter { state: Some(State::NeedsHuman), limit: LIST_MAX, ..Filter::default() };
    match journal.steps(&filter) {
        Err(error) => Check { name, level: Level::Bad, detail: error.to_string() },
        Ok(steps) if steps.is_empty() => Check { name, level: Level::Ok, detail: "no step".to_owned() },
        Ok(steps) => {
            let first = steps.last().map_or_else(String::new, |row| row.intent.step.to_string());
            let detail = match steps.len() {
                1 => format!("step {first}: look with `cofferdam show`, then `cofferdam resolve`"),
                count => format!("{count} steps, the oldest is {first}: look, then `cofferdam resolve`"),
            };
            Check { name, level: Level::Look, detail }
        }
    }
}

/// A run that is too old for the list of runs, counted from what is left of its steps.
fn counted(id: RunId, rows: &[StepRow]) -> Option<RunSummary> {
    let newest = rows.first()?;
    let mut run = RunSummary {
        run: id,
        principal: newest.intent.principal.to_string(),
        first_at: newest.intent.created_at,
        last_at: newest.intent.created_at,
        reads: 0,
        mutations: 0,
        open: 0,
        unknown: 0,
        unverified: 0,
    };
    for row in rows {
        run.first_at = run.first_at.min(row.intent.created_at);
        let is_mutation = row.intent.effect.is_mutation();
        run.reads += u64::from(!is_mutation);
        run.mutations += u64::from(is_mutation);
        run.open += u64::from(row.status.state.is_open());
        run.unknown += u64::from(row.status.outcome == Some(vocab::Outcome::Unknown));
        run.unverified += u64::from(matches!(row.status.verification, vocab::Verification::Unverified(_)));
    }
    Some(run)
}

fn summary(run: &RunSummary) -> wire::Run {
    wire::Run {
        run: run.run.to_string(),
        principal: run.principal.clone(),
        first_at: time(run.first_at),
        last_at: time(run.last_at),
        reads: run.reads,
        mutations: run.mutations,
        open: run.open,
        unknown: run.unknown,
        unverified: run.unverified,
    }
}

fn one(row: &StepRow) -> wire::Step {
    let (intent, status) = (&row.intent, &row.status);
    let text = |name: &vocab::Name| name.to_string();
    wire::Step {
        step: intent.step.to_string(),
        run: intent.run.to_string(),
        tenant: text(&intent.tenant),
        principal: text(&intent.principal),
        upstream: text(&intent.upstream),
        tool: text(&intent.tool),
        effect: intent.effect.as_str().to_owned(),
        effect_source: intent.effect_source.as_str().to_owned(),
        state: status.state.as_str().to_owned(),
        outcome: status.outcome.map(|outcome| outcome.as_str().to_owned()),
        executed: executed(row).as_str().to_owned(),
        cause: status.cause.map(|cause| cause.as_str().to_owned()),
        verification: status.verification.as_str().to_owned(),
        told: status.told.map(|code| code.as_str().to_owned()),
        delivered: status.delivered.as_str().to_owned(),
        attempts: status.attempt,
        run_again: status.run_again,
        generation: intent.generation,
        key: intent.key.to_string(),
        key_source: key_source(intent.key_source).to_owned(),
        upstream_key: intent.upstream_key.as_ref().map(text),
        lane: intent.lane.as_ref().map(text),
        remote_task: status.remote_task.as_ref().map(text),
        expired: row.expired,
        created_at: time(intent.created_at),
        first_sent_at: status.first_sent_at.map(time),
        last_sent_at: status.last_sent_at.map(time),
        closed_at: status.closed_at.map(time),
        next_probe_at: status.next_action_at.map(time),
    }
}

/// What is known of the effect now: an open step has no outcome yet.
fn executed(row: &StepRow) -> Executed {
    match (row.status.outcome, row.status.state) {
        (Some(outcome), _) => outcome.executed(),
        // Nothing was sent: that is proof.
        (None, State::Held | State::Intent) => Executed::No,
        (None, _) => Executed::Unknown,
    }
}

fn event(stored: &StoredEvent) -> wire::Event {
    wire::Event {
        lsn: stored.lsn.0,
        at: time(stored.event.at),
        kind: stored.event.kind.as_str().to_owned(),
        attempt: stored.event.attempt,
        class: stored.event.class.map(|class| class.as_str().to_owned()),
        detail: stored.event.detail.clone(),
        epoch: stored.epoch.0,
    }
}

const fn key_source(source: KeySource) -> &'static str {
    match source {
        KeySource::Fresh => "fresh",
        KeySource::Position => "position",
        KeySource::ModelCall => "model_call",
        KeySource::Explicit => "explicit",
    }
}

/// RFC 3339, in UTC.
pub fn time(at: Instant) -> String {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).map_or_else(|_| "a time out of range".to_owned(), |at| format!("{at:.6}"))
}
