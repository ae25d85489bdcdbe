//! A step and an event as columns, both ways. Numbers that mean something are written out here, because they are
//! stored; they are those of the file journal.
//!
//! Text is stored as its bytes: a name that a tool server or a caller chose may hold a NUL, which `text` cannot.

use crate::{Error, StoredEvent};
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};
use vocab::{
    Bytes, Cause, Code, Delivered, Effect, EffectSource, Epoch, Event, EventKind, EvidenceClass, Hash, Instant,
    KeySource, Lsn, Name, Outcome, RunId, State, StepId, StepIntent, StepRow, StepStatus, Verification,
};

const STATUS: &str = "state, attempt, outcome, cause, verification, told, delivered, run_again, remote_task, \
    first_sent_at, last_sent_at, closed_at, next_action_at";
const INTENT: &str = "step_id, key, generation, key_source, fingerprint, content, scope, tenant, principal, run_id, \
    upstream, tool, effect, effect_source, policy, lane, upstream_key, created_at";

/// A query for steps with their bodies.
pub(super) fn whole(rest: &str) -> String {
    format!("SELECT {} FROM step {rest}", columns())
}

/// What [`step`] reads.
pub(super) fn columns() -> String {
    format!("{STATUS}, epoch, expired, {INTENT}, args, result, preimage, undo")
}

/// A query for steps without their bodies, and their places in the table after them.
pub(super) fn bare(rest: &str) -> String {
    format!(
        "SELECT {STATUS}, epoch, expired, {INTENT}, NULL::bytea, NULL::bytea, NULL::bytea, NULL::bytea, seq FROM step {rest}"
    )
}

/// Number of columns of [`columns`].
pub(super) const COLUMNS: usize = 37;

/// A replica that is not live claims nothing; that is asked once for each commit.
pub(super) const INSERT: &str = "INSERT INTO step(state, attempt, outcome, cause, verification, told, delivered, \
    run_again, remote_task, first_sent_at, last_sent_at, closed_at, next_action_at, epoch, step_id, key, generation, \
    key_source, fingerprint, content, scope, tenant, principal, run_id, upstream, tool, effect, effect_source, policy, \
    lane, upstream_key, created_at, args, preimage, twin, owner, undo) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
    $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37) ON CONFLICT DO NOTHING";

/// A later owner has drawn a later epoch.
pub(super) const UPDATE: &str = "UPDATE step SET state = $1, attempt = $2, outcome = $3, cause = $4, \
    verification = $5, told = $6, delivered = $7, run_again = $8, remote_task = $9, first_sent_at = $10, \
    last_sent_at = $11, closed_at = $12, next_action_at = $13, epoch = $14, result = coalesce($16, result), \
    result_hash = coalesce($17, result_hash) WHERE step_id = $15 AND epoch <= $14";

/// Values bound to one statement.
pub(super) type Values = Vec<Box<dyn ToSql + Sync + Send>>;

fn put(values: &mut Values, value: impl ToSql + Sync + Send + 'static) {
    values.push(Box::new(value));
}

fn put_status(values: &mut Values, status: &StepStatus) {
    put(values, i16::from(status.state.number()));
    put(values, i64::from(status.attempt));
    put(values, status.outcome.map(|outcome| i16::from(outcome.number())));
    put(values, status.cause.map(|cause| i16::from(cause.number())));
    put(values, i16::from(status.verification.number()));
    put(values, status.told.map(Code::as_str));
    put(values, i16::from(status.delivered.number()));
    put(values, status.run_again);
    put(values, status.remote_task.as_ref().map(text));
    put(values, status.first_sent_at.map(micros));
    put(values, status.last_sent_at.map(micros));
    put(values, status.closed_at.map(micros));
    put(values, status.next_action_at.map(micros));
}

pub(super) fn insert(intent: &StepIntent, status: &StepStatus, epoch: Epoch, owner: i64) -> Values {
    let mut values = Values::with_capacity(COLUMNS);
    put_status(&mut values, status);
    put(&mut values, epoch.0.cast_signed());
    put(&mut values, intent.step.0.to_vec());
    put(&mut values, intent.key.0.to_vec());
    put(&mut values, i64::from(intent.generation));
    put(&mut values, key_source_number(intent.key_source));
    put(&mut values, intent.fingerprint.0.to_vec());
    put(&mut values, intent.content.0.to_vec());
    put(&mut values, intent.scope.0.to_vec());
    put(&mut values, text(&intent.tenant));
    put(&mut values, text(&intent.principal));
    put(&mut values, intent.run.0.to_vec());
    put(&mut values, text(&intent.upstream));
    put(&mut values, text(&intent.tool));
    put(&mut values, effect_number(intent.effect));
    put(&mut values, effect_source_number(intent.effect_source));
    put(&mut values, intent.policy.0.to_vec());
    put(&mut values, intent.lane.as_ref().map(text));
    put(&mut values, intent.upstream_key.as_ref().map(text));
    put(&mut values, micros(intent.created_at));
    put(&mut values, intent.args.to_vec());
    put(&mut values, intent.preimage.as_ref().map(|image| image.to_vec()));
    put(&mut values, intent.effect.is_mutation().then(|| twin(intent.scope, intent.content)));
    put(&mut values, owner);
    put(&mut values, intent.undo.as_ref().map(|undo| undo.to_vec()));
    values
}

