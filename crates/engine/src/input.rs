//! What happens to the engine, as data.

use crate::rollback::Undoing;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use policy::{Judgement, ToolRules};
use vocab::{Bytes, CallId, Failure, Hash, Instant, KeySource, Name, RunId, StepId, StepRow};

/// One intended call, checked and hashed.
#[derive(Debug)]
pub struct Call {
    pub call: CallId,
    /// The id of the step that this call makes if it is a new one.
    pub step: StepId,
    pub key: Hash,
    pub key_source: KeySource,
    pub fingerprint: Hash,
    pub content: Hash,
    pub scope: Hash,
    /// Same while in flight = the same request delivered twice.
    pub wire: Option<Hash>,
    pub tenant: Name,
    pub principal: Name,
    pub run: RunId,
    pub lane: Option<Name>,
    pub args: Bytes,
    pub upstream_key: Option<Name>,
    pub rules: Arc<ToolRules>,
    pub continues: Continues,
    /// What the input boundary found, if the arguments may not pass.
    pub finding: Option<String>,
    /// Until when the caller waits for an answer of its own step.
    pub deadline: Instant,
    /// The change that it takes back.
    pub undoes: Option<Undoes>,
    /// The tool promises structured output, so that a success without it would break clients.
    pub structured: bool,
}

impl Call {
    /// The step that asked for what it brings.
    pub(crate) fn continues(&self) -> Option<StepId> {
        match self.continues {
            Continues::Step(step) => Some(step),
            Continues::Nothing | Continues::Unknown => None,
        }
    }
}

/// What a compensation takes back.
#[derive(Clone, Debug)]
pub struct Undoes {
    pub undoing: Arc<Undoing>,
    /// Which try it is, from 0.
    pub number: u32,
}

impl Undoes {
    pub(crate) fn change(&self) -> StepId {
        self.undoing.change.intent.step
    }

    pub(crate) fn looks(&self) -> bool {
        self.undoing.looks()
    }
}

/// Whether a call brings input that an earlier step asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Continues {
    #[default]
    Nothing,
    /// The step that asked.
    Step(StepId),
    /// It names a state that was not handed out to its caller, or long ago: a mutation may be found under it, not begun.
    Unknown,
}

/// What an earlier look into the journal found.
#[derive(Debug, Default)]
pub struct Recalled {
    pub by_key: Option<StepRow>,
    pub by_content: Option<StepRow>,
}

#[derive(Debug)]
pub enum Input {
    Call(Box<Call>),
    Recalled {
        call: CallId,
        recalled: Box<Recalled>,
    },
    /// The journal could not be read.
    RecallFailed {
        call: CallId,
    },
    Durable {
        ticket: u64,
    },
    NotDurable {
        ticket: u64,
        why: NotDurable,
    },
    AttemptEnded {
        step: StepId,
        attempt: u32,
        end: Box<AttemptEnd>,
    },
    ReadEnded {
        step: StepId,
        read: u32,
        end: ReadEnd,
    },
    Left {
        call: CallId,
        how: Left,
    },
    Arrived {
        call: CallId,
        arrival: Arrival,
    },
    /// Somebody who may know of the step asked what became of it; the answer is on its way under this name.
    AskedAfter {
        call: CallId,
        step: StepId,
    },
    /// The task that the upstream made of a step was seen to end. Ids of tasks may meet: the step is what tells them apart.
    TaskEnded {
        step: StepId,
        end: TaskEnd,
    },
    Person {
        step: StepId,
        act: Act,
        who: String,
        why: String,
    },
    /// A step of the journal, with the rules that its tool has now: one that was found open at start, or a closed one
    /// that a person is about to record something about.
    Recovered {
        row: Box<StepRow>,
        rules: Arc<ToolRules>,
    },
    /// The step that decides about a call is under way at another owner of the journal: found under the call's own key,
    /// or by equal content. To be followed by `LookAgain` when that step has moved on.
    Elsewhere {
        call: CallId,
        row: Box<StepRow>,
        by_key: bool,
    },
    /// What a call waits for at another owner has moved on: it is looked up anew.
    LookAgain {
        call: CallId,
    },
    /// A step that another owner left and may still be sending, with the rules that its tool has now.
    TakenOver {
        row: Box<StepRow>,
        rules: Arc<ToolRules>,
    },
    /// The owner of the journal that this engine serves was taken for dead, and this step is another one's now, if it
    /// began before `since`.
    Disowned {
        step: StepId,
        since: Instant,
    },
    /// Somebody asks: probe now rather than later.
    Hurry {
        step: StepId,
    },
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDurable {
    /// Full disk, closed or overfull journal: nothing was written.
    Unavailable,
    /// Somebody else holds the key, or the epoch is over.
    Fenced,
}

/// How an attempt ended.
#[derive(Debug)]
pub enum AttemptEnd {
    Answered(Answer),
    Failed(Failure),
}

/// A well-formed JSON-RPC result, looked at by the output boundary.
#[derive(Debug)]
pub struct Answer {
    /// The `result` member as it came.
    pub result: Bytes,
    pub kind: AnswerKind,
}

#[derive(Debug)]
pub enum AnswerKind {
    Done,
    /// `isError`, with the head of its text.
    ToolError(String),
    /// Fails its schema or its shape.
    Bad(String),
    /// The upstream wants more input before it does anything.
    InputRequired,
    /// The upstream made a task of it.
    Task(Name),
}

/// A read of the world for a step.
#[derive(Debug)]
pub enum ReadEnd {
    /// For a pre-image: what was read.
    Image(Bytes),
    Judged(Judgement),
    Failed(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Disconnected,
    Cancelled,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    Flushed,
    Seen,
    Lost,
}

#[derive(Debug)]
pub enum TaskEnd {
    Completed(Bytes),
    /// It ended with an `isError` result; this is its text.
    Failed(String),
    /// `cancelled`, or gone: it may have completed all the same.
    Vanished,
}

/// What a person records about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Applied,
    Absent,
    Diverged,
    /// The next call of equal key or content may run once more (`force_new`).
    RunAgain,
}
