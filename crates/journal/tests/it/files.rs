//! The files: who may open them, what an older or changed one is taken for, and how large they grow.

use crate::disk::{At, at};
use journal::contract::Rig;
use journal::contract::sample::{at as second, begin, end, id, intent, read};
use journal::sqlite::{Durability, Options};
use journal::{Error, Journal, Retention, Sqlite};
use rustix::fs::{FlockOperation, flock};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use vocab::{Instant, Record};

fn fill(path: &Path, numbers: std::ops::Range<u64>) {
    let mut subject = at(path);
    let mut rig = Rig::open(&mut subject);
    put(&mut rig, numbers);
    rig.journal.close();
}

fn put(rig: &mut Rig<'_>, numbers: std::ops::Range<u64>) {
    let epoch = rig.journal.start().epoch;
    let tickets: Vec<_> =
        numbers.flat_map(|number| [rig.send(begin(intent(number), epoch)), rig.send(end(number, epoch))]).collect();
    for ticket in tickets {
        rig.wait(ticket).expect("a fresh key");
    }
}

fn gap(path: &Path) -> Option<Instant> {
    let journal = Sqlite::open(path, Options::default()).expect("a journal");
    journal.start().gap_since
}

fn copy(from: &Path, to: &Path, names: &[&str]) {
    std::fs::create_dir_all(to).expect("a directory");
    for name in names {
        std::fs::copy(from.join(name), to.join(name)).expect("copied");
    }
}

#[test]
fn a_second_gateway_is_refused_with_the_holders_pid() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Sqlite::open(directory.path(), Options::default()).expect("the first");
    let Err(Error::Locked(why)) = Sqlite::open(directory.path(), Options::default()) else {
        unreachable!("two owners of one journal")
    };
    assert!(why.contains(&format!("process {}", std::process::id())), "{why}");
    first.close();
    assert!(Sqlite::open(directory.path(), Options::default()).is_ok());
}

/// Killed while it started a child, a gateway leaves its lock to that child for the moment before the child's own
/// program runs.
#[test]
fn the_lock_of_a_process_that_is_gone_is_waited_for() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut gone = std::process::Command::new("true").spawn().expect("a child");
    gone.wait().expect("it ended");
    let path = directory.path().join("journal.lock");
    std::fs::write(&path, format!("{}\n", gone.id())).expect("a lock");
    let orphan = std::fs::File::open(&path).expect("the lock");
    flock(&orphan, FlockOperation::LockExclusive).expect("locked");
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        drop(orphan);
    });
    assert!(Sqlite::open(directory.path(), Options::default()).is_ok());
    release.join().expect("released");
}

#[test]
fn only_the_owner_can_read_the_files() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let directory = parent.path().join("deep").join("journal");
    let mut subject = at(&directory);
    let mut rig = Rig::open(&mut subject);
    put(&mut rig, 0..3);
    rig.journal.backup(&directory.join("copy.db")).expect("room");
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let names = ["journal.db", "journal.db-wal", "journal.db-shm", "journal.lock", "journal.mark", "copy.db"];
    for name in names {
        assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_journal_in_order_has_no_gap_and_neither_has_a_new_one() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    assert_eq!(gap(directory.path()), None);
    fill(directory.path(), 0..5);
    assert_eq!(gap(directory.path()), None);
    assert_eq!(gap(directory.path()), None);
}

#[test]
fn a_restored_older_file_is_a_gap_until_a_start_ended_in_order() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let old = tempfile::tempdir().expect("a temporary directory");
    fill(directory.path(), 0..5);
    copy(directory.path(), old.path(), &["journal.db"]);
    fill(directory.path(), 5..9);
    copy(old.path(), directory.path(), &["journal.db"]);

    // A start that dies before it acted on the gap must not be the last to hear of it.
    let crashed = tempfile::tempdir().expect("a temporary directory");
    {
        let journal = Sqlite::open(directory.path(), Options::default()).expect("a journal");
        assert_eq!(journal.start().gap_since, Some(second(5)));
        assert!(journal.start().notes.iter().any(|note| note.contains("older")), "{:?}", journal.start().notes);
        copy(directory.path(), crashed.path(), &["journal.db", "journal.db-wal", "journal.mark"]);
    }
    assert_eq!(gap(crashed.path()), Some(second(5)));
    assert_eq!(gap(directory.path()), None);
}

#[test]
fn an_older_file_of_the_same_epoch_is_known_by_its_position() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let old = tempfile::tempdir().expect("a temporary directory");
    let mut subject = at(directory.path());
    let mut rig = Rig::open(&mut subject);
    put(&mut rig, 0..3);
    copy(directory.path(), old.path(), &["journal.db", "journal.db-wal"]);
    put(&mut rig, 3..6);
    rig.journal.close();
    drop(rig);
    copy(old.path(), directory.path(), &["journal.db", "journal.db-wal"]);
    assert_eq!(gap(directory.path()), Some(second(3)));
}

