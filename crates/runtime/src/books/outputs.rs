//! What the engine wants: done at once where the order matters, left for outside of the lock otherwise.

use super::Books;
use crate::api::{Delivery, Phase};
use crate::durable::{Commit, refusal};
use crate::jobs::Jobs;
use crate::report::Told;
use crate::shell::Shell;
use crate::slot::{Item, Slot};
use crate::translate;
use crate::world::WorldRead;
use engine::{Arrival, Input, Output};
use journal::Recall;
use std::sync::Arc;
use tokio::sync::oneshot;
use vocab::{CallId, Record};

impl Books {
    /// Does one output, or leaves it to be done outside of the lock.
    pub(super) fn take(&mut self, shell: &Arc<Shell>, output: Output, jobs: &mut Jobs) -> Option<Input> {
        match output {
            Output::Recall { call, key, content } => jobs.recalls.push((call, Recall { key, content })),
            Output::Append { records, ticket } => return self.append(shell, records, ticket, jobs),
            Output::Send { step, attempt, through, upstream_key } => {
                return self.send(step, attempt, through, upstream_key, jobs);
            }
            Output::Cancel { step } => {
                jobs.cancels.extend(self.links_out(step));
            }
            Output::Abandon { step } => self.abandon(step, jobs),
            Output::Read { step, read, purpose } => {
                let view = self.engine.step(step)?;
                let link = self.steps.get(&step).and_then(|kept| kept.link.clone());
                let (intent, rules, result) = (view.intent().clone(), view.rules().clone(), view.result().cloned());
                let undoing = view.undoes().cloned();
                jobs.reads.push(WorldRead { step, read, purpose, intent, rules, result, link, undoing });
            }
            Output::Reply { call, reply } => return self.reply(shell, call, reply, jobs),
            Output::Progress { call, phase } => {
                // That a read was sent tells nobody anything that its answer does not tell at once.
                let tells = |slot: &&Arc<Slot>| slot.is_mutation() || phase != engine::Phase::Sent;
                if let Some(slot) = self.calls.get(&call).filter(tells) {
                    slot.push(Item::Phase(Phase::from(phase)));
                    jobs.wakes.push(Arc::clone(slot));
                }
            }
            Output::Report(report) => jobs.reports.extend(Told::of(
                report,
                |step| self.steps.get(&step).map(|kept| &kept.about),
                &self.engine,
            )),
            Output::Idle { .. } => {}
        }
        None
    }

    //= G4
    fn append(
        &mut self,
        shell: &Arc<Shell>,
        records: Vec<Record>,
        ticket: Option<u64>,
        jobs: &mut Jobs,
    ) -> Option<Input> {
        let mut commit = Commit::of(&records);
        commit.begins();
        if let (true, Some(step), Some(term)) = (commit.dispatches, commit.step, shell.term()) {
            self.dispatches(step, term);
        }
        let error = shell.append(records, ticket).err();
        let ticket = ticket?;
        if let Some(error) = error {
            return Some(Input::NotDurable { ticket, why: refusal(&error) });
        }
        if jobs.watching {
            let (told, hears) = oneshot::channel();
            commit.tell(told);
            jobs.commits.push(hears);
        }
        self.commits.insert(ticket, commit);
        None
    }

    fn reply(&mut self, shell: &Arc<Shell>, call: CallId, reply: engine::Reply, jobs: &mut Jobs) -> Option<Input> {
        let Some(slot) = self.calls.remove(&call) else {
            return Some(Input::Arrived { call, arrival: Arrival::Lost });
        };
        let step = slot.step;
        if let engine::Reply::Stop(stop) = &reply {
            jobs.reports.push(Told::stopped(stop, &slot.about));
        }
        // Whether a read's answer arrives changes nothing.
        let delivery = if slot.is_mutation() {
            let shell = Arc::clone(shell);
            Delivery::new(move |arrival| shell.arrived(call, step, arrival))
        } else {
            Delivery::unheeded()
        };
        slot.push(Item::Reply(translate::reply(reply, &slot), delivery));
        jobs.wakes.push(slot);
        self.settle(step, jobs);
        None
    }
}
