//! One caller that waits. The attempts of a read run in its own task, without a hop to another.

use crate::api::{Attempt, Delivery, Phase, Reply};
use crate::attempt::{self, Send};
use crate::failpoint;
use crate::shell::Shell;
use crate::slot::{Item, Slot};
use bytes::Bytes;
use engine::{AttemptEnd, Input};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use vocab::{Failure, FailureKind};

/// What a started call reports.
#[derive(Debug)]
pub enum Event {
    Phase(Phase),
    /// The last one.
    Reply(Reply, Delivery),
}

/// A caller that waits for the answer of a step. Dropping it says that the caller has left: a read is given up, a
/// mutation that was sent goes on.
#[must_use]
pub struct Pending {
    shell: Arc<Shell>,
    slot: Arc<Slot>,
    running: Option<Running>,
    answered: bool,
}

/// A read's attempt that is out.
struct Running {
    send: Box<Send>,
    future: BoxFuture<'static, Result<Bytes, Failure>>,
}

impl Pending {
    pub(crate) const fn new(shell: Arc<Shell>, slot: Arc<Slot>) -> Self {
        Self { shell, slot, running: None, answered: false }
    }

    /// The step that this call makes if it is a new one: what an answer tells of may be an earlier step.
    pub fn step(&self) -> vocab::StepId {
        self.slot.step
    }

    /// Waits for the next event. After the reply nothing more comes.
    ///
    /// # Cancel safety
    /// Nothing is lost: what was under way goes on with the next call of `next`, or is given up when this is dropped.
    pub async fn next(&mut self) -> Event {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// The caller asked for it to be cancelled, which is forwarded once. The reply comes at once and says what is known:
    /// a cancel is a request, never an outcome.
    pub fn cancel(&self) {
        self.shell.cancel(&self.slot);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        loop {
            match self.slot.take() {
                Some(Item::Phase(phase)) => return Poll::Ready(Event::Phase(phase)),
                Some(Item::Send(send)) => {
                    self.begin(send);
                    continue;
                }
                Some(Item::Abandon) => {
                    self.running = None;
                    continue;
                }
                Some(Item::Reply(reply, delivery)) => {
                    if self.slot.is_mutation() {
                        failpoint::hit("before_release");
                    }
                    self.answered = true;
                    return Poll::Ready(Event::Reply(reply, delivery));
                }
                None => {}
            }
            if let Some(running) = &mut self.running
                && let Poll::Ready(result) = running.future.poll_unpin(context)
            {
                let end = running.send.ended(&self.shell, result);
                self.running = None;
                self.shell.feed([end]);
                continue;
            }
            if self.slot.park(context.waker()) {
                return Poll::Pending;
            }
        }
    }

    fn begin(&mut self, send: Box<Send>) {
        let link = Arc::clone(&send.link);
        let future: BoxFuture<'static, _> = match send.attempt() {
            Err(failure) => std::future::ready(Err(failure)).boxed(),
            Ok(attempt) => guarded(link, attempt).boxed(),
        };
        self.running = Some(Running { send, future });
    }
}

async fn guarded(link: Arc<dyn crate::api::Link>, attempt: Attempt) -> Result<Bytes, Failure> {
    let sent = AssertUnwindSafe(async { link.send(attempt).await }).catch_unwind();
    sent.await.unwrap_or_else(|_| Err(attempt::panicked()))
}

impl Drop for Pending {
    fn drop(&mut self) {
        // First the future: dropping it is what cancels a read upstream.
        let ended = self.running.take().map(|running| {
            let failure = Failure::new(FailureKind::CancelSent, "its caller left");
            let (step, attempt) = (running.send.intent.step, running.send.number);
            Input::AttemptEnded { step, attempt, end: Box::new(AttemptEnd::Failed(failure)) }
        });
        if self.answered {
            self.shell.feed(ended);
        } else {
            self.shell.leave(&self.slot, ended);
        }
    }
}
