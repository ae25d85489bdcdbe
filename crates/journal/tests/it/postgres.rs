//! The Postgres journal: the contract, and what only it must survive.

mod fixture;

use fixture::Databases;
use journal::Journal;
use journal::contract::{CASES, Subject};
use journal::postgres::{Options, Postgres};
use std::sync::Arc;

struct InDatabase(String);

impl Subject for InDatabase {
    fn open(&mut self) -> Arc<dyn Journal> {
        Postgres::open(&self.0, Options::default()).expect("an empty database")
    }
}

#[test]
fn the_postgres_journal_keeps_the_contract() {
    let Some(databases) = Databases::start(&[]) else { return };
    for (name, case) in CASES {
        eprintln!("{name}");
        case(&mut InDatabase(databases.fresh()));
    }
}

mod moved;
mod rows;
mod server;
