//! What `init` writes is a policy, and nothing secret gets into it.

extern crate std;

use super::*;
use crate::{Annotations, Policy};
use serde_json::json;
use vocab::EffectSource;

fn tools() -> Vec<ToolFacts> {
    let list = json!([
        { "name": "get_order", "description": "Reads an order.\nSecond line: # not shown", "inputSchema": { "type": "object",
            "properties": { "order_id": { "type": "string" } }, "required": ["order_id"] } },
        { "name": "list_refunds", "inputSchema": { "type": "object",
            "properties": { "order_id": { "type": "string" } }, "required": ["order_id"] } },
        { "name": "update_order", "description": "Evil: \"\u{2028}\ntools: []\u{85}", "inputSchema": { "type": "object",
            "properties": { "order_id": { "type": "string" }, "status": { "type": "string" } }, "required": ["order_id", "status"] } },
        { "name": "issue_refund", "inputSchema": { "type": "object",
            "properties": { "order_id": { "type": "string" }, "amount": { "type": "number" } }, "required": ["order_id", "amount"] } },
        { "name": "toggle_light", "inputSchema": { "type": "object", "properties": {} } },
        { "name": "frobnicate", "inputSchema": { "type": "object" } },
        { "name": "odd \" name: #x\n", "inputSchema": {} },
        { "name": "star*", "inputSchema": {} }
    ]);
    list.as_array().into_iter().flatten().filter_map(ToolFacts::from_tool).collect()
}

fn found(name: &str, reach: Reach) -> Found {
    Found { name: name.to_string(), reach, tools: Ok(tools()), trusted: false, local: false, notes: Vec::new() }
}

fn parse(text: &str) -> Policy {
    let env = |name: &str| {
        let scheme = if name.ends_with("_URL") { "https://" } else { "" };
        Some(alloc::format!("{scheme}value-of-{name}-0123456789"))
    };
    Policy::parse(text, "cofferdam.yaml", &env).unwrap_or_else(|problems| std::panic!("{}\n{text}", problems.render()))
}

