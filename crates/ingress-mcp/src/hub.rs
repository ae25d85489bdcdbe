//! All conversations of the door: who may begin one, how many there are, when they end.

use crate::conversation::Conversation;
use crate::keys;
use crate::known::Known;
use crate::seam::{Guard, Upstreams};
use crate::settings::Settings;
use http::HeaderMap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vocab::Name;

/// Whose messages these are, as the transport found out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    pub tenant: Name,
    pub principal: Name,
}

/// What stands behind an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All upstreams, their names prefixed.
    All,
    /// One upstream, its names as they are.
    One(Name),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session over HTTP, which begins with `initialize`.
    Session,
    /// Requests of 2026-07-28 over HTTP: each stands for itself, all of one caller share this conversation.
    Stateless,
    /// A pipe: one client, of either era.
    Pipe,
}

/// What a transport knows of one message beside its bytes.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// `Cofferdam-Run`.
    pub run: Option<String>,
    /// `Idempotency-Key`. One that is no text is passed on all the same: it is refused, not ignored.
    pub idempotency_key: Option<String>,
    pub traceparent: Option<String>,
    /// What the client is at, when it says so outside of the message: tells unnamed runs apart.
    pub task: Option<String>,
    /// `Mcp-Param-*` by their lower-case names, where these mirror arguments of the body: 2026-07-28 over HTTP.
    pub mirrored: Option<Vec<(String, String)>>,
    /// Names the request on its connection, where the transport may deliver it twice. Sessions name theirs themselves.
    pub wire: Option<String>,
    /// How long the caller will wait.
    pub patience: Option<Duration>,
}

impl Origin {
    /// What the headers of an HTTP request say.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut origin = Self::default();
        for (name, value) in headers {
            let said = match name.as_str() {
                keys::RUN_HEADER => &mut origin.run,
                keys::KEY_HEADER => &mut origin.idempotency_key,
                "traceparent" => &mut origin.traceparent,
                _ => continue,
            };
            // Of several the first.
            said.get_or_insert_with(|| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
        }
        origin
    }

    /// The same for one member of a batch: a key gets its position.
    pub fn at(&self, position: usize) -> Self {
        let key = self.idempotency_key.as_ref().map(|key| format!("{key}#{position}"));
        Self { idempotency_key: key, ..self.clone() }
    }
}

/// Why no conversation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("begin a conversation: there is no such upstream")]
    UnknownUpstream,
    #[error("begin a conversation: there are too many")]
    TooMany,
    #[error("begin a conversation: the gateway is shutting down")]
    Draining,
}

/// What every conversation needs.
pub(crate) struct Core {
    pub settings: Settings,
    pub guard: Arc<dyn Guard>,
    pub upstreams: Arc<dyn Upstreams>,
    pub known: Known,
    pub tasks: TaskTracker,
    /// Set when nothing new may begin.
    pub stop: CancellationToken,
}

/// How often idle conversations are looked for.
const SWEEP: Duration = Duration::from_secs(15);

/// The door to all upstreams, without a transport.
pub struct Hub {
    core: Arc<Core>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    sessions: HashMap<Arc<str>, Arc<Conversation>>,
    /// One for all stateless requests of a caller to an endpoint.
    shared: HashMap<(Caller, Scope), Arc<Conversation>>,
}

