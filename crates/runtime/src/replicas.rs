//! A journal that several gateways share: calls that wait for a step of another one, and what the others did.

use crate::recovery;
use crate::resolve::ResolveError;
use crate::shell::Shell;
use engine::{Act, Input, Recalled};
use journal::{Change, Error, Order, Recall, Seen, SeenBoth, Tell};
use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use upstream::Gate;
use vocab::{CallId, State, StepId, StepRow};

/// For the owner of a step to take up what a person said at another gateway.
const ORDER_MAX: Duration = Duration::from_secs(10);
const ORDER_LOOK: Duration = Duration::from_millis(100);

/// What the journal tells of others goes on in tasks of the runtime: its own thread must not wait.
pub(crate) fn tell(shell: &Arc<Shell>) -> Tell {
    let told = Arc::downgrade(shell);
    Arc::new(move |change| {
        if let Some(shell) = Weak::upgrade(&told) {
            let doing = Arc::clone(&shell);
            drop(shell.tasks.spawn_on(async move { doing.changed(change).await }, &shell.handle));
        }
    })
}

impl Shell {
    async fn changed(self: Arc<Self>, change: Change) {
        match change {
            Change::Taken(rows) => rows.into_iter().for_each(|row| recovery::take_over(&self, row)),
            Change::Rejoined { kept, since } => self.rejoined(kept, since),
            Change::Moved(steps) => {
                let calls = steps.into_iter().flat_map(|step| self.waiting.take(step));
                self.feed(calls.map(|call| Input::LookAgain { call }));
            }
            Change::Ordered(order) => self.ordered(order).await,
        }
    }

    /// Others took this gateway for dead. What they did not take meanwhile goes on; the rest is theirs.
    fn rejoined(self: &Arc<Self>, kept: Vec<StepRow>, since: vocab::Instant) {
        let ours: HashSet<StepId> = kept.iter().map(|row| row.intent.step).collect();
        kept.into_iter().for_each(|row| recovery::take_over(self, row));
        let lost = self.books.lock().known().filter(|step| !ours.contains(step)).collect::<Vec<_>>();
        self.feed(lost.into_iter().map(|step| Input::Disowned { step, since }));
    }

    async fn ordered(self: Arc<Self>, order: Order) {
        let Some(act) = act(&order.act) else {
            tracing::warn!(
                act = order.act,
                "another gateway passed on a word of a person that this version does not know"
            );
            return;
        };
        let step = order.step;
        if let Err(error) = Box::pin(self.resolve(step, act, order.who, order.why)).await {
            tracing::warn!(%step, %error, "what a person said at another gateway was not recorded");
        }
    }

    //= G1
    pub(crate) fn may_send(&self, term: Option<i64>) -> bool {
        self.journal.replicas().is_none_or(|shared| term.is_some_and(|term| shared.may_send(term)))
    }

    /// The same question, for the transport to ask.
    pub(crate) fn gate(self: &Arc<Self>, term: Option<i64>) -> Option<Gate> {
        self.journal.replicas()?;
        let shell = Arc::clone(self);
        Some(Gate::new(move || shell.may_send(term)))
    }

    /// To be asked before a dispatch is appended: what is durable by then may belong to another owner by the time it is
    /// sent. `None` where the journal has one owner.
    pub(crate) fn term(&self) -> Option<i64> {
        self.journal.replicas().map(journal::Replicas::term)
    }

    /// Over the network, so off the path of other calls.
    pub(crate) fn recall_shared(self: &Arc<Self>, call: CallId, recall: Recall) {
        let shell = Arc::clone(self);
        let asking = move || {
            let found = match shell.journal.replicas() {
                Some(shared) => shared.recall(&recall),
                None => Err(Error::Closed),
            };
            let input = shell.recalled(call, found);
            shell.feed([input]);
        };
        drop(self.tasks.spawn_blocking_on(asking, &self.handle));
    }

    fn recalled(&self, call: CallId, found: Result<SeenBoth, Error>) -> Input {
        let SeenBoth { by_key, by_content } = match found {
            Ok(found) => found,
            Err(error) => {
                self.troubled(&error);
                return Input::RecallFailed { call };
            }
        };
        match (by_key, by_content) {
            (Some(Seen { row, elsewhere: true }), _) => self.elsewhere(call, row, true),
            (None, Some(Seen { row, elsewhere: true })) => self.elsewhere(call, row, false),
            (by_key, by_content) => {
                let recalled =
                    Recalled { by_key: by_key.map(|one| one.row), by_content: by_content.map(|one| one.row) };
                Input::Recalled { call, recalled: Box::new(recalled) }
            }
        }
    }

    fn elsewhere(&self, call: CallId, row: StepRow, by_key: bool) -> Input {
        let (step, state) = (row.intent.step, row.status.state);
        // Before it is watched: what moves on from here is heard.
        self.waiting.add(step, call);
        self.watch(step, state);
        Input::Elsewhere { call, row: Box::new(row), by_key }
    }

    fn watch(&self, step: StepId, state: State) {
        if let Some(shared) = self.journal.replicas() {
            shared.watch(step, state);
        }
    }

    /// `None`: the journal has one owner.
    pub(crate) async fn look(self: &Arc<Self>, step: StepId) -> Result<Option<Option<Seen>>, Error> {
        if self.journal.replicas().is_none() {
            return Ok(None);
        }
        let journal = Arc::clone(&self.journal);
        let asking = move || journal.replicas().map(|shared| shared.look(step)).transpose();
        tokio::task::spawn_blocking(asking).await.unwrap_or_else(|error| Err(Error::Read(error.to_string())))
    }

    /// Hands a person's word to the owner of a step, and waits until that has recorded it.
    pub(crate) async fn order(
        self: &Arc<Self>,
        before: StepRow,
        act: Act,
        who: String,
        why: String,
    ) -> Result<StepRow, ResolveError> {
        let step = before.intent.step;
        let order = Order { step, act: word(act).to_owned(), who, why };
        let journal = Arc::clone(&self.journal);
        let asking = move || journal.replicas().map_or(Err(Error::Closed), |shared| shared.order(&order));
        let handed = tokio::task::spawn_blocking(asking).await;
        handed.unwrap_or_else(|error| Err(Error::Write(error.to_string())))?;
        let until = Instant::now() + ORDER_MAX;
        while Instant::now() < until {
            let row = self.stored(step).await?.ok_or(ResolveError::NotFound(step))?;
            if row.status != before.status {
                return Ok(row);
            }
            sleep(ORDER_LOOK).await;
        }
        let state = before.status.state.as_str();
        let why = format!("the step is {state} at another gateway, which has not taken it up yet: look at it again");
        Err(ResolveError::NotNow(why))
    }
}

const fn word(act: Act) -> &'static str {
    match act {
        Act::Applied => "applied",
        Act::Absent => "absent",
        Act::Diverged => "diverged",
        Act::RunAgain => "run_again",
    }
}

fn act(text: &str) -> Option<Act> {
    [Act::Applied, Act::Absent, Act::Diverged, Act::RunAgain].into_iter().find(|act| word(*act) == text)
}
