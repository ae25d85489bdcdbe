//! A step and an event as columns, both ways. Numbers that mean something are written out here, not taken from the
//! order of an enum, because they are stored.

use super::schema::Body;
use crate::StoredEvent;
use crate::chain::Tip;
use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Result, Row, params};
use std::sync::Arc;
use vocab::{
    Bytes, Cause, Code, Delivered, Effect, EffectSource, Epoch, Event, EventKind, EvidenceClass, Hash, Instant,
    KeySource, Lsn, Name, Outcome, RunId, State, StepId, StepIntent, StepRow, StepStatus, Verification,
};

/// The columns that [`step`] reads, in its order.
const STEP: &str = "seq, state, attempt, outcome, cause, verification, told, delivered, run_again, remote_task, \
    first_sent_at, last_sent_at, closed_at, next_action_at, epoch, expired, step_id, key, generation, key_source, \
    fingerprint, content, scope, tenant, principal, run_id, upstream, tool, effect, effect_source, policy, lane, \
    upstream_key, created_at";

/// A query for steps with their bodies.
pub(super) fn whole(rest: &str) -> String {
    format!(
        "SELECT {STEP}, (SELECT bytes FROM body WHERE id = seq * 4), (SELECT bytes FROM body WHERE id = seq * 4 + 1), \
         (SELECT bytes FROM body WHERE id = seq * 4 + 2), (SELECT bytes FROM body WHERE id = seq * 4 + 3) \
         FROM step {rest}"
    )
}

/// A query for steps without their bodies.
pub(super) fn bare(rest: &str) -> String {
    format!("SELECT {STEP}, NULL, NULL, NULL, NULL FROM step {rest}")
}

pub(super) fn step(row: &Row<'_>) -> Result<StepRow> {
    let mut at = Columns { row, next: 1 };
    let status = StepStatus {
        state: at.decoded("state", State::from_number)?,
        attempt: at.plain()?,
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
        step: StepId(at.plain()?),
        key: Hash(at.plain()?),
        generation: at.plain()?,
        key_source: at.decoded("key source", key_source)?,
        fingerprint: Hash(at.plain()?),
        content: at.hash_or_zero()?,
        scope: at.hash_or_zero()?,
        tenant: at.name()?,
        principal: at.name()?,
        run: RunId(at.plain()?),
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

/// Adds a step and returns its row. `None`: its id or its key and generation are taken.
pub(super) fn insert(db: &Connection, intent: &StepIntent, status: &StepStatus, epoch: Epoch) -> Result<Option<i64>> {
    let mut statement = db.prepare_cached(
        "INSERT INTO step(state, attempt, outcome, cause, verification, told, delivered, run_again, remote_task,
           first_sent_at, last_sent_at, closed_at, next_action_at, epoch, step_id, key, generation, key_source,
           fingerprint, content, scope, tenant, principal, run_id, upstream, tool, effect, effect_source, policy, lane,
           upstream_key, created_at, twin)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
           ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33)
         ON CONFLICT DO NOTHING",
    )?;
    bind_status(&mut statement, status, epoch)?;
    let mut next = 14;
    let mut bind = |value: &dyn rusqlite::ToSql| {
        next += 1;
        statement.raw_bind_parameter(next, value)
    };
    bind(&intent.step.0)?;
    bind(&intent.key.0)?;
    bind(&intent.generation)?;
    bind(&key_source_number(intent.key_source))?;
    bind(&intent.fingerprint.0)?;
    bind(&intent.content.0)?;
    bind(&intent.scope.0)?;
    bind(&&*intent.tenant)?;
    bind(&&*intent.principal)?;
    bind(&intent.run.0)?;
    bind(&&*intent.upstream)?;
    bind(&&*intent.tool)?;
    bind(&effect_number(intent.effect))?;
    bind(&effect_source_number(intent.effect_source))?;
    bind(&intent.policy.0)?;
    bind(&intent.lane.as_deref())?;
    bind(&intent.upstream_key.as_deref())?;
    bind(&micros(intent.created_at))?;
    bind(&intent.effect.is_mutation().then(|| twin(intent.scope, intent.content)))?;
    if statement.raw_execute()? == 0 {
        return Ok(None);
    }
    let seq = db.last_insert_rowid();
    if !intent.args.is_empty() {
        put_body(db, Body::Args.of(seq), &intent.args)?;
    }
    if let Some(preimage) = &intent.preimage {
        put_body(db, Body::Preimage.of(seq), preimage)?;
    }
    if let Some(undo) = &intent.undo {
        put_body(db, Body::Undo.of(seq), undo)?;
    }
    Ok(Some(seq))
}