impl Hub {
    /// Has to be called inside of a Tokio runtime.
    pub fn new(settings: Settings, guard: Arc<dyn Guard>, upstreams: Arc<dyn Upstreams>) -> Arc<Self> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let core = Arc::new(Core { settings, guard, upstreams, known: Known::default(), tasks, stop });
        let hub = Arc::new(Self { core, book: Mutex::default() });
        let (swept, stop) = (Arc::downgrade(&hub), hub.stopping());
        hub.core.tasks.spawn(stop.run_until_cancelled_owned(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(hub) = swept.upgrade() else { return };
                hub.sweep();
            }
        }));
        hub
    }

    /// # Errors
    /// There is no such upstream, there are too many conversations, or the gateway is shutting down.
    //= S-07
    pub fn conversation(
        self: &Arc<Self>,
        caller: Caller,
        scope: Scope,
        kind: Kind,
    ) -> Result<Arc<Conversation>, Refused> {
        if self.core.stop.is_cancelled() {
            return Err(Refused::Draining);
        }
        if let Scope::One(name) = &scope
            && !self.core.upstreams.names().contains(name)
        {
            return Err(Refused::UnknownUpstream);
        }
        let mut book = self.book.lock();
        if kind == Kind::Stateless
            && let Some(known) = book.shared.get(&(caller.clone(), scope.clone())).filter(|known| !known.is_closed())
        {
            return Ok(Arc::clone(known));
        }
        book.make_room(self.core.settings.sessions_max)?;
        let conversation = Conversation::new(&self.core, caller.clone(), scope.clone(), kind);
        match kind {
            Kind::Stateless => {
                book.shared.insert((caller, scope), Arc::clone(&conversation));
            }
            Kind::Session | Kind::Pipe => {
                book.sessions.insert(conversation.id().into(), Arc::clone(&conversation));
            }
        }
        Ok(conversation)
    }

    /// A session that this caller began before; another's is not found.
    pub fn session(&self, caller: &Caller, scope: &Scope, id: &str) -> Option<Arc<Conversation>> {
        let found = self.book.lock().sessions.get(id).map(Arc::clone)?;
        (!found.is_closed() && found.caller() == caller && found.scope() == scope).then_some(found)
    }

    /// Of one message of a client.
    pub fn limits(&self) -> &mcp::Limits {
        &self.core.settings.limits
    }

    /// An upstream has left the policy, or its name means another one now: conversations that go on are to call what the
    /// policy says. What was sent to it goes on to its outcome.
    pub fn let_go(&self, upstream: &Name) {
        self.core.known.forget(upstream);
        let all = self.book.lock().all();
        for conversation in &all {
            conversation.let_go(upstream);
        }
    }

    /// Is cancelled when the gateway shuts down.
    pub fn stopping(&self) -> CancellationToken {
        self.core.stop.clone()
    }

    /// May requests be sent here?
    pub fn is_ready(&self) -> bool {
        !self.core.stop.is_cancelled()
    }

    /// Begins nothing new, waits for what is under way, then ends all conversations.
    pub async fn drain(&self) {
        self.core.stop.cancel();
        let all = self.book.lock().all();
        for conversation in &all {
            conversation.finished().await;
            conversation.close();
        }
        self.core.tasks.close();
        self.core.tasks.wait().await;
    }

    /// Ends what has been idle for too long.
    fn sweep(&self) {
        let idle = self.core.settings.idle;
        let mut book = self.book.lock();
        for conversation in book.all() {
            conversation.drop_stale();
            if conversation.idle().is_some_and(|quiet| quiet >= idle) {
                conversation.close();
            }
        }
        book.forget_closed();
    }
}

impl Book {
    fn all(&self) -> Vec<Arc<Conversation>> {
        self.sessions.values().chain(self.shared.values()).map(Arc::clone).collect()
    }

    fn forget_closed(&mut self) {
        self.sessions.retain(|_, conversation| !conversation.is_closed());
        self.shared.retain(|_, conversation| !conversation.is_closed());
    }

    fn make_room(&mut self, max: usize) -> Result<(), Refused> {
        if self.sessions.len() + self.shared.len() < max {
            return Ok(());
        }
        self.forget_closed();
        if self.sessions.len() + self.shared.len() < max {
            return Ok(());
        }
        let stalest = self.stalest().ok_or(Refused::TooMany)?;
        stalest.close();
        self.forget_closed();
        Ok(())
    }

    /// Of the caller that has the most, the one that was not used for longest: who floods the door pays for it.
    fn stalest(&self) -> Option<Arc<Conversation>> {
        let mut held: HashMap<&Caller, Held<'_>> = HashMap::new();
        for one in self.sessions.values().chain(self.shared.values()) {
            let held = held.entry(one.caller()).or_default();
            held.count += 1;
            if let Some(idle) = one.idle()
                && held.stalest.is_none_or(|(longest, _)| idle > longest)
            {
                held.stalest = Some((idle, one));
            }
        }
        let most = held.into_values().filter(|held| held.stalest.is_some()).max_by_key(|held| held.count)?;
        most.stalest.map(|(_, one)| Arc::clone(one))
    }
}

/// What one caller has of the conversations.
#[derive(Default)]
struct Held<'b> {
    count: usize,
    /// The one that was idle longest.
    stalest: Option<(Duration, &'b Arc<Conversation>)>,
}
