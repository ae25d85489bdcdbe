//! What waits for one caller: phases, its answer, and the attempts of a read that its own task makes.

use crate::api::{Delivery, Link, Phase, Reply};
use crate::attempt::Send;
use crate::report::About;
use crate::tools::Tool;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use vocab::{CallId, StepId};

pub(crate) enum Item {
    Phase(Phase),
    /// Make this attempt yourself.
    Send(Box<Send>),
    /// Give the attempt up that you make.
    Abandon,
    Reply(Reply, Delivery),
}

pub(crate) struct Slot {
    pub(crate) call: CallId,
    /// The step that this call makes if it is a new one.
    pub(crate) step: StepId,
    pub(crate) tool: Arc<Tool>,
    pub(crate) about: Arc<About>,
    pub(crate) link: Arc<dyn Link>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    waker: Option<Waker>,
}

impl Slot {
    pub(crate) fn new(call: CallId, step: StepId, tool: Arc<Tool>, about: About, link: Arc<dyn Link>) -> Arc<Self> {
        Arc::new(Self { call, step, tool, about: Arc::new(about), link, state: Mutex::default() })
    }

    pub(crate) fn is_mutation(&self) -> bool {
        self.about.effect.is_mutation()
    }

    /// Queues an item. Wake afterwards, outside of locks.
    pub(crate) fn push(&self, item: Item) {
        let mut state = self.state.lock();
        // Whoever does not listen needs to hear of the latest phase only: that bounds the queue.
        if let (Item::Phase(_), Some(last @ Item::Phase(_))) = (&item, state.items.back_mut()) {
            *last = item;
        } else {
            state.items.push_back(item);
        }
    }

    pub(crate) fn wake(&self) {
        let waker = self.state.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Next item. Nobody is woken until `park`.
    pub(crate) fn take(&self) -> Option<Item> {
        let mut state = self.state.lock();
        state.waker = None;
        state.items.pop_front()
    }

    /// What nobody takes any more. To be dropped outside of locks: an answer in it calls back.
    pub(crate) fn take_all(&self) -> VecDeque<Item> {
        std::mem::take(&mut self.state.lock().items)
    }

    /// Asks to be woken; false when something is there already.
    pub(crate) fn park(&self, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        if !state.items.is_empty() {
            return false;
        }
        state.waker = Some(waker.clone());
        true
    }
}

/// The attempt that somebody should have begun.
pub(crate) fn not_begun(items: &VecDeque<Item>) -> Option<(StepId, u32)> {
    items.iter().fold(None, |waiting, item| match item {
        Item::Send(send) => Some((send.intent.step, send.number)),
        Item::Abandon => None,
        Item::Phase(_) | Item::Reply(..) => waiting,
    })
}