/// What scope and content are looked up by: a number that two pairs share by a chance of one in 2^64; the pair itself
/// is compared too.
pub(super) fn twin(scope: Hash, content: Hash) -> i64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&scope.0);
    hasher.update(&content.0);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_le_bytes(first)
}

pub(super) fn seq(db: &Connection, step: StepId) -> Result<Option<i64>> {
    db.prepare_cached("SELECT seq FROM step WHERE step_id = ?1")?.query_row([step.0], |row| row.get(0)).optional()
}

/// Replaces a step's status. `false`: the row is another's, or a later epoch owns it.
pub(super) fn update(
    db: &Connection,
    seq: i64,
    step: StepId,
    status: &StepStatus,
    epoch: Epoch,
    result: Option<&Bytes>,
) -> Result<bool> {
    let mut statement = db.prepare_cached(
        "UPDATE step SET state = ?1, attempt = ?2, outcome = ?3, cause = ?4, verification = ?5, told = ?6,
           delivered = ?7, run_again = ?8, remote_task = ?9, first_sent_at = ?10, last_sent_at = ?11, closed_at = ?12,
           next_action_at = ?13, epoch = ?14, result_hash = coalesce(?15, result_hash)
         WHERE seq = ?16 AND step_id = ?17 AND epoch <= ?14",
    )?;
    bind_status(&mut statement, status, epoch)?;
    statement.raw_bind_parameter(15, result.map(|bytes| *blake3::hash(bytes).as_bytes()))?;
    statement.raw_bind_parameter(16, seq)?;
    statement.raw_bind_parameter(17, step.0)?;
    if statement.raw_execute()? == 0 {
        return Ok(false);
    }
    if let Some(bytes) = result {
        put_body(db, Body::Result.of(seq), bytes)?;
    }
    Ok(true)
}

fn bind_status(statement: &mut CachedStatement<'_>, status: &StepStatus, epoch: Epoch) -> Result<()> {
    statement.raw_bind_parameter(1, status.state.number())?;
    statement.raw_bind_parameter(2, status.attempt)?;
    statement.raw_bind_parameter(3, status.outcome.map(Outcome::number))?;
    statement.raw_bind_parameter(4, status.cause.map(Cause::number))?;
    statement.raw_bind_parameter(5, status.verification.number())?;
    statement.raw_bind_parameter(6, status.told.map(Code::as_str))?;
    statement.raw_bind_parameter(7, status.delivered.number())?;
    statement.raw_bind_parameter(8, status.run_again)?;
    statement.raw_bind_parameter(9, status.remote_task.as_deref())?;
    statement.raw_bind_parameter(10, status.first_sent_at.map(micros))?;
    statement.raw_bind_parameter(11, status.last_sent_at.map(micros))?;
    statement.raw_bind_parameter(12, status.closed_at.map(micros))?;
    statement.raw_bind_parameter(13, status.next_action_at.map(micros))?;
    statement.raw_bind_parameter(14, epoch.0.cast_signed())
}

fn put_body(db: &Connection, id: i64, bytes: &Bytes) -> Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO body(id, bytes) VALUES (?1, ?2)")?.execute(params![id, &bytes[..]])?;
    Ok(())
}

/// Adds an event at `tip`, which already covers it.
pub(super) fn put_event(db: &Connection, event: &Event, epoch: Epoch, tip: Tip) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO event(lsn, step_id, at, epoch, kind, attempt, class, detail, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        tip.lsn.0.cast_signed(),
        event.step.0,
        micros(event.at),
        epoch.0.cast_signed(),
        event.kind.number(),
        event.attempt,
        event.class.map(EvidenceClass::number),
        event.detail,
        tip.hash.0,
    ])?;
    Ok(())
}

