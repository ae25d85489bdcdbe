//! What the journal holds of each intent, read at rest, and how each step that a kill struck was settled.

use anyhow::{Context, Result};
use journal::{Filter, Journal, Sqlite, StoredEvent};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use vocab::{EventKind, EvidenceClass, Outcome, State, StepRow};

/// A step, as far as the audit asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) state: State,
    pub(super) outcome: Option<Outcome>,
    /// A start found it open.
    pub(super) struck: Option<Struck>,
}

/// A step that was under way when the gateway was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Struck {
    pub(super) settled: Settled,
    /// From its last dispatch before the kill until its outcome was known, the time without a gateway included.
    pub(super) took: Duration,
}

/// How it became known what came of a step that a kill struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Settled {
    /// Its intent was durable and its dispatch was not: nothing was sent.
    Unsent,
    /// The upstream's answer was durable already.
    Stored,
    /// A read of the world.
    Probe,
    /// It was sent again under the same key, or because a copy does no harm.
    Again,
    /// A person recorded it.
    Person,
    /// It waits for a person.
    Waits,
    /// Probes were still looking at the end.
    Open,
}

impl Settled {
    pub const ALL: [Self; 7] =
        [Self::Unsent, Self::Stored, Self::Probe, Self::Again, Self::Person, Self::Waits, Self::Open];
}

/// The outcomes that say "it was done".
pub(super) const DONE: [Outcome; 2] = [Outcome::Succeeded, Outcome::Applied];
/// More steps than a campaign has.
const STEPS_MAX: usize = 10_000_000;

/// All mutations by the intent in their arguments, each intent's oldest first.
pub(super) fn read(journal: &Path) -> Result<BTreeMap<String, Vec<Recorded>>> {
    read_from(&*Sqlite::open_readonly(journal).context("open the journal at rest")?)
}

pub(super) fn read_from(journal: &dyn Journal) -> Result<BTreeMap<String, Vec<Recorded>>> {
    let filter = Filter { limit: STEPS_MAX, ..Filter::default() };
    let mut steps: BTreeMap<String, Vec<Recorded>> = BTreeMap::new();
    let mut rows = journal.steps(&filter)?;
    rows.sort_by_key(|row| row.intent.step);
    for row in rows {
        let whole = journal.step(row.intent.step)?.context("a step of the list is there")?;
        let args: Value = serde_json::from_slice(&whole.intent.args).context("read the arguments of a step")?;
        let intent = args["intent"].as_str().unwrap_or_default().to_owned();
        let events = journal.events(row.intent.step)?;
        let recorded =
            Recorded { state: row.status.state, outcome: row.status.outcome, struck: struck(&whole, &events) };
        steps.entry(intent).or_default().push(recorded);
    }
    Ok(steps)
}

/// How many steps wait for something else than a person.
pub(super) fn unsettled(journal: &Path) -> Result<usize> {
    let journal = Sqlite::open_readonly(journal).context("open the journal of a running gateway")?;
    let open = journal.open_steps()?;
    Ok(open.iter().filter(|row| row.status.state != State::NeedsHuman).count())
}

