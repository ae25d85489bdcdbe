//! Steps of the journal that the engine takes over: those that an earlier process left open, and single closed ones.

use crate::failpoint;
use crate::gap;
use crate::shell::Shell;
use crate::{answer, legs};
use engine::Input;
use policy::ToolRules;
use serde_json::Value;
use std::sync::Arc;
use vocab::{State, StepIntent, StepRow};

/// Feeds every open step. Only those are read, however many are stored.
pub(crate) fn recover(shell: &Arc<Shell>, rows: Vec<StepRow>) {
    if rows.is_empty() {
        return;
    }
    tracing::info!(steps = rows.len(), "steps were left open: finding out what became of them");
    for row in rows {
        load(shell, row);
        failpoint::hit("during_recovery");
    }
}

/// Gives one step to the engine.
pub(crate) fn load(shell: &Arc<Shell>, mut row: StepRow) {
    gap::doubt(&mut row, shell.journal.start());
    if row.status.state == State::AwaitingInput {
        hand_out_again(shell, &row);
    }
    let rules = rules(shell, &row.intent);
    shell.books.lock().recovered(&row.intent);
    let (step, is_task) = (row.intent.step, row.status.state == State::RemoteTask);
    shell.feed([Input::Recovered { row: Box::new(row), rules }]);
    if is_task {
        shell.watch_task(step);
    }
}

/// What an earlier process asked for may still be brought.
fn hand_out_again(shell: &Shell, row: &StepRow) {
    let Some(result) = &row.result else { return };
    let limits = answer::limits(&shell.policy.load(), &row.intent.upstream);
    if let Some(state) = answer::judge(result.clone(), None, &limits).state {
        legs::hand_out(&shell.legs, &row.intent, &result[state], shell.clock.now());
    }
}

/// The rules that its tool has now. An upstream that was not asked for its tools yet has those of the file, else the
/// worst.
fn rules(shell: &Shell, intent: &StepIntent) -> Arc<ToolRules> {
    let policy = shell.policy.load();
    let args: Value = serde_json::from_slice(&intent.args).unwrap_or_default();
    match shell.tools.get(&intent.upstream, &intent.tool) {
        Some(tool) => tool.with_rules(&policy, |rules| Arc::clone(rules.pick(&args))),
        None => Arc::clone(policy.rules_unlisted(&intent.upstream, &intent.tool).pick(&args)),
    }
}
