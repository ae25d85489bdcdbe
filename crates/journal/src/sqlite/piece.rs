//! Records as the log holds them: the records of one step in one append, packed into one row.
//!
//! Form 1: the byte 1; the epoch of the writer; then the records, each with a tag. Numbers that mean something are
//! written out here, not taken from the order of an enum, because they are stored. A newer form gets another first
//! byte.

use super::log::damaged;
use crate::StoredEvent;
use crate::packed::{Reader, number};
use rusqlite::Result;
use std::sync::Arc;
use vocab::{
    Bytes, Cause, Code, Delivered, Effect, EffectSource, Epoch, Event, EventKind, EvidenceClass, Hash, Instant,
    KeySource, Lsn, Name, Outcome, Record, RunId, State, StepId, StepIntent, StepRow, StepStatus, Verification,
};

const FORM: u8 = 1;
const INSERT: u8 = 1;
const UPDATE: u8 = 2;
const EVENT: u8 = 3;

/// What a row of the log says about its step.
#[derive(Debug)]
pub(super) enum Piece {
    Insert { intent: Arc<StepIntent>, status: StepStatus, epoch: Epoch },
    Update { status: StepStatus, epoch: Epoch, result: Option<Bytes> },
    Event(Event),
}

/// Begins a row: everything in it has one writer.
pub(super) fn begin(out: &mut Vec<u8>, writer: Epoch) {
    out.push(FORM);
    number(out, writer.0);
}

/// Adds records of one step. What is kept elsewhere is not among them.
pub(super) fn pack(out: &mut Vec<u8>, records: &[Record]) {
    for record in records {
        match record {
            Record::Insert { intent, status, epoch } => insert(out, intent, status, *epoch),
            Record::Update { epoch, status: next, result, .. } => {
                out.push(UPDATE);
                number(out, epoch.0);
                status(out, next);
                bytes_or_none(out, result.as_ref());
            }
            Record::Event(one) => event(out, one),
            Record::Read(_) | Record::Guard(_) => {}
        }
    }
}

/// What is left of a step when its rows are gone.
pub(super) fn pack_stone(row: &StepRow) -> Vec<u8> {
    let mut out = Vec::new();
    begin(&mut out, row.epoch);
    insert(&mut out, &row.intent, &row.status, row.epoch);
    out
}

/// The records of a row and the epoch of their writer.
pub(super) fn unpack(step: StepId, bytes: &[u8]) -> Result<(Epoch, Vec<Piece>)> {
    parse(step, &mut Reader(bytes)).ok_or_else(|| damaged(format!("a record of step {step} is damaged")))
}

/// The events of a row, whose last one stands at `lsn`.
pub(super) fn events(step: StepId, lsn: Lsn, bytes: &[u8]) -> Result<Vec<StoredEvent>> {
    let (epoch, pieces) = unpack(step, bytes)?;
    let mut events: Vec<_> = pieces
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Event(event) => Some(StoredEvent { lsn, epoch, event }),
            _ => None,
        })
        .collect();
    for (behind, stored) in events.iter_mut().rev().enumerate() {
        stored.lsn = Lsn(lsn.0.saturating_sub(behind as u64));
    }
    Ok(events)
}

fn insert(out: &mut Vec<u8>, intent: &StepIntent, next: &StepStatus, epoch: Epoch) {
    out.push(INSERT);
    number(out, epoch.0);
    status(out, next);
    out.extend_from_slice(&intent.key.0);
    number(out, u64::from(intent.generation));
    out.push(key_source_number(intent.key_source));
    out.extend_from_slice(&intent.fingerprint.0);
    hash_or_zero(out, intent.content);
    hash_or_zero(out, intent.scope);
    text(out, &intent.tenant);
    text(out, &intent.principal);
    out.extend_from_slice(&intent.run.0);
    text(out, &intent.upstream);
    text(out, &intent.tool);
    out.push(effect_number(intent.effect));
    out.push(effect_source_number(intent.effect_source));
    hash_or_zero(out, intent.policy);
    text_or_none(out, intent.lane.as_deref());
    text_or_none(out, intent.upstream_key.as_deref());
    number(out, intent.created_at.as_micros());
    bytes_or_none(out, Some(&intent.args));
    bytes_or_none(out, intent.preimage.as_ref());
    bytes_or_none(out, intent.undo.as_ref());
}

