//! The open sessions of one client, one for each upstream: opened when first needed and again when closed.

use super::Conversation;
use super::channel::Channel;
use super::hello::Hello;
use crate::Map;
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use std::sync::Arc;
use vocab::{Failure, Name};

type Opening = Shared<BoxFuture<'static, Result<Arc<Channel>, Failure>>>;

#[derive(Default)]
pub struct Channels {
    slots: Mutex<Map<(Name, Bytes), Arc<Slot>>>,
}

#[derive(Default)]
struct Slot {
    current: ArcSwapOption<Channel>,
    opening: Mutex<Option<Opening>>,
}

/// Stateless callers of one conversation that differ in what they say of themselves.
const CALLERS_MAX: usize = 64;

impl Channels {
    fn slot(&self, upstream: &Name, hello: &Hello) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(&(Arc::clone(upstream), hello.key.clone())) {
            return Arc::clone(slot);
        }
        if slots.keys().filter(|(name, _)| name == upstream).count() >= CALLERS_MAX {
            // Those that nobody uses at this moment can be opened again.
            slots.retain(|_, slot| slot.current.load().as_ref().is_none_or(|channel| !channel.is_idle()));
        }
        let slot = Arc::new(Slot::default());
        slots.insert((Arc::clone(upstream), hello.key.clone()), Arc::clone(&slot));
        slot
    }

    /// All that are open.
    pub fn open(&self) -> Vec<Arc<Channel>> {
        self.slots.lock().values().filter_map(|slot| slot.current.load_full()).filter(|one| !one.is_closed()).collect()
    }

    /// Those with one upstream.
    pub fn take(&self, upstream: &Name) -> Vec<Arc<Channel>> {
        let mut slots = self.slots.lock();
        let gone = slots.extract_if(|(name, _), _| name == upstream);
        gone.filter_map(|(_, slot)| slot.current.swap(None)).collect()
    }

    /// One that is open to this upstream.
    fn any(&self, upstream: &Name) -> Option<Arc<Channel>> {
        let slots = self.slots.lock();
        let own = slots.iter().filter(|((name, _), _)| name == upstream).map(|(_, slot)| slot);
        own.filter_map(|slot| slot.current.load_full()).find(|one| !one.is_closed())
    }

    pub fn take_all(&self) -> Vec<Arc<Channel>> {
        let slots = std::mem::take(&mut *self.slots.lock());
        slots.into_values().filter_map(|slot| slot.current.swap(None)).collect()
    }
}

impl Conversation {
    /// The session with an upstream. A dead upstream is asked again each time, by one opener at a time.
    pub(crate) async fn channel(
        self: &Arc<Self>,
        upstream: &Name,
        hello: &Arc<Hello>,
    ) -> Result<Arc<Channel>, Failure> {
        let slot = self.channels.slot(upstream, hello);
        if let Some(channel) = slot.current.load_full().filter(|channel| !channel.is_closed()) {
            return Ok(channel);
        }
        self.opening(&slot, upstream, hello).await
    }

    fn opening(self: &Arc<Self>, slot: &Arc<Slot>, upstream: &Name, hello: &Arc<Hello>) -> Opening {
        let mut opening = slot.opening.lock();
        if let Some(known) = &*opening {
            return known.clone();
        }
        let (conversation, own, hello) = (Arc::clone(self), Arc::clone(slot), Arc::clone(hello));
        let channel = Channel::new(&self.core, upstream, &hello);
        let session = self.core.upstreams.open(upstream, hello.options.clone(), channel.sink(self));
        let future = async move {
            let opened = match session.await {
                Ok(session) => {
                    channel.attach(session);
                    if !conversation.is_closed() {
                        own.current.store(Some(Arc::clone(&channel)));
                    }
                    conversation.opened(&channel);
                    Ok(channel)
                }
                Err(failure) => {
                    tracing::warn!(upstream = %channel.upstream, why = %failure.detail, "the upstream cannot be reached");
                    Err(failure)
                }
            };
            *own.opening.lock() = None;
            opened
        };
        let future = future.boxed().shared();
        *opening = Some(future.clone());
        drop(opening);
        // Goes on when those who wait for it give up: the next one finds it open.
        self.core.tasks.spawn(future.clone());
        future
    }
}

impl Conversation {
    /// Does the upstream speak the stateless era, as far as anyone knows?
    pub(crate) fn is_upstream_stateless(&self, upstream: &Name) -> bool {
        if let Some(open) = self.channels.any(upstream) {
            return open.is_stateless();
        }
        let handshake = self.core.known.server(upstream);
        let server = handshake.and_then(|handshake| mcp::views::Server::read(&handshake).ok());
        server.is_some_and(|server| !server.supported_versions.is_empty())
    }
}
