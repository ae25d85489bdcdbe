//! What a row says about taking it back, in which order changes are taken back, and what stops a compensation.

use crate::ask::{Ask, exact, rules, step};
use crate::world::World;
use engine::rollback::{Change, Claim, Next, Rollback, Said, TRIES_MAX, attest, sentence, worst};
use engine::{AnswerKind, Purpose, ReadEnd};
use policy::undo::UndoPlan;
use policy::{Judgement, Policy, ToolFacts, ToolRules};
use std::sync::{Arc, OnceLock};
use vocab::{
    Bytes, Code, Effect, FailureKind, Name, Outcome, RollbackStatus, State, StepRow, Unverified, Verification,
};

/// Ways back by the name of the tool that has them.
pub fn way(tool: &str) -> Option<Arc<UndoPlan>> {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    let text = r#"
upstreams: { shop: { mcp: { url: "http://127.0.0.1:1/" } } }
tools:
  - match: shop.create
    effect: write
    compensate: { call: delete, args: '{"order": args.order}' }
  - match: shop.looked
    effect: write
    readback: { read: get, args: '{"order": args.order}', expect: read.done == true }
    compensate: { call: delete, args: '{"order": args.order}', only_if: read.done == true }
  - match: shop.set
    effect: write
    readback: { read: get, args: '{"order": args.order}', expect: read.to == args.to, strength: exact, consistency: strong }
    compensate: { kind: restore, call: set, args: '{"order": args.order, "to": pre.to}' }
  - match: shop.mail
    effect: write
    compensate: { kind: none, reason: an e-mail cannot be unsent }
  - match: shop.by_hand
    effect: write
    compensate: { kind: manual, runbook: see the wiki }
"#;
    let policy = POLICY.get_or_init(|| Policy::parse(text, "test.yaml", &|_| None).expect("it is right"));
    policy.rules("shop", &ToolFacts::named(tool)).worst().undo.clone()
}

fn undoable(effect: Effect, tool: &str) -> ToolRules {
    ToolRules { undo: way(tool), ..rules(effect) }
}

/// A change that was made and is durable, as the journal has it.
fn made(world: &mut World, ask: &Ask) -> StepRow {
    // Unlike any other, so that it is nobody's re-issue.
    let content = Some(format!("content {}", world.rows.len()));
    let call = world.ask(&Ask { identity: content, ..ask.clone() });
    world.done();
    world.row(call).clone()
}

fn change(world: &World, row: &StepRow) -> Change {
    world.change(row.intent.step)
}

fn closed(mut row: StepRow, outcome: Outcome, verification: Verification) -> StepRow {
    row.status.state = State::Closed;
    row.status.outcome = Some(outcome);
    row.status.verification = verification;
    row
}

//= S-05
#[test]
fn how_it_is_taken_back_is_durable_before_anything_is_sent() {
    let mut world = World::new();
    world.held = true;
    let call = world.ask(&Ask::of(undoable(Effect::Write, "create")));
    assert_eq!(world.sends.len(), 0);
    world.commit();
    assert_eq!(world.sends.len(), 1);
    let registered = world.row(call).intent.undo.clone();
    assert_eq!(registered.as_ref(), way("create").as_ref().map(|plan| plan.registered()));
}

