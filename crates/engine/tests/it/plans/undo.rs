//! Changes of random plans are taken back, with kills on the way: what the rows say is never better than what is so.

use super::{Look, Run, pick};
use crate::ask::{checked, exact, rules};
use engine::rollback::{Standing, Way};
use engine::{Input, ReadEnd};
use policy::{Consistency, Judgement, Strength, ToolRules};
use std::time::Duration;
use vocab::{Effect, RollbackStatus, StepId, StepStatus};

/// From here on tags are those of compensations, one for each change.
const FIRST: u8 = 100;

/// A third of the compensators cannot be read back, a third is read by key, a third late.
fn compensator(tag: u8) -> ToolRules {
    let effect = [Effect::Write, Effect::Destructive, Effect::Keyed][usize::from(tag % 3)];
    let mut rules = match tag / 3 % 3 {
        0 => exact(effect),
        1 => rules(effect),
        _ => checked(effect, Strength::Exact, Consistency::Eventual),
    };
    rules.quiescence = super::upstream::QUIESCENCE;
    rules.attempt_timeout = Duration::from_secs(8);
    rules.step_timeout = Duration::from_secs(15);
    rules.detached_max = Duration::from_secs(20);
    rules
}

impl Run {
    /// Asks for a change to be taken back, in whatever order: what each says must hold without the others.
    pub(super) fn undo(&mut self, which: usize) {
        let changes: Vec<StepId> = self.changes();
        let Some(id) = pick(&changes, which) else { return };
        let change = self.world.change(id);
        if !matches!(change.way, Way::Call(_)) || (change.next().is_none() && change.tries.is_empty()) {
            return;
        }
        let next = FIRST + u8::try_from(self.undone.len()).expect("few");
        let tag = *self.undone.entry(id).or_insert(next);
        let number = self.world.undo(&change, compensator(tag));
        self.upstream.tags.insert(crate::ask::step(number), tag);
        self.tags.insert(vocab::CallId(number), tag);
        self.waiting.insert(vocab::CallId(number));
    }

    /// Rows that are no compensations.
    fn changes(&self) -> Vec<StepId> {
        let rows = self.world.rows.keys().copied();
        rows.filter(|id| self.upstream.tags.get(id).is_some_and(|tag| *tag < FIRST)).collect()
    }

    /// What it wrote still stands, or somebody else has changed it, or nobody can say.
    pub(super) fn stands(&mut self, id: StepId, read: u32, look: Look) {
        let end = match look {
            Look::Now => ReadEnd::Judged(Judgement::Applied),
            Look::Stale => ReadEnd::Judged(Judgement::Different),
            Look::Failed => ReadEnd::Failed("no route".into()),
        };
        self.world.input(Input::ReadEnded { step: id, read, end });
    }

    //= S-04
    pub(super) fn standings_are_true(&mut self) {
        for id in self.changes() {
            let standing = self.standing(id);
            let undone = self.undone.get(&id).map_or(0, |tag| self.upstream.count(*tag));
            match standing.status {
                RollbackStatus::NotNeeded => {
                    assert_eq!(self.upstream.by_step(id), 0, "{id} had an effect: {standing:?}");
                    assert!(!self.upstream.may_land(id, self.world.now), "{id} may have an effect: {standing:?}");
                }
                RollbackStatus::RevertedVerified | RollbackStatus::RevertedUnverified => {
                    assert_eq!(undone, 1, "{id} was not taken back: {standing:?}");
                    self.was_last(id);
                }
                RollbackStatus::NotAttempted | RollbackStatus::Conflict => {
                    assert_eq!(undone, 0, "{id} was taken back: {standing:?}");
                }
                _ => {}
            }
        }
    }

    /// As its rows have it; what they said before is remembered with them, because reading expressions takes its time.
    fn standing(&mut self, id: StepId) -> Standing {
        let rows = &self.world.rows;
        let tag = self.undone.get(&id).copied();
        let undoing = self.upstream.tags.iter().filter(|(_, of)| Some(**of) == tag).map(|(step, _)| *step);
        let said: Vec<StepStatus> =
            [id].into_iter().chain(undoing).filter_map(|step| rows.get(&step)).map(|row| row.status.clone()).collect();
        if let Some((before, standing)) = self.standings.get(&id)
            && *before == said
        {
            return standing.clone();
        }
        let standing = self.world.change(id).standing();
        self.reached.insert(standing.status);
        self.standings.insert(id, (said, standing.clone()));
        standing
    }

    /// Nothing of the change came after it was taken back, or can.
    fn was_last(&self, id: StepId) {
        let undone_at = self.undone.get(&id).and_then(|tag| self.upstream.first_at(*tag));
        let last_at = self.upstream.last_of(id);
        assert!(last_at <= undone_at, "{id} took effect after it was taken back");
        // A keyed copy that comes late is dropped by the upstream, which knows the key.
        if self.world.rows[&id].intent.effect != Effect::Keyed {
            assert!(!self.upstream.may_land(id, self.world.now), "{id} may take effect after it was taken back");
        }
    }
}
