//! Retention in small steps, by one replica at a time, beside the writer.

use super::Shared;
use super::connect::asked;
use super::rows::{self, micros};
use crate::{Error, Maintained, Retention};
use deadpool_postgres::{Object, Transaction};
use tokio_postgres::types::ToSql;
use vocab::{GuardKind, Instant};

/// Steps of each kind per chunk.
const STEPS: i64 = 64;
/// Events per chunk whose step may have gone.
const ORPHANS: i64 = 512;
const BATCHES: i64 = 8;
/// Chunks of one call.
const CHUNKS_MAX: usize = 32;
const RETENTION_LOCK: i64 = 0x436f_6664_0002;
const HOUR: i64 = 3_600_000_000;

/// Keeps each chain checkable over what was removed: neighbouring positions become one gap, with the hash at its end.
const REMEMBER: &str = "WITH gone AS (
      SELECT epoch, seq AS first, seq AS last, hash FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS u(epoch, seq, hash)),
    near AS (DELETE FROM event_gap g USING gone WHERE g.epoch = gone.epoch
      AND (g.last = gone.first - 1 OR g.first = gone.last + 1) RETURNING g.epoch, g.first, g.last, g.hash),
    pieces AS (SELECT * FROM gone UNION SELECT * FROM near),
    marked AS (SELECT *, sum(CASE WHEN first = before + 1 THEN 0 ELSE 1 END) OVER (PARTITION BY epoch ORDER BY first) AS island
      FROM (SELECT *, lag(last) OVER (PARTITION BY epoch ORDER BY first) AS before FROM pieces) p)
    INSERT INTO event_gap(epoch, first, last, hash)
      SELECT epoch, min(first), max(last), (array_agg(hash ORDER BY last DESC))[1] FROM marked GROUP BY epoch, island";

/// Events that were removed: chain, position, hash.
#[derive(Default)]
struct Gone(Vec<i64>, Vec<i64>, Vec<Vec<u8>>);

pub(super) async fn maintain(shared: &Shared, now: Instant, keep: &Retention) -> Result<Maintained, Error> {
    let mut link = shared.reader().await?;
    let mut total = Maintained::default();
    for _ in 0..CHUNKS_MAX {
        let done = chunk(&mut link, now, keep).await?;
        total.bodies_expired += done.bodies_expired;
        total.tombstones_dropped += done.tombstones_dropped;
        total.reads_dropped += done.reads_dropped;
        total.more = done.more;
        if !done.more {
            break;
        }
    }
    Ok(total)
}

