//! Equal content under another key: a re-issue of what may not have arrived is taken as the old step, a repeat of what
//! did arrive is the policy's to judge. Bias: a repeat that was suppressed can be seen and mended, a duplicate cannot.

use crate::Engine;
use crate::admission::Admitted;
use crate::call::Caller;
use crate::input::{Call, Continues};
use crate::step::{Live, Phase};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use policy::Repeat;
use vocab::{Code, EventKind, Instant, KeySource, Outcome, StepId, StepRow};

/// What an earlier step of equal content means for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twin {
    /// Nothing stands against running it.
    Run,
    /// A person allowed one more.
    Permit(StepId),
    /// It may have happened: first find out.
    Resolve(StepId),
    /// Its answer did not arrive, or its caller has gone: this is its re-issue.
    Adopt(StepId),
    /// It was done, and the caller knows; or both are meant.
    Repeat(StepId),
}

impl Engine {
    //= S-23
    pub(super) fn other_key(&mut self, now: Instant, admitted: Admitted, row: Option<StepRow>) {
        let call = &admitted.call;
        let since = now - call.rules.reissue_window;
        let row = row.filter(|row| row.status.closed_at.unwrap_or(row.intent.created_at) >= since);
        let remembered = row.as_ref().map(|row| row.intent.step);
        if let Some(row) = row {
            self.remember(now, row, call);
        }
        match self.twin(call, admitted.asked, since) {
            Twin::Run => self.begin(now, admitted),
            Twin::Permit(earlier) => self.begin(now, Admitted { permit: Some(earlier), ..admitted }),
            Twin::Resolve(earlier) => self.defer(now, admitted, earlier),
            Twin::Adopt(earlier) => self.adopt(now, admitted.call, earlier),
            // Its content holds the state and the input: it is that very leg, whose name nobody remembers.
            Twin::Repeat(earlier) if call.continues == Continues::Unknown => self.adopt(now, admitted.call, earlier),
            Twin::Repeat(earlier) => self.repeat(now, admitted, earlier),
        }
        if let Some(remembered) = remembered {
            self.try_forget(remembered);
        }
    }

    /// First find out what became of the earlier one; then this call is decided.
    pub(super) fn defer(&mut self, now: Instant, admitted: Admitted, earlier: StepId) {
        let call = admitted.call;
        let mut caller = Caller::of(&call, earlier, now);
        let id = call.call;
        caller.deferred = Some(call);
        caller.reserves = admitted.reopens;
        if let Some(own) = admitted.reopens.and_then(|own| self.table.get_mut(own)) {
            own.holds += 1;
        }
        self.wait_for(now, id, caller);
        self.resend_on_demand(now, earlier);
    }

    fn twin(&self, call: &Call, asked: u64, since: Instant) -> Twin {
        let twins = || self.table.by_content(&call.content).rev().filter(|live| live.intent.scope == call.scope);
        if let Some(live) = twins().find(|live| live.status.run_again && (live.is_settled() || live.is_unknown())) {
            return Twin::Permit(live.id());
        }
        if let Some(live) = twins().find(|live| live.is_unknown()) {
            return Twin::Resolve(live.id());
        }
        // It ends without having run, and its own key may open it again at once: what is said now would be untrue.
        if let Some(live) = twins().find(|live| matches!(live.phase, Phase::Closing) && live.is_abandoned()) {
            return Twin::Resolve(live.id());
        }
        let until = |live: &Live| live.status.closed_at.unwrap_or(live.intent.created_at);
        let recent = |live: &&Live| !live.is_settled() || until(live) >= since;
        twins().filter(recent).find_map(|live| meaning(call, asked, live)).unwrap_or(Twin::Run)
    }

    /// MCP's re-issue under a new id: attach or replay, and say so.
    //= S-23
    fn adopt(&mut self, now: Instant, call: Box<Call>, earlier: StepId) {
        let Some(live) = self.table.get(earlier) else { return };
        let other =
            if live.intent.fingerprint == call.fingerprint { "" } else { ", which had other arguments besides" };
        let notice = match (&live.phase, live.status.outcome) {
            (Phase::Settled, Some(Outcome::Applied)) => format!("already applied (step {earlier}){other}"),
            (Phase::Settled, _) => {
                format!(
                    "answer of step {earlier}{other}, which is not known to have arrived: nothing was executed again"
                )
            }
            _ => format!("joined to step {earlier}{other}, which is still under way"),
        };
        match live.phase {
            Phase::Settled => self.replay(now, &call, earlier, Some(notice), EventKind::Adopted),
            Phase::RemoteTask if live.ticket.is_none() && live.unsaved == 0 => self.replay_pending(&call, earlier),
            _ => self.attach(now, call, earlier, Some(notice)),
        }
    }

    /// The model repeats itself.
    //= S-23
    fn repeat(&mut self, now: Instant, admitted: Admitted, earlier: StepId) {
        let call = &admitted.call;
        let Some(live) = self.table.get(earlier) else { return };
        let age = now.since(live.intent.created_at).as_secs();
        let is_settled = live.is_settled();
        let notice: Option<String> = match call.rules.repeat {
            Repeat::Allow => None,
            Repeat::Notice => Some(format!("identical to step {earlier}, {age} s ago")),
            Repeat::Confirm => {
                let why = format!("identical to step {earlier}, {age} s ago; a person has to allow a second execution");
                return self.refuse(now, call, Code::RepeatUnconfirmed, Some(earlier), why);
            }
            Repeat::Deny if is_settled => {
                let notice = Some(format!("result of step {earlier}, not executed again"));
                return self.replay(now, call, earlier, notice, EventKind::Replayed);
            }
            Repeat::Deny => {
                let notice = Some(format!("joined to step {earlier}, not executed again"));
                return self.attach(now, admitted.call, earlier, notice);
            }
        };
        self.begin(now, Admitted { notice, ..admitted });
    }
}

/// `None`: this one says nothing, an older one may.
fn meaning(call: &Call, asked: u64, live: &Live) -> Option<Twin> {
    let id = live.id();
    let delivered = live.was_delivered(asked);
    let both_named = call.key_source != KeySource::Fresh && live.intent.key_source != KeySource::Fresh;
    match live.phase {
        Phase::Settled => match live.status.outcome? {
            Outcome::NotExecuted | Outcome::Refused | Outcome::Absent => None,
            _ if live.expired => None,
            // The model corrects itself with other arguments, or tries what failed once more.
            Outcome::Failed if delivered || live.flushed => Some(Twin::Run),
            Outcome::Failed if live.intent.fingerprint != call.fingerprint => Some(Twin::Run),
            _ if delivered => Some(Twin::Repeat(id)),
            // Two ids of one turn: the first answer has gone out, and nobody has broken the stream.
            _ if both_named && live.flushed => Some(Twin::Repeat(id)),
            _ => Some(Twin::Adopt(id)),
        },
        // Nothing of it has run: this is its continuation, or another try.
        Phase::AwaitingInput => None,
        Phase::RemoteTask if delivered || both_named => Some(Twin::Repeat(id)),
        Phase::RemoteTask => Some(Twin::Adopt(id)),
        // Two ids in one model turn: both are meant, while both callers are there.
        _ if both_named && !live.waiters.is_empty() => Some(Twin::Repeat(id)),
        _ => Some(Twin::Adopt(id)),
    }
}
