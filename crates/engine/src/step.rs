//! One step in memory: what it intends, where it is, and who waits for it.

use crate::attempt::evidence::Evidence;
use crate::input::{Call, TaskEnd, Undoes};
use crate::output::Purpose;
use crate::readback::ReadingBack;
use crate::resolve::Probing;
use crate::rollback::Undoing;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use policy::ToolRules;
use vocab::{
    Bytes, CallId, Cause, Code, Delivered, Epoch, Hash, Instant, Outcome, State, StepId, StepIntent, StepRow,
    StepStatus, Verification,
};

/// Where a step is in this process, finer than its stored state.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Waits behind another step of its lane.
    InLane,
    /// What was there before is being read.
    Preimage,
    /// The intent, or the right to another attempt, is on its way to the disk.
    Claiming,
    /// An attempt is out.
    Sent,
    Backoff,
    /// A receipt came; the world is being read back.
    ReadingBack(ReadingBack),
    /// The outcome is on its way to the disk.
    Closing,
    /// It may have happened.
    Resolving(Probing),
    NeedsHuman,
    AwaitingInput,
    RemoteTask,
    /// The outcome is durable; answers may still be on their way.
    Settled,
}

/// A read of the world that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) number: u32,
    pub(crate) purpose: Purpose,
    pub(crate) since: Instant,
}

#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) intent: Arc<StepIntent>,
    pub(crate) status: StepStatus,
    /// That its row had when it was read; zero for a step that began here.
    pub(crate) epoch: Epoch,
    pub(crate) rules: Arc<ToolRules>,
    pub(crate) phase: Phase,
    /// The answer to release: the JSON-RPC result.
    pub(crate) result: Option<Bytes>,
    /// The upstream's JSON-RPC error, where that is the answer.
    pub(crate) error: Option<Bytes>,
    pub(crate) why: String,
    /// The upstream's hint, where it ended the attempts.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) waiters: Vec<CallId>,
    /// The caller whose link attempts go through.
    pub(crate) link: CallId,
    pub(crate) wire: Option<Hash>,
    /// Until when attempts may begin.
    pub(crate) deadline: Instant,
    /// The journal has its row. Reads never have one.
    pub(crate) stored: bool,
    /// Only the tombstone is left of it.
    pub(crate) expired: bool,
    /// Reasons to keep it in memory: answers on their way, a permit in use.
    pub(crate) holds: u32,
    /// The last byte of its answer has gone out, and nothing has broken the stream so far.
    pub(crate) flushed: bool,
    /// Number of the last look-up that had begun when it was delivered: those calls were made without its answer.
    pub(crate) delivered_after: u64,
    /// Callers that were told that it is not known, and have not come back for what became of it.
    pub(crate) owed: u32,
    /// One of them has asked what became of it, and was told.
    pub(crate) was_asked_after: bool,
    /// Number of what it has to tell: an answer that went out before does not tell of it.
    pub(crate) telling: u32,
    pub(crate) leaves_after: Option<u64>,
    pub(crate) due: Option<Instant>,
    pub(crate) stream_due: Option<Instant>,
    pub(crate) save_due: Option<Instant>,
    /// The commit that is waited for.
    pub(crate) ticket: Option<u64>,
    /// Tries to write the outcome that failed.
    pub(crate) unsaved: u32,

    /// Whoever sent it ended before this process began, which is the latest that a byte of it can have left.
    pub(crate) sent_before: Option<Instant>,
    /// An attempt is out and may still answer.
    pub(crate) out: bool,
    /// An attempt that has ended may have had its effect.
    pub(crate) maybe: bool,
    /// It was read from the journal, where a later step can have its key.
    pub(crate) from_journal: bool,
    /// Attempts before this execution of the step began.
    pub(crate) attempts_before: u32,
    /// What the last attempt showed.
    pub(crate) last: Option<Evidence>,
    /// A cancel was forwarded.
    pub(crate) cancelled: bool,
    /// Number of the lane's admission, to see whether a later one came.
    pub(crate) admission: u64,
    /// Found `dispatched` at start: the next caller of the same key may have it sent again.
    pub(crate) resend_on_demand: bool,
    /// The step whose `run_again` this one uses up.
    pub(crate) permit: Option<StepId>,
    /// The step that asked for the input which this one brings, until it is over.
    pub(crate) continues: Option<StepId>,
    /// The change that it takes back.
    pub(crate) undoes: Option<Undoes>,
    /// The name of that change, which is known after a restart too.
    pub(crate) compensates: Option<StepId>,

    pub(crate) reads: u32,
    pub(crate) reading: Option<Reading>,
    pub(crate) last_read_at: Option<Instant>,
    /// The answer of a mutation failed its checks: it is assumed to have run.
    pub(crate) bad_answer: bool,
    /// Another step of ours may explain what an inferred read shows.
    pub(crate) shadowed: bool,
    /// The local process group that may have worked on it is dead.
    pub(crate) group_dead: bool,
    pub(crate) unknown_since: Option<Instant>,
    /// `unknown` is durable, so that it may be told.
    pub(crate) unknown_saved: bool,
    /// Its lane waits until no copy of it can land any more.
    pub(crate) lane_held: bool,
    /// Its task ended before its name was durable.
    pub(crate) task_end: Option<TaskEnd>,
}

