//! Power loss: every write of a journal is recorded, and from the record come the disks that a loss of power could
//! leave behind, after each operation, in any order between two syncs and torn inside a write. Each is opened and
//! audited: whatever was told as durable is there, and nothing is there by half.
//!
//! `POWER_IMAGES=100000 cargo test --release -p journal --test it power -- --nocapture` looks at more of them and says
//! how many.

mod disk;
mod record;

use disk::{Disk, Fate, Image, Op};
use journal::contract::sample::{begin, end, id, intent, read};
use journal::sqlite::Options;
use journal::{Durable, Journal, Retention, Sqlite};
use record::Recorder;
use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vocab::{EventKind, Record, State};

/// Images that are looked at, unless `POWER_IMAGES` says otherwise; they are spread evenly over all.
const IMAGES: usize = 500;
/// Two lives of the journal, so that its end in order and its next start are in the record.
const LIVES: u64 = 2;
const STEPS: u64 = 60;
/// Steps under way at a time.
const WINDOW: usize = 6;
/// Sectors of old disks and of new ones.
const UNITS: [usize; 2] = [512, 4_096];
/// Draws of each kind per operation.
const DRAWS: usize = 2;
/// One in so many images is also written to after it was opened.
const GO_ON_EVERY: usize = 8;

/// Even tickets begin a step, odd ones end it.
fn work(directory: &Path) -> Vec<Op> {
    let recorder = Recorder::start(directory);
    for life in 0..LIVES {
        // Small, so that the WAL is copied into the file and begun anew, and the tables follow the log, many times.
        let options = Options { checkpoint_bytes: 60_000, settle_after: 7, ..Options::default() };
        let journal = Sqlite::open(directory, options).expect("a journal");
        let (send, told) = std::sync::mpsc::sync_channel(1_024);
        journal.on_durable(Arc::new(move |done: Vec<Durable>| {
            for one in &done {
                one.result.as_ref().expect("an append of a healthy journal");
                Recorder::note(one.ticket);
            }
            send.send(done.len()).expect("the test waits");
        }));
        let epoch = journal.start().epoch;
        let mut waiting = 0;
        for number in life * STEPS..(life + 1) * STEPS {
            journal.append(begin(intent(number), epoch), Some(number * 2)).expect("room");
            journal.append(vec![Record::Read(read(number))], None).expect("room");
            journal.append(end(number, epoch), Some(number * 2 + 1)).expect("room");
            waiting += 2;
            while waiting > WINDOW {
                waiting -= told.recv().expect("the writer lives");
            }
            if number % 16 == 15 {
                let keep = Retention { bodies: Duration::from_secs(30), ..Retention::default() };
                journal.maintain(intent(number).created_at, &keep).expect("room");
            }
        }
        while waiting > 0 {
            waiting -= told.recv().expect("the writer lives");
        }
        journal.close();
    }
    recorder.take()
}

/// What may become of a disk at this moment.
fn fates(disk: &Disk, at: usize) -> Vec<Fate> {
    let mut fates = vec![Fate::Kept, Fate::Lost];
    let open = disk.open();
    for draw in 0..DRAWS.min(open) {
        let which = (at * 7 + draw * 3) % open;
        fates.extend([Fate::AllBut(which), Fate::Only(which)]);
    }
    for unit in UNITS {
        for draw in 0..DRAWS {
            fates.push(Fate::Coins { unit, seed: (at * DRAWS + draw) as u64 });
        }
        let units = disk.last_write().div_ceil(unit);
        for count in [1, units / 2, units.saturating_sub(1)] {
            if count > 0 && count < units {
                fates.extend([Fate::Head { unit, count }, Fate::Tail { unit, count }]);
            }
        }
    }
    fates
}

/// What is looked at: after which operation, and what became of the disk.
type Moment = (usize, Fate);

/// The images of a record that `choose` wants and that differ from those before them, with what had been told by then.
fn images(
    ops: &[Op],
    lies: bool,
    mut choose: impl FnMut(Moment) -> bool,
    mut look: impl FnMut(Moment, &Image, &BTreeSet<u64>),
) {
    let mut disk = Disk::default();
    disk.lies = lies;
    let mut told = BTreeSet::new();
    let mut seen = HashSet::new();
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    for (at, op) in ops.iter().enumerate() {
        disk.apply(op);
        if let Op::Told(ticket) = op {
            told.insert(*ticket);
        }
        for fate in fates(&disk, at).into_iter().filter(|fate| choose((at, *fate))) {
            let image = disk.image(fate);
            if seen.insert(hasher.hash_one((&image, told.len()))) {
                look((at, fate), &image, &told);
            }
        }
    }
}

