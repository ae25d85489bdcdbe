//! What a start does with the steps that an earlier process left open.

use crate::failpoint;
use crate::report::About;
use crate::shell::Shell;
use engine::Input;
use serde_json::Value;
use std::sync::Arc;
use vocab::StepRow;

/// Feeds every open step. Only those are read, however many are stored.
pub(crate) fn recover(shell: &Arc<Shell>, rows: Vec<StepRow>) {
    if rows.is_empty() {
        return;
    }
    tracing::info!(steps = rows.len(), "steps were left open: finding out what became of them");
    let policy = shell.policy.load();
    for row in rows {
        let intent = &row.intent;
        // Its upstream has not been asked for its tools yet: what the file says, else the worst.
        let args: Value = serde_json::from_slice(&intent.args).unwrap_or_default();
        let rules = Arc::clone(policy.rules_unlisted(&intent.upstream, &intent.tool).pick(&args));
        let owner = (intent.tenant.clone(), intent.principal.clone());
        shell.books.lock().recovered(intent.step, owner, Arc::new(About::of(intent)));
        shell.feed([Input::Recovered { row: Box::new(row), rules }]);
        failpoint::hit("during_recovery");
    }
}
