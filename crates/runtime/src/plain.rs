//! What stands between engine, policy and journal and needs no clock, task or socket: calls admitted, answers judged,
//! reads asked and compared, commits and look-ups told to the engine. The gateway and the simulator use the same.

use crate::admit::{self, With};
use crate::api::{Attempt, CallError, Request};
use crate::legs::{self, Legs};
use crate::look::{Look, usable};
use crate::settings::Settings;
use crate::tools::Tools;
use crate::{answer, attempt, durable, gap, recovery};
use bytes::Bytes;
use engine::{AttemptEnd, Input, ReadEnd};
use journal::{Durable, Error, Start};
use policy::{Policy, ToolRules};
use std::sync::Arc;
use vocab::{CallId, Failure, Instant, Name, StepId, StepIntent, StepRow};

/// Everything about tools that a gateway without I/O knows.
pub struct Desk {
    settings: Settings,
    policy: Arc<Policy>,
    tools: Tools,
    legs: Legs,
}

impl Desk {
    pub fn new(settings: Settings, policy: Arc<Policy>) -> Self {
        let legs = Legs::new(settings.leg_ttl);
        Self { settings, policy, tools: Tools::default(), legs }
    }

    /// One page of an upstream's `tools/list`.
    pub fn learn(&self, upstream: &Name, tools_list_result: &Bytes) {
        self.tools.learn(upstream, tools_list_result);
    }

    /// From the next call on.
    pub fn reload(&mut self, policy: Arc<Policy>) {
        self.policy = policy;
    }

    /// The gateway that comes after this one: what was held in memory is gone, what was compiled is kept.
    #[must_use]
    pub fn restarted(self) -> Self {
        Self { legs: Legs::new(self.settings.leg_ttl), ..self }
    }

    /// # Errors
    /// The call is no step.
    pub fn admit(
        &self,
        request: &Request,
        call: CallId,
        step: StepId,
        now: Instant,
    ) -> Result<engine::Call, CallError> {
        let known = self.tools.get(&request.upstream, &request.tool);
        let tool = known.ok_or_else(|| CallError::UnknownTool(request.tool.to_string()))?;
        let with = With { settings: &self.settings, policy: &self.policy, tool: &tool, legs: &self.legs, now };
        admit::admit(&with, request, call, step)
    }

    /// What goes out as one attempt.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn attempt(
        &self,
        number: u32,
        intent: &StepIntent,
        rules: &ToolRules,
        upstream_key: Option<&Name>,
    ) -> Result<Attempt, Failure> {
        attempt::placed(number, intent, rules, upstream_key)
    }

    /// How an attempt's end is told to the engine.
    pub fn ended(&self, intent: &StepIntent, result: Result<Bytes, Failure>, now: Instant) -> AttemptEnd {
        match result {
            Ok(result) => {
                let tool = self.tools.get(&intent.upstream, &intent.tool);
                let limits = answer::limits(&self.policy, &intent.upstream);
                let judged = answer::judge(result, tool.as_deref(), &limits);
                if let Some(state) = judged.state {
                    legs::hand_out(&self.legs, intent, &judged.answer.result[state], now);
                }
                AttemptEnd::Answered(judged.answer)
            }
            Err(failure) => AttemptEnd::Failed(failure),
        }
    }

    /// What the answer of a read of the world shows.
    pub fn looked(&self, look: &Look<'_>, read: (&Name, &Name), answer: Bytes) -> ReadEnd {
        let tool = self.tools.get(read.0, read.1);
        let judged = answer::judge(answer, tool.as_deref(), &answer::limits(&self.policy, read.0)).answer;
        usable(judged).and_then(|shown| look.shown(shown)).unwrap_or_else(ReadEnd::Failed)
    }

    /// A step of the journal, as the engine takes it over.
    pub fn recovered(&self, mut row: StepRow, start: &Start, now: Instant) -> Input {
        gap::doubt(&mut row, start);
        recovery::hand_out_again(&self.policy, &self.legs, &row, now);
        let rules = recovery::rules(&self.policy, &self.tools, &row.intent);
        Input::Recovered { row: Box::new(row), rules }
    }
}

/// What the end of an append tells the engine.
pub fn committed(done: &Durable) -> Input {
    durable::ended(done)
}

/// An append that the journal did not take.
pub const fn refused(ticket: u64, error: &Error) -> Input {
    Input::NotDurable { ticket, why: durable::refusal(error) }
}

/// What a look into the journal tells the engine.
pub fn recalled(call: CallId, found: Result<journal::Recalled, Error>, start: &Start) -> Input {
    gap::recalled(call, found, start)
}
