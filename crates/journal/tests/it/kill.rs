//! A process that appends is killed at random: whatever it was told is there.

use crate::disk::at;
use journal::contract::Rig;
use journal::contract::sample::{begin, end, id, intent, read};
use journal::{Durable, Journal, Retention, Sqlite, sqlite::Options};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use vocab::{Record, State};

const DIRECTORY: &str = "JOURNAL_KILL_DIRECTORY";
const FROM: &str = "JOURNAL_KILL_FROM";
const KILLS: u64 = 30;
/// Numbers that one child may use; it is killed long before.
const SPAN: u64 = 1_000_000;

/// Not a test of its own: the child of the one below, which sets the variables.
#[test]
fn child() {
    let (Some(directory), Ok(from)) = (std::env::var_os(DIRECTORY), std::env::var(FROM)) else { return };
    let from: u64 = from.parse().expect("a number");
    let journal = Sqlite::open(PathBuf::from(directory), Options { checkpoint_bytes: 200_000, ..Options::default() })
        .expect("a journal that recovers");
    let (send, told) = std::sync::mpsc::sync_channel(1_024);
    journal.on_durable(Arc::new(move |done: Vec<Durable>| {
        let mut out = std::io::stdout().lock();
        for one in &done {
            one.result.as_ref().expect("an append of a healthy journal");
            writeln!(out, "told {}", one.ticket).expect("the parent reads");
        }
        out.flush().expect("the parent reads");
        send.send(done.len()).expect("the main thread waits");
    }));
    let epoch = journal.start().epoch;
    let mut waiting = 0;
    // Even tickets begin a step, odd ones end it; some eight are under way at a time.
    for number in from..from + SPAN {
        journal.append(begin(intent(number), epoch), Some(number * 2)).expect("room");
        journal.append(vec![Record::Read(read(number))], None).expect("room");
        journal.append(end(number, epoch), Some(number * 2 + 1)).expect("room");
        waiting += 2;
        while waiting > 16 {
            waiting -= told.recv().expect("the writer lives");
        }
        if number % 64 == 0 {
            let keep = Retention { bodies: Duration::from_secs(100), ..Retention::default() };
            journal.maintain(intent(number).created_at, &keep).expect("room");
        }
    }
}

//= S-09
//= G4
#[test]
fn whatever_was_told_before_a_kill_is_there_after_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut told_in_all = 0;
    for round in 0..KILLS {
        let told = run_and_kill(directory.path(), round * SPAN, round);
        told_in_all += told.len();
        let mut subject = at(directory.path());
        let rig = Rig::open(&mut subject);
        assert_eq!(rig.journal.start().gap_since, None, "round {round}");
        let verified = rig.journal.verify(round % 10 == 9).expect("readable");
        assert_eq!(verified.findings, Vec::<String>::new(), "round {round}");
        for ticket in told {
            let row = rig.journal.step(id(ticket / 2)).expect("readable").expect("what was told is there");
            assert!(ticket % 2 == 0 || row.status.state == State::Closed, "round {round}, ticket {ticket}");
            assert!(row.expired || row.result.is_some() == (row.status.state == State::Closed));
        }
    }
    assert!(told_in_all > 1_000, "only {told_in_all} appends in {KILLS} rounds: the test tests nothing");
}

/// Runs a child for a while and returns the tickets that it printed before it was killed.
fn run_and_kill(directory: &Path, from: u64, seed: u64) -> Vec<u64> {
    let program = std::env::current_exe().expect("a test binary");
    let mut child = Command::new(program)
        .args(["--exact", "kill::child", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(FROM, from.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let ticket = |line: &str| line.split_once("told ").and_then(|(_, ticket)| ticket.parse::<u64>().ok());
    let mut told = Vec::new();
    // From the first sign of life on, a spread of moments over some hundred commits.
    let enough = 1 + usize::try_from(seed * 37 % 300).expect("small");
    while told.len() < enough {
        let line = lines.next().expect("the child lives").expect("readable");
        told.extend(ticket(&line));
    }
    std::thread::sleep(Duration::from_micros(seed * 997 % 5_000));
    child.kill().expect("alive");
    told.extend(lines.map_while(Result::ok).filter_map(|line| ticket(&line)));
    child.wait().expect("killed");
    told
}
