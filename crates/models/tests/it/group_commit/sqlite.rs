use super::{Told, assert_in_order, number, record, ticket};
use crate::{Durable, Error, Mutex, Ticket, in_many_orders, is_found_to_hang};
use queue::{Batch, Shared};
use shuttle::thread;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vocab::Lsn;

/// The queue only keeps it.
mod log {
    pub(super) struct Tip;
}

#[path = "../../../../journal/src/sqlite/queue.rs"]
#[expect(dead_code, reason = "the journal uses all of it")]
mod queue;

fn shared(appends_max: usize) -> (Arc<Shared>, Arc<Told>) {
    let shared = Arc::new(Shared::new(appends_max, 1 << 20, log::Tip));
    let told = Arc::new(Told::default());
    assert!(shared.notify.set(told.notify()).is_ok());
    (shared, told)
}

/// The writer's loop, with a log instead of a database.
fn write(shared: &Shared, log: &Mutex<Vec<Ticket>>) {
    while let Some(batch) = shared.next() {
        shared.settle.store(false, Ordering::Relaxed);
        commit(shared, batch, log);
    }
}

fn commit(shared: &Shared, batch: Batch, log: &Mutex<Vec<Ticket>>) {
    let mut done = Vec::new();
    for append in batch.appends {
        log.lock().push(number(&append.records));
        done.extend(append.ticket.map(|ticket| Durable { ticket, result: Ok(Lsn(ticket)) }));
    }
    shared.tell(done);
}

/// Appenders who each wait for one append before they make the next.
fn appended(appenders: u64, each: u64, appends_max: usize) {
    let (shared, told) = shared(appends_max);
    let log = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..appenders)
        .map(|who| {
            let (shared, told, log) = (Arc::clone(&shared), Arc::clone(&told), Arc::clone(&log));
            thread::spawn(move || {
                for nth in 0..each {
                    let ticket = ticket(who, nth);
                    while let Err(error) = shared.append(record(ticket), Some(ticket)) {
                        assert!(matches!(error, Error::Full(_)), "{error}");
                        thread::yield_now();
                    }
                    assert_eq!(told.wait(ticket), Ok(Lsn(ticket)));
                    assert!(log.lock().contains(&ticket), "told before it was written");
                }
            })
        })
        .collect();
    let writer = {
        let (shared, log) = (Arc::clone(&shared), Arc::clone(&log));
        thread::spawn(move || write(&shared, &log))
    };
    threads.into_iter().for_each(|appender| appender.join().expect("no panic"));
    shared.close();
    writer.join().expect("no panic");
    assert_in_order(&log.lock(), appenders, each);
}

//= G4
#[test]
fn every_append_is_told_once_after_its_commit_and_in_its_order() {
    // So few places that appenders meet a full queue.
    in_many_orders(|| appended(3, 3, 2));
}

//= G4
#[test]
fn every_append_of_a_group_that_is_gathered_is_told_once() {
    in_many_orders(|| appended(10, 2, 100));
}

#[test]
fn what_a_journal_took_before_it_was_closed_is_written() {
    in_many_orders(|| {
        let (shared, told) = shared(100);
        let log = Arc::new(Mutex::new(Vec::new()));
        let writer = {
            let (shared, log) = (Arc::clone(&shared), Arc::clone(&log));
            thread::spawn(move || write(&shared, &log))
        };
        let appender = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                // Every other one waits for nobody.
                let of = |nth| (nth % 2 == 0).then_some(nth);
                (0..4).take_while(|nth| shared.append(record(*nth), of(*nth)).is_ok()).count() as u64
            })
        };
        shared.close();
        let taken = appender.join().expect("no panic");
        writer.join().expect("no panic");
        assert_eq!(*log.lock(), (0..taken).collect::<Vec<_>>());
        (0..taken).step_by(2).for_each(|ticket| assert!(told.of(ticket).is_some(), "{ticket}"));
        assert_eq!(shared.append(record(9), None), Err(Error::Closed));
    });
}

//= G4
#[test]
fn what_a_journal_took_before_a_failed_sync_is_told_as_failed() {
    in_many_orders(|| {
        let (shared, told) = shared(100);
        let log = Arc::new(Mutex::new(Vec::new()));
        let writer = {
            let (shared, log) = (Arc::clone(&shared), Arc::clone(&log));
            thread::spawn(move || {
                let Some(first) = shared.next() else { return };
                commit(&shared, first, &log);
                let why = Error::Poisoned("the disk".to_owned());
                let left = shared.poison(&why).appends;
                let failed = left.into_iter().filter_map(|append| append.ticket);
                shared.tell(failed.map(|ticket| Durable { ticket, result: Err(why.clone()) }).collect());
                assert!(shared.next().is_none(), "nothing is written after that");
            })
        };
        let appenders: Vec<_> = (0..2)
            .map(|who| {
                let (shared, told) = (Arc::clone(&shared), Arc::clone(&told));
                thread::spawn(move || {
                    for nth in 0..2 {
                        let ticket = ticket(who, nth);
                        match shared.append(record(ticket), Some(ticket)) {
                            Ok(()) => drop(told.wait(ticket)),
                            Err(error) => assert!(matches!(error, Error::Poisoned(_)), "{error}"),
                        }
                    }
                })
            })
            .collect();
        appenders.into_iter().for_each(|appender| appender.join().expect("no panic"));
        writer.join().expect("no panic");
        for number in log.lock().iter() {
            assert_eq!(told.of(*number), Some(Ok(Lsn(*number))));
        }
    });
}

/// As the keeper asks for work between two commits.
fn asked(nudge: bool) {
    let (shared, _told) = shared(100);
    let writer = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let batch = shared.next().expect("it was asked");
            assert!(shared.settle.load(Ordering::Relaxed) && batch.appends.is_empty());
        })
    };
    // The writer may look before, or be about to wait.
    thread::yield_now();
    shared.settle.store(true, Ordering::Relaxed);
    if nudge {
        shared.nudge();
    }
    writer.join().expect("no panic");
}

#[test]
fn a_nudge_is_never_lost() {
    in_many_orders(|| asked(true));
}

#[test]
fn without_the_nudge_the_scheduler_finds_the_writer_asleep() {
    is_found_to_hang(|| asked(false));
}
