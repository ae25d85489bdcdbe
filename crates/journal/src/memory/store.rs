//! A journal's content in memory: the reference that the file backends are held against.

use crate::chain::{Tip, Walk};
use crate::retain::{Fate, fate};
use crate::twins;
use crate::{Error, Filter, Maintained, Recall, Recalled, Retention, RunSummary, StoredEvent, Verified};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use vocab::planted::{self, Planted};
use vocab::{
    Bytes, Epoch, Event, GuardKind, GuardRow, Hash, Instant, Lsn, Outcome, ReadNote, Record, RunId, State, StepId,
    StepRow, Verification,
};

/// What is durable. Cloning it is taking a disk image.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) epoch: Epoch,
    pub(crate) gap_since: Option<Instant>,
    tip: Tip,
    genesis: Tip,
    /// By order of insertion.
    steps: BTreeMap<u64, StepRow>,
    next: u64,
    by_id: HashMap<StepId, u64>,
    by_key: BTreeMap<(Hash, u32), u64>,
    by_content: BTreeSet<(Hash, Hash, Instant, u64)>,
    open: BTreeSet<u64>,
    events: BTreeMap<Lsn, (StoredEvent, Hash)>,
    event_lsns: HashMap<StepId, Vec<Lsn>>,
    reads: Vec<ReadNote>,
    guards: BTreeMap<(GuardKind, Bytes), GuardRow>,
}

/// What to put back when an append fails half-way.
enum Undo {
    Inserted(u64),
    Updated(u64, Box<StepRow>),
}

impl Store {
    pub(crate) fn new() -> Self {
        let genesis = Tip::genesis(&[0; 16]);
        Self {
            epoch: Epoch(0),
            gap_since: None,
            tip: genesis,
            genesis,
            steps: BTreeMap::new(),
            next: 0,
            by_id: HashMap::new(),
            by_key: BTreeMap::new(),
            by_content: BTreeSet::new(),
            open: BTreeSet::new(),
            events: BTreeMap::new(),
            event_lsns: HashMap::new(),
            reads: Vec::new(),
            guards: BTreeMap::new(),
        }
    }

    /// Instant of the last event, or zero.
    pub(crate) fn last_at(&self) -> Instant {
        self.events.last_key_value().map_or(Instant::ZERO, |(_, (stored, _))| stored.event.at)
    }

    /// All records of one append, or none.
    pub(crate) fn apply(&mut self, records: &[Record]) -> Result<Lsn, Error> {
        let mut undo = Vec::new();
        let mut events = Vec::new();
        let mut notes = Vec::new();
        let mut guards = Vec::new();
        for record in records {
            let done = match record {
                Record::Insert { intent, status, epoch } => self.insert(
                    StepRow {
                        intent: Arc::clone(intent),
                        status: status.clone(),
                        epoch: *epoch,
                        result: None,
                        expired: false,
                    },
                    &mut undo,
                ),
                Record::Update { step, epoch, status, result } => match self.by_id.get(step).copied() {
                    Some(at) if self.steps[&at].epoch <= *epoch => {
                        let old = self.steps[&at].clone();
                        let row = StepRow {
                            status: status.clone(),
                            epoch: *epoch,
                            result: result.clone().or_else(|| old.result.clone()),
                            ..old.clone()
                        };
                        self.put(at, row);
                        undo.push(Undo::Updated(at, Box::new(old)));
                        Ok(())
                    }
                    _ => Err(Error::Fenced),
                },
                Record::Event(event) => {
                    events.push(event.clone());
                    Ok(())
                }
                Record::Read(note) => {
                    notes.push(note.clone());
                    Ok(())
                }
                Record::Guard(row) => {
                    guards.push(row.clone());
                    Ok(())
                }
            };
            if let Err(error) = done {
                self.undo(undo);
                return Err(error);
            }
        }
        for event in events {
            self.event(event);
        }
        self.reads.extend(notes);
        for row in guards {
            let key = (row.kind, row.key.clone());
            if row.body.is_empty() {
                self.guards.remove(&key);
            } else {
                self.guards.insert(key, row);
            }
        }
        Ok(self.tip.lsn)
    }

    fn insert(&mut self, row: StepRow, undo: &mut Vec<Undo>) -> Result<(), Error> {
        if row.epoch != self.epoch {
            return Err(Error::Fenced);
        }
        let intent = &row.intent;
        let holder = self.by_key.get(&(intent.key, intent.generation)).map(|at| self.steps[at].expired);
        let holder = holder.filter(|expired| {
            let ignores = *expired && planted::is(Planted::TombstoneIgnored);
            !ignores && !planted::is(Planted::CheckThenInsert)
        });
        if holder.is_some() || self.by_id.contains_key(&intent.step) {
            return Err(Error::Conflict);
        }
        let at = self.next;
        self.next += 1;
        self.by_id.insert(intent.step, at);
        self.by_key.insert((intent.key, intent.generation), at);
        self.put(at, row);
        undo.push(Undo::Inserted(at));
        Ok(())
    }

