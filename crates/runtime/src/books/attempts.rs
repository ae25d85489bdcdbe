//! Attempts that are out: who makes them, and how they are given up.

use super::{Books, Kept};
use crate::api::Link;
use crate::attempt::Send;
use crate::jobs::Jobs;
use crate::report::About;
use crate::slot::{Item, Slot};
use engine::{AttemptEnd, Input};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use vocab::{CallId, Failure, FailureKind, Name, StepId};

/// By step and number: a stream may be left open while another attempt is made.
pub(super) type Outs = BTreeMap<(StepId, u32), Out>;

/// An attempt that is out.
pub(super) enum Out {
    /// In the caller's own task.
    Inline(Arc<Slot>),
    Task(CancellationToken, Arc<dyn Link>),
}

impl Books {
    /// A read is sent by its caller's own task, a mutation by a task that outlives the caller.
    pub(super) fn send(
        &mut self,
        step: StepId,
        number: u32,
        through: CallId,
        upstream_key: Option<Name>,
        jobs: &mut Jobs,
    ) -> Option<Input> {
        let Some(view) = self.engine.step(step) else {
            return Some(unsent(step, number, "the step is not known any more"));
        };
        let (intent, rules) = (view.intent().clone(), view.rules().clone());
        let slot = self.calls.get(&through);
        if !intent.effect.is_mutation() {
            let Some(slot) = slot else { return Some(unsent(step, number, "its caller left")) };
            let (tool, link) = (Some(Arc::clone(&slot.tool)), Arc::clone(&slot.link));
            slot.push(Item::Send(Box::new(Send { number, intent, rules, upstream_key, tool, link, term: None })));
            self.out.insert((step, number), Out::Inline(Arc::clone(slot)));
            jobs.wakes.push(Arc::clone(slot));
            return None;
        }
        let term = self.steps.get(&step).and_then(|kept| kept.term);
        let is_kept = |slot: &Slot| self.steps.get(&step).is_some_and(|kept| kept.call == slot.call);
        if let Some(slot) = slot.filter(|slot| !is_kept(slot)) {
            // This call's session from now on, also for a step of an earlier process that this call runs again.
            let kept = Kept {
                call: slot.call,
                owner: (intent.tenant.clone(), intent.principal.clone()),
                about: Arc::new(About::of(&intent)),
                link: Some(Arc::clone(&slot.link)),
                tool: Some(Arc::clone(&slot.tool)),
                term,
            };
            jobs.links.extend(self.keep(step, kept));
        }
        let kept = self.steps.get(&step).and_then(|kept| Some((kept.link.clone()?, kept.tool.clone())));
        let Some((link, tool)) = kept else {
            return Some(unsent(step, number, "no session with the upstream is left"));
        };
        let abandoned = CancellationToken::new();
        self.out.insert((step, number), Out::Task(abandoned.clone(), Arc::clone(&link)));
        jobs.sends.push((Send { number, intent, rules, upstream_key, tool, link, term }, abandoned));
        None
    }

    pub(super) fn links_out(&self, step: StepId) -> impl Iterator<Item = Arc<dyn Link>> {
        self.out.range(of(step)).map(|(_, out)| match out {
            Out::Inline(slot) => Arc::clone(&slot.link),
            Out::Task(_, link) => Arc::clone(link),
        })
    }

    /// One has ended by itself.
    pub(super) fn ended(&mut self, step: StepId, number: u32, jobs: &mut Jobs) {
        match self.out.remove(&(step, number)) {
            Some(Out::Inline(slot)) => jobs.gone.push(slot),
            Some(Out::Task(_, link)) => jobs.links.push(link),
            None => {}
        }
    }

    pub(super) fn abandon(&mut self, step: StepId, jobs: &mut Jobs) {
        let numbers: Vec<_> = self.out.range(of(step)).map(|(number, _)| *number).collect();
        for number in numbers {
            match self.out.remove(&number) {
                Some(Out::Inline(slot)) => {
                    slot.push(Item::Abandon);
                    jobs.wakes.push(slot);
                }
                Some(Out::Task(abandoned, link)) => {
                    jobs.abandons.push(abandoned);
                    jobs.links.push(link);
                }
                None => {}
            }
        }
    }

    /// Everything that is out is given up.
    pub(crate) fn abandon_all(&mut self, jobs: &mut Jobs) {
        let steps: Vec<_> = self.out.keys().map(|(step, _)| *step).collect();
        for step in steps {
            self.abandon(step, jobs);
        }
    }
}

const fn of(step: StepId) -> RangeInclusive<(StepId, u32)> {
    (step, 0)..=(step, u32::MAX)
}

pub(crate) fn unsent(step: StepId, attempt: u32, why: &str) -> Input {
    let failure = Failure::new(FailureKind::NotSent, why);
    Input::AttemptEnded { step, attempt, end: Box::new(AttemptEnd::Failed(failure)) }
}
