//! Steps in memory, found by id, by key, by content and by wire request.

use crate::step::{Live, Phase};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use vocab::{Hash, KeySource, StepId};

#[derive(Default)]
pub(crate) struct Table {
    steps: BTreeMap<StepId, Box<Live>>,
    /// The latest generation under each key.
    keys: BTreeMap<Hash, StepId>,
    /// Mutations only. Ids sort by time of arrival.
    contents: BTreeMap<Hash, BTreeSet<StepId>>,
    wires: BTreeMap<Hash, StepId>,
    mutations: usize,
    unknown: usize,
    /// Look-ups under way, by number; a step leaves memory only when no older look-up could miss it.
    recalls: BTreeSet<u64>,
    recall_next: u64,
    leaving: VecDeque<(u64, StepId)>,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(crate) fn mutations(&self) -> usize {
        self.mutations
    }

    pub(crate) fn reads(&self) -> usize {
        self.steps.len() - self.mutations
    }

    pub(crate) fn unknown_count(&self) -> usize {
        self.unknown
    }

    pub(crate) fn get(&self, id: StepId) -> Option<&Live> {
        self.steps.get(&id).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: StepId) -> Option<&mut Live> {
        self.steps.get_mut(&id).map(Box::as_mut)
    }

    pub(crate) fn insert(&mut self, live: Box<Live>) {
        let id = live.id();
        // A read without a name of its own can never be asked for again.
        if live.is_mutation() || live.intent.key_source != KeySource::Fresh {
            let newest =
                self.by_key(&live.intent.key).and_then(|other| self.get(other)).map(|one| one.intent.generation);
            if newest.is_none_or(|generation| generation <= live.intent.generation) {
                self.keys.insert(live.intent.key, id);
            }
        }
        if live.is_mutation() {
            self.mutations += 1;
            self.contents.entry(live.intent.content).or_default().insert(id);
            if let Some(wire) = live.wire {
                self.wires.insert(wire, id);
            }
        }
        self.unknown += usize::from(live.is_unknown());
        self.steps.insert(id, live);
    }

    /// Moves a step on; keeps the count of unknown steps.
    pub(crate) fn enter(&mut self, id: StepId, phase: Phase) {
        if let Some(live) = self.steps.get_mut(&id) {
            self.unknown -= usize::from(live.is_unknown());
            live.phase = phase;
            self.unknown += usize::from(live.is_unknown());
        }
    }

    pub(crate) fn by_key(&self, key: &Hash) -> Option<StepId> {
        self.keys.get(key).copied()
    }

    pub(crate) fn by_wire(&self, wire: &Hash) -> Option<StepId> {
        self.wires.get(wire).copied()
    }

    /// Mutations of equal content, oldest first, whoever called.
    pub(crate) fn by_content(&self, content: &Hash) -> impl DoubleEndedIterator<Item = &Live> {
        self.contents.get(content).into_iter().flatten().filter_map(|id| self.get(*id))
    }

    pub(crate) fn recall_begins(&mut self) -> u64 {
        self.recall_next += 1;
        self.recalls.insert(self.recall_next);
        self.recall_next
    }

    /// Number of the last look-up that has begun.
    pub(crate) fn last_recall(&self) -> u64 {
        self.recall_next
    }

    /// Returns the steps that nobody can miss any more.
    pub(crate) fn recall_ended(&mut self, number: u64) -> Vec<StepId> {
        self.recalls.remove(&number);
        let oldest = self.recalls.first().copied().unwrap_or(u64::MAX);
        let mut gone = Vec::new();
        while let Some(&(at, id)) = self.leaving.front() {
            if at >= oldest {
                break;
            }
            self.leaving.pop_front();
            gone.push(id);
        }
        gone
    }

    /// May a durable, settled step go at once? Otherwise it is kept until the look-ups that began before now have
    /// ended, because they may not have seen it in the journal.
    pub(crate) fn may_go(&mut self, id: StepId) -> bool {
        if self.recalls.is_empty() {
            return true;
        }
        let number = self.recall_next;
        if let Some(live) = self.steps.get_mut(&id)
            && live.leaves_after != Some(number)
        {
            live.leaves_after = Some(number);
            self.leaving.push_back((number, id));
        }
        false
    }

    pub(crate) fn remove(&mut self, id: StepId) -> Option<Box<Live>> {
        let live = self.steps.remove(&id)?;
        self.unknown -= usize::from(live.is_unknown());
        self.mutations -= usize::from(live.is_mutation());
        if self.keys.get(&live.intent.key) == Some(&id) {
            self.keys.remove(&live.intent.key);
        }
        if let Some(list) = self.contents.get_mut(&live.intent.content) {
            list.remove(&id);
            if list.is_empty() {
                self.contents.remove(&live.intent.content);
            }
        }
        if let Some(wire) = live.wire
            && self.wires.get(&wire) == Some(&id)
        {
            self.wires.remove(&wire);
        }
        Some(live)
    }
}
