//! The end of a conversation, and what begins when a session with an upstream is opened for it.

use super::Conversation;
use super::channel::Channel;
use super::lists::List;
use crate::hub::Scope;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vocab::Name;

impl Conversation {
    /// Ends it: streams end, questions are declined. Calls that were sent go on to their outcome.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.decline_all();
        self.ended.cancel();
        self.own.close();
        // Each closes its session once nothing is in flight on it.
        drop(self.channels.take_all());
    }

    /// The upstream is not there any more, or is another one: what comes next opens a session anew, if there is one.
    pub(crate) fn let_go(&self, upstream: &Name) {
        // As at the end: what was sent goes on to its outcome.
        let channels = self.channels.take(upstream);
        if matches!(self.scope, Scope::All) {
            let had = |list: &List| channels.iter().any(|channel| channel.has(&[list.capability()]));
            for list in [List::Tools, List::Prompts, List::Resources].into_iter().filter(had) {
                self.changed_here(list);
            }
        }
    }

    /// A session with an upstream is open: it is brought to where the client believes it to be.
    pub(super) fn opened(self: &Arc<Self>, channel: &Arc<Channel>) {
        self.core.known.shook_hands(&channel.upstream, channel.handshake());
        self.restore(channel);
        if matches!(self.scope, Scope::All) && self.catalogue.lock().missing.remove(&channel.upstream) {
            // It was not there when the lists were asked for.
            for list in [List::Tools, List::Prompts, List::Resources] {
                if channel.has(&[list.capability()]) {
                    self.changed_here(list);
                }
            }
        }
    }
}
