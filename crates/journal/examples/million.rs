//! How long a journal with a million steps takes to open: `cargo run -p journal --release --example million [steps]`.

use journal::contract::sample::{begin, end, hash, id, intent};
use journal::sqlite::{Durability, Options};
use journal::{Journal, Recall, Sqlite};
use std::io::Write;
use std::time::Instant as Moment;
use vocab::Instant;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let steps: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let directory = std::env::temp_dir().join(format!("journal-million-{}", std::process::id()));
    let outcome = measure(&directory, steps);
    std::fs::remove_dir_all(&directory)?;
    outcome
}

fn measure(directory: &std::path::Path, steps: u64) -> Outcome {
    let mut out = std::io::stdout().lock();
    let began = Moment::now();
    fill(directory, steps)?;
    let file = directory.join("journal.db");
    writeln!(out, "filled {steps} steps in {:.1?}, {} MB", began.elapsed(), file.metadata()?.len() >> 20)?;
    for round in ["after a close", "again", "after a kill, with a WAL"] {
        let began = Moment::now();
        let journal = Sqlite::open(directory, Options::default())?;
        let ready = began.elapsed();
        let open = journal.open_steps()?.len();
        writeln!(out, "open {round}: {ready:.2?}, with {open} open steps read: {:.2?}", began.elapsed())?;
        if round == "again" {
            recall(&journal, steps, &mut out)?;
            leave_a_wal(&journal, steps)?;
            // As a kill would: the files as they are now, under another name.
            for name in ["journal.db", "journal.db-wal", "journal.mark"] {
                std::fs::copy(directory.join(name), directory.join(format!("killed-{name}")))?;
            }
            drop(journal);
            for name in ["journal.db", "journal.db-wal", "journal.mark"] {
                std::fs::rename(directory.join(format!("killed-{name}")), directory.join(name))?;
            }
            let wal = directory.join("journal.db-wal").metadata()?.len() >> 20;
            writeln!(out, "a WAL of {wal} MB is left")?;
        }
    }
    Ok(())
}

fn fill(directory: &std::path::Path, steps: u64) -> Outcome {
    let options = Options { durability: Durability::ProcessCrashOnly, ..Options::default() };
    let journal = Sqlite::open(directory, options)?;
    let epoch = journal.start().epoch;
    for number in 0..steps {
        let mut records = begin(intent(number), epoch);
        if number % (steps / 100).max(1) != 0 {
            records.extend(end(number, epoch));
        }
        while journal.append(records.clone(), None).is_err() {
            std::thread::yield_now();
        }
    }
    journal.close();
    Ok(())
}

fn recall(journal: &Sqlite, steps: u64, out: &mut impl Write) -> Outcome {
    const COUNT: u64 = 20_000;
    for (what, count) in [("cold", COUNT), ("warm", COUNT)] {
        let began = Moment::now();
        for number in 0..count {
            let number = number * 7_919 % steps;
            let content = Some((hash(4, 0), hash(3, number), Instant::ZERO));
            let found = journal.recall(&Recall { key: hash(1, number), content })?;
            if found.by_key.map(|row| row.intent.step) != Some(id(number)) {
                return Err("a stored step was not found".into());
            }
        }
        writeln!(out, "recall by key, {what}: {:.1?} each", began.elapsed() / 20_000)?;
    }
    Ok(())
}

fn leave_a_wal(journal: &Sqlite, steps: u64) -> Outcome {
    let epoch = journal.start().epoch;
    let (send, told) = std::sync::mpsc::sync_channel(1);
    journal.on_durable(std::sync::Arc::new(move |_| send.send(()).unwrap_or_default()));
    for number in steps..steps + 8_000 {
        journal.append(begin(intent(number), epoch), None)?;
    }
    journal.append(Vec::new(), Some(1))?;
    told.recv()?;
    Ok(())
}
