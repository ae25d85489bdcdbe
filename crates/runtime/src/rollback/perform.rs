//! A plan with what the world shows now, and a rollback from its first compensation to its last.

use super::call::Until;
use super::{Report, Reported, RollbackError, find, undoing};
use crate::api::CallError;
use crate::shell::Shell;
use crate::world;
use engine::rollback::{Change, Next, Rollback, Undoing, can_be_undone};
use policy::Judgement;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use vocab::{Event, EventKind, EvidenceClass, Name, Record, RunId, StepId};

/// A person waits for the plan.
const LOOK_MAX: Duration = Duration::from_secs(10);

impl Shell {
    /// Can it be undone *now*? From the journal and from reads made now; nothing is changed.
    //= S-04
    //= S-05
    pub(crate) async fn rollback_plan(
        self: Arc<Self>,
        run: RunId,
        to: Option<StepId>,
    ) -> Result<Report, RollbackError> {
        let rollback = self.rollback_of(run, to).await?;
        let mut report = Report::of(run, rollback.standings());
        let (until, mut silent) = (Until::begin(), BTreeSet::new());
        for ((change, _), reported) in rollback.standings().zip(&mut report.changes) {
            self.look_at(change, reported, until, &mut silent).await;
        }
        let possible = report.changes.iter().map(|one| one.possible == Some(true)).collect::<Vec<_>>();
        report.sentence = can_be_undone(rollback.standings().zip(possible), &super::clock);
        Ok(report)
    }

    /// Facts, and what they mean for one change.
    async fn look_at(&self, change: &Change, reported: &mut Reported, until: Until, silent: &mut BTreeSet<Name>) {
        let mut evidence = Vec::new();
        let mut possible = change.next().is_some();
        if let Some(undoing) = undoing(change) {
            evidence.push("how it is taken back was made durable before it was sent".to_owned());
            if reported.preimage && undoing.plan.needs_preimage() {
                evidence.push("what was there before was read and is kept".to_owned());
            }
            let tool = format!("{}.{}", undoing.upstream, undoing.tool);
            if self.known(&undoing.upstream, &undoing.tool, until).await.is_some() {
                evidence.push(format!("{tool} is there"));
            } else {
                possible = false;
                evidence.push(format!("{tool} is not there: its upstream does not list it"));
            }
            if undoing.looks() && possible {
                let (stands, found) = self.stands(undoing, silent).await;
                possible &= stands;
                evidence.push(found);
            }
        }
        if change.next().is_none() && reported.tries >= super::TRIES_MAX as usize {
            evidence.push("it was tried often enough: a person has to take it back".to_owned());
        }
        reported.possible = Some(possible);
        reported.evidence = evidence;
    }

    /// What a change wrote, held against what the world shows now. An upstream that hangs is not asked for each change.
    async fn stands(&self, undoing: &Undoing, silent: &mut BTreeSet<Name>) -> (bool, String) {
        let Some(plan) = undoing.plan.look() else { return (true, String::new()) };
        if silent.contains(&plan.upstream) {
            return (false, "not read: its upstream did not answer a moment ago".to_owned());
        }
        let began = tokio::time::Instant::now();
        match world::look(self, undoing, LOOK_MAX).await {
            Ok(Judgement::Applied) => (true, "read now: what it wrote still stands".to_owned()),
            Ok(Judgement::Absent | Judgement::Different) => {
                (false, "read now: somebody else has changed it since".to_owned())
            }
            Ok(Judgement::Inconclusive(why)) => (false, format!("read now, and it tells nothing: {why}")),
            Err(why) => {
                if began.elapsed() >= LOOK_MAX / 2 {
                    silent.insert(plan.upstream.clone());
                }
                (false, format!("could not be read now: {why}"))
            }
        }
    }

    /// Takes back what can be taken back. It goes on to its end whether or not whoever asked still waits.
    //= S-04
    //= S-05
    pub(crate) async fn rollback(
        self: Arc<Self>,
        run: RunId,
        to: Option<StepId>,
        who: String,
        why: String,
    ) -> Result<Report, RollbackError> {
        let (sender, report) = oneshot::channel();
        let shell = Arc::clone(&self);
        let rolling = async move {
            // Whoever asked may have left.
            drop(sender.send(shell.roll(run, to, &who, &why).await));
        };
        self.tasks.spawn_on(self.stop.clone().run_until_cancelled_owned(rolling), &self.handle);
        report.await.unwrap_or(Err(RollbackError::Journal(journal::Error::Closed)))
    }

