//! What runs at a start and on the path of a call looks up and never scans, however large the journal is.

use crate::disk::At;
use journal::contract::Rig;
use journal::contract::sample::{begin, end, hash, id, intent};
use journal::sqlite::{Durability, Options};
use journal::{Journal, Recall, Sqlite};
use std::time::Instant as Moment;
use vocab::Instant;

#[test]
fn twenty_thousand_steps_open_and_recall_without_a_scan() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    {
        let options = Options { durability: Durability::ProcessCrashOnly, queue_max: 100_000, ..Options::default() };
        let mut subject = At(directory.path(), options);
        let mut rig = Rig::open(&mut subject);
        let epoch = rig.journal.start().epoch;
        let mut last = 0;
        for number in 0..20_000 {
            rig.journal.append(begin(intent(number), epoch), None).expect("room");
            if number % 4_000 != 0 {
                rig.journal.append(end(number, epoch), None).expect("room");
            }
            if number % 2_000 == 1_999 {
                last = rig.send(Vec::new());
                rig.wait(last).expect("durable");
            }
        }
        rig.wait(last).expect("durable");
    }
    let began = Moment::now();
    let journal = Sqlite::open(directory.path(), Options::default()).expect("a journal");
    let open = journal.open_steps().expect("readable");
    let opened = began.elapsed();
    assert_eq!(open.len(), 5);
    let began = Moment::now();
    for number in 0..2_000 {
        let content = Some((hash(4, 0), hash(3, number * 7), Instant::ZERO));
        let found = journal.recall(&Recall { key: hash(1, number * 7), content }).expect("readable");
        assert_eq!(found.by_key.map(|row| row.intent.step), Some(id(number * 7)));
        let found = journal.recall(&Recall { key: hash(9, number), content }).expect("readable");
        assert!(found.by_content.is_some());
    }
    eprintln!("open {opened:?}, recall {:?}", began.elapsed() / 2_000);
    assert_eq!(journal.scans().expect("plans"), Vec::<String>::new());
}