async fn chunk(link: &mut Object, now: Instant, keep: &Retention) -> Result<Maintained, Error> {
    let db = asked(link.transaction().await)?;
    let mut done = Maintained::default();
    let lock = format!("SELECT pg_try_advisory_xact_lock({RETENTION_LOCK})");
    if !rows::value::<bool>(&asked(db.query_one(&lock, &[]).await)?, 0)? {
        return Ok(done);
    }
    let mut gone = Gone::default();
    let bodies = micros(now - keep.bodies);
    //= G6
    let due = "SELECT step_id FROM step WHERE state = 100 AND closed_at IS NOT NULL \
               AND (outcome IS NULL OR outcome NOT IN (5, 8)) AND expired = $1 AND closed_at <= $2 \
               ORDER BY closed_at LIMIT $3 FOR UPDATE SKIP LOCKED";
    let entombed = steps(&db, due, &[&false, &bodies, &STEPS]).await?;
    let sql = "UPDATE step SET expired = true, content = NULL, scope = NULL, twin = NULL, policy = NULL, lane = NULL, \
               upstream_key = NULL, remote_task = NULL, next_action_at = NULL, args = ''::bytea, result = NULL, \
               preimage = NULL, undo = NULL WHERE step_id = ANY($1)";
    if !entombed.is_empty() {
        asked(db.execute(sql, &[&entombed]).await)?;
        remove_events(&db, &entombed, &mut gone).await?;
    }
    done.bodies_expired = entombed.len() as u64;
    done.more = entombed.len() as i64 == STEPS;
    let until = micros(now - keep.tombstones.max(keep.bodies));
    let dropped = steps(&db, due, &[&true, &until, &STEPS]).await?;
    if !dropped.is_empty() {
        remove_events(&db, &dropped, &mut gone).await?;
        asked(db.execute("DELETE FROM step WHERE step_id = ANY($1)", &[&dropped]).await)?;
    }
    done.tombstones_dropped = dropped.len() as u64;
    done.more |= dropped.len() as i64 == STEPS;
    // An operator's order never goes.
    let guards = "DELETE FROM guard WHERE (kind, key) IN (SELECT kind, key FROM guard WHERE kind <> $1 AND at <= $2 \
                  ORDER BY at LIMIT $3)";
    let order = i16::from(GuardKind::Order.number());
    done.more |= asked(db.execute(guards, &[&order, &until, &STEPS]).await)? as i64 == STEPS;
    done.more |= remove_orphans(&db, micros(now), bodies, &mut gone).await?;
    if !gone.0.is_empty() {
        asked(db.execute(REMEMBER, &[&gone.0, &gone.1, &gone.2]).await)?;
    }
    let sql = "DELETE FROM read_batch WHERE id IN (SELECT id FROM read_batch WHERE max_at <= $1 ORDER BY max_at LIMIT $2) \
               RETURNING count";
    let counts = asked(db.query(sql, &[&micros(now - keep.reads), &BATCHES]).await)?;
    done.more |= counts.len() as i64 == BATCHES;
    for row in &counts {
        done.reads_dropped += rows::value::<i64>(row, 0)?.cast_unsigned();
    }
    let sql = "DELETE FROM replica WHERE fenced AND lease_until < clock_timestamp() - interval '1 day'";
    asked(db.execute(sql, &[]).await)?;
    asked(db.commit().await)?;
    Ok(done)
}

async fn steps(db: &Transaction<'_>, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Vec<u8>>, Error> {
    let found = asked(db.query(sql, values).await)?;
    found.iter().map(|row| rows::value::<&[u8]>(row, 0).map(<[u8]>::to_vec)).collect()
}

async fn remove_events(db: &Transaction<'_>, steps: &[Vec<u8>], gone: &mut Gone) -> Result<(), Error> {
    let sql = "DELETE FROM event WHERE step_id = ANY($1) RETURNING epoch, seq, hash";
    gone.add(&asked(db.query(sql, &[&steps]).await)?)
}

/// Events whose step never had a row, or came after its bodies had gone. Each is looked at once, when it is old enough.
async fn remove_orphans(db: &Transaction<'_>, now: i64, cutoff: i64, gone: &mut Gone) -> Result<bool, Error> {
    let start: i64 = rows::value(&asked(db.query_one("SELECT orphans_checked FROM meta", &[]).await)?, 0)?;
    let sql = "SELECT lsn, at, (SELECT expired FROM step WHERE step.step_id = event.step_id) FROM event \
               WHERE lsn > $1 ORDER BY lsn LIMIT $2";
    let (mut cursor, mut looked, mut orphans) = (start, 0, Vec::new());
    for row in asked(db.query(sql, &[&start, &ORPHANS]).await)? {
        let at: i64 = rows::value(&row, 1)?;
        // One from far ahead was written under a wrong clock; waiting for its time would hold up all others.
        if at > cutoff && at < now + HOUR {
            break;
        }
        looked += 1;
        cursor = rows::value(&row, 0)?;
        if rows::value::<Option<bool>>(&row, 2)? != Some(false) {
            orphans.push(cursor);
        }
    }
    if cursor != start {
        asked(db.execute("UPDATE meta SET orphans_checked = $1", &[&cursor]).await)?;
        let sql = "DELETE FROM event WHERE lsn = ANY($1) RETURNING epoch, seq, hash";
        gone.add(&asked(db.query(sql, &[&orphans]).await)?)?;
    }
    Ok(looked == ORPHANS)
}

impl Gone {
    fn add(&mut self, found: &[tokio_postgres::Row]) -> Result<(), Error> {
        for row in found {
            self.0.push(rows::value(row, 0)?);
            self.1.push(rows::value(row, 1)?);
            self.2.push(rows::value::<&[u8]>(row, 2)?.to_vec());
        }
        Ok(())
    }
}