/// The columns that [`event`] reads.
pub(super) const EVENT: &str = "lsn, step_id, at, epoch, kind, attempt, class, detail, hash";

pub(super) fn event(row: &Row<'_>) -> Result<(StoredEvent, Hash)> {
    let mut at = Columns { row, next: 0 };
    let lsn = Lsn(at.plain::<i64>()?.cast_unsigned());
    let step = StepId(at.plain()?);
    let instant = at.instant_or_none()?.unwrap_or_default();
    let epoch = Epoch(at.plain::<i64>()?.cast_unsigned());
    let event = Event {
        step,
        at: instant,
        kind: at.decoded("event", EventKind::from_number)?,
        attempt: at.plain()?,
        class: at.optional("class", EvidenceClass::from_number)?,
        detail: at.plain()?,
    };
    Ok((StoredEvent { lsn, epoch, event }, Hash(at.plain()?)))
}

/// SQLite's integers are signed; later instants than `FAR` do not exist.
pub(super) fn micros(instant: Instant) -> i64 {
    i64::try_from(instant.as_micros()).unwrap_or(i64::MAX)
}

/// Reads columns one after the other.
struct Columns<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl Columns<'_> {
    fn index(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    fn plain<T: rusqlite::types::FromSql>(&mut self) -> Result<T> {
        let index = self.index();
        self.row.get(index)
    }

    fn decoded<T>(&mut self, what: &str, decode: impl Fn(u8) -> Option<T>) -> Result<T> {
        let index = self.index();
        let number = self.row.get(index)?;
        decode(number).ok_or_else(|| unknown(index, what))
    }

    fn optional<T>(&mut self, what: &str, decode: impl Fn(u8) -> Option<T>) -> Result<Option<T>> {
        let index = self.index();
        let number: Option<u8> = self.row.get(index)?;
        number.map(|number| decode(number).ok_or_else(|| unknown(index, what))).transpose()
    }

    fn told(&mut self) -> Result<Option<Code>> {
        let index = self.index();
        let text = self.row.get_ref(index)?.as_str_or_null()?;
        text.map(|text| Code::parse(text).ok_or_else(|| unknown(index, "code"))).transpose()
    }

    fn name_or_none(&mut self) -> Result<Option<Name>> {
        let index = self.index();
        Ok(self.row.get_ref(index)?.as_str_or_null()?.map(Name::from))
    }

    fn name(&mut self) -> Result<Name> {
        Ok(self.name_or_none()?.unwrap_or_else(|| Name::from("")))
    }

    fn instant_or_none(&mut self) -> Result<Option<Instant>> {
        let number: Option<i64> = self.plain()?;
        Ok(number.map(|micros| Instant::from_micros(u64::try_from(micros).unwrap_or(0))))
    }

    fn hash_or_zero(&mut self) -> Result<Hash> {
        Ok(self.plain::<Option<[u8; 32]>>()?.map(Hash).unwrap_or_default())
    }

    fn bytes(&mut self) -> Result<Option<Bytes>> {
        let index = self.index();
        Ok(self.row.get_ref(index)?.as_blob_or_null()?.map(Bytes::copy_from_slice))
    }
}

fn unknown(index: usize, what: &str) -> rusqlite::Error {
    let why = format!("a stored {what} that this program does not know");
    rusqlite::Error::FromSqlConversionFailure(index, Type::Integer, why.into())
}

const fn effect_number(effect: Effect) -> u8 {
    match effect {
        Effect::Read => 0,
        Effect::Idempotent => 1,
        Effect::Keyed => 2,
        Effect::Write => 3,
        Effect::Destructive => 4,
    }
}

fn effect(number: u8) -> Option<Effect> {
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

fn effect_source(number: u8) -> Option<EffectSource> {
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

fn key_source(number: u8) -> Option<KeySource> {
    use KeySource::{Explicit, Fresh, ModelCall, Position};
    [Fresh, Position, ModelCall, Explicit].into_iter().find(|one| key_source_number(*one) == number)
}
