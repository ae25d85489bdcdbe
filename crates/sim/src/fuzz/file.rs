//! A journal's file with damaged bytes in it: whatever is read, nothing may panic or hang.

use journal::contract::sample::{begin, end, hash, intent, read as note};
use journal::sqlite::{Durability, Options};
use journal::{Filter, Journal, Recall, Sqlite};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use vocab::{Instant, Record};

/// Three bytes each: where, as a share of the file, and what stands there then.
const DAMAGE: usize = 3;

/// Some of the head, of the middle and of the end.
pub fn damages() -> Vec<Vec<u8>> {
    vec![vec![0, 0, 0x7f, 0, 18, 0xff], vec![0x40, 0, 1, 0x40, 7, 0, 0x80, 3, 0xff], vec![0xff, 0xf0, 9]]
}

/// # Panics
/// There is no place for a file.
pub fn read(damage: &[u8]) {
    static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
    let mut bytes = WHOLE.get_or_init(whole).clone();
    for one in damage.chunks_exact(DAMAGE) {
        let at = (usize::from(u16::from_be_bytes([one[0], one[1]])) * bytes.len()) >> 16;
        bytes[at] = one[2];
    }
    in_directory(|directory| {
        std::fs::write(directory.join("journal.db"), &bytes).expect("a file");
        let Ok(journal) = Sqlite::open_readonly(directory) else { return };
        drop((journal.open_steps(), journal.runs(100), journal.verify(true), journal.page(0, 100)));
        for number in 0..4 {
            let content = Some((hash(4, 0), hash(3, number), Instant::ZERO));
            drop(journal.recall(&Recall { key: hash(1, number), content }));
        }
        let listed = journal.steps(&Filter { reads: true, limit: 100, ..Filter::default() });
        for row in listed.unwrap_or_default() {
            drop((journal.step(row.intent.step), journal.events(row.intent.step)));
        }
    });
}

/// Some steps and notes, as a gateway leaves them that ends in order.
fn whole() -> Vec<u8> {
    in_directory(|directory| {
        let options = Options { durability: Durability::ProcessCrashOnly, ..Options::default() };
        let journal = Sqlite::open(directory, options).expect("a fresh directory");
        let epoch = journal.start().epoch;
        for number in 0..20 {
            let mut records = begin(intent(number), epoch);
            if number % 4 != 0 {
                records.extend(end(number, epoch));
            }
            journal.append(records, None).expect("room");
            journal.append(vec![Record::Read(note(number))], None).expect("room");
        }
        journal.close();
        drop(journal);
        std::fs::read(directory.join("journal.db")).expect("it is there")
    })
}

/// In a directory that does not exist afterwards.
fn in_directory<T>(work: impl FnOnce(&Path) -> T) -> T {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = Removed(std::env::temp_dir().join(format!("cofferdam-fuzz-{}-{number}", std::process::id())));
    std::fs::create_dir_all(&directory.0).expect("a directory");
    work(&directory.0)
}

struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
