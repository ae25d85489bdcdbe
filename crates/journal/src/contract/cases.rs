//! The behaviours. Names are sentences; each starts on a fresh journal.

use super::sample::{at, begin, closed, end, event, hash, id, intent, read, update};
use super::{Case, Rig, Subject};
use crate::{Error, Filter, Recall, Retention};
use std::sync::Arc;
use std::time::Duration;
use vocab::{
    Bytes, Effect, Epoch, EventKind, GuardKind, GuardRow, Instant, Lsn, Outcome, Record, RunId, State, StepStatus,
};

macro_rules! all {
    ($($name:ident),+ $(,)?) => { pub(super) const ALL: &[(&str, Case)] = &[$((stringify!($name), $name)),+]; };
}

all![
    what_was_acknowledged_is_there_after_a_reopen,
    appends_are_told_once_and_in_order,
    an_append_is_all_or_nothing,
    a_second_claim_of_a_key_conflicts_and_only_that_append_fails,
    an_older_epoch_is_fenced,
    a_newer_epoch_takes_a_row_over,
    recall_finds_the_highest_generation,
    recall_by_content_stays_in_scope_and_time,
    what_had_no_effect_hides_no_twin_that_may_have_had_one,
    a_key_whose_step_did_not_run_leaves_equal_content_to_be_asked,
    reads_and_expired_steps_are_no_twins,
    bodies_expire_and_the_tombstone_still_blocks,
    a_tombstone_goes_after_its_time,
    what_may_have_happened_never_expires,
    open_steps_come_oldest_first,
    events_keep_their_order_and_hang_together,
    the_chain_holds_over_what_retention_took,
    events_of_no_step_go_with_time,
    an_update_without_a_result_keeps_the_body,
    lists_filter_and_come_newest_first,
    reads_are_found_by_name_and_counted_by_run,
    records_without_a_ticket_are_committed_by_close,
    a_ticket_without_records_waits_for_what_was_queued_before,
    a_closed_journal_refuses,
    what_guards_remember_is_replaced_removed_and_there_after_a_reopen,
    what_guards_remember_is_written_with_its_step_or_not_at_all,
    what_guards_of_runs_remember_goes_with_time_and_an_order_never,
];

const NONE: Recall = Recall { key: vocab::Hash([0; 32]), content: None };

fn epoch(rig: &Rig<'_>) -> Epoch {
    rig.journal.start().epoch
}

fn begin_and_end(rig: &mut Rig<'_>, number: u64) {
    let epoch = epoch(rig);
    rig.put(begin(intent(number), epoch)).expect("a fresh key");
    rig.put(end(number, epoch)).expect("our own row");
}

fn keep(bodies: u64, tombstones: u64) -> Retention {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    Retention { bodies: hours(bodies), tombstones: hours(tombstones), reads: hours(bodies) }
}

fn hours(hours: u64) -> Instant {
    at(hours * 3600)
}

fn maintain(rig: &Rig<'_>, now: Instant, keep: &Retention) -> (u64, u64, u64) {
    let mut total = (0, 0, 0);
    loop {
        let done = rig.journal.maintain(now, keep).expect("room to write");
        total.0 += done.bodies_expired;
        total.1 += done.tombstones_dropped;
        total.2 += done.reads_dropped;
        if !done.more {
            return total;
        }
    }
}

//= G4
fn what_was_acknowledged_is_there_after_a_reopen(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let first = epoch(&rig);
    begin_and_end(&mut rig, 1);
    rig.put(begin(intent(2), first)).expect("a fresh key");
    let before = (rig.journal.step(id(1)), rig.journal.step(id(2)), rig.journal.events(id(1)));
    rig.journal.close();
    drop(rig);

    let rig = Rig::open(subject);
    assert!(epoch(&rig) > first, "a start raises the epoch");
    assert_eq!(rig.journal.start().gap_since, None);
    assert_eq!(rig.journal.step(id(1)), before.0);
    assert_eq!(rig.journal.step(id(2)), before.1);
    let events = rig.journal.events(id(1)).expect("readable");
    let earlier = before.2.expect("readable");
    assert!(events.iter().map(|one| (one.lsn, &one.event)).eq(earlier.iter().map(|one| (one.lsn, &one.event))));
    assert_eq!(rig.journal.open_steps().expect("readable").len(), 1);
    let row = before.0.expect("readable").expect("stored");
    assert_eq!(*row.intent, intent(1));
    assert_eq!(row.result.as_deref(), Some(&b"{\"content\":[],\"number\":1}"[..]));
}

