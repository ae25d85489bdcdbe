//! What a journal adds that several owners, the *replicas*, use at once.
//!
//! Each open step has one owner. A replica whose lease is over is fenced, and another one takes its steps over: with
//! the right to find out what became of them, never with the right to send them.

use crate::{Error, Recall};
use std::sync::Arc;
use std::time::Duration;
use vocab::{Instant, State, StepId, StepRow};

/// A row as one of several owners sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub row: StepRow,
    /// It is open, and another replica that is not fenced owns it: only that one acts on it.
    pub elsewhere: bool,
}

/// What [`Replicas::recall`] found; as [`Recalled`](crate::Recalled).
#[derive(Clone, Debug, Default)]
pub struct SeenBoth {
    pub by_key: Option<Seen>,
    pub by_content: Option<Seen>,
}

/// A person's word on a step, on its way to the replica that owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub step: StepId,
    /// What is to be recorded, in the words of the admin API.
    pub act: String,
    pub who: String,
    pub why: String,
}

/// What other replicas did.
#[derive(Debug)]
pub enum Change {
    /// These were left by a replica that is fenced, and are ours now. Their old owner may still run: whatever it has
    /// sent can arrive later.
    Taken(Vec<StepRow>),
    /// This replica was fenced while it was silent, and has begun anew. Of the steps that were begun before `since` only
    /// these are still ours, in the epochs that they have now.
    Rejoined { kept: Vec<StepRow>, since: Instant },
    /// A watched step was closed, or has another owner.
    Moved(Vec<StepId>),
    /// A person recorded something at another replica.
    Ordered(Order),
}

/// Called by the journal's own thread: it must not wait for the journal.
pub type Tell = Arc<dyn Fn(Change) + Send + Sync>;

/// For how long a replica sends after it asked for its lease: two thirds of it.
pub const fn sends_for(lease: Duration) -> Duration {
    lease.saturating_sub(Duration::from_nanos((lease.as_nanos() / 3) as u64))
}

/// The side of a journal that several replicas share. Every call but the first three may block for a round trip or two
/// to the database.
pub trait Replicas: Send + Sync {
    /// Names the time from one registration of this replica to the next. It changes when the replica was fenced and
    /// begins anew: what it had begun before may belong to others since.
    fn term(&self) -> i64;

    /// Whether a byte of a mutation may be sent now that was made durable in this term: false from a while before this
    /// replica's lease is over ([`sends_for`]), by the local clock that goes on while the machine sleeps, until the
    /// lease is renewed, and for ever once another term has begun.
    fn may_send(&self, term: i64) -> bool;

    /// Asks for [`Change::Moved`] of a step that was seen in this state, until it was told once.
    fn watch(&self, step: StepId, state: State);

    /// Sets who hears of changes and begins to take over what others leave. Once. Returns what this replica's own
    /// earlier process left open, which has ended for certain, oldest first.
    ///
    /// # Errors
    /// `Read` or `Write` when the database cannot be asked.
    fn begin(&self, tell: Tell) -> Result<Vec<StepRow>, Error>;

    /// As [`Journal::recall`](crate::Journal::recall); a closed step of another owner becomes ours with it, so that
    /// what we then write about it cannot meet what the other one writes.
    ///
    /// # Errors
    /// `Read` when the database cannot be asked, `Write` when an owner cannot be changed.
    fn recall(&self, query: &Recall) -> Result<SeenBoth, Error>;

    /// One mutation by its name, ours with it if it is closed.
    ///
    /// # Errors
    /// As `recall`.
    fn look(&self, step: StepId) -> Result<Option<Seen>, Error>;

    /// Hands a person's word to the owner of a step, whoever that is now.
    ///
    /// # Errors
    /// `Write` when it could not be handed over.
    fn order(&self, order: &Order) -> Result<(), Error>;
}