pub(super) fn update(step: StepId, status: &StepStatus, epoch: Epoch, result: Option<&Bytes>) -> Values {
    let mut values = Values::with_capacity(17);
    put_status(&mut values, status);
    put(&mut values, epoch.0.cast_signed());
    put(&mut values, step.0.to_vec());
    put(&mut values, result.map(|bytes| bytes.to_vec()));
    put(&mut values, result.map(|bytes| blake3::hash(bytes).as_bytes().to_vec()));
    values
}

/// What scope and content are looked up by; the pair itself is compared too.
pub(super) fn twin(scope: Hash, content: Hash) -> i64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&scope.0);
    hasher.update(&content.0);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_le_bytes(first)
}

pub(super) fn step(row: &Row) -> Result<StepRow, Error> {
    let mut at = Columns { row, next: 0 };
    let status = StepStatus {
        state: at.decoded("state", State::from_number)?,
        attempt: at.count()?,
        outcome: at.optional("outcome", Outcome::from_number)?,
        cause: at.optional("cause", Cause::from_number)?,
        verification: at.decoded("verification", Verification::from_number)?,
        told: at.told()?,
        delivered: at.decoded("delivered", Delivered::from_number)?,
        run_again: at.plain()?,
        remote_task: at.name_or_none()?,
        first_sent_at: at.instant_or_none()?,
        last_sent_at: at.instant_or_none()?,
        closed_at: at.instant_or_none()?,
        next_action_at: at.instant_or_none()?,
    };
    let epoch = Epoch(at.plain::<i64>()?.cast_unsigned());
    let expired = at.plain()?;
    let mut intent = StepIntent {
        step: StepId(at.array()?),
        key: Hash(at.array()?),
        generation: at.count()?,
        key_source: at.decoded("key source", key_source)?,
        fingerprint: Hash(at.array()?),
        content: at.hash_or_zero()?,
        scope: at.hash_or_zero()?,
        tenant: at.name()?,
        principal: at.name()?,
        run: RunId(at.array()?),
        upstream: at.name()?,
        tool: at.name()?,
        effect: at.decoded("effect", effect)?,
        effect_source: at.decoded("effect source", effect_source)?,
        policy: at.hash_or_zero()?,
        lane: at.name_or_none()?,
        upstream_key: at.name_or_none()?,
        created_at: at.instant_or_none()?.unwrap_or_default(),
        args: Bytes::new(),
        preimage: None,
        undo: None,
    };
    intent.args = at.bytes()?.unwrap_or_default();
    let result = at.bytes()?;
    intent.preimage = at.bytes()?;
    intent.undo = at.bytes()?;
    Ok(StepRow { intent: Arc::new(intent), status, epoch, result, expired })
}

/// The columns that [`event`] reads.
pub(super) const EVENT: &str = "lsn, step_id, at, epoch, kind, attempt, class, detail, hash, seq";

/// An event, its hash, and its place in the chain of its writer.
pub(super) fn event(row: &Row) -> Result<(StoredEvent, Hash, Lsn), Error> {
    let mut at = Columns { row, next: 0 };
    let lsn = Lsn(at.plain::<i64>()?.cast_unsigned());
    let step = StepId(at.array()?);
    let instant = at.instant_or_none()?.unwrap_or_default();
    let epoch = Epoch(at.plain::<i64>()?.cast_unsigned());
    let event = Event {
        step,
        at: instant,
        kind: at.decoded("event", EventKind::from_number)?,
        attempt: at.count()?,
        class: at.optional("class", EvidenceClass::from_number)?,
        detail: at.name()?.to_string(),
    };
    let hash = Hash(at.array()?);
    Ok((StoredEvent { lsn, epoch, event }, hash, Lsn(at.plain::<i64>()?.cast_unsigned())))
}

