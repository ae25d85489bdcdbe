//! Disks that are full, fail, or end in the middle of a commit.

use journal::contract::sample::{begin, id, intent};
use journal::contract::{Rig, Subject};
use journal::sqlite::{Faults, Options};
use journal::{Error, Journal, Sqlite};
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;
use vocab::{Bytes, Epoch, Record};

/// One journal, closed and opened at will.
pub struct At<'a>(pub &'a Path, pub Options);

impl Subject for At<'_> {
    fn open(&mut self) -> Arc<dyn Journal> {
        Sqlite::open(self.0, self.1.clone()).expect("a journal that opens")
    }
}

pub fn at(path: &Path) -> At<'_> {
    At(path, Options::default())
}

fn large(number: u64, epoch: Epoch) -> Vec<Record> {
    let mut next = intent(number);
    next.args = Bytes::from(vec![b'x'; 100_000]);
    begin(next, epoch)
}

//= G4
#[test]
fn a_full_disk_fails_mutations_and_reads_go_on_and_room_heals_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let faults = Arc::new(Faults::default());
    let mut subject = At(directory.path(), Options { faults: Some(Arc::clone(&faults)), ..Options::default() });
    let mut rig = Rig::open(&mut subject);
    let epoch = rig.journal.start().epoch;
    rig.put(begin(intent(1), epoch)).expect("room");
    faults.disk_full(true);
    // What is free inside the file may still be used up.
    let failed = (10..40).find(|number| rig.put(large(*number, epoch)).is_err()).expect("a full disk is noticed");
    assert_eq!(rig.put(large(failed, epoch)), Err(Error::DiskFull));
    assert_eq!(rig.journal.health(), Err(Error::DiskFull));
    assert!(rig.journal.step(id(1)).expect("readable").is_some());
    assert_eq!(rig.journal.step(id(failed)), Ok(None));
    assert!(rig.journal.verify(true).expect("readable").findings.is_empty());

    faults.disk_full(false);
    rig.put(large(failed, epoch)).expect("room again");
    assert_eq!(rig.journal.health(), Ok(()));
    assert!(rig.journal.verify(true).expect("readable").findings.is_empty());
}

#[test]
fn all_of_a_commit_that_found_no_room_are_told() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let faults = Arc::new(Faults::default());
    let mut subject = At(directory.path(), Options { faults: Some(Arc::clone(&faults)), ..Options::default() });
    let mut rig = Rig::open(&mut subject);
    let epoch = rig.journal.start().epoch;
    faults.disk_full(true);
    let tickets: Vec<_> = (1..200).map(|number| rig.send(large(number, epoch))).collect();
    let results: Vec<_> = tickets.iter().map(|ticket| rig.wait(*ticket)).collect();
    assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(Error::DiskFull))));
    assert!(results.contains(&Err(Error::DiskFull)));
    for (number, result) in (1..200).zip(results) {
        assert_eq!(rig.journal.step(id(number)).expect("readable").is_some(), result.is_ok());
    }
    assert!(rig.times().values().all(|times| *times == 1));
}

#[test]
fn a_failed_fsync_ends_all_writing_and_a_restart_recovers_from_disk() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let faults = Arc::new(Faults::default());
    let mut subject = At(directory.path(), Options { faults: Some(Arc::clone(&faults)), ..Options::default() });
    {
        let mut rig = Rig::open(&mut subject);
        let epoch = rig.journal.start().epoch;
        rig.put(begin(intent(1), epoch)).expect("room");
        faults.fail_next_sync();
        assert!(matches!(rig.put(begin(intent(2), epoch)), Err(Error::Poisoned(_))));
        assert!(matches!(rig.journal.append(begin(intent(3), epoch), Some(3)), Err(Error::Poisoned(_))));
        assert!(matches!(rig.journal.health(), Err(Error::Poisoned(_))));
        let keep = journal::Retention::default();
        assert!(matches!(rig.journal.maintain(vocab::Instant::FAR, &keep), Err(Error::Poisoned(_))));
    }
    let rig = Rig::open(&mut subject);
    assert!(rig.journal.step(id(1)).expect("readable").is_some());
    assert_eq!(rig.journal.start().gap_since, None);
    assert!(rig.journal.verify(true).expect("readable").findings.is_empty());
}

/// The files of a journal as a crash leaves them, cut and damaged at the end of the WAL in every way.
#[test]
fn a_torn_tail_is_recovered_never_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let image = tempfile::tempdir().expect("a temporary directory");
    let mut subject = at(directory.path());
    let mut rig = Rig::open(&mut subject);
    let epoch = rig.journal.start().epoch;
    let mut sizes = Vec::new();
    for number in 0..12 {
        rig.put(begin(intent(number), epoch)).expect("room");
        sizes.push(directory.path().join("journal.db-wal").metadata().expect("a WAL").len());
    }
    // The mark of the start, which is what a crash soon after would leave.
    for name in ["journal.db", "journal.db-wal", "journal.mark"] {
        std::fs::copy(directory.path().join(name), image.path().join(name)).expect("copied");
    }
    drop(rig);

    let full = *sizes.last().expect("twelve commits");
    let cuts = [0, 1, 31, 32, 33, full - 1, full - 4_096, full - 4_120, full / 2, full / 3 + 7, sizes[5], sizes[5] + 9];
    for cut in cuts {
        let broken = tempfile::tempdir().expect("a temporary directory");
        for name in ["journal.db", "journal.db-wal", "journal.mark"] {
            std::fs::copy(image.path().join(name), broken.path().join(name)).expect("copied");
        }
        let wal = broken.path().join("journal.db-wal");
        OpenOptions::new().write(true).open(&wal).and_then(|file| file.set_len(cut)).expect("cut");
        check_prefix(broken.path(), sizes.iter().filter(|size| **size <= cut).count());
    }
    for flip in [full - 10, full - 5_000, sizes[6] + 40] {
        let broken = tempfile::tempdir().expect("a temporary directory");
        for name in ["journal.db", "journal.db-wal", "journal.mark"] {
            std::fs::copy(image.path().join(name), broken.path().join(name)).expect("copied");
        }
        let wal = broken.path().join("journal.db-wal");
        let mut bytes = std::fs::read(&wal).expect("readable");
        bytes[usize::try_from(flip).expect("small")] ^= 0x10;
        std::fs::write(&wal, bytes).expect("written");
        check_prefix(broken.path(), sizes.iter().filter(|size| **size <= flip).count());
    }
}

fn check_prefix(path: &Path, whole: usize) {
    let mut subject = at(path);
    let mut rig = Rig::open(&mut subject);
    let there: Vec<_> = (0..12).filter(|number| rig.journal.step(id(*number)).expect("readable").is_some()).collect();
    assert!(there.iter().copied().eq(0..whole as u64), "of {whole} whole commits {there:?} are there");
    assert!(rig.journal.verify(true).expect("readable").findings.is_empty());
    let epoch = rig.journal.start().epoch;
    rig.put(begin(intent(50), epoch)).expect("it goes on");
}
