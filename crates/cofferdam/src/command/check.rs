//! `cofferdam check`: whether a policy is one, and what it effectively enforces, tool by tool.

use crate::cli::Check;
use crate::command::ask::{self, Asked};
use crate::exit::{Exit, Failed};
use crate::output::{Out, Table, printable};
use crate::place;
use admin::wire;
use policy::undo::UndoKind;
use policy::{Policy, Problem, Problems, ToolFacts, effective};
use serde::Serialize;

#[derive(Serialize)]
struct Checked {
    upstreams: Vec<wire::Tools>,
    /// What is legal and hardly meant.
    warnings: Vec<Problem>,
    /// Rules that no tool falls under.
    unmatched: Vec<String>,
    /// Tools that change something and have no read-back.
    without_readback: Vec<String>,
    /// Tools that change something and have no way back.
    without_undo: Vec<String>,
}

pub async fn run(wanted: Check, out: Out) -> Result<Exit, Failed> {
    let policy = match place::policy(&wanted.config)? {
        Ok(policy) => policy,
        Err(problems) => {
            if out.json {
                out.value(&problems)?;
            } else {
                out.line(problems.render().trim_end())?;
            }
            return Ok(Exit::Wrong);
        }
    };
    let asked = if wanted.offline { named(&policy) } else { ask::all(&policy.upstreams).await };
    let wrong = compensators(&policy, &asked, wanted.offline);
    if !wrong.0.is_empty() {
        if out.json {
            out.value(&wrong)?;
        } else {
            out.line(wrong.render().trim_end())?;
        }
        return Ok(Exit::Wrong);
    }
    let checked = look(&policy, &asked, wanted.offline);
    out.show(&checked, || text(&checked, wanted.offline))?;
    Ok(Exit::Done)
}

/// Without asking, only those tools are known that the policy names in full.
fn named(policy: &Policy) -> Vec<Asked> {
    let named = effective::named(policy);
    let asked = |upstream: &policy::Upstream| {
        let own = named.iter().filter(|(owner, _)| **owner == *upstream.name);
        let mut tools = own.map(|(_, tool)| ToolFacts::named(tool)).collect::<Vec<_>>();
        tools.dedup_by(|one, other| one.name == other.name);
        Asked { upstream: upstream.name.to_string(), tools: Ok(tools) }
    };
    policy.upstreams.iter().map(asked).collect()
}

/// A way back that no upstream can go is as wrong as an unknown key, and found as early: before somebody needs it.
fn compensators(policy: &Policy, asked: &[Asked], offline: bool) -> Problems {
    let known = asked.iter().filter_map(|one| Some((one.upstream.as_str(), one.tools.as_ref().ok()?.as_slice())));
    let known = known.filter(|_| !offline).collect::<Vec<_>>();
    Problems(effective::compensators(policy, &known))
}

fn look(policy: &Policy, asked: &[Asked], offline: bool) -> Checked {
    let mut upstreams = Vec::new();
    let mut without_readback = Vec::new();
    let mut without_undo = Vec::new();
    for Asked { upstream, tools } in asked {
        let (reports, trouble) = match tools {
            Ok(tools) => (effective::report(policy, upstream, tools), None),
            Err(why) => (Vec::new(), Some(why.clone())),
        };
        for (facts, report) in tools.iter().flatten().zip(&reports) {
            let rules = policy.rules(upstream, facts);
            if rules.arms().any(|(_, rules)| rules.effect.is_mutation() && rules.readback.is_none()) {
                without_readback.push(format!("{upstream}.{}", report.tool));
            }
            let has_no_way =
                |rules: &policy::ToolRules| !rules.undo.as_ref().is_some_and(|undo| undo.kind != UndoKind::None);
            if rules.arms().any(|(_, rules)| rules.effect.is_mutation() && has_no_way(rules)) {
                without_undo.push(format!("{upstream}.{}", report.tool));
            }
        }
        let tools = reports.into_iter().map(wire::Tool::from).collect();
        upstreams.push(wire::Tools { upstream: upstream.clone(), trouble, tools });
    }
    let known = asked.iter().filter_map(|one| Some((one.upstream.as_str(), one.tools.as_ref().ok()?.as_slice())));
    let unmatched = if offline { Vec::new() } else { effective::unmatched(policy, &known.collect::<Vec<_>>()) };
    Checked { upstreams, warnings: policy.warnings().to_vec(), unmatched, without_readback, without_undo }
}

fn text(checked: &Checked, offline: bool) -> String {
    let mut text = String::new();
    for warning in &checked.warnings {
        text += &warning.render("warning");
        text += "\n";
    }
    for upstream in &checked.upstreams {
        text += &upstream_text(upstream);
    }
    for rule in &checked.unmatched {
        text += &format!("warning: {}\n", printable(rule));
    }
    let tools = checked.upstreams.iter().map(|upstream| upstream.tools.len()).sum::<usize>();
    let reads = checked.upstreams.iter().flat_map(|upstream| &upstream.tools).filter(|tool| tool.effect == "read");
    let reads = reads.count();
    text += &format!("\nThe policy is accepted: {tools} tools, {reads} of them only read.\n");
    if offline {
        text += "Nothing was asked (--offline): only tools that the policy names in full are shown.\n";
    }
    if !checked.without_readback.is_empty() {
        text += &format!(
            "Without a read-back, so that after a lost reply a person is asked: {}.\n",
            printable(&checked.without_readback.join(", "))
        );
    }
    if !checked.without_undo.is_empty() {
        text += &format!(
            "Without a way back (`compensate`), so that a rollback leaves them standing: {}.\n",
            printable(&checked.without_undo.join(", "))
        );
    }
    let silent =
        checked.upstreams.iter().filter(|upstream| upstream.trouble.is_some()).map(|one| one.upstream.as_str());
    let silent = silent.collect::<Vec<_>>();
    if !silent.is_empty() {
        text += &format!("Not reached, so nothing is known of their tools: {}.\n", silent.join(", "));
        text += "With `--log info` it is shown what a command wrote on its standard error.\n";
    }
    text
}

/// One upstream for people.
pub fn upstream_text(upstream: &wire::Tools) -> String {
    let mut text = format!("{}\n", printable(&upstream.upstream));
    if let Some(trouble) = &upstream.trouble {
        text += &format!("  could not be asked: {}\n", printable(trouble));
    }
    for tool in &upstream.tools {
        text += &format!("  {}\n", printable(&tool.tool));
        for case in &tool.cases {
            let when = case.when.as_ref().map_or_else(String::new, |when| format!(", when {}", printable(when)));
            text += &format!("    effect {} ({}){when}\n", case.effect, case.source);
            let mut table = Table::plain(2);
            for rule in &case.rules {
                table.row([&rule.name, &rule.value]);
            }
            text += &table.render(6);
        }
        for warning in &tool.warnings {
            text += &format!("    ! {}\n", printable(warning));
        }
    }
    text
}
