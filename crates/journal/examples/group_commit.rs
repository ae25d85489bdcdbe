//! Commits, rows and waiting times against the disk's own fdatasync rate:
//! `cargo run -p journal --release --example group_commit [seconds] [checkpoint MB] [waiters,..] [directory]`.

use journal::contract::sample::{begin, end, hash, intent};
use journal::sqlite::Options;
use journal::{Durable, Journal, Retention, Sqlite};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Moment};

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A waiter's mailbox, and how often the journal told anybody.
struct Post {
    boxes: Vec<SyncSender<()>>,
    commits: AtomicU64,
}

fn main() -> Outcome {
    let mut words = std::env::args().skip(1);
    let seconds: u64 = words.next().map_or(Ok(5), |text| text.parse())?;
    let checkpoint: u64 = words.next().map_or(Ok(64), |text| text.parse())?;
    let waiters = words.next().unwrap_or_else(|| "1,16,64,256".to_owned());
    let waiters: Vec<usize> = waiters.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let parent = words.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = parent.join(format!("journal-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let outcome = measure(&directory, Duration::from_secs(seconds), checkpoint << 20, &waiters);
    std::fs::remove_dir_all(&directory)?;
    outcome
}

fn measure(directory: &Path, span: Duration, checkpoint_bytes: u64, groups: &[usize]) -> Outcome {
    let mut out = std::io::stdout().lock();
    bare(directory, span, &mut out)?;
    writeln!(out, "waiters  commits/s  appends/s   rows/s     p50       p99       p99.9     worst")?;
    for &waiters in groups {
        let path = directory.join(format!("{waiters}"));
        let (commits, mut took, elapsed) = run(&path, waiters, span, checkpoint_bytes)?;
        took.sort_unstable();
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        let per_second = |count: f64| count / elapsed.as_secs_f64();
        writeln!(
            out,
            "{waiters:7}  {:9.0}  {:9.0}  {:8.0}  {:>8.2?}  {:>8.2?}  {:>8.2?}  {:>8.2?}",
            per_second(commits as f64),
            per_second(took.len() as f64),
            // Half of the appends begin a step (row, two bodies, two events), half end it (row, body, two events).
            per_second(took.len() as f64 * 4.5),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
        )?;
    }
    Ok(())
}

/// One thread that writes four kilobytes and syncs, over and over in the same megabyte.
fn bare(directory: &Path, span: Duration, out: &mut impl Write) -> Outcome {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::create(directory.join("bare"))?;
    file.write_all_at(&vec![0; 1 << 20], 0)?;
    file.sync_all()?;
    let began = Moment::now();
    let mut took = Vec::new();
    while began.elapsed() < span {
        let start = Moment::now();
        file.write_all_at(&[7; 4096], (took.len() as u64 % 256) * 4096)?;
        file.sync_data()?;
        took.push(start.elapsed());
    }
    took.sort_unstable();
    let rate = took.len() as f64 / span.as_secs_f64();
    let (p50, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    writeln!(out, "bare fdatasync: {rate:.0}/s, p50 {p50:.2?}, p99 {p99:.2?}, worst {:.2?}", took[took.len() - 1])?;
    Ok(())
}

fn run(
    path: &Path,
    waiters: usize,
    span: Duration,
    checkpoint_bytes: u64,
) -> Result<(u64, Vec<Duration>, Duration), Box<dyn std::error::Error + Send + Sync>> {
    let journal = Sqlite::open(path, Options { checkpoint_bytes, ..Options::default() })?;
    let mut letters = Vec::new();
    let boxes = (0..waiters).map(|_| sync_channel(1)).map(|(send, letter)| (letters.push(letter), send).1).collect();
    let post = Arc::new(Post { boxes, commits: AtomicU64::new(0) });
    let to = Arc::clone(&post);
    journal.on_durable(Arc::new(move |done: Vec<Durable>| {
        to.commits.fetch_add(1, Ordering::Relaxed);
        for one in done {
            if one.result.is_ok() {
                to.boxes[one.ticket as usize].send(()).unwrap_or_default();
            }
        }
    }));
    let stop = AtomicBool::new(false);
    let all = Mutex::new(Vec::new());
    let began = Moment::now();
    std::thread::scope(|scope| -> Outcome {
        let mut threads = Vec::new();
        for (waiter, letter) in letters.into_iter().enumerate() {
            let (journal, stop, all) = (&journal, &stop, &all);
            threads.push(scope.spawn(move || -> Outcome {
                let mut took = Vec::new();
                let mut round = 0;
                while !stop.load(Ordering::Relaxed) {
                    let number = round * 1_000 + waiter as u64;
                    for records in append(journal, number) {
                        let start = Moment::now();
                        journal.append(records, Some(waiter as u64))?;
                        letter.recv()?;
                        took.push(start.elapsed());
                    }
                    round += 1;
                }
                all.lock().map_err(|_| "a waiter failed")?.extend(took);
                Ok(())
            }));
        }
        while began.elapsed() < span {
            std::thread::sleep(Duration::from_millis(100));
            // As the gateway does, with nothing due.
            journal.maintain(vocab::Instant::ZERO, &Retention::default())?;
        }
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().map_err(|_| "a waiter failed")??;
        }
        Ok(())
    })?;
    let elapsed = began.elapsed();
    let took = all.into_inner().map_err(|_| "a waiter failed")?;
    Ok((post.commits.load(Ordering::Relaxed), took, elapsed))
}

/// The two barriers of one mutation, with ids and keys as scattered as real ones.
fn append(journal: &Sqlite, number: u64) -> [Vec<vocab::Record>; 2] {
    let epoch = journal.start().epoch;
    let scattered = *blake3::hash(&number.to_le_bytes()).as_bytes();
    let mut next = intent(number);
    next.key = vocab::Hash(scattered);
    next.content = hash(9, number);
    next.preimage = None;
    [begin(next, epoch), end(number, epoch)]
}
