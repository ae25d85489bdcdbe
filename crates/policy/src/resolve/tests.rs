//! Bad files and what is said about them.

extern crate std;

use crate::{Policy, Problems};
use alloc::string::{String, ToString};

const UPSTREAMS: &str = "upstreams:
  shop:
    mcp: { url: \"http://127.0.0.1:9000/mcp\" }
  files:
    mcp: { command: [npx, -y, server-filesystem, /data] }
";

fn env(name: &str) -> Option<String> {
    match name {
        "SHOP_TOKEN" => Some("s3cret-shop-token-0123456789".to_string()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Policy, Problems> {
    Policy::parse(text, "cofferdam.yaml", &env)
}

/// The problems of a text that stands behind two upstreams.
fn bad(tools: &str) -> String {
    bad_file(&alloc::format!("{UPSTREAMS}{tools}"))
}

fn bad_file(text: &str) -> String {
    match parse(text) {
        Ok(policy) => alloc::format!("accepted, with {} warnings", policy.warnings().len()),
        Err(problems) => problems.render(),
    }
}

fn good(tools: &str) -> Policy {
    parse(&alloc::format!("{UPSTREAMS}{tools}")).unwrap_or_else(|problems| std::panic!("{}", problems.render()))
}

#[test]
fn an_unknown_key_is_pointed_at_with_the_one_that_was_meant() {
    insta::assert_snapshot!(bad("tools:\n  - match: shop.place_order\n    readbak: { read: shop.get_order, expect: 'read.x == 1' }\n"), @r#"
        error: unknown key `readbak`
          --> cofferdam.yaml:8:5
           |
         8 |     readbak: { read: shop.get_order, expect: 'read.x == 1' }
           |     ^^^^^^^
           = did you mean `readback`?
        "#);
    insta::assert_snapshot!(bad("runs: { gate_depth: 3 }\n"), @r#"
        error: unknown key `runs`
          --> cofferdam.yaml:6:1
           |
         6 | runs: { gate_depth: 3 }
           | ^^^^
           = `runs` is not part of this version
        "#);
    insta::assert_snapshot!(bad("tools:\n  - match: shop.x\n    readback: { read: get, expect: found(read, args) >= 1 }\n"), @r#"
        error: unknown key `args) >= 1`
          --> cofferdam.yaml:8:48
           |
         8 |     readback: { read: get, expect: found(read, args) >= 1 }
           |                                                ^^^^^^^^^^
           = an expression inside { } stands in quotes: a comma ends it otherwise
        "#);
    insta::assert_snapshot!(bad("limits: { size: 3 }\n"), @r#"
        error: unknown key `size`
          --> cofferdam.yaml:6:11
           |
         6 | limits: { size: 3 }
           |           ^^^^
           = known here: message_max, args_max, depth_max, sessions_max, calls_max
        "#);
}

#[test]
fn a_wrong_type_or_word_is_pointed_at() {
    insta::assert_snapshot!(bad("tools:\n  - match: shop.place_order\n    effect: wrte\n"), @r#"
        error: `wrte` is not a known word here
          --> cofferdam.yaml:8:13
           |
         8 |     effect: wrte
           |             ^^^^
           = did you mean `write`?
        "#);
    insta::assert_snapshot!(bad("tools:\n  match: read\n"), @r#"
        error: expected a list
          --> cofferdam.yaml:7:3
           |
         7 |   match: read
           |   ^
        "#);
    insta::assert_snapshot!(bad("limits: { depth_max: many }\n"), @r#"
        error: expected a whole number
          --> cofferdam.yaml:6:22
           |
         6 | limits: { depth_max: many }
           |                      ^^^^
        "#);
    insta::assert_snapshot!(bad("tools:\n  - match: shop.x\n    redispatch_on_absent: yes\n"), @r#"
        error: expected true or false
          --> cofferdam.yaml:8:27
           |
         8 |     redispatch_on_absent: yes
           |                           ^^^
        "#);
    insta::assert_snapshot!(bad("tools:\n  - effect: read\n"), @r#"
        error: `match` is missing
          --> cofferdam.yaml:7:5
           |
         7 |   - effect: read
           |     ^^^^^^
        "#);
    insta::assert_snapshot!(bad("tools:\n  - match: shop.x\n    effect: read\n    effect: write\n"), @r#"
        error: `effect` is written twice
          --> cofferdam.yaml:9:5
           |
         9 |     effect: write
           |     ^^^^^^
        "#);
}

#[test]
fn broken_yaml_is_pointed_at() {
    insta::assert_snapshot!(bad("tools:\n  - match: shop.x\n   effect: read\n"), @r#"
        error: YAML: while parsing a block collection, did not find expected '-' indicator
          --> cofferdam.yaml:8:4
           |
         8 |    effect: read
           |    ^
        "#);
    insta::assert_snapshot!(bad("tools:\n\t- match: shop.x\n"), @r#"
        error: YAML: tabs disallowed within this context (block indentation)
          --> cofferdam.yaml:7:2
           |
         7 |  - match: shop.x
           |  ^
        "#);
    insta::assert_snapshot!(bad("listen: \"x\n"), @r#"
        error: YAML: unclosed quote
          --> cofferdam.yaml:6:9
           |
         6 | listen: "x
           |         ^
        "#);
    let bomb = (0..40).fold(String::from("a0: &a0 [x]\n"), |text, n| {
        alloc::format!("{text}a{}: &a{} [*a{n}, *a{n}, *a{n}, *a{n}]\n", n + 1, n + 1)
    });
    assert!(parse(&bomb).is_err());
    assert!(parse(&"[".repeat(100_000)).is_err());
}

#[test]
fn everything_that_is_wrong_in_meaning_is_told_at_once() {
    insta::assert_snapshot!(bad("tools:
  - match: shp.place_order
    probe_wait: 10
    reissue_window: 5min
  - match: shop__get_order
  - match: shop.x
    effect: keyed
    identity: []
    readback: { read: shoq.get_order, expect: 'read.items == arg.items' }
  - match: files.write
    effect: destructive
    redispatch_on_absent: true
    key: { header: Idempotency-Key, window: 0s }
    probe: { read: stat, args: '{\"p\": result.path}', expect: 'found(read, args)' }
"), @r#"
    error: there is no upstream `shp`
      --> cofferdam.yaml:7:12
       |
     7 |   - match: shp.place_order
       |            ^^^
       = did you mean `shop`?

    error: `10` is no time span
      --> cofferdam.yaml:8:17
       |
     8 |     probe_wait: 10
       |                 ^^
       = it needs a unit: `10s` or `10ms`

    error: `5min` is no time span
      --> cofferdam.yaml:9:21
       |
     9 |     reissue_window: 5min
       |                     ^^^^
       = write a whole number and a unit, one of ms, s, m, h, d: `250ms`, `10s`, `5m`

    error: `shop__get_order` names no tool of an upstream
      --> cofferdam.yaml:10:12
       |
    10 |   - match: shop__get_order
       |            ^^^^^^^^^^^^^^^
       = the policy writes a dot: `shop.get_order`

    error: `keyed` needs `key`: where the upstream takes its idempotency key
      --> cofferdam.yaml:12:13
       |
    12 |     effect: keyed
       |             ^^^^^
       = key: { argument: idempotency_key, window: 24h }

    error: without an argument all calls of the tool are the same
      --> cofferdam.yaml:13:15
       |
    13 |     identity: []
       |               ^
       = leave `identity` out to compare all arguments

    error: there is no upstream `shoq`
      --> cofferdam.yaml:14:23
       |
    14 |     readback: { read: shoq.get_order, expect: 'read.items == arg.items' }
       |                       ^^^^
       = did you mean `shop`?

    error: there is no variable `arg`
      --> cofferdam.yaml:14:62
       |
    14 |     readback: { read: shoq.get_order, expect: 'read.items == arg.items' }
       |                                                              ^^^
       = did you mean `args`?

    error: a destructive call is never sent again
      --> cofferdam.yaml:17:27
       |
    17 |     redispatch_on_absent: true
       |                           ^^^^
       = declare `effect: write`, if that is what it is

    error: a child process takes no headers
      --> cofferdam.yaml:18:20
       |
    18 |     key: { header: Idempotency-Key, window: 0s }
       |                    ^^^^^^^^^^^^^^^
       = use `meta` or `argument`

    error: this must be longer than zero
      --> cofferdam.yaml:18:45
       |
    18 |     key: { header: Idempotency-Key, window: 0s }
       |                                             ^^

    error: this is a number, but must be true or false
      --> cofferdam.yaml:19:62
       |
    19 |     probe: { read: stat, args: '{"p": result.path}', expect: 'found(read, args)' }
       |                                                              ^^^^^^^^^^^^^^^^^^^
       = compare it: `… == …` or `… >= 1`
    "#);
}

#[test]
fn a_fault_in_an_expression_is_found_inside_its_scalar() {
    let rule = |expect: &str| {
        alloc::format!("tools:\n  - match: shop.x\n    readback:\n      read: get\n      expect: {expect}\n")
    };
    let place = |expect: &str| match parse(&alloc::format!("{UPSTREAMS}{}", rule(expect))) {
        Ok(_) => (0, 0, 0),
        Err(problems) => (problems.0[0].line, problems.0[0].column, problems.0[0].length),
    };
    assert_eq!(place("read.a == arg.a"), (10, 25, 3));
    assert_eq!(place("'read.a == arg.a'"), (10, 26, 3));
    assert_eq!(place("\"read.a == arg.a\""), (10, 26, 3));
    assert_eq!(place("|\n        read.a == args.a &&\n        arg.a == 1"), (12, 9, 3));
    // Escapes move the place: then the whole expression is pointed at.
    assert_eq!(place("'read.a == ''x'' && arg.a == 1'"), (10, 15, 29));
}

#[test]
fn the_operators_side_and_the_outside_need_tokens() {
    insta::assert_snapshot!(bad("listen: 0.0.0.0:7070\nadmin: { listen: \"127.0.0.1:7071\" }\n"), @r#"
        error: listening beyond loopback demands a principal with a token
          --> cofferdam.yaml:6:9
           |
         6 | listen: 0.0.0.0:7070
           |         ^^^^^^^^^^^^
           = add auth: { principals: [{ name: …, token: "${TOKEN}" }] }

        error: `listen` of the operator's side needs a `token`, loopback too
          --> cofferdam.yaml:7:18
           |
         7 | admin: { listen: "127.0.0.1:7071" }
           |                  ^^^^^^^^^^^^^^^^
           = an agent can reach loopback; add token: "${COFFERDAM_ADMIN_TOKEN}"
        "#);
    insta::assert_snapshot!(bad("listen: 7070\nadmin: { listen: \"127.0.0.1:7071\", token: \"${SHOP_TOKEN}\" }\nauth: { principals: [{ name: a, token: \"${SHOP_TOKEN}\" }, { name: a, token: \"${SHOP_TOKEN}\" }] }\n"), @r#"
        error: this is no address to listen at
          --> cofferdam.yaml:6:9
           |
         6 | listen: 7070
           |         ^^^^
           = write host:port, such as 127.0.0.1:7070 or [::1]:7070

        error: an agent has the same token as the operator
          --> cofferdam.yaml:7:43
           |
         7 | admin: { listen: "127.0.0.1:7071", token: "${SHOP_TOKEN}" }
           |                                           ^^^^^^^^^^^^^^^

        error: there are two principals `a` of one tenant
          --> cofferdam.yaml:8:67
           |
         8 | auth: { principals: [{ name: a, token: "${SHOP_TOKEN}" }, { name: a, token: "${SHOP_TOKEN}" }] }
           |                                                                   ^

        error: another principal has the same token
          --> cofferdam.yaml:8:77
           |
         8 | auth: { principals: [{ name: a, token: "${SHOP_TOKEN}" }, { name: a, token: "${SHOP_TOKEN}" }] }
           |                                                                             ^^^^^^^^^^^^^^^
           = callers are told apart by their tokens only
        "#);
    let policy = good("listen: 0.0.0.0:7070\nauth: { principals: [{ name: a, token: \"${SHOP_TOKEN}\" }] }\n");
    assert_eq!(policy.principals.len(), 1);
    assert!(policy.with_listen("0.0.0.0:80").is_ok());
    assert!(good("").with_listen("0.0.0.0:80").is_err());
}

#[test]
fn a_variable_that_is_not_set_is_an_error_unless_it_has_a_default() {
    insta::assert_snapshot!(bad_file("upstreams:\n  shop:\n    mcp:\n      url: https://shop.example/mcp\n      headers: { Authorization: \"Bearer ${NOPE}\", X-Other: \"${EMPTY}\", X-Bad: \"${a b}\", X-Open: \"${OPEN\" }\n"), @r#"
        error: the variable `NOPE` is not set
          --> cofferdam.yaml:5:33
           |
         5 |       headers: { Authorization: "****** ${NOPE}", X-Other: "${EMPTY}", X-Bad: "${a b}", X-Open: "${OPEN" }
           |                                 ^^^^^^^^^^^^^^^^
           = set NOPE, or write `${NOPE:-default}`

        error: the variable `EMPTY` is not set
          --> cofferdam.yaml:5:60
           |
         5 |       headers: { Authorization: "****** ${NOPE}", X-Other: "${EMPTY}", X-Bad: "${a b}", X-Open: "${OPEN" }
           |                                                            ^^^^^^^^^^
           = set EMPTY, or write `${EMPTY:-default}`

        error: this is no name of a variable
          --> cofferdam.yaml:5:79
           |
         5 |       headers: { Authorization: "****** ${NOPE}", X-Other: "${EMPTY}", X-Bad: "${a b}", X-Open: "${OPEN" }
           |                                                                               ^^^^^^^^
           = a variable is letters, digits and `_`: `${SHOP_TOKEN}` or `${SHOP_TOKEN:-default}`

        error: `${` has no `}`
          --> cofferdam.yaml:5:97
           |
         5 |       headers: { Authorization: "****** ${NOPE}", X-Other: "${EMPTY}", X-Bad: "${a b}", X-Open: "${OPEN" }
           |                                                                                                 ^^^^^^^^
           = write `$$` for a dollar
        "#);
    let policy = parse(
        "upstreams:\n  shop:\n    mcp:\n      url: \"https://${HOST:-shop.example}/$$x\"\n      headers: { Authorization: \"Bearer ${SHOP_TOKEN}\" }\n",
    );
    let policy = policy.unwrap_or_else(|problems| std::panic!("{}", problems.render()));
    let crate::Transport::Http { url, headers } = &policy.upstreams[0].transport else { std::panic!("http") };
    assert_eq!(
        (url.expose(), url.to_string().as_str()),
        ("https://shop.example/$x", "https://${HOST:-shop.example}/$$x")
    );
    assert_eq!(headers[0].1.expose(), "Bearer s3cret-shop-token-0123456789");
}

#[test]
fn no_output_shows_a_secret() {
    let text = "auth: { principals: [{ name: a, token: \"${SHOP_TOKEN}\" }] }
upstreams:
  shop: { mcp: { url: \"https://shop.example/mcp\", headers: { Authorization: \"Bearer ${SHOP_TOKEN}\", X-Key: literal-s3cret } } }
  child: { mcp: { command: [x, \"--token=${SHOP_TOKEN}\"], env: { TOKEN: literal-s3cret, B: \"${UNSET:-s3cret-default}\" } } }
";
    let policy = parse(text).unwrap_or_else(|problems| std::panic!("{}", problems.render()));
    let shown = alloc::format!("{policy:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    for bad in [
        "auth: { principals: [{ nme: a, token: literal-s3cret }] }\n",
        "auth: { principals: [{ name: a, token: [literal-s3cret] }] }\n",
        "upstreams: { x: { mcp: { url: 5, headers: { Authorization: Bearer s3cret, \"X-Api-Key\": 's3cret' }, nope: 1 } } }\n",
        "upstreams: { x: { mcp: { command: [a], env: { API_TOKEN: \"${NOPE:-s3cret}\" }, nope: 1 } } }\n",
        "upstreams:\n  x:\n    mcp:\n      url: https://u:p@h/\n      headers:\n        Authorization: \"s3cret ${\"\n",
    ] {
        let problems = parse(bad).expect_err(bad);
        let shown = alloc::format!("{} {} {problems:?} {problems}", problems.render(), problems.to_json());
        assert!(!shown.contains("s3cret"), "{bad}\n{shown}");
    }
}

#[test]
fn the_hash_follows_the_meaning_and_not_the_secret() {
    let text = alloc::format!(
        "{UPSTREAMS}auth: {{ principals: [{{ name: a, token: \"${{T}}\" }}] }}\ntools:\n  - match: shop.x\n    effect: write\n"
    );
    let hash = |text: &str, token: &str| {
        let env = |_: &str| Some(token.to_string());
        Policy::parse(text, "p", &env)
            .map(|policy| policy.hash())
            .unwrap_or_else(|problems| std::panic!("{}", problems.render()))
    };
    let one = hash(&text, "0123456789abcdef");
    assert_eq!(one, hash(&alloc::format!("# a comment\n{text}"), "another-0123456789abcdef"));
    assert_ne!(one, hash(&text.replace("effect: write", "effect: destructive"), "0123456789abcdef"));
}

#[test]
fn a_rule_that_can_never_hold_is_a_warning() {
    let policy = good(
        "tools:\n  - match: shop.x\n    effect: write\n  - match: shop.*\n  - match: shop.x\n    effect: read\n  - match: shop.x\n    when: args.a == 1\n    effect: read\n    readback: { read: get, expect: read.a == 1 }\n",
    );
    let warnings = policy.warnings().iter().map(|warning| warning.render("warning")).collect::<alloc::vec::Vec<_>>();
    insta::assert_snapshot!(warnings.join("\n"), @r#"
        warning: this rule never holds: line 7 says the same `match` before it
          --> cofferdam.yaml:10:12
           |
        10 |   - match: shop.x
           |            ^^^^^^
           = give it a `when`, or make one rule of the two

        warning: a read has no effect to confirm: `readback` is never used
          --> cofferdam.yaml:15:15
           |
        15 |     readback: { read: get, expect: read.a == 1 }
           |               ^
        "#);
}

#[test]
fn a_read_back_must_read() {
    insta::assert_snapshot!(bad("tools:\n  - match: shop.x\n    readback: { read: shop.y, expect: read.a == 1 }\n  - match: shop.y\n    effect: write\n"), @r#"
        error: `shop.y` is declared `write`: what confirms must only read
          --> cofferdam.yaml:8:23
           |
         8 |     readback: { read: shop.y, expect: read.a == 1 }
           |                       ^^^^^^
        "#);
}

#[test]
fn upstreams_are_checked() {
    insta::assert_snapshot!(bad_file("upstreams:
  Shop: { mcp: { url: \"https://h/\" } }
  a__b: { mcp: { command: [] } }
  c: { mcp: { command: [x], url: \"https://h/\" } }
  d: { mcp: { url: \"htp://h/\", env: { A: b } } }
  e: { mcp: { url: \"https://user:pw@h/\", headers: { Host: x, \"a b\": c } }, local: true, revision: 2025-11-26 }
  f: { mcp: {} }
"), @r#"
    error: `Shop` is no name of an upstream
      --> cofferdam.yaml:2:3
       |
     2 |   Shop: { mcp: { url: "https://h/" } }
       |   ^^^^
       = lower-case letters, digits, `-` and `_`, at most 32, and a letter or digit first

    error: `a__b` is no name of an upstream
      --> cofferdam.yaml:3:3
       |
     3 |   a__b: { mcp: { command: [] } }
       |   ^^^^
       = `__` parts an upstream from its tool on the wire

    error: `command` is empty
      --> cofferdam.yaml:3:16
       |
     3 |   a__b: { mcp: { command: [] } }
       |                ^

    error: `command` and `url` exclude each other
      --> cofferdam.yaml:4:13
       |
     4 |   c: { mcp: { command: [x], url: "https://h/" } }
       |             ^
       = mcp: { command: ["npx", …] } or mcp: { url: "https://…" }

    error: `htp` is not spoken here
      --> cofferdam.yaml:5:20
       |
     5 |   d: { mcp: { url: "htp://h/", env: { A: b } } }
       |                    ^^^^^^^^^^
       = did you mean `http`?

    error: `env` belongs to `command`; a server over HTTP takes `headers`
      --> cofferdam.yaml:5:39
       |
     5 |   d: { mcp: { url: "htp://h/", env: { A: b } } }
       |                                       ^

    error: credentials do not belong into a URL: it is shown in logs
      --> cofferdam.yaml:6:20
       |
     6 |   e: { mcp: { url: "https://*******@h/", headers: { Host: x, "a b": c } }, local: true, revision: 2025-11-26 }
       |                    ^^^^^^^^^^^^^^^^^^^^
       = use headers: { Authorization: "${…}" }

    error: `Host` is set by the gateway itself
      --> cofferdam.yaml:6:53
       |
     6 |   e: { mcp: { url: "https://*******@h/", headers: { Host: x, "a b": c } }, local: true, revision: 2025-11-26 }
       |                                                     ^^^^

    error: `a b` is no name of a header
      --> cofferdam.yaml:6:62
       |
     6 |   e: { mcp: { url: "https://*******@h/", headers: { Host: x, "a b": c } }, local: true, revision: 2025-11-26 }
       |                                                              ^^^^^

    error: `local` is for child processes: nothing is known of what a server over HTTP still does
      --> cofferdam.yaml:6:83
       |
     6 |   e: { mcp: { url: "https://*******@h/", headers: { Host: x, "a b": c } }, local: true, revision: 2025-11-26 }
       |                                                                                   ^^^^

    error: `2025-11-26` is no revision of MCP
      --> cofferdam.yaml:6:99
       |
     6 |   e: { mcp: { url: "https://*******@h/", headers: { Host: x, "a b": c } }, local: true, revision: 2025-11-26 }
       |                                                                                                   ^^^^^^^^^^
       = one of: 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28

    error: `mcp` needs `command` or `url`
      --> cofferdam.yaml:7:13
       |
     7 |   f: { mcp: {} }
       |             ^
       = mcp: { command: ["npx", …] } or mcp: { url: "https://…" }
    "#);
}

#[test]
fn journal_and_limits_are_checked() {
    insta::assert_snapshot!(bad("journal: { keep: { tombstones: 1d, bodies: 0s } }\nlimits: { message_max: 4MB, args_max: 2GiB, calls_max: 0 }\ntools:\n  - match: shop.x\n    effect: keyed\n    key: { meta: k, window: 30d }\n    timeouts: { attempt: 2m, step: 1m }\n"), @r#"
        error: tombstones go before a key window ends
          --> cofferdam.yaml:6:32
           |
         6 | journal: { keep: { tombstones: 1d, bodies: 0s } }
           |                                ^^
           = a key that is forgotten here and still honoured upstream runs twice

        error: this must be longer than zero
          --> cofferdam.yaml:6:44
           |
         6 | journal: { keep: { tombstones: 1d, bodies: 0s } }
           |                                            ^^

        error: `4MB` is no size
          --> cofferdam.yaml:7:24
           |
         7 | limits: { message_max: 4MB, args_max: 2GiB, calls_max: 0 }
           |                        ^^^
           = write a number with B, KiB, MiB or GiB: `4MiB`

        error: this must lie between 1KiB and 1GiB
          --> cofferdam.yaml:7:39
           |
         7 | limits: { message_max: 4MB, args_max: 2GiB, calls_max: 0 }
           |                                       ^^^^

        error: arguments cannot be larger than the message that holds them
          --> cofferdam.yaml:7:39
           |
         7 | limits: { message_max: 4MB, args_max: 2GiB, calls_max: 0 }
           |                                       ^^^^

        error: this must lie between 1 and 1000000
          --> cofferdam.yaml:7:56
           |
         7 | limits: { message_max: 4MB, args_max: 2GiB, calls_max: 0 }
           |                                                        ^

        error: one attempt is longer than the whole step
          --> cofferdam.yaml:12:26
           |
        12 |     timeouts: { attempt: 2m, step: 1m }
           |                          ^^
        "#);
    // What nobody wrote follows the longest key window.
    let policy = good("tools:\n  - match: shop.x\n    effect: keyed\n    key: { meta: k, window: 90d }\n");
    assert_eq!(policy.journal.keep.tombstones, core::time::Duration::from_secs(90 * 24 * 3600));
}

#[test]
fn the_example_of_the_design_is_understood() {
    let policy = good("listen: 127.0.0.1:7070
journal: { path: ./.cofferdam }
tools:
  - match: shop.place_order
    effect: write
    readback: { read: shop.get_order, args: '{\"order_id\": result.order_id}', expect: 'read.items == args.items', within: 10s }
");
    let rules = policy.rules_unlisted("shop", "place_order");
    let rules = rules.single().map(alloc::sync::Arc::clone).unwrap_or_else(|| std::panic!("one set of rules"));
    assert!(rules.readback.as_ref().is_some_and(|plan| !plan.can_probe && !plan.needs_preimage));
    assert!(rules.probe.is_none());
    assert_eq!(rules.policy, policy.hash());
}

#[test]
fn a_file_that_says_nothing_is_a_policy() {
    for text in ["", "# nothing\n", "tools:\n", "upstreams: {}\n"] {
        assert_eq!(parse(text).map(|policy| policy.upstreams.len()), Ok(0), "{text}");
    }
}

#[test]
fn upstreams_of_the_command_line_can_be_spoken_of() {
    let given = || alloc::vec![crate::Upstream::command("fs", alloc::vec!["x".to_string()])];
    let policy = Policy::parse_with("tools:\n  - match: fs.write\n    effect: write\n", "p", &env, given());
    assert!(policy.is_ok_and(|policy| policy.upstreams.len() == 1 && policy.warnings().is_empty()));
    let own = Policy::parse_with("upstreams: { fs: { mcp: { url: \"https://h/\" } } }\n", "p", &env, given());
    assert!(own.is_ok_and(|policy| policy.upstreams.len() == 1 && !policy.upstreams[0].is_stdio()));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        let read = parse(&text).map(|_| ()).map_err(|problems| problems.render());
        proptest::prop_assert!(read.is_ok() || read.is_err_and(|text| !text.is_empty()));
    }

    #[test]
    fn no_expression_makes_the_checker_panic(source in "[a-z().\\[\\]{}'\"=&|!<>+*?: ,0-9-]{0,80}") {
        let text = alloc::format!("{UPSTREAMS}tools:\n  - match: shop.x\n    when: |\n      {source}\n");
        let read = parse(&text).map(|_| ()).map_err(|problems| problems.render());
        proptest::prop_assert!(read.is_ok() || read.is_err_and(|text| !text.is_empty()));
    }
}

#[test]
fn a_file_of_a_thousand_rules_loads() {
    let mut text = String::from("tools:\n");
    for n in 0..1000 {
        text += &alloc::format!(
            "  - {{ match: shop.t{n}, effect: write, target: args.id, readback: {{ read: get, expect: 'found(read, args) > found(pre, args)' }} }}\n"
        );
    }
    let policy = good(&text);
    assert_eq!(policy.rules_unlisted("shop", "t999").worst().effect, vocab::Effect::Write);
}

#[test]
fn names_under_which_requests_may_call_are_names_and_origins() {
    let policy = good(
        "auth: { hosts: [gateway.example], origins: [\"https://console.example:8443\"], principals: [{ name: a, token: \"${SHOP_TOKEN}\" }] }\n",
    );
    assert_eq!(
        (policy.hosts.as_slice(), policy.origins.as_slice()),
        (&["gateway.example".into()][..], &["https://console.example:8443".into()][..])
    );
    assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
    for host in ["\"https://gateway.example\"", "\"gateway.example:80\"", "\"*\"", "\"\""] {
        let text = bad(&["auth: { hosts: [", host, "] }\n"].concat());
        assert!(text.contains("this is no host name"), "{host}: {text}");
    }
    for origin in ["console.example", "\"https://console.example/\"", "\"https://*\"", "\"*\""] {
        let text = bad(&["auth: { origins: [", origin, "] }\n"].concat());
        assert!(text.contains("this is no origin"), "{origin}: {text}");
    }
    let open = good("auth: { hosts: [gateway.example] }\n");
    assert!(open.warnings().iter().any(|warning| warning.to_string().contains("may call every tool")));
}

fn declared(compensate: &str) -> String {
    let text = std::format!(
        "upstreams:\n  shop: {{ mcp: {{ url: \"http://127.0.0.1:9000/mcp\" }} }}\ntools:\n  - {{ match: shop.get, effect: \
         read }}\n  - match: shop.put\n    effect: write\n    {compensate}\n"
    );
    match Policy::parse(&text, "p.yaml", &|_| None) {
        Ok(policy) => policy.warnings().iter().map(|one| one.to_string() + "\n").collect(),
        Err(problems) => {
            let told = problems.0.iter().map(|one| {
                let hint = one.hint.as_deref().unwrap_or("no hint");
                std::format!("{one} ({hint})\n")
            });
            told.collect()
        }
    }
}

//= S-05
#[test]
fn a_way_back_that_cannot_be_gone_is_an_error_with_its_place() {
    let reads = r#"readback: { read: get, args: '{"id": args.id}', expect: read.v == args.v }"#;
    let cases: [(String, &str); 12] = [
        ("compensate: {}".into(), "`inverse` needs `call`"),
        ("compensate: { call: gone.put }".into(), "there is no upstream `gone`"),
        ("compensate: { call: get }".into(), "`shop.get` is declared `read`"),
        ("compensate: { call: put, args: '[1]' }".into(), "the arguments of a tool are an object"),
        ("compensate: { call: put, args: '{\"a\": read.x}' }".into(), "`read` is not known yet"),
        ("compensate: { kind: none }".into(), "`none` needs `reason`"),
        ("compensate: { kind: manual, reason: x }".into(), "`manual` needs `runbook`"),
        ("compensate: { kind: none, reason: x, call: put }".into(), "`none` makes no call"),
        ("compensate: { kind: restore, call: put, args: '{\"v\": pre.v}' }".into(), "it needs a `readback` or `probe`"),
        (
            std::format!("{reads}\n    compensate: {{ kind: restore, call: put, args: '{{\"v\": args.v}}' }}"),
            "do not use `pre`",
        ),
        ("compensate: { kind: restore, call: put }".into(), "`restore` needs `args`"),
        ("compensate: { call: put, only_if: 'read.v == 1' }".into(), "it needs a `readback` or `probe`"),
    ];
    for (compensate, wanted) in cases {
        let told = declared(&compensate);
        assert!(told.contains(wanted), "{compensate}: {told}");
        assert!(told.lines().all(|line| line.starts_with("p.yaml:")), "{told}");
    }
    assert_eq!(declared("compensate: { kind: manual, runbook: see the wiki }"), "");
    assert_eq!(
        declared(&std::format!("{reads}\n    compensate: {{ kind: restore, call: put, args: '{{\"v\": pre.v}}' }}")),
        ""
    );
}

#[test]
fn what_is_written_back_is_read_before_the_call() {
    let text = r#"
upstreams: { shop: { mcp: { url: "http://127.0.0.1:9000/mcp" } } }
tools:
  - match: shop.put
    effect: write
    readback: { read: get, args: '{"id": args.id}', expect: read.v == args.v, strength: exact }
    compensate: { kind: restore, call: put, args: '{"id": args.id, "v": pre.v}' }
"#;
    let policy =
        Policy::parse(text, "p.yaml", &|_| None).unwrap_or_else(|problems| std::panic!("{}", problems.render()));
    let rules = policy.rules("shop", &crate::ToolFacts::named("put"));
    assert!(rules.worst().probe.as_ref().is_some_and(|plan| plan.needs_preimage));
    assert!(rules.worst().undo.as_ref().is_some_and(|undo| undo.needs_preimage() && undo.look().is_some()));
}

//= G3
#[test]
fn a_shared_journal_is_checked() {
    let policy = good("journal: { postgres: \"postgres://h/${SHOP_TOKEN}\", accept_loss: [fsync] }\n");
    let database = policy.journal.postgres.unwrap_or_else(|| std::panic!("there is a database"));
    assert_eq!(database.url.expose(), "postgres://h/s3cret-shop-token-0123456789");
    assert_eq!(std::format!("{database:?}").matches("s3cret").count(), 0);
    assert_eq!((database.lease.as_secs(), database.pause_max.as_secs()), (15, 60));
    assert_eq!(database.accept_loss, [crate::Loss::Fsync]);
    let wrong = |text: &str, what: &str| {
        let found = bad(text);
        assert!(found.contains(what), "{found}");
    };
    wrong("journal: { lease: 5s }\n", "`lease` means nothing without `postgres`");
    let url = "postgres: \"postgres://h/d\"";
    let crash_only = std::format!("journal: {{ {url}, durability: process_crash_only }}\n");
    wrong(&crash_only, "`durability` is the database's own");
    wrong(&std::format!("journal: {{ {url}, lease: 0s }}\n"), "this must be longer than zero");
    let hasty = "tools:\n  - match: shop.x\n    effect: write\n    quiescence: 30s\n";
    wrong(
        &std::format!("journal: {{ {url} }}\n{hasty}"),
        "a quiescence is shorter than `lease` and `pause_max` together",
    );
    wrong(&std::format!("journal: {{ {url}, lease: 90s }}\n"), "150 s are needed, 120 s are set");
}
