//! The runtime as doors and the binary hold it.

use crate::alarm::{self, Alarm};
use crate::api::{CallError, Delivery, Reader, Request, TaskAsk};
use crate::books::Books;
use crate::clock::Clock;
use crate::health::Health;
use crate::ids::Ids;
use crate::legs::Legs;
use crate::pending::Pending;
use crate::resolve::ResolveError;
use crate::rollback::{Attested, Report, RollbackError, Statement, Turns};
use crate::settings::Settings;
use crate::shell::{Shell, Unlisted};
use crate::status::StatusView;
use crate::tools::Tools;
use crate::{keep, recovery, replicas};
use arc_swap::ArcSwap;
use bytes::Bytes;
use engine::{Act, Config, Engine, TaskEnd};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use journal::Journal;
use parking_lot::Mutex;
use policy::{Policy, ToolFacts};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vocab::{Name, RunId, StepId, StepRow};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("start the runtime: it needs a tokio runtime around it")]
    NoTokio,
    #[error("find the steps that were left open")]
    Recovery(#[source] journal::Error),
}

/// The guarded step, behind one handle that is cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    shell: Arc<Shell>,
}

impl Runtime {
    /// Starts inside a tokio runtime: tells the journal whom to notify, takes over what was left open, and begins the
    /// chores. Blocks for the read of the open steps.
    ///
    /// # Errors
    /// There is no tokio runtime, or the journal cannot be read.
    pub fn start(
        settings: Settings,
        policy: Arc<Policy>,
        journal: Arc<dyn Journal>,
        reader: Arc<dyn Reader>,
    ) -> Result<Self, Error> {
        let handle = Handle::try_current().map_err(|_| Error::NoTokio)?;
        let config = Config {
            steps_max: settings.steps_max,
            waiters_max: settings.waiters_max,
            ..Config::new(journal.start().epoch)
        };
        let shell = Arc::new(Shell {
            clock: Clock::new(),
            handle,
            policy: ArcSwap::new(policy),
            tools: Tools::default(),
            legs: Legs::new(settings.leg_ttl),
            journal,
            waiting: Default::default(),
            reader,
            tasks: TaskTracker::new(),
            chores: TaskTracker::new(),
            stop: CancellationToken::new(),
            alarm: Arc::new(Alarm::new()),
            quiet: Notify::new(),
            moved: Notify::new(),
            poisoned: watch::Sender::new(None),
            troubled_at: AtomicU64::new(0),
            ids: Ids::default(),
            turns: Turns::default(),
            books: Mutex::new(Books::new(Engine::new(config))),
            settings,
        });
        let told = Arc::downgrade(&shell);
        shell.journal.on_durable(Arc::new(move |done| {
            if let Some(shell) = told.upgrade() {
                shell.durable(done);
            }
        }));
        begin_chores(&shell);
        let left = match shell.journal.replicas() {
            None => shell.journal.open_steps(),
            Some(shared) => shared.begin(replicas::tell(&shell)),
        };
        recovery::recover(&shell, left.map_err(Error::Recovery)?);
        Ok(Self { shell })
    }

    /// Begins a call. Nothing of it waits for the disk or the network; the answer comes through `Pending`.
    ///
    /// # Errors
    /// The call is no step: an unknown tool, arguments that are no JSON object, or the gateway is closing.
    pub fn call(&self, request: Request) -> Result<Pending, CallError> {
        self.shell.call(request, Unlisted::Refused)
    }

    /// Begins a call of a tool that its upstream cannot be asked for, by the rules of the policy alone: what the journal
    /// knows of it is told, and a link that sends nothing makes a new step one that was not executed.
    ///
    /// # Errors
    /// As for `call`, but for the unknown tool.
    pub fn call_unlisted(&self, request: Request) -> Result<Pending, CallError> {
        self.shell.call(request, Unlisted::Assumed)
    }

    /// One page of an upstream's `tools/list`, as it came.
    pub fn learn(&self, upstream: &Name, tools_list_result: &Bytes) {
        self.shell.tools.learn(upstream, tools_list_result);
    }

    /// The upstream's list changed. What is known stays usable until the list is learnt again.
    pub fn forget(&self, upstream: &Name) {
        self.shell.tools.forget(upstream);
    }