fn appends_are_told_once_and_in_order(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    let tickets: Vec<_> = (0..200).map(|number| rig.send(begin(intent(number), epoch))).collect();
    let lsns: Vec<Lsn> = tickets.iter().map(|ticket| rig.wait(*ticket).expect("a fresh key")).collect();
    assert!(lsns.is_sorted_by(|a, b| a < b), "{lsns:?}");
    assert!(rig.told().iter().map(|(ticket, _)| *ticket).eq(tickets));
    assert!(rig.times().values().all(|times| *times == 1));
    // Whoever was told can read it.
    assert!((0..200).all(|number| rig.journal.step(id(number)).expect("readable").is_some()));
}

fn an_append_is_all_or_nothing(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    rig.put(begin(intent(1), epoch)).expect("a fresh key");
    let before = rig.journal.verify(true).expect("readable");
    // A new step, a note, an event, an update of the old one; then a claim that is taken.
    let mut records = begin(intent(2), epoch);
    records.push(Record::Read(read(9)));
    records.push(update(1, epoch, closed(at(5), Outcome::Failed)));
    records.extend(begin(intent(1), epoch));
    assert_eq!(rig.put(records), Err(Error::Conflict));
    assert_eq!(rig.journal.step(id(2)), Ok(None));
    assert_eq!(rig.journal.step(id(9)), Ok(None));
    assert!(rig.journal.events(id(2)).expect("readable").is_empty());
    let row = rig.journal.step(id(1)).expect("readable").expect("stored");
    assert_eq!(row.status.state, State::Dispatched);
    // And the next one hangs on where the last good one ended.
    begin_and_end(&mut rig, 3);
    let after = rig.journal.verify(true).expect("readable");
    assert_eq!(after.findings, Vec::<String>::new());
    assert_eq!(after.to.0, before.to.0 + 4);
}

//= G1
fn a_second_claim_of_a_key_conflicts_and_only_that_append_fails(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    let mut twin = intent(2);
    twin.key = intent(1).key;
    let first = rig.send(begin(intent(1), epoch));
    let second = rig.send(begin(twin.clone(), epoch));
    let third = rig.send(begin(intent(3), epoch));
    assert!(rig.wait(first).is_ok());
    assert_eq!(rig.wait(second), Err(Error::Conflict));
    assert!(rig.wait(third).is_ok());
    assert_eq!(rig.journal.step(id(2)), Ok(None));
    // The next generation is another claim.
    twin.generation = 1;
    assert!(rig.put(begin(twin, epoch)).is_ok());
}

fn an_older_epoch_is_fenced(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let old = epoch(&rig);
    rig.put(begin(intent(1), old)).expect("a fresh key");
    rig.journal.close();
    drop(rig);
    let mut rig = Rig::open(subject);
    let new = epoch(&rig);
    assert_eq!(rig.put(begin(intent(2), old)), Err(Error::Fenced));
    rig.put(vec![update(1, new, StepStatus::new(State::Resolving))]).expect("a newer owner");
    assert_eq!(rig.put(vec![update(1, old, closed(at(2), Outcome::Succeeded))]), Err(Error::Fenced));
    assert_eq!(rig.put(vec![update(77, new, StepStatus::new(State::Closed))]), Err(Error::Fenced));
    let row = rig.journal.step(id(1)).expect("readable").expect("stored");
    assert_eq!((row.status.state, row.epoch), (State::Resolving, new));
}

