//! Steps, events and reads to test with: equal numbers give equal values.

use std::sync::Arc;
use std::time::Duration;
use vocab::{
    Bytes, Cause, Effect, EffectSource, Epoch, Event, EventKind, EvidenceClass, Hash, Instant, KeySource, Name,
    Outcome, ReadNote, Record, RunId, State, StepId, StepIntent, StepStatus, Verification,
};

/// 2026-01-01, in microseconds.
pub const T0: Instant = Instant::from_micros(1_767_225_600_000_000);

/// `seconds` after [`T0`].
#[must_use]
pub fn at(seconds: u64) -> Instant {
    T0 + Duration::from_secs(seconds)
}

/// A version 7 id whose time is that of [`at`].
#[must_use]
pub fn id(number: u64) -> StepId {
    let mut bytes = [0x80; 16];
    bytes[..6].copy_from_slice(&(at(number).as_micros() / 1_000).to_be_bytes()[2..]);
    bytes[6] = 0x70;
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    StepId(bytes)
}

#[must_use]
pub fn hash(kind: u8, number: u64) -> Hash {
    let mut bytes = [kind; 32];
    bytes[8..16].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    Hash(bytes)
}

/// A write of run 1 with its own key and content.
#[must_use]
pub fn intent(number: u64) -> StepIntent {
    StepIntent {
        step: id(number),
        key: hash(1, number),
        generation: 0,
        key_source: KeySource::Explicit,
        fingerprint: hash(2, number),
        content: hash(3, number),
        scope: hash(4, 0),
        tenant: Name::from("default"),
        principal: Name::from("agent"),
        run: RunId([1; 16]),
        upstream: Name::from("shop"),
        tool: Name::from("place_order"),
        effect: Effect::Write,
        effect_source: EffectSource::Policy,
        policy: hash(5, 0),
        lane: Some(Name::from("order-7")),
        args: Bytes::from(format!("{{\"order\":{number}}}")),
        upstream_key: Some(Name::from("key-1")),
        preimage: Some(Bytes::from_static(b"{\"state\":\"before\"}")),
        undo: None,
        created_at: at(number),
    }
}

/// The usual first append of a mutation: it exists and may be sent.
#[must_use]
pub fn begin(intent: StepIntent, epoch: Epoch) -> Vec<Record> {
    let (step, now) = (intent.step, intent.created_at);
    let status = StepStatus {
        attempt: 1,
        first_sent_at: Some(now),
        last_sent_at: Some(now),
        ..StepStatus::new(State::Dispatched)
    };
    vec![
        Record::Insert { intent: Arc::new(intent), status, epoch },
        Record::Event(event(step, now, EventKind::Intent)),
        Record::Event(event(step, now, EventKind::Dispatched)),
    ]
}

/// The usual last append of a mutation, one second later.
#[must_use]
pub fn end(number: u64, epoch: Epoch) -> Vec<Record> {
    let now = at(number + 1);
    let result = Bytes::from(format!("{{\"content\":[],\"number\":{number}}}"));
    vec![
        Record::Update { step: id(number), epoch, status: closed(now, Outcome::Succeeded), result: Some(result) },
        Record::Event(event(id(number), now, EventKind::Receipt)),
        Record::Event(event(id(number), now, EventKind::Closed)),
    ]
}

#[must_use]
pub fn closed(now: Instant, outcome: Outcome) -> StepStatus {
    StepStatus {
        attempt: 1,
        outcome: Some(outcome),
        cause: Some(Cause::Ok),
        verification: Verification::Verified,
        closed_at: Some(now),
        ..StepStatus::new(State::Closed)
    }
}

#[must_use]
pub fn update(number: u64, epoch: Epoch, status: StepStatus) -> Record {
    Record::Update { step: id(number), epoch, status, result: None }
}

#[must_use]
pub fn event(step: StepId, at: Instant, kind: EventKind) -> Event {
    Event { step, at, kind, attempt: 1, class: Some(EvidenceClass::Receipt), detail: "as it was".to_owned() }
}

#[must_use]
pub fn read(number: u64) -> ReadNote {
    ReadNote {
        step: id(number),
        run: RunId([2; 16]),
        principal: Name::from("agent"),
        upstream: Name::from("shop"),
        tool: Name::from("get_order"),
        at: at(number),
        took_micros: 850,
        attempts: 1,
        outcome: Outcome::Succeeded,
        cause: Cause::Ok,
    }
}
