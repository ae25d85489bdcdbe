//! How the gateway is: for readiness, and for the binary that must end when the journal cannot be trusted.

use crate::shell::Shell;
use vocab::{Epoch, Instant};

#[derive(Clone, Debug)]
pub struct Health {
    /// Whether mutations can be made durable.
    pub journal: Result<(), journal::Error>,
    pub draining: bool,
    /// Steps in memory, and those of them whose outcome is unknown.
    pub steps: usize,
    pub unknown: usize,
    /// Callers that wait.
    pub callers: usize,
    pub epoch: Epoch,
    /// The journal is a restored one: it proves nothing about the time since.
    pub gap_since: Option<Instant>,
}

impl Health {
    /// Calls of every kind are taken and can be finished.
    pub const fn is_ready(&self) -> bool {
        self.journal.is_ok() && !self.draining
    }
}

impl Shell {
    pub(crate) fn health(&self) -> Health {
        let (steps, unknown, callers, draining) = {
            let books = self.books.lock();
            let (steps, _, unknown) = books.engine.load();
            (steps, unknown, books.callers(), books.draining)
        };
        let start = self.journal.start();
        let (epoch, gap_since) = (start.epoch, start.gap_since);
        Health { journal: self.journal.health(), draining, steps, unknown, callers, epoch, gap_since }
    }
}