#[test]
fn what_is_written_is_accepted_and_says_what_was_proposed() {
    let shop = found(
        "shop",
        Reach::Http {
            url: "http://127.0.0.1:9000/mcp".to_string(),
            headers: Vec::from([("Authorization".to_string(), "Bearer ${SHOP_TOKEN}".to_string())]),
        },
    );
    let mut files = found(
        "files",
        Reach::Stdio {
            command: ["npx", "-y", "server \"x\"", "$$home"].map(ToString::to_string).to_vec(),
            env: Vec::from([("A: b".to_string(), "c\nd".to_string())]),
            cwd: Some("/data: x".to_string()),
        },
    );
    files.local = true;
    files.tools = Err("spawn: no such file".to_string());
    let text = write(&[shop, files]);
    let text = text.replace("c\\nd", "cd");
    let policy = parse(&text);
    assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
    assert!(policy.upstream("files").is_some_and(|files| files.local));
    let rules = |name: &str| {
        let facts = tools().into_iter().find(|tool| tool.name == name).unwrap_or_default();
        alloc::sync::Arc::clone(policy.rules("shop", &facts).worst())
    };
    assert_eq!((rules("get_order").effect, rules("get_order").effect_source), (Effect::Read, EffectSource::Policy));
    assert_eq!(rules("update_order").effect, Effect::Write);
    assert!(rules("update_order").probe.is_some());
    assert_eq!(rules("issue_refund").effect, Effect::Destructive);
    assert!(rules("issue_refund").readback.is_some());
    assert!(rules("toggle_light").readback.is_none());
    assert_eq!(
        (rules("frobnicate").effect, rules("frobnicate").effect_source),
        (Effect::Destructive, EffectSource::Guessed)
    );
    insta::assert_snapshot!(text, @r#"
        # Policy of a Cofferdam gateway, written by `cofferdam init`. Read it before you rely on it: effects below are
        # proposals, from names and annotations. `cofferdam check` shows what is effectively enforced.
        # Reference: docs/policy.md. Time spans have a unit (250ms, 10s, 5m, 24h, 30d), expressions are CEL.

        listen: 127.0.0.1:7070
        journal: { path: ./.cofferdam }

        upstreams:
          shop:
            mcp:
              url: "http://127.0.0.1:9000/mcp"
              headers:
                "Authorization": "Bearer ${SHOP_TOKEN}"
            # trusted: true # believe its annotations where no rule below says otherwise
          # It could not be asked for its tools: spawn: no such file
          files:
            mcp:
              command: ["npx", "-y", "server \"x\"", "$$home"]
              cwd: "/data: x"
              env:
                "A: b": "cd"
            # trusted: true # believe its annotations where no rule below says otherwise
            local: true # nothing of it lives on once the child is dead (a file server, not a web API)

        # effect: read | idempotent | keyed | write | destructive. A tool without a rule is destructive.
        # readback: the read after each call that confirms its effect, and that resolves a lost reply.
        # compensate: how `cofferdam rollback` takes a call back. Proposals are comments: nobody has tried them.
        tools:

          # --- shop ---
          # get_order: Reads an order.
          - match: "shop.get_order"
            effect: read # by its name
          - match: "shop.list_refunds"
            effect: read # by its name
          # update_order: Evil: "
          - match: "shop.update_order"
            effect: write # by its name
            readback:
              read: "shop.get_order"
              args: '{"order_id": args.order_id}'
              expect: '!has(read.isError) && found(read, without(args, ["order_id"])) >= 1'
              absent: 'same(read, pre)'
          - match: "shop.issue_refund"
            effect: destructive # by its name
            readback:
              read: "shop.list_refunds"
              args: '{"order_id": args.order_id}'
              expect: 'found(read, args) > found(pre, args)'
              absent: 'found(read, args) == found(pre, args) && same_count(read, pre)'
          - match: "shop.toggle_light"
            effect: write # by its name
            # no read-back: no reader shows its one value, so that a change could be told from none
          - match: "shop.frobnicate"
            # effect: write # nothing says what it does: treated as destructive until you say
            # no read-back found: after a lost reply a person is asked
          - match: "shop.odd \" name: #x\n"
            # effect: write # nothing says what it does: treated as destructive until you say
            # no read-back found: after a lost reply a person is asked
          # star*: such a name cannot be matched; it stays destructive
        "#);
}

#[test]
fn without_upstreams_the_file_is_still_a_policy() {
    let policy = parse(&write(&[]));
    assert_eq!(policy.upstreams.len(), 0);
}

const CLAUDE: &str = r#"{
  // comments and trailing commas, as editors leave them
  "mcpServers": {
    "GitHub MCP": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-github", "--token", "ghp_abcdefghijklmnopqrstuvwxyz012345", "--api-key=s3cr3tvalue"],
      "env": { "GITHUB_TOKEN": "ghp_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "LOG_LEVEL": "debug", "PORT": 8080, "OTHER": "${HOME_TOKEN}" },
    },
    "files": { "command": "npx", "args": ["-y", "server-filesystem", "/data/$x"], },
    "off": { "command": "x", "disabled": true },
    "old": { "type": "sse", "url": "https://old.example/sse" },
    "odd": {},
  },
}"#;

const VS_CODE: &str = r#"{
  "inputs": [{ "type": "promptString", "id": "shop-key", "password": true }],
  "servers": {
    "shop": { "type": "http", "url": "https://shop.example/mcp",
              "headers": { "Authorization": "Bearer s3cr3t-token-value", "X-Api-Key": "${input:shop-key}", "X-Plain": "abc s3cr3t" } },
    "leaky": { "url": "https://example.com/mcp?api_key=s3cr3t" },
    "db": { "type": "stdio", "command": "db", "args": ["postgres://u:s3cr3t@host/db", "${workspaceFolder}/x", "${env:DB_NAME}"] }
  }
}"#;

