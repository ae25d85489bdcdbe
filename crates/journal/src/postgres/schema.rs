//! The database's form: tables and their versions.
//!
//! `meta.form` counts the forms. A form that an older program can go on writing beside a newer one says so in
//! `meta.writable_from`, so that replicas can be replaced one by one; any other newer form is refused, with the version
//! that can read it.

use super::connect::{Link, asked};
use crate::Error;

/// What this program writes.
pub(super) const FORM: i32 = 1;
/// The oldest form that it can go on writing.
const FORM_MIN: i32 = 1;

/// Everything lies in a schema of its own.
pub(super) const SCHEMA: &str = "cofferdam";

/// Who changes the form of a database holds this.
const MIGRATION_LOCK: i64 = 0x436f_6664_0001;

// `step_key` covers tombstones too, because a tombstone is the same row: one insert stays the only arbitration point,
// and nothing races with expiry. `epoch` of a step is the right to change it, from one sequence: whoever becomes its
// owner draws a new one. `chain` has a row for each writer, so that writers do not wait for each other.
const FORM_1: &str = "
CREATE TABLE meta(
  one INTEGER PRIMARY KEY CHECK(one = 1), form INTEGER NOT NULL, writable_from INTEGER NOT NULL,
  written_by TEXT NOT NULL, database BYTEA NOT NULL, timeline BIGINT NOT NULL, synchronous BOOLEAN NOT NULL,
  beat_at BIGINT NOT NULL, gap_since BIGINT, gap_epoch BIGINT, orphans_checked BIGINT NOT NULL DEFAULT 0);
CREATE SEQUENCE epoch_seq;
CREATE SEQUENCE event_lsn;

CREATE TABLE replica(
  id BIGINT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, lease_until TIMESTAMPTZ NOT NULL,
  fenced BOOLEAN NOT NULL DEFAULT false);

CREATE TABLE step(
  seq BIGSERIAL PRIMARY KEY,
  state SMALLINT NOT NULL, attempt BIGINT NOT NULL, outcome SMALLINT, cause SMALLINT, verification SMALLINT NOT NULL,
  told TEXT, delivered SMALLINT NOT NULL, run_again BOOLEAN NOT NULL, remote_task BYTEA,
  first_sent_at BIGINT, last_sent_at BIGINT, closed_at BIGINT, next_action_at BIGINT,
  epoch BIGINT NOT NULL, owner BIGINT NOT NULL, result_hash BYTEA, expired BOOLEAN NOT NULL DEFAULT false,
  step_id BYTEA NOT NULL, key BYTEA NOT NULL, generation BIGINT NOT NULL, key_source SMALLINT NOT NULL,
  fingerprint BYTEA NOT NULL, content BYTEA, scope BYTEA, twin BIGINT, tenant BYTEA NOT NULL, principal BYTEA NOT NULL,
  run_id BYTEA NOT NULL, upstream BYTEA NOT NULL, tool BYTEA NOT NULL, effect SMALLINT NOT NULL,
  effect_source SMALLINT NOT NULL, policy BYTEA, lane BYTEA, upstream_key BYTEA, created_at BIGINT NOT NULL,
  args BYTEA NOT NULL, result BYTEA, preimage BYTEA, undo BYTEA) WITH (fillfactor = 85);
CREATE UNIQUE INDEX step_id ON step(step_id);
CREATE UNIQUE INDEX step_key ON step(key, generation);
CREATE INDEX step_twin ON step(twin, created_at) WHERE twin IS NOT NULL;
CREATE INDEX step_open ON step(owner, created_at) WHERE state < 100;
CREATE INDEX step_run ON step(run_id);
CREATE INDEX step_due ON step(expired, closed_at)
  WHERE state = 100 AND closed_at IS NOT NULL AND (outcome IS NULL OR outcome NOT IN (5, 8));

CREATE TABLE event(
  lsn BIGINT PRIMARY KEY, step_id BYTEA NOT NULL, at BIGINT NOT NULL, epoch BIGINT NOT NULL, seq BIGINT NOT NULL,
  kind SMALLINT NOT NULL, attempt BIGINT NOT NULL, class SMALLINT, detail BYTEA NOT NULL, hash BYTEA NOT NULL);
CREATE UNIQUE INDEX event_chain ON event(epoch, seq);
CREATE INDEX event_step ON event(step_id);
CREATE TABLE event_gap(
  epoch BIGINT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, hash BYTEA NOT NULL, PRIMARY KEY(epoch, first));
