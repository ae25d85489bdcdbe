//! The crash backend keeps what was synced, and nothing else that a disk would not keep.

use journal::contract::sample::{at, begin, end, id, intent};
use journal::crash::Tail;
use journal::{Crash, Durable, Error, Journal};
use parking_lot::Mutex;
use std::sync::Arc;

fn told(journal: &Crash) -> Arc<Mutex<Vec<(u64, bool)>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&told);
    journal.on_durable(Arc::new(move |done: Vec<Durable>| {
        to.lock().extend(done.into_iter().map(|one| (one.ticket, one.result.is_ok())));
    }));
    told
}

fn append(journal: &Crash, numbers: std::ops::Range<u64>) {
    let epoch = journal.start().epoch;
    for number in numbers {
        journal.append(begin(intent(number), epoch), Some(number)).expect("room");
    }
}

fn survivors(journal: &Crash) -> Vec<u64> {
    (0..100).filter(|number| journal.step(id(*number)).expect("readable").is_some()).collect()
}

#[test]
fn only_what_was_synced_survives_a_power_loss() {
    let journal = Crash::new();
    let told = told(&journal);
    append(&journal, 0..3);
    journal.pump();
    append(&journal, 3..5);
    journal.write();
    append(&journal, 5..7);
    assert_eq!(*told.lock(), [(0, true), (1, true), (2, true)]);
    assert_eq!(survivors(&journal), [0, 1, 2], "a reader sees what is durable");
    assert_eq!(survivors(&journal.crash(Tail::Lost)), [0, 1, 2]);
}

#[test]
fn a_process_crash_keeps_what_the_kernel_had() {
    let journal = Crash::new();
    append(&journal, 0..3);
    journal.write();
    append(&journal, 3..5);
    assert_eq!(survivors(&journal.crash(Tail::Kept)), [0, 1, 2]);
}

#[test]
fn a_torn_tail_is_a_prefix_and_the_same_for_the_same_seed() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..64 {
        let run = || {
            let journal = Crash::new();
            append(&journal, 0..2);
            journal.pump();
            append(&journal, 2..7);
            journal.write();
            survivors(&journal.crash(Tail::Torn(seed)))
        };
        let left = run();
        assert_eq!(left, run());
        assert!(left.iter().copied().eq(0..left.len() as u64) && left.len() >= 2, "{left:?}");
        lengths.insert(left.len());
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_failed_fsync_poisons_and_a_restart_recovers() {
    let journal = Crash::new();
    let told = told(&journal);
    append(&journal, 0..1);
    journal.pump();
    append(&journal, 1..2);
    journal.fail_next_sync();
    journal.pump();
    assert_eq!(*told.lock(), [(0, true), (1, false)]);
    assert!(matches!(journal.health(), Err(Error::Poisoned(_))));
    let epoch = journal.start().epoch;
    assert!(matches!(journal.append(end(0, epoch), Some(9)), Err(Error::Poisoned(_))));
    let next = journal.crash(Tail::Lost);
    assert_eq!(survivors(&next), [0]);
    append(&next, 1..2);
    next.pump();
    assert_eq!(survivors(&next), [0, 1]);
}

#[test]
fn a_full_disk_fails_appends_until_there_is_room() {
    let journal = Crash::new();
    let told = told(&journal);
    journal.disk_full(true);
    append(&journal, 0..1);
    journal.pump();
    assert_eq!(journal.health(), Err(Error::DiskFull));
    journal.disk_full(false);
    append(&journal, 0..1);
    journal.pump();
    assert_eq!(*told.lock(), [(0, false), (0, true)]);
    assert_eq!(survivors(&journal.crash(Tail::Lost)), [0]);
}

#[test]
fn an_image_put_back_knows_that_it_is_older() {
    let journal = Crash::new();
    append(&journal, 0..3);
    journal.pump();
    let image = journal.backup_image();
    append(&journal, 3..5);
    journal.pump();
    let restored = Crash::open(image);
    assert_eq!(restored.start().gap_since, Some(at(2)));
    assert_eq!(survivors(&restored), [0, 1, 2]);
    assert_eq!(restored.crash(Tail::Lost).start().gap_since, None);
}
