//! What the suite found in one run, two runs beside each other, and the page that shows them.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The scenarios of one revision against one target, in the suite's order.
pub struct Run {
    scenarios: Vec<Scenario>,
}

struct Scenario {
    name: String,
    required: bool,
    verdict: String,
    checks: BTreeMap<String, String>,
}

/// A revision, directly, through the gateway.
pub type Pair = (&'static str, Run, Run);

#[derive(Default)]
pub struct Table {
    /// The suite is the client, the gateway's doors are judged.
    pub server: Vec<Pair>,
    /// The suite is the server, the gateway's upstream side is judged.
    pub client: Vec<Pair>,
}

impl Run {
    pub fn read(report: &Value) -> Result<Self> {
        let scenarios = report["scenarios"].as_array().context("a report without scenarios")?;
        let scenarios = scenarios.iter().map(Scenario::read).collect::<Result<_>>()?;
        Ok(Self { scenarios })
    }

    fn get(&self, name: &str) -> Option<&Scenario> {
        self.scenarios.iter().find(|scenario| scenario.name == name)
    }
}

impl Scenario {
    fn read(report: &Value) -> Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("not a text");
        let checks = report["checks"].as_object().context("a scenario without checks")?;
        Ok(Self {
            name: text(&report["name"])?,
            required: report["required"].as_bool().context("neither required nor not")?,
            verdict: text(&report["verdict"])?,
            checks: checks.iter().map(|(id, status)| Ok((id.clone(), text(status)?))).collect::<Result<_>>()?,
        })
    }

    fn passes(&self) -> bool {
        self.verdict == "passes"
    }

    /// What is worse here than in `direct`: the verdict, or a single check of a scenario that passes all the same. A check
    /// that only warns, or is not made, is no loss but is shown: see `differences`.
    fn losses(&self, direct: &Self) -> Vec<String> {
        let mut losses = Vec::new();
        if direct.passes() && !self.passes() {
            losses.push(format!("{} {}", self.name, self.verdict));
        }
        let broken = self.checks.iter().filter(|(id, status)| {
            *status == "FAILURE" && direct.checks.get(*id).is_some_and(|directly| directly != "FAILURE")
        });
        losses.extend(broken.map(|(id, _)| format!("{}: {id} fails", self.name)));
        losses
    }

    /// Checks that succeed directly and have another word here.
    fn differences(&self, direct: &Self) -> Vec<String> {
        let directly = direct.checks.iter().filter(|(_, status)| *status == "SUCCESS");
        let here = directly.map(|(id, _)| (id, self.checks.get(id).map_or("not made", String::as_str)));
        let other = here.filter(|(_, status)| *status != "SUCCESS");
        other.map(|(id, status)| format!("{}: `{id}` {}", self.name, status.to_lowercase())).collect()
    }
}

impl Table {
    /// What is worse through the gateway than directly.
    pub fn losses(&self) -> Vec<String> {
        let mut losses = Vec::new();
        for (revision, direct, through) in self.server.iter().chain(&self.client) {
            for scenario in &direct.scenarios {
                let here = through.get(&scenario.name);
                let worse =
                    here.map_or_else(|| vec![format!("{} not run", scenario.name)], |here| here.losses(scenario));
                losses.extend(worse.into_iter().map(|loss| format!("{revision} {loss}")));
                if scenario.required && !scenario.passes() {
                    losses.push(format!("{revision} {} does not even pass directly", scenario.name));
                }
            }
        }
        losses
    }

    fn differences(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (revision, direct, through) in self.server.iter().chain(&self.client) {
            for scenario in direct.scenarios.iter().filter(|scenario| scenario.passes()) {
                let here = through.get(&scenario.name).map(|here| here.differences(scenario)).unwrap_or_default();
                all.extend(here.into_iter().map(|difference| format!("{revision} {difference}")));
            }
        }
        all
    }

    pub fn page(&self) -> String {
        let mut page = String::from(HEAD);
        for (title, text, pairs) in [("Doors", DOORS, &self.server), ("Upstream side", UPSTREAM, &self.client)] {
            write!(page, "\n## {title}\n\n{text}\n").unwrap_or_default();
            for (heading, required) in [("Required", true), ("Run, not required by the suite", false)] {
                write!(page, "\n### {heading}\n\n").unwrap_or_default();
                page += &rows(pairs, required);
            }
        }
        page += DIFFERENCES;
        for difference in self.differences() {
            writeln!(page, "- {difference}").unwrap_or_default();
        }
        page + TAIL
    }
}

fn rows(pairs: &[Pair], required: bool) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut text = String::from("| scenario |");
    for (revision, direct, _) in pairs {
        write!(text, " {revision} direct | through |").unwrap_or_default();
        for scenario in direct.scenarios.iter().filter(|scenario| scenario.required == required) {
            if !names.contains(&scenario.name.as_str()) {
                names.push(&scenario.name);
            }
        }
    }
    text += "\n|---|";
    text += &"---|---|".repeat(pairs.len());
    text.push('\n');
    for name in names {
        write!(text, "| {name} |").unwrap_or_default();
        for (_, direct, through) in pairs {
            for run in [direct, through] {
                let scenario = run.get(name).filter(|scenario| scenario.required == required);
                write!(text, " {} |", scenario.map_or("–", |scenario| scenario.verdict.as_str())).unwrap_or_default();
            }
        }
        text.push('\n');
    }
    text
}

const HEAD: &str = "\
# Conformance

What the official suite (npm `@modelcontextprotocol/conformance`, version in `e2e/package-lock.json`) says of one server
directly and of the same server through the gateway with every guard on, at `/mcp/<upstream>`. A test makes this page
from what it measures; it fails when a scenario or a single check fails through the gateway and not directly, or when
this page is not what was measured. `COFFERDAM_E2E_BLESS=1 cargo test -p e2e conformance` writes it anew.
";

const DOORS: &str = "\
The suite is the client. The server is `e2e/conformance/fixture.mjs`, on `@modelcontextprotocol/server` 2.x, with the
tools, resources and prompts that the scenarios call by name. –: not a scenario of that revision.";

const UPSTREAM: &str = "\
The suite is the server. Directly, a plain client (`@modelcontextprotocol/client` 2.x) talks to it; through, the same
client talks to a gateway in front of it, so that the gateway's requests are what the suite judges.";

const DIFFERENCES: &str = "
## What differs in scenarios that pass

Single checks that succeed directly and warn, only inform or are not made through the gateway:

";

const TAIL: &str = "
Why: a client of a session gets one JSON body where nothing but the answer comes, so that there is no stream of events
to count or to resume; where the server's own stream breaks, the gateway resumes it. In
`input-required-result-tampered-state` it is the gateway that answers -32602: a `requestState` that it did not hand out
to this caller for this call begins no mutation.

Not run: the `auth/*` scenarios of the client mode. They judge how a client obtains a token with OAuth; the gateway
sends upstream the headers that its policy names and takes part in no such flow, nor does it forward a client's own
tokens.
";