    async fn roll(
        self: &Arc<Self>,
        run: RunId,
        to: Option<StepId>,
        who: &str,
        why: &str,
    ) -> Result<Report, RollbackError> {
        let _turn = self.turns.take(run).ok_or(RollbackError::Busy)?;
        let mut rollback = self.rollback_of(run, to).await?;
        self.asked(&rollback, who, why);
        tracing::info!(%run, who, "a person asks for a run to be rolled back");
        let until = Until::begin();
        loop {
            match rollback.advance() {
                Next::Done | Next::Wait => break,
                Next::Undo { step, number } => {
                    let told = self.undo(&rollback, step, number, until).await;
                    let Some(change) = self.change(step).await? else { break };
                    if matches!(told, Err(CallError::Draining)) {
                        rollback.ended(change, Some("the gateway is shutting down".to_owned()));
                        break;
                    }
                    let why = told.unwrap_or_else(|error| Some(format!("nothing was sent: failed to {error}")));
                    rollback.ended(change, why);
                }
            }
        }
        let report = Report::of(run, rollback.standings());
        tracing::info!(%run, status = report.status.as_str(), "{}", report.sentence);
        Ok(report)
    }

    async fn undo(
        self: &Arc<Self>,
        rollback: &Rollback,
        step: StepId,
        number: u32,
        until: Until,
    ) -> Result<Option<String>, CallError> {
        let change = rollback.standings().map(|(change, _)| change).find(|change| change.step() == step);
        match change.and_then(undoing) {
            Some(undoing) => self.compensate(&Arc::clone(undoing), number, until).await,
            None => Ok(None),
        }
    }

    /// A person asked for it: that stands with each change that it is about, before anything is done.
    fn asked(&self, rollback: &Rollback, who: &str, why: &str) {
        let at = self.clock.now();
        let about = rollback.standings().filter(|(change, _)| change.next().is_some());
        let events = about.map(|(change, _)| {
            let detail = format!("to be taken back, by {who}: {why}").chars().take(400).collect();
            let (step, kind, class) = (change.step(), EventKind::Person, Some(EvidenceClass::Person));
            Record::Event(Event { step, at, kind, attempt: 0, class, detail })
        });
        // It rides along with the first compensation's own commit; what cannot be noted stops nothing.
        drop(self.append(events.collect(), None));
    }

    async fn rollback_of(self: &Arc<Self>, run: RunId, to: Option<StepId>) -> Result<Rollback, RollbackError> {
        let journal = Arc::clone(&self.journal);
        let found = tokio::task::spawn_blocking(move || find::changes(&*journal, run, to)).await;
        let changes = found.unwrap_or_else(|error| Err(journal::Error::Read(error.to_string()).into()))?;
        Ok(Rollback::new(changes.into_iter().map(|change| {
            let lane = self.lane_of(&change);
            (change, lane)
        })))
    }

    /// The target of a compensation, as its tool's rules name it.
    fn lane_of(&self, change: &Change) -> Option<Name> {
        let undoing = undoing(change)?;
        let policy = self.policy.load();
        let args = serde_json::from_slice(&undoing.args).ok()?;
        match self.tools.get(&undoing.upstream, &undoing.tool) {
            Some(tool) => tool.with_rules(&policy, |rules| rules.pick(&args).lane(&args)),
            None => policy.rules_unlisted(&undoing.upstream, &undoing.tool).pick(&args).lane(&args),
        }
    }

    async fn change(&self, step: StepId) -> Result<Option<Change>, RollbackError> {
        let journal = Arc::clone(&self.journal);
        let found = tokio::task::spawn_blocking(move || find::change(&*journal, step)).await;
        Ok(found.unwrap_or_else(|error| Err(journal::Error::Read(error.to_string())))?)
    }
}

/// Runs that are being rolled back: one rollback of a run at a time.
#[derive(Default)]
pub(crate) struct Turns {
    runs: parking_lot::Mutex<BTreeSet<RunId>>,
}

pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    run: RunId,
}

impl Turns {
    fn take(&self, run: RunId) -> Option<Turn<'_>> {
        let is_free = self.runs.lock().insert(run);
        // Made only when it is taken: its end gives the turn back.
        is_free.then(|| Turn { turns: self, run })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.runs.lock().remove(&self.run);
    }
}
