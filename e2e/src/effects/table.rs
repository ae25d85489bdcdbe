//! `docs/effects.md`, written from a run.

use super::case::{Agent, Case, RATE, Route, Transport, Trouble};
use super::tally::{Score, Tally};
use std::time::Duration;
use testkit::worlds::MEASURED;

const HEAD: &str = "| tasks | writes | state right | duplicates | told not, though applied | told done, though not | \
                    unknown | garbage | clean |\n";
const RULE: &str = "|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";

/// What must hold through the gateway: no duplicate, no lie, no garbage, and so many tasks clean.
const BOUNDS: [(Route, Option<f64>); 3] =
    [(Route::Readback, Some(0.97)), (Route::Init, Some(0.90)), (Route::Bare, None)];

/// The whole page. `command` is what made it.
pub fn render(scores: &[(Case, Score)], command: &str, seeds: u64, took: Duration) -> String {
    let mut text = String::from(INTRODUCTION);
    text += &format!(
        "Made by `{command}` in {} minutes: {} tasks, {seeds} seeds, each fault at a rate of {RATE}.\n\n",
        took.as_secs().div_ceil(60),
        scores.len()
    );
    text += "## All together\n\n";
    text += &("| route ".to_owned() + HEAD + "|---" + RULE);
    for route in Route::ALL {
        row(&mut text, &[route.name()], &sum(scores, |case| case.route == route));
    }
    text += &bounds(scores);
    text += "\n## Per agent and transport\n\n";
    text += &("| route | agent | transport ".to_owned() + HEAD + "|---|---|---" + RULE);
    for route in Route::ALL {
        for agent in Agent::ALL {
            for transport in Transport::ALL {
                let tally =
                    sum(scores, |case| case.route == route && case.agent == agent && case.transport == transport);
                row(&mut text, &[route.name(), agent.name(), transport.name()], &tally);
            }
        }
    }
    text += "\n## Per world and fault\n";
    for route in Route::ALL.into_iter().filter(|&route| scores.iter().any(|(case, _)| case.route == route)) {
        text += &format!("\n### {}\n\n", capital(route.name()));
        text += &("| world | fault ".to_owned() + HEAD + "|---|---" + RULE);
        for world in MEASURED {
            for trouble in Trouble::all() {
                let tally = sum(scores, |case| case.route == route && case.world == world && case.trouble == trouble);
                row(&mut text, &[world, trouble.name()], &tally);
            }
        }
    }
    text
}

fn bounds(scores: &[(Case, Score)]) -> String {
    let word = |holds: bool| if holds { "held" } else { "**missed**" };
    let mut text = String::from("\n## Bounds\n\n| route | duplicates, lies, garbage | clean |\n|---|---|---|\n");
    for (route, least) in BOUNDS {
        let tally = sum(scores, |case| case.route == route);
        if tally.tasks == 0 {
            continue;
        }
        let [duplicates, lies, garbage] = tally.harm();
        let harm = format!("{duplicates}, {lies}, {garbage}; 0 allowed: {}", word(tally.harm() == [0; 3]));
        let clean = least.map_or("no bound".into(), |least| {
            let (share, least_percent) = (100.0 * tally.clean_share(), 100.0 * least);
            format!("{share:.1} %; at least {least_percent:.0} %: {}", word(tally.clean_share() >= least))
        });
        text += &format!("| {} | {harm} | {clean} |\n", route.name());
    }
    text
}

/// What the cases that are meant come to.
fn sum(scores: &[(Case, Score)], is_meant: impl Fn(&Case) -> bool) -> Tally {
    let mut tally = Tally::default();
    scores.iter().filter(|(case, _)| is_meant(case)).for_each(|(_, score)| tally.add(score));
    tally
}

fn row(text: &mut String, names: &[&str], tally: &Tally) {
    if tally.tasks == 0 {
        return;
    }
    let share = |part: usize, whole: usize| format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64);
    let sum = &tally.sum;
    *text += &format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        names.join(" | "),
        tally.tasks,
        sum.writes,
        share(tally.state_right, tally.tasks),
        sum.duplicates,
        sum.told_not_though_applied,
        sum.told_done_though_not,
        share(sum.unknown, sum.writes),
        sum.garbage,
        share(tally.clean, tally.tasks),
    );
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

const INTRODUCTION: &str = "\
# Effect truth

What agents do to a world, what they are told of it, and whether that is so. This page is written by a program; change
that, not this.

Three worlds keep a ledger of every effect that they had: **records** (created and changed), **counters** (counters and
switches, where the same call twice is often exactly what is meant) and **messages** (messages and payments, of which
nothing is ever taken back). An agent works through a task of scripted calls in a world of its own. One kind of agent
calls again, three times at most, whenever it sees an error or nothing; the other calls once, and where the gateway says
that the outcome is not known yet it asks `cofferdam__status`. Faults are drawn from a seed. A fault at the server
strikes its calls that change something (stale reads strike its reads); duplicate delivery and re-issues are between the
agent and the first hop; the gateway is killed once in the middle of a task, while a call is out, and started again on
its journal; the agent's client then connects anew and re-issues what was out, as MCP 2026-07-28 demands. Between two
calls an agent thinks for about as long as a model does (2.2 s); its retries come at once.

- **duplicates**: effects beyond those that the task means, without absolute writes, which may be had again.
- **told not, though applied** and **told done, though not**: what the agent was told, against the ledger. A connection
  that breaks or a client's own timeout tells nothing; a plain error tells that it was not done. An answer that is of an
  earlier step, and says that the call was not executed again, is taken at its word.
- **unknown**: share of writes of which the agent in the end was told that it is not known, or nothing.
- **garbage**: answers that are no JSON, no result, or not what the tool promises, and that reached the agent.
- **state right**: the world is as what the agent believes to have done leads to.
- **clean**: the state is right, there is no duplicate and no garbage, and of every write the agent knows truthfully
  whether it was done. A refusal of the gateway's own, and an outcome left unknown, are not clean.

The client's timeout, and with it how late a late answer is, differ: 1 s without the gateway, 12 s through it with time
spans in the policy to match, and 60 s, a client's usual one, with the policy that `init` writes, in which nothing but
the addresses differs from what it wrote.

";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::Scale;

    fn scores(clean_of_ten: usize, duplicates: usize) -> Vec<(Case, Score)> {
        let span = Duration::ZERO;
        let scale = Scale { calls: 1, patience: span, late: span, think: span, follow: span };
        let (agent, transport, route) = (Agent::Once, Transport::Stdio, Route::Readback);
        let case = Case { world: "records", trouble: Trouble::Nothing, agent, transport, route, seed: 0, scale };
        let score = |number| Score { is_clean: number < clean_of_ten, duplicates, ..Score::default() };
        (0..10).map(|number| (case, score(number))).collect()
    }

    #[test]
    fn a_bound_that_does_not_hold_is_named() {
        assert_eq!(bounds(&scores(10, 0)).matches("held").count(), 2);
        let text = bounds(&scores(9, 0));
        assert!(
            text.contains("0, 0, 0; 0 allowed: held") && text.contains("90.0 %; at least 97 %: **missed**"),
            "{text}"
        );
        assert!(bounds(&scores(10, 1)).contains("10, 0, 0; 0 allowed: **missed**"));
    }
}
