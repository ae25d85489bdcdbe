//! What is registered is read back as it was, and what the world shows now decides whether it may be used.

extern crate std;

use super::*;
use crate::{Policy, ToolFacts};
use serde_json::json;

const POLICY: &str = r#"
upstreams:
  crm: { mcp: { url: "http://127.0.0.1:9000/mcp" } }
tools:
  - { match: "crm.get_*", effect: read }
  - match: crm.set_address
    effect: write
    readback: { read: get_customer, args: '{"id": args.id}', expect: read.address == args.address }
    compensate: { kind: restore, call: set_address, args: '{"id": args.id, "address": pre.address}' }
  - match: crm.create
    effect: write
    readback: { read: get_customer, args: '{"id": result.id}', expect: read.id == result.id }
    compensate: { call: crm.delete, args: '{"id": result.id}', only_if: 'read.orders == 0' }
  - match: crm.mail
    effect: destructive
    compensate: { kind: none, reason: "an e-mail cannot be unsent" }
"#;

fn plan(tool: &str) -> Arc<UndoPlan> {
    let policy = Policy::parse(POLICY, "p.yaml", &|_| None);
    let policy = policy.unwrap_or_else(|problems| std::panic!("{}", problems.render()));
    let rules = policy.rules("crm", &ToolFacts::named(tool));
    rules.worst().undo.clone().expect("it is declared")
}

fn stored(plan: &UndoPlan) -> UndoPlan {
    match Registered::read(plan.registered()) {
        Ok(Registered::Plan(plan)) => plan,
        other => std::panic!("{other:?}"),
    }
}

//= S-05
#[test]
fn what_is_registered_is_read_back_as_it_was() {
    for tool in ["set_address", "create", "mail"] {
        let plan = plan(tool);
        let read = stored(&plan);
        assert_eq!(read.registered(), plan.registered());
        assert_eq!((read.kind, &read.call, &read.note), (plan.kind, &plan.call, &plan.note));
        assert_eq!((read.args_source(), read.only_if_source()), (plan.args_source(), plan.only_if_source()));
        assert_eq!(read.needs_preimage(), plan.needs_preimage());
        let look = |plan: &UndoPlan| plan.look().map(|look| (look.read.clone(), look.args_source().to_owned()));
        assert_eq!(look(&read), look(&plan));
        assert_eq!(write(&read), *plan.registered());
    }
}

#[test]
fn what_is_damaged_or_newer_is_refused_in_words() {
    for damaged in
        ["", "{", "[]", r#"{"v":2}"#, r#"{"v":1,"kind":"magic"}"#, r#"{"v":1,"kind":"inverse"}"#, r#"{"v":1,"of":"x"}"#]
    {
        assert!(Registered::read(damaged.as_bytes()).is_err(), "{damaged}");
    }
}

#[test]
fn a_compensation_names_the_step_that_it_takes_back() {
    let step = vocab::StepId([7; 16]);
    let Ok(Registered::Compensates { step: read, number }) = Registered::read(&of(step, 2)) else {
        std::panic!("it is one");
    };
    assert_eq!((read, number), (step, 2));
}

fn scope<'a>(args: &'a Value, pre: &'a Value, now: &'a Value) -> Scope<'a> {
    Scope { args, result: None, pre: Some(pre), read: Some(now), key: None }
}

//= S-04
#[test]
fn a_restore_stands_only_while_the_world_shows_what_was_written() {
    let (plan, tool) = (plan("set_address"), ("crm", "set_address"));
    let (args, pre) = (json!({"id": 1, "address": "new"}), json!({"id": 1, "address": "old", "name": "Ana"}));
    let now = json!({"id": 1, "address": "new", "name": "Ana"});
    assert_eq!(plan.stands(&scope(&args, &pre, &now), tool), Stands::Yes);
    assert_eq!(plan.args(&scope(&args, &pre, &now)), Ok(json!({"id": 1, "address": "old"})));
    // Somebody else wrote it since.
    let other = json!({"id": 1, "address": "elsewhere"});
    assert!(matches!(plan.stands(&scope(&args, &pre, &other), tool), Stands::No(_)));
    // Nobody can say.
    let error = json!({"isError": true, "text": "timeout"});
    assert!(matches!(plan.stands(&scope(&args, &pre, &error), tool), Stands::Unclear(_)));
}

//= S-04
#[test]
fn a_member_that_the_call_did_not_touch_must_be_as_it_was_too() {
    let text = POLICY.replace(
        r#"args: '{"id": args.id, "address": pre.address}'"#,
        r#"args: '{"id": args.id, "address": pre.address, "name": pre.name}'"#,
    );
    let policy = Policy::parse(&text, "p.yaml", &|_| None).expect("it loads");
    let plan = policy.rules("crm", &ToolFacts::named("set_address")).worst().undo.clone().expect("it is declared");
    let (args, pre) = (json!({"id": 1, "address": "new"}), json!({"id": 1, "address": "old", "name": "Ana"}));
    let renamed = json!({"id": 1, "address": "new", "name": "Anna"});
    let stands = plan.stands(&scope(&args, &pre, &renamed), ("crm", "set_address"));
    assert!(matches!(&stands, Stands::No(why) if why.contains("`name`")), "{stands:?}");
}

#[test]
fn a_condition_of_the_policy_decides_alone() {
    let plan = plan("create");
    let (args, pre, result) = (json!({}), json!({}), json!({"id": 5}));
    let judged =
        |now: &Value| plan.stands(&Scope { result: Some(&result), ..scope(&args, &pre, now) }, ("crm", "create"));
    assert_eq!(judged(&json!({"id": 5, "orders": 0})), Stands::Yes);
    assert!(matches!(judged(&json!({"id": 5, "orders": 1})), Stands::No(_)));
    assert!(matches!(judged(&json!({"id": 5})), Stands::Unclear(_)));
}

#[test]
fn what_the_receipt_lacks_cannot_be_asked_for() {
    let (args, pre, now) = (json!({}), json!({}), json!({}));
    let told = plan("create").args(&Scope { result: None, ..scope(&args, &pre, &now) });
    assert!(told.is_err(), "{told:?}");
}