fn struck(row: &StepRow, events: &[StoredEvent]) -> Option<Struck> {
    let kinds = || events.iter().map(|stored| &stored.event);
    let is_found = |event: &vocab::Event| event.kind == EventKind::Recovered;
    let was_sent =
        |event: &vocab::Event| !matches!(event.detail.as_str(), "held" | "intent" | "awaiting_input" | "remote_task");
    let found = kinds().position(|event| is_found(event) && was_sent(event));
    let Some(found) = found else {
        let took = Duration::ZERO;
        return kinds().any(is_found).then_some(Struck { settled: Settled::Unsent, took });
    };
    let (before, after) = events.split_at(found);
    let closed = after.iter().rev().map(|stored| &stored.event).find(|event| event.kind == EventKind::Closed);
    let sent_again = after.iter().any(|stored| stored.event.kind == EventKind::Dispatched);
    let by_person = after.iter().any(|stored| stored.event.kind == EventKind::Person);
    let settled = match (row.status.state, closed.and_then(|event| event.class)) {
        (State::NeedsHuman, _) => Settled::Waits,
        (State::Closed, _) if by_person => Settled::Person,
        (State::Closed, Some(EvidenceClass::Probe)) => Settled::Probe,
        (State::Closed, _) if sent_again => Settled::Again,
        (State::Closed, _) => Settled::Stored,
        _ => Settled::Open,
    };
    let sent = before.iter().rev().map(|stored| &stored.event).find(|event| event.kind == EventKind::Dispatched);
    let took = match (sent, closed) {
        (Some(sent), Some(closed)) => closed.at.since(sent.at),
        _ => Duration::ZERO,
    };
    Some(Struck { settled, took })
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::contract::Rig;
    use journal::contract::Subject;
    use journal::contract::sample::{at, begin, closed, event, id, intent, update};
    use journal::sqlite::Options;
    use std::sync::Arc;
    use vocab::{Bytes, Record, StepStatus};

    struct At<'a>(&'a Path);

    impl Subject for At<'_> {
        fn open(&mut self) -> Arc<dyn Journal> {
            Sqlite::open(self.0, Options::default()).expect("a journal that opens")
        }
    }

    /// A step found as `found`, and what came after.
    fn settled(found: &str, after: &[(EventKind, Option<EvidenceClass>)], last: StepStatus) -> Struck {
        let directory = tempfile::tempdir().expect("a directory");
        let mut subject = At(directory.path());
        let mut rig = Rig::open(&mut subject);
        let epoch = rig.journal.start().epoch;
        let meant = vocab::StepIntent { args: Bytes::from_static(b"{\"intent\":\"i\"}"), ..intent(1) };
        rig.put(begin(meant, epoch)).expect("room");
        let mut records = vec![update(1, epoch, last)];
        let mut recovered = event(id(1), at(3), EventKind::Recovered);
        recovered.detail = found.into();
        records.push(Record::Event(recovered));
        for (kind, class) in after {
            let mut next = event(id(1), at(5), *kind);
            next.class = *class;
            records.push(Record::Event(next));
        }
        rig.put(records).expect("room");
        rig.journal.close();
        let steps = read(directory.path()).expect("readable");
        steps["i"][0].struck.clone().expect("it was found open")
    }

    #[test]
    fn how_a_struck_step_was_settled_is_read_from_its_events() {
        let done = || closed(at(5), Outcome::Succeeded);
        let cases = [
            ("dispatched", vec![(EventKind::Closed, Some(EvidenceClass::Probe))], Settled::Probe),
            (
                "dispatched",
                vec![(EventKind::Dispatched, None), (EventKind::Closed, Some(EvidenceClass::Receipt))],
                Settled::Again,
            ),
            ("resolving", vec![(EventKind::Closed, Some(EvidenceClass::Receipt))], Settled::Stored),
            ("needs_human", vec![(EventKind::Person, None), (EventKind::Closed, None)], Settled::Person),
            ("intent", vec![(EventKind::Closed, None)], Settled::Unsent),
        ];
        for (found, after, expected) in cases {
            assert_eq!(settled(found, &after, done()).settled, expected, "{found}, {after:?}");
        }
        assert_eq!(settled("dispatched", &[], StepStatus::new(State::NeedsHuman)).settled, Settled::Waits);
        assert_eq!(settled("dispatched", &[], StepStatus::new(State::Resolving)).settled, Settled::Open);
    }

    #[test]
    fn the_time_until_it_is_known_counts_from_the_dispatch() {
        let struck = settled("dispatched", &[(EventKind::Closed, None)], closed(at(5), Outcome::Applied));
        assert_eq!(struck.took, Duration::from_secs(4));
    }
}
