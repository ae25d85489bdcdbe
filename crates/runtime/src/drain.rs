//! The end in order: no new calls, those in flight finish or are left to the next start, then the journal closes.

use crate::jobs::Jobs;
use crate::shell::Shell;
use crate::told;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long what was given up may take to end.
const ENDING_MAX: Duration = Duration::from_secs(2);

impl Shell {
    /// Waits for calls in flight up to `bound`. What is not finished then is durable as sent: its caller is told so,
    /// and the next start finds out what became of it.
    pub(crate) async fn drain(self: &Arc<Self>, bound: Duration) {
        self.books.lock().draining = true;
        let until = Instant::now() + bound;
        let finished = timeout_at(until, self.finished()).await.is_ok();
        if !finished {
            self.give_up();
        }
        self.stop.cancel();
        self.tasks.close();
        self.chores.close();
        let ended = async {
            self.tasks.wait().await;
            self.chores.wait().await;
        };
        if timeout_at(Instant::now() + ENDING_MAX, ended).await.is_err() {
            tracing::warn!("tasks did not end in time");
        }
        let journal = Arc::clone(&self.journal);
        if let Err(error) = tokio::task::spawn_blocking(move || journal.close()).await {
            tracing::error!(%error, "the journal did not close in order");
        }
    }

    async fn finished(&self) {
        loop {
            let notified = self.quiet.notified();
            tokio::pin!(notified);
            // Before the look: whoever becomes quiet after it is heard.
            notified.as_mut().enable();
            if self.books.lock().is_quiet() {
                return;
            }
            notified.await;
        }
    }

    fn give_up(self: &Arc<Self>) {
        let mut jobs = Jobs::default();
        let waiting = {
            let mut books = self.books.lock();
            let waiting = books.waiting();
            for slot in &waiting {
                books.remove(slot, &mut jobs);
            }
            books.abandon_all(&mut jobs);
            waiting
        };
        tracing::warn!(calls = waiting.len(), "calls were still in flight at the end");
        for slot in waiting {
            slot.push(told::stopping(&slot));
            slot.wake();
        }
        self.perform(jobs);
    }
}
