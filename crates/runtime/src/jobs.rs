//! What the engine decided and what is done outside of its lock.

use crate::api::Link;
use crate::attempt::Send;
use crate::report::Told;
use crate::slot::Slot;
use crate::world::WorldRead;
use journal::Recall;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use vocab::{CallId, Instant};

#[derive(Default)]
pub(crate) struct Jobs {
    pub(crate) recalls: Vec<(CallId, Recall)>,
    /// Mutations; reads are sent by their callers.
    pub(crate) sends: Vec<(Send, CancellationToken)>,
    pub(crate) reads: Vec<WorldRead>,
    pub(crate) cancels: Vec<Arc<dyn Link>>,
    pub(crate) abandons: Vec<CancellationToken>,
    /// Slots with something new in them. They are held here so that none is dropped under the lock: what is left in
    /// one would call back.
    pub(crate) wakes: Vec<Arc<Slot>>,
    pub(crate) gone: Vec<Arc<Slot>>,
    pub(crate) links: Vec<Arc<dyn Link>>,
    pub(crate) reports: Vec<Told>,
    pub(crate) wake_at: Option<Instant>,
    pub(crate) quiet: bool,
    /// Whoever asked hears when each commit of this round is durable.
    pub(crate) watching: bool,
    pub(crate) commits: Vec<oneshot::Receiver<Result<(), journal::Error>>>,
}