pub(super) fn micros(instant: Instant) -> i64 {
    i64::try_from(instant.as_micros()).unwrap_or(i64::MAX)
}

fn text(name: &Name) -> Vec<u8> {
    name.as_bytes().to_vec()
}

pub(super) fn array<const N: usize>(row: &Row, index: usize) -> Result<[u8; N], Error> {
    let bytes: &[u8] = value(row, index)?;
    bytes.try_into().map_err(|_| unknown("name of another length"))
}

pub(super) fn value<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, Error> {
    row.try_get(index).map_err(|error| Error::Read(format!("column {index}: {error}")))
}

/// Reads columns one after the other.
struct Columns<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> Columns<'a> {
    fn plain<T: FromSql<'a>>(&mut self) -> Result<T, Error> {
        self.next += 1;
        value(self.row, self.next - 1)
    }

    fn count(&mut self) -> Result<u32, Error> {
        u32::try_from(self.plain::<i64>()?).map_err(|_| unknown("count"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.next += 1;
        array(self.row, self.next - 1)
    }

    fn decoded<T>(&mut self, what: &str, decode: impl Fn(u8) -> Option<T>) -> Result<T, Error> {
        let number: i16 = self.plain()?;
        u8::try_from(number).ok().and_then(decode).ok_or_else(|| unknown(what))
    }

    fn optional<T>(&mut self, what: &str, decode: impl Fn(u8) -> Option<T>) -> Result<Option<T>, Error> {
        let number: Option<i16> = self.plain()?;
        let decode = |number| u8::try_from(number).ok().and_then(&decode).ok_or_else(|| unknown(what));
        number.map(decode).transpose()
    }

    fn told(&mut self) -> Result<Option<Code>, Error> {
        let text: Option<&str> = self.plain()?;
        text.map(|text| Code::parse(text).ok_or_else(|| unknown("code"))).transpose()
    }

    fn name_or_none(&mut self) -> Result<Option<Name>, Error> {
        let bytes: Option<&[u8]> = self.plain()?;
        let text = bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| unknown("text")));
        Ok(text.transpose()?.map(Name::from))
    }

    fn name(&mut self) -> Result<Name, Error> {
        Ok(self.name_or_none()?.unwrap_or_else(|| Name::from("")))
    }

    fn instant_or_none(&mut self) -> Result<Option<Instant>, Error> {
        let number: Option<i64> = self.plain()?;
        Ok(number.map(|micros| Instant::from_micros(u64::try_from(micros).unwrap_or(0))))
    }

    fn hash_or_zero(&mut self) -> Result<Hash, Error> {
        let bytes: Option<&[u8]> = self.plain()?;
        let hash = bytes.map(|bytes| bytes.try_into().map(Hash).map_err(|_| unknown("hash of another length")));
        Ok(hash.transpose()?.unwrap_or_default())
    }

    fn bytes(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(self.plain::<Option<&[u8]>>()?.map(Bytes::copy_from_slice))
    }
}

fn unknown(what: &str) -> Error {
    Error::Read(format!("the database holds a {what} that this program does not know"))
}

const fn effect_number(effect: Effect) -> i16 {
    match effect {
        Effect::Read => 0,
        Effect::Idempotent => 1,
        Effect::Keyed => 2,
        Effect::Write => 3,
        Effect::Destructive => 4,
    }
}

fn effect(number: u8) -> Option<Effect> {
    Effect::ALL.into_iter().find(|effect| effect_number(*effect) == i16::from(number))
}

const fn effect_source_number(source: EffectSource) -> i16 {
    match source {
        EffectSource::Guessed => 0,
        EffectSource::Name => 1,
        EffectSource::Annotation => 2,
        EffectSource::TrustedAnnotation => 3,
        EffectSource::Policy => 4,
    }
}

fn effect_source(number: u8) -> Option<EffectSource> {
    use EffectSource::{Annotation, Guessed, Name, Policy, TrustedAnnotation};
    let all = [Guessed, Name, Annotation, TrustedAnnotation, Policy];
    all.into_iter().find(|one| effect_source_number(*one) == i16::from(number))
}

const fn key_source_number(source: KeySource) -> i16 {
    match source {
        KeySource::Fresh => 0,
        KeySource::Position => 1,
        KeySource::ModelCall => 2,
        KeySource::Explicit => 3,
    }
}

fn key_source(number: u8) -> Option<KeySource> {
    use KeySource::{Explicit, Fresh, ModelCall, Position};
    [Fresh, Position, ModelCall, Explicit].into_iter().find(|one| key_source_number(*one) == i16::from(number))
}
