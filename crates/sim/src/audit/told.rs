//! What agents are told, held against the ledger and the journal.

use super::Audit;
use crate::agents::{Call, Wish};
use crate::names::{Invariant, Reached};
use crate::shop::Tool;
use crate::upstream::{Upstream, number_after, text_after};
use engine::{Reply, Stop};
use journal::Journal;
use journal::crash::Crash;
use vocab::{Bytes, Code, Executed, Outcome, State, StepId, StepRow};

impl Audit {
    #[expect(clippy::too_many_arguments, reason = "the three independent records, and who is told what")]
    pub fn told(
        &mut self,
        journal: &Crash,
        upstream: &Upstream,
        at: usize,
        call: &Call,
        wishes: &[Wish],
        reply: &Reply,
        now: u64,
    ) {
        let wish = &wishes[call.wish];
        let is_mutation = wish.tool != Tool::Get;
        match reply {
            Reply::Result { step, result, replayed, notice, .. } => {
                let told = Told { step: *step, result, replayed: *replayed, notice: notice.as_deref() };
                self.told_result(journal, upstream, at, call, wish, &told);
            }
            Reply::Error { step, .. } if is_mutation => self.told_no(upstream, *step, now),
            Reply::Error { .. } => {}
            Reply::Stop(stop) if is_mutation => self.told_stop(journal, upstream, call, wish, stop, now),
            Reply::Stop(_) => {}
        }
    }

    fn told_result(
        &mut self,
        journal: &Crash,
        upstream: &Upstream,
        at: usize,
        call: &Call,
        wish: &Wish,
        told: &Told<'_>,
    ) {
        let Told { step, result, replayed, notice } = *told;
        self.check(Invariant::I17, !contains(result, b"POISON"), || format!("{step}: a bad answer reached its caller"));
        let who = text_after(result, "\"who\":\"");
        let own = format!("{}/{}", wish.tenant, wish.principal);
        self.check(Invariant::I15, who.as_ref().is_none_or(|who| *who == own), || {
            format!("{own} was given what is {who:?}'s")
        });
        let tool = text_after(result, "\"tool\":\"");
        self.check(Invariant::I15, tool.as_deref().is_none_or(|tool| tool == wish.tool.as_str()), || {
            format!("a call of {} was answered with what {tool:?} said", wish.tool.as_str())
        });
        if wish.tool == Tool::Get {
            return;
        }
        let row = journal.step(step).ok().flatten();
        let is_pending =
            row.as_ref().is_some_and(|row| matches!(row.status.state, State::AwaitingInput | State::RemoteTask));
        let is_closed = row.as_ref().is_some_and(|row| row.status.state == State::Closed);
        // A step that asked for input is over once another one has brought it; its question may be told again.
        let asks = result.starts_with(b"{\"resultType\"") || contains(result, b"\"taskId\"");
        self.check(Invariant::I4, is_closed || (is_pending && asks), || {
            format!("{step} was told, and the journal has {:?}", row.as_ref().map(|row| row.status.state))
        });
        if replayed {
            let stored = row.as_ref().and_then(|row| row.result.clone());
            self.check(Invariant::I6, stored.as_ref() == Some(result), || {
                format!("{step} is replayed as {result:?}, and {stored:?} is stored")
            });
            if row.as_ref().is_some_and(|row| row.epoch < journal.start().epoch) {
                self.reach(Reached::ReplayAfterRestart);
            }
        }
        self.own_answer(at, call, wish, told);
        if asks {
            if replayed && call.leg.is_none() {
                self.reach(Reached::LegReplayed);
            }
            return;
        }
        let is_error = contains(result, b"\"isError\":true");
        if !is_error {
            let tag = self.seen(step).tag;
            let excused = self.is_excused(step);
            self.check(Invariant::I5, excused || tag == 0 || upstream.count(tag) > 0, || {
                format!("{step} was told done, and nothing happened for {tag}")
            });
            self.seen(step).told_yes = true;
        }
        self.noticed(notice, replayed, step, call);
    }

    /// An answer is that of the call's own wish, unless it says otherwise.
    fn own_answer(&mut self, at: usize, call: &Call, wish: &Wish, told: &Told<'_>) {
        let Some(tag) = number_after(told.result, "\"tag\":") else { return };
        let is_own = tag == wish.tag;
        self.check(Invariant::I7, is_own || told.notice.is_some(), || {
            format!("call {at} for {} was given the answer of {tag} without a word ({:?})", wish.tag, call.named)
        });
    }

