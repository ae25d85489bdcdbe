//! Replicas, one key, a database and an upstream, one event at a time. Time comes in ticks; only what is left of each
//! span is kept, never a date, so that the states are finitely many and time need not be bounded.

use super::Flaw;

/// Two steps can have the key: the second one where the first is known not to have happened.
pub const STEPS: usize = 2;

/// Spans in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Spans {
    pub lease: u8,
    /// How long a replica sends after it asked for its lease, by its own clock.
    pub sends: u8,
    /// Between a sender's look and its first byte at most.
    pub pause_max: u8,
    /// Between the first byte and the effect at most.
    pub effect_max: u8,
    pub quiescence: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub replicas: Vec<Replica>,
    pub row: Row,
    /// Requests on their way to an effect.
    pub wire: Vec<Request>,
    pub steps: [Told; STEPS],
    /// Kills that may still come.
    pub kills: u8,
    /// What this event came by, a bit each; taken away before states are compared.
    pub reached: u8,
}

/// What is known of one step outside of the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Told {
    pub sends: u8,
    pub effects: u8,
    pub yes: bool,
    pub no: bool,
}

/// What a search has to come by.
#[derive(Clone, Copy, Debug)]
pub enum Reached {
    TakenOver,
    FencedSendsLate,
    StoppedByLease,
    ReceiptAtFenced,
    GoesOnAfterRejoin,
    RunAgainAfterAbsent,
}

impl Reached {
    pub const ALL: [Self; 6] = [
        Self::TakenOver,
        Self::FencedSendsLate,
        Self::StoppedByLease,
        Self::ReceiptAtFenced,
        Self::GoesOnAfterRejoin,
        Self::RunAgainAfterAbsent,
    ];