fn a_newer_epoch_takes_a_row_over(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let old = epoch(&rig);
    rig.put(begin(intent(1), old)).expect("a fresh key");
    rig.journal.close();
    drop(rig);
    let mut rig = Rig::open(subject);
    let row = rig.journal.open_steps().expect("readable").remove(0);
    assert_eq!(row.epoch, old);
    // With the epoch that the row has, nothing is taken over yet.
    rig.put(vec![update(1, old, StepStatus::new(State::Resolving))]).expect("still its epoch");
    let new = epoch(&rig);
    rig.put(end(1, new)).expect("a newer owner");
    assert_eq!(rig.journal.step(id(1)).expect("readable").expect("stored").epoch, new);
}

fn recall_finds_the_highest_generation(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    for generation in [0, 2, 1] {
        let mut next = intent(u64::from(generation) + 10);
        next.key = hash(1, 10);
        next.generation = generation;
        rig.put(begin(next, epoch)).expect("another generation");
    }
    let found = rig.journal.recall(&Recall { key: hash(1, 10), content: None }).expect("readable");
    assert_eq!(found.by_key.map(|row| row.intent.generation), Some(2));
    assert!(found.by_content.is_none());
    assert!(rig.journal.recall(&NONE).expect("readable").by_key.is_none());
}

//= S-09
fn recall_by_content_stays_in_scope_and_time(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    for (number, scope) in [(1, 1), (2, 1), (3, 2)] {
        let mut next = intent(number);
        next.content = hash(3, 0);
        next.scope = hash(4, scope);
        rig.put(begin(next, epoch)).expect("a fresh key");
    }
    let find = |scope, since| {
        let query = Recall { key: NONE.key, content: Some((hash(4, scope), hash(3, 0), at(since))) };
        rig.journal.recall(&query).expect("readable").by_content.map(|row| row.intent.step)
    };
    assert_eq!(find(1, 0), Some(id(2)), "the latest of its scope");
    assert_eq!(find(2, 0), Some(id(3)));
    assert_eq!(find(3, 0), None, "another principal's step is never a twin");
    assert_eq!(find(1, 2), Some(id(2)), "not before includes the instant itself");
    assert_eq!(find(1, 3), None);
    let query = Recall { key: hash(1, 1), content: Some((hash(4, 1), hash(3, 0), at(0))) };
    let found = rig.journal.recall(&query).expect("readable");
    assert_eq!(found.by_key.map(|row| row.intent.step), Some(id(1)));
    assert!(found.by_content.is_none(), "a key that is known decides alone");
}

/// Three calls of equal content in one scope, oldest first.
fn twins(rig: &mut Rig<'_>) {
    let epoch = epoch(rig);
    for number in 1..=3 {
        let mut next = intent(number);
        (next.content, next.scope) = (hash(3, 0), hash(4, 1));
        rig.put(begin(next, epoch)).expect("a fresh key");
    }
}

fn twin_of(rig: &Rig<'_>, key: vocab::Hash) -> Option<vocab::StepId> {
    let content = Some((hash(4, 1), hash(3, 0), Instant::ZERO));
    rig.journal.recall(&Recall { key, content }).expect("readable").by_content.map(|row| row.intent.step)
}

//= S-23
fn what_had_no_effect_hides_no_twin_that_may_have_had_one(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    twins(&mut rig);
    assert_eq!(twin_of(&rig, NONE.key), Some(id(3)));
    for (number, outcome) in [(3, Outcome::NotExecuted), (2, Outcome::Absent)] {
        rig.put(vec![update(number, epoch, closed(at(20), outcome))]).expect("our own row");
        assert_eq!(twin_of(&rig, NONE.key), Some(id(number - 1)), "{outcome}");
    }
    rig.put(vec![update(1, epoch, closed(at(20), Outcome::Refused))]).expect("our own row");
    assert_eq!(twin_of(&rig, NONE.key), None);
    let again = StepStatus { run_again: true, ..closed(at(20), Outcome::Absent) };
    rig.put(vec![update(2, epoch, again)]).expect("our own row");
    assert_eq!(twin_of(&rig, NONE.key), Some(id(2)), "a person allowed it to run again");
}