    fn put(&mut self, at: u64, row: StepRow) {
        let intent = &row.intent;
        let content = (intent.scope, intent.content, intent.created_at, at);
        if intent.effect.is_mutation() && !row.expired {
            self.by_content.insert(content);
        } else {
            self.by_content.remove(&content);
        }
        if row.status.state.is_open() {
            self.open.insert(at);
        } else {
            self.open.remove(&at);
        }
        self.steps.insert(at, row);
    }

    fn remove(&mut self, at: u64) {
        let Some(row) = self.steps.remove(&at) else { return };
        let intent = &row.intent;
        self.by_id.remove(&intent.step);
        self.by_key.remove(&(intent.key, intent.generation));
        self.by_content.remove(&(intent.scope, intent.content, intent.created_at, at));
        self.open.remove(&at);
    }

    fn undo(&mut self, undo: Vec<Undo>) {
        for one in undo.into_iter().rev() {
            match one {
                Undo::Inserted(at) => self.remove(at),
                Undo::Updated(at, row) => self.put(at, *row),
            }
        }
    }

    fn event(&mut self, event: Event) {
        self.tip = self.tip.after(self.epoch, &event);
        self.event_lsns.entry(event.step).or_default().push(self.tip.lsn);
        let stored = StoredEvent { lsn: self.tip.lsn, epoch: self.epoch, event };
        self.events.insert(self.tip.lsn, (stored, self.tip.hash));
    }

    pub(crate) fn recall(&self, query: &Recall) -> Recalled {
        let last =
            |range: &mut dyn DoubleEndedIterator<Item = u64>| range.next_back().map(|at| self.steps[&at].clone());
        let by_key = last(&mut self.by_key.range((query.key, 0)..=(query.key, u32::MAX)).map(|(_, at)| *at));
        let by_key = by_key.filter(|row| !(row.expired && planted::is(Planted::TombstoneIgnored)));
        let content = query.content.filter(|_| !by_key.as_ref().is_some_and(twins::decides));
        let by_content = content.and_then(|(scope, content, since)| {
            let range = (scope, content, since, 0)..=(scope, content, Instant::FAR, u64::MAX);
            let counts = |at: &u64| twins::counts(&self.steps[at]);
            last(&mut self.by_content.range(range).map(|(.., at)| *at).filter(counts))
        });
        Recalled { by_key, by_content }
    }

    pub(crate) fn open_steps(&self) -> Vec<StepRow> {
        let mut rows: Vec<_> = self.open.iter().map(|at| self.steps[at].clone()).collect();
        rows.sort_by_key(|row| row.intent.created_at);
        rows
    }

    pub(crate) fn step(&self, id: StepId) -> Option<StepRow> {
        let row = self.by_id.get(&id).map(|at| self.steps[at].clone());
        row.or_else(|| self.reads.iter().rev().find(|note| note.step == id).map(crate::reads::row))
    }

    pub(crate) fn events(&self, id: StepId) -> Vec<StoredEvent> {
        let lsns = self.event_lsns.get(&id).map_or(&[][..], Vec::as_slice);
        lsns.iter().filter_map(|lsn| self.events.get(lsn)).map(|(stored, _)| stored.clone()).collect()
    }

    pub(crate) fn steps(&self, filter: &Filter) -> Vec<StepRow> {
        let reads = self.reads.iter().rev().filter(|_| filter.reads).map(crate::reads::row);
        let mut rows: Vec<_> =
            self.steps.values().rev().cloned().chain(reads).filter(|row| matches(filter, row)).collect();
        rows.sort_by_key(|row| Reverse(row.intent.created_at));
        rows.truncate(filter.limit);
        rows.into_iter().map(bare).collect()
    }

    pub(crate) fn guard(&self, kind: GuardKind, key: &[u8]) -> Option<GuardRow> {
        self.guards.get(&(kind, Bytes::copy_from_slice(key))).cloned()
    }

    pub(crate) fn guards(&self, kind: GuardKind, limit: usize) -> Vec<GuardRow> {
        let mut rows: Vec<_> = self.guards.values().filter(|row| row.kind == kind).cloned().collect();
        rows.sort_by_key(|row| Reverse(row.at));
        rows.truncate(limit);
        rows
    }

