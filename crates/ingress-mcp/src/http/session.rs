//! What HTTP adds to a conversation that is a session: an id that nobody guesses, and streams that can be taken up again.

use super::replay::{OWN, Pool, Position, Replay};
use crate::conversation::Conversation;
use crate::{Caller, Exchange, Out, OwnStream, Scope};
use bytes::Bytes;
use futures_util::Stream;
use mcp::Revision;
use parking_lot::Mutex;
use runtime::Delivery;
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Streams of one session whose client is away; the one that was left first goes first.
const LEFT_MAX: usize = 16;

pub(super) struct Session {
    pub id: Box<str>,
    pub conversation: Arc<Conversation>,
    pub replay: Replay,
    flows: Mutex<HashMap<u32, Arc<Flow>>>,
}

/// One stream, whichever connection it is read through.
struct Flow {
    number: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    source: Option<Source>,
    /// The newest reader; an older one ends.
    reader: u64,
    /// Since when nobody reads.
    left: Option<Instant>,
}

enum Source {
    Exchange(Exchange),
    Own(OwnStream),
}

impl Session {
    pub fn new(id: Box<str>, conversation: Arc<Conversation>, pool: &Arc<Pool>) -> Arc<Self> {
        Arc::new(Self { id, conversation, replay: Replay::new(pool), flows: Mutex::default() })
    }

    pub fn belongs_to(&self, caller: &Caller, upstream: Option<&str>) -> bool {
        let scope = match (self.conversation.scope(), upstream) {
            (Scope::All, None) => true,
            (Scope::One(name), Some(upstream)) => &**name == upstream,
            _ => false,
        };
        scope && self.conversation.caller() == caller
    }

    /// Was it idle for so long that the hub ends it when it looks next?
    pub fn is_stale(&self) -> bool {
        let longest = self.conversation.core.settings.idle;
        self.conversation.idle().is_some_and(|quiet| quiet >= longest)
    }

    pub fn revision(&self) -> Option<Revision> {
        self.conversation.revision().and_then(Revision::parse)
    }

    /// The first connection that reads what a request brings about.
    pub fn begin(self: &Arc<Self>, exchange: Exchange) -> Reader {
        let flow = Arc::new(Flow { number: self.replay.open(), state: Mutex::default() });
        let mut flows = self.flows.lock();
        flows.insert(flow.number, Arc::clone(&flow));
        let gone = Self::make_room(&mut flows);
        drop(flows);
        drop(gone);
        flow.take_over(self, Some(Source::Exchange(exchange)))
    }

    /// A connection that reads what no request brought about; an older one ends.
    pub fn own(self: &Arc<Self>) -> Reader {
        let flow = Arc::clone(
            self.flows.lock().entry(OWN).or_insert_with(|| Arc::new(Flow { number: OWN, state: Mutex::default() })),
        );
        flow.take_over(self, Some(Source::Own(self.conversation.own_stream())))
    }

    /// A new connection for a stream that broke: what was missed, and the rest. `None`: nothing of it is left.
    pub fn resume(self: &Arc<Self>, position: Position) -> Option<(VecDeque<Bytes>, Option<Reader>)> {
        let reader = if position.flow == OWN {
            Some(self.own())
        } else {
            let flow = self.flows.lock().get(&position.flow).cloned();
            flow.map(|flow| flow.take_over(self, None))
        };
        // After the older reader was stopped, so that nothing falls between.
        let live = reader.as_ref().is_some_and(Reader::is_live);
        (live || self.replay.is_over(position.flow)).then(|| (self.replay.after(position), reader.filter(|_| live)))
    }

    /// Gives up streams that their clients left long ago.
    pub fn sweep(&self, resume: Duration) {
        let mut gone = Vec::new();
        self.flows.lock().retain(|_, flow| {
            let keep = flow.state.lock().left.is_none_or(|left| left.elapsed() < resume);
            if !keep {
                gone.push(Arc::clone(flow));
            }
            keep
        });
        // Ending an exchange says that its client has left: not under the lock.
        drop(gone);
    }

    /// The client is done with it, or it was idle for too long.
    pub fn end(&self) {
        self.conversation.close();
        self.sweep(Duration::ZERO);
    }

    fn make_room(flows: &mut HashMap<u32, Arc<Flow>>) -> Option<Arc<Flow>> {
        let left: Vec<(Instant, u32)> =
            flows.values().filter_map(|flow| Some((flow.state.lock().left?, flow.number))).collect();
        let (_, oldest) = left.iter().min().filter(|_| left.len() > LEFT_MAX)?;
        flows.remove(oldest)
    }

    fn forget(&self, flow: u32) {
        let gone = self.flows.lock().remove(&flow);
        drop(gone);
    }
}

impl Flow {
    fn take_over(self: Arc<Self>, session: &Arc<Session>, source: Option<Source>) -> Reader {
        let mut state = self.state.lock();
        state.reader += 1;
        state.left = None;
        let number = state.reader;
        let older = match source {
            Some(source) => state.source.replace(source),
            None => None,
        };
        drop(state);
        drop(older);
        Reader { session: Arc::clone(session), flow: self, number }
    }
}

/// One connection's reading of a stream. Dropping it leaves the stream for a while, for the client to come back.
pub(super) struct Reader {
    session: Arc<Session>,
    flow: Arc<Flow>,
    number: u64,
}

impl Reader {
    pub fn flow(&self) -> u32 {
        self.flow.number
    }

    fn is_live(&self) -> bool {
        self.flow.state.lock().source.is_some()
    }

    /// Numbers a message of this stream that was taken before the stream began.
    pub fn record(&self, out: Out) -> (Bytes, Option<Delivery>) {
        (self.session.replay.record(self.flow.number, &out.message, out.last), out.delivery)
    }

    /// The next event, and whether it is the last one.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(Bytes, Option<Delivery>, bool)>> {
        let mut state = self.flow.state.lock();
        if state.reader != self.number {
            return Poll::Ready(None);
        }
        let next = match &mut state.source {
            None => None,
            Some(Source::Exchange(exchange)) => std::task::ready!(Pin::new(exchange).poll_next(context)),
            Some(Source::Own(own)) => std::task::ready!(Pin::new(own).poll_next(context)).map(|message| Out {
                message,
                last: false,
                delivery: None,
                refusal: None,
            }),
        };
        let last = next.as_ref().is_none_or(|out| out.last);
        let over = if last { state.source.take() } else { None };
        // Recorded under the lock: who takes over sees it as past or gets it itself.
        let event = next.map(|out| {
            let wire = self.session.replay.record(self.flow.number, &out.message, out.last);
            (wire, out.delivery, last)
        });
        drop(state);
        if last && self.flow.number != OWN {
            self.session.forget(self.flow.number);
        }
        drop(over);
        Poll::Ready(event)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.flow.state.lock();
        if state.reader != self.number {
            return;
        }
        let ended = if self.flow.number == OWN { state.source.take() } else { None };
        state.left = Some(Instant::now());
        drop(state);
        drop(ended);
        // The client has a while to come back, unless the session has ended.
        self.session.conversation.touch();
        if self.session.conversation.is_closed() {
            self.session.sweep(Duration::ZERO);
        }
    }
}