//= S-05
#[test]
fn a_destructive_call_is_refused_when_what_was_there_cannot_be_read() {
    let mut rules = exact(Effect::Destructive);
    rules.undo = way("set");
    let needs = policy_read();
    (rules.readback, rules.probe) = (Some(needs.clone()), Some(needs));
    for end in [
        ReadEnd::Failed("no route".into()),
        ReadEnd::Image(Bytes::from_static(br#"{"isError":true,"content":[{"type":"text","text":"no such order"}]}"#)),
        ReadEnd::Image(Bytes::from_static(br#"{"content":[],"structuredContent":{"else":1}}"#)),
    ] {
        let mut world = World::new();
        let call = world.ask(&Ask::of(ToolRules { ..copy(&rules) }).args(r#"{"order":1,"to":"b"}"#));
        assert_eq!(world.purpose(), Some(Purpose::Preimage));
        world.show(end);
        assert_eq!(world.told(call), "preimage_unavailable no");
        assert_eq!((world.sends.len(), world.rows.len()), (0, 0));
        assert_eq!(world.engine.load(), (0, 0, 0));
    }
}

//= S-05
#[test]
fn another_effect_is_sent_all_the_same_and_has_no_way_back() {
    let mut rules = exact(Effect::Write);
    rules.undo = way("set");
    let needs = policy_read();
    (rules.readback, rules.probe) = (Some(needs.clone()), Some(needs));
    let mut world = World::new();
    let call = world.ask(&Ask::of(rules).args(r#"{"order":1,"to":"b"}"#));
    world.show(ReadEnd::Failed("no route".into()));
    world.done();
    world.judge(Judgement::Applied);
    let standing = change(&world, world.row(call)).standing();
    assert_eq!(standing.status, RollbackStatus::NotRevertible);
    assert_eq!(standing.why, "what was there before could not be read");
}

/// The read of `shop.set`, which is asked beforehand.
fn policy_read() -> Arc<policy::ReadPlan> {
    static PLAN: OnceLock<Arc<policy::ReadPlan>> = OnceLock::new();
    let make = || {
        let text = r#"
upstreams: { shop: { mcp: { url: "http://127.0.0.1:1/" } } }
tools:
  - match: shop.set
    effect: write
    readback: { read: get, args: '{"order": args.order}', expect: read.to == args.to, strength: exact, consistency: strong }
    compensate: { kind: restore, call: set, args: '{"order": args.order, "to": pre.to}' }
"#;
        let policy = Policy::parse(text, "test.yaml", &|_| None).expect("it is right");
        policy.rules("shop", &ToolFacts::named("set")).worst().readback.clone().expect("it has one")
    };
    PLAN.get_or_init(make).clone()
}

fn copy(rules: &ToolRules) -> ToolRules {
    let mut copied = exact(rules.effect);
    copied.undo.clone_from(&rules.undo);
    copied.readback.clone_from(&rules.readback);
    copied.probe.clone_from(&rules.probe);
    copied
}

//= S-04
#[test]
fn a_row_says_no_more_than_is_known() {
    let mut world = World::new();
    let row = made(&mut world, &Ask::of(undoable(Effect::Write, "create")));
    let unverified = Verification::Unverified(Unverified::NoReadback);
    let of = |row: StepRow| Change::new(row, Vec::new()).standing().status;
    for (outcome, verification, status) in [
        (Outcome::Succeeded, Verification::Verified, RollbackStatus::NotAttempted),
        (Outcome::Succeeded, unverified, RollbackStatus::NotAttempted),
        (Outcome::Applied, Verification::Verified, RollbackStatus::NotAttempted),
        (Outcome::NotExecuted, Verification::None, RollbackStatus::NotNeeded),
        (Outcome::Refused, Verification::None, RollbackStatus::NotNeeded),
        (Outcome::Absent, Verification::None, RollbackStatus::NotNeeded),
        // A failure is looked at too: only a read that shows that nothing changed says so.
        (Outcome::Failed, Verification::Verified, RollbackStatus::NotNeeded),
        (Outcome::Failed, unverified, RollbackStatus::Unknown),
        (Outcome::Failed, Verification::Mismatch, RollbackStatus::Unknown),
        (Outcome::Diverged, Verification::None, RollbackStatus::Unknown),
        (Outcome::Unknown, Verification::None, RollbackStatus::Unknown),
    ] {
        assert_eq!(of(closed(row.clone(), outcome, verification)), status, "{outcome} {verification:?}");
    }
    for state in [State::Dispatched, State::Resolving, State::NeedsHuman, State::RemoteTask, State::AwaitingInput] {
        let mut row = row.clone();
        row.status.state = state;
        assert_eq!(of(row), RollbackStatus::Unknown, "{state:?}");
    }
}

//= S-04
#[test]
fn a_compensation_says_no_more_than_is_known() {
    let mut world = World::new();
    let row = made(&mut world, &Ask::of(undoable(Effect::Write, "create")));
    let unverified = Verification::Unverified(Unverified::ReadFailed);
    let of = |tries: Vec<StepRow>| Change::new(row.clone(), tries).standing().status;
    let tried = |outcome, verification| closed(row.clone(), outcome, verification);
    for (outcome, verification, status) in [
        (Outcome::Succeeded, Verification::Verified, RollbackStatus::RevertedVerified),
        (Outcome::Applied, Verification::Verified, RollbackStatus::RevertedVerified),
        (Outcome::Succeeded, unverified, RollbackStatus::RevertedUnverified),
        // A person's word is no read of ours.
        (Outcome::Applied, Verification::None, RollbackStatus::RevertedUnverified),
        (Outcome::Succeeded, Verification::Mismatch, RollbackStatus::RevertFailed),
        (Outcome::Failed, Verification::Verified, RollbackStatus::RevertFailed),
        (Outcome::Failed, unverified, RollbackStatus::RevertFailed),
        (Outcome::Failed, Verification::Mismatch, RollbackStatus::PartiallyReverted),
        (Outcome::Diverged, Verification::None, RollbackStatus::PartiallyReverted),
        (Outcome::Absent, Verification::None, RollbackStatus::RevertFailed),
        (Outcome::NotExecuted, Verification::None, RollbackStatus::NotAttempted),
    ] {
        assert_eq!(of(vec![tried(outcome, verification)]), status, "{outcome} {verification:?}");
    }
    let mut conflict = tried(Outcome::Refused, Verification::None);
    conflict.status.told = Some(Code::RollbackConflict);
    assert_eq!(of(vec![conflict]), RollbackStatus::Conflict);
    let mut open = row.clone();
    open.status.state = State::Resolving;
    let done = tried(Outcome::Succeeded, Verification::Verified);
    let failed = tried(Outcome::Failed, Verification::Verified);
    assert_eq!(of(vec![failed.clone(), done]), RollbackStatus::RevertedVerified);
    assert_eq!(of(vec![failed, open]), RollbackStatus::Unknown);
}

//= S-09
#[test]
fn another_compensation_is_made_only_after_one_that_took_nothing_back_and_not_for_ever() {
    let mut world = World::new();
    let row = made(&mut world, &Ask::of(undoable(Effect::Write, "create")));
    let next = |tries: Vec<StepRow>| Change::new(row.clone(), tries).next();
    let tried = |outcome, verification| closed(row.clone(), outcome, verification);
    let failed = || tried(Outcome::Failed, Verification::Verified);
    assert_eq!(next(vec![]), Some(0));
    assert_eq!(next(vec![failed()]), Some(1));
    assert_eq!(next(vec![tried(Outcome::Absent, Verification::None)]), Some(1));
    // Proven not to have run: the same step runs again.
    assert_eq!(next(vec![tried(Outcome::NotExecuted, Verification::None)]), Some(0));
    assert_eq!(next(vec![failed(), tried(Outcome::Refused, Verification::None)]), Some(1));
    for done in [Outcome::Succeeded, Outcome::Applied, Outcome::Diverged] {
        assert_eq!(next(vec![tried(done, Verification::Verified)]), None, "{done}");
    }
    assert_eq!(next(vec![tried(Outcome::Failed, Verification::Mismatch)]), None);
    let mut open = row.clone();
    open.status.state = State::NeedsHuman;
    assert_eq!(next(vec![open]), None);
    assert_eq!(next((0..TRIES_MAX).map(|_| failed()).collect()), None);
}

//= S-05
#[test]
fn a_change_without_a_way_back_says_why() {
    let mut world = World::new();
    let why = |world: &mut World, rules| {
        let row = made(world, &Ask::of(rules));
        let standing = change(world, &row).standing();
        (standing.status, standing.why)
    };
    let mail = why(&mut world, undoable(Effect::Write, "mail"));
    assert_eq!(mail, (RollbackStatus::NotRevertible, "an e-mail cannot be unsent".into()));
    let by_hand = why(&mut world, undoable(Effect::Write, "by_hand"));
    assert_eq!(by_hand, (RollbackStatus::NotAttempted, "by hand: see the wiki".into()));
    let undeclared = why(&mut world, rules(Effect::Write));
    assert_eq!(undeclared, (RollbackStatus::NotRevertible, "its policy did not say how it is taken back".into()));
    let mut row = made(&mut world, &Ask::of(undoable(Effect::Write, "create")));
    row.expired = true;
    assert_eq!(change_of(row).0, RollbackStatus::NotRevertible);
    let mut row = made(&mut world, &Ask::of(undoable(Effect::Write, "create")).args("{}"));
    row.result = None;
    let (status, why) = change_of(row);
    assert_eq!(status, RollbackStatus::NotRevertible, "{why}");
}

fn change_of(row: StepRow) -> (RollbackStatus, String) {
    let standing = Change::new(row, Vec::new()).standing();
    (standing.status, standing.why)
}

/// Rows at 1 s, 2 s, … of the same run, each on its lane.
fn rollback(world: &mut World, lanes: &[Option<&'static str>]) -> (Rollback, Vec<StepRow>) {
    let rows: Vec<StepRow> = lanes
        .iter()
        .map(|lane| {
            let mut ask = Ask::of(undoable(Effect::Write, "create"));
            ask.lane = *lane;
            let row = made(world, &ask);
            world.seconds(1);
            row
        })
        .collect();
    (Rollback::new(rows.iter().map(|row| (Change::new(row.clone(), Vec::new()), None))), rows)
}

fn undo(rollback: &mut Rollback) -> Option<u64> {
    match rollback.advance() {
        Next::Undo { step: undone, .. } => (1..100).find(|number| step(*number) == undone),
        Next::Wait | Next::Done => None,
    }
}

//= S-04
#[test]
fn the_latest_change_is_taken_back_first_and_one_at_a_time() {
    let mut world = World::new();
    let (mut rollback, rows) = rollback(&mut world, &[Some("a"), None, Some("b")]);
    for number in [3, 2, 1] {
        assert_eq!(undo(&mut rollback), Some(number));
        assert_eq!(rollback.advance(), Next::Wait);
        let row = &rows[usize::try_from(number).expect("small") - 1];
        let done = closed(row.clone(), Outcome::Succeeded, Verification::Verified);
        rollback.ended(Change::new(row.clone(), vec![done]), None);
    }
    assert_eq!(rollback.advance(), Next::Done);
    assert_eq!(worst(rollback.standings()), RollbackStatus::RevertedVerified);
    let told = sentence(rollback.standings(), &|_| "14:02".into());
    assert_eq!(told, "3 of 3 changes reverted and read back");
}

//= S-04
#[test]
fn a_failure_stops_what_came_before_it_on_the_same_target_and_nothing_else() {
    let mut world = World::new();
    let (mut rollback, rows) = rollback(&mut world, &[Some("a"), Some("b"), Some("a"), None]);
    let done = |row: &StepRow| closed(row.clone(), Outcome::Succeeded, Verification::Verified);
    assert_eq!(undo(&mut rollback), Some(4));
    rollback.ended(Change::new(rows[3].clone(), vec![done(&rows[3])]), None);
    assert_eq!(undo(&mut rollback), Some(3));
    let failed = closed(rows[2].clone(), Outcome::Failed, Verification::Verified);
    rollback.ended(Change::new(rows[2].clone(), vec![failed]), None);
    assert_eq!(undo(&mut rollback), Some(2), "another target");
    rollback.ended(Change::new(rows[1].clone(), vec![done(&rows[1])]), None);
    assert_eq!(rollback.advance(), Next::Done);
    let standings: Vec<_> = rollback.standings().map(|(_, standing)| standing.status).collect();
    assert_eq!(
        standings,
        [
            RollbackStatus::RevertedVerified,
            RollbackStatus::RevertFailed,
            RollbackStatus::RevertedVerified,
            RollbackStatus::NotAttempted,
        ]
    );
    let told = sentence(rollback.standings(), &|_| "14:02".into());
    assert_eq!(
        told,
        "2 of 4 changes reverted and read back; 1 not attempted (act 14:02); 1 failed to revert (act 14:02)"
    );
}

//= S-04
#[test]
fn what_shares_only_the_target_of_its_compensation_is_stopped_too() {
    let mut world = World::new();
    let (_, rows) = rollback(&mut world, &[Some("customer"), Some("order 1")]);
    let changes = [
        (Change::new(rows[0].clone(), Vec::new()), Some(Name::from("order 1"))),
        (Change::new(rows[1].clone(), Vec::new()), Some(Name::from("order 1"))),
    ];
    let mut rollback = Rollback::new(changes);
    assert_eq!(undo(&mut rollback), Some(2));
    let failed = closed(rows[1].clone(), Outcome::Failed, Verification::Verified);
    rollback.ended(Change::new(rows[1].clone(), vec![failed]), None);
    assert_eq!(rollback.advance(), Next::Done);
}

//= S-04
#[test]
fn something_unknown_on_no_declared_target_holds_up_its_upstream() {
    let mut world = World::new();
    let (_, rows) = rollback(&mut world, &[Some("a"), None]);
    let mut unknown = rows[1].clone();
    unknown.status.state = State::NeedsHuman;
    let changes = [rows[0].clone(), unknown].map(|row| (Change::new(row, Vec::new()), None));
    let mut rollback = Rollback::new(changes);
    assert_eq!(rollback.advance(), Next::Done);
    assert_eq!(worst(rollback.standings()), RollbackStatus::Unknown);
}

//= S-04
#[test]
fn a_rollback_begun_again_goes_on_where_it_was() {
    let mut world = World::new();
    let (_, rows) = rollback(&mut world, &[Some("a"), Some("b")]);
    let done = closed(rows[1].clone(), Outcome::Succeeded, Verification::Verified);
    let changes = [(Change::new(rows[0].clone(), Vec::new()), None), (Change::new(rows[1].clone(), vec![done]), None)];
    let mut rollback = Rollback::new(changes);
    assert_eq!(undo(&mut rollback), Some(1));
}

fn undoing(world: &mut World, effect: Effect, tool: &str) -> (Change, ToolRules) {
    let row = made(world, &Ask::of(undoable(Effect::Write, tool)).lane("x"));
    (change(world, &row), ToolRules { quiescence: std::time::Duration::from_secs(10), ..rules(effect) })
}

//= S-04
//= S-05
#[test]
fn a_compensation_is_a_step_of_its_own_that_runs_once() {
    let mut world = World::new();
    let (change, rules) = undoing(&mut world, Effect::Destructive, "create");
    let call = world.undo(&change, rules);
    assert_eq!(world.sent(call), 1);
    world.done();
    assert_eq!(world.told(call), "result");
    assert_eq!(change_now(&world, &change), RollbackStatus::RevertedUnverified);
    // Whoever asks once more is told what became of it.
    let again = world.undo(&change, rules_of(Effect::Destructive));
    assert_eq!((world.told(again).as_str(), world.sends.len()), ("replayed", 2));
    assert!(
        world.events.iter().any(|event| event.kind == vocab::EventKind::Compensation && event.step == change.step())
    );
}

fn rules_of(effect: Effect) -> ToolRules {
    rules(effect)
}

fn change_now(world: &World, change: &Change) -> RollbackStatus {
    world.change(change.step()).standing().status
}

//= S-04
#[test]
fn what_somebody_else_has_changed_since_is_never_overwritten() {
    let mut world = World::new();
    let (change, rules) = undoing(&mut world, Effect::Write, "looked");
    let call = world.undo(&change, rules);
    assert_eq!((world.purpose(), world.sent(call)), (Some(Purpose::Stands), 0));
    world.judge(Judgement::Different);
    assert_eq!(world.told(call), "rollback_conflict no");
    assert_eq!(world.sent(call), 0);
    assert_eq!(change_now(&world, &change), RollbackStatus::Conflict);
    // After a restart too, and once the world shows it again it can be done.
    world.crash();
    let call = world.undo(&world.change(change.step()), rules_of(Effect::Write));
    world.judge(Judgement::Applied);
    world.done();
    assert_eq!(world.told(call), "result");
    assert_eq!(change_now(&world, &change), RollbackStatus::RevertedUnverified);
}

#[test]
fn a_look_that_tells_nothing_sends_nothing() {
    let mut world = World::new();
    let (change, rules) = undoing(&mut world, Effect::Write, "looked");
    let call = world.undo(&change, rules);
    world.show(ReadEnd::Failed("no route".into()));
    assert_eq!(world.told(call), "preimage_unavailable no");
    assert_eq!((world.sent(call), change_now(&world, &change)), (0, RollbackStatus::NotAttempted));
}

#[test]
fn a_look_is_not_older_than_the_attempt_that_follows_it() {
    let mut world = World::new();
    let (change, rules) = undoing(&mut world, Effect::Write, "looked");
    let call = world.undo(&change, rules);
    world.judge(Judgement::Applied);
    world.fail(FailureKind::Connect);
    world.seconds(30);
    assert_eq!(world.sent(call), 1, "no second attempt on an old look");
    assert_eq!(change_now(&world, &change), RollbackStatus::NotAttempted);
}

//= S-04
#[test]
fn what_is_not_resolved_is_not_taken_back() {
    let mut world = World::new();
    let unknown = world.ask(&Ask::of(undoable(Effect::Write, "create")).lane("x").args(r#"{"order":2}"#));
    world.fail(FailureKind::Eof);
    let mut open = world.change(step(unknown));
    open.row.status.state = State::Closed;
    open.row.status.outcome = Some(Outcome::Succeeded);
    let pretended = Change::new(open.row, Vec::new());
    let call = world.undo_on(&pretended, rules(Effect::Write), "y");
    assert_eq!((world.sent(call), world.told(call).as_str()), (0, "outcome_unknown no"));
}

//= S-04
#[test]
fn a_copy_that_may_still_arrive_is_waited_for() {
    let mut world = World::new();
    let mut rules = undoable(Effect::Idempotent, "create");
    rules.attempt_timeout = std::time::Duration::from_secs(5);
    let number = world.ask(&Ask::of(rules).lane("x"));
    world.seconds(6);
    world.seconds(1);
    assert_eq!(world.sent(number), 2);
    world.done();
    let change = world.change(step(number));
    let undo = ToolRules { quiescence: std::time::Duration::from_secs(10), ..rules_of(Effect::Write) };
    let call = world.undo(&change, undo);
    assert_eq!(world.sent(call), 0);
    world.seconds(11);
    assert_eq!(world.sent(call), 1);
}

//= S-04
#[test]
fn a_compensation_whose_reply_is_lost_is_unknown_and_not_made_again() {
    let mut world = World::new();
    let (change, rules) = undoing(&mut world, Effect::Write, "create");
    let call = world.undo(&change, rules);
    world.fail(FailureKind::Eof);
    assert_eq!(world.told(call), "outcome_unknown unknown");
    assert_eq!(change_now(&world, &change), RollbackStatus::Unknown);
    assert_eq!(world.change(change.step()).next(), None);
    world.crash();
    assert_eq!(change_now(&world, &change), RollbackStatus::Unknown);
    assert_eq!(world.sends.len(), 2);
}

//= S-04
#[test]
fn a_failed_compensation_may_be_tried_under_the_next_number() {
    let mut world = World::new();
    let (change, rules) = undoing(&mut world, Effect::Write, "create");
    world.undo(&change, rules);
    world.answer(AnswerKind::ToolError("busy".into()));
    assert_eq!(change_now(&world, &change), RollbackStatus::RevertFailed);
    let again = world.change(change.step());
    assert_eq!(again.next(), Some(1));
    world.undo(&again, rules_of(Effect::Write));
    world.done();
    assert_eq!(change_now(&world, &change), RollbackStatus::RevertedUnverified);
}

#[test]
fn a_full_disk_takes_nothing_back_and_forgets_nothing() {
    let mut world = World::new();
    let (change, rules) = undoing(&mut world, Effect::Write, "looked");
    world.full = true;
    let call = world.undo(&change, rules);
    world.judge(Judgement::Different);
    assert_eq!((world.sent(call), world.told(call).as_str()), (0, "journal_unavailable no"));
    world.full = false;
    assert_eq!(change_now(&world, &change), RollbackStatus::NotAttempted);
    let call = world.undo(&change, rules_of(Effect::Write));
    world.judge(Judgement::Applied);
    world.done();
    assert_eq!(world.told(call), "result");
}

#[test]
fn a_step_that_did_not_run_is_made_anew_where_its_pre_image_counts() {
    let mut rules = exact(Effect::Write);
    rules.undo = way("set");
    let needs = policy_read();
    (rules.readback, rules.probe) = (Some(needs.clone()), Some(needs));
    let ask = Ask::of(rules).key("k").args(r#"{"order":1,"to":"b"}"#);
    let mut world = World::new();
    let first = world.ask(&ask);
    world.image(r#"{"content":[],"structuredContent":{"to":"old"}}"#);
    world.fail(FailureKind::Tls);
    world.seconds(2);
    world.fail(FailureKind::Tls);
    assert_eq!(world.outcome(first), Some(Outcome::NotExecuted));
    let second = world.ask(&ask);
    assert_eq!(world.purpose(), Some(Purpose::Preimage), "what was there then may not be there any more");
    world.image(r#"{"content":[],"structuredContent":{"to":"newer"}}"#);
    world.done();
    world.judge(Judgement::Applied);
    let row = world.row(second);
    assert_eq!((row.intent.generation, row.status.outcome), (1, Some(Outcome::Succeeded)));
    assert!(row.intent.preimage.as_ref().is_some_and(|image| image.windows(5).any(|part| part == b"newer")));
}

//= S-04
#[test]
fn claims_are_held_against_the_journal() {
    let mut world = World::new();
    let created = made(&mut world, &Ask::of(undoable(Effect::Write, "create")));
    let mailed = made(&mut world, &Ask::of(undoable(Effect::Write, "mail")));
    let all: Vec<Change> = [created, mailed].into_iter().map(|row| Change::new(row, Vec::new())).collect();
    let of = |said, about: &[usize]| match attest(said, about.iter().map(|index| &all[*index]), &all) {
        Claim::Confirmed { .. } => "confirmed",
        Claim::Contradicted { .. } => "contradicted",
        Claim::Unresolved { .. } => "unresolved",
        Claim::NoRecord => "no record",
    };
    assert_eq!(of(Said::Done, &[0]), "confirmed");
    assert_eq!(of(Said::NotDone, &[0]), "contradicted");
    assert_eq!(of(Said::Undone, &[0]), "contradicted");
    assert_eq!(of(Said::Done, &[]), "no record");
    // "A rollback is impossible": not of what can be taken back, and so not of all.
    assert_eq!(of(Said::CannotUndo, &[1]), "confirmed");
    assert_eq!(of(Said::CannotUndo, &[0, 1]), "contradicted");
    let reverted = closed(all[0].row.clone(), Outcome::Succeeded, Verification::Verified);
    let undone = Change::new(all[0].row.clone(), vec![reverted]);
    assert!(matches!(attest(Said::Undone, [&undone], &[]), Claim::Confirmed { .. }));
    assert!(matches!(attest(Said::Undone, [&undone, &all[1]], &[]), Claim::Contradicted { .. }));
}

#[test]
fn an_agents_own_undo_counts() {
    let mut world = World::new();
    let created = made(&mut world, &Ask::of(undoable(Effect::Write, "create")));
    let mut own = made(&mut world, &Ask::of(rules(Effect::Write)));
    let intent = Arc::make_mut(&mut own.intent);
    intent.tool = Name::from("delete");
    intent.fingerprint = checks::fingerprint(br#"{"order":1}"#).expect("it is JSON");
    let all: Vec<Change> = [created, own].into_iter().map(|row| Change::new(row, Vec::new())).collect();
    assert!(matches!(attest(Said::Undone, [&all[0]], &all), Claim::Confirmed { .. }));
    assert!(matches!(attest(Said::Undone, [&all[0]], &all[..1]), Claim::Contradicted { .. }));
}

#[test]
fn the_worst_change_stands_for_the_run() {
    assert_eq!(worst([]), RollbackStatus::NotNeeded);
    let order: Vec<&str> = RollbackStatus::ALL.iter().map(|status| status.as_str()).collect();
    assert_eq!(
        order,
        [
            "not_needed",
            "reverted_verified",
            "reverted_unverified",
            "not_attempted",
            "partially_reverted",
            "conflict",
            "not_revertible",
            "revert_failed",
            "unknown",
        ]
    );
    assert!(RollbackStatus::ALL.is_sorted());
}