#[test]
fn a_backup_put_in_place_is_a_gap_even_with_everything_around_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let restored = tempfile::tempdir().expect("a temporary directory");
    let mut subject = at(directory.path());
    let mut rig = Rig::open(&mut subject);
    put(&mut rig, 0..4);
    let to = restored.path().join("journal.db");
    let made = rig.journal.backup(&to).expect("room");
    assert_eq!((made.steps, made.last.0, made.bytes), (4, 16, to.metadata().expect("there").len()));
    assert!(matches!(rig.journal.backup(&to), Err(Error::Write(_))), "never over something");
    put(&mut rig, 4..6);
    std::fs::copy(directory.path().join("journal.mark"), restored.path().join("journal.mark")).expect("copied");
    drop(rig);

    let mut subject = at(restored.path());
    let mut rig = Rig::open(&mut subject);
    assert_eq!(rig.journal.start().gap_since, Some(second(4)));
    assert!(rig.journal.verify(true).expect("readable").findings.is_empty());
    assert!(rig.journal.step(id(3)).expect("readable").is_some());
    assert_eq!(rig.journal.step(id(4)), Ok(None));
    put(&mut rig, 10..12);
}

#[test]
fn a_lost_journal_or_a_lost_mark_is_a_gap() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fill(directory.path(), 0..5);
    std::fs::remove_file(directory.path().join("journal.mark")).expect("removed");
    assert_eq!(gap(directory.path()), Some(second(5)));
    std::fs::remove_file(directory.path().join("journal.db")).expect("removed");
    assert_eq!(gap(directory.path()), Some(Instant::ZERO));
}

#[test]
fn reading_needs_no_lock_and_changes_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    assert!(matches!(Sqlite::open_readonly(directory.path()), Err(Error::Open(_))));
    fill(directory.path(), 0..5);
    let bytes = std::fs::read(directory.path().join("journal.db")).expect("readable");
    {
        let reader = Sqlite::open_readonly(directory.path()).expect("at rest");
        assert!(reader.step(id(1)).expect("readable").is_some());
        assert!(reader.verify(true).expect("readable").findings.is_empty());
        let epoch = reader.start().epoch;
        assert!(matches!(reader.append(begin(intent(9), epoch), None), Err(Error::Write(_))));
        assert!(matches!(reader.maintain(Instant::FAR, &Retention::default()), Err(Error::Write(_))));
    }
    assert_eq!(std::fs::read(directory.path().join("journal.db")).expect("readable"), bytes);
    let owner = Sqlite::open(directory.path(), Options::default()).expect("the owner");
    let reader = Sqlite::open_readonly(directory.path()).expect("beside the owner");
    assert_eq!(reader.start().epoch, owner.start().epoch);
}

#[test]
fn a_file_that_is_no_journal_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let text = directory.path().join("text.db");
    std::fs::write(&text, "these are somebody's notes, longer than a header of one hundred bytes ".repeat(9))
        .expect("written");
    let foreign = directory.path().join("foreign.db");
    let other = rusqlite::Connection::open(&foreign).expect("a database");
    other.execute_batch("CREATE TABLE theirs(x)").expect("a table");
    drop(other);
    for path in [text, foreign] {
        let before = std::fs::read(&path).expect("readable");
        assert!(matches!(Sqlite::open(&path, Options::default()), Err(Error::Open(_))));
        assert_eq!(std::fs::read(&path).expect("readable"), before);
    }
    let newer = directory.path().join("newer.db");
    fill(&newer, 0..1);
    let file = rusqlite::Connection::open(&newer).expect("a journal");
    file.pragma_update(None, "user_version", 99).expect("changed");
    drop(file);
    let Err(Error::Open(why)) = Sqlite::open(&newer, Options::default()) else { unreachable!("a newer form") };
    assert!(why.contains("newer"), "{why}");
}