//= S-23
fn a_key_whose_step_did_not_run_leaves_equal_content_to_be_asked(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    twins(&mut rig);
    assert_eq!(twin_of(&rig, hash(1, 3)), None, "it runs, and so its key decides alone");
    rig.put(vec![update(3, epoch, closed(at(20), Outcome::NotExecuted))]).expect("our own row");
    assert_eq!(twin_of(&rig, hash(1, 3)), Some(id(2)), "what ran under another key meanwhile");
    rig.put(vec![update(3, epoch, closed(at(20), Outcome::Absent))]).expect("our own row");
    assert_eq!(twin_of(&rig, hash(1, 3)), None, "it was sent, and what is known of that decides");
}

fn reads_and_expired_steps_are_no_twins(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    let mut plain = intent(1);
    plain.effect = Effect::Read;
    rig.put(begin(plain, epoch)).expect("a fresh key");
    begin_and_end(&mut rig, 2);
    maintain(&rig, hours(25), &keep(24, 720));
    for number in [1, 2] {
        let content = Some((hash(4, 0), hash(3, number), Instant::ZERO));
        let by_key = rig.journal.recall(&Recall { key: hash(1, number), content }).expect("readable");
        assert!(by_key.by_key.is_some());
        let by_content = rig.journal.recall(&Recall { key: NONE.key, content }).expect("readable");
        assert!(by_content.by_content.is_none(), "{number}");
    }
}

//= G5
fn bodies_expire_and_the_tombstone_still_blocks(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    begin_and_end(&mut rig, 1);
    assert_eq!(maintain(&rig, hours(24), &keep(24, 720)), (0, 0, 0), "not before its time");
    assert_eq!(maintain(&rig, hours(25), &keep(24, 720)).0, 1);
    let stone = rig.journal.recall(&Recall { key: hash(1, 1), content: None }).expect("readable");
    let stone = stone.by_key.expect("a tombstone");
    assert!(stone.expired);
    assert_eq!((stone.result, stone.intent.args.clone(), stone.intent.preimage.clone()), (None, Bytes::new(), None));
    // What a later call is judged by stays.
    let was = intent(1);
    assert_eq!((stone.intent.step, stone.intent.fingerprint, stone.intent.run), (was.step, was.fingerprint, was.run));
    assert_eq!((&stone.intent.tool, &stone.intent.principal), (&was.tool, &was.principal));
    assert_eq!((stone.status.outcome, stone.status.closed_at), (Some(Outcome::Succeeded), Some(at(2))));
    assert!(rig.journal.events(id(1)).expect("readable").is_empty());
    let mut again = intent(2);
    again.key = was.key;
    let epoch = epoch(&rig);
    assert_eq!(rig.put(begin(again, epoch)), Err(Error::Conflict));
    assert_eq!(maintain(&rig, hours(25), &keep(24, 720)).0, 0, "once is enough");
}

fn a_tombstone_goes_after_its_time(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    (1..=80).for_each(|number| begin_and_end(&mut rig, number));
    assert_eq!(maintain(&rig, hours(26), &keep(24, 720)), (80, 0, 0));
    assert_eq!(maintain(&rig, hours(719), &keep(24, 720)), (0, 0, 0));
    assert_eq!(maintain(&rig, hours(722), &keep(24, 720)), (0, 80, 0));
    let epoch = epoch(&rig);
    assert!(rig.put(begin(intent(1), epoch)).is_ok(), "the key is free again");
}