CREATE TABLE chain(
  epoch BIGINT PRIMARY KEY, commits BIGINT NOT NULL, seq BIGINT NOT NULL, hash BYTEA NOT NULL) WITH (fillfactor = 50);

CREATE TABLE read_batch(
  id BIGSERIAL PRIMARY KEY, min_at BIGINT NOT NULL, max_at BIGINT NOT NULL, count BIGINT NOT NULL,
  notes BYTEA NOT NULL);
CREATE INDEX read_at ON read_batch(max_at);

CREATE TABLE guard(
  kind SMALLINT NOT NULL, key BYTEA NOT NULL, body BYTEA NOT NULL, at BIGINT NOT NULL, PRIMARY KEY(kind, key));
CREATE INDEX guard_at ON guard(kind, at);

CREATE TABLE person_order(
  id BIGSERIAL PRIMARY KEY, at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), step_id BYTEA NOT NULL,
  act TEXT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL);
CREATE INDEX person_order_at ON person_order(at);
";

/// What the one row of `meta` says.
pub(super) struct Meta {
    pub(super) database: [u8; 16],
    pub(super) timeline: i64,
    pub(super) synchronous: bool,
    pub(super) gap_since: Option<i64>,
    pub(super) gap_epoch: Option<i64>,
}

/// Makes an empty database a journal, or an old form the current one. Replicas that start at once wait for each other.
pub(super) async fn migrate(link: &Link) -> Result<Meta, Error> {
    link.run("BEGIN").await?;
    let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    link.run(&lock).await?;
    let there = asked(link.client.query_one("SELECT to_regclass('cofferdam.meta') IS NOT NULL", &[]).await)?;
    if !super::rows::value::<bool>(&there, 0)? {
        create(link).await?;
    }
    let meta = check(link).await;
    link.run(if meta.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    meta
}

async fn create(link: &Link) -> Result<(), Error> {
    link.run(&format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}; SET LOCAL search_path = {SCHEMA}; {FORM_1}")).await?;
    let sql = "INSERT INTO meta(one, form, writable_from, written_by, database, timeline, synchronous, beat_at) \
               VALUES (1, $1, $1, $2, uuid_send(gen_random_uuid()), $3, false, $4)";
    let now = super::rows::micros(super::wall_clock());
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&FORM, &env!("CARGO_PKG_VERSION"), &timeline(link).await?, &now];
    asked(link.client.execute(sql, &values).await).map(drop)
}

/// Refuses what this program cannot use.
pub(super) async fn check(link: &Link) -> Result<Meta, Error> {
    let sql = "SELECT form, writable_from, written_by FROM meta";
    let row = link.client.query_opt(sql, &[]).await;
    let Some(row) = row.map_err(|error| no_journal(&error))? else {
        return Err(Error::Open("the database holds no journal".to_owned()));
    };
    let (form, writable_from): (i32, i32) = (super::rows::value(&row, 0)?, super::rows::value(&row, 1)?);
    let written_by: &str = super::rows::value(&row, 2)?;
    if writable_from > FORM {
        return Err(Error::Open(format!(
            "its form {form} is newer than this program, which knows up to {FORM}: cofferdam {written_by} or later reads it"
        )));
    }
    if form < FORM_MIN {
        return Err(Error::Open(format!("its form {form} is older than this program can read")));
    }
    meta(link).await
}

fn no_journal(error: &tokio_postgres::Error) -> Error {
    match error.code().map(tokio_postgres::error::SqlState::code) {
        // No such table, no such schema.
        Some("42P01" | "3F000") => Error::Open("the database holds no journal".to_owned()),
        _ => super::connect::error_of(error),
    }
}

pub(super) async fn meta(link: &Link) -> Result<Meta, Error> {
    let sql = "SELECT database, timeline, synchronous, gap_since, gap_epoch FROM meta";
    let row = asked(link.client.query_one(sql, &[]).await)?;
    Ok(Meta {
        database: super::rows::array(&row, 0)?,
        timeline: super::rows::value(&row, 1)?,
        synchronous: super::rows::value(&row, 2)?,
        gap_since: super::rows::value(&row, 3)?,
        gap_epoch: super::rows::value(&row, 4)?,
    })
}

/// The timeline that the server writes: a standby that was promoted has another one than its primary had.
pub(super) async fn timeline(link: &Link) -> Result<i64, Error> {
    let sql = "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint";
    let row = asked(link.client.query_one(sql, &[]).await)?;
    super::rows::value(&row, 0)
}
