//! Agents: what they want, how they ask for it, and how they behave when they are not answered.

use crate::gateway::Gateway;
use crate::names::{Fault, Invariant, Reached};
use crate::plan::Manner;
use crate::rng::Rng;
use crate::shop::Tool;
use crate::world::{Event, MILLI, SECOND, World};
use bytes::Bytes;
use engine::{Arrival, Input, Left, Reply};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use journal::Journal;
use runtime::{Attempt, Continuation, Link, Request, Run, TaskAsk};
use std::sync::Arc;
use std::time::Duration;
use vocab::{CallId, Code, Executed, Failure, FailureKind, Instant, Name, StepId};

/// Tags are numbers that doubles cannot tell apart.
const TAGS: u64 = 9_007_199_254_740_992;
/// Times that an agent asks for one thing.
const ASKS_MAX: u32 = 7;

/// How a wish is named on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Key(String),
    ModelCall(String),
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Not asked for yet.
    Todo,
    Open,
    /// The agent knows how it ended.
    Told,
    GivenUp,
}

/// One thing that an agent means to have done, once.
pub struct Wish {
    pub agent: usize,
    pub manner: Manner,
    pub tenant: Name,
    pub principal: Name,
    pub tag: u64,
    pub tool: Tool,
    pub args: String,
    pub named: Named,
    pub stand: Stand,
    pub asks: u32,
    pub open: u32,
    /// What the upstream asked for, until it was brought.
    pub state: Option<Bytes>,
    legs: u32,
    /// Its arguments fail the tool's schema.
    pub bad: bool,
    /// It begins with the key of the wish before it.
    stolen: Option<Named>,
    last: Option<Code>,
    next: Option<usize>,
}

impl Wish {
    pub const fn is_over(&self) -> bool {
        matches!(self.stand, Stand::Told | Stand::GivenUp) && self.open == 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    Travelling,
    Open,
    /// Its answer was lost, or its caller has left.
    Gone,
    Flushed,
    Delivered,
}

/// One request of an agent.
pub struct Call {
    pub wish: usize,
    pub named: Named,
    pub args: String,
    pub wire: Option<String>,
    pub leg: Option<(Bytes, Bytes)>,
    pub patience: u64,
    pub id: CallId,
    pub step: StepId,
    pub life: u32,
    pub place: Where,
    pub deadline: Instant,
    pub reply: Option<Reply>,
    /// Only replays what is known already.
    pub late: bool,
    pub left: bool,
}

struct Nothing;

impl Link for Nothing {
    fn send(&self, _attempt: Attempt) -> BoxFuture<'static, Result<Bytes, Failure>> {
        ready(Err(Failure::new(FailureKind::NotSent, "simulated elsewhere"))).boxed()
    }
    fn read(&self, _tool: Name, _args: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>> {
        ready(Err(Failure::new(FailureKind::NotSent, "simulated elsewhere"))).boxed()
    }
    fn task(&self, _ask: TaskAsk, _task: Name) -> BoxFuture<'static, Result<Bytes, Failure>> {
        ready(Err(Failure::new(FailureKind::NotSent, "simulated elsewhere"))).boxed()
    }
    fn is_closed(&self) -> bool {
        true
    }
    fn cancel(&self) {}
}

