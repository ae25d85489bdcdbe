//! From a path to a journal that accepts appends: lock, recovery, log since the last anchor, gap, next epoch.

use super::fault::open_error;
use super::log::{Tip, hash_at, instant, micros};
use super::mark::Mark;
use super::place::{Lock, Place, sync_directory};
use super::recent::Memory;
use super::verify::{last_anchor, walk};
use super::writer::anchor;
use super::{Durability, Options, schema};
use crate::{Error, Start};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use vocab::{Epoch, Hash, Instant};

const CACHE_KIB: u32 = 8_192;

/// What [`open`] found and made.
pub(super) struct Opened {
    pub(super) db: Connection,
    pub(super) lock: Lock,
    pub(super) start: Start,
    pub(super) tip: Tip,
    pub(super) genesis: Tip,
    pub(super) last_at: Instant,
    pub(super) mark: Mark,
    /// What the end of the log says that the tables do not.
    pub(super) memory: Memory,
    pub(super) settled: i64,
}

/// The one row about the journal itself.
pub(super) struct Meta {
    pub(super) database: [u8; 16],
    pub(super) epoch: Epoch,
    pub(super) gap_since: Option<Instant>,
    backup_at: Option<Instant>,
    pub(super) genesis: Tip,
    settled: i64,
}

impl Meta {
    pub(super) fn read(db: &Connection) -> Result<Self, Error> {
        db.query_row(
            "SELECT database, epoch, gap_since, backup_at, origin, origin_hash, settled FROM meta",
            [],
            |row| {
                let database = row.get(0)?;
                let mut genesis = Tip::genesis(&database);
                genesis.pos = row.get(4)?;
                genesis.hash = row.get::<_, Option<[u8; 32]>>(5)?.map_or(genesis.hash, Hash);
                Ok(Self {
                    database,
                    epoch: Epoch(row.get::<_, i64>(1)?.cast_unsigned()),
                    gap_since: row.get::<_, Option<i64>>(2)?.map(instant),
                    backup_at: row.get::<_, Option<i64>>(3)?.map(instant),
                    genesis,
                    settled: row.get(6)?,
                })
            },
        )
        .map_err(|error| open_error(&error))
    }
}

pub(super) fn open(place: &Place, options: &Options) -> Result<Opened, Error> {
    schema::assert_version()?;
    place.create_directory()?;
    let lock = place.lock()?;
    let is_new = place.create_file()?;
    let mut notes = Vec::new();
    let wal = place.wal().metadata().map_or(0, |meta| meta.len());
    if wal > 0 {
        notes.push(format!("recovered {wal} bytes that the last owner had not copied into the file"));
    }
    let mut db =
        Connection::open_with_flags(&place.file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(|error| open_error(&error))?;
    schema::prepare(&db, CACHE_KIB)?;
    schema::migrate(&mut db)?;
    durability(&db, options.durability)?;

    let meta = Meta::read(&db)?;
    let (tip, last_at) = check_log(&db, meta.genesis)?;
    let mark = Mark::read(&place.mark());
    let gap = gap(&db, is_new, &meta, tip, last_at, mark.as_ref(), place.mark().exists())?;
    notes.extend(gap.as_ref().map(|(_, why)| (*why).to_owned()));
    let found = gap.map(|(since, _)| since);
    let gap_since = [found, meta.gap_since].into_iter().flatten().min();

    // An older copy must not give out an epoch that was already used.
    let used = mark.map_or(0, |mark| mark.epoch.0).max(meta.epoch.0);
    let epoch = Epoch(used + 1);
    raise_epoch(&mut db, epoch, gap_since, tip, last_at).map_err(|error| open_error(&error))?;
    let mark = Mark { database: meta.database, epoch, tip, is_old: false };
    mark.write(&place.mark())?;
    sync_directory(&place.directory)?;
    let memory = Memory::replay(&db).map_err(|error| open_error(&error))?;
    let start = Start { epoch, gap_since, notes };
    Ok(Opened { db, lock, start, tip, genesis: meta.genesis, last_at, mark, memory, settled: meta.settled })
}

fn durability(db: &Connection, durability: Durability) -> Result<(), Error> {
    let mode: String = db
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(|error| open_error(&error))?;
    if mode != "wal" {
        return Err(Error::Open(format!("the file system allows only journal mode {mode}, not WAL")));
    }
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::ProcessCrashOnly => "NORMAL",
    };
    db.pragma_update(None, "synchronous", synchronous).map_err(|error| open_error(&error))
}

