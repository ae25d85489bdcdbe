//! Chores that come back: retention, and letting go of what no step needs any more.

use crate::jobs::Jobs;
use crate::shell::Shell;
use journal::Retention;
use policy::Policy;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Calls of `maintain` in one round; the rest waits for the next.
const ROUNDS_MAX: usize = 16;

pub(crate) async fn run(shell: Weak<Shell>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(shell) = shell.upgrade() else { return };
        let mut jobs = Jobs::default();
        shell.books.lock().sweep(&mut jobs);
        shell.perform(jobs);
        let (journal, now, keep) = (Arc::clone(&shell.journal), shell.clock.now(), retention(&shell.policy.load()));
        let rounds = move || {
            for _ in 0..ROUNDS_MAX {
                match journal.maintain(now, &keep) {
                    Ok(done) if done.more => {}
                    Ok(_) | Err(journal::Error::Closed) => return,
                    Err(error) => {
                        tracing::warn!(%error, "retention did not run");
                        return;
                    }
                }
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(rounds).await {
            tracing::error!(%error, "retention ended unexpectedly");
        }
    }
}

fn retention(policy: &Policy) -> Retention {
    let keep = policy.journal.keep;
    Retention { bodies: keep.bodies, tombstones: keep.tombstones, reads: keep.reads }
}