/// What does not hold of an image.
fn audit(directory: &Path, told: &BTreeSet<u64>, goes_on: bool) -> Vec<String> {
    let mut found = Vec::new();
    let journal = match Sqlite::open(directory, Options::default()) {
        Ok(journal) => journal,
        Err(error) => return vec![format!("it does not open: {error}")],
    };
    if let Some(since) = journal.start().gap_since {
        found.push(format!("it believes that it lost its tail after {since:?}"));
    }
    match journal.verify(true) {
        Ok(verified) => found.extend(verified.findings),
        Err(error) => found.push(format!("it cannot be verified: {error}")),
    }
    let mut missing = None;
    for number in 0..LIVES * STEPS {
        let row = match journal.step(id(number)) {
            Ok(row) => row,
            Err(error) => {
                found.push(format!("step {number} cannot be read: {error}"));
                continue;
            }
        };
        let is_closed = row.as_ref().is_some_and(|row| row.status.state == State::Closed);
        if told.contains(&(number * 2)) && row.is_none() {
            found.push(format!("the intent of step {number} was told and is not there"));
        }
        if told.contains(&(number * 2 + 1)) && !is_closed {
            found.push(format!("the end of step {number} was told and is not there"));
        }
        match (&row, missing) {
            (None, None) => missing = Some(number),
            (Some(_), Some(earlier)) => found.push(format!("step {number} is there and step {earlier} is not")),
            _ => {}
        }
        let Some(row) = row.filter(|row| !row.expired) else { continue };
        let events = journal.events(id(number)).unwrap_or_default();
        let has = |kind| events.iter().any(|stored| stored.event.kind == kind);
        let is_whole = has(EventKind::Intent)
            && has(EventKind::Dispatched)
            && has(EventKind::Closed) == is_closed
            && row.result.is_some() == is_closed;
        if !is_whole {
            found.push(format!("step {number} is there by half"));
        }
    }
    if goes_on && found.is_empty() {
        found.extend(go_on(journal, directory));
    }
    found
}

/// It takes another append, ends, and has it when it is opened again.
fn go_on(journal: Arc<Sqlite>, directory: &Path) -> Option<String> {
    let (number, epoch) = (LIVES * STEPS + 1, journal.start().epoch);
    let (send, told) = std::sync::mpsc::sync_channel(16);
    journal.on_durable(Arc::new(move |done: Vec<Durable>| {
        send.send(done.iter().all(|one| one.result.is_ok())).unwrap_or_default();
    }));
    journal.append(begin(intent(number), epoch), Some(1)).ok()?;
    if !told.recv().is_ok_and(|ok| ok) {
        return Some("it takes nothing more".to_owned());
    }
    journal.close();
    drop(journal);
    let again = Sqlite::open(directory, Options::default()).and_then(|journal| journal.step(id(number)));
    (!matches!(again, Ok(Some(_)))).then(|| "what it took after the loss is not there".to_owned())
}

/// Memory where there is some: thousands of images are written.
fn room() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    tempfile::tempdir_in(&memory).or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

//= S-09
//= G4
#[test]
fn whatever_was_told_before_a_loss_of_power_is_there_after_it() {
    let place = room();
    let ops = work(place.path());
    let writes = ops.iter().filter(|op| matches!(op, Op::Write { .. })).count();
    let syncs = ops.iter().filter(|op| matches!(op, Op::Sync { .. } | Op::SyncDirectory)).count();
    assert!(writes > 200 && syncs > 60, "{writes} writes, {syncs} syncs: the record holds what a journal does");
    let mut all = 0;
    let count = |_| {
        all += 1;
        false
    };
    images(&ops, false, count, |_, _, _| ());
    let wanted = std::env::var("POWER_IMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(IMAGES);
    let every = (all / wanted).max(1);
    let (mut number, mut looked) = (0, 0);
    let mut broken = Vec::new();
    let spread = |_| {
        number += 1;
        number % every == 0
    };
    images(&ops, false, spread, |moment, image, told| {
        looked += 1;
        let directory = tempfile::tempdir_in(place.path()).expect("room");
        image.put(directory.path());
        let found = audit(directory.path(), told, looked % GO_ON_EVERY == 0);
        if !found.is_empty() {
            broken.push(format!("after operation {moment:?} of {}: {found:?}", ops.len()));
        }
    });
    eprintln!("{writes} writes, {syncs} syncs, {looked} images opened and audited, {} broken", broken.len());
    assert!(broken.is_empty(), "{} of {looked} images: {:#?}", broken.len(), &broken[..broken.len().min(5)]);
    assert!(looked >= wanted.min(all) / 3, "{looked} images of {all}");
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_found_out() {
    let place = room();
    let ops = work(place.path());
    let (mut looked, mut broken) = (0, 0);
    let some = |(at, fate)| fate == Fate::Lost && at > ops.len() / 2 && at % 20 == 0;
    images(&ops, true, some, |_, image, told| {
        looked += 1;
        let directory = tempfile::tempdir_in(place.path()).expect("room");
        image.put(directory.path());
        broken += usize::from(!audit(directory.path(), told, false).is_empty());
    });
    assert!(looked > 0 && broken == looked, "{broken} of {looked}: an audit that finds nothing shows nothing");
}
