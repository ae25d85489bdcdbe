//! The queues in front of the two writers, as they ship: appenders, a writer, a close and a failure in many orders.

mod postgres;
mod sqlite;

use crate::{Condvar, Durable, Error, Mutex, Notify, Ticket};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vocab::{Bytes, GuardKind, GuardRow, Instant as Moment, Lsn, Record};

/// What the journal told, by ticket.
#[derive(Default)]
struct Told {
    told: Mutex<BTreeMap<Ticket, Result<Lsn, Error>>>,
    wake: Condvar,
}

impl Told {
    fn notify(self: &Arc<Self>) -> Notify {
        let told = Arc::clone(self);
        Arc::new(move |done: Vec<Durable>| {
            let mut all = told.told.lock();
            for Durable { ticket, result } in done {
                assert!(all.insert(ticket, result).is_none(), "ticket {ticket} was told twice");
            }
            drop(all);
            told.wake.notify_all();
        })
    }

    /// As a caller does. It hangs where it is never told.
    fn wait(&self, ticket: Ticket) -> Result<Lsn, Error> {
        let mut all = self.told.lock();
        loop {
            if let Some(result) = all.get(&ticket) {
                return result.clone();
            }
            self.wake.wait_until(&mut all, Instant::now() + Duration::from_secs(3600));
        }
    }

    fn of(&self, ticket: Ticket) -> Option<Result<Lsn, Error>> {
        self.told.lock().get(&ticket).cloned()
    }
}

/// A record that can be recognised.
fn record(number: Ticket) -> Vec<Record> {
    let key = Bytes::copy_from_slice(&number.to_le_bytes());
    vec![Record::Guard(GuardRow { kind: GuardKind::Run, key, body: Bytes::new(), at: Moment::ZERO })]
}

fn number(records: &[Record]) -> Ticket {
    match records {
        [Record::Guard(row)] => Ticket::from_le_bytes(row.key.as_ref().try_into().expect("eight bytes")),
        other => unreachable!("{other:?} was not appended"),
    }
}

/// Appender `who`'s `nth` append.
const fn ticket(who: u64, nth: u64) -> Ticket {
    who * 100 + nth
}

/// What each appended is there once, in its order.
fn assert_in_order(log: &[Ticket], appenders: u64, each: u64) {
    for who in 0..appenders {
        let of: Vec<_> = log.iter().copied().filter(|number| number / 100 == who).collect();
        let expected: Vec<_> = (0..each).map(|nth| ticket(who, nth)).collect();
        assert_eq!(of, expected);
    }
    assert_eq!(log.len() as u64, appenders * each);
}