#[test]
fn an_existing_client_configuration_comes_over_without_its_secrets() {
    let mut told = String::new();
    for (text, taken) in [(CLAUDE, &[] as &[String]), (VS_CODE, &["shop".to_string()])] {
        let (imported, skipped) = import(text, taken).unwrap_or_else(|why| std::panic!("{why}"));
        for one in &imported {
            told += &alloc::format!("{} {:?}\n", one.name, one.reach);
            for note in &one.notes {
                told += &alloc::format!("    {note}\n");
            }
        }
        for one in &skipped {
            told += &alloc::format!("skipped {}: {}\n", one.name, one.why);
        }
        let upstreams = imported.into_iter().map(|one| Found { notes: one.notes, ..found(&one.name, one.reach) });
        let written = write(&upstreams.collect::<Vec<_>>());
        parse(&written);
        told += &written.lines().filter(|line| line.contains("s3cr3t") || line.contains("ghp_")).collect::<String>();
    }
    assert!(!told.contains("s3cr3t") && !told.contains("ghp_"), "{told}");
    insta::assert_snapshot!(told, @r#"
        github-mcp Stdio { command: ["npx", "-y", "@modelcontextprotocol/server-github", "--token", "${GITHUB_MCP_TOKEN}", "--api-key=${GITHUB_MCP_API_KEY}"], env: [("GITHUB_TOKEN", "${GITHUB_TOKEN}"), ("LOG_LEVEL", "debug"), ("PORT", "8080"), ("OTHER", "${HOME_TOKEN}")], cwd: None }
            Set in the gateway's environment, as it is in the client's file: GITHUB_MCP_API_KEY, GITHUB_MCP_TOKEN, GITHUB_TOKEN, HOME_TOKEN.
        files Stdio { command: ["npx", "-y", "server-filesystem", "/data/$$x"], env: [], cwd: None }
        skipped off: it is disabled there
        skipped old: it speaks HTTP+SSE of 2024-11-05; ask its maker for streamable HTTP
        skipped odd: it has neither `command` nor `url`
        shop-2 Http { url: "https://shop.example/mcp", headers: [("Authorization", "Bearer ${SHOP_2_TOKEN}"), ("X-Api-Key", "${SHOP_KEY}"), ("X-Plain", "${SHOP_2_X_PLAIN}")] }
            Set in the gateway's environment, as it is in the client's file: SHOP_2_TOKEN, SHOP_2_X_PLAIN, SHOP_KEY.
        leaky Http { url: "${LEAKY_URL}", headers: [] }
            Set in the gateway's environment, as it is in the client's file: LEAKY_URL.
            Its address holds a secret, so the whole address is a variable.
        db Stdio { command: ["db", "${DB_ARG_1}", "${WORKSPACEFOLDER}/x", "${DB_NAME}"], env: [], cwd: None }
            Set in the gateway's environment, as it is in the client's file: DB_ARG_1, DB_NAME, WORKSPACEFOLDER.
            WORKSPACEFOLDER stands for a place that only the client knows, such as its folder.
        "#);
}

#[test]
fn what_is_no_client_configuration_is_refused_without_showing_it() {
    let told = |text: &str| import(text, &[]).err().unwrap_or_default();
    assert_eq!(told("{\"token\": \"s3cret\"}"), "it has neither `mcpServers` nor `servers`");
    assert_eq!(told("{\"token\": s3cret}"), "it is no JSON (line 1, column 11)");
    assert!(import("{\"mcpServers\": {}}", &[]).is_ok());
}

#[test]
fn a_comment_in_the_clients_file_ends_where_it_ends() {
    let text =
        "{/*/ x */\"mcpServers\": {\"a\": {\"command\": \"a//b\", /* \" */ \"args\": [\"/*\", \"\\\"//\",]}}} // end";
    let (imported, _) = import(text, &[]).unwrap_or_else(|why| std::panic!("{why}"));
    let Some(Reach::Stdio { command, .. }) = imported.first().map(|one| &one.reach) else {
        std::panic!("nothing imported")
    };
    assert_eq!(command, &["a//b", "/*", "\"//"]);
}

#[test]
fn names_of_upstreams_are_made_fit_and_kept_apart() {
    let taken = ["github-mcp".to_string()];
    assert_eq!(upstream_name("GitHub MCP", &taken), "github-mcp-2");
    assert_eq!(upstream_name("__x__y__", &[]), "x-y");
    assert_eq!(upstream_name("日本", &[]), "upstream");
    assert_eq!(upstream_name("cofferdam", &[]), "upstream");
    for name in ["GitHub MCP", "__x__y__", "a_b", "9lives", &"long".repeat(40)] {
        assert_eq!(bad_name(&upstream_name(name, &[])), None, "{name}");
    }
    assert_eq!(Annotations::default().read_only, None);
}