impl Live {
    pub(crate) fn of(call: &Call, generation: u32, now: Instant) -> Self {
        let rules = &call.rules;
        let upstream_key = match generation {
            0 => call.upstream_key.clone(),
            _ => call.upstream_key.as_ref().map(|_| checks::identity::upstream_key(&call.key, generation)),
        };
        let intent = Arc::new(StepIntent {
            step: call.step,
            key: call.key,
            generation,
            key_source: call.key_source,
            fingerprint: call.fingerprint,
            content: call.content,
            scope: call.scope,
            tenant: call.tenant.clone(),
            principal: call.principal.clone(),
            run: call.run,
            upstream: rules.upstream.clone(),
            tool: rules.tool.clone(),
            effect: rules.effect,
            effect_source: rules.effect_source,
            policy: rules.policy,
            lane: call.lane.clone(),
            args: call.args.clone(),
            upstream_key,
            preimage: None,
            undo: call.registered(),
            created_at: now,
        });
        Self {
            link: call.call,
            wire: call.wire,
            deadline: call.deadline,
            continues: call.continues(),
            undoes: call.undoes.clone(),
            compensates: call.undoes.as_ref().map(Undoes::change),
            ..Self::new(intent, StepStatus::new(State::Intent), rules.clone(), Phase::InLane)
        }
    }

    /// A step from the journal.
    pub(crate) fn from_row(row: StepRow, rules: Arc<ToolRules>, phase: Phase) -> Self {
        let attempts_before = row.status.attempt;
        Self {
            stored: true,
            expired: row.expired,
            epoch: row.epoch,
            result: row.result,
            from_journal: true,
            attempts_before,
            ..Self::new(row.intent, row.status, rules, phase)
        }
    }

    fn new(intent: Arc<StepIntent>, status: StepStatus, rules: Arc<ToolRules>, phase: Phase) -> Self {
        Self {
            intent,
            status,
            epoch: Epoch(0),
            rules,
            phase,
            result: None,
            error: None,
            why: String::new(),
            retry_after: None,
            waiters: Vec::new(),
            link: CallId(0),
            wire: None,
            deadline: Instant::ZERO,
            stored: false,
            expired: false,
            holds: 0,
            flushed: false,
            delivered_after: 0,
            owed: 0,
            was_asked_after: false,
            telling: 0,
            leaves_after: None,
            due: None,
            stream_due: None,
            save_due: None,
            ticket: None,
            unsaved: 0,
            sent_before: None,
            out: false,
            maybe: false,
            from_journal: false,
            attempts_before: 0,
            last: None,
            cancelled: false,
            admission: 0,
            resend_on_demand: false,
            permit: None,
            continues: None,
            undoes: None,
            compensates: None,
            reads: 0,
            reading: None,
            last_read_at: None,
            bad_answer: false,
            shadowed: false,
            group_dead: false,
            unknown_since: None,
            unknown_saved: false,
            lane_held: false,
            task_end: None,
        }
    }

