//! One compensation as a call: named by what it takes back, so that whoever makes it again makes the same step.

use super::link::OwnLink;
use crate::admit;
use crate::api::{CallError, Reply};
use crate::failpoint;
use crate::jobs::Jobs;
use crate::pending::{Event, Pending};
use crate::report::About;
use crate::shell::Shell;
use crate::slot::Slot;
use crate::tools::Tool;
use crate::{Arrival, told};
use engine::Input;
use engine::rollback::Undoing;
use std::sync::Arc;
use std::time::Duration;
use vocab::Name;

/// After a start an upstream may not have told its tools yet. One rollback waits for that once, not for each change.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);
const KNOWN_EVERY: Duration = Duration::from_millis(50);

/// How long tools that are not known yet are waited for.
#[derive(Clone, Copy)]
pub(super) struct Until(tokio::time::Instant);

impl Until {
    pub(super) fn begin() -> Self {
        Self(tokio::time::Instant::now() + KNOWN_WITHIN)
    }
}

impl Shell {
    /// Makes a compensation and waits for what is known of it; the text says why nothing was sent.
    //= S-05
    //= S-09
    pub(super) async fn compensate(
        self: &Arc<Self>,
        undoing: &Arc<Undoing>,
        number: u32,
        until: Until,
    ) -> Result<Option<String>, CallError> {
        let tool = self
            .known(&undoing.upstream, &undoing.tool, until)
            .await
            .ok_or_else(|| CallError::UnknownTool(format!("{}.{}", undoing.upstream, undoing.tool)))?;
        failpoint::hit("before_compensation");
        let mut pending = self.begin_compensation(undoing, number, tool)?;
        loop {
            match pending.next().await {
                Event::Phase(_) => {}
                Event::Reply(reply, delivery) => {
                    failpoint::hit("after_compensation");
                    delivery.report(Arrival::Seen);
                    return Ok(match reply {
                        Reply::Stop(stop) => Some(format!("{}: {}", stop.code, stop.why)),
                        Reply::Result { .. } | Reply::Error { .. } => None,
                    });
                }
            }
        }
    }

    pub(super) async fn known(&self, upstream: &Name, tool: &Name, until: Until) -> Option<Arc<Tool>> {
        loop {
            if let Some(tool) = self.tools.get(upstream, tool) {
                return Some(tool);
            }
            // A list that is there and lacks it will not get it by waiting.
            if self.tools.is_listed(upstream) || tokio::time::Instant::now() >= until.0 {
                return None;
            }
            tokio::time::sleep(KNOWN_EVERY).await;
        }
    }

    fn begin_compensation(
        self: &Arc<Self>,
        undoing: &Arc<Undoing>,
        number: u32,
        tool: Arc<Tool>,
    ) -> Result<Pending, CallError> {
        let policy = self.policy.load();
        let now = self.clock.now();
        let with = admit::With { settings: &self.settings, policy: &policy, tool: &tool, legs: &self.legs, now };
        let call = admit::compensation(&with, undoing, number, self.ids.call())?;
        let about = About {
            run: call.run,
            principal: call.principal.clone(),
            upstream: tool.upstream.clone(),
            tool: tool.name.clone(),
            effect: call.rules.effect,
        };
        let link = OwnLink {
            reader: Arc::clone(&self.reader),
            upstream: tool.upstream.clone(),
            tool: tool.name.clone(),
            args: call.args.clone(),
        };
        let slot = Slot::new(call.call, call.step, tool, about, Arc::new(link));
        let calls_max = usize::try_from(policy.limits.calls_max).unwrap_or(usize::MAX).min(self.settings.calls_max);
        let (tenant, principal) = (call.tenant.clone(), call.principal.clone());
        let mut jobs = Jobs::default();
        {
            let mut books = self.books.lock();
            if books.draining {
                return Err(CallError::Draining);
            }
            if books.callers() >= calls_max {
                slot.push(told::overloaded(&slot, calls_max));
            } else {
                books.add(&slot, &tenant, &principal);
                books.handle(self, self.clock.now(), Input::Call(Box::new(call)), &mut jobs);
            }
        }
        self.perform(jobs);
        Ok(Pending::new(Arc::clone(self), slot))
    }
}
