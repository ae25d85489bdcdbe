//! A driver for the engine with virtual time: a journal whose commits complete when told, an upstream that answers when
//! told. It holds on every output what must hold on all of them.

use crate::ask::Ask;
use checks::identity::compensation_key;
use engine::rollback::{Change, TRIES_MAX, Way};
use engine::{
    Act, Answer, AnswerKind, Arrival, AttemptEnd, Config, Engine, Input, Left, NotDurable, Output, Purpose, ReadEnd,
    Recalled, Reply, Report, Stop, Undoes,
};
use policy::{Judgement, ToolRules};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use vocab::{
    Bytes, CallId, Code, Epoch, Event, EventKind, Failure, FailureKind, GuardKind, GuardRow, Hash, Instant, KeySource,
    Name, Outcome, ReadNote, Record, State, StepId, StepRow,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub step: StepId,
    pub attempt: u32,
    pub through: CallId,
    pub key: Option<Name>,
    pub at: Instant,
}

/// What the journal was asked about a call.
type Asked = (CallId, Hash, Option<(Hash, Hash, Instant)>);

pub struct World {
    pub engine: Engine,
    pub now: Instant,
    epoch: u64,
    /// What the disk has.
    pub rows: BTreeMap<StepId, StepRow>,
    pub events: Vec<Event>,
    pub notes: Vec<ReadNote>,
    pub guards: BTreeMap<(GuardKind, Bytes), GuardRow>,
    queue: VecDeque<(Vec<Record>, Option<u64>)>,
    /// Commits wait until `commit` is called.
    pub held: bool,
    /// Every commit with a ticket fails.
    pub full: bool,
    pub sends: Vec<Sent>,
    pub reads: Vec<(StepId, u32, Purpose)>,
    pub replies: BTreeMap<CallId, Reply>,
    pub reply_order: Vec<(CallId, Instant)>,
    pub cancels: Vec<StepId>,
    pub abandons: Vec<StepId>,
    /// How many attempts had been sent when a stream was given up, and when that was.
    pub sent_before: Vec<(usize, Instant)>,
    pub reports: Vec<Report>,
    pub appends_with_ticket: usize,
    /// Commits for the sake of what was noted before.
    pub flushes: usize,
    pub wake_at: Option<Instant>,
    rules: BTreeMap<StepId, Arc<ToolRules>>,
    next: u64,
    /// Recalls wait until `recall` is called.
    pub slow_recall: bool,
    recalls: VecDeque<Asked>,
    pub trace: String,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl Fn(&mut Config)) -> Self {
        let mut config = Config::new(Epoch(1));
        change(&mut config);
        Self {
            engine: Engine::new(config),
            now: Instant::from_micros(1_000_000_000_000),
            epoch: 1,
            rows: BTreeMap::new(),
            events: Vec::new(),
            notes: Vec::new(),
            guards: BTreeMap::new(),
            queue: VecDeque::new(),
            held: false,
            full: false,
            sends: Vec::new(),
            reads: Vec::new(),
            replies: BTreeMap::new(),
            reply_order: Vec::new(),
            cancels: Vec::new(),
            abandons: Vec::new(),
            sent_before: Vec::new(),
            reports: Vec::new(),
            appends_with_ticket: 0,
            flushes: 0,
            wake_at: None,
            rules: BTreeMap::new(),
            next: 0,
            slow_recall: false,
            recalls: VecDeque::new(),
            trace: String::new(),
        }
    }

    /// An agent calls; the number names call and step.
    pub fn ask(&mut self, ask: &Ask) -> u64 {
        self.next += 1;
        let number = self.next;
        let call = ask.call(number, self.now);
        self.rules.insert(call.step, call.rules.clone());
        self.input(Input::Call(Box::new(call)));
        number
    }

    /// A change and its compensations, as the disk has them.
    pub fn change(&self, step: StepId) -> Change {
        let row = self.rows[&step].clone();
        let of = |number| {
            let key = compensation_key(&row.intent.key, row.intent.generation, number);
            let found = self.rows.values().filter(|row| row.intent.key == key);
            found.max_by_key(|row| row.intent.generation).cloned()
        };
        let tries = (0..TRIES_MAX).map_while(of).collect();
        Change::new(row, tries)
    }

    /// Takes a change back under the next number, or asks once more about the last; the number names call and step.
    pub fn undo(&mut self, change: &Change, rules: ToolRules) -> u64 {
        self.undo_on(change, rules, "undo")
    }

    pub fn undo_on(&mut self, change: &Change, rules: ToolRules, lane: &'static str) -> u64 {
        self.next += 1;
        let number = self.next;
        let Way::Call(undoing) = &change.way else { unreachable!("it can be taken back") };
        let last = u32::try_from(change.tries.len().saturating_sub(1)).expect("few");
        let undoes = Undoes { undoing: Arc::clone(undoing), number: change.next().unwrap_or(last) };
        let args = String::from_utf8_lossy(&undoing.args).into_owned();
        let mut call = Ask::of(rules).args(&args).lane(lane).call(number, self.now);
        let intent = &change.row.intent;
        call.key = compensation_key(&intent.key, intent.generation, undoes.number);
        call.key_source = KeySource::Position;
        call.scope = call.key;
        call.run = intent.run;
        call.upstream_key = call.upstream_key.map(|_| checks::identity::upstream_key(&call.key, 0));
        call.undoes = Some(undoes);
        self.rules.insert(call.step, call.rules.clone());
        self.input(Input::Call(Box::new(call)));
        number
    }

    pub fn input(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            self.poll();
            if !self.held && !self.queue.is_empty() {
                self.commit();
            } else if !self.slow_recall && !self.recalls.is_empty() {
                self.recall();
            } else {
                break;
            }
        }
    }

    fn poll(&mut self) {
        loop {
            let output = self.engine.poll();
            if let Output::Idle { wake_at } = output {
                self.wake_at = wake_at;
                return;
            }
            writeln!(self.trace, "{} {output:?}", self.now.as_micros()).expect("a text takes all");
            match output {
                Output::Recall { call, key, content } => self.recalls.push_back((call, key, content)),
                Output::Append { records, ticket } => {
                    // One without records is nobody's barrier.
                    self.appends_with_ticket += usize::from(ticket.is_some() && !records.is_empty());
                    self.flushes += usize::from(ticket.is_some() && records.is_empty());
                    self.queue.push_back((records, ticket));
                }
                Output::Send { step, attempt, through, upstream_key } => {
                    self.written_ahead(step, attempt);
                    self.sends.push(Sent { step, attempt, through, key: upstream_key, at: self.now });
                }
                Output::Cancel { step } => self.cancels.push(step),
                Output::Abandon { step } => {
                    self.abandons.push(step);
                    self.sent_before.push((self.sends.len(), self.now));
                }
                Output::Read { step, read, purpose } => self.reads.push((step, read, purpose)),
                Output::Reply { call, reply } => {
                    self.released(&reply);
                    let earlier = self.replies.insert(call, reply);
                    assert!(earlier.is_none(), "{call:?} was answered twice");
                    self.reply_order.push((call, self.now));
                }
                Output::Progress { .. } => {}
                Output::Report(report) => self.reports.push(report),
                Output::Idle { .. } => unreachable!("handled above"),
            }
        }
    }

    /// No byte of a mutation before its intent, and this very attempt, are on the disk.
    fn written_ahead(&self, step: StepId, attempt: u32) {
        if self.rules.get(&step).is_some_and(|rules| !rules.effect.is_mutation()) {
            return;
        }
        let row = self.rows.get(&step).expect("nothing is sent whose intent is not durable");
        assert_eq!(row.status.state, State::Dispatched, "{step} is sent in this state");
        assert_eq!(row.status.attempt, attempt, "the attempt of {step} is durable");
    }

    /// No outcome of a mutation is told before it is on the disk.
    fn released(&self, reply: &Reply) {
        let (step, told) = match reply {
            Reply::Result { step, .. } => (*step, None),
            Reply::Error { step, .. } => (*step, Some(Outcome::NotExecuted)),
            Reply::Stop(stop) => match stop.code {
                Code::AppliedNoReceipt => (stop.step, Some(Outcome::Applied)),
                Code::NotApplied => (stop.step, Some(Outcome::Absent)),
                Code::ReadbackMismatch => (stop.step, Some(Outcome::Succeeded)),
                _ => return,
            },
        };
        if self.rules.get(&step).is_some_and(|rules| !rules.effect.is_mutation()) {
            return;
        }
        let row = self.rows.get(&step).expect("nothing is told of a step that is not durable");
        match row.status.state {
            State::Closed => {
                let executed = row.status.outcome.map(Outcome::executed);
                assert!(told.is_none_or(|told| executed == Some(told.executed())), "{row:?}");
            }
            state => assert!(matches!(state, State::AwaitingInput | State::RemoteTask), "{step} was told in {state:?}"),
        }
    }

    /// The disk takes what is queued.
    pub fn commit(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        for (records, ticket) in queue {
            if self.full {
                if let Some(ticket) = ticket {
                    self.engine.handle(self.now, Input::NotDurable { ticket, why: NotDurable::Unavailable });
                }
                continue;
            }
            let fits = self.fits(&records);
            if fits {
                for record in records {
                    self.write(record);
                }
            }
            match (ticket, fits) {
                (Some(ticket), true) => self.engine.handle(self.now, Input::Durable { ticket }),
                (Some(ticket), false) => {
                    self.engine.handle(self.now, Input::NotDurable { ticket, why: NotDurable::Fenced });
                }
                (None, _) => {}
            }
        }
        self.poll();
        if !self.held {
            self.drain();
        }
    }

    fn fits(&self, records: &[Record]) -> bool {
        records.iter().all(|record| match record {
            Record::Insert { intent, .. } => !self
                .rows
                .values()
                .any(|row| row.intent.key == intent.key && row.intent.generation == intent.generation),
            Record::Update { step, epoch, .. } => self.rows.get(step).is_some_and(|row| row.epoch <= *epoch),
            Record::Event(_) | Record::Read(_) | Record::Guard(_) => true,
        })
    }

    fn write(&mut self, record: Record) {
        match record {
            Record::Insert { intent, status, epoch } => {
                let id = intent.step;
                self.rows.insert(id, StepRow { intent, status, epoch, result: None, expired: false });
            }
            Record::Update { step, epoch, status, result } => {
                let row = self.rows.get_mut(&step).expect("the row was there a moment ago");
                row.status = status;
                row.epoch = epoch;
                if result.is_some() {
                    row.result = result;
                }
            }
            Record::Event(event) => self.events.push(event),
            Record::Read(note) => self.notes.push(note),
            Record::Guard(row) => drop(self.guards.insert((row.kind, row.key.clone()), row)),
        }
    }

    /// The journal answers what it was asked, by what the disk has now.
    pub fn recall(&mut self) {
        for (call, key, content) in std::mem::take(&mut self.recalls) {
            let by_key = self.rows.values().filter(|row| row.intent.key == key);
            let by_key = by_key.max_by_key(|row| row.intent.generation).cloned();
            let by_content = content.and_then(|(scope, content, since)| {
                // As journals have it: what certainly had no effect hides nothing that may have had one.
                let alike = |row: &&StepRow| {
                    let is_void = row.status.outcome.is_some_and(|outcome| outcome.executed() == vocab::Executed::No);
                    (row.status.run_again || !is_void)
                        && row.intent.scope == scope
                        && row.intent.content == content
                        && row.intent.created_at >= since
                        && !row.expired
                };
                self.rows.values().filter(alike).max_by_key(|row| row.intent.created_at).cloned()
            });
            let recalled = Box::new(Recalled { by_key, by_content });
            self.engine.handle(self.now, Input::Recalled { call, recalled });
        }
        self.poll();
        self.drain_unless_held();
    }

    fn drain_unless_held(&mut self) {
        if !self.held {
            self.drain();
        }
    }

    /// Time passes; what becomes due on the way becomes due at its time.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.wake_at.filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
        }
        self.now = until;
        self.input(Input::Tick);
    }

    pub fn seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// The gateway is killed; what was not committed is gone, and a new process starts from the disk.
    pub fn crash(&mut self) {
        self.queue.clear();
        self.recalls.clear();
        self.reads.clear();
        self.epoch += 1;
        self.engine = Engine::new(Config::new(Epoch(self.epoch)));
        let open: Vec<StepRow> = self.rows.values().filter(|row| row.status.state.is_open()).cloned().collect();
        for row in open {
            let rules = self.rules[&row.intent.step].clone();
            self.input(Input::Recovered { row: Box::new(row), rules });
        }
        self.drain();
    }

    pub fn last_send(&self) -> Sent {
        self.sends.last().cloned().expect("something was sent")
    }

    fn end(&mut self, end: AttemptEnd) {
        let Sent { step, attempt, .. } = self.last_send();
        self.input(Input::AttemptEnded { step, attempt, end: Box::new(end) });
    }

    /// The last attempt is answered.
    pub fn answer(&mut self, kind: AnswerKind) {
        self.end(AttemptEnd::Answered(Answer { result: Bytes::from_static(b"{\"content\":[]}"), kind }));
    }

    pub fn done(&mut self) {
        self.answer(AnswerKind::Done);
    }

    /// The last attempt fails.
    pub fn fail(&mut self, kind: FailureKind) {
        self.end(AttemptEnd::Failed(Failure::new(kind, "pretended")));
    }

    pub fn fail_with(&mut self, failure: Failure) {
        self.end(AttemptEnd::Failed(failure));
    }

    /// The last read shows this.
    pub fn show(&mut self, end: ReadEnd) {
        let (step, read, _) = *self.reads.last().expect("something is read");
        self.input(Input::ReadEnded { step, read, end });
    }

    pub fn judge(&mut self, judgement: Judgement) {
        self.show(ReadEnd::Judged(judgement));
    }

    pub fn image(&mut self, image: &'static str) {
        self.show(ReadEnd::Image(Bytes::from_static(image.as_bytes())));
    }

    pub fn purpose(&self) -> Option<Purpose> {
        self.reads.last().map(|(.., purpose)| *purpose)
    }

    pub fn leave(&mut self, call: u64, how: Left) {
        self.input(Input::Left { call: CallId(call), how });
    }

    pub fn arrive(&mut self, call: u64, arrival: Arrival) {
        self.input(Input::Arrived { call: CallId(call), arrival });
    }

    /// Somebody asks what became of a step; the answer is on its way under the name of that question.
    pub fn ask_after(&mut self, number: u64, question: u64) {
        self.input(Input::AskedAfter { call: CallId(question), step: crate::ask::step(number) });
    }

    /// A call that is answered, and whose answer the client goes on from.
    pub fn seen(&mut self, ask: &Ask) -> u64 {
        let call = self.ask(ask);
        self.done();
        self.arrive(call, Arrival::Seen);
        call
    }

    /// The operator's side loads a closed step before a person records something about it.
    pub fn remember(&mut self, number: u64) {
        let row = Box::new(self.row(number).clone());
        let rules = self.rules[&row.intent.step].clone();
        self.input(Input::Recovered { row, rules });
    }

    pub fn person(&mut self, number: u64, act: Act) {
        let step = crate::ask::step(number);
        self.input(Input::Person { step, act, who: "ops".into(), why: "looked".into() });
    }

    /// Time passes, and every probe on the way shows the same.
    pub fn settle_probes(&mut self, judgement: &Judgement, seconds: u64) {
        for _ in 0..seconds {
            let before = self.reads.len();
            self.seconds(1);
            if self.reads.len() > before {
                self.judge(judgement.clone());
            }
        }
    }

    pub fn stop(&self, call: u64) -> &Stop {
        match self.replies.get(&CallId(call)) {
            Some(Reply::Stop(stop)) => stop,
            other => unreachable!("call {call} was told {other:?}"),
        }
    }

    /// What a call was told, in a few words: `nothing yet`, `result`, `replayed`, `error`, or a code and `executed`.
    pub fn told(&self, call: u64) -> String {
        match self.replies.get(&CallId(call)) {
            None => "nothing yet".into(),
            Some(Reply::Result { replayed: true, .. }) => "replayed".into(),
            Some(Reply::Result { .. }) => "result".into(),
            Some(Reply::Error { .. }) => "error".into(),
            Some(Reply::Stop(stop)) => format!("{} {}", stop.code, stop.executed),
        }
    }

    pub fn notice(&self, call: u64) -> Option<&str> {
        match self.replies.get(&CallId(call)) {
            Some(Reply::Result { notice, .. }) => notice.as_deref(),
            _ => None,
        }
    }

    pub fn row(&self, number: u64) -> &StepRow {
        &self.rows[&crate::ask::step(number)]
    }

    pub fn outcome(&self, number: u64) -> Option<Outcome> {
        self.row(number).status.outcome
    }

    pub fn has_event(&self, number: u64, kind: EventKind) -> bool {
        self.events.iter().any(|event| event.step == crate::ask::step(number) && event.kind == kind)
    }

    /// How often a step was sent.
    pub fn sent(&self, number: u64) -> usize {
        self.sends.iter().filter(|sent| sent.step == crate::ask::step(number)).count()
    }
}