impl World<'_> {
    /// Everything that the agents will want, from their own generators.
    pub fn wish(&mut self) {
        for (agent, plan) in self.plan.agents.clone().into_iter().enumerate() {
            let mut rng = Rng::of(self.plan.seed, &format!("wishes {}", plan.number));
            let twins = self.plan.intensity(Fault::DeliberateRepeat);
            let mut tool = Tool::Append;
            let mut item = 0;
            let mut begins = 0;
            for number in 0..plan.wishes {
                let again = number > 0 && rng.chance(300);
                let twin = number > 0 && twins > 0 && rng.chance(twins.max(100));
                if !again && !twin {
                    tool = if rng.chance(80) { Tool::Get } else { rng.pick(Tool::MUTATIONS).unwrap_or(Tool::Send) };
                    item = rng.below(3);
                }
                if twin {
                    self.hit(Fault::DeliberateRepeat);
                }
                let tag = TAGS + u64::from(plan.number) * 1000 + u64::from(number);
                // Tenants share their principals' names, and these the names of their keys.
                let tenant = if plan.number.is_multiple_of(2) { "one" } else { "two" };
                let principal = format!("p{}", plan.number / 2);
                let value = tag - TAGS + 1;
                let args = match tool {
                    Tool::Set | Tool::Put => {
                        format!(r#"{{"tag":{tag},"lane":"{tenant}-{item}","value":{value}}}"#)
                    }
                    Tool::Add | Tool::Erase => format!(r#"{{"tag":{tag},"item":"{tenant}-{principal}-{item}"}}"#),
                    _ => format!(r#"{{"tag":{tag}}}"#),
                };
                let named = match rng.below(3) {
                    0 => Named::Key(format!("key {}-{number}", plan.number / 2)),
                    1 => Named::ModelCall(format!("toolu_{tag:020}{:04}", plan.number)),
                    _ => Named::Nothing,
                };
                let bad = rng.chance(self.plan.intensity(Fault::BadArguments));
                if bad {
                    self.hit(Fault::BadArguments);
                }
                let steals =
                    self.plan.intensity(Fault::KeyReused).max(if plan.manner == Manner::Lying { 150 } else { 0 });
                let before = self.wishes.last().filter(|wish| wish.agent == agent && wish.tool == tool);
                let stolen = before
                    .map(|wish| wish.named.clone())
                    .filter(|named| matches!(named, Named::Key(_)) && rng.chance(steals));
                let wish = self.wishes.len();
                let follows = number > 0 && !twin;
                if matches!(tool, Tool::Add | Tool::Erase) {
                    self.audit.means(tag, (agent, tool, item));
                }
                self.wishes.push(Wish {
                    agent,
                    manner: plan.manner,
                    tenant: tenant.into(),
                    principal: principal.into(),
                    tag,
                    tool,
                    args: if bad { args.replacen("\"tag\":", "\"tag\":\"no\",\"mark\":", 1) } else { args },
                    named,
                    stand: Stand::Todo,
                    asks: 0,
                    open: 0,
                    state: None,
                    legs: 0,
                    bad,
                    stolen,
                    last: None,
                    next: None,
                });
                if follows {
                    self.wishes[wish - 1].next = Some(wish);
                } else {
                    begins += rng.below(3 * SECOND);
                    self.after(begins, Event::Ask { wish });
                }
            }
        }
    }

    pub fn again(&mut self, wish: usize) {
        self.wishes[wish].stand = Stand::Open;
        self.wishes[wish].asks = 0;
        self.after(SECOND, Event::Ask { wish });
    }

    fn over(&mut self, wish: usize, stand: Stand) {
        let is_first = !matches!(self.wishes[wish].stand, Stand::Told | Stand::GivenUp);
        self.wishes[wish].stand = stand;
        if is_first && let Some(next) = self.wishes[wish].next.filter(|next| self.wishes[*next].stand == Stand::Todo) {
            let agent = self.wishes[wish].agent;
            let pause = self.agents[agent].below(6 * SECOND);
            self.after(pause, Event::Ask { wish: next });
        }
    }

    pub fn ask(&mut self, at: usize) {
        let wish = &mut self.wishes[at];
        if matches!(wish.stand, Stand::Told | Stand::GivenUp) || wish.open > 0 {
            return;
        }
        if wish.asks >= ASKS_MAX {
            let (calm, last, bad) = (self.calm, wish.last, wish.bad);
            // An honest agent in a world in which everything works gets what it wants, or hears why not.
            let may_fail = bad || matches!(last, Some(Code::RepeatUnconfirmed | Code::InputInvalid | Code::Overloaded));
            if calm && !may_fail {
                let why = format!("wish {at} ({:?}) was never fulfilled: last told {last:?}", self.wishes[at].tool);
                self.audit.violated(Invariant::I13, why);
            }
            return self.over(at, Stand::GivenUp);
        }
        wish.stand = Stand::Open;
        wish.asks += 1;
        let (is_again, manner, agent) = (wish.asks > 1, wish.manner, wish.agent);
        let (tool, mut named, mut args) = (wish.tool, wish.named.clone(), wish.args.clone());
        if let Some(stolen) = wish.stolen.take() {
            named = stolen;
            self.hit(Fault::KeyReused);
        }
        if is_again {
            let intensity = |fault| self.plan.intensity(fault);
            let forgets = intensity(Fault::ReissueNewId).max(if manner == Manner::Forgetful { 400 } else { 0 });
            let rewords = intensity(Fault::ReplanJitter).max(if manner == Manner::Rewording { 400 } else { 0 });
            if named != Named::Nothing && self.agents[agent].chance(forgets) && !self.calm {
                self.hit(Fault::ReissueNewId);
                named = Named::Nothing;
            } else if named != Named::Nothing {
                self.hit(Fault::FrameworkReplay);
            }
            if matches!(tool, Tool::Lazy | Tool::Send) && self.agents[agent].chance(rewords) && !self.calm {
                self.hit(Fault::ReplanJitter);
                args = args.replacen('{', &format!("{{\"note\":\"again {}\",", self.wishes[at].asks), 1);
            }
        }
        let leg = self.wishes[at].state.clone().map(|state| (state, Bytes::from_static(b"{\"ok\":true}")));
        if leg.is_some() {
            self.wishes[at].legs += 1;
        }
        let call = self.new_call(at, named.clone(), args.clone(), leg.clone());
        let travel = self.agents[agent].between(MILLI, 50 * MILLI);
        self.after(travel, Event::Call { call });
        self.leaves(call, travel);
        self.copies(at, call);
        if let Some((state, _)) = leg
            && self.strikes(Fault::LegReplayed, |rngs| &mut rngs.network)
        {
            let other = Some((state, Bytes::from_static(b"{\"ok\":false}")));
            let call = self.new_call(at, named, args, other);
            let travel = self.agents[agent].between(MILLI, 5 * SECOND);
            self.after(travel, Event::Call { call });
        }
    }

    fn new_call(&mut self, wish: usize, named: Named, args: String, leg: Option<(Bytes, Bytes)>) -> usize {
        let agent = self.wishes[wish].agent;
        let number = self.calls.len();
        let rng = &mut self.agents[agent];
        let patience = rng.between(8 * SECOND, 40 * SECOND);
        let wire = rng.chance(500).then(|| format!("{agent}-{number}"));
        let short = !self.calm && self.plan.intensity(Fault::ShortPatience) > 0;
        let patience = if short && self.agents[agent].chance(self.plan.intensity(Fault::ShortPatience)) {
            self.hit(Fault::ShortPatience);
            self.agents[agent].between(100 * MILLI, 3 * SECOND)
        } else {
            patience
        };
        self.wishes[wish].open += 1;
        self.calls.push(Call {
            wish,
            named,
            args,
            wire,
            leg,
            patience,
            id: CallId(0),
            step: StepId::default(),
            life: 0,
            place: Where::Travelling,
            deadline: Instant::ZERO,
            reply: None,
            late: false,
            left: false,
        });
        number
    }

    fn leaves(&mut self, call: usize, travel: u64) {
        let agent = self.wishes[self.calls[call].wish].agent;
        for (fault, how) in [(Fault::AgentLeavesEarly, Left::Disconnected), (Fault::Cancel, Left::Cancelled)] {
            let intensity = self.plan.intensity(fault);
            if intensity > 0 && self.agents[agent].chance(intensity) {
                self.hit(fault);
                let most = self.agents[agent].pick(&[5 * MILLI, 100 * MILLI, 4 * SECOND]).unwrap_or(SECOND);
                let span = travel + self.agents[agent].below(most);
                self.after(span, Event::Leave { call, how });
            }
        }
    }

    /// The same once more, before there is an answer.
    fn copies(&mut self, wish: usize, call: usize) {
        let agent = self.wishes[wish].agent;
        let mut copies = 0;
        let hammers = self.wishes[wish].manner == Manner::Hammering && !self.calm;
        for fault in [Fault::RetryStorm, Fault::ParallelIdentical] {
            let intensity = self.plan.intensity(fault).max(if hammers { 200 } else { 0 });
            if intensity > 0 && self.agents[agent].chance(intensity) {
                self.hit(fault);
                copies += if fault == Fault::RetryStorm { 4 } else { 1 };
            }
        }
        let twice = self.plan.intensity(Fault::DeliveredTwice);
        let twice = twice > 0 && self.calls[call].wire.is_some() && self.agents[agent].chance(twice);
        for copy in 0..copies + u32::from(twice) {
            let Call { named, args, leg, wire, .. } = &self.calls[call];
            let (named, args, leg, wire) = (named.clone(), args.clone(), leg.clone(), wire.clone());
            let again = self.new_call(wish, named, args, leg);
            if twice && copy == 0 {
                self.hit(Fault::DeliveredTwice);
                self.calls[again].wire = wire;
            }
            let travel = self.agents[agent].between(MILLI, 2 * SECOND);
            self.after(travel, Event::Call { call: again });
        }
    }

    /// A request reaches the gateway.
    pub fn call(&mut self, at: usize) {
        if self.calls[at].place != Where::Travelling {
            return;
        }
        let is_up = self.gateway.as_ref().is_some_and(|gateway| gateway.ready);
        // Whoever has its answer sends no copy any more; one without a name would be a new wish.
        let call = &self.calls[at];
        let is_told = self.wishes[call.wish].stand == Stand::Told && call.named == Named::Nothing;
        if !is_up || is_told {
            return self.gone(at, SECOND);
        }
        let wish = &self.wishes[call.wish];
        let request = Request {
            tenant: wish.tenant.clone(),
            principal: wish.principal.clone(),
            upstream: wish.tool.upstream().into(),
            tool: wish.tool.as_str().into(),
            args: Bytes::from(call.args.clone()),
            run: Run { name: format!("run {}", wish.agent), explicit: true, client: "agent 1".to_owned() },
            explicit_keys: if let Named::Key(key) = &call.named { vec![key.clone()] } else { Vec::new() },
            model_call: if let Named::ModelCall(id) = &call.named { Some(id.clone()) } else { None },
            wire: call.wire.clone(),
            continuation: call
                .leg
                .as_ref()
                .map(|(state, responses)| Continuation { state: Some(state.clone()), responses: responses.clone() }),
            task: false,
            patience: Some(Duration::from_micros(call.patience)),
            link: Arc::new(Nothing),
        };
        self.next_call += 1;
        self.steps_made += 1;
        let id = CallId(self.next_call);
        let mut step = [0; 16];
        step[8..].copy_from_slice(&self.steps_made.to_be_bytes());
        let step = StepId(step);
        let (Some(gateway), Some(desk)) = (&mut self.gateway, &self.desk) else { return };
        let now = gateway.instant(self.now);
        let Ok(admitted) = desk.admit(&request, id, step, now) else {
            return self.gone(at, SECOND);
        };
        gateway.slots.insert(id, at);
        gateway.asked.insert(step);
        let call = &mut self.calls[at];
        (call.id, call.step, call.life, call.place) = (id, step, self.life, Where::Open);
        call.deadline = admitted.deadline;
        let short = call.patience < 8 * SECOND;
        self.audit.called(
            at,
            step,
            call.wish,
            admitted.key,
            admitted.key_source,
            admitted.fingerprint,
            short,
            self.now,
        );
        let (wish, args) = (self.calls[at].wish, self.calls[at].args.clone());
        self.tell(|| format!("call {at} (step {step}) for wish {wish}: {args}"));
        self.feed(Input::Call(Box::new(admitted)));
        self.may_kill(1);
    }

    pub fn leave(&mut self, at: usize, how: Left) {
        let call = &mut self.calls[at];
        if !matches!(call.place, Where::Open) || call.life != self.life {
            return;
        }
        let (id, wish) = (call.id, call.wish);
        call.left = true;
        if how == Left::Cancelled {
            self.audit.cancelled(self.calls[at].step);
        }
        self.feed(Input::Left { call: id, how });
        if let Some(gateway) = &mut self.gateway {
            gateway.slots.remove(&id);
        }
        // A read is made by its caller's own task.
        let step = self.calls[at].step;
        if self.wishes[wish].tool == Tool::Get {
            let now = self.now;
            for flight in self.upstream.flights.iter_mut().filter(|one| one.step == step) {
                flight.closed_at.get_or_insert(now);
            }
        }
        self.audit.detached(step);
        let agent = self.wishes[wish].agent;
        let pause = self.agents[agent].between(20 * MILLI, 6 * SECOND);
        self.gone(at, pause);
    }

    /// No answer will come of this call.
    fn gone(&mut self, at: usize, pause: u64) {
        let call = &mut self.calls[at];
        if matches!(call.place, Where::Gone | Where::Delivered) {
            return;
        }
        call.place = Where::Gone;
        let wish = call.wish;
        self.wishes[wish].open -= 1;
        self.after(pause, Event::Ask { wish });
    }

    /// The process that they waited for is gone.
    pub fn agents_lose(&mut self, gateway: &Gateway) {
        let slots: Vec<usize> = gateway.slots.values().copied().collect();
        for at in 0..self.calls.len() {
            let is_lost =
                slots.contains(&at) || (self.calls[at].place == Where::Open && self.calls[at].life == self.life);
            if is_lost {
                let agent = self.wishes[self.calls[at].wish].agent;
                let pause = self.agents[agent].between(100 * MILLI, 8 * SECOND);
                self.gone(at, pause);
            }
        }
    }

    /// The last byte of an answer is written.
    pub fn flush(&mut self, at: usize) {
        let (id, life, place) = (self.calls[at].id, self.calls[at].life, self.calls[at].place);
        if place != Where::Open || life != self.life || self.gateway.is_none() {
            return;
        }
        let agent = self.wishes[self.calls[at].wish].agent;
        let arrived = |arrival| Input::Arrived { call: id, arrival };
        if self.strikes(Fault::AgentLosesAnswer, |rngs| &mut rngs.network) {
            if self.rngs.network.chance(500) {
                self.feed(arrived(Arrival::Flushed));
                let span = self.rngs.network.below(1900 * MILLI);
                let input = Box::new(Input::Left { call: id, how: Left::Disconnected });
                self.after(span, Event::Feed { life, input });
            } else {
                self.feed(arrived(Arrival::Lost));
            }
            let pause = self.agents[agent].between(2 * SECOND, 9 * SECOND);
            return self.gone(at, pause);
        }
        self.calls[at].place = Where::Flushed;
        self.feed(arrived(Arrival::Flushed));
        let span = self.rngs.network.between(MILLI, 30 * MILLI);
        self.after(span, Event::Deliver { call: at });
    }

    /// An agent has its answer.
    pub fn deliver(&mut self, at: usize) {
        let call = &mut self.calls[at];
        if call.place != Where::Flushed {
            return;
        }
        call.place = Where::Delivered;
        let (wish, id, life, late) = (call.wish, call.id, call.life, call.late);
        let Some(reply) = call.reply.take() else { return };
        self.wishes[wish].open -= 1;
        let agent = self.wishes[wish].agent;
        if self.agents[agent].chance(700) {
            let span = self.agents[agent].between(10 * MILLI, 500 * MILLI);
            let input = Box::new(Input::Arrived { call: id, arrival: Arrival::Seen });
            self.after(span, Event::Feed { life, input });
        }
        if late {
            if self.wishes[wish].stand == Stand::Open {
                self.after(SECOND, Event::Ask { wish });
            }
            return;
        }
        match reply {
            Reply::Result { result, .. } => {
                let asks_more = result.starts_with(b"{\"resultType\":\"input_required\"");
                if asks_more {
                    let state = crate::upstream::text_after(&result, "\"requestState\":\"").unwrap_or_default();
                    // The state goes back as it came: with its quotes, as the door takes it.
                    self.wishes[wish].state = Some(Bytes::from(format!("\"{state}\"")));
                    self.wishes[wish].asks = self.wishes[wish].asks.saturating_sub(1);
                    let legs = self.wishes[wish].legs;
                    if legs > 8 {
                        return self.over(wish, Stand::GivenUp);
                    }
                    let span = self.agents[agent].between(50 * MILLI, 3 * SECOND);
                    return self.after(span, Event::Ask { wish });
                }
                self.over(wish, Stand::Told);
                if self.calls[at].named == self.wishes[wish].named {
                    self.replays_late(wish);
                }
            }
            Reply::Error { .. } => self.refused(wish, None),
            Reply::Stop(stop) => match stop.executed {
                Executed::Yes => self.over(wish, Stand::Told),
                Executed::No => self.refused(wish, Some(stop.code)),
                Executed::Unknown => {
                    self.wishes[wish].last = Some(stop.code);
                    let calm = self.calm;
                    let span = self.agents[agent]
                        .between(if calm { 20 * SECOND } else { SECOND }, if calm { 90 * SECOND } else { 20 * SECOND });
                    self.after(span, Event::Ask { wish });
                }
            },
        }
    }

    /// A workflow that starts again from its beginning, long after.
    fn replays_late(&mut self, wish: usize) {
        let agent = self.wishes[wish].agent;
        let named = self.wishes[wish].named.clone();
        if named == Named::Nothing || self.calm || self.wishes[wish].state.is_some() {
            return;
        }
        if self.strikes(Fault::FrameworkReplay, |rngs| &mut rngs.network) {
            let args = self.wishes[wish].args.clone();
            let call = self.new_call(wish, named, args, None);
            self.calls[call].late = true;
            let span = self.agents[agent].between(SECOND, 700 * SECOND);
            self.after(span, Event::Call { call });
        }
    }

    fn refused(&mut self, wish: usize, code: Option<Code>) {
        self.wishes[wish].last = code;
        let (agent, manner) = (self.wishes[wish].agent, self.wishes[wish].manner);
        match code {
            Some(Code::InputInvalid) if self.wishes[wish].bad => return self.over(wish, Stand::GivenUp),
            Some(Code::InputInvalid) => self.wishes[wish].state = None,
            Some(Code::RepeatUnconfirmed) => {
                if manner != Manner::Evading {
                    return self.over(wish, Stand::GivenUp);
                }
                self.wishes[wish].named = Named::Nothing;
            }
            // A fresh decision, by a step of its own.
            // It was continued already, with what it asked for.
            Some(Code::IdempotencyConflict) if self.wishes[wish].state.is_some() => {
                self.reach(Reached::ConflictRefused);
            }
            Some(Code::IdempotencyConflict) => {
                self.reach(Reached::ConflictRefused);
                self.wishes[wish].named = Named::Nothing;
                self.wishes[wish].state = None;
            }
            Some(Code::NotApplied) => {
                self.wishes[wish].named = Named::Nothing;
                self.wishes[wish].state = None;
            }
            _ => {}
        }
        let calm = self.calm;
        let span = self.agents[agent]
            .between(if calm { 15 * SECOND } else { SECOND }, if calm { 60 * SECOND } else { 15 * SECOND });
        self.after(span, Event::Ask { wish });
    }

    /// At the end everybody has been answered, and what was told is so.
    pub fn at_rest(&mut self) {
        for (at, wish) in self.wishes.iter().enumerate() {
            if !wish.is_over() {
                let why =
                    format!("wish {at} ({:?}) was never answered: {:?}, {} open", wish.tool, wish.stand, wish.open);
                return self.audit.violated(Invariant::I13, why);
            }
        }
        let Some(gateway) = &self.gateway else {
            return self.audit.violated(Invariant::I13, "the gateway never came back".to_owned());
        };
        let open = gateway.journal.open_steps().unwrap_or_default();
        self.audit.rested(&open, gateway.engine.load(), &gateway.journal, &self.upstream);
    }
}