fn status(out: &mut Vec<u8>, status: &StepStatus) {
    out.push(status.state.number());
    number(out, u64::from(status.attempt));
    number_or_none(out, status.outcome.map(|one| u64::from(one.number())));
    number_or_none(out, status.cause.map(|one| u64::from(one.number())));
    out.push(status.verification.number());
    text_or_none(out, status.told.map(Code::as_str));
    out.push(status.delivered.number());
    out.push(u8::from(status.run_again));
    text_or_none(out, status.remote_task.as_deref());
    for at in [status.first_sent_at, status.last_sent_at, status.closed_at, status.next_action_at] {
        number_or_none(out, at.map(Instant::as_micros));
    }
}

fn event(out: &mut Vec<u8>, event: &Event) {
    out.push(EVENT);
    out.push(event.kind.number());
    number(out, event.at.as_micros());
    number(out, u64::from(event.attempt));
    number_or_none(out, event.class.map(|class| u64::from(class.number())));
    text(out, &event.detail);
}

fn text(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn text_or_none(out: &mut Vec<u8>, maybe: Option<&str>) {
    out.push(u8::from(maybe.is_some()));
    if let Some(some) = maybe {
        text(out, some);
    }
}

fn bytes_or_none(out: &mut Vec<u8>, maybe: Option<&Bytes>) {
    out.push(u8::from(maybe.is_some()));
    if let Some(bytes) = maybe {
        number(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}

fn number_or_none(out: &mut Vec<u8>, maybe: Option<u64>) {
    out.push(u8::from(maybe.is_some()));
    if let Some(some) = maybe {
        number(out, some);
    }
}

fn hash_or_zero(out: &mut Vec<u8>, hash: Hash) {
    let is_there = hash != Hash::default();
    out.push(u8::from(is_there));
    if is_there {
        out.extend_from_slice(&hash.0);
    }
}

fn parse(step: StepId, from: &mut Reader<'_>) -> Option<(Epoch, Vec<Piece>)> {
    if from.byte()? != FORM {
        return None;
    }
    let writer = Epoch(from.number()?);
    let mut pieces = Vec::new();
    while !from.0.is_empty() {
        pieces.push(match from.byte()? {
            INSERT => {
                let epoch = Epoch(from.number()?);
                let status = parse_status(from)?;
                Piece::Insert { intent: Arc::new(parse_intent(step, from)?), status, epoch }
            }
            UPDATE => {
                Piece::Update { epoch: Epoch(from.number()?), status: parse_status(from)?, result: parse_bytes(from)? }
            }
            EVENT => Piece::Event(Event {
                step,
                kind: EventKind::from_number(from.byte()?)?,
                at: Instant::from_micros(from.number()?),
                attempt: u32::try_from(from.number()?).ok()?,
                class: parse_known(from, EvidenceClass::from_number)?,
                detail: from.text()?.as_ref().to_owned(),
            }),
            _ => return None,
        });
    }
    Some((writer, pieces))
}

fn parse_intent(step: StepId, from: &mut Reader<'_>) -> Option<StepIntent> {
    let mut intent = StepIntent {
        step,
        key: Hash(from.array()?),
        generation: u32::try_from(from.number()?).ok()?,
        key_source: key_source(from.byte()?)?,
        fingerprint: Hash(from.array()?),
        content: parse_hash(from)?,
        scope: parse_hash(from)?,
        tenant: from.text()?,
        principal: from.text()?,
        run: RunId(from.array()?),
        upstream: from.text()?,
        tool: from.text()?,
        effect: effect(from.byte()?)?,
        effect_source: effect_source(from.byte()?)?,
        policy: parse_hash(from)?,
        lane: parse_text(from)?,
        upstream_key: parse_text(from)?,
        created_at: Instant::from_micros(from.number()?),
        args: Bytes::new(),
        preimage: None,
        undo: None,
    };
    intent.args = parse_bytes(from)?.unwrap_or_default();
    intent.preimage = parse_bytes(from)?;
    intent.undo = parse_bytes(from)?;
    Some(intent)
}

fn parse_status(from: &mut Reader<'_>) -> Option<StepStatus> {
    let mut status = StepStatus::new(State::from_number(from.byte()?)?);
    status.attempt = u32::try_from(from.number()?).ok()?;
    status.outcome = parse_known(from, Outcome::from_number)?;
    status.cause = parse_known(from, Cause::from_number)?;
    status.verification = Verification::from_number(from.byte()?)?;
    status.told = match parse_text(from)? {
        Some(text) => Some(Code::parse(&text)?),
        None => None,
    };
    status.delivered = Delivered::from_number(from.byte()?)?;
    status.run_again = parse_flag(from)?;
    status.remote_task = parse_text(from)?;
    let mut instant = || Some(parse_number(from)?.map(Instant::from_micros));
    status.first_sent_at = instant()?;
    status.last_sent_at = instant()?;
    status.closed_at = instant()?;
    status.next_action_at = instant()?;
    Some(status)
}

fn parse_flag(from: &mut Reader<'_>) -> Option<bool> {
    match from.byte()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn parse_number(from: &mut Reader<'_>) -> Option<Option<u64>> {
    Some(if parse_flag(from)? { Some(from.number()?) } else { None })
}

/// `None`: a number that this program does not know. `Some(None)`: none is stored.
fn parse_known<T>(from: &mut Reader<'_>, decode: impl Fn(u8) -> Option<T>) -> Option<Option<T>> {
    match parse_number(from)? {
        Some(number) => decode(u8::try_from(number).ok()?).map(Some),
        None => Some(None),
    }
}

fn parse_text(from: &mut Reader<'_>) -> Option<Option<Name>> {
    Some(if parse_flag(from)? { Some(from.text()?) } else { None })
}

fn parse_hash(from: &mut Reader<'_>) -> Option<Hash> {
    Some(if parse_flag(from)? { Hash(from.array()?) } else { Hash::default() })
}

fn parse_bytes(from: &mut Reader<'_>) -> Option<Option<Bytes>> {
    if !parse_flag(from)? {
        return Some(None);
    }
    let length = from.index()?;
    Some(Some(Bytes::copy_from_slice(from.take(length)?)))
}

pub(super) const fn effect_number(effect: Effect) -> u8 {
    match effect {
        Effect::Read => 0,
        Effect::Idempotent => 1,
        Effect::Keyed => 2,
        Effect::Write => 3,
        Effect::Destructive => 4,
    }
}

pub(super) fn effect(number: u8) -> Option<Effect> {
    Effect::ALL.into_iter().find(|effect| effect_number(*effect) == number)
}

const fn effect_source_number(source: EffectSource) -> u8 {
    match source {
        EffectSource::Guessed => 0,
        EffectSource::Name => 1,
        EffectSource::Annotation => 2,
        EffectSource::TrustedAnnotation => 3,
        EffectSource::Policy => 4,
    }
}

pub(super) fn effect_source(number: u8) -> Option<EffectSource> {
    use EffectSource::{Annotation, Guessed, Name, Policy, TrustedAnnotation};
    [Guessed, Name, Annotation, TrustedAnnotation, Policy].into_iter().find(|one| effect_source_number(*one) == number)
}

const fn key_source_number(source: KeySource) -> u8 {
    match source {
        KeySource::Fresh => 0,
        KeySource::Position => 1,
        KeySource::ModelCall => 2,
        KeySource::Explicit => 3,
    }
}

pub(super) fn key_source(number: u8) -> Option<KeySource> {
    use KeySource::{Explicit, Fresh, ModelCall, Position};
    [Fresh, Position, ModelCall, Explicit].into_iter().find(|one| key_source_number(*one) == number)
}