    pub(crate) fn id(&self) -> StepId {
        self.intent.step
    }

    pub(crate) fn is_mutation(&self) -> bool {
        self.intent.effect.is_mutation()
    }

    /// It may have happened, and nobody knows yet.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.phase, Phase::Resolving(_) | Phase::NeedsHuman)
    }

    /// It is being closed without having run, because its own caller left: that says nothing about whoever comes now.
    pub(crate) fn ends_for_its_caller(&self) -> bool {
        matches!(self.phase, Phase::Closing)
            && self.status.told == Some(Code::Cancelled)
            && self.status.outcome == Some(Outcome::NotExecuted)
    }

    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Settled)
    }

    /// It asked for input, and another step brought it: what happened then is that step's to tell.
    pub(crate) fn is_continued(&self) -> bool {
        self.is_settled() && self.status.outcome == Some(Outcome::NotExecuted) && self.status.cause == Some(Cause::Held)
    }

    /// Its one copy did what it was sent for, so that nothing of it is to come, even while its stream is open.
    pub(crate) fn had_its_effect(&self) -> bool {
        self.is_settled()
            && self.status.attempt == 1
            && matches!(self.status.outcome, Some(Outcome::Succeeded | Outcome::Applied))
    }

    /// It is certain that it had no effect, nor has anything that continues it.
    pub(crate) fn is_void(&self) -> bool {
        self.is_settled()
            && matches!(self.status.outcome, Some(Outcome::NotExecuted | Outcome::Refused))
            && !self.is_continued()
            && !self.expired
    }

    /// It had no effect because its own caller left, which says nothing about another one.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.status.told == Some(Code::Cancelled) && self.status.outcome == Some(Outcome::NotExecuted)
    }

    /// Had its answer arrived when the call was made that began this look-up?
    pub(crate) fn was_delivered(&self, asked: u64) -> bool {
        self.status.delivered > Delivered::No && self.delivered_after < asked
    }

    /// Attempts of this execution.
    pub(crate) fn attempts(&self) -> u32 {
        self.status.attempt.saturating_sub(self.attempts_before)
    }

    /// Sets what is known at the end. The phase moves when it is durable.
    pub(crate) fn conclude(&mut self, now: Instant, outcome: Outcome, cause: Cause, verification: Verification) {
        conclude(&mut self.status, now, outcome, cause, verification);
    }
}

pub(crate) fn conclude(
    status: &mut StepStatus,
    now: Instant,
    outcome: Outcome,
    cause: Cause,
    verification: Verification,
) {
    status.state = State::Closed;
    status.outcome = Some(outcome);
    status.cause = Some(cause);
    status.verification = verification;
    status.closed_at = Some(now);
    status.next_action_at = None;
}

/// What a getter shows of a step in memory.
#[derive(Debug)]
pub struct StepView<'a> {
    live: &'a Live,
}

impl<'a> StepView<'a> {
    pub(crate) fn new(live: &'a Live) -> Self {
        Self { live }
    }

    pub fn intent(&self) -> &'a Arc<StepIntent> {
        &self.live.intent
    }

    pub fn status(&self) -> &'a StepStatus {
        &self.live.status
    }

    pub fn rules(&self) -> &'a Arc<ToolRules> {
        &self.live.rules
    }

    /// The receipt, while it is being verified.
    pub fn result(&self) -> Option<&'a Bytes> {
        self.live.result.as_ref()
    }

    pub fn why(&self) -> &'a str {
        &self.live.why
    }

    pub fn waiters(&self) -> usize {
        self.live.waiters.len()
    }

    /// The change that it takes back.
    pub fn undoes(&self) -> Option<&'a Arc<Undoing>> {
        self.live.undoes.as_ref().map(|undoes| &undoes.undoing)
    }

    /// The read of the world that is under way: its number and what it is for.
    pub fn reading(&self) -> Option<(u32, Purpose)> {
        self.live.reading.map(|reading| (reading.number, reading.purpose))
    }
}
