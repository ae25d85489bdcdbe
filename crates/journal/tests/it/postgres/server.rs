//! What the database itself may suffer or be set to.

use super::fixture::Databases;
use super::rows::Replica;
use journal::contract::sample::{begin, end, id, intent};
use journal::postgres::{Options, Postgres};
use journal::{Error, Journal};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

fn refused(url: &str, options: Options) -> String {
    Postgres::open(url, options).err().expect("it is to be refused").to_string()
}

//= G4
#[test]
fn a_server_that_loses_what_it_acknowledges_is_refused_unless_that_is_accepted_by_name() {
    let Some(databases) = Databases::start(&["fsync = off", "synchronous_commit = off"]) else { return };
    let url = databases.fresh();
    let why = refused(&url, Options::default());
    assert!(why.contains("fsync off") && why.contains("accept_loss: [fsync]"), "{why}");
    use journal::postgres::Loss::{Fsync, SynchronousCommit};
    let why = refused(&url, Options { accept: vec![Fsync], ..Options::default() });
    assert!(why.contains("synchronous_commit"), "{why}");
    let open = Postgres::open(&url, Options { accept: vec![Fsync, SynchronousCommit], ..Options::default() });
    assert!(open.is_ok());
}

#[test]
fn a_newer_form_is_refused_with_the_version_that_reads_it_unless_older_writers_may_go_on() {
    let Some(databases) = Databases::start(&[]) else { return };
    let url = databases.fresh();
    drop(Postgres::open(&url, Options::default()).expect("an empty database"));
    // A rolling upgrade: a newer replica has added a column, and older ones go on writing beside it.
    databases.run(
        &url,
        "ALTER TABLE cofferdam.step ADD COLUMN newer INTEGER NOT NULL DEFAULT 7;
         UPDATE cofferdam.meta SET form = 2, written_by = '9.1.0'",
    );
    let older = Replica::open(&url, Options::default());
    let epoch = older.journal.start().epoch;
    older.put(begin(intent(1), epoch)).expect("a fresh key");
    older.put(end(1, epoch)).expect("its own row");
    assert_eq!(databases.number(&url, "SELECT newer::bigint FROM cofferdam.step"), 7);
    databases.run(&url, "UPDATE cofferdam.meta SET writable_from = 2");
    for why in [refused(&url, Options::default()), Postgres::open_readonly(&url).err().expect("newer").to_string()] {
        assert!(why.contains("form 2 is newer") && why.contains("cofferdam 9.1.0 or later"), "{why}");
    }
}

#[test]
fn no_error_shows_the_password() {
    for url in
        ["postgres://me:hunter2@127.0.0.1:1/x", "postgres://me:hunter2@[bad", "hunter2", "password=hunter2 port=x"]
    {
        let why = refused(url, Options::default());
        assert!(!why.contains("hunter2"), "{why}");
        assert!(!journal::postgres::shown(url).contains("hunter2"));
    }
}

#[test]
fn an_empty_database_is_no_journal_to_read() {
    let Some(databases) = Databases::start(&[]) else { return };
    let why = Postgres::open_readonly(&databases.fresh()).err().expect("nothing is there").to_string();
    assert!(why.contains("holds no journal"), "{why}");
}

//= G3
//= G4
#[test]
fn what_was_acknowledged_before_the_server_died_is_there_and_nothing_else_was_said_to_be() {
    let Some(mut databases) = Databases::of_our_own(&[]) else { return };
    let url = databases.fresh();
    let replica = Replica::open(&url, Options { write_max: Duration::from_secs(5), ..Options::default() });
    let epoch = replica.journal.start().epoch;
    let (mut kept, mut number) = (Vec::new(), 0);
    for round in 0..3 {
        let mut waiting = Vec::new();
        for _ in 0..200 {
            number += 1;
            if let Ok(ticket) = replica.send(begin(intent(number), epoch)) {
                waiting.push((number, ticket));
            }
        }
        if round < 2 {
            databases.cluster().kill().expect("it can be killed");
            let began = Instant::now();
            while replica.journal.health().is_ok() {
                assert!(began.elapsed() < PATIENCE, "it never noticed");
                std::thread::sleep(Duration::from_millis(20));
            }
            let refused = replica.send(begin(intent(number + 1_000), epoch));
            assert!(matches!(refused, Err(Error::Write(_))), "it fails closed");
            databases.cluster().resume().expect("it comes back");
        }
        // What was under way is told once it is known.
        kept.extend(waiting.into_iter().map(|(number, ticket)| (number, replica.wait(ticket))));
        let began = Instant::now();
        while replica.journal.health().is_err() {
            assert!(began.elapsed() < PATIENCE, "{:?}", replica.journal.health());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    for (number, told) in &kept {
        let there = replica.journal.step(id(*number)).expect("readable").is_some();
        assert_eq!(there, told.is_ok(), "{number}: {told:?}");
    }
    assert!(kept.iter().filter(|(_, told)| told.is_ok()).count() >= 200, "the last round went through");
    assert!(replica.journal.verify(true).expect("readable").findings.is_empty());
}

//= G3
#[test]
fn a_commit_that_broke_off_is_looked_up_and_told_as_it_is() {
    let Some(databases) = Databases::of_our_own(&[]) else { return };
    let url = databases.fresh();
    let replica = Replica::open(&url, Options { write_max: Duration::from_secs(5), ..Options::default() });
    let epoch = replica.journal.start().epoch;
    replica.put(begin(intent(1), epoch)).expect("a fresh key");
    // A commit that waits for a standby that is not there: made, and never acknowledged.
    databases.run(&url, "ALTER SYSTEM SET synchronous_standby_names = 'ghost'");
    databases.number(&url, "SELECT pg_reload_conf()::int::bigint");
    // The server's processes read their settings again each in its own time: until then commits go through.
    let mut waiting = Vec::new();
    let began = Instant::now();
    while replica.journal.health().is_ok() {
        assert!(began.elapsed() < PATIENCE, "it never noticed");
        let number = waiting.len() as u64 + 2;
        if let Ok(ticket) = replica.send(begin(intent(number), epoch)) {
            waiting.push((number, ticket));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    databases.run(&url, "ALTER SYSTEM SET synchronous_standby_names = ''");
    databases.number(&url, "SELECT pg_reload_conf()::int::bigint");
    for (number, ticket) in waiting {
        let told = replica.wait(ticket);
        let there = replica.journal.step(id(number)).expect("readable").is_some();
        assert_eq!(there, told.is_ok(), "{number}: what was made is told as made: {told:?}");
        // It was under way before anything was refused.
        assert!(number > 2 || there);
    }
    replica.put(end(2, epoch)).expect("and the writer goes on");
    assert!(replica.journal.verify(true).expect("readable").findings.is_empty());
}
