//! Which rules hold for which call.

extern crate std;

use super::*;
use serde_json::json;

fn policy(text: &str) -> Policy {
    let text = alloc::format!(
        "upstreams:\n  shop: {{ mcp: {{ url: \"http://127.0.0.1:1/\" }} }}\n  sure: {{ trusted: true, quiescence: 7s, mcp: {{ url: \"http://127.0.0.1:1/\" }} }}\n{text}"
    );
    Policy::parse(&text, "p.yaml", &|_| None).unwrap_or_else(|problems| std::panic!("{}", problems.render()))
}

fn facts(name: &str, annotations: &str) -> ToolFacts {
    let hint = |name: &str| match (
        annotations.contains(&alloc::format!("+{name}")),
        annotations.contains(&alloc::format!("-{name}")),
    ) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let annotations =
        Annotations { read_only: hint("ro"), destructive: hint("de"), idempotent: hint("id"), open_world: None };
    ToolFacts { annotations, ..ToolFacts::named(name) }
}

#[test]
fn who_may_say_what_a_tool_does() {
    let policy =
        policy("tools:\n  - { match: shop.said, effect: read }\n  - { match: sure.said, effect: idempotent }\n");
    let mut told = String::new();
    for (upstream, name, annotations) in [
        ("shop", "said", ""),
        ("shop", "said", "+de"),
        ("shop", "get_order", ""),
        ("shop", "get_order", "+ro"),
        ("shop", "get_order", "-de+id"),
        ("shop", "delete_order", "+de"),
        ("sure", "said", "+ro"),
        ("sure", "get_order", ""),
        ("sure", "get_order", "-ro"),
        ("sure", "get_order", "+ro"),
        ("sure", "set_order", "-de"),
        ("sure", "set_order", "-de+id"),
        ("sure", "set_order", "+id"),
        ("sure", "drop_order", "+de"),
        ("sure", "create_order", "-de+id"),
        ("sure", "delete_order", "+ro"),
        ("sure", "sendMessage", "+ro"),
        ("nowhere", "get_order", "+ro"),
    ] {
        let rules = policy.rules(upstream, &facts(name, annotations));
        let rules = rules.worst();
        told += &alloc::format!(
            "{:<26} {} by {}, repeat {:?}\n",
            alloc::format!("{upstream}.{name} {annotations}"),
            rules.effect.as_str(),
            rules.effect_source.as_str(),
            rules.repeat
        );
    }
    insta::assert_snapshot!(told, @r#"
        shop.said                  read by policy, repeat Allow
        shop.said +de              read by policy, repeat Allow
        shop.get_order             destructive by guessed, repeat Notice
        shop.get_order +ro         destructive by guessed, repeat Notice
        shop.get_order -de+id      destructive by guessed, repeat Notice
        shop.delete_order +de      destructive by annotation, repeat Notice
        sure.said +ro              idempotent by policy, repeat Notice
        sure.get_order             destructive by guessed, repeat Notice
        sure.get_order -ro         destructive by guessed, repeat Notice
        sure.get_order +ro         read by trusted_annotation, repeat Allow
        sure.set_order -de         write by trusted_annotation, repeat Notice
        sure.set_order -de+id      idempotent by trusted_annotation, repeat Notice
        sure.set_order +id         destructive by guessed, repeat Notice
        sure.drop_order +de        destructive by trusted_annotation, repeat Confirm
        sure.create_order -de+id   write by name, repeat Notice
        sure.delete_order +ro      destructive by name, repeat Notice
        sure.sendMessage +ro       write by name, repeat Notice
        nowhere.get_order +ro      destructive by guessed, repeat Notice
        "#);
}

#[test]
fn the_most_specific_rule_holds_alone() {
    let policy = policy(
        "tools:
  - { match: '*', effect: destructive }
  - { match: shop.*, effect: write, probe_wait: 1s }
  - { match: shop.get_*, effect: read }
  - { match: shop.get_and_drop, effect: destructive, repeat: allow }
  - { match: '*.search', effect: read }
",
    );
    let rules = |upstream: &str, tool: &str| {
        let rules = policy.rules_unlisted(upstream, tool);
        (rules.worst().effect, rules.worst().probe_wait.as_secs())
    };
    assert_eq!(rules("shop", "get_order"), (Effect::Read, 50));
    assert_eq!(rules("shop", "get_and_drop"), (Effect::Destructive, 50));
    assert_eq!(rules("shop", "place"), (Effect::Write, 1));
    assert_eq!(rules("shop", "search"), (Effect::Write, 1));
    assert_eq!(rules("sure", "search"), (Effect::Read, 50));
    assert_eq!(rules("sure", "other"), (Effect::Destructive, 50));
}

#[test]
fn a_tool_of_many_actions_has_rules_for_each_and_the_worst_for_the_rest() {
    let text = "tools:
  - { match: shop.manage, when: 'args.action == \"get\"', effect: read }
  - { match: shop.manage, when: 'args.action == \"set\"', effect: write }
";
    let rules = policy(text).rules_unlisted("shop", "manage");
    let effect = |args: Value| rules.pick(&args).effect;
    assert_eq!(effect(json!({"action": "get"})), Effect::Read);
    assert_eq!(effect(json!({"action": "set"})), Effect::Write);
    assert_eq!(effect(json!({"action": "purge"})), Effect::Destructive);
    assert_eq!(effect(json!({})), Effect::Destructive);
    assert_eq!(effect(json!({"action": 7})), Effect::Destructive);
    assert!(rules.single().is_none());
    // The operator may say what the rest is, but an argument that is missing is no way around a rule.
    let rules =
        policy(&alloc::format!("{text}  - {{ match: shop.manage, effect: read }}\n")).rules_unlisted("shop", "manage");
    assert_eq!(rules.pick(&json!({"action": "look"})).effect, Effect::Read);
    assert_eq!(rules.pick(&json!({})).effect, Effect::Write);
}

#[test]
fn spans_come_from_the_nearest_level_that_says_one() {
    let policy = policy(
        "defaults: { quiescence: 9s, probe_wait: 3s, timeouts: { step: 20s } }
tools:
  - { match: sure.own, quiescence: 1s }
",
    );
    let quiescence = |upstream: &str, tool: &str| policy.rules_unlisted(upstream, tool).worst().quiescence.as_secs();
    assert_eq!([quiescence("shop", "x"), quiescence("sure", "x"), quiescence("sure", "own")], [9, 7, 1]);
    assert_eq!(policy.rules_unlisted("sure", "own").worst().step_timeout.as_secs(), 20);
    assert_eq!(Policy::default_with(Vec::new()).rules_unlisted("a", "b").worst().quiescence.as_secs(), 120);
}

#[test]
fn a_call_names_its_lane_and_its_key() {
    let policy = policy(
        "tools:
  - { match: shop.x, effect: write, target: args.order, idempotency_argument: request, identity: [order, item.sku] }
",
    );
    let rules = policy.rules_unlisted("shop", "x");
    let rules = rules.worst();
    assert_eq!(rules.lane(&json!({"order": "o1"})).as_deref(), Some("o1"));
    assert_eq!(rules.lane(&json!({"order": 7})).as_deref(), Some("7"));
    assert_eq!(rules.lane(&json!({})), None);
    assert_eq!(rules.lane(&json!({"order": "x".repeat(1000)})), None);
    assert_eq!(rules.client_key(&json!({"request": "r1"})), Some("r1"));
    let Identity::Paths(paths) = &rules.identity else { std::panic!("paths") };
    assert_eq!(paths.iter().map(|path| path.join("/")).collect::<Vec<_>>(), ["order", "item/sku"]);
}

#[test]
fn a_star_stands_for_any_run_of_letters() {
    for (pattern, text, fits) in [
        ("*", "", true),
        ("get_*", "get_order", true),
        ("get_*", "get", false),
        ("*_order", "get_order", true),
        ("g*o*r", "get_order", true),
        ("g*x", "get_order", false),
        ("a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ("get", "get", true),
        ("get", "gets", false),
    ] {
        assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
    }
}

#[test]
fn an_entry_of_a_tools_list_is_read_with_care() {
    let tool =
        json!({ "name": "x", "annotations": { "readOnlyHint": "yes", "destructiveHint": false }, "outputSchema": [] });
    let facts = ToolFacts::from_tool(&tool).unwrap_or_default();
    assert_eq!(facts.annotations, Annotations { destructive: Some(false), ..Annotations::default() });
    assert_eq!(facts.output_schema, None);
    assert_eq!(ToolFacts::from_tool(&json!({ "name": 5 })), None);
}