#[test]
fn a_changed_record_is_found_at_the_start_and_by_a_check() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("journal.db");
    // One by one, so that each append has a row of its own.
    (0..5).for_each(|number| {
        let mut subject = at(&path);
        let mut rig = Rig::open(&mut subject);
        let epoch = rig.journal.start().epoch;
        rig.put(begin(intent(number), epoch)).expect("a fresh key");
        rig.put(end(number, epoch)).expect("our own row");
    });
    let edit = |sql: &str| {
        let file = rusqlite::Connection::open(&path).expect("a journal");
        file.execute_batch(sql).expect("changed");
    };
    // Before the last anchor: a start does not look there, a full check does.
    Sqlite::open(&path, Options::default()).expect("a journal").close();
    edit(
        "UPDATE log SET records = CAST(records || x'00' AS BLOB) WHERE pos = 3; UPDATE log SET at = at + 1 WHERE pos = 5",
    );
    let journal = Sqlite::open(&path, Options::default()).expect("its recent past holds");
    assert!(journal.verify(false).expect("readable").findings.is_empty());
    let findings = journal.verify(true).expect("readable").findings;
    assert_eq!(findings, ["row 3 of the log cannot be read", "row 5 of the log does not match its hash"]);
    drop(journal);
    edit(
        "UPDATE log SET records = substr(records, 1, length(records) - 1) WHERE pos = 3;
         UPDATE log SET at = at - 1 WHERE pos = 5; DELETE FROM log WHERE pos = 8",
    );
    let journal = Sqlite::open(&path, Options::default()).expect("its recent past holds");
    let findings = journal.verify(true).expect("readable").findings;
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].contains("rows 8 to 8 of the log are missing") && findings[1].contains("rows of step"));
    drop(journal);
    // After it: the journal cannot be trusted.
    edit("DELETE FROM anchor; DELETE FROM log_gap");
    let Err(Error::Open(why)) = Sqlite::open(&path, Options::default()) else { unreachable!("a broken log") };
    assert!(why.contains("missing"), "{why}");
}

#[test]
fn the_file_stays_flat_under_steady_load_with_retention() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut subject = At(
        directory.path(),
        Options { durability: Durability::ProcessCrashOnly, checkpoint_bytes: 500_000, ..Options::default() },
    );
    let mut rig = Rig::open(&mut subject);
    let keep = Retention {
        bodies: Duration::from_secs(400),
        tombstones: Duration::from_secs(800),
        reads: Duration::from_secs(400),
    };
    let pages = || {
        let file = rusqlite::Connection::open(directory.path().join("journal.db")).expect("a journal");
        let pragma = |name| file.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect("a count");
        (pragma("page_count"), pragma("page_count") - pragma("freelist_count"))
    };
    let mut seen = Vec::new();
    let mut wals = Vec::new();
    for round in 0..50 {
        let from = round * 400;
        put(&mut rig, from..from + 400);
        rig.journal.append((from..from + 400).map(|number| Record::Read(read(number))).collect(), None).expect("room");
        while rig.journal.maintain(second(from + 400), &keep).expect("room").more {}
        wals.push(directory.path().join("journal.db-wal").metadata().expect("a WAL").len());
        if round % 10 == 9 {
            // How far the tables have followed the log is a matter of scheduling; after a close they have all of it.
            rig.journal.close();
            seen.push(pages());
            rig = Rig::open(&mut subject);
        }
    }
    let [(_, early), .., (whole, late)] = seen[..] else { unreachable!("five looks") };
    // Forty rounds are 16,000 steps: whatever stayed behind of each, were it the smallest row, would be more than this.
    assert!(late <= early + early / 4, "pages in use grow: {seen:?}");
    // The file keeps what one bad moment took, and gives back only what many left.
    assert!(whole <= 2 * early, "pages grow: {seen:?}");
    // A WAL never shrinks; ten rounds write 29 MB into one that nobody copies.
    assert!(wals.iter().all(|size| *size <= 15_000_000), "{wals:?}");
    assert!(rig.journal.verify(true).expect("readable").findings.is_empty());
}

#[test]
fn every_step_is_on_one_page_however_many_there_are_of_one_run_in_one_state() {
    const STEPS: u64 = 10_500;
    let directory = tempfile::tempdir().expect("a directory");
    let options = || Options { durability: Durability::ProcessCrashOnly, ..Options::default() };
    let journal = Sqlite::open(directory.path(), options()).expect("a fresh directory");
    let epoch = journal.start().epoch;
    for number in 0..STEPS {
        let mut records = begin(intent(number), epoch);
        records.extend(end(number, epoch));
        while journal.append(records.clone(), None).is_err() {
            std::thread::yield_now();
        }
    }
    // Some stand in the tables and some do not.
    let pages = |journal: &Sqlite| {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = journal.page(after, 1_000).expect("readable");
            let Some((last, _)) = page.last() else { return all };
            after = *last;
            all.extend(page.into_iter().map(|(_, id)| id));
        }
    };
    journal.close();
    let journal = Sqlite::open(directory.path(), options()).expect("it is there");
    let expected: Vec<_> = (0..STEPS).map(id).collect();
    assert_eq!(pages(&journal), expected);
}