//= G6
fn what_may_have_happened_never_expires(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    let open = [State::Held, State::Resolving, State::NeedsHuman, State::RemoteTask, State::Dispatched];
    for (number, state) in open.into_iter().enumerate() {
        let number = number as u64;
        rig.put(begin(intent(number), epoch)).expect("a fresh key");
        rig.put(vec![update(number, epoch, StepStatus { closed_at: Some(at(1)), ..StepStatus::new(state) })])
            .expect("our own row");
    }
    for (number, outcome) in [(10, Outcome::Diverged), (11, Outcome::Unknown)] {
        rig.put(begin(intent(number), epoch)).expect("a fresh key");
        rig.put(vec![update(number, epoch, closed(at(11), outcome))]).expect("our own row");
    }
    assert_eq!(maintain(&rig, hours(100_000), &keep(24, 720)), (0, 0, 0));
    for number in [0, 1, 2, 3, 4, 10, 11] {
        let row = rig.journal.step(id(number)).expect("readable").expect("stored");
        assert!(!row.expired && !row.intent.args.is_empty());
        assert_eq!(rig.journal.events(id(number)).expect("readable").len(), 2);
    }
}

fn open_steps_come_oldest_first(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    for number in [5, 3, 4, 1] {
        rig.put(begin(intent(number), epoch)).expect("a fresh key");
    }
    rig.put(end(4, epoch)).expect("our own row");
    let open = rig.journal.open_steps().expect("readable");
    assert!(open.iter().map(|row| row.intent.step).eq([1, 3, 5].map(id)));
    assert!(open.iter().all(|row| !row.intent.args.is_empty()), "recovery needs the arguments");
}

fn events_keep_their_order_and_hang_together(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    begin_and_end(&mut rig, 1);
    begin_and_end(&mut rig, 2);
    rig.put(vec![Record::Event(event(id(1), at(9), EventKind::Released))]).expect("an event needs no row of ours");
    let events = rig.journal.events(id(1)).expect("readable");
    let kinds: Vec<_> = events.iter().map(|one| one.event.kind).collect();
    use EventKind::{Closed, Dispatched, Intent, Receipt, Released};
    assert_eq!(kinds, [Intent, Dispatched, Receipt, Closed, Released]);
    assert_eq!(events[4].event, event(id(1), at(9), Released));
    assert!(events.iter().all(|one| one.epoch == epoch(&rig)));
    assert_eq!(events.iter().map(|one| one.lsn.0).collect::<Vec<_>>(), [1, 2, 3, 4, 9]);
    for full in [false, true] {
        let verified = rig.journal.verify(full).expect("readable");
        assert_eq!((verified.to, verified.findings), (Lsn(9), Vec::new()));
    }
}

fn the_chain_holds_over_what_retention_took(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    // Every third stays open, so that what goes lies scattered.
    for number in 0..100 {
        rig.put(begin(intent(number), epoch)).expect("a fresh key");
        if number % 3 != 0 {
            rig.put(end(number, epoch)).expect("our own row");
        }
    }
    let to = rig.journal.verify(true).expect("readable").to;
    for now in [24, 25, 26] {
        maintain(&rig, hours(now), &keep(24, 720));
        let verified = rig.journal.verify(true).expect("readable");
        assert_eq!((verified.to, verified.findings), (to, Vec::new()));
    }
    assert_eq!(rig.journal.verify(true).expect("readable").events, 68);
    rig.journal.close();
    drop(rig);
    let mut rig = Rig::open(subject);
    begin_and_end(&mut rig, 200);
    let verified = rig.journal.verify(true).expect("readable");
    assert_eq!((verified.to.0, verified.findings), (to.0 + 4, Vec::new()));
}

fn events_of_no_step_go_with_time(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    rig.put(vec![Record::Event(event(id(1), at(1), EventKind::Refused))]).expect("an event needs no row");
    begin_and_end(&mut rig, 2);
    maintain(&rig, hours(1), &keep(24, 720));
    assert_eq!(rig.journal.events(id(1)).expect("readable").len(), 1);
    maintain(&rig, hours(30), &keep(24, 720));
    assert!(rig.journal.events(id(1)).expect("readable").is_empty());
    assert!(rig.journal.verify(true).expect("readable").findings.is_empty());
}

