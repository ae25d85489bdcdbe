//! The upstreams of the policy in force: sessions for callers, and the gateway's own for lists and probes.

use crate::upstreams::{Kept, Own, config};
use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ingress_mcp::Upstreams;
use policy::{Policy, Transport, Upstream};
use runtime::{Attempt, Reader, TaskAsk};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use upstream::{Config, ConnectOptions, Session, Sink, connect};
use vocab::{Failure, FailureKind, Name};

/// An own session that nobody needs ends after this, and with it a child process. Longer than any one request.
const IDLE: Duration = Duration::from_secs(120);

/// All upstreams, replaceable while calls go on.
pub struct Roster {
    members: ArcSwap<Vec<Arc<Member>>>,
    kept: Kept,
    tasks: TaskTracker,
    /// Wakes the learner.
    news: Arc<Notify>,
}

/// One upstream.
pub struct Member {
    pub name: Name,
    pub own: Own,
    /// As the policy has it, to see whether a new policy means another one.
    written: Upstream,
    config: Arc<Config>,
    /// Its tools are not known, or not any more.
    stale: Arc<AtomicBool>,
}

impl Roster {
    pub fn new(policy: &Policy, kept: Kept) -> Arc<Self> {
        let roster =
            Self { members: ArcSwap::default(), kept, tasks: TaskTracker::new(), news: Arc::new(Notify::new()) };
        roster.take_over(policy);
        Arc::new(roster)
    }

    /// Takes over the upstreams of a policy. One that means the same keeps its sessions; gives those that left.
    pub fn replace(&self, policy: &Policy) -> Vec<Arc<Member>> {
        let left = self.take_over(policy);
        self.news.notify_one();
        left
    }

    fn take_over(&self, policy: &Policy) -> Vec<Arc<Member>> {
        let old = self.members.load_full();
        let member = |written: &Upstream| {
            let known = old.iter().find(|member| is_same(&member.written, written));
            known.map_or_else(|| Arc::new(self.member(written)), Arc::clone)
        };
        let new = policy.upstreams.iter().map(member).collect::<Vec<_>>();
        let left = old.iter().filter(|member| !new.iter().any(|one| Arc::ptr_eq(one, member)));
        let left = left.map(Arc::clone).collect();
        self.members.store(Arc::new(new));
        left
    }

    pub fn members(&self) -> Arc<Vec<Arc<Member>>> {
        self.members.load_full()
    }

    /// Comes back when tools have to be learnt.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Ends own sessions that have been idle.
    pub async fn sweep(&self) {
        for member in self.members().iter() {
            member.own.sweep(IDLE).await;
        }
    }

    /// Ends all own sessions, and with them their children.
    pub async fn close(&self) {
        for member in self.members().iter() {
            member.own.close().await;
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn member(&self, written: &Upstream) -> Member {
        let config = config(written, &self.kept);
        let stale = Arc::new(AtomicBool::new(true));
        let changed = {
            let (stale, news) = (Arc::clone(&stale), Arc::clone(&self.news));
            move || {
                stale.store(true, Ordering::Release);
                news.notify_one();
            }
        };
        let own = Own::new(Arc::clone(&config), self.tasks.clone(), Arc::new(changed));
        Member { name: Arc::clone(&written.name), own, written: written.clone(), config, stale }
    }

    fn find(&self, name: &str) -> Result<Arc<Member>, Failure> {
        let members = self.members();
        let found = members.iter().find(|member| &*member.name == name);
        found.map(Arc::clone).ok_or_else(|| Failure::new(FailureKind::NotSent, "the policy has no such upstream"))
    }
}

impl Member {
    /// Whether its tools have to be learnt; asking takes the mark away.
    pub fn take_stale(&self) -> bool {
        self.stale.swap(false, Ordering::AcqRel)
    }
}

/// Everything that a session depends on; secrets are compared and never shown.
fn is_same(one: &Upstream, other: &Upstream) -> bool {
    let pairs = |pairs: &[(String, policy::Secret)]| {
        pairs.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect::<Vec<_>>()
    };
    let transport = match (&one.transport, &other.transport) {
        (
            Transport::Stdio { command, env, cwd },
            Transport::Stdio { command: other_command, env: other_env, cwd: other_cwd },
        ) => {
            let text =
                |parts: &[policy::Expanded]| parts.iter().map(|part| part.expose().to_owned()).collect::<Vec<_>>();
            let place = |cwd: &Option<policy::Expanded>| cwd.as_ref().map(|cwd| cwd.expose().to_owned());
            text(command) == text(other_command) && pairs(env) == pairs(other_env) && place(cwd) == place(other_cwd)
        }
        (Transport::Http { url, headers }, Transport::Http { url: other_url, headers: other_headers }) => {
            url.expose() == other_url.expose() && pairs(headers) == pairs(other_headers)
        }
        _ => false,
    };
    let rest = |one: &Upstream| (one.name.clone(), one.revision.clone(), one.limits, one.connect_timeout);
    transport && rest(one) == rest(other)
}

impl Upstreams for Roster {
    fn names(&self) -> Vec<Name> {
        self.members().iter().map(|member| Arc::clone(&member.name)).collect()
    }

    fn open(
        &self,
        upstream: &Name,
        options: ConnectOptions,
        sink: Sink,
    ) -> BoxFuture<'static, Result<Arc<dyn Session>, Failure>> {
        let member = self.find(upstream);
        async move { connect(Arc::clone(&member?.config), options, sink).await }.boxed()
    }
}

impl Reader for Roster {
    fn read(&self, upstream: Name, tool: Name, args: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let member = self.find(&upstream);
        async move { member?.own.read(&tool, &args).await }.boxed()
    }

    fn task(&self, upstream: Name, ask: TaskAsk, task: Name) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let member = self.find(&upstream);
        async move { member?.own.task(ask.method(), &task).await }.boxed()
    }

    fn send(
        &self,
        upstream: Name,
        tool: Name,
        args: Bytes,
        attempt: Attempt,
    ) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let member = self.find(&upstream);
        async move { member?.own.send(&tool, &args, &attempt).await }.boxed()
    }
}
