//! What `check` says.

extern crate std;

use super::*;
use crate::tools::Annotations;

const POLICY: &str = r#"
upstreams:
  shop:
    mcp: { url: "http://127.0.0.1:9000/mcp" }
tools:
  - match: shop.place_order
    effect: write
    target: args.customer
    readback: { read: list_orders, expect: 'found(read, args) > found(pre, args)' }
  - match: shop.manage
    when: args.action == "delete"
    effect: destructive
  - match: shop.manage
    when: args.action == "get"
    effect: read
  - match: shop.pay
    effect: keyed
    key: { argument: key, window: 24h }
    quiescence: 10s
    readback: { read: get_payment, args: '{"id": result.id}', expect: read.amount == args.amount }
  - match: shop.lst_orders
    effect: read
"#;

fn tools() -> Vec<ToolFacts> {
    let reads = Annotations { read_only: Some(true), ..Annotations::default() };
    let mut tools = ["place_order", "manage", "pay", "list_orders", "a.b"].map(ToolFacts::named).to_vec();
    tools[3].annotations = reads;
    tools
}

fn policy() -> Policy {
    Policy::parse(POLICY, "p.yaml", &|_| None).unwrap_or_else(|problems| std::panic!("{}", problems.render()))
}

#[test]
fn a_tool_is_told_with_all_that_holds_for_it() {
    let mut told = String::new();
    for tool in report(&policy(), "shop", &tools()) {
        told += &format!("{} ({}): {}\n", tool.tool, tool.wire_name, tool.effect);
        for case in &tool.cases {
            let when = case.when.as_deref().unwrap_or("otherwise");
            told += &format!("  {when}: {} by {}\n", case.effect, case.source);
            for (name, value) in &case.lines {
                told += &format!("    {name}: {value}\n");
            }
        }
        for warning in &tool.warnings {
            told += &format!("  ! {warning}\n");
        }
    }
    insta::assert_snapshot!(told, @r#"
        place_order (shop__place_order): write
          otherwise: write by policy
            tries: 2 with proof that nothing ran, else 1
            read-back: shop.list_orders within 10s, inferred: found(read, args) > found(pre, args)
            probe: the read-back; callers wait 50s, then a person after 30m
            undo: none declared: a rollback leaves it standing
            key: none
            repeat: notice
            identity: all arguments
            lane: by args.customer
            absent: believed after 2m and two reads 5s apart
            caller leaves: detach, drained for 5m
            timeouts: attempt 30s, step 1m
        manage (shop__manage): destructive
          args.action == "delete": destructive by policy
            tries: 2 with proof that nothing ran, else 1
            read-back: none: every call stays unverified
            probe: none: after a lost reply a person is asked
            undo: none declared: a rollback leaves it standing
            key: none
            repeat: confirm
            identity: all arguments
            lane: the whole upstream
            absent: believed after 2m and two reads 5s apart
            caller leaves: detach, drained for 5m
            timeouts: attempt 30s, step 1m
          args.action == "get": read by policy
            tries: 3
            timeouts: attempt 30s, step 1m
          otherwise: destructive by guessed
            tries: 2 with proof that nothing ran, else 1
            read-back: none: every call stays unverified
            probe: none: after a lost reply a person is asked
            undo: none declared: a rollback leaves it standing
            key: none
            repeat: notice
            identity: all arguments
            lane: the whole upstream
            absent: believed after 2m and two reads 5s apart
            caller leaves: detach, drained for 5m
            timeouts: attempt 30s, step 1m
          ! when args.action == "delete": it changes something and has no read-back
          ! it changes something and has no read-back
          ! nobody declared its effect (guessed): it counts as destructive
        pay (shop__pay): keyed
          otherwise: keyed by policy
            tries: 5 with one key, inside 1d
            read-back: shop.get_payment within 10s, inferred: read.amount == args.amount
            probe: none: the read-back needs the lost result, a person is asked
            undo: none declared: a rollback leaves it standing
            key: argument key
            repeat: notice
            identity: all arguments
            lane: the whole upstream
            absent: believed after 10s and two reads 5s apart
            caller leaves: detach, drained for 5m
            timeouts: attempt 30s, step 1m
          ! its read-back needs the result, so nothing resolves a lost reply: add a `probe`
          ! quiescence 10s is shorter than the step's 1m: a late effect could follow after "not there"
          ! its upstream lists no tool `get_payment` to read with
        list_orders (shop__list_orders): destructive
          otherwise: destructive by guessed
            tries: 2 with proof that nothing ran, else 1
            read-back: none: every call stays unverified
            probe: none: after a lost reply a person is asked
            undo: none declared: a rollback leaves it standing
            key: none
            repeat: notice
            identity: all arguments
            lane: the whole upstream
            absent: believed after 2m and two reads 5s apart
            caller leaves: detach, drained for 5m
            timeouts: attempt 30s, step 1m
          ! it changes something and has no read-back
          ! nobody declared its effect (guessed): it counts as destructive
          ! it says that it only reads, but its upstream is not trusted: declare `effect: read`
        a.b (shop__a.b): destructive
          otherwise: destructive by guessed
            tries: 2 with proof that nothing ran, else 1
            read-back: none: every call stays unverified
            probe: none: after a lost reply a person is asked
            undo: none declared: a rollback leaves it standing
            key: none
            repeat: notice
            identity: all arguments
            lane: the whole upstream
            absent: believed after 2m and two reads 5s apart
            caller leaves: detach, drained for 5m
            timeouts: attempt 30s, step 1m
          ! it changes something and has no read-back
          ! nobody declared its effect (guessed): it counts as destructive
          ! `shop__a.b` (under /mcp) is no name that every client takes: ^[A-Za-z0-9_-]{1,64}$
          ! `a.b` (as it is) is no name that every client takes: ^[A-Za-z0-9_-]{1,64}$
        "#);
}

#[test]
fn a_rule_that_no_tool_falls_under_is_named() {
    let tools = tools();
    assert_eq!(unmatched(&policy(), &[("shop", &tools)]), ["no tool matches `shop.lst_orders`"]);
    // An upstream that could not be asked proves nothing.
    assert!(unmatched(&policy(), &[]).is_empty());
}

#[test]
fn a_report_can_be_read_by_programs() {
    let json = serde_json::to_value(report(&policy(), "shop", &tools())).unwrap_or_default();
    assert_eq!(json[0]["cases"][0]["lines"][0][0], "tries");
    assert_eq!(json[1]["effect"], "destructive");
}

fn known(input: &str) -> Vec<ToolFacts> {
    let input: serde_json::Value = serde_json::from_str(input).expect("it is JSON");
    let mut tools = ["create", "delete"].map(ToolFacts::named).to_vec();
    tools[1].input_schema = input;
    tools
}

fn wrong(compensate: &str, tools: &[ToolFacts]) -> String {
    let text = std::format!(
        "upstreams:\n  shop: {{ mcp: {{ url: \"http://127.0.0.1:9000/mcp\" }} }}\ntools:\n  - match: shop.create\n    \
         effect: write\n    compensate: {compensate}\n"
    );
    let policy =
        Policy::parse(&text, "p.yaml", &|_| None).unwrap_or_else(|problems| std::panic!("{}", problems.render()));
    let found = compensators(&policy, &[("shop", tools)]);
    found.iter().map(|problem| problem.render("error")).collect()
}

//= S-05
#[test]
fn a_compensator_that_the_upstream_does_not_have_is_shown_at_its_place() {
    let found = wrong(r#"{ call: delet, args: '{"id": result.id}' }"#, &known("{}"));
    insta::assert_snapshot!(found, @r#"
    error: upstream `shop` lists no tool `delet` to take it back with
      --> p.yaml:6:25
       |
     6 |     compensate: { call: delet, args: '{"id": result.id}' }
       |                         ^^^^^
       = did you mean `delete`?
    "#);
}

//= S-05
#[test]
fn arguments_that_the_compensator_does_not_take_are_shown_at_their_place() {
    let schema = r#"{"type":"object","properties":{"order_id":{"type":"integer"}},"required":["order_id"]}"#;
    let found = wrong(r#"{ call: delete, args: '{"id": result.id}' }"#, &known(schema));
    insta::assert_snapshot!(found, @r#"
    error: `delete` needs `order_id`, and the arguments do not have it
      --> p.yaml:6:39
       |
     6 |     compensate: { call: delete, args: '{"id": result.id}' }
       |                                       ^^^^^^^^^^^^^^^^^^^
       = `delete` takes `order_id`
    error: `delete` has no argument `id`
      --> p.yaml:6:39
       |
     6 |     compensate: { call: delete, args: '{"id": result.id}' }
       |                                       ^^^^^^^^^^^^^^^^^^^
       = `delete` takes `order_id`
    "#);
    assert_eq!(wrong(r#"{ call: delete, args: '{"order_id": result.id}' }"#, &known(schema)), "");
    // Names made otherwise are nobody's to judge.
    assert_eq!(wrong("{ call: delete, args: result }", &known(schema)), "");
}