fn an_update_without_a_result_keeps_the_body(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    begin_and_end(&mut rig, 1);
    let seen = StepStatus { delivered: vocab::Delivered::Seen, ..closed(at(2), Outcome::Succeeded) };
    rig.put(vec![update(1, epoch, seen.clone())]).expect("our own row");
    let row = rig.journal.step(id(1)).expect("readable").expect("stored");
    assert_eq!(row.status, seen);
    assert!(row.result.is_some());
    let replaced = Record::Update { step: id(1), epoch, status: seen, result: Some(Bytes::from_static(b"2")) };
    rig.put(vec![replaced]).expect("our own row");
    let row = rig.journal.step(id(1)).expect("readable").expect("stored");
    assert_eq!(row.result.as_deref(), Some(&b"2"[..]));
    assert!(rig.journal.verify(true).expect("readable").findings.is_empty());
}

fn lists_filter_and_come_newest_first(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    for number in 1..=4 {
        let mut next = intent(number);
        next.run = RunId([(number % 2) as u8; 16]);
        next.upstream = if number < 3 { "shop".into() } else { "mail".into() };
        rig.put(begin(next, epoch)).expect("a fresh key");
    }
    rig.put(end(2, epoch)).expect("our own row");
    let list = |filter: Filter| {
        let rows = rig.journal.steps(&Filter { limit: filter.limit.max(1), ..filter }).expect("readable");
        assert!(rows.iter().all(|row| row.intent.args.is_empty() && row.result.is_none()), "lists have no bodies");
        rows.iter().map(|row| row.intent.step).collect::<Vec<_>>()
    };
    let of = |numbers: &[u64]| numbers.iter().map(|number| id(*number)).collect::<Vec<_>>();
    assert_eq!(list(Filter { limit: 9, ..Filter::default() }), of(&[4, 3, 2, 1]));
    assert_eq!(list(Filter { limit: 2, ..Filter::default() }), of(&[4, 3]));
    assert_eq!(list(Filter { limit: 9, run: Some(RunId([0; 16])), ..Filter::default() }), of(&[4, 2]));
    assert_eq!(list(Filter { limit: 9, upstream: Some("shop".to_owned()), ..Filter::default() }), of(&[2, 1]));
    assert_eq!(list(Filter { limit: 9, state: Some(State::Dispatched), ..Filter::default() }), of(&[4, 3, 1]));
    assert_eq!(list(Filter { limit: 9, state: Some(State::Closed), ..Filter::default() }), of(&[2]));
}

fn reads_are_found_by_name_and_counted_by_run(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    begin_and_end(&mut rig, 3);
    for number in [2, 4] {
        rig.journal.append(vec![Record::Read(read(number))], None).expect("room");
    }
    rig.put(vec![Record::Read(read(5))]).expect("room");
    rig.journal.close();
    drop(rig);
    let rig = Rig::open(subject);
    let found = rig.journal.step(id(4)).expect("readable").expect("noted");
    assert_eq!((found.intent.effect, &*found.intent.tool), (Effect::Read, "get_order"));
    let mixed = rig.journal.steps(&Filter { reads: true, limit: 9, ..Filter::default() }).expect("readable");
    assert!(mixed.iter().map(|row| row.intent.step).eq([5, 4, 3, 2].map(id)));
    let runs = rig.journal.runs(9).expect("readable");
    let told: Vec<_> = runs.iter().map(|run| (run.run, run.reads, run.mutations, run.open)).collect();
    assert_eq!(told, [(RunId([2; 16]), 3, 0, 0), (RunId([1; 16]), 0, 1, 0)]);
    assert_eq!((runs[0].first_at, runs[0].last_at), (at(2), at(5)));
    assert_eq!(maintain(&rig, hours(1), &keep(24, 720)).2, 0);
    assert_eq!(maintain(&rig, hours(25), &keep(24, 720)).2, 3);
    assert_eq!(rig.journal.step(id(4)), Ok(None));
}