    pub const fn bit(self) -> u8 {
        1 << self as u8
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Replica {
    pub is_running: bool,
    /// Its row in the database.
    pub lease: u8,
    pub fenced: bool,
    /// By its own clock.
    pub sends: u8,
    pub hand: Hand,
    /// It has read the world once nothing could arrive any more, and the effect was not there; and whether it still
    /// owns the step.
    pub saw_absent: Option<bool>,
}

/// What a replica does for a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hand {
    #[default]
    Empty,
    /// Only where the claim is not one statement.
    SawNoRow,
    /// The dispatch is durable.
    Durable {
        step: u8,
        owns: bool,
        same_term: bool,
    },
    /// It may send, and has not sent yet.
    Looked {
        step: u8,
        owns: bool,
        left: u8,
    },
    Sent {
        step: u8,
        owns: bool,
        has_effect: bool,
    },
}

impl Hand {
    fn owns(self) -> bool {
        match self {
            Self::Empty | Self::SawNoRow => false,
            Self::Durable { owns, .. } | Self::Looked { owns, .. } | Self::Sent { owns, .. } => owns,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Row {
    None,
    Open {
        step: u8,
        owner: u8,
        /// The replica has a new name in the database since.
        is_old_name: bool,
        /// `None`: dispatched. Else resolving, and so long until *absent* is believed.
        quiet_in: Option<u8>,
    },
    Closed {
        step: u8,
        happened: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    pub step: u8,
    /// Who waits for its answer.
    pub from: Option<u8>,
    pub left: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Tick,
    Beat(u8),
    /// It was fenced, and begins anew under another name.
    Rejoin(u8),
    Kill(u8),
    Start(u8),
    /// The call comes in. With the flaw the first half of the claim.
    Ask(u8),
    Insert(u8),
    Look(u8),
    Send(u8),
    Effect(usize),
    Lost(usize),
    Answer(u8),
    NoAnswer(u8),
    Fence(u8),
    Take(u8),
    Read(u8),
    Conclude(u8),
}

impl World {
    pub fn new(replicas: usize, kills: u8, spans: &Spans) -> Self {
        let replica = Replica { is_running: true, lease: spans.lease, sends: spans.sends, ..Replica::default() };
        Self {
            replicas: vec![replica; replicas],
            row: Row::None,
            wire: Vec::new(),
            steps: [Told::default(); STEPS],
            kills,
            reached: 0,
        }
    }

    /// Everything that might be possible; `after` says whether it is.
    pub fn events(&self) -> Vec<Event> {
        use Event::*;
        let mut events = vec![Tick];
        for who in 0..self.replicas.len() as u8 {
            let of =
                [Beat, Rejoin, Kill, Start, Ask, Insert, Look, Send, Answer, NoAnswer, Fence, Take, Read, Conclude];
            events.extend(of.map(|event: fn(u8) -> Event| event(who)));
        }
        for which in 0..self.wire.len() {
            events.extend([Effect(which), Lost(which)]);
        }
        events
    }

    /// `None`: it cannot come now.
    pub fn after(&self, event: Event, spans: &Spans, flaw: Option<Flaw>) -> Option<Self> {
        let mut next = self.clone();
        let done = match event {
            Event::Tick => next.tick(),
            Event::Beat(who) => next.beat(who, spans),
            Event::Rejoin(who) => next.rejoin(who, spans, flaw),
            Event::Kill(who) => next.kill(who),
            Event::Start(who) => next.start(who, spans),
            Event::Ask(who) => next.ask(who, flaw),
            Event::Insert(who) => next.insert(who),
            Event::Look(who) => next.look(who, spans, flaw),
            Event::Send(who) => next.send(who, spans),
            Event::Effect(which) => next.effect(which),
            Event::Lost(which) => next.lost(which),
            Event::Answer(who) => next.answer(who, flaw),
            Event::NoAnswer(who) => next.no_answer(who, spans, flaw),
            Event::Fence(who) => next.fence(who),
            Event::Take(who) => next.take(who, spans, flaw),
            Event::Read(who) => next.read(who),
            Event::Conclude(who) => next.conclude(who, flaw),
        };
        done.map(|()| next)
    }

    fn came_by(&mut self, what: Reached) {
        self.reached |= what.bit();
    }

    fn running(&mut self, who: u8) -> Option<&mut Replica> {
        self.replicas.get_mut(usize::from(who)).filter(|replica| replica.is_running)
    }

    fn hand(&self, who: u8) -> Hand {
        self.replicas[usize::from(who)].hand
    }

    fn set_hand(&mut self, who: u8, hand: Hand) {
        self.replicas[usize::from(who)].hand = hand;
    }

    /// Nothing waits for longer than its bound.
    fn tick(&mut self) -> Option<()> {
        for replica in &mut self.replicas {
            replica.lease = replica.lease.saturating_sub(1);
            replica.sends = replica.sends.saturating_sub(1);
            if let Hand::Looked { left, .. } = &mut replica.hand {
                *left = left.checked_sub(1)?;
            }
        }
        for request in &mut self.wire {
            request.left = request.left.checked_sub(1)?;
        }
        if let Row::Open { quiet_in: Some(quiet_in), .. } = &mut self.row {
            *quiet_in = quiet_in.saturating_sub(1);
        }
        Some(())
    }

    /// A replica that is slow, cut off or stopped is one that does not come by this in time.
    fn beat(&mut self, who: u8, spans: &Spans) -> Option<()> {
        let replica = self.running(who).filter(|replica| !replica.fenced)?;
        (replica.lease, replica.sends) = (spans.lease, spans.sends);
        Some(())
    }

    fn rejoin(&mut self, who: u8, spans: &Spans, flaw: Option<Flaw>) -> Option<()> {
        let replica = self.running(who).filter(|replica| replica.fenced)?;
        (replica.fenced, replica.lease, replica.sends) = (false, spans.lease, spans.sends);
        if let Hand::Durable { same_term, .. } = &mut replica.hand {
            *same_term = flaw == Some(Flaw::TermForgotten);
        }
        self.renamed(who);
        Some(())
    }

    fn renamed(&mut self, who: u8) {
        if let Row::Open { owner, is_old_name, .. } = &mut self.row
            && *owner == who
        {
            *is_old_name = true;
        }
    }

    fn kill(&mut self, who: u8) -> Option<()> {
        self.kills = self.kills.checked_sub(1)?;
        let replica = self.running(who)?;
        *replica = Replica { lease: replica.lease, fenced: replica.fenced, ..Replica::default() };
        self.wire.iter_mut().filter(|request| request.from == Some(who)).for_each(|request| request.from = None);
        Some(())
    }

    /// In the same directory: what its earlier process left is its own again, as it is after a take-over.
    fn start(&mut self, who: u8, spans: &Spans) -> Option<()> {
        let replica = self.replicas.get_mut(usize::from(who)).filter(|replica| !replica.is_running)?;
        *replica = Replica { is_running: true, lease: spans.lease, sends: spans.sends, ..Replica::default() };
        if let Row::Open { owner, is_old_name, quiet_in, .. } = &mut self.row
            && *owner == who
        {
            (*is_old_name, *quiet_in) = (false, Some(spans.quiescence));
        }
        Some(())
    }

    /// The step that a call would make now.
    fn free(&self) -> Option<u8> {
        match self.row {
            Row::None => Some(0),
            Row::Closed { step, happened: false } if usize::from(step) + 1 < STEPS => Some(step + 1),
            Row::Open { .. } | Row::Closed { .. } => None,
        }
    }

    fn ask(&mut self, who: u8, flaw: Option<Flaw>) -> Option<()> {
        self.free()?;
        let replica = self.running(who).filter(|replica| replica.hand == Hand::Empty)?;
        if flaw == Some(Flaw::CheckThenInsert) {
            replica.hand = Hand::SawNoRow;
            return Some(());
        }
        self.claim(who)
    }

    fn insert(&mut self, who: u8) -> Option<()> {
        if self.hand(who) != Hand::SawNoRow {
            return None;
        }
        // Whoever looked first and inserts last takes the place of the other.
        if let Row::Open { step, .. } = self.row {
            self.disown();
            return self.claimed(who, step);
        }
        self.claim(who)
    }

    fn claim(&mut self, who: u8) -> Option<()> {
        let step = self.free()?;
        self.claimed(who, step)
    }

    /// One statement: by a replica whose lease runs, and of one key once. Intent and dispatch come with it.
    fn claimed(&mut self, who: u8, step: u8) -> Option<()> {
        let replica = self.running(who).filter(|replica| replica.lease > 0 && !replica.fenced)?;
        replica.hand = Hand::Durable { step, owns: true, same_term: true };
        self.row = Row::Open { step, owner: who, is_old_name: false, quiet_in: None };
        Some(())
    }

    /// The last look before the request is handed to the transport.
    fn look(&mut self, who: u8, spans: &Spans, flaw: Option<Flaw>) -> Option<()> {
        let Hand::Durable { step, owns, same_term } = self.hand(who) else { return None };
        let replica = self.running(who)?;
        if (replica.sends > 0 && same_term) || flaw == Some(Flaw::NoLook) {
            replica.hand = Hand::Looked { step, owns, left: spans.pause_max };
            return Some(());
        }
        replica.hand = Hand::Empty;
        self.came_by(Reached::StoppedByLease);
        // Proof that nothing ran, which only the owner may record.
        if self.may_write(owns, flaw) {
            self.close(step, false);
        }
        Some(())
    }

    fn send(&mut self, who: u8, spans: &Spans) -> Option<()> {
        let Hand::Looked { step, owns, .. } = self.hand(who) else { return None };
        self.set_hand(who, Hand::Sent { step, owns, has_effect: false });
        if !owns {
            self.came_by(Reached::FencedSendsLate);
        }
        self.put_on_wire(who, step, spans);
        Some(())
    }

    fn put_on_wire(&mut self, who: u8, step: u8, spans: &Spans) {
        self.steps[usize::from(step)].sends += 1;
        self.wire.push(Request { step, from: Some(who), left: spans.effect_max });
    }

    fn effect(&mut self, which: usize) -> Option<()> {
        let request = self.wire.remove(which);
        self.steps[usize::from(request.step)].effects += 1;
        if request.step > 0 && self.steps[0].no {
            self.came_by(Reached::RunAgainAfterAbsent);
        }
        if let Some(who) = request.from
            && let Hand::Sent { has_effect, .. } = &mut self.replicas[usize::from(who)].hand
        {
            *has_effect = true;
        }
        Some(())
    }

    fn lost(&mut self, which: usize) -> Option<()> {
        self.wire.remove(which);
        Some(())
    }

    /// Whether `(step, epoch)` still matches.
    fn may_write(&self, owns: bool, flaw: Option<Flaw>) -> bool {
        matches!(self.row, Row::Open { .. }) && (owns || flaw == Some(Flaw::EpochIgnored))
    }

    fn close(&mut self, step: u8, happened: bool) {
        let told = &mut self.steps[usize::from(step)];
        (told.yes, told.no) = (told.yes || happened, told.no || !happened);
        self.row = Row::Closed { step, happened };
        self.disown();
    }

    /// Nobody's epoch matches any more.
    fn disown(&mut self) {
        for replica in &mut self.replicas {
            match &mut replica.hand {
                Hand::Durable { owns, .. } | Hand::Looked { owns, .. } | Hand::Sent { owns, .. } => *owns = false,
                Hand::Empty | Hand::SawNoRow => {}
            }
            replica.saw_absent = replica.saw_absent.map(|_| false);
        }
    }

    fn answer(&mut self, who: u8, flaw: Option<Flaw>) -> Option<()> {
        let Hand::Sent { step, owns, has_effect: true } = self.hand(who) else { return None };
        self.set_hand(who, Hand::Empty);
        if self.may_write(owns, flaw) {
            self.close(step, true);
        } else {
            // Its caller is told that it is not known.
            self.came_by(Reached::ReceiptAtFenced);
        }
        Some(())
    }

    fn no_answer(&mut self, who: u8, spans: &Spans, flaw: Option<Flaw>) -> Option<()> {
        let Hand::Sent { owns, .. } = self.hand(who) else { return None };
        self.set_hand(who, Hand::Empty);
        self.wire.iter_mut().filter(|request| request.from == Some(who)).for_each(|request| request.from = None);
        if self.may_write(owns, flaw)
            && let Row::Open { quiet_in, .. } = &mut self.row
        {
            *quiet_in = Some(spans.quiescence);
        }
        Some(())
    }

    /// Any other replica may, once the lease is over.
    fn fence(&mut self, whom: u8) -> Option<()> {
        let replica = self.replicas.get_mut(usize::from(whom))?;
        if replica.fenced || replica.lease > 0 {
            return None;
        }
        replica.fenced = true;
        Some(())
    }

    fn take(&mut self, who: u8, spans: &Spans, flaw: Option<Flaw>) -> Option<()> {
        let Row::Open { step, owner, is_old_name, .. } = self.row else { return None };
        let free = is_old_name || self.replicas[usize::from(owner)].fenced;
        let taker = self.running(who).filter(|taker| !taker.fenced && free)?;
        if owner == who && (taker.hand.owns() || taker.saw_absent == Some(true)) {
            // It was taken for dead, nobody took the step meanwhile, and it goes on where it was.
            self.came_by(Reached::GoesOnAfterRejoin);
            if let Row::Open { is_old_name, .. } = &mut self.row {
                *is_old_name = false;
            }
            return Some(());
        }
        self.disown();
        self.came_by(Reached::TakenOver);
        self.row = Row::Open { step, owner: who, is_old_name: false, quiet_in: Some(spans.quiescence) };
        if flaw == Some(Flaw::TakerSends) && self.steps[usize::from(step)].effects == 0 {
            self.set_hand(who, Hand::Sent { step, owns: true, has_effect: false });
            self.put_on_wire(who, step, spans);
        }
        Some(())
    }

    fn owns_open(&self, who: u8) -> Option<(u8, Option<u8>)> {
        match self.row {
            Row::Open { step, owner, is_old_name: false, quiet_in } if owner == who => Some((step, quiet_in)),
            _ => None,
        }
    }

    /// The owner of an unknown step looks at the world.
    fn read(&mut self, who: u8) -> Option<()> {
        let (step, quiet_in) = self.owns_open(who)?;
        let quiet_in = quiet_in?;
        self.running(who).filter(|replica| !replica.hand.owns() && replica.saw_absent.is_none())?;
        if self.steps.iter().any(|told| told.effects > 0) {
            self.close(step, true);
            return Some(());
        }
        if quiet_in > 0 {
            return None;
        }
        self.replicas[usize::from(who)].saw_absent = Some(true);
        Some(())
    }

    fn conclude(&mut self, who: u8, flaw: Option<Flaw>) -> Option<()> {
        let owns = self.running(who)?.saw_absent.take()?;
        if self.may_write(owns, flaw)
            && let Row::Open { step, .. } = self.row
        {
            self.close(step, false);
        }
        Some(())
    }
}
