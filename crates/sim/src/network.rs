//! Between the gateway and its upstreams: what leaves, what happens there, and what comes back.

use crate::names::Fault;
use crate::shop::Tool;
use crate::upstream::{self, Ending};
use crate::world::{Event, MILLI, Reading, SECOND, World};
use bytes::Bytes;
use engine::{Input, ReadEnd, TaskEnd};
use runtime::Look;
use vocab::{FailureKind, State, StepId};

impl World<'_> {
    /// The bytes of an attempt leave the gateway.
    pub fn depart(&mut self, at: usize) {
        let flight = &mut self.upstream.flights[at];
        if flight.closed_at.is_some() || flight.dead {
            flight.dead = true;
            return;
        }
        flight.departed = true;
        let (tool, is_leg, step) = (flight.tool, flight.is_leg, flight.step);
        let faults = &mut self.audit.faults;
        let mut hit = |fault| *faults.entry(fault).or_insert(0) += 1;
        let fate = upstream::fate(&self.plan, &mut self.rngs.upstream, tool, is_leg, &mut hit);
        let is_plain =
            matches!(&fate.answer, Some((span, Ending::Done | Ending::Input | Ending::Task)) if *span < 2 * SECOND);
        if !is_plain {
            self.audit.trouble(step);
        }
        self.tell(|| format!("flight {at} of {step} departs: {fate:?}"));
        if let Some(span) = fate.effect {
            self.after(span, Event::Effect { flight: at, beyond: fate.beyond });
        }
        if let Some((span, ending)) = fate.answer {
            if fate.twice {
                self.after(span + 5 * MILLI, Event::Answer { flight: at, ending: ending.clone(), again: true });
            }
            self.after(span, Event::Answer { flight: at, ending, again: false });
        }
        self.may_kill(1);
    }

    pub fn effect(&mut self, at: usize, beyond: bool) {
        let flight = &self.upstream.flights[at];
        if !flight.may_land(self.now, beyond) || (flight.closed_at.is_none() && beyond) {
            return;
        }
        let late =
            flight.closed_at.is_some_and(|closed| self.now >= closed + upstream::micros(crate::shop::QUIESCENCE));
        if self.upstream.apply(at, self.now) {
            let flight = self.upstream.flights[at].clone();
            self.tell(|| {
                format!("EFFECT of flight {at}: {} tag {} by {}", flight.tool.as_str(), flight.tag, flight.step)
            });
            self.audit.happened(&self.upstream, at, late, self.now);
        }
        self.may_kill(2);
    }

    pub fn answer(&mut self, at: usize, ending: &Ending, again: bool) {
        let flight = &self.upstream.flights[at];
        let is_open = flight.closed_at.is_none() && flight.life == self.life;
        let counts = if again { flight.life == self.life && flight.answered } else { is_open };
        if !counts {
            return;
        }
        if matches!(ending, Ending::Done | Ending::Malformed | Ending::BadSchema) && !again {
            // An upstream that says so has done it.
            if flight.dead {
                return;
            }
            self.effect(at, false);
        }
        let flight = &mut self.upstream.flights[at];
        if *ending == Ending::Task && flight.dead {
            return;
        }
        let nothing_ran = matches!(ending, Ending::ToolError | Ending::Input | Ending::Task)
            || matches!(
                ending,
                Ending::Failed(
                    FailureKind::Connect
                        | FailureKind::Cut
                        | FailureKind::StreamRefused
                        | FailureKind::Status(429 | 401 | 404 | 421)
                )
            );
        let child_died = flight.tool == Tool::File && matches!(ending, Ending::Failed(FailureKind::Exit));
        flight.dead |= (nothing_ran && flight.tool != Tool::Slow) || child_died;
        if !again {
            flight.closed_at = Some(self.now);
            flight.answered = true;
        }
        let flight = flight.clone();
        let Some(intent) = self.audit.intent_of(at) else { return };
        let who = format!("{}/{}", intent.tenant, intent.principal);
        let result = upstream::answer(ending, &flight, &who);
        let Some(gateway) = &self.gateway else { return };
        let now = gateway.instant(self.now);
        let Some(desk) = &self.desk else { return };
        let end = desk.ended(&intent, result, now);
        if *ending == Ending::Task && !again {
            self.becomes_task(at);
        }
        self.audit.answered(&flight, ending);
        self.feed(Input::AttemptEnded { step: flight.step, attempt: flight.attempt, end: Box::new(end) });
        self.may_kill(2);
    }

    /// The upstream goes on with it by itself.
    fn becomes_task(&mut self, at: usize) {
        let flight = &mut self.upstream.flights[at];
        // It is not the attempt's stream that keeps it alive.
        flight.closed_at = None;
        flight.answered = true;
        let (step, tag, tool) = (flight.step, flight.tag, flight.tool.as_str());
        let span = self.rngs.upstream.between(500 * MILLI, 5 * SECOND);
        let who = self.audit.intent_of(at).map(|intent| format!("{}/{}", intent.tenant, intent.principal));
        let who = who.unwrap_or_default();
        let mut end = TaskEnd::Completed(Bytes::from(format!(
            r#"{{"content":[{{"type":"text","text":"done"}}],"structuredContent":{{"tag":{tag},"tool":"{tool}","who":"{who}"}}}}"#
        )));
        let mut effect = Some(span.saturating_sub(MILLI));
        if self.strikes(Fault::TaskVanishes, |rngs| &mut rngs.upstream) {
            end = TaskEnd::Vanished;
            effect = effect.filter(|_| self.rngs.upstream.chance(500));
            self.audit.trouble(step);
        } else if self.strikes(Fault::TaskCancelledCompletes, |rngs| &mut rngs.upstream) {
            end = TaskEnd::Vanished;
            effect = Some(span + self.rngs.upstream.below(3 * SECOND));
            self.audit.trouble(step);
            self.audit.cancelled_task(step);
        }
        if let Some(span) = effect {
            self.after(span, Event::Effect { flight: at, beyond: false });
        }
        self.after(span, Event::TaskEnds { step, flight: at, end: Box::new(end) });
    }

    /// Whoever polls the task sees its end; a gateway that is down sees it when it is up again.
    pub fn task_ends(&mut self, step: StepId, flight: usize, end: TaskEnd) {
        let vanished = matches!(end, TaskEnd::Vanished);
        if vanished {
            // From here on the upstream's own time to work on it runs out.
            self.upstream.flights[flight].closed_at.get_or_insert(self.now);
        }
        let is_up = self.gateway.as_ref().is_some_and(|gateway| gateway.ready);
        if !is_up {
            return self.after(5 * SECOND, Event::TaskEnds { step, flight, end: Box::new(end) });
        }
        if !vanished {
            self.effect(flight, false);
        }
        let waits = self
            .gateway
            .as_ref()
            .and_then(|gateway| gateway.engine.step(step))
            .is_some_and(|view| view.status().state == State::RemoteTask);
        self.feed(Input::TaskEnded { step, end });
        self.audit.task_over(step, waits);
    }

    /// A cancel reached the upstream, which may mind it.
    pub fn cancel(&mut self, step: StepId) {
        self.audit.trouble(step);
        for at in 0..self.upstream.flights.len() {
            let flight = &mut self.upstream.flights[at];
            if flight.step != step || flight.life != self.life || flight.closed_at.is_some() || flight.answered {
                continue;
            }
            flight.cancelled = true;
            let pause = self.rngs.network.between(5 * MILLI, 500 * MILLI);
            match self.rngs.upstream.below(3) {
                0 => {}
                1 if !self.upstream.flights[at].applied => {
                    self.upstream.flights[at].dead = true;
                    self.after(
                        pause,
                        Event::Answer { flight: at, ending: Ending::Failed(FailureKind::CancelSent), again: false },
                    );
                }
                _ => {
                    if self.strikes(Fault::LateAfterCancel, |rngs| &mut rngs.upstream) {
                        let late = pause + self.rngs.upstream.below(5 * SECOND);
                        self.after(late, Event::Effect { flight: at, beyond: false });
                    }
                    self.after(
                        pause,
                        Event::Answer { flight: at, ending: Ending::Failed(FailureKind::CancelSent), again: false },
                    );
                }
            }
        }
    }

    /// A read of the world reaches the upstream.
    pub fn read(&mut self, reading: &Reading) {
        if reading.life != self.life {
            return;
        }
        if self.strikes(Fault::ReadSilent, |rngs| &mut rngs.network) {
            return;
        }
        let (life, step, read) = (reading.life, reading.step, reading.read);
        let pause = self.rngs.network.between(MILLI, 60 * MILLI);
        let end = if self.strikes(Fault::ReadFails, |rngs| &mut rngs.network) {
            ReadEnd::Failed("no route".into())
        } else {
            let is_lazy = matches!(&*reading.intent.tool, "lazy" | "add");
            let faults = &mut self.audit.faults;
            let mut hit = |fault| *faults.entry(fault).or_insert(0) += 1;
            let is_before = reading.purpose == engine::Purpose::Preimage;
            let lag =
                if is_lazy && !is_before { upstream::lag(&self.plan, &mut self.rngs.upstream, &mut hit) } else { 0 };
            let shown = self.upstream.look(&reading.of.1, &reading.args, self.now, lag);
            let look = Look {
                purpose: reading.purpose,
                intent: &reading.intent,
                rules: &reading.rules,
                result: reading.result.as_ref(),
            };
            let Some(desk) = &self.desk else { return };
            desk.looked(&look, (&reading.of.0, &reading.of.1), shown)
        };
        self.tell(|| format!("read {read} of {step} for {:?} shows {end:?}", reading.purpose));
        self.after(pause, Event::Feed { life, input: Box::new(Input::ReadEnded { step, read, end }) });
        self.may_kill(1);
    }

    /// Somebody else writes to a lane.
    pub fn outsider(&mut self) {
        if self.calm {
            return;
        }
        let lanes: Vec<String> = self.upstream.lanes.keys().cloned().collect();
        if let Some(lane) = lanes.get(self.rngs.people.index(lanes.len())) {
            let value = i64::try_from(self.rngs.people.below(1000)).unwrap_or(0) + 1_000_000;
            self.upstream.outsider(lane, self.now, value);
            self.hit(Fault::OutsideWriter);
        }
    }
}
