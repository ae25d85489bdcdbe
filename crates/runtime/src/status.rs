//! What a caller may hear of its own steps: from memory while they are open, else from the journal.

use crate::api::{Arrival, Delivery};
use crate::recovery;
use crate::shell::Shell;
use engine::{Input, StepView};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use vocab::{
    Code, Delivered, Effect, Executed, Instant, Name, Outcome, RunId, State, StepId, StepIntent, StepRow, StepStatus,
    Verification,
};

/// Open steps that are listed.
pub const LISTED_MAX: usize = 20;

/// How long a question waits for the probe that it hurries.
const PROBE_MOMENT: Duration = Duration::from_secs(2);

/// Newest first. Empty: the caller has no such step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusView {
    pub steps: Vec<StepSummary>,
    /// There are more than are listed.
    pub more: bool,
}

/// One step as its caller may know it: no arguments, no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSummary {
    pub step: StepId,
    pub run: RunId,
    pub upstream: Name,
    pub tool: Name,
    pub effect: Effect,
    pub state: State,
    pub outcome: Option<Outcome>,
    pub verification: Verification,
    pub executed: Executed,
    pub attempts: u32,
    pub delivered: Delivered,
    /// The last stop that a caller was told.
    pub told: Option<Code>,
    pub why: String,
    pub created_at: Instant,
    pub age: Duration,
    pub closed_at: Option<Instant>,
    pub next_probe: Option<Duration>,
}

impl StatusView {
    pub fn found(&self) -> bool {
        !self.steps.is_empty()
    }
}

impl StepSummary {
    fn of(intent: &StepIntent, status: &StepStatus, why: &str, now: Instant) -> Self {
        Self {
            step: intent.step,
            run: intent.run,
            upstream: intent.upstream.clone(),
            tool: intent.tool.clone(),
            effect: intent.effect,
            state: status.state,
            outcome: status.outcome,
            verification: status.verification,
            executed: executed(status),
            attempts: status.attempt,
            delivered: status.delivered,
            told: status.told,
            why: why.to_owned(),
            created_at: intent.created_at,
            age: now.since(intent.created_at),
            closed_at: status.closed_at,
            next_probe: status.next_action_at.map(|at| at.since(now)),
        }
    }
}

/// What can be said of the effect: before anything was sent that is proof, after it nothing is until it closes.
//= G3
fn executed(status: &StepStatus) -> Executed {
    match (status.state, status.outcome) {
        (State::Held | State::Intent, _) => Executed::No,
        (State::Closed, Some(outcome)) => outcome.executed(),
        _ => Executed::Unknown,
    }
}

impl Shell {
    pub(crate) fn status(
        self: &Arc<Self>,
        tenant: &Name,
        principal: &Name,
        step: Option<StepId>,
    ) -> BoxFuture<'static, (StatusView, Delivery)> {
        let Some(step) = step else {
            return std::future::ready((self.open_steps_of(tenant, principal), Delivery::unheeded())).boxed();
        };
        let (shell, tenant, principal) = (Arc::clone(self), tenant.clone(), principal.clone());
        async move { shell.status_of(&tenant, &principal, step).await }.boxed()
    }

    fn open_steps_of(&self, tenant: &Name, principal: &Name) -> StatusView {
        let books = self.books.lock();
        let now = self.clock.now();
        let open = books.owned(tenant, principal).filter_map(|step| books.engine.step(step));
        let mut open = open.filter(|view| view.status().state.is_open()).map(|view| summary(&view, now));
        let steps: Vec<_> = open.by_ref().take(LISTED_MAX).collect();
        let more = open.next().is_some();
        StatusView { steps, more }
    }

    fn live(&self, step: StepId, own: impl Fn(&StepIntent) -> bool) -> Option<StepSummary> {
        let books = self.books.lock();
        let view = books.engine.step(step).filter(|view| own(view.intent()))?;
        Some(summary(&view, self.clock.now()))
    }

    /// Asks for a probe and waits a moment for it, so that whoever asks hears what it showed.
    async fn hurry(self: &Arc<Self>, step: StepId) {
        self.feed([Input::Hurry { step }]);
        let looked = async {
            loop {
                let moved = self.moved.notified();
                tokio::pin!(moved);
                // Before the question: whatever ends after it is heard.
                moved.as_mut().enable();
                if !self.books.lock().is_moving(step) {
                    return;
                }
                moved.await;
            }
        };
        // Whether it took too long shows in the state.
        drop(tokio::time::timeout(PROBE_MOMENT, looked).await);
    }

    //= G4
    //= S-23
    async fn status_of(self: &Arc<Self>, tenant: &Name, principal: &Name, step: StepId) -> (StatusView, Delivery) {
        let own = |intent: &StepIntent| intent.tenant == *tenant && intent.principal == *principal;
        if self.live(step, own).is_some_and(|live| matches!(live.state, State::Resolving | State::NeedsHuman)) {
            self.hurry(step).await;
        }
        // What is closed in memory may not be durable yet: then the journal still says what may be told.
        if let Some(live) = self.live(step, own).filter(|live| live.state.is_open()) {
            return (StatusView { steps: vec![live], more: false }, Delivery::unheeded());
        }
        let Some(mut row) = self.stored_of(step, &own).await else {
            return (StatusView::default(), Delivery::unheeded());
        };
        let mut delivery = Delivery::unheeded();
        if self.is_news(&row) {
            delivery = self.asked_after(step, &row);
            // What the answer is counted as having told is at most as new as what it tells.
            if let Some(newer) = self.stored_of(step, &own).await {
                row = newer;
            }
            if row.status.state != State::Closed {
                delivery.report(Arrival::Lost);
                delivery = Delivery::unheeded();
            }
        }
        let summary = StepSummary::of(&row.intent, &row.status, "", self.clock.now());
        (StatusView { steps: vec![summary], more: false }, delivery)
    }

    async fn stored_of(&self, step: StepId, own: &impl Fn(&StepIntent) -> bool) -> Option<StepRow> {
        let journal = Arc::clone(&self.journal);
        let row = tokio::task::spawn_blocking(move || journal.step(step)).await;
        row.ok().and_then(Result::ok).flatten().filter(|row| own(&row.intent))
    }

    /// Its outcome is not known to have reached anybody, and a call of equal content could still be taken for its
    /// re-issue.
    fn is_news(&self, row: &StepRow) -> bool {
        let window = recovery::rules(&self.policy.load(), &self.tools, &row.intent).reissue_window;
        row.status.state == State::Closed
            && row.intent.effect.is_mutation()
            && row.status.delivered == Delivered::No
            && row.status.closed_at.is_some_and(|at| at + window >= self.clock.now())
    }

    /// The engine hears whether the answer about a closed step arrives.
    fn asked_after(self: &Arc<Self>, step: StepId, row: &StepRow) -> Delivery {
        if self.books.lock().engine.step(step).is_none() {
            recovery::load(self, row.clone());
        }
        let call = self.ids.call();
        self.feed([Input::AskedAfter { call, step }]);
        let shell = Arc::clone(self);
        Delivery::new(move |arrival| shell.arrived(call, step, arrival))
    }
}

fn summary(view: &StepView<'_>, now: Instant) -> StepSummary {
    StepSummary::of(view.intent(), view.status(), view.why(), now)
}
