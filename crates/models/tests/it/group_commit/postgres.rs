use super::{Told, assert_in_order, number, record, ticket};
use crate::{Durable, Error, Mutex, Ticket, in_many_orders, is_found_to_hang};
use queue::Queue;
use shuttle::future::block_on;
use shuttle::thread;
use std::sync::Arc;
use vocab::Lsn;

#[path = "../../../../journal/src/postgres/queue.rs"]
#[expect(dead_code, reason = "the journal uses all of it")]
mod queue;

const APPENDERS: u64 = 3;
const EACH: u64 = 2;
const BYTES_MAX: usize = 1 << 20;

fn queue() -> (Arc<Queue>, Arc<Told>) {
    let (queue, told) = (Arc::new(Queue::default()), Arc::new(Told::default()));
    assert!(queue.notify.set(told.notify()).is_ok());
    (queue, told)
}

/// The writer's loop, with a log instead of a database.
async fn write(queue: &Queue, log: &Mutex<Vec<Ticket>>) {
    while let Some(batch) = queue.next().await {
        let mut done = Vec::new();
        for append in batch.appends {
            log.lock().push(number(&append.records));
            done.extend(append.ticket.map(|ticket| Durable { ticket, result: Ok(Lsn(ticket)) }));
        }
        queue.tell(done);
    }
    queue.end();
}

//= G4
#[test]
fn every_append_is_told_once_after_its_commit_and_in_its_order() {
    in_many_orders(|| {
        let (queue, told) = queue();
        let log = Arc::new(Mutex::new(Vec::new()));
        let writer = {
            let (queue, log) = (Arc::clone(&queue), Arc::clone(&log));
            thread::spawn(move || block_on(write(&queue, &log)))
        };
        let appenders: Vec<_> = (0..APPENDERS)
            .map(|who| {
                let (queue, told, log) = (Arc::clone(&queue), Arc::clone(&told), Arc::clone(&log));
                thread::spawn(move || {
                    for nth in 0..EACH {
                        let ticket = ticket(who, nth);
                        while let Err(error) = queue.append(record(ticket), Some(ticket), 2, BYTES_MAX) {
                            assert!(matches!(error, Error::Full(_)), "{error}");
                            thread::yield_now();
                        }
                        assert_eq!(told.wait(ticket), Ok(Lsn(ticket)));
                        assert!(log.lock().contains(&ticket), "told before it was written");
                    }
                })
            })
            .collect();
        appenders.into_iter().for_each(|appender| appender.join().expect("no panic"));
        queue.close();
        writer.join().expect("no panic");
        assert_in_order(&log.lock(), APPENDERS, EACH);
    });
}

#[test]
fn what_waits_while_the_database_goes_away_is_told_and_nothing_is_taken_until_it_is_back() {
    in_many_orders(|| {
        let (queue, told) = queue();
        let log = Arc::new(Mutex::new(Vec::new()));
        let appender = {
            let (queue, told) = (Arc::clone(&queue), Arc::clone(&told));
            thread::spawn(move || {
                for nth in 0..3 {
                    if queue.append(record(nth), Some(nth), 100, BYTES_MAX).is_ok() {
                        drop(told.wait(nth));
                    }
                }
            })
        };
        let why = Error::Write("the database is away".to_owned());
        let left = queue.down(&why).appends.into_iter().filter_map(|append| append.ticket);
        queue.tell(left.map(|ticket| Durable { ticket, result: Err(why.clone()) }).collect());
        assert_eq!(queue.health(), Err(why));
        queue.up();
        let writer = {
            let (queue, log) = (Arc::clone(&queue), Arc::clone(&log));
            thread::spawn(move || block_on(write(&queue, &log)))
        };
        appender.join().expect("no panic");
        queue.close();
        writer.join().expect("no panic");
        for number in log.lock().iter() {
            assert_eq!(told.of(*number), Some(Ok(Lsn(*number))));
        }
    });
}

#[test]
fn a_writer_that_is_told_of_nothing_is_found_asleep() {
    is_found_to_hang(|| {
        let (queue, _told) = queue();
        block_on(async { drop(queue.next().await) });
    });
}
