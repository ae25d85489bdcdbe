//! Writes the golden file of the current stored form: `cargo run -p journal --example golden -- <new file.db>`.

use journal::contract::sample::{at, begin, end, intent, read};
use journal::sqlite::Options;
use journal::{Journal, Retention, Sqlite};
use std::path::PathBuf;
use std::time::Duration;
use vocab::{Bytes, GuardKind, GuardRow, Record, StepIntent};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).map(PathBuf::from).ok_or("name the file to write, ending in .db")?;
    if path.exists() {
        return Err("a golden file is written once and never again".into());
    }
    let journal = Sqlite::open(&path, Options::default())?;
    let epoch = journal.start().epoch;
    for number in 1..=3 {
        let undo = (number == 1).then_some(Bytes::from_static(b"{\"undo\":1}"));
        journal.append(begin(StepIntent { undo, ..intent(number) }, epoch), None)?;
    }
    let (key, body) = (Bytes::from_static(b"o1"), Bytes::from_static(b"frozen"));
    journal.append(vec![Record::Guard(GuardRow { kind: GuardKind::Order, key, body, at: at(1) })], None)?;
    journal.append(end(3, epoch), None)?;
    let hour = Duration::from_secs(3600);
    let keep = Retention { bodies: hour, tombstones: 1000 * hour, reads: 1000 * hour };
    while journal.maintain(at(4) + hour, &keep)?.more {}
    journal.append(end(1, epoch), None)?;
    journal.append(vec![Record::Read(read(7)), Record::Read(read(8))], None)?;
    journal.close();
    drop(journal);
    for side in ["lock", "mark", "db-wal", "db-shm"] {
        std::fs::remove_file(path.with_extension(side))?;
    }
    Ok(())
}