/// The log since the last anchor. What SQLite recovered from a torn WAL is a whole prefix, so it always verifies;
/// a finding means that somebody or something changed the file.
fn check_log(db: &Connection, genesis: Tip) -> Result<(Tip, Instant), Error> {
    let check = || {
        let (from, anchored_at) = last_anchor(db)?.unwrap_or((genesis, Instant::ZERO));
        walk(db, from).map(|walked| (walked, anchored_at))
    };
    let (walked, anchored_at) = check().map_err(|error| open_error(&error))?;
    if let Some(finding) = walked.findings.first() {
        return Err(Error::Open(format!(
            "{finding}: the file was changed or damaged; restore a backup, or move it away and start a new journal"
        )));
    }
    Ok((walked.tip, walked.last_at.unwrap_or(anchored_at)))
}

/// Whether this is a journal that once was further, or one whose past cannot be told; and why.
fn gap(
    db: &Connection,
    is_new: bool,
    meta: &Meta,
    tip: Tip,
    last_at: Instant,
    mark: Option<&Mark>,
    mark_exists: bool,
) -> Result<Option<(Instant, &'static str)>, Error> {
    if is_new {
        let lost = "the journal is new but the mark beside it tells of an earlier one, which is gone";
        return Ok(mark_exists.then_some((Instant::ZERO, lost)));
    }
    if meta.backup_at.is_some() {
        return Ok(Some((last_at, "the journal was restored from a backup")));
    }
    let Some(mark) = mark else {
        // An open that ended before it wrote its first mark has accepted nothing.
        let untouched = tip.pos == 0 && meta.epoch.0 <= 1;
        return Ok((!untouched).then_some((last_at, "the mark beside the journal is missing: its age cannot be told")));
    };
    if mark.database != meta.database {
        return Ok(Some((last_at, "the mark beside the journal belongs to another one")));
    }
    // What was brought over from form 1 had come as far as the new log's beginning.
    let reached = if mark.is_old { meta.genesis } else { tip };
    if meta.epoch < mark.epoch || reached.pos < mark.tip.pos {
        return Ok(Some((last_at, "the journal is older than the mark beside it")));
    }
    // A copy that went its own way: the position exists, with other content.
    let hash = if reached.pos == mark.tip.pos { Some(reached.hash) } else { log_hash(db, mark)? };
    if hash.is_some_and(|hash| hash != mark.tip.hash) {
        return Ok(Some((last_at, "the journal and the mark beside it have different histories")));
    }
    Ok(None)
}

fn log_hash(db: &Connection, mark: &Mark) -> Result<Option<Hash>, Error> {
    if mark.is_old {
        return Ok(None);
    }
    hash_at(db, mark.tip.pos).map_err(|error| open_error(&error))
}

fn raise_epoch(
    db: &mut Connection,
    epoch: Epoch,
    gap_since: Option<Instant>,
    tip: Tip,
    last_at: Instant,
) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(
        "UPDATE meta SET epoch = ?1, gap_since = ?2, backup_of = NULL, backup_at = NULL",
        params![epoch.0.cast_signed(), gap_since.map(micros)],
    )?;
    if tip.pos > 0 {
        anchor(&transaction, tip, last_at)?;
    }
    transaction.commit()
}