    fn noticed(&mut self, notice: Option<&str>, replayed: bool, step: StepId, call: &Call) {
        let Some(notice) = notice else {
            if replayed && self.seen(step).detached {
                self.reach(Reached::DetachThenReissue);
            }
            return;
        };
        if notice.starts_with("identical to") {
            self.reach(Reached::SuspectNotice);
            if call.step == step && self.seen(step).named {
                self.reach(Reached::TwinsBothRun);
            }
        } else if notice.starts_with("joined to") {
            self.reach(Reached::AdoptedInFlight);
        } else if self.seen(step).detached {
            self.reach(Reached::DetachThenReissue);
        }
    }

    fn told_stop(&mut self, journal: &Crash, upstream: &Upstream, call: &Call, wish: &Wish, stop: &Stop, now: u64) {
        let step = stop.step;
        let row = journal.step(step).ok().flatten();
        match stop.code {
            Code::RepeatUnconfirmed => self.reach(Reached::SuspectConfirm),
            Code::DuplicateSuppressed if stop.why.contains("not kept") => self.reach(Reached::TombstoneHit),
            Code::IdempotencyConflict if call.leg.is_some() => self.reach(Reached::LegConflict),
            Code::OutcomeUnknown if call.args != wish.args && stop.executed == Executed::Unknown => {
                self.reach(Reached::JitterStopped);
            }
            _ => {}
        }
        match stop.executed {
            Executed::Yes => {
                let tag = self.seen(step).tag;
                let excused = self.is_excused(step);
                self.check(Invariant::I5, excused || tag == 0 || upstream.count(tag) > 0, || {
                    format!("{step} was told {} and nothing happened for {tag}", stop.code)
                });
                self.durable_as(step, row.as_ref(), Executed::Yes);
                self.seen(step).told_yes = true;
                if row.as_ref().is_some_and(|row| row.expired) {
                    self.reach(Reached::TombstoneHit);
                }
            }
            Executed::No => {
                self.told_no(upstream, step, now);
                if stop.code == Code::NotApplied {
                    self.durable_as(step, row.as_ref(), Executed::No);
                }
            }
            Executed::Unknown => self.told_unknown(row.as_ref(), step, stop, now),
        }
    }

    fn durable_as(&mut self, step: StepId, row: Option<&StepRow>, executed: Executed) {
        let stored = row.filter(|row| row.status.state == State::Closed).and_then(|row| row.status.outcome);
        let holds = stored.map(Outcome::executed) == Some(executed);
        self.check(Invariant::I4, holds, || format!("{step} was told {executed}, and the journal has {stored:?}"));
    }

    /// Nothing of it has happened, and nothing of it happens from now on.
    fn told_no(&mut self, upstream: &Upstream, step: StepId, _now: u64) {
        let flights = upstream.flights.iter().filter(|flight| flight.step == step);
        let mut last = None;
        let mut applied = false;
        for flight in flights {
            last = last.max(Some(flight.attempt));
            applied |= flight.applied && flight.tool != Tool::Get;
        }
        let excused = self.is_excused(step);
        self.check(Invariant::I5, excused || !applied, || format!("{step} was told not to have happened, and it has"));
        let seen = self.seen(step);
        seen.told_no = seen.told_no.max(last);
    }

    /// "Nobody knows" needs a cause: else it would do as the answer to everything.
    fn told_unknown(&mut self, row: Option<&StepRow>, step: StepId, stop: &Stop, now: u64) {
        if stop.code != Code::OutcomeUnknown || row.is_none_or(|row| row.status.outcome != Some(Outcome::Unknown)) {
            return;
        }
        let disturbed = now < self.disturbed_until;
        let troubled = self.seen(step).troubled;
        self.check(Invariant::I13, troubled || disturbed, || {
            format!("{step} is unknown without a cause: {}", stop.why)
        });
    }
}

#[derive(Clone, Copy)]
struct Told<'a> {
    step: StepId,
    result: &'a Bytes,
    replayed: bool,
    notice: Option<&'a str>,
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|one| one == part)
}
