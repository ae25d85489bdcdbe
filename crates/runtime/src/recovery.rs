//! Steps of the journal that the engine takes over: those that an earlier process left open, and single closed ones.

use crate::failpoint;
use crate::gap;
use crate::legs::Legs;
use crate::shell::Shell;
use crate::tools::Tools;
use crate::{answer, legs};
use engine::Input;
use policy::{Policy, ToolRules};
use serde_json::Value;
use std::sync::Arc;
use vocab::{Instant, State, StepIntent, StepRow};

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
    // Of a journal with several owners only the journal knows what lies before a gap.
    if shell.journal.replicas().is_none() {
        gap::doubt(&mut row, shell.journal.start());
    }
    feed(shell, row, |row, rules| Input::Recovered { row, rules });
}

/// Takes over a step whose owner may still run.
pub(crate) fn take_over(shell: &Arc<Shell>, row: StepRow) {
    feed(shell, row, |row, rules| Input::TakenOver { row, rules });
}

fn feed(shell: &Arc<Shell>, row: StepRow, input: fn(Box<StepRow>, Arc<ToolRules>) -> Input) {
    let (policy, now) = (shell.policy.load(), shell.clock.now());
    hand_out_again(&policy, &shell.legs, &row, now);
    let rules = rules(&policy, &shell.tools, &row.intent);
    shell.books.lock().recovered(&row.intent);
    let (step, is_task) = (row.intent.step, row.status.state == State::RemoteTask);
    shell.feed([input(Box::new(row), rules)]);
    if is_task {
        shell.watch_task(step);
    }
}

/// What an earlier process asked for may still be brought.
pub(crate) fn hand_out_again(policy: &Policy, legs: &Legs, row: &StepRow, now: Instant) {
    let Some(result) = row.result.as_ref().filter(|_| row.status.state == State::AwaitingInput) else { return };
    let limits = answer::limits(policy, &row.intent.upstream);
    if let Some(state) = answer::judge(result.clone(), None, &limits).state {
        legs::hand_out(legs, &row.intent, &result[state], now);
    }
}

/// The rules that its tool has now. An upstream that was not asked for its tools yet has those of the file, else the
/// worst.
pub(crate) fn rules(policy: &Policy, tools: &Tools, intent: &StepIntent) -> Arc<ToolRules> {
    let args: Value = serde_json::from_slice(&intent.args).unwrap_or_default();
    match tools.get(&intent.upstream, &intent.tool) {
        Some(tool) => tool.with_rules(policy, |rules| Arc::clone(rules.pick(&args))),
        None => Arc::clone(policy.rules_unlisted(&intent.upstream, &intent.tool).pick(&args)),
    }
}