    pub(crate) fn runs(&self, limit: usize) -> Vec<RunSummary> {
        let mut runs: HashMap<RunId, RunSummary> = HashMap::new();
        for row in self.steps.values() {
            add_step(&mut runs, row);
        }
        for note in &self.reads {
            summary(&mut runs, note.run, &note.principal, note.at, note.at).reads += 1;
        }
        let mut runs: Vec<_> = runs.into_values().collect();
        runs.sort_by_key(|run| Reverse(run.last_at));
        runs.truncate(limit);
        runs
    }

    pub(crate) fn maintain(&mut self, now: Instant, keep: &Retention) -> Maintained {
        let mut done = Maintained::default();
        let due: Vec<_> = self.steps.iter().map(|(at, row)| (*at, fate(row, now, keep))).collect();
        for (at, fate) in due {
            match fate {
                Fate::Keep => {}
                Fate::Entomb => {
                    let row = crate::retain::tombstone(&self.steps[&at]);
                    self.forget_events(row.intent.step);
                    // The content leaves the index under its old name.
                    let old = Arc::clone(&self.steps[&at].intent);
                    self.by_content.remove(&(old.scope, old.content, old.created_at, at));
                    self.put(at, row);
                    done.bodies_expired += 1;
                }
                Fate::Drop => {
                    self.forget_events(self.steps[&at].intent.step);
                    self.remove(at);
                    done.tombstones_dropped += 1;
                }
            }
        }
        let orphan = |(stored, _): &(StoredEvent, Hash)| {
            now.since(stored.event.at) >= keep.bodies && !self.by_id.contains_key(&stored.event.step)
        };
        let orphans: BTreeSet<_> =
            self.events.values().filter(|one| orphan(one)).map(|(one, _)| one.event.step).collect();
        for step in orphans {
            self.forget_events(step);
        }
        let before = self.reads.len();
        self.reads.retain(|note| now.since(note.at) < keep.reads);
        done.reads_dropped = (before - self.reads.len()) as u64;
        let until = keep.tombstones.max(keep.bodies);
        self.guards.retain(|(kind, _), row| *kind == GuardKind::Order || now.since(row.at) < until);
        done
    }

    fn forget_events(&mut self, step: StepId) {
        for lsn in self.event_lsns.remove(&step).unwrap_or_default() {
            self.events.remove(&lsn);
        }
    }

    pub(crate) fn verify(&self) -> Verified {
        let mut walk = Walk::from(self.genesis);
        for (stored, hash) in self.events.values() {
            if stored.lsn.0 == walk.tip.lsn.0 + 1 {
                walk.event(stored, *hash);
            } else {
                // Retention took what lies between; memory keeps no note of it.
                walk.tip = Tip { lsn: stored.lsn, hash: *hash };
                walk.events += 1;
            }
        }
        Verified { from: self.genesis.lsn, to: self.tip.lsn, events: walk.events, findings: walk.findings }
    }
}

/// Lists come without bodies.
pub(crate) fn bare(mut row: StepRow) -> StepRow {
    let intent = Arc::make_mut(&mut row.intent);
    intent.args = vocab::Bytes::new();
    intent.preimage = None;
    intent.undo = None;
    row.result = None;
    row
}

pub(crate) fn matches(filter: &Filter, row: &StepRow) -> bool {
    filter.run.is_none_or(|run| run == row.intent.run)
        && filter.upstream.as_deref().is_none_or(|upstream| *upstream == *row.intent.upstream)
        && filter.state.is_none_or(|state| state == row.status.state)
}

pub(crate) fn add_step(runs: &mut HashMap<RunId, RunSummary>, row: &StepRow) {
    let (intent, status) = (&row.intent, &row.status);
    let last = [status.last_sent_at, status.closed_at].into_iter().flatten().max();
    let summary = summary(runs, intent.run, &intent.principal, intent.created_at, last.unwrap_or(intent.created_at));
    if intent.effect.is_mutation() {
        summary.mutations += 1;
    } else {
        summary.reads += 1;
    }
    summary.open += u64::from(status.state.is_open());
    let unknown =
        status.outcome == Some(Outcome::Unknown) || matches!(status.state, State::Resolving | State::NeedsHuman);
    summary.unknown += u64::from(unknown);
    summary.unverified += u64::from(matches!(status.verification, Verification::Unverified(_)));
}

pub(crate) fn summary<'a>(
    runs: &'a mut HashMap<RunId, RunSummary>,
    run: RunId,
    principal: &str,
    first_at: Instant,
    last_at: Instant,
) -> &'a mut RunSummary {
    let summary = runs.entry(run).or_insert_with(|| RunSummary {
        run,
        principal: principal.to_owned(),
        first_at,
        last_at,
        reads: 0,
        mutations: 0,
        open: 0,
        unknown: 0,
        unverified: 0,
    });
    summary.first_at = summary.first_at.min(first_at);
    summary.last_at = summary.last_at.max(last_at).max(first_at);
    summary
}
