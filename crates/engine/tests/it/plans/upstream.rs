//! The upstream of random plans: attempts that are out, what they did, and the ledger.

use crate::world::World;
use engine::{Answer, AnswerKind, AttemptEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use vocab::{Bytes, Effect, Failure, FailureKind, Instant, Name, StepId};

/// How long it may go on with a request whose sender has gone.
pub const QUIESCENCE: Duration = Duration::from_secs(10);

pub const ERROR: &[u8] = b"{\"isError\":true}";

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Done, truly.
    Done,
    /// `isError`, and nothing was done.
    Error,
    /// Done, and the answer is misshapen.
    Bad,
    /// The stream broke. The effect may be there, come later, or never.
    Lost,
    Busy,
    /// Nothing was done, and that is attested.
    Refused,
    NotSent,
    Exit,
}

struct Out {
    step: StepId,
    attempt: u32,
    key: Option<Name>,
    effect: Effect,
    /// Since when nobody listens.
    ended: Option<Instant>,
    applied: bool,
    /// It never reached a tool.
    dead: bool,
}

/// One effect.
#[derive(Debug)]
struct Entry {
    step: StepId,
    effect: Effect,
    at: Instant,
}

#[derive(Default)]
pub struct Upstream {
    pub tags: BTreeMap<StepId, u8>,
    attempts: Vec<Out>,
    taken: usize,
    abandoned: usize,
    /// How often each intent took effect, and which step did it.
    ledger: BTreeMap<u8, Vec<Entry>>,
    keys: BTreeSet<Name>,
    /// How often an intent may take effect, where a person allowed more than once.
    pub allowed: BTreeMap<u8, usize>,
}

impl Upstream {
    /// Takes in what was sent and given up.
    pub fn take(&mut self, world: &World) {
        for sent in &world.sends[self.taken..] {
            let effect = world.rows[&sent.step].intent.effect;
            self.attempts.push(Out {
                step: sent.step,
                attempt: sent.attempt,
                key: sent.key.clone(),
                effect,
                ended: None,
                applied: false,
                dead: false,
            });
        }
        self.taken = world.sends.len();
        for (step, (before, at)) in world.abandons.iter().zip(&world.sent_before).skip(self.abandoned) {
            for out in self.attempts[..*before].iter_mut().filter(|out| out.step == *step && out.ended.is_none()) {
                out.ended = Some(*at);
            }
        }
        self.abandoned = world.abandons.len();
    }

    pub fn sender_died(&mut self, now: Instant) {
        for out in self.attempts.iter_mut().filter(|out| out.ended.is_none()) {
            out.ended = Some(now);
        }
    }

    /// Some attempt that can still take effect does.
    pub fn effect(&mut self, which: usize, now: Instant) {
        let able: Vec<usize> = (0..self.attempts.len()).filter(|at| self.attempts[*at].may_land(now)).collect();
        if let Some(at) = super::pick(&able, which) {
            self.run(at, now);
        }
    }

    fn run(&mut self, at: usize, now: Instant) {
        let out = &mut self.attempts[at];
        if out.applied {
            return;
        }
        out.applied = true;
        if out.effect == Effect::Keyed {
            let key = out.key.clone().expect("a keyed step carries its key");
            if !self.keys.insert(key) {
                return;
            }
        }
        let tag = self.tags[&out.step];
        let entry = Entry { step: out.step, effect: out.effect, at: now };
        self.ledger.entry(tag).or_default().push(entry);
    }

    /// Some attempt that somebody listens to ends.
    pub fn end(&mut self, which: usize, end: End, now: Instant) -> Option<(StepId, u32, AttemptEnd)> {
        let open: Vec<usize> = (0..self.attempts.len()).filter(|at| self.attempts[*at].ended.is_none()).collect();
        let at = super::pick(&open, which)?;
        let end = self.honest(at, end);
        if matches!(end, End::Done | End::Bad) {
            self.run(at, now);
        }
        let out = &mut self.attempts[at];
        out.ended = Some(now);
        out.dead = matches!(end, End::Error | End::Refused | End::NotSent);
        Some((out.step, out.attempt, shape(end)))
    }

    /// What has had its effect is neither refused nor reported as an error that did nothing.
    fn honest(&self, at: usize, end: End) -> End {
        match end {
            End::Error | End::Refused | End::NotSent if self.attempts[at].applied => End::Done,
            end => end,
        }
    }

    pub fn count(&self, tag: u8) -> usize {
        self.ledger.get(&tag).map_or(0, Vec::len)
    }

    /// What a reader saw at that time.
    pub fn count_at(&self, tag: u8, at: Instant) -> usize {
        self.ledger.get(&tag).map_or(0, |effects| effects.iter().filter(|effect| effect.at <= at).count())
    }

    /// When an intent first took effect.
    pub fn first_at(&self, tag: u8) -> Option<Instant> {
        self.ledger.get(&tag)?.first().map(|effect| effect.at)
    }

    /// When a step last took effect.
    pub fn last_of(&self, step: StepId) -> Option<Instant> {
        self.ledger.values().flatten().filter(|effect| effect.step == step).map(|effect| effect.at).max()
    }

    pub fn by_step(&self, step: StepId) -> usize {
        self.ledger.values().flatten().filter(|effect| effect.step == step).count()
    }

    /// Can something that was sent for this step still take effect?
    pub fn may_land(&self, step: StepId, now: Instant) -> bool {
        self.attempts.iter().any(|out| out.step == step && out.may_land(now))
    }

    pub fn at_most_once(&self) {
        for (tag, effects) in &self.ledger {
            // An absolute write may be made twice in a row: that leaves the same state.
            if effects.iter().any(|effect| effect.effect != Effect::Idempotent) {
                let most = self.allowed.get(tag).copied().unwrap_or(1);
                assert!(effects.len() <= most, "intent {tag} took effect {} times: {effects:?}", effects.len());
            }
        }
    }
}

impl Out {
    fn may_land(&self, now: Instant) -> bool {
        !self.dead && !self.applied && self.ended.is_none_or(|ended| now < ended + QUIESCENCE)
    }
}

fn shape(end: End) -> AttemptEnd {
    let answer =
        |result: &'static [u8], kind| AttemptEnd::Answered(Answer { result: Bytes::from_static(result), kind });
    let failure = |kind| AttemptEnd::Failed(Failure::new(kind, "pretended"));
    match end {
        End::Done => answer(b"{}", AnswerKind::Done),
        End::Error => answer(ERROR, AnswerKind::ToolError("no such order".into())),
        End::Bad => answer(b"[]", AnswerKind::Bad("not an object".into())),
        End::Lost => failure(FailureKind::Eof),
        End::Busy => failure(FailureKind::Status(503)),
        End::Refused => failure(FailureKind::Status(429)),
        End::NotSent => failure(FailureKind::Connect),
        End::Exit => failure(FailureKind::Exit),
    }
}