fn records_without_a_ticket_are_committed_by_close(subject: &mut dyn Subject) {
    let rig = Rig::open(subject);
    let epoch = epoch(&rig);
    rig.journal.append(begin(intent(1), epoch), None).expect("room");
    rig.journal.append(vec![Record::Read(read(2))], None).expect("room");
    rig.journal.close();
    assert!(rig.told().is_empty(), "nobody waits for them");
    drop(rig);
    let rig = Rig::open(subject);
    assert!(rig.journal.step(id(1)).expect("readable").is_some());
    assert!(rig.journal.step(id(2)).expect("readable").is_some());
}

fn a_ticket_without_records_waits_for_what_was_queued_before(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    rig.journal.append(begin(intent(1), epoch), None).expect("the queue has room");
    rig.put(Vec::new()).expect("a commit");
    assert!(rig.journal.step(id(1)).expect("readable").is_some());
}

fn a_closed_journal_refuses(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let ticket = {
        let epoch = epoch(&rig);
        rig.send(begin(intent(1), epoch))
    };
    let journal = Arc::clone(&rig.journal);
    journal.close();
    assert!(rig.wait(ticket).is_ok(), "what was queued is committed");
    assert_eq!(journal.append(vec![Record::Read(read(1))], None), Err(Error::Closed));
    assert_eq!(journal.health(), Err(Error::Closed));
    journal.close();
    assert!(journal.step(id(1)).expect("readable").is_some(), "reading goes on");
}

fn guard(kind: GuardKind, key: &'static str, body: &'static str, hour: u64) -> Record {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    Record::Guard(GuardRow { kind, key: bytes(key), body: bytes(body), at: hours(hour) })
}

//= G8
fn what_guards_remember_is_replaced_removed_and_there_after_a_reopen(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    rig.put(vec![guard(GuardKind::Order, "o1", "frozen", 1), guard(GuardKind::Run, "r1", "one", 1)]).expect("written");
    rig.put(vec![guard(GuardKind::Run, "r1", "two", 2), guard(GuardKind::Run, "r2", "other", 3)]).expect("written");
    rig.journal.close();
    let mut rig = Rig::open(subject);
    let bodies = |rig: &Rig<'_>, kind, limit| -> Vec<Bytes> {
        rig.journal.guards(kind, limit).expect("read").into_iter().map(|row| row.body).collect()
    };
    assert_eq!(bodies(&rig, GuardKind::Order, 9), ["frozen"]);
    assert_eq!(bodies(&rig, GuardKind::Run, 9), ["other", "two"], "newest first");
    assert_eq!(bodies(&rig, GuardKind::Run, 1), ["other"]);
    rig.put(vec![guard(GuardKind::Run, "r1", "", 4)]).expect("written");
    assert_eq!(rig.journal.guard(GuardKind::Run, b"r1").expect("read"), None);
    let order = rig.journal.guard(GuardKind::Order, b"o1").expect("read").expect("it is there");
    assert_eq!((order.key, order.at), (Bytes::from_static(b"o1"), hours(1)));
}

fn what_guards_remember_is_written_with_its_step_or_not_at_all(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    let epoch = epoch(&rig);
    rig.put(begin(intent(1), epoch)).expect("a fresh key");
    let mut again = begin(intent(1), epoch);
    again.insert(0, guard(GuardKind::Run, "r1", "one", 1));
    assert_eq!(rig.put(again), Err(Error::Conflict));
    assert_eq!(rig.journal.guards(GuardKind::Run, 9).expect("read"), []);
}

fn what_guards_of_runs_remember_goes_with_time_and_an_order_never(subject: &mut dyn Subject) {
    let mut rig = Rig::open(subject);
    rig.put(vec![
        guard(GuardKind::Order, "o1", "frozen", 1),
        guard(GuardKind::Run, "r1", "old", 1),
        guard(GuardKind::Run, "r2", "new", 50),
    ])
    .expect("written");
    maintain(&rig, hours(60), &keep(24, 48));
    let runs = rig.journal.guards(GuardKind::Run, 9).expect("read");
    assert_eq!(runs.into_iter().map(|row| row.body).collect::<Vec<_>>(), ["new"]);
    assert_eq!(rig.journal.guards(GuardKind::Order, 9).expect("read").len(), 1);
}