    pub fn tool_known(&self, upstream: &Name, tool: &str) -> bool {
        self.shell.tools.get(upstream, tool).is_some()
    }

    /// What the upstreams said about their tools so far: the data behind what is effectively enforced.
    pub fn tools(&self) -> Vec<(Name, Vec<ToolFacts>)> {
        self.shell.tools.all()
    }

    /// The task that an upstream made of a step was seen to end, in whatever answer passed.
    pub fn task_ended(&self, step: StepId, end: TaskEnd) {
        self.shell.task_ended(step, end);
    }

    /// An upstream's answer about a task, asked for by this caller, passed: the result of `tasks/get` and its like.
    pub fn task_answered(&self, tenant: &Name, principal: &Name, of: (&Name, &str), ask: TaskAsk, result: &Bytes) {
        self.shell.task_answered((tenant, principal), of, ask, result);
    }

    /// What is known of a step of this caller; without a step, of its open ones. Asking may hurry a probe. Whether the
    /// answer arrives is to be reported: whoever got the outcome this way has it as if the call had been answered.
    pub fn status(
        &self,
        tenant: &Name,
        principal: &Name,
        step: Option<StepId>,
    ) -> BoxFuture<'static, (StatusView, Delivery)> {
        self.shell.status(tenant, principal, step)
    }

    pub fn policy(&self) -> Arc<Policy> {
        self.shell.policy.load_full()
    }

    /// From the next call on. Steps in flight keep the rules under which they began.
    pub fn reload(&self, policy: Arc<Policy>) {
        self.shell.policy.store(policy);
    }

    /// Records what a person says about a step. It is durable when this is `Ok`.
    pub fn resolve(
        &self,
        step: StepId,
        act: Act,
        who: String,
        why: String,
    ) -> BoxFuture<'static, Result<StepRow, ResolveError>> {
        Arc::clone(&self.shell).resolve(step, act, who, why).boxed()
    }

    /// What of a run can be taken back now, or of what came after the step `to`. Nothing is changed.
    pub fn rollback_plan(&self, run: RunId, to: Option<StepId>) -> BoxFuture<'static, Result<Report, RollbackError>> {
        Arc::clone(&self.shell).rollback_plan(run, to).boxed()
    }

    /// Takes a run back, or what came after the step `to`: the latest change first. Asked again, it goes on where it
    /// was.
    ///
    /// # Cancel safety
    /// It goes on to its end when the future is dropped.
    pub fn rollback(
        &self,
        run: RunId,
        to: Option<StepId>,
        who: String,
        why: String,
    ) -> BoxFuture<'static, Result<Report, RollbackError>> {
        Arc::clone(&self.shell).rollback(run, to, who, why).boxed()
    }

    /// Holds an agent's claims about a run against the journal.
    pub async fn attest(&self, run: RunId, statements: Vec<Statement>) -> Result<Vec<Attested>, RollbackError> {
        let journal = Arc::clone(&self.shell.journal);
        let judged = tokio::task::spawn_blocking(move || crate::rollback::attest(&*journal, run, &statements)).await;
        judged.unwrap_or_else(|error| Err(journal::Error::Read(error.to_string()).into()))
    }

    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.shell.journal
    }

    pub fn health(&self) -> Health {
        self.shell.health()
    }

    /// Comes back when the journal cannot be trusted any more: the process must end, and recover from disk.
    pub async fn poisoned(&self) -> journal::Error {
        let mut watch = self.shell.poisoned.subscribe();
        let found = watch.wait_for(Option::is_some).await.ok().and_then(|error| error.clone());
        found.unwrap_or(journal::Error::Closed)
    }

    /// Refuses new calls, waits up to `bound` for those in flight, and closes the journal.
    pub async fn drain(&self, bound: Duration) {
        self.shell.drain(bound).await;
    }
}

fn begin_chores(shell: &Arc<Shell>) {
    let stop = shell.stop.clone();
    let alarm = alarm::run(Arc::clone(&shell.alarm), Arc::downgrade(shell));
    shell.chores.spawn_on(stop.clone().run_until_cancelled_owned(alarm), &shell.handle);
    let keeper = keep::run(Arc::downgrade(shell), shell.settings.maintain_every);
    shell.chores.spawn_on(stop.run_until_cancelled_owned(keeper), &shell.handle);
}
